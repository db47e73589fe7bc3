/* SPDX-License-Identifier: Apache-2.0 */
/* Queues to analyse, and the same ones simulated event by event. */
#ifndef QB_SUPPORT_QUEUE_CASES_H
#define QB_SUPPORT_QUEUE_CASES_H

#include "queue/batch_queue.h"
#include "simulate/rivals.h"
#include "simulate/simulation.h"

#include <math.h>

enum { CASE_MAX_BATCH = 64, CASES = 3 * 3 * 4 * 2 * 3 * 2 };

typedef struct queue_case {
  qb__batch_queue queue;
  int64_t latency_ns[CASE_MAX_BATCH + 1];
  double spread[CASE_MAX_BATCH + 1];
} queue_case;

/* Rounds of 0..CASE_MAX_BATCH, 10 ms for one: nearly linear, strongly batching, and a cliff. */
static inline void fill_case_times(queue_case *c, int shape)
{
  for (int n = 1; n <= CASE_MAX_BATCH; n++) {
    const double once = shape == 0 ? 1e6 : 8e6, each = 10e6 - once;
    c->latency_ns[n] = (int64_t)(once + each * n + (shape == 2 && n > 8 ? 0.2 * each * n : 0));
    c->spread[n] = 0.03;
  }
}

/* Case `index` of CASES: shape x utilisation x batch x wait x instances x arrivals. */
static inline void make_case(int index, queue_case *c)
{
  static const double utilisations[] = {0.3, 0.6, 0.85};
  static const uint32_t batches[] = {1, 4, 16, 64}, instances[] = {1, 2, 4};
  const int shape = index % 3, u = index / 3 % 3, b = index / 9 % 4, w = index / 36 % 2;
  const int i = index / 72 % 3, bursty = index / 216;
  *c = (queue_case){.queue = {.instances = instances[i],
                              .batch = batches[b],
                              .max_wait_ns = w ? 20000000 : 0,
                              .percentile = 99,
                              .length = QB__PATH_PRECISE}};
  fill_case_times(c, shape);
  c->queue.latency_ns = c->latency_ns;
  c->queue.spread = c->spread;
  const double round_s = (double)c->latency_ns[batches[b]] * 1e-9;
  const double rate = utilisations[u] * instances[i] * batches[b] / round_s;
  c->queue.arrivals = bursty ? qb__arrival_bursts(rate, 2, 0.3, 5 * round_s)
                             : (qb__arrival_law){.rate_per_s = {rate, 0}};
}

static inline qb_status simulate_case(const qb_context *context, const queue_case *c,
                                      uint64_t samples, uint64_t seed, qb__outcome *outcome)
{
  const qb__service service = {.arrivals = c->queue.arrivals,
                               .instances = c->queue.instances,
                               .batch = c->queue.batch,
                               .latency_ns = c->latency_ns,
                               .spread = c->spread,
                               .queue_most = c->queue.queue_most,
                               .target_ns = 1,
                               .percentile = c->queue.percentile,
                               .samples = samples,
                               .seed = seed};
  const qb__rival_settings settings = {.batch = c->queue.batch,
                                       .max_wait_ns = c->queue.max_wait_ns};
  qb__batch_and_wait rule;
  qb__batch_and_wait_init(&rule, &settings);
  return qb__simulation_run(context, &service, &rule.policy, outcome);
}

static inline double relative_error(int64_t predicted, int64_t truth)
{
  return fabs((double)predicted / (double)truth - 1);
}

static inline double worst_error(const qb__queue_report *report, const qb__outcome *truth)
{
  return fmax(relative_error(report->p50_ns, truth->p50_ns),
              fmax(relative_error(report->p95_ns, truth->p95_ns),
                   relative_error(report->p99_ns, truth->p99_ns)));
}

#endif
