/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet of a service. A part of a Poisson process that is dealt out at random is one too, so k
 * nodes of a type are k services of the k-th part of the rate.
 */
#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "node/node_impl.h"
#include "place/catalogue_impl.h"
#include "place/cost.h"
#include "plan/demand.h"
#include "profile/profile_impl.h"

#include <qosbatch/fleet.h>

#include <math.h>
#include <stdlib.h>

typedef struct demand {
  qb_load load;
  qb_qos qos; /* of a node: without the budget */
  double budget_per_hour;
  uint32_t spare;
} demand;

static qb_status plan_node(const demand *d, const qb_profile *profile, uint32_t nodes,
                           qb_service_plan *plan)
{
  qb_load load = d->load;
  load.rate_per_s /= nodes;
  load.queued = (uint32_t)ceil((double)load.queued / nodes);
  *plan = (qb_service_plan)QB_SERVICE_PLAN_INIT;
  return qb_plan_service(&profile, 1, &load, &d->qos, plan);
}

/* The fewest nodes that hold the rate: 0 if more than `most` are needed. */
static qb_status find_nodes(const demand *d, const qb_profile *profile, uint32_t most,
                            uint32_t *nodes, qb_service_plan *plan)
{
  *nodes = 0;
  qb_status status = plan_node(d, profile, 1, plan);
  if (status)
    return status;
  if (plan->feasible) {
    *nodes = 1;
    return QB_OK;
  }
  /* An infeasible plan tells the highest rate that can be held, found by bisection. */
  const double highest = plan->nearest.rate_per_s;
  double k = highest > 0 ? fmax(2, floor(d->load.rate_per_s / highest)) : INFINITY;
  for (; k <= most; k++) {
    status = plan_node(d, profile, (uint32_t)k, plan);
    if (status)
      return status;
    if (plan->feasible) {
      *nodes = (uint32_t)k;
      return QB_OK;
    }
  }
  return QB_OK;
}

static double cost_per_hour(const demand *d, const qb_node_type *type, const qb_profile *profile,
                            const qb_service_fleet *fleet)
{
  if (type->billing.kind == QB_BILLING_TIME)
    return fleet->nodes * type->billing.price_per_hour;
  const double batch = fmax(1, fleet->plan.mean_batch);
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  if (qb_estimate(profile, &fleet->plan.configuration, (uint32_t)ceil(batch), &e))
    return 0;
  return d->load.rate_per_s / batch * 3600 * qb__cost_of_call(type, (double)e.latency_ns);
}

static qb_status plan_type(const demand *asked, const qb_node_type *type, const qb_profile *profile,
                           qb_service_fleet *fleet)
{
  demand d = *asked;
  if (!d.qos.memory_bytes || type->memory_bytes < d.qos.memory_bytes)
    d.qos.memory_bytes = type->memory_bytes;
  uint32_t nodes;
  const uint32_t most = type->most_nodes > d.spare ? type->most_nodes - d.spare : 0;
  const qb_status status = find_nodes(&d, profile, most, &nodes, &fleet->plan);
  if (status)
    return status;
  const uint32_t holding = nodes ? nodes : 1;
  fleet->nodes = holding + d.spare;
  fleet->rate_per_s = d.load.rate_per_s / holding;
  fleet->cost_per_hour = cost_per_hour(&d, type, profile, fleet);
  fleet->cost_per_1000 = fleet->cost_per_hour / (d.load.rate_per_s * 3600) * 1000;
  fleet->max_rate_per_s = holding * fleet->plan.max_rate_per_s;
  fleet->feasible = nodes && !(d.budget_per_hour > 0 && fleet->cost_per_hour > d.budget_per_hour);
  return QB_OK;
}

static int by_cost(const void *a, const void *b)
{
  const qb_service_fleet *x = a, *y = b;
  if (x->feasible != y->feasible)
    return x->feasible ? -1 : 1;
  if (x->cost_per_hour != y->cost_per_hour)
    return x->cost_per_hour < y->cost_per_hour ? -1 : 1;
  return x->type < y->type ? -1 : x->type > y->type;
}

static qb_status check_demand(const qb_load *load, const qb_qos *qos, uint32_t spare, demand *d)
{
  qb_status status = qb__struct_in(&d->load, sizeof d->load, sizeof d->load, load, "load");
  if (!status)
    status = qb__qos_in(qos, &d->qos);
  if (status)
    return status;
  if (!(d->load.rate_per_s > 0) || !isfinite(d->load.rate_per_s))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "load.rate_per_s is %g; give the samples that arrive per second, above 0",
                    d->load.rate_per_s);
  if (spare >= QB_MOST_NODES)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "spare is %u; give less than %u", spare,
                    QB_MOST_NODES);
  d->budget_per_hour = d->qos.budget_per_hour;
  d->qos.budget_per_hour = 0;
  d->spare = spare;
  return QB_OK;
}

static qb_status plan_all(const qb_catalogue *catalogue, const qb_profile *const *profiles,
                          size_t profile_count, const demand *d, qb_service_fleet *made)
{
  for (uint32_t i = 0; i < catalogue->count; i++) {
    const qb_node_type *type = &catalogue->types[i];
    size_t which;
    bool own;
    qb_profile *profile = NULL;
    qb_status status = qb__profile_for_type(type, profiles, profile_count, &which, &own);
    if (!status)
      status = qb__profile_of_type(profiles[which], type, own, &profile);
    made[i] = (qb_service_fleet)QB_SERVICE_FLEET_INIT;
    made[i].type = i;
    made[i].source = own ? QB_SOURCE_MEASURED : QB_SOURCE_TRANSFERRED;
    if (!status)
      status = plan_type(d, type, profile, &made[i]);
    qb_profile_unref(profile);
    if (status)
      return status;
  }
  qsort(made, catalogue->count, sizeof *made, by_cost);
  return QB_OK;
}

qb_status qb_plan_service_fleet(const qb_catalogue *catalogue, const qb_profile *const *profiles,
                                size_t profile_count, const qb_load *load, const qb_qos *qos,
                                uint32_t spare, qb_service_fleet *fleets, uint32_t count)
{
  demand d;
  if (!catalogue || !fleets || count != catalogue->count)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "room for %u fleets at %p; give one for each of %u "
                    "types",
                    count, (void *)fleets, qb_catalogue_count(catalogue));
  qb_status status = qb__profiles_of_one_model(profiles, profile_count);
  if (!status)
    status = check_demand(load, qos, spare, &d);
  for (uint32_t i = 0; i < count && !status; i++)
    status = qb__struct_check_out(&fleets[i], sizeof fleets[i], "qb_service_fleet");
  if (status)
    return status;
  qb_service_fleet *made = qb__calloc(catalogue->context, count, sizeof *made);
  if (!made)
    return QB_ERROR_NO_MEMORY;
  status = plan_all(catalogue, profiles, profile_count, &d, made);
  for (uint32_t i = 0; i < count && !status; i++)
    qb__struct_out(&fleets[i], &made[i], sizeof made[i]);
  qb__free(catalogue->context, made);
  return status;
}
