/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds have the mean and the 95th percentile of single ones: a queue is made by them all. Promises of
 * a single round are left to the decision before each, which counts with the upper end of the interval.
 */
#include "plan/service_search.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "estimate/estimate.h"
#include "node/node_impl.h"
#include "profile/profile_impl.h"
#include "queue/size_ladder.h"

#include <math.h>

/*
 * Longest waits, as parts of the time of a full round. Who waits longer for others would have been
 * answered sooner by a round at once, and the instance would be free again.
 */
static const double waits[] = {0, 0.125, 0.25, 0.5, 1};
enum { WAITS = sizeof waits / sizeof *waits };

/* Batch sizes to an octave. */
enum { PER_OCTAVE = 4 };

/* A rate that leaves no queue, as a part of the highest capacity. */
static const double IDLE = 1e-3;

/* A batch of one is full at once. */
static size_t wait_count(uint32_t batch)
{
  return batch > 1 ? WAITS : 1;
}

qb_status qb__service_analyse(const qb__service_search *search, const qb__service_way *way,
                              double rate_per_s, qb__queue_report *report)
{
  const qb__latency_table *table = &way->entry->table;
  qb_load load = search->load;
  load.rate_per_s = rate_per_s;
  const qb__batch_queue queue = {.arrivals = qb__arrival_law_of(&load),
                                 .length = QB__PATH_QUICK,
                                 .spread = table->spread,
                                 .instances = table->configuration.instances,
                                 .batch = way->batch,
                                 .max_wait_ns = way->max_wait_ns,
                                 .latency_ns = table->median_ns,
                                 .percentile = search->qos.percentile,
                                 .target_ns = search->qos.latency_ns};
  return qb__batch_queue_analyse(search->context, &queue, report);
}

static int64_t larger(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

qb_status qb__service_judge(const qb__service_search *s, qb__service_way *way)
{
  const qb_status status = qb__service_analyse(s, way, s->load.rate_per_s, &way->report);
  way->needs = (qb__needs){.latency_ns = larger(way->report.latency_ns, way->drained_ns),
                           .budget_per_hour = way->entry->price_per_hour,
                           .memory_bytes = way->entry->table.memory_bytes[way->batch]};
  way->fit = way->report.saturated ? (qb__fit){.broken = QB_REASON_CAPACITY}
                                   : qb__fit_of(&s->qos, &way->needs);
  return status;
}

static void add_ways(qb__service_search *s, const qb__service_entry *entry)
{
  const qb__latency_table *table = &entry->table;
  const uint32_t instances = table->configuration.instances;
  for (uint32_t b = 1; b; b = qb__next_size(b, table->max_batch, PER_OCTAVE)) {
    const double round_ns = (double)table->mean_ns[b];
    const uint64_t each = (uint64_t)instances * b;
    const uint64_t rounds = (s->load.queued + each - 1) / each;
    for (size_t w = 0; w < wait_count(b); w++)
      s->ways[s->way_count++] =
          (qb__service_way){.entry = entry,
                            .batch = b,
                            .max_wait_ns = (int64_t)(waits[w] * round_ns),
                            .capacity_per_s = 1e9 * (double)each / round_ns,
                            .drained_ns = qb__clamp_i64((double)rounds * round_ns)};
  }
}

static qb_status add_entries(qb__service_search *s, const qb_profile *profile, uint32_t index)
{
  for (size_t i = 0; i < qb__configuration_count(profile); i++) {
    qb__service_entry *e = &s->entries[s->entry_count];
    qb_configuration configuration;
    uint32_t max_batch;
    qb__configuration_at(profile, i, &configuration, &max_batch);
    e->profile = index;
    e->network = profile->info.network;
    e->price_per_hour = profile->node->info.price_per_hour;
    const qb_status status = qb__latency_table_init(profile, &configuration, max_batch, &e->table);
    if (status)
      return status;
    s->entry_count++;
  }
  return QB_OK;
}

static qb_status check_load(const qb_load *load, bool any_rate)
{
  const bool given = load->rate_per_s > 0 && isfinite(load->rate_per_s);
  if (!given && !(any_rate && load->rate_per_s == 0))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "load.rate_per_s is %g; give the samples that arrive per second, above 0",
                    load->rate_per_s);
  if (!(load->dispersion >= 0 && isfinite(load->dispersion)) || load->burst_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "load.dispersion is %g and .burst_ns %lld; give 0 or more", load->dispersion,
                    (long long)load->burst_ns);
  return QB_OK;
}

static qb_status make_entries(qb__service_search *s, size_t profile_count)
{
  size_t count = 0;
  for (size_t i = 0; i < profile_count; i++)
    count += qb__configuration_count(s->profiles[i]);
  s->entries = qb__calloc(s->context, count, sizeof *s->entries);
  if (!s->entries)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < profile_count; i++) {
    const qb_status status = add_entries(s, s->profiles[i], (uint32_t)i);
    if (status)
      return status;
  }
  return QB_OK;
}

static qb_status make_ways(qb__service_search *s)
{
  size_t count = 0;
  for (size_t i = 0; i < s->entry_count; i++)
    for (uint32_t b = 1; b; b = qb__next_size(b, s->entries[i].table.max_batch, PER_OCTAVE))
      count += wait_count(b);
  s->ways = qb__calloc(s->context, count, sizeof *s->ways);
  if (!s->ways)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < s->entry_count; i++)
    add_ways(s, &s->entries[i]);
  return QB_OK;
}

qb_status qb__service_search_init(const qb_profile *const *profiles, size_t profile_count,
                                  const qb_load *load, const qb_qos *qos, bool may_be_any,
                                  qb__service_search *search)
{
  qb__service_search s = {.profiles = profiles};
  *search = s;
  qb_status status = qb__profiles_check(profiles, profile_count);
  if (!status)
    status = qb__qos_in(qos, &s.qos);
  if (!status)
    status = qb__struct_in(&s.load, sizeof s.load, sizeof s.load, load, "load");
  if (!status)
    status = check_load(&s.load, may_be_any && s.qos.objective == QB_OBJECTIVE_RATE);
  if (status)
    return status;
  s.context = profiles[0]->context;
  status = make_entries(&s, profile_count);
  if (!status)
    status = make_ways(&s);
  s.any_rate = s.load.rate_per_s == 0;
  if (!status && s.any_rate)
    s.load.rate_per_s = qb__service_idle_rate(&s);
  for (size_t i = 0; i < s.way_count && !status; i++)
    status = qb__service_judge(&s, &s.ways[i]);
  *search = s;
  return status;
}

void qb__service_search_free(qb__service_search *search)
{
  for (size_t i = 0; i < search->entry_count; i++)
    qb__latency_table_free(search->profiles[search->entries[i].profile], &search->entries[i].table);
  qb__free(search->context, search->ways);
  qb__free(search->context, search->entries);
}

double qb__service_idle_rate(const qb__service_search *search)
{
  double most = 0;
  for (size_t i = 0; i < search->way_count; i++)
    most = fmax(most, search->ways[i].capacity_per_s);
  return IDLE * most;
}

qb_service_plan qb__service_plan_of(const qb__service_search *search, const qb__service_way *way)
{
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  plan.feasible = way->fit.met;
  plan.profile = way->entry->profile;
  plan.configuration = way->entry->table.configuration;
  plan.batch = way->batch;
  plan.max_wait_ns = way->max_wait_ns;
  plan.max_rate_per_s = way->capacity_per_s;
  plan.cost_per_hour = way->entry->price_per_hour;
  plan.memory_bytes = way->entry->table.memory_bytes[way->batch];
  plan.rate_per_s = search->load.rate_per_s;
  plan.network = way->entry->network;
  if (way->report.saturated)
    return plan;
  plan.p50_ns = way->report.p50_ns;
  plan.p95_ns = way->report.p95_ns;
  plan.p99_ns = larger(way->report.p99_ns, way->drained_ns);
  plan.latency_ns = way->needs.latency_ns;
  plan.mean_batch = way->report.mean_batch;
  plan.utilisation = way->report.utilisation;
  return plan;
}

static int order(double a, double b)
{
  return a < b ? -1 : a > b;
}

static double threads_of(const qb__service_way *way)
{
  const qb_configuration *c = &way->entry->table.configuration;
  return (double)c->instances * c->threads;
}

static int by_latency(const qb__service_way *a, const qb__service_way *b)
{
  return order((double)a->needs.latency_ns, (double)b->needs.latency_ns);
}

static int by_cost(const qb__service_way *a, const qb__service_way *b)
{
  return order(a->needs.budget_per_hour, b->needs.budget_per_hour);
}

static int by_size(const qb__service_way *a, const qb__service_way *b)
{
  int sign = order(threads_of(a), threads_of(b));
  if (!sign)
    sign = order(a->batch, b->batch);
  if (!sign)
    sign = order((double)a->max_wait_ns, (double)b->max_wait_ns);
  return sign ? sign : a->entry < b->entry ? -1 : a->entry > b->entry;
}

int qb__service_by_latency(const void *a, const void *b)
{
  const int sign = by_latency(a, b), next = by_cost(a, b);
  return sign ? sign : next ? next : by_size(a, b);
}

int qb__service_by_cost(const void *a, const void *b)
{
  const int sign = by_cost(a, b), next = by_latency(a, b);
  return sign ? sign : next ? next : by_size(a, b);
}

bool qb__service_same_bill(const qb__service_way *a, const qb__service_way *b)
{
  return !by_latency(a, b) && !by_cost(a, b);
}
