/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exhaustive search that leaves out what a bound shows to be beaten. With n samples on an
 * instance, rounds of at most b take no less than n times the least time per sample of rounds of at
 * most b; a bill never falls with time.
 */
#include "plan/job_search.h"

#include "core/alloc.h"
#include "estimate/round_times.h"
#include "plan/bill.h"
#include "plan/demand.h"
#include "plan/job_time.h"
#include "profile/profile_data.h"

#include <qosbatch/frontier.h>

#include <math.h>

/* Keeps a bound below what it bounds when both are rounded. */
static const double BELOW = 1 - 1e-11;

typedef struct bounds {
  double *total; /* least time per sample in rounds of at most n samples, of an instance */
  double *high;  /* the same of the end of the interval */
} bounds;

/* All of an offer that does not depend on the number of nodes. */
typedef struct open_offer {
  qb__job_offer offer;
  qb__purchase purchase;
  qb__round_set set;
  bounds *bounds; /* of each table */
  double *bound_values;
  double total, high; /* least time per sample of a node */
} open_offer;

/*
 * A sweep over all plans collects those that keep the limits and are not beaten, or, without a
 * frontier, how near the others come.
 */
typedef struct sweep {
  const qb__job_demand *demand;
  qb_qos limits;
  qb_job_frontier *frontier;
  qb__priced_plan nearest; /* of those that break a limit */
  double least_excess;
  qb_nearest changes; /* that would be enough */
} sweep;

static double cost_bound(const open_offer *o, uint32_t nodes, uint64_t samples, double total_ns,
                         double per_sample_ns, uint32_t max_batch)
{
  const qb_node_type *type = &o->offer.type;
  if (type->billing.kind == QB_BILLING_TIME)
    return qb__cost_of_time(&type->billing, nodes, (int64_t)fmin(total_ns, 9e18)) * BELOW;
  const double gib_s =
      (double)type->memory_bytes / 1073741824.0 * type->billing.price_per_gib_s / 1e9;
  return ((double)samples / max_batch * type->billing.price_per_call +
          (double)samples * per_sample_ns * gib_s +
          (double)nodes * (double)type->start_up_ns * gib_s) *
         BELOW;
}

/* No plan with `nodes` nodes of this offer can be on the frontier, with these times per sample. */
static bool beaten(const sweep *s, const open_offer *o, uint32_t nodes, double share, double total,
                   double high, uint32_t max_batch)
{
  if (!s->frontier)
    return false;
  const double start = o->purchase.start_up_ns;
  const double total_ns = (start + share * total) * BELOW - 1;
  const double high_ns = (start + share * high) * BELOW - 1;
  const double cost = cost_bound(o, nodes, s->demand->samples, total_ns, total, max_batch);
  return qb__job_frontier_beats(s->frontier, high_ns, cost);
}

static void add_bill(const open_offer *o, const qb__round_times *table, uint64_t samples,
                     const qb__job_time *time, qb_job_plan *plan)
{
  const qb_node_type *type = &o->offer.type;
  if (type->billing.kind == QB_BILLING_TIME) {
    plan->cost = qb__cost_of_time(&type->billing, plan->nodes, time->total_ns);
    plan->cost_high = qb__cost_of_time(&type->billing, plan->nodes, time->high_ns);
  } else {
    const double stretch = (double)(time->high_ns - type->start_up_ns) / time->rounds_ns;
    plan->cost = qb__cost_of_calls(type, table, samples, plan->nodes, plan->batch, 1);
    plan->cost_high = qb__cost_of_calls(type, table, samples, plan->nodes, plan->batch, stretch);
  }
  plan->cost_per_1000 = plan->cost / (double)samples * 1000;
}

/* The longest of all rounds: an instance may have a sample less than the busiest. */
static int64_t longest_round(const qb__round_times *table, uint64_t most, uint32_t batch)
{
  const int64_t full = table->high_ns[batch], rest = table->high_ns[most % batch];
  const int64_t less = table->high_ns[(most - 1) % batch];
  const int64_t longer = rest > less ? rest : less;
  return full > longer ? full : longer;
}

static qb__priced_plan plan_of(const sweep *s, const open_offer *o, uint32_t nodes,
                               const qb__round_times *table, uint64_t most, uint32_t batch,
                               const qb__spread *spread)
{
  const uint64_t samples = s->demand->samples;
  const qb__job_time time = qb__job_time_of(table, most, batch, spread, &o->purchase);
  qb_job_plan plan = {.size = sizeof plan,
                      .profile = o->offer.profile_index,
                      .type = o->offer.type_index,
                      .nodes = nodes,
                      .source = table->transferred ? QB_SOURCE_TRANSFERRED : QB_SOURCE_MEASURED,
                      .configuration = table->configuration,
                      .batch = batch,
                      .remainder = (uint32_t)(most % batch),
                      .samples_per_instance = most,
                      .rounds_per_instance = most / batch,
                      .total_ns = time.total_ns,
                      .low_ns = time.low_ns,
                      .high_ns = time.high_ns,
                      .throughput_per_s = (double)samples / ((double)time.total_ns * 1e-9),
                      .memory_bytes = table->memory_bytes[batch]};
  add_bill(o, table, samples, &time, &plan);
  const qb__needs needs = {.latency_ns = longest_round(table, most, batch),
                           .deadline_ns = time.high_ns,
                           .budget = plan.cost_high,
                           .budget_per_hour = nodes * o->offer.type.billing.price_per_hour,
                           .memory_bytes = plan.memory_bytes,
                           .accuracy = table->accuracy};
  const qb__fit fit = qb__fit_of(&s->demand->qos, &needs);
  plan.feasible = fit.met;
  plan.reason = fit.broken;
  return (qb__priced_plan){plan, needs};
}

static void note_nearest(sweep *s, const qb__priced_plan *p)
{
  const qb__fit fit = qb__fit_of(&s->limits, &p->needs);
  qb__nearest_note(&fit, &s->limits, &p->needs, &s->changes);
  if (s->nearest.plan.nodes &&
      (fit.excess > s->least_excess ||
       (fit.excess == s->least_excess && p->plan.high_ns >= s->nearest.plan.high_ns)))
    return;
  s->nearest = *p;
  s->least_excess = fit.excess;
}

static qb_status consider(sweep *s, const qb__priced_plan *p)
{
  if (!s->frontier) {
    note_nearest(s, p);
    return QB_OK;
  }
  if (!qb__fit_of(&s->limits, &p->needs).met ||
      qb__job_frontier_beats(s->frontier, (double)p->plan.high_ns, p->plan.cost))
    return QB_OK;
  return qb__job_frontier_add(s->frontier, p);
}

static qb_status sweep_table(sweep *s, const open_offer *o, uint32_t nodes,
                             const qb__spread *spread, size_t index)
{
  const qb__round_times *table = &o->set.tables[index];
  const bounds *least = &o->bounds[index];
  const uint64_t samples = s->demand->samples;
  const uint64_t instances = (uint64_t)nodes * table->configuration.instances;
  if (s->frontier && table->accuracy < s->limits.accuracy)
    return QB_OK;
  const uint64_t most = samples / instances + (samples % instances != 0);
  /* A batch larger than an instance's share runs the same rounds as one of that share. */
  const uint32_t largest = most < table->max_batch ? (uint32_t)most : table->max_batch;
  if (beaten(s, o, nodes, (double)most, least->total[largest], least->high[largest], largest))
    return QB_OK;
  for (uint32_t b = largest; b >= 1; b--) {
    if (table->memory_bytes[b] > o->offer.type.memory_bytes ||
        beaten(s, o, nodes, (double)most, least->total[b], least->high[b], b))
      continue;
    const qb__priced_plan found = plan_of(s, o, nodes, table, most, b, spread);
    const qb_status status = consider(s, &found);
    if (status)
      return status;
  }
  return QB_OK;
}

static void find_bounds(const qb__round_times *table, const qb__spread *one, bounds *least)
{
  least->total[0] = least->high[0] = INFINITY;
  for (uint32_t n = 1; n <= table->max_batch; n++) {
    least->total[n] = fmin(least->total[n - 1], (double)table->mean_ns[n] / n);
    least->high[n] = fmin(least->high[n - 1], qb__round_high_ns(table, n, one) / n);
  }
}

static qb_status make_bounds(qb_context *context, open_offer *o)
{
  const size_t room = (size_t)o->set.max_batch + 1;
  o->bounds = qb__calloc(context, o->set.count, sizeof *o->bounds);
  o->bound_values = qb__calloc(context, 2 * o->set.count * room, sizeof *o->bound_values);
  if (!o->bounds || !o->bound_values)
    return QB_ERROR_NO_MEMORY;
  const qb__spread one = qb__spread_of(1, &o->purchase);
  o->total = o->high = INFINITY;
  for (size_t i = 0; i < o->set.count; i++) {
    const qb__round_times *table = &o->set.tables[i];
    const uint32_t instances = table->configuration.instances;
    o->bounds[i] = (bounds){o->bound_values + 2 * i * room, o->bound_values + (2 * i + 1) * room};
    find_bounds(table, &one, &o->bounds[i]);
    o->total = fmin(o->total, o->bounds[i].total[table->max_batch] / instances);
    o->high = fmin(o->high, o->bounds[i].high[table->max_batch] / instances);
  }
  return QB_OK;
}

/* To be closed also after a failure. */
static qb_status open_index(const qb__job_demand *demand, uint32_t index, open_offer *o)
{
  *o = (open_offer){.bounds = NULL};
  qb_status status = demand->offer(demand->user, index, &o->offer);
  if (status)
    return status;
  const qb_node_type *type = &o->offer.type;
  o->purchase = (qb__purchase){(double)type->start_up_ns, type->interruptions_per_h};
  status =
      qb__round_set_init(o->offer.profile, o->offer.node, type->billing.kind == QB_BILLING_CALLS,
                         demand->qos.accuracy > 0, o->offer.unmeasured, &o->set);
  return status ? status : make_bounds(demand->context, o);
}

static void close_offer(const qb__job_demand *demand, open_offer *o)
{
  qb__free(demand->context, o->bounds);
  qb__free(demand->context, o->bound_values);
  qb__round_set_free(&o->set);
  qb_node_unref(o->offer.node);
}

static qb_status sweep_offer(sweep *s, uint32_t index)
{
  const uint64_t samples = s->demand->samples;
  open_offer o;
  qb_status status = open_index(s->demand, index, &o);
  for (uint32_t k = 1; !status && k <= o.offer.type.max_nodes && k <= samples; k++) {
    if (beaten(s, &o, k, (double)samples / k, o.total, o.high, o.set.max_batch))
      continue;
    const qb__spread spread = qb__spread_of(k, &o.purchase);
    for (size_t i = 0; i < o.set.count && !status; i++)
      status = sweep_table(s, &o, k, &spread, i);
  }
  close_offer(s->demand, &o);
  return status;
}

static qb_status sweep_all(sweep *s)
{
  qb_status status = QB_OK;
  for (uint32_t i = 0; i < s->demand->offer_count && !status; i++)
    status = sweep_offer(s, i);
  return status;
}

static qb_status make_frontier(const qb__job_demand *demand, const qb_qos *limits,
                               qb_job_frontier **frontier)
{
  sweep s = {.demand = demand, .limits = *limits};
  qb_status status = qb__job_frontier_new(demand->context, &s.frontier);
  if (!status)
    status = sweep_all(&s);
  if (status)
    qb_job_frontier_free(s.frontier);
  else
    *frontier = s.frontier;
  return status;
}

/* The best that ends by a time; NULL if there is none. */
static const qb__priced_plan *best_by(const qb__job_demand *demand, const qb_job_frontier *all,
                                      int64_t deadline_ns)
{
  if (demand->qos.objective == QB_OBJECTIVE_COST)
    return qb__job_frontier_cheapest(all, deadline_ns);
  const qb__priced_plan *fastest = qb__job_frontier_fastest(all);
  return fastest && fastest->plan.high_ns <= deadline_ns ? fastest : NULL;
}

/* What keeps the best plan of all out. */
static qb_status find_reason(const qb__job_demand *demand, const qb_job_frontier *within,
                             qb_job_plan *plan)
{
  const qb_qos none = {.objective = demand->qos.objective};
  const qb_qos *q = &demand->qos;
  const bool limited = q->budget > 0 || q->budget_per_hour > 0 || q->latency_ns ||
                       q->memory_bytes || q->accuracy > 0;
  qb_job_frontier *any = NULL;
  const qb_status status = limited ? make_frontier(demand, &none, &any) : QB_OK;
  if (status)
    return status;
  const qb__needs *needs = &best_by(demand, limited ? any : within, INT64_MAX)->needs;
  const qb__fit fit = qb__fit_of(q, needs);
  if (fit.single && fit.broken == QB_REASON_ACCURACY)
    plan->nearest.accuracy = needs->accuracy;
  plan->reason = !fit.met                            ? fit.broken
                 : q->objective == QB_OBJECTIVE_COST ? QB_REASON_COST
                                                     : QB_REASON_THROUGHPUT;
  qb_job_frontier_free(any);
  return QB_OK;
}

static qb_status find_nearest(const qb__job_demand *demand, qb_job_plan *plan)
{
  sweep s = {.demand = demand, .limits = demand->qos};
  const qb_status status = sweep_all(&s);
  *plan = s.nearest.plan;
  plan->nearest = s.changes;
  if (!plan->nodes)
    plan->reason = QB_REASON_MEMORY;
  return status;
}

qb_status qb__job_search(const qb__job_demand *demand, qb_job_plan *plan,
                         qb_job_frontier **frontier)
{
  qb_job_frontier *within = NULL;
  qb_qos limits = demand->qos;
  limits.deadline_ns = 0;
  qb_status status = make_frontier(demand, &limits, &within);
  if (status)
    return status;
  const int64_t deadline_ns = demand->qos.deadline_ns ? demand->qos.deadline_ns : INT64_MAX;
  const qb__priced_plan *best = best_by(demand, within, deadline_ns);
  if (best) {
    *plan = best->plan;
    status = find_reason(demand, within, plan);
  } else {
    status = find_nearest(demand, plan);
  }
  if (!status && frontier)
    *frontier = within;
  else
    qb_job_frontier_free(within);
  return status;
}
