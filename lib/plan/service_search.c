/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds have the mean and the 95th percentile of single ones: a queue is made by them all.
 * Promises of a single round are left to the decision before each, which counts with the upper end
 * of the interval.
 */
#include "plan/service_search.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "node/node_data.h"
#include "profile/profile_data.h"
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

qb_status qb__service_analyse(const qb__service_search *search,
                              const qb__service_candidate *candidate, double rate_per_s,
                              qb__queue_report *report)
{
  const qb__round_times *table = candidate->table;
  qb_load load = search->load;
  load.rate_per_s = rate_per_s;
  const qb__batch_queue queue = {.arrivals = qb__arrival_law_of(&load),
                                 .length = QB__PATH_QUICK,
                                 .spread = table->spread,
                                 .instances = table->configuration.instances,
                                 .batch = candidate->batch,
                                 .max_wait_ns = candidate->max_wait_ns,
                                 .latency_ns = table->median_ns,
                                 .percentile = search->qos.percentile,
                                 .target_ns = search->qos.latency_ns};
  return qb__batch_queue_analyse(search->context, &queue, report);
}

static int64_t larger(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

qb_status qb__service_judge(const qb__service_search *s, qb__service_candidate *candidate)
{
  const qb_status status =
      qb__service_analyse(s, candidate, s->load.rate_per_s, &candidate->report);
  candidate->needs =
      (qb__needs){.latency_ns = larger(candidate->report.latency_ns, candidate->drained_ns),
                  .budget_per_hour = candidate->site->price_per_hour,
                  .memory_bytes = candidate->table->memory_bytes[candidate->batch],
                  .accuracy = candidate->table->accuracy};
  candidate->fit = candidate->report.saturated ? (qb__fit){.broken = QB_REASON_CAPACITY}
                                               : qb__fit_of(&s->qos, &candidate->needs);
  return status;
}

static void add_candidates(qb__service_search *s, const qb__site *site,
                           const qb__round_times *table)
{
  const uint32_t instances = table->configuration.instances;
  for (uint32_t b = 1; b; b = qb__next_size(b, table->max_batch, PER_OCTAVE)) {
    const double round_ns = (double)table->mean_ns[b];
    const uint64_t each = (uint64_t)instances * b;
    const uint64_t rounds = (s->load.queued + each - 1) / each;
    for (size_t w = 0; w < wait_count(b); w++)
      s->candidates[s->candidate_count++] =
          (qb__service_candidate){.site = site,
                                  .table = table,
                                  .batch = b,
                                  .max_wait_ns = (int64_t)(waits[w] * round_ns),
                                  .capacity_per_s = 1e9 * (double)each / round_ns,
                                  .drained_ns = qb__clamp_i64((double)rounds * round_ns)};
  }
}

static qb_status make_sets(qb__service_search *s)
{
  s->sets = qb__calloc(s->context, s->site_count, sizeof *s->sets);
  if (!s->sets)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < s->site_count; i++) {
    const qb__site *site = &s->sites[i];
    const qb_status status = qb__round_set_init(site->profile, site->node, site->single,
                                                s->qos.accuracy > 0, site->unmeasured, &s->sets[i]);
    if (status)
      return status;
    if (s->sets[i].transferred)
      qb__round_set_take_high(&s->sets[i]);
  }
  return QB_OK;
}

static qb_status make_candidates(qb__service_search *s)
{
  size_t count = 0;
  for (size_t i = 0; i < s->site_count; i++)
    for (size_t t = 0; t < s->sets[i].count; t++)
      for (uint32_t b = 1; b; b = qb__next_size(b, s->sets[i].tables[t].max_batch, PER_OCTAVE))
        count += wait_count(b);
  s->candidates = qb__calloc(s->context, count, sizeof *s->candidates);
  if (!s->candidates)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < s->site_count; i++)
    for (size_t t = 0; t < s->sets[i].count; t++)
      add_candidates(s, &s->sites[i], &s->sets[i].tables[t]);
  return QB_OK;
}

qb_status qb__service_search_init(const qb__site *sites, size_t site_count, const qb_load *load,
                                  const qb_qos *qos, bool may_be_any, qb__service_search *search)
{
  qb__service_search s = {
      .context = qb__profile_context(sites->profile), .sites = sites, .site_count = site_count};
  qb_status status = qb__qos_in(qos, &s.qos);
  if (!status)
    status = qb__load_in(load, may_be_any && s.qos.objective == QB_OBJECTIVE_RATE, &s.load);
  if (!status)
    status = make_sets(&s);
  if (!status)
    status = make_candidates(&s);
  s.any_rate = s.load.rate_per_s == 0;
  if (!status && s.any_rate)
    s.load.rate_per_s = qb__service_idle_rate(&s);
  for (size_t i = 0; i < s.candidate_count && !status; i++)
    status = qb__service_judge(&s, &s.candidates[i]);
  *search = s;
  return status;
}

void qb__service_search_free(qb__service_search *search)
{
  for (size_t i = 0; search->sets && i < search->site_count; i++)
    qb__round_set_free(&search->sets[i]);
  qb__free(search->context, search->candidates);
  qb__free(search->context, search->sets);
}

double qb__service_idle_rate(const qb__service_search *search)
{
  double most = 0;
  for (size_t i = 0; i < search->candidate_count; i++)
    most = fmax(most, search->candidates[i].capacity_per_s);
  return IDLE * most;
}

qb_service_plan qb__service_plan_of(const qb__service_search *search,
                                    const qb__service_candidate *candidate)
{
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  plan.feasible = candidate->fit.met;
  plan.profile = candidate->site->index;
  plan.nodes = 1;
  plan.source = candidate->table->transferred ? QB_SOURCE_TRANSFERRED : QB_SOURCE_MEASURED;
  plan.configuration = candidate->table->configuration;
  plan.batch = candidate->batch;
  plan.max_wait_ns = candidate->max_wait_ns;
  plan.max_rate_per_s = candidate->capacity_per_s;
  plan.cost_per_hour = candidate->site->price_per_hour;
  plan.memory_bytes = candidate->table->memory_bytes[candidate->batch];
  plan.rate_per_s = search->load.rate_per_s;
  plan.cost_per_1000 = plan.cost_per_hour / (plan.rate_per_s * 3600) * 1000;
  plan.network = qb__profile_info(candidate->site->profile)->network;
  if (candidate->report.saturated)
    return plan;
  plan.p50_ns = candidate->report.p50_ns;
  plan.p95_ns = candidate->report.p95_ns;
  plan.p99_ns = larger(candidate->report.p99_ns, candidate->drained_ns);
  plan.latency_ns = candidate->needs.latency_ns;
  plan.mean_batch = candidate->report.mean_batch;
  plan.utilisation = candidate->report.utilisation;
  return plan;
}

static int order(double a, double b)
{
  return a < b ? -1 : a > b;
}

static double threads_of(const qb__service_candidate *candidate)
{
  const qb_configuration *c = &candidate->table->configuration;
  return (double)c->instances * c->threads;
}

static int by_latency(const qb__service_candidate *a, const qb__service_candidate *b)
{
  return order((double)a->needs.latency_ns, (double)b->needs.latency_ns);
}

static int by_cost(const qb__service_candidate *a, const qb__service_candidate *b)
{
  return order(a->needs.budget_per_hour, b->needs.budget_per_hour);
}

static int by_size(const qb__service_candidate *a, const qb__service_candidate *b)
{
  int sign = order(threads_of(a), threads_of(b));
  if (!sign)
    sign = order(a->batch, b->batch);
  if (!sign)
    sign = order((double)a->max_wait_ns, (double)b->max_wait_ns);
  if (!sign && a->site == b->site)
    sign = a->table < b->table ? -1 : a->table > b->table;
  return sign ? sign : a->site < b->site ? -1 : a->site > b->site;
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

bool qb__service_same_bill(const qb__service_candidate *a, const qb__service_candidate *b)
{
  return !by_latency(a, b) && !by_cost(a, b);
}
