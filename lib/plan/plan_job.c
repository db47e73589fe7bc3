/* SPDX-License-Identifier: Apache-2.0 */
/* A job on one profiled node: each profile is an offer of one node, billed to the nanosecond. */
#include "core/structs.h"
#include "node/node_data.h"
#include "plan/demand.h"
#include "plan/job_search.h"
#include "profile/profile_data.h"

static qb_status own_node(const void *user, uint32_t index, qb__job_offer *offer)
{
  qb_profile *const *profiles = user;
  *offer = (qb__job_offer){
      .profile = profiles[index], .type = QB_NODE_TYPE_INIT, .profile_index = index};
  offer->type.memory_bytes = UINT64_MAX;
  offer->type.billing.granularity_ns = 1;
  offer->type.billing.price_per_hour =
      qb__node_info(qb__profile_node(profiles[index]))->price_per_hour;
  return QB_OK;
}

qb_status qb_plan_job(qb_profile *const *profiles, size_t profile_count, const qb_job *job,
                      const qb_qos *qos, qb_job_plan *plan, qb_job_frontier **frontier)
{
  qb_job asked;
  qb_job_plan made;
  qb__job_demand demand = {
      .offer_count = (uint32_t)profile_count, .offer = own_node, .user = profiles};
  qb_status status = QB__STRUCT_CHECK_OUT(qb_job_plan, plan);
  if (!status)
    status = qb__profiles_check(profiles, profile_count);
  if (!status)
    status = qb__job_in(job, &asked);
  if (!status)
    status = qb__qos_in(qos, &demand.qos);
  if (status)
    return status;
  demand.context = qb__profile_context(profiles[0]);
  demand.samples = asked.samples;
  status = qb__job_search(&demand, &made, frontier);
  if (!status)
    QB__STRUCT_OUT(qb_job_plan, plan, &made);
  return status;
}
