/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long qb_place_job() takes for 10^9 samples on 10^3 .. 10^5 different nodes of 4 kinds, and
 * how that grows: t / (n log2 n) stays or falls. Medians of 7 runs.
 *
 * usage: place [PROFILE.json]
 */
#include "timing.h"

#include <qosbatch/place.h>
#include <qosbatch/planning.h>

#include <math.h>

enum { MOST = 100000, RUNS = 7 };

int main(int argc, char **argv)
{
  static qb_place_node nodes[MOST];
  static qb_share shares[MOST];
  qb_context *context;
  qb_profile *profiles[2];
  check(qb_context_new(NULL, &context));
  check(qb_profile_load(context, argc > 1 ? argv[1] : "tests/fixtures/alexnet.json", &profiles[0]));
  check(qb_profile_load(context, argc > 1 ? argv[1] : "tests/fixtures/alexnet.json", &profiles[1]));
  srand(1);
  for (int i = 0; i < MOST; i++) {
    nodes[i] = (qb_place_node)QB_PLACE_NODE_INIT;
    nodes[i].profile = profiles[i % 2];
    nodes[i].speed = 0.5 + (double)rand() / RAND_MAX; /* every node is different */
    if (i % 4 < 2)
      nodes[i].memory_bytes = UINT64_C(512) << 20;
    shares[i] = (qb_share)QB_SHARE_INIT;
  }
  printf("%10s  %10s  %14s  %12s\n", "nodes", "ms", "ns/(n log2 n)", "end / bound");
  static const int counts[] = {1000, 3162, 10000, 31623, 100000};
  for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
    double times[RUNS];
    qb_job job = QB_JOB_INIT;
    qb_placement placement = QB_PLACEMENT_INIT;
    job.samples = 1000000000;
    for (int i = 0; i < RUNS; i++) {
      const double start = now_ms();
      check(qb_place_job(nodes, (size_t)counts[c], &job, NULL, shares, &placement));
      times[i] = now_ms() - start;
    }
    const double n = counts[c], ms = median(times, RUNS);
    printf("%10d  %10.2f  %14.1f  %12.6f\n", counts[c], ms, ms * 1e6 / (n * log2(n)),
           (double)placement.total_ns / (double)placement.bound_ns);
  }
  qb_profile_unref(profiles[0]);
  qb_profile_unref(profiles[1]);
  qb_context_unref(context);
  return 0;
}
