/* SPDX-License-Identifier: Apache-2.0 */
/* A job on nodes to buy: each type of the catalogue is an offer. */
#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "place/catalogue_impl.h"
#include "place/type_node.h"
#include "plan/demand.h"
#include "plan/job_search.h"
#include "profile/profile_data.h"

#include <qosbatch/fleet.h>
#include <qosbatch/frontier.h>

#include <stdlib.h>

/* A type and the price of its compute power, on which only the order of the search depends. */
typedef struct rank {
  double price;
  uint32_t type;
} rank;

typedef struct market {
  const qb_catalogue *catalogue;
  qb_profile *const *profiles;
  size_t profile_count;
  uint32_t reserve_cores; /* of each node */
  rank *ranks;            /* of types that have cores left, the most promising first */
} market;

static qb_status offer_type(const void *user, uint32_t index, qb__job_offer *offer)
{
  const market *m = user;
  const uint32_t at = m->ranks[index].type;
  const qb_node_type *type = &m->catalogue->types[at];
  size_t which;
  const qb_status status =
      qb__profile_for_type(type, m->reserve_cores, m->profiles, m->profile_count, &which);
  if (status)
    return status;
  *offer = (qb__job_offer){.profile = m->profiles[which],
                           .type = *type,
                           .profile_index = (uint32_t)which,
                           .type_index = at};
  return qb__node_of_type(m->profiles[which], type, m->reserve_cores, &offer->node);
}

static int by_price(const void *a, const void *b)
{
  const rank *x = a, *y = b;
  return x->price != y->price ? (x->price < y->price ? -1 : 1) : (x->type < y->type ? -1 : 1);
}

static qb_status rank_types(market *m, uint32_t *count)
{
  m->ranks = qb__calloc(m->catalogue->context, m->catalogue->count, sizeof *m->ranks);
  if (!m->ranks)
    return QB_ERROR_NO_MEMORY;
  *count = 0;
  for (uint32_t i = 0; i < m->catalogue->count; i++) {
    const qb_node_type *t = &m->catalogue->types[i];
    if (qb__type_cores(t) <= m->reserve_cores)
      continue;
    const double per_s = t->billing.kind == QB_BILLING_TIME
                             ? t->billing.price_per_hour / 3600
                             : t->billing.price_per_gib_s * (double)t->memory_bytes / 1073741824.0;
    m->ranks[(*count)++] =
        (rank){per_s / (t->compute_flops_per_s > 0 ? t->compute_flops_per_s : 1e9), i};
  }
  qsort(m->ranks, *count, sizeof *m->ranks, by_price);
  return QB_OK;
}

static qb_status search(market *m, const qb_job *job, const qb_qos *qos, qb_job_plan *plan,
                        qb_job_frontier **frontier)
{
  qb_job asked;
  qb__job_demand demand = {.context = m->catalogue->context, .offer = offer_type, .user = m};
  qb_status status = qb__profiles_of_one_model(m->profiles, m->profile_count);
  if (!status)
    status = qb__job_in(job, &asked);
  if (!status)
    status = qb__qos_in(qos, &demand.qos);
  if (!status)
    status = qb__reserve_of_nodes(m->catalogue, m->profiles, m->profile_count, &demand.qos,
                                  &m->reserve_cores);
  if (!status)
    status = rank_types(m, &demand.offer_count);
  if (status)
    return status;
  demand.samples = asked.samples;
  return qb__job_search(&demand, plan, frontier);
}

qb_status qb_plan_job_fleet(const qb_catalogue *catalogue, qb_profile *const *profiles,
                            size_t profile_count, const qb_job *job, const qb_qos *qos,
                            qb_job_plan *plan, qb_job_frontier **frontier)
{
  if (!catalogue)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "catalogue is NULL");
  qb_job_plan made;
  market m = {.catalogue = catalogue, .profiles = profiles, .profile_count = profile_count};
  qb_status status = QB__STRUCT_CHECK_OUT(qb_job_plan, plan);
  if (!status)
    status = search(&m, job, qos, &made, frontier);
  if (!status)
    QB__STRUCT_OUT(qb_job_plan, plan, &made);
  qb__free(catalogue->context, m.ranks);
  return status;
}
