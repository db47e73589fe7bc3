/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet of a service. A part of a Poisson process that is dealt out at random is one too, so k
 * nodes of a type are k services of the k-th part of the rate.
 */
#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "place/catalogue_impl.h"
#include "place/type_node.h"
#include "plan/bill.h"
#include "plan/service_frontier.h"
#include "profile/profile_data.h"

#include <qosbatch/fleet.h>
#include <qosbatch/frontier.h>

#include <math.h>
#include <stdlib.h>

typedef struct demand {
  qb_load load;
  qb_qos qos; /* of a node: without the budget */
  double budget_per_hour;
  uint32_t reserve_cores; /* of each node */
} demand;

static qb_status plan_node(const demand *d, const qb__site *site, uint32_t nodes,
                           qb_service_plan *plan)
{
  qb_load load = d->load;
  load.rate_per_s /= nodes;
  load.queued = (uint32_t)ceil((double)load.queued / nodes);
  return qb__plan_service(site, 1, &load, &d->qos, plan, NULL);
}

/* The fewest nodes that hold the rate; else all there are, or one where no rate is held. */
static qb_status find_nodes(const demand *d, const qb__site *site, uint32_t most, uint32_t *nodes,
                            qb_service_plan *plan)
{
  *nodes = 1;
  qb_status status = plan_node(d, site, 1, plan);
  /* An infeasible plan tells the highest rate that can be held, found by bisection. */
  if (status || plan->feasible || most < 2 || !(plan->nearest.rate_per_s > 0))
    return status;
  const double enough = fmax(2, floor(d->load.rate_per_s / plan->nearest.rate_per_s));
  for (double k = fmin(enough, most); k <= most && !status && !plan->feasible; k++) {
    *nodes = (uint32_t)k;
    status = plan_node(d, site, *nodes, plan);
  }
  return status;
}

static double cost_per_hour(const demand *d, const qb_node_type *type, const qb__site *site,
                            const qb_service_plan *plan)
{
  if (type->billing.kind == QB_BILLING_TIME)
    return plan->nodes * type->billing.price_per_hour;
  const double batch = fmax(1, plan->mean_batch);
  qb_where where = QB_WHERE_INIT;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  where.node = site->node;
  if (qb_estimate(site->profile, &plan->configuration, (uint32_t)ceil(batch), &where, &e))
    return 0;
  const int64_t round_ns = e.source == QB_SOURCE_TRANSFERRED ? e.high_ns : e.latency_ns;
  return d->load.rate_per_s / batch * 3600 * qb__cost_of_call(type, (double)round_ns);
}

static qb_status plan_at(const demand *asked, const qb_node_type *type, const qb__site *site,
                         qb_service_plan *plan)
{
  demand d = *asked;
  const uint32_t spare = d.qos.spare_nodes;
  d.qos.memory_bytes = qb__lower_limit(type->memory_bytes, d.qos.memory_bytes);
  uint32_t nodes;
  const uint32_t most = type->max_nodes > spare ? type->max_nodes - spare : 0;
  const qb_status status = find_nodes(&d, site, most, &nodes, plan);
  if (status)
    return status;
  plan->nodes = nodes + spare;
  plan->rate_per_s = d.load.rate_per_s / nodes;
  plan->max_rate_per_s *= nodes;
  plan->nearest.rate_per_s *= nodes;
  plan->cost_per_hour = cost_per_hour(&d, type, site, plan);
  plan->cost_per_1000 = plan->cost_per_hour / (d.load.rate_per_s * 3600) * 1000;
  if (nodes > most) { /* the spare ones are all that can be had */
    plan->feasible = false;
    plan->reason = QB_REASON_CAPACITY;
    plan->nearest = (qb_nearest){0};
  }
  if (plan->feasible && d.budget_per_hour > 0 && plan->cost_per_hour > d.budget_per_hour) {
    plan->feasible = false;
    plan->reason = QB_REASON_BUDGET;
    plan->nearest = (qb_nearest){.budget_per_hour = plan->cost_per_hour};
  }
  return QB_OK;
}

static qb_status plan_type(const demand *d, qb_profile *const *profiles, size_t profile_count,
                           const qb_node_type *type, qb_service_plan *plan)
{
  size_t which;
  qb_node *node = NULL;
  qb_status status = qb__profile_for_type(type, d->reserve_cores, profiles, profile_count, &which);
  if (!status)
    status = qb__node_of_type(profiles[which], type, d->reserve_cores, &node);
  if (!status) {
    const qb__site site = {.profile = profiles[which],
                           .index = (uint32_t)which,
                           .node = node,
                           .single = type->billing.kind == QB_BILLING_CALLS,
                           .price_per_hour = type->billing.price_per_hour};
    status = plan_at(d, type, &site, plan);
  }
  qb_node_unref(node);
  return status;
}

static int by_cost(const void *a, const void *b)
{
  const qb_service_plan *x = a, *y = b;
  if (x->feasible != y->feasible)
    return x->feasible ? -1 : 1;
  if (x->cost_per_hour != y->cost_per_hour)
    return x->cost_per_hour < y->cost_per_hour ? -1 : 1;
  return x->type < y->type ? -1 : x->type > y->type;
}

static qb_status check(const qb_load *load, const qb_qos *qos, demand *d)
{
  qb_status status = qb__load_in(load, false, &d->load);
  if (!status)
    status = qb__qos_in(qos, &d->qos);
  if (status)
    return status;
  if (d->qos.spare_nodes >= QB_MAX_NODES)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "qos.spare_nodes is %u; give less than %u",
                    d->qos.spare_nodes, QB_MAX_NODES);
  d->budget_per_hour = d->qos.budget_per_hour;
  d->qos.budget_per_hour = 0;
  return QB_OK;
}

/* One plan for each type that has cores left, the cheapest first. */
static qb_status plan_all(const qb_catalogue *catalogue, qb_profile *const *profiles,
                          size_t profile_count, const demand *d, qb_service_plan *plans,
                          uint32_t *count)
{
  *count = 0;
  for (uint32_t i = 0; i < catalogue->count; i++) {
    const qb_node_type *type = &catalogue->types[i];
    if (qb__type_cores(type) <= d->reserve_cores)
      continue;
    const qb_status status = plan_type(d, profiles, profile_count, type, &plans[*count]);
    if (status)
      return status;
    plans[(*count)++].type = i;
  }
  qsort(plans, *count, sizeof *plans, by_cost);
  return QB_OK;
}

static qb_status make_frontier(const qb_catalogue *catalogue, const qb_service_plan *plans,
                               uint32_t count, qb_service_frontier **frontier)
{
  qb_service_frontier *f = NULL;
  qb_status status = qb__service_frontier_new(catalogue->context, &f);
  for (uint32_t i = 0; i < count && !status; i++)
    status = qb__service_frontier_append(f, &plans[i]);
  if (status)
    qb_service_frontier_free(f);
  else
    *frontier = f;
  return status;
}

qb_status qb_plan_service_fleet(const qb_catalogue *catalogue, qb_profile *const *profiles,
                                size_t profile_count, const qb_load *load, const qb_qos *qos,
                                qb_service_plan *plan, qb_service_frontier **frontier)
{
  demand d;
  if (!catalogue)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "catalogue is NULL");
  qb_status status = QB__STRUCT_CHECK_OUT(qb_service_plan, plan);
  if (!status)
    status = qb__profiles_of_one_model(profiles, profile_count);
  if (!status)
    status = check(load, qos, &d);
  if (!status)
    status = qb__reserve_of_nodes(catalogue, profiles, profile_count, &d.qos, &d.reserve_cores);
  if (status)
    return status;
  uint32_t count;
  qb_service_plan *plans = qb__calloc(catalogue->context, catalogue->count, sizeof *plans);
  if (!plans)
    return QB_ERROR_NO_MEMORY;
  status = plan_all(catalogue, profiles, profile_count, &d, plans, &count);
  if (!status && frontier)
    status = make_frontier(catalogue, plans, count, frontier);
  if (!status)
    QB__STRUCT_OUT(qb_service_plan, plan, &plans[0]);
  qb__free(catalogue->context, plans);
  return status;
}
