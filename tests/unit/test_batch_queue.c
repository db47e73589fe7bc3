/* SPDX-License-Identifier: Apache-2.0 */
/* The queue analysis against a simulation of the same queue, event by event. */
#include "optimize/batch_queue.h"

#include "support/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 150000, MAX_BATCH = 64 };

#define FIRST_SEED 20260911u
static uint64_t seed = FIRST_SEED;
static qb_context *context;

static double random_unit(void)
{
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (double)((seed >> 11) + 1) / 9007199254740993.0;
}

static int ascending(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

/*
 * The round that answers the oldest sample starts when an instance is free and `batch` samples wait
 * or the oldest has waited; it takes all that have arrived by then, up to `batch`.
 */
static void simulate(const qb__batch_queue *queue, double *latency)
{
  static double arrival[SAMPLES];
  double free_ns[8] = {0}, now = 0;
  for (size_t i = 0; i < SAMPLES; i++)
    arrival[i] = now += -log(random_unit()) / queue->rate_per_s * 1e9;
  size_t head = 0;
  while (head < SAMPLES) {
    size_t instance = 0;
    for (size_t i = 1; i < queue->instances; i++)
      if (free_ns[i] < free_ns[instance])
        instance = i;
    const size_t fills = head + queue->batch - 1;
    double start = arrival[head] + (double)queue->max_wait_ns;
    if (fills < SAMPLES && arrival[fills] < start)
      start = arrival[fills];
    if (start < free_ns[instance])
      start = free_ns[instance];
    uint32_t n = 0;
    while (n < queue->batch && head + n < SAMPLES && arrival[head + n] <= start)
      n++;
    free_ns[instance] = start + (double)queue->latency_ns[n];
    for (uint32_t i = 0; i < n; i++)
      latency[head + i] = free_ns[instance] - arrival[head + i];
    head += n;
  }
}

/*
 * How far a prediction is from the simulated quantile, as a share of it. Latencies crowd at few
 * values when most rounds are small; there a quantile jumps from one to the next while its share
 * hardly changes. So any value between the quantiles of two thousandths less and more is right.
 */
static double error_of(const double *sorted, size_t count, double share, int64_t predicted_ns)
{
  const double low = sorted[(size_t)((share - 0.002) * (double)count)];
  const double high = sorted[(size_t)((share + 0.002) * (double)count)];
  const double predicted = (double)predicted_ns;
  return predicted < low ? 1 - predicted / low : predicted > high ? predicted / high - 1 : 0;
}

/* Rounds of 0..MAX_BATCH samples, 10 ms for one: nearly linear, strongly batching, and a cliff. */
static void fill_times(int shape, int64_t *latency_ns)
{
  latency_ns[0] = 0;
  for (int n = 1; n <= MAX_BATCH; n++) {
    const double per_round = shape == 0 ? 1e6 : 8e6;
    double time = per_round + (10e6 - per_round) * n;
    if (shape == 2 && n > 8)
      time += 0.2 * (10e6 - per_round) * n;
    latency_ns[n] = (int64_t)time;
  }
}

typedef struct errors {
  double worst;
  double beyond_20; /* share of the queues with an error of more than 20 % */
} errors;

static errors errors_of(uint32_t least_instances, uint32_t most_instances, const double *waits,
                        size_t wait_count)
{
  static double latency[SAMPLES];
  double *const kept = latency + SAMPLES / 50; /* the queue is empty at first */
  const size_t kept_count = SAMPLES - SAMPLES / 50;
  static const uint32_t batches[] = {1, 4, 16, 64};
  static const double utilisations[] = {0.15, 0.5, 0.8};
  double worst = 0;
  int cases = 0, beyond_20 = 0;
  int64_t times[MAX_BATCH + 1];
  for (int shape = 0; shape < 3; shape++)
    for (uint32_t i = least_instances; i <= most_instances; i++)
      for (size_t b = 0; b < 4; b++)
        for (size_t u = 0; u < 3; u++)
          for (size_t w = 0; w < wait_count; w++) {
            if (batches[b] == 1 && waits[w] > 0)
              continue; /* a batch of 1 is always full */
            fill_times(shape, times);
            qb__batch_queue queue = {.instances = i,
                                     .batch = batches[b],
                                     .max_wait_ns = (int64_t)(waits[w] * 1e6),
                                     .latency_ns = times,
                                     .percentile = 99};
            queue.rate_per_s =
                utilisations[u] * i * batches[b] / ((double)times[batches[b]] * 1e-9);
            qb__queue_report report;
            assert_int_equal(qb__batch_queue_analyse(context, &queue, &report), QB_OK);
            assert_false(report.saturated);
            simulate(&queue, latency);
            qsort(kept, kept_count, sizeof *kept, ascending);
            double error = error_of(kept, kept_count, 0.50, report.p50_ns);
            error = fmax(error, error_of(kept, kept_count, 0.95, report.p95_ns));
            error = fmax(error, error_of(kept, kept_count, 0.99, report.p99_ns));
            worst = fmax(worst, error);
            beyond_20 += error > 0.20;
            cases++;
          }
  return (errors){worst, (double)beyond_20 / cases};
}

static const double none[] = {0}, waits_ms[] = {8, 30, 100};

static void test_one_instance(void **state)
{
  (void)state;
  const errors e = errors_of(1, 1, none, 1);
  print_message("seed %llu, one instance, no wait: worst error %.1f %%\n",
                (unsigned long long)FIRST_SEED, e.worst * 100);
  assert_true(e.worst < 0.05);
}

static void test_one_instance_that_waits(void **state)
{
  (void)state;
  const errors e = errors_of(1, 1, waits_ms, 3);
  print_message("one instance, waits: worst error %.1f %%\n", e.worst * 100);
  assert_true(e.worst < 0.10);
}

/* One fast server stands for several: a rough picture, as batch_queue.h says. */
static void test_several_instances(void **state)
{
  (void)state;
  const errors e = errors_of(2, 4, none, 1);
  print_message("2..4 instances, no wait: worst error %.1f %%, %.0f %% of queues beyond 20 %%\n",
                e.worst * 100, e.beyond_20 * 100);
  assert_true(e.worst < 0.70);
  assert_true(e.beyond_20 < 0.10);
}

static void test_saturation_is_declared(void **state)
{
  (void)state;
  int64_t latency_ns[MAX_BATCH + 1];
  fill_times(0, latency_ns);
  qb__batch_queue queue = {.instances = 2,
                           .batch = 8,
                           .latency_ns = latency_ns,
                           .percentile = 99,
                           .rate_per_s = 1.01 * 2 * 8e9 / (double)latency_ns[8]};
  qb__queue_report report;
  assert_int_equal(qb__batch_queue_analyse(context, &queue, &report), QB_OK);
  assert_true(report.saturated);
  queue.rate_per_s *= 0.9;
  assert_int_equal(qb__batch_queue_analyse(context, &queue, &report), QB_OK);
  assert_false(report.saturated);
  assert_true(report.p50_ns <= report.p95_ns && report.p95_ns <= report.p99_ns);
  assert_true(report.utilisation < 1 && report.mean_batch <= 8);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_instance),
      cmocka_unit_test(test_one_instance_that_waits),
      cmocka_unit_test(test_several_instances),
      cmocka_unit_test(test_saturation_is_declared),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
