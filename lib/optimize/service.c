/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service: a search over configurations, largest batches and longest waits, each judged by the
 * analysis of its queue. Round times are the medians of the profile: a service is late when its
 * queue is long, not when a single round is; the spread of single rounds is left to the decision
 * before each of them, which counts with the upper end of the interval.
 */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "estimate/estimate.h"
#include "node/node_impl.h"
#include "optimize/batch_queue.h"
#include "optimize/demand.h"
#include "optimize/latency_table.h"
#include "profile/profile_impl.h"

#include <math.h>

/* Longest waits that are tried, as parts of what the latency target leaves beside a full round. */
static const double waits[] = {0, 0.125, 0.25, 0.5, 1};
enum { WAITS = sizeof waits / sizeof *waits };

/* Up to here every batch size is tried, beyond it this many to an octave. */
enum { EVERY_BATCH = 8, PER_OCTAVE = 4 };

/* Rates are found to this share. */
static const double RATE_PRECISION = 0.01;

/* One profile's configuration that takes part in the search. */
typedef struct entry {
  uint32_t profile;
  double price_per_hour;
  qb__latency_table table;
} entry;

typedef struct candidate {
  qb_service_plan plan; /* batch 0: none yet */
  qb__needs needs;
  qb__fit fit;
} candidate;

typedef struct search {
  const qb_context *context;
  qb_qos qos;
  double rate_per_s;
  qb_load load;
  size_t entry_count;
  entry *entries;
  candidate met;      /* best of those that meet the demand */
  candidate any;      /* best without any demand */
  candidate broken;   /* nearest of those that do not meet it */
  candidate capacity; /* most samples per second, for when all are saturated */
  qb_nearest nearest;
} search;

static uint32_t next_batch(uint32_t batch, uint32_t max_batch)
{
  if (batch == max_batch)
    return 0;
  uint32_t step = 1;
  for (uint32_t octave = EVERY_BATCH; octave <= batch; octave *= 2)
    step = octave / PER_OCTAVE;
  return batch + step < max_batch ? batch + step : max_batch;
}

static double capacity_per_s(const qb__latency_table *table, uint32_t batch)
{
  return 1e9 * table->configuration.instances * batch / (double)table->latency_ns[batch];
}

static int64_t wait_ns(const qb_qos *qos, const qb__latency_table *table, uint32_t batch, int index)
{
  const int64_t slack_ns = qos->latency_ns - table->high_ns[batch];
  return qos->latency_ns && slack_ns > 0 ? (int64_t)(waits[index] * (double)slack_ns) : 0;
}

static qb_status analyse(const search *s, const qb__latency_table *table, uint32_t batch,
                         int64_t max_wait_ns, double rate_per_s, qb__queue_report *report)
{
  qb_load load = s->load;
  load.rate_per_s = rate_per_s;
  const qb__batch_queue queue = {.arrivals = qb__arrival_law_of(&load),
                                 .samples = QB__PATH_QUICK,
                                 .bursts = QB__PATH_QUICK_BURSTS,
                                 .spread = table->spread,
                                 .instances = table->configuration.instances,
                                 .batch = batch,
                                 .max_wait_ns = max_wait_ns,
                                 .latency_ns = table->latency_ns,
                                 .percentile = s->qos.percentile};
  return qb__batch_queue_analyse(s->context, &queue, report);
}

/* The last of the samples that wait at the start is answered after this. */
static int64_t drain_ns(const qb__latency_table *table, uint32_t batch, uint32_t queued)
{
  const uint64_t each = (uint64_t)table->configuration.instances * batch;
  return qb__clamp_i64((double)((queued + each - 1) / each) * (double)table->latency_ns[batch]);
}

static int64_t larger(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

static bool better(const qb_service_plan *a, const qb_service_plan *b)
{
  if (!b->batch || a->latency_ns != b->latency_ns)
    return !b->batch || a->latency_ns < b->latency_ns;
  const uint64_t a_threads = (uint64_t)a->configuration.instances * a->configuration.threads;
  const uint64_t b_threads = (uint64_t)b->configuration.instances * b->configuration.threads;
  if (a_threads != b_threads)
    return a_threads < b_threads;
  return a->batch != b->batch ? a->batch < b->batch : a->max_wait_ns < b->max_wait_ns;
}

static void consider(search *s, const candidate *c)
{
  if (better(&c->plan, &s->any.plan))
    s->any = *c;
  if (c->fit.met) {
    if (better(&c->plan, &s->met.plan))
      s->met = *c;
    return;
  }
  qb__nearest_note(&c->fit, &c->needs, &s->nearest);
  if (!s->broken.plan.batch || c->fit.excess < s->broken.fit.excess ||
      (c->fit.excess == s->broken.fit.excess && better(&c->plan, &s->broken.plan)))
    s->broken = *c;
}

static qb_status try_candidate(search *s, const entry *e, uint32_t batch, int64_t max_wait_ns)
{
  candidate c = {.plan = QB_SERVICE_PLAN_INIT};
  qb_service_plan *plan = &c.plan;
  plan->profile = e->profile;
  plan->rate_per_s = s->rate_per_s;
  plan->configuration = e->table.configuration;
  plan->batch = batch;
  plan->max_wait_ns = max_wait_ns;
  plan->cost_per_hour = e->price_per_hour;
  plan->memory_bytes = e->table.memory_bytes[batch];
  plan->max_rate_per_s = capacity_per_s(&e->table, batch);
  if (!s->capacity.plan.batch || plan->max_rate_per_s > s->capacity.plan.max_rate_per_s)
    s->capacity = c;

  qb__queue_report report;
  const qb_status status = analyse(s, &e->table, batch, max_wait_ns, s->rate_per_s, &report);
  if (status || report.saturated)
    return status;
  const int64_t drained_ns = drain_ns(&e->table, batch, s->load.queued);
  plan->p50_ns = report.p50_ns;
  plan->p95_ns = report.p95_ns;
  plan->p99_ns = larger(report.p99_ns, drained_ns);
  plan->latency_ns = larger(report.latency_ns, drained_ns);
  plan->mean_batch = report.mean_batch;
  plan->utilisation = report.utilisation;
  c.needs = (qb__needs){.latency_ns = plan->latency_ns,
                        .budget_per_hour = e->price_per_hour,
                        .memory_bytes = plan->memory_bytes};
  c.fit = qb__fit_of(&s->qos, &c.needs);
  consider(s, &c);
  return QB_OK;
}

/* Tries all candidates, or stops at the first that meets the demand if that is all one asks. */
static qb_status try_all(search *s, bool only_whether)
{
  for (size_t i = 0; i < s->entry_count; i++) {
    const entry *e = &s->entries[i];
    for (uint32_t b = 1; b; b = next_batch(b, e->table.max_batch)) {
      int64_t last_ns = -1;
      for (int w = 0; w < WAITS; w++) {
        const int64_t max_wait_ns = wait_ns(&s->qos, &e->table, b, w);
        if (max_wait_ns == last_ns)
          continue;
        last_ns = max_wait_ns;
        const qb_status status = try_candidate(s, e, b, max_wait_ns);
        if (status)
          return status;
        if (only_whether && s->met.plan.batch)
          return QB_OK;
      }
    }
  }
  return QB_OK;
}

/* The highest rate at which anything meets the demand, its other terms kept; 0 if there is none. */
static qb_status find_highest_rate(const search *s, double *rate_per_s)
{
  double low = 0, high = s->capacity.plan.max_rate_per_s;
  /* From a rate that leaves no queue; a demand that fails there fails for other reasons. */
  for (double rate = high * 1e-3; high - low > RATE_PRECISION * high; rate = 0.5 * (low + high)) {
    search at = *s;
    at.rate_per_s = rate;
    at.met.plan.batch = at.any.plan.batch = at.broken.plan.batch = 0;
    const qb_status status = try_all(&at, true);
    if (status)
      return status;
    if (at.met.plan.batch)
      low = rate;
    else if (low == 0)
      break;
    else
      high = rate;
  }
  *rate_per_s = low;
  return QB_OK;
}

/* The highest rate a plan holds with the latency target, which it meets at the present rate. */
static qb_status find_plan_rate(const search *s, const candidate *c, double *rate_per_s)
{
  const entry *e = s->entries;
  while (e->profile != c->plan.profile ||
         e->table.configuration.instances != c->plan.configuration.instances ||
         e->table.configuration.threads != c->plan.configuration.threads)
    e++;
  double low = s->rate_per_s, high = capacity_per_s(&e->table, c->plan.batch);
  while (high - low > RATE_PRECISION * high) {
    const double rate = 0.5 * (low + high);
    qb__queue_report report;
    const qb_status status =
        analyse(s, &e->table, c->plan.batch, c->plan.max_wait_ns, rate, &report);
    if (status)
      return status;
    if (!report.saturated && (!s->qos.latency_ns || report.latency_ns <= s->qos.latency_ns))
      low = rate;
    else
      high = rate;
  }
  *rate_per_s = low;
  return QB_OK;
}

static qb_status choose(search *s, qb_service_plan *chosen)
{
  if (s->met.plan.batch) {
    *chosen = s->met.plan;
    chosen->feasible = true;
    /* What bound the choice is what kept the best plan of all out. */
    chosen->reason = !s->any.fit.met     ? s->any.fit.broken
                     : s->qos.latency_ns ? QB_REASON_SLO
                                         : QB_REASON_THROUGHPUT;
    return find_plan_rate(s, &s->met, &chosen->max_rate_per_s);
  }
  const bool saturated = !s->broken.plan.batch;
  *chosen = saturated ? s->capacity.plan : s->broken.plan;
  chosen->reason = saturated ? QB_REASON_CAPACITY : s->broken.fit.broken;
  chosen->nearest = s->nearest;
  return find_highest_rate(s, &chosen->nearest.rate_per_s);
}

static qb_status add_profile(search *s, const qb_profile *profile, uint32_t index)
{
  for (size_t i = 0; i < qb__configuration_count(profile); i++) {
    entry *e = &s->entries[s->entry_count];
    qb_configuration configuration;
    uint32_t max_batch;
    qb__configuration_at(profile, i, &configuration, &max_batch);
    e->profile = index;
    e->price_per_hour = profile->node->info.price_per_hour;
    const qb_status status = qb__latency_table_init(profile, &configuration, max_batch, &e->table);
    if (status)
      return status;
    s->entry_count++;
  }
  return QB_OK;
}

qb_status qb_plan_service(const qb_profile *const *profiles, size_t profile_count,
                          const qb_load *load, const qb_qos *qos, qb_service_plan *plan)
{
  search s = {.entries = NULL};
  qb_load asked;
  qb_status status = qb__struct_check_out(plan, sizeof *plan, "plan");
  if (!status)
    status = qb__profiles_check(profiles, profile_count);
  if (!status)
    status = qb__qos_in(qos, &s.qos);
  if (!status)
    status = qb__struct_in(&asked, sizeof asked, sizeof asked, load, "load");
  if (status)
    return status;
  if (!(asked.rate_per_s > 0) || !isfinite(asked.rate_per_s))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "load.rate_per_s is %g; give the samples that arrive per second, above 0",
                    asked.rate_per_s);
  if (!(asked.dispersion >= 0 && isfinite(asked.dispersion)) || asked.burst_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "load.dispersion is %g and .burst_ns %lld; give 0 or more", asked.dispersion,
                    (long long)asked.burst_ns);
  s.rate_per_s = asked.rate_per_s;
  s.load = asked;
  s.context = profiles[0]->context;
  size_t entries = 0;
  for (size_t i = 0; i < profile_count; i++)
    entries += qb__configuration_count(profiles[i]);
  s.entries = qb__calloc(s.context, entries, sizeof *s.entries);
  if (!s.entries)
    return QB_ERROR_NO_MEMORY;

  qb_service_plan chosen;
  for (size_t i = 0; i < profile_count && !status; i++)
    status = add_profile(&s, profiles[i], (uint32_t)i);
  if (!status)
    status = try_all(&s, false);
  if (!status)
    status = choose(&s, &chosen);
  for (size_t i = 0; i < s.entry_count; i++)
    qb__latency_table_free(profiles[s.entries[i].profile], &s.entries[i].table);
  qb__free(s.context, s.entries);
  if (!status)
    qb__struct_out(plan, &chosen, sizeof chosen);
  return status;
}
