/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet of a job: an exhaustive search that leaves out what a bound shows to be beaten. With
 * n samples on an instance, no way to run them in rounds of at most b takes less than n times the
 * least time per sample of rounds of at most b; a bill never falls with time.
 */
#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "estimate/estimate.h"
#include "node/node_impl.h"
#include "place/catalogue_impl.h"
#include "place/cost.h"
#include "place/frontier.h"
#include "place/makespan.h"
#include "plan/demand.h"
#include "profile/profile_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Keeps a bound below what it bounds when both are rounded. */
static const double BELOW = 1 - 1e-11;

typedef struct bounds {
  double *expected; /* least time per sample in rounds of at most n samples, of an instance */
  double *late;     /* the same of the profile's upper end */
} bounds;

/* All of a type that does not depend on the number of nodes. */
typedef struct offer {
  const qb_node_type *type;
  uint32_t index;
  const qb__rounds_set *set;
  const bounds *bounds; /* of each configuration */
  qb_source source;
  double confidence;
  double expected, late; /* least time per sample of a node */
} offer;

typedef struct search {
  const qb_catalogue *catalogue;
  const qb_profile *const *profiles;
  size_t profile_count;
  qb__rounds_set *sets;    /* of the profiles */
  qb__rounds_set *carried; /* room for one type at a time, for each profile */
  bounds *bounds;          /* of the configurations of one type */
  double *bound_values;
  uint32_t *order; /* types, the most promising first */
  uint64_t samples;
} search;

/* What a sweep over all ways compares and leaves out. */
typedef struct sweep {
  const search *search;
  qb_frontier *frontier;
  bool at_95;    /* compare cost_95 instead of cost */
  double budget; /* only ways with cost_95 up to this; 0: all */
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

/* No way of this type with `nodes` nodes can be on the frontier, with these times per sample. */
static bool beaten(const sweep *s, const offer *o, uint32_t nodes, double share, double expected,
                   double late, uint32_t max_batch)
{
  const double start = (double)o->type->start_up_ns;
  const double total = (start + share * expected) * BELOW - 1;
  const double total_95 = (start + share * late) * BELOW - 1;
  const double cost = cost_bound(o, nodes, s->search->samples, s->at_95 ? total_95 : total,
                                 s->at_95 ? late : expected, max_batch);
  return qb__frontier_beats(s->frontier, total_95, cost);
}

static qb_status consider(const sweep *s, const offer *o, uint32_t nodes, const qb__rounds *rounds,
                          uint64_t most, uint32_t batch, const qb__spread *spread)
{
  const qb_node_type *type = o->type;
  const qb__makespan m = qb__makespan_of(type, nodes, rounds, most, batch, spread);
  double cost, cost_95;
  if (type->billing.kind == QB_BILLING_TIME) {
    cost = qb__cost_of_time(&type->billing, nodes, m.total_ns);
    cost_95 = qb__cost_of_time(&type->billing, nodes, m.total_95_ns);
  } else {
    const double stretch = (double)(m.total_95_ns - type->start_up_ns) / m.rounds_ns;
    cost = qb__cost_of_calls(type, rounds, s->search->samples, nodes, batch, 1);
    cost_95 = qb__cost_of_calls(type, rounds, s->search->samples, nodes, batch, stretch);
  }
  const double price = s->at_95 ? cost_95 : cost;
  if ((s->budget > 0 && cost_95 > s->budget) ||
      qb__frontier_beats(s->frontier, (double)m.total_95_ns, price))
    return QB_OK;
  const qb__way way = {
      .fleet = {.size = sizeof way.fleet,
                .type = o->index,
                .nodes = nodes,
                .configuration = rounds->configuration,
                .batch = batch,
                .samples_per_instance = most,
                .total_ns = m.total_ns,
                .total_95_ns = m.total_95_ns,
                .cost = cost,
                .cost_95 = cost_95,
                .cost_per_1000 = cost / (double)s->search->samples * 1000,
                .memory_bytes = rounds->memory_bytes[batch],
                .source = o->source},
      .price = price,
  };
  return qb__frontier_add(s->frontier, &way);
}

static qb_status sweep_nodes(const sweep *s, const offer *o, uint32_t nodes)
{
  const uint64_t samples = s->search->samples;
  for (size_t i = 0; i < o->set->count; i++) {
    const qb__rounds *rounds = &o->set->rounds[i];
    const bounds *least = &o->bounds[i];
    const uint32_t instances = rounds->configuration.instances;
    if (o->type->billing.kind == QB_BILLING_CALLS && instances > 1)
      continue; /* a function runs one call at a time */
    const uint64_t workers = (uint64_t)nodes * instances;
    const uint64_t most = samples / workers + (samples % workers != 0);
    const uint32_t largest = most < rounds->max_batch ? (uint32_t)most : rounds->max_batch;
    /* A bill of calls depends on all samples, that of time on those of the busiest instance. */
    const double share = (double)most;
    if (beaten(s, o, nodes, share, least->expected[largest], least->late[largest], largest))
      continue;
    const qb__spread spread =
        qb__spread_of((double)(workers < samples ? workers : samples), o->confidence);
    for (uint32_t b = largest; b >= 1; b--) {
      if (rounds->memory_bytes[b] > o->type->memory_bytes ||
          beaten(s, o, nodes, share, least->expected[b], least->late[b], b))
        continue;
      const qb_status status = consider(s, o, nodes, rounds, most, b, &spread);
      if (status)
        return status;
    }
  }
  return QB_OK;
}

static void find_bounds(const qb__rounds *rounds, double single, bounds *least)
{
  least->expected[0] = least->late[0] = INFINITY;
  for (uint32_t n = 1; n <= rounds->max_batch; n++) {
    const double expected = rounds->time_ns[n] / n;
    const double late = (rounds->time_ns[n] + single * rounds->error_ns[n]) / n;
    least->expected[n] = fmin(least->expected[n - 1], expected);
    least->late[n] = fmin(least->late[n - 1], late);
  }
}

/* The rounds of a type and their bounds, in the room of the search. */
static qb_status make_offer(const search *s, uint32_t index, offer *o)
{
  *o = (offer){.type = &s->catalogue->types[index], .index = index, .bounds = s->bounds};
  size_t which;
  bool own;
  const qb_status status =
      qb__profile_for_type(o->type, s->profiles, s->profile_count, &which, &own);
  if (status)
    return status;
  o->set = own ? &s->sets[which] : &s->carried[which];
  o->source = own ? QB_SOURCE_MEASURED : QB_SOURCE_TRANSFERRED;
  if (!own)
    qb__rounds_transfer(&s->sets[which], o->type, &s->carried[which]);
  o->confidence = qb__confidence(o->type);
  const double single = qb__spread_of(1, o->confidence).single;
  o->expected = o->late = INFINITY;
  double *values = s->bound_values;
  for (size_t i = 0; i < o->set->count; i++) {
    const qb__rounds *rounds = &o->set->rounds[i];
    bounds *least = &s->bounds[i];
    least->expected = values;
    least->late = values + rounds->max_batch + 1;
    values += 2 * ((size_t)rounds->max_batch + 1);
    find_bounds(rounds, single, least);
    const uint32_t instances = rounds->configuration.instances;
    o->expected = fmin(o->expected, least->expected[rounds->max_batch] / instances);
    o->late = fmin(o->late, least->late[rounds->max_batch] / instances);
  }
  return QB_OK;
}

static uint32_t largest_batch(const qb__rounds_set *set)
{
  uint32_t largest = 0;
  for (size_t i = 0; i < set->count; i++)
    largest = set->rounds[i].max_batch > largest ? set->rounds[i].max_batch : largest;
  return largest;
}

static qb_status sweep_all(const sweep *s)
{
  const search *all = s->search;
  for (uint32_t i = 0; i < all->catalogue->count; i++) {
    offer o;
    qb_status status = make_offer(all, all->order[i], &o);
    if (status)
      return status;
    const uint32_t largest = largest_batch(o.set);
    for (uint32_t k = 1; k <= o.type->most_nodes && k <= all->samples && !status; k++)
      if (!beaten(s, &o, k, (double)all->samples / k, o.expected, o.late, largest))
        status = sweep_nodes(s, &o, k);
    if (status)
      return status;
  }
  return QB_OK;
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

static qb_status search_init(search *s)
{
  qb_context *context = s->catalogue->context;
  s->sets = qb__calloc(context, s->profile_count, sizeof *s->sets);
  s->carried = qb__calloc(context, s->profile_count, sizeof *s->carried);
  if (!s->sets || !s->carried)
    return QB_ERROR_NO_MEMORY;
  size_t most_configurations = 0, most_values = 0;
  for (size_t i = 0; i < s->profile_count; i++) {
    qb_status status = qb__rounds_set_init(&s->sets[i], s->profiles[i]);
    if (!status)
      status = qb__rounds_set_like(&s->carried[i], &s->sets[i]);
    if (status)
      return status;
    const size_t count = s->sets[i].count;
    const size_t values = 2 * count * ((size_t)largest_batch(&s->sets[i]) + 1);
    most_configurations = count > most_configurations ? count : most_configurations;
    most_values = values > most_values ? values : most_values;
  }
  s->bounds = qb__calloc(context, most_configurations, sizeof *s->bounds);
  s->bound_values = qb__calloc(context, most_values, sizeof *s->bound_values);
  return s->bounds && s->bound_values ? find_order(s) : QB_ERROR_NO_MEMORY;
}

static void search_free(search *s)
{
  qb_context *context = s->catalogue->context;
  for (size_t i = 0; i < s->profile_count; i++) {
    if (s->sets)
      qb__rounds_set_free(&s->sets[i]);
    if (s->carried)
      qb__rounds_set_free(&s->carried[i]);
  }
  qb__free(context, s->sets);
  qb__free(context, s->carried);
  qb__free(context, s->bounds);
  qb__free(context, s->bound_values);
  qb__free(context, s->order);
}

static qb_status make_frontier(const search *s, bool at_95, double budget, qb_frontier **frontier)
{
  qb_frontier *self = qb__calloc(s->catalogue->context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->context = qb_context_ref(s->catalogue->context);
  const sweep all = {.search = s, .frontier = self, .at_95 = at_95, .budget = budget};
  const qb_status status = sweep_all(&all);
  if (status)
    qb_frontier_free(self);
  else
    *frontier = self;
  return status;
}

static void choose_met(const qb_job *job, const qb_frontier *within, const qb_frontier *at_95,
                       const qb__way *way, qb_job_choice *choice)
{
  choice->feasible = true;
  choice->fleet = way->fleet;
  if (job->budget > 0 && !job->deadline_ns) {
    const qb__way *fastest = qb__frontier_fastest(at_95);
    choice->reason = fastest->fleet.total_95_ns < way->fleet.total_95_ns ? QB_REASON_BUDGET
                                                                         : QB_REASON_THROUGHPUT;
  } else {
    choice->reason =
        way == qb__frontier_cheapest(within, INT64_MAX) ? QB_REASON_COST : QB_REASON_DEADLINE;
  }
}

static void choose_nearest(const qb_job *job, const qb_frontier *within, const qb_frontier *at_95,
                           qb_job_choice *choice)
{
  const qb__way *fastest = qb__frontier_fastest(within);
  if (fastest) {
    choice->reason = QB_REASON_DEADLINE;
    choice->fleet = fastest->fleet;
    choice->nearest_deadline_ns = fastest->fleet.total_95_ns;
  }
  const int64_t deadline_ns = job->deadline_ns ? job->deadline_ns : INT64_MAX;
  const qb__way *dearer = job->budget > 0 ? qb__frontier_cheapest(at_95, deadline_ns) : NULL;
  if (dearer)
    choice->nearest_budget = dearer->fleet.cost_95;
  if (fastest)
    return;
  /* Nothing is within the budget, or within any memory. */
  const qb__way *cheapest = at_95 ? qb__frontier_cheapest(at_95, INT64_MAX) : NULL;
  choice->reason = cheapest ? QB_REASON_BUDGET : QB_REASON_MEMORY;
  if (cheapest)
    choice->fleet = cheapest->fleet;
}

static qb_status check_job(const qb_catalogue *catalogue, const qb_profile *const *profiles,
                           size_t profile_count, const qb_job *theirs, qb_job *job)
{
  if (!catalogue)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "catalogue is NULL");
  qb_status status = qb__profiles_of_one_model(profiles, profile_count);
  if (!status)
    status = qb__struct_in(job, sizeof *job, sizeof *job, theirs, "job");
  if (status)
    return status;
  if (job->samples < 1 || job->samples > UINT64_C(1) << 53)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "job.samples is %llu; give 1..2^53",
                    (unsigned long long)job->samples);
  if (job->deadline_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "job.deadline_ns is %lld; give a time above 0, or 0 for no deadline",
                    (long long)job->deadline_ns);
  if (!(job->budget >= 0 && isfinite(job->budget)))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "job.budget is %g; give an amount above 0, or 0 for no limit", job->budget);
  return QB_OK;
}

qb_status qb_plan_job_fleet(const qb_catalogue *catalogue, const qb_profile *const *profiles,
                            size_t profile_count, const qb_job *job, qb_job_choice *choice,
                            qb_frontier **frontier)
{
  qb_job asked;
  qb_status status = qb__struct_check_out(choice, sizeof *choice, "choice");
  if (!status)
    status = check_job(catalogue, profiles, profile_count, job, &asked);
  if (status)
    return status;
  search s = {.catalogue = catalogue,
              .profiles = profiles,
              .profile_count = profile_count,
              .samples = asked.samples};
  qb_frontier *within = NULL, *at_95 = NULL;
  status = search_init(&s);
  if (!status)
    status = make_frontier(&s, false, asked.budget, &within);
  if (!status && asked.budget > 0)
    status = make_frontier(&s, true, 0, &at_95);
  if (!status) {
    qb_job_choice made = QB_JOB_CHOICE_INIT;
    const qb__way *way =
        asked.budget > 0 && !asked.deadline_ns
            ? qb__frontier_fastest(within)
            : qb__frontier_cheapest(within, asked.deadline_ns ? asked.deadline_ns : INT64_MAX);
    if (way)
      choose_met(&asked, within, at_95, way, &made);
    else
      choose_nearest(&asked, within, at_95, &made);
    qb__struct_out(choice, &made, sizeof made);
    if (frontier) {
      *frontier = within;
      within = NULL;
    }
  }
  qb_frontier_free(within);
  qb_frontier_free(at_95);
  search_free(&s);
  return status;
}
