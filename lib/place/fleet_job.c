/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet of a job: an exhaustive search that leaves out what a bound shows to be beaten. With
 * n samples on an instance, rounds of at most b take no less than n times the least time per sample of
 * rounds of at most b; a bill never falls with time.
 */
#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "estimate/round_times.h"
#include "place/catalogue_impl.h"
#include "place/cost.h"
#include "place/type_node.h"
#include "plan/demand.h"
#include "plan/job_frontier.h"
#include "plan/job_time.h"
#include "profile/profile_data.h"

#include <qosbatch/fleet.h>

#include <math.h>
#include <stdlib.h>

/* Keeps a bound below what it bounds when both are rounded. */
static const double BELOW = 1 - 1e-11;

typedef struct bounds {
  double *total; /* least time per sample in rounds of at most n samples, of an instance */
  double *high;  /* the same of the end of the interval */
} bounds;

/* All of a type that does not depend on the number of nodes. */
typedef struct offer {
  const qb_node_type *type;
  uint32_t index;
  uint32_t profile;
  qb__purchase purchase;
  qb__round_set set;
  bounds *bounds; /* of each table */
  double *bound_values;
  double total, high; /* least time per sample of a node */
} offer;

typedef struct search {
  const qb_catalogue *catalogue;
  qb_profile *const *profiles;
  size_t profile_count;
  uint64_t samples;
  qb_qos qos;
  uint32_t *order; /* types, the most promising first */
} search;

/* What a sweep over all fleets compares and leaves out. */
typedef struct sweep {
  const search *search;
  qb_job_frontier *frontier;
  bool at_high;  /* compare cost_high instead of cost */
  double budget; /* only fleets with cost_high up to this; 0: all */
} sweep;

static double cost_bound(const offer *o, uint32_t nodes, uint64_t samples, double total_ns,
                         double per_sample_ns, uint32_t max_batch)
{
  const qb_billing *b = &o->type->billing;
  if (b->kind == QB_BILLING_TIME)
    return qb__cost_of_time(b, nodes, (int64_t)fmin(total_ns, 9e18)) * BELOW;
  const double gib_s = (double)o->type->memory_bytes / 1073741824.0 * b->price_per_gib_s / 1e9;
  return ((double)samples / max_batch * b->price_per_call +
          (double)samples * per_sample_ns * gib_s +
          (double)nodes * (double)o->type->start_up_ns * gib_s) *
         BELOW;
}

/* No fleet of `nodes` nodes of this type can be on the frontier, with these times per sample. */
static bool beaten(const sweep *s, const offer *o, uint32_t nodes, double share, double total,
                   double high, uint32_t max_batch)
{
  const double start = o->purchase.start_up_ns;
  const double total_ns = (start + share * total) * BELOW - 1;
  const double high_ns = (start + share * high) * BELOW - 1;
  const double cost = cost_bound(o, nodes, s->search->samples, s->at_high ? high_ns : total_ns,
                                 s->at_high ? high : total, max_batch);
  return qb__job_frontier_beats(s->frontier, high_ns, cost);
}

static void price(const offer *o, const qb__round_times *table, uint64_t samples,
                  const qb__job_time *time, qb_job_plan *plan)
{
  const qb_node_type *type = o->type;
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

static qb_status consider(const sweep *s, const offer *o, uint32_t nodes,
                          const qb__round_times *table, uint64_t most, uint32_t batch,
                          const qb__spread *spread)
{
  const uint64_t samples = s->search->samples;
  const int64_t deadline_ns = s->search->qos.deadline_ns;
  const qb__job_time time = qb__job_time_of(table, most, batch, spread, &o->purchase);
  qb__priced_plan found = {
      .plan = {.size = sizeof found.plan,
               .feasible = !deadline_ns || time.high_ns <= deadline_ns,
               .profile = o->profile,
               .type = o->index,
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
               .memory_bytes = table->memory_bytes[batch]}};
  price(o, table, samples, &time, &found.plan);
  found.plan.reason = found.plan.feasible ? QB_REASON_NONE : QB_REASON_DEADLINE;
  found.price = s->at_high ? found.plan.cost_high : found.plan.cost;
  if ((s->budget > 0 && found.plan.cost_high > s->budget) ||
      qb__job_frontier_beats(s->frontier, (double)time.high_ns, found.price))
    return QB_OK;
  return qb__job_frontier_add(s->frontier, &found);
}

/* Rounds of `batch` and of the rest keep the limits of a node. */
static bool fits(const search *s, const offer *o, const qb__round_times *table, uint64_t most,
                 uint32_t batch)
{
  const uint64_t memory_bytes = qb__lower_limit(o->type->memory_bytes, s->qos.memory_bytes);
  const int64_t full_ns = table->high_ns[batch], rest_ns = table->high_ns[most % batch];
  return table->memory_bytes[batch] <= memory_bytes &&
         (!s->qos.latency_ns || (full_ns <= s->qos.latency_ns && rest_ns <= s->qos.latency_ns));
}

static qb_status sweep_table(const sweep *s, const offer *o, uint32_t nodes,
                             const qb__spread *spread, size_t index)
{
  const qb__round_times *table = &o->set.tables[index];
  const bounds *least = &o->bounds[index];
  const uint64_t samples = s->search->samples;
  const uint64_t instances = (uint64_t)nodes * table->configuration.instances;
  const uint64_t most = samples / instances + (samples % instances != 0);
  const uint32_t largest = most < table->max_batch ? (uint32_t)most : table->max_batch;
  const double share = (double)most;
  if (beaten(s, o, nodes, share, least->total[largest], least->high[largest], largest))
    return QB_OK;
  for (uint32_t b = largest; b >= 1; b--) {
    if (!fits(s->search, o, table, most, b) ||
        beaten(s, o, nodes, share, least->total[b], least->high[b], b))
      continue;
    const qb_status status = consider(s, o, nodes, table, most, b, spread);
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

static qb_status offer_bounds(offer *o)
{
  const qb_context *context = qb__profile_context(o->set.profile);
  const size_t room = (size_t)o->set.max_batch + 1;
  o->bounds = qb__calloc(context, o->set.count, sizeof *o->bounds);
  o->bound_values = qb__calloc(context, 2 * o->set.count * room, sizeof *o->bound_values);
  if (!o->bounds || !o->bound_values)
    return QB_ERROR_NO_MEMORY;
  const qb__spread one = qb__spread_of(1, &o->purchase);
  o->total = o->high = INFINITY;
  for (size_t i = 0; i < o->set.count; i++) {
    const qb__round_times *table = &o->set.tables[i];
    bounds *least = &o->bounds[i];
    *least = (bounds){o->bound_values + 2 * i * room, o->bound_values + (2 * i + 1) * room};
    find_bounds(table, &one, least);
    const uint32_t instances = table->configuration.instances;
    o->total = fmin(o->total, least->total[table->max_batch] / instances);
    o->high = fmin(o->high, least->high[table->max_batch] / instances);
  }
  return QB_OK;
}

static void offer_free(offer *o)
{
  if (o->set.profile) {
    qb__free(qb__profile_context(o->set.profile), o->bounds);
    qb__free(qb__profile_context(o->set.profile), o->bound_values);
  }
  qb__round_set_free(&o->set);
}

/* The rounds of a type and their bounds; to be freed also after a failure. */
static qb_status offer_init(const search *s, uint32_t index, offer *o)
{
  const qb_node_type *type = &s->catalogue->types[index];
  *o = (offer){.type = type,
               .index = index,
               .purchase = {(double)type->start_up_ns, type->interruptions_per_h}};
  size_t which;
  qb_node *node = NULL;
  qb_status status = qb__profile_for_type(type, s->profiles, s->profile_count, &which);
  if (!status)
    status = qb__node_of_type(s->profiles[which], type, &node);
  if (!status) {
    o->profile = (uint32_t)which;
    status = qb__round_set_init(s->profiles[which], node, type->billing.kind == QB_BILLING_CALLS,
                                &o->set);
  }
  qb_node_unref(node);
  return status ? status : offer_bounds(o);
}

/* The most nodes that are allowed to be paid for at a time. */
static uint32_t most_nodes(const search *s, const qb_node_type *type)
{
  const double price_per_hour = type->billing.price_per_hour;
  uint64_t most = type->most_nodes < s->samples ? type->most_nodes : s->samples;
  if (s->qos.budget_per_hour > 0 && price_per_hour > 0)
    most = (uint64_t)fmin((double)most, floor(s->qos.budget_per_hour / price_per_hour));
  return (uint32_t)most;
}

static qb_status sweep_type(const sweep *s, uint32_t index)
{
  const search *all = s->search;
  offer o;
  qb_status status = offer_init(all, index, &o);
  const uint32_t most = most_nodes(all, o.type);
  for (uint32_t k = 1; k <= most && !status; k++) {
    if (beaten(s, &o, k, (double)all->samples / k, o.total, o.high, o.set.max_batch))
      continue;
    const qb__spread spread = qb__spread_of(k, &o.purchase);
    for (size_t i = 0; i < o.set.count && !status; i++)
      status = sweep_table(s, &o, k, &spread, i);
  }
  offer_free(&o);
  return status;
}

typedef struct rank {
  double price; /* of compute power: only the order of the search depends on it */
  uint32_t type;
} rank;

static int by_price(const void *a, const void *b)
{
  const rank *x = a, *y = b;
  return x->price != y->price ? (x->price < y->price ? -1 : 1) : (x->type < y->type ? -1 : 1);
}

static qb_status find_order(search *s)
{
  const uint32_t count = s->catalogue->count;
  qb_context *context = s->catalogue->context;
  rank *ranks = qb__calloc(context, count, sizeof *ranks);
  s->order = qb__calloc(context, count, sizeof *s->order);
  if (!ranks || !s->order) {
    qb__free(context, ranks);
    return QB_ERROR_NO_MEMORY;
  }
  for (uint32_t i = 0; i < count; i++) {
    const qb_node_type *t = &s->catalogue->types[i];
    const double per_s = t->billing.kind == QB_BILLING_TIME
                             ? t->billing.price_per_hour / 3600
                             : t->billing.price_per_gib_s * (double)t->memory_bytes / 1073741824.0;
    ranks[i] = (rank){per_s / (t->compute_flops > 0 ? t->compute_flops : 1e9), i};
  }
  qsort(ranks, count, sizeof *ranks, by_price);
  for (uint32_t i = 0; i < count; i++)
    s->order[i] = ranks[i].type;
  qb__free(context, ranks);
  return QB_OK;
}

static qb_status make_frontier(const search *s, bool at_high, double budget,
                               qb_job_frontier **frontier)
{
  sweep all = {.search = s, .at_high = at_high, .budget = budget};
  qb_status status = qb__job_frontier_new(s->catalogue->context, &all.frontier);
  for (uint32_t i = 0; i < s->catalogue->count && !status; i++)
    status = sweep_type(&all, s->order[i]);
  if (status)
    qb_job_frontier_free(all.frontier);
  else
    *frontier = all.frontier;
  return status;
}

/* The best within the budget that keeps the deadline; NULL if there is none. */
static const qb__priced_plan *best_plan(const qb_qos *qos, const qb_job_frontier *within)
{
  const int64_t deadline_ns = qos->deadline_ns ? qos->deadline_ns : INT64_MAX;
  if (qos->objective == QB_OBJECTIVE_COST)
    return qb__job_frontier_cheapest(within, deadline_ns);
  const qb__priced_plan *fastest = qb__job_frontier_fastest(within);
  return fastest && fastest->plan.high_ns <= deadline_ns ? fastest : NULL;
}

/* What keeps a better plan out. `any` is over all bills; NULL: there is no budget. */
static qb_reason bound_by(const qb_qos *qos, const qb_job_frontier *within,
                          const qb_job_frontier *any, const qb__priced_plan *best)
{
  if (qos->objective == QB_OBJECTIVE_COST)
    return best == qb__job_frontier_cheapest(within, INT64_MAX) ? QB_REASON_COST
                                                                : QB_REASON_DEADLINE;
  return any && qb__job_frontier_fastest(any)->plan.high_ns < best->plan.high_ns
             ? QB_REASON_BUDGET
             : QB_REASON_THROUGHPUT;
}

static qb_job_plan nearest_plan(const qb_qos *qos, const qb_job_frontier *within,
                                const qb_job_frontier *any)
{
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  const qb__priced_plan *fastest = qb__job_frontier_fastest(within);
  const qb__priced_plan *cheapest = any ? qb__job_frontier_cheapest(any, INT64_MAX) : NULL;
  if (fastest)
    plan = fastest->plan;
  else if (cheapest) /* nothing is within the budget */
    plan = cheapest->plan;
  plan.feasible = false;
  plan.reason = fastest                    ? QB_REASON_DEADLINE
                : cheapest                 ? QB_REASON_BUDGET
                : qos->latency_ns          ? QB_REASON_SLO
                : qos->budget_per_hour > 0 ? QB_REASON_BUDGET
                                           : QB_REASON_MEMORY;
  if (fastest)
    plan.nearest.deadline_ns = fastest->plan.high_ns;
  const int64_t deadline_ns = qos->deadline_ns ? qos->deadline_ns : INT64_MAX;
  const qb__priced_plan *dearer = any ? qb__job_frontier_cheapest(any, deadline_ns) : NULL;
  if (dearer)
    plan.nearest.budget = dearer->plan.cost_high;
  return plan;
}

static qb_status check(const qb_job *job, const qb_qos *qos, search *s)
{
  qb_job asked;
  if (!s->catalogue)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "catalogue is NULL");
  qb_status status = qb__profiles_of_one_model(s->profiles, s->profile_count);
  if (!status)
    status = qb__job_in(job, &asked);
  if (!status)
    status = qb__qos_in(qos, &s->qos);
  if (!status)
    s->samples = asked.samples;
  return status;
}

qb_status qb_plan_job_fleet(const qb_catalogue *catalogue, qb_profile *const *profiles,
                            size_t profile_count, const qb_job *job, const qb_qos *qos,
                            qb_job_plan *plan, qb_job_frontier **frontier)
{
  search s = {.catalogue = catalogue, .profiles = profiles, .profile_count = profile_count};
  qb_job_frontier *within = NULL, *any = NULL;
  qb_status status = QB__STRUCT_CHECK_OUT(qb_job_plan, plan);
  if (!status)
    status = check(job, qos, &s);
  if (!status)
    status = find_order(&s);
  if (!status)
    status = make_frontier(&s, false, s.qos.budget, &within);
  if (!status && s.qos.budget > 0)
    status = make_frontier(&s, true, 0, &any);
  if (!status) {
    const qb__priced_plan *best = best_plan(&s.qos, within);
    qb_job_plan made = best ? best->plan : nearest_plan(&s.qos, within, any);
    if (best)
      made.reason = bound_by(&s.qos, within, any, best);
    qb__struct_out(plan, &made, sizeof made);
    if (frontier) {
      *frontier = within;
      within = NULL;
    }
  }
  qb_job_frontier_free(within);
  qb_job_frontier_free(any);
  if (catalogue)
    qb__free(catalogue->context, s.order);
  return status;
}
