/* SPDX-License-Identifier: Apache-2.0 */
/* A job on one profiled node: each profile is an offer of one node, billed to the nanosecond. */
#include "core/structs.h"
#include "node/node_data.h"
#include "plan/demand.h"
#include "plan/job_search.h"
#include "plan/untried.h"
#include "profile/profile_data.h"

typedef struct own_nodes {
  qb_profile *const *profiles;
  bool unmeasured;
} own_nodes;

static qb_status own_node(const void *user, uint32_t index, qb__job_offer *offer)
{
  const own_nodes *own = user;
  qb_profile *const *profiles = own->profiles;
  *offer = (qb__job_offer){.profile = profiles[index],
                           .type = QB_NODE_TYPE_INIT,
                           .profile_index = index,
                           .unmeasured = own->unmeasured};
  offer->type.memory_bytes = UINT64_MAX;
  offer->type.billing.granularity_ns = 1;
  offer->type.billing.price_per_hour =
      qb__node_info(qb__profile_node(profiles[index]))->price_per_hour;
  return QB_OK;
}

static qb_status find_untried(qb__job_demand *demand, own_nodes *own, qb_job_plan *plan)
{
  qb_job_plan hoped;
  for (uint32_t i = 0; i < demand->offer_count; i++)
    own->unmeasured |= qb__splits_are_missing(own->profiles[i]);
  if (!own->unmeasured)
    return QB_OK;
  const qb_status status = qb__job_search(demand, &hoped, NULL);
  if (!status && plan->nodes && hoped.nodes)
    plan->untried = qb__untried_of(plan->feasible, (double)plan->total_ns, hoped.feasible,
                                   (double)hoped.total_ns, hoped.source, &hoped.configuration);
  return status;
}

qb_status qb_plan_job(qb_profile *const *profiles, size_t profile_count, const qb_job *job,
                      const qb_qos *qos, qb_job_plan *plan, qb_job_frontier **frontier)
{
  qb_job asked;
  qb_job_plan made;
  own_nodes own = {profiles, false};
  qb__job_demand demand = {.offer_count = (uint32_t)profile_count, .offer = own_node, .user = &own};
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
    status = find_untried(&demand, &own, &made);
  if (!status)
    QB__STRUCT_OUT(qb_job_plan, plan, &made);
  return status;
}
