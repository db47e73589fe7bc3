/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue analysis against the simulator: p50, p95 and p99 of 432 queues (shape of the latency
 * curve, utilisation, largest batch, wait, instances, Poisson and bursty arrivals), and the time
 * each takes. Tails of bursty queues are made by their few longest bursts: the simulator runs so
 * long that it is itself within about 1 % of the truth, 10 minutes for all.
 *
 * usage: queue [FIRST [END]]   of the queues
 */
#include "support/queue_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SIMULATED_BURSTS = 1 << 16 };

static double now_s(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
  const int first = argc > 1 ? atoi(argv[1]) : 0, end = argc > 2 ? atoi(argv[2]) : CASES;
  qb_context *context;
  if (qb_context_new(NULL, &context))
    return 1;
  double worst[2] = {0}, sum[2] = {0}, analysis_s = 0, simulation_s = 0;
  int beyond[2] = {0}, count[2] = {0};
  for (int i = first; i < end && i < CASES; i++) {
    queue_case c;
    make_case(i, &c);
    const double each = 1 / qb__arrival_burst_count(&c.queue.arrivals, 1);
    const double samples = fmax(QB__PATH_PRECISE, isfinite(each) ? SIMULATED_BURSTS * each : 0);
    qb__queue_report report;
    qb__outcome truth;
    const double start_s = now_s();
    if (qb__batch_queue_analyse(context, &c.queue, &report))
      return 1;
    const double middle_s = now_s();
    if (simulate_case(context, &c, (uint64_t)samples, 1000 + (uint64_t)i, &truth))
      return 1;
    analysis_s += middle_s - start_s;
    simulation_s += now_s() - middle_s;
    const int bursty = c.queue.arrivals.leave_per_s[1] > 0;
    const double error = worst_error(&report, &truth);
    worst[bursty] = fmax(worst[bursty], error);
    sum[bursty] += error;
    beyond[bursty] += error > 0.03;
    count[bursty]++;
    if (error > 0.03)
      printf("%.1f %%: batch %u, wait %lld ms, %u instances, utilisation %.2f, %s\n", 100 * error,
             c.queue.batch, (long long)c.queue.max_wait_ns / 1000000, c.queue.instances,
             report.utilisation, bursty ? "bursty" : "poisson");
  }
  for (int k = 0; k < 2; k++)
    if (count[k])
      printf(
          "%s: %d queues, p50, p95 and p99 within 3 %% in %d; mean of the worst of three %.2f %%, "
          "worst of all %.2f %%\n",
          k ? "bursty" : "poisson", count[k], count[k] - beyond[k], 100 * sum[k] / count[k],
          100 * worst[k]);
  printf("an analysis takes %.2f ms, a simulation %.2f ms\n",
         1e3 * analysis_s / (count[0] + count[1]), 1e3 * simulation_s / (count[0] + count[1]));
  qb_context_unref(context);
  return 0;
}
