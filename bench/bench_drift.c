/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How soon predictions follow a node that becomes slower, and back, and how often noise is taken
 * for that: an optimizer on rounds of 8 + 2 n ms, n = 1..8 at random, refreshed when it asks. Noise
 * is uniform, +- the percentage. Recovered: the first round from which the mean error of
 * predictions (of the noise-free time, over all runs) stays under 5 %. Then how many of 200 rounds
 * of a regime, those before it is recognised among them, lie within their predicted intervals.
 *
 * usage: drift [SEED]
 */
#include "support/random.h"
#include "support/scripted_profile.h"

#include <qosbatch/qosbatch.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  RUNS = 500,
  BEFORE = 200,
  REGIME = 200,
  REGIMES = 4,
  ROUNDS = 40,
  MAX_BATCH = 8,
  LONG = 10000,
  LONG_RUNS = 20
};

static void check(qb_status status)
{
  if (status) {
    fprintf(stderr, "drift: %s\n", qb_error_message());
    exit(1);
  }
}

static qb_optimizer *start(qb_profile *profile)
{
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  params.configuration = (qb_configuration){1, 1};
  params.max_batch = MAX_BATCH;
  qb_optimizer *optimizer;
  check(qb_optimizer_new(profile, &params, NULL, &optimizer));
  return optimizer;
}

/* What a prediction was worth. */
typedef struct outcome {
  double error; /* 0.1 is 10 % */
  double half_width;
  bool is_inside;
} outcome;

/* One round. Counts refreshes. */
static outcome serve(qb_optimizer *optimizer, double slowdown, double noise, uint64_t *seed,
                     unsigned *refreshes)
{
  qb_round_state now = QB_ROUND_STATE_INIT;
  qb_decision d = QB_DECISION_INIT;
  now.queued = (uint32_t)random_int(seed, 1, MAX_BATCH);
  check(qb_optimize(optimizer, &now, &d));
  if (d.refresh_due) {
    ++*refreshes;
    check(qb_optimizer_refresh(optimizer));
    check(qb_optimize(optimizer, &now, &d));
  }
  const double truth_ns = slowdown * (8e6 + 2e6 * d.batch);
  const double measured_ns = truth_ns * (1 + noise * (2 * random_unit(seed) - 1));
  const qb_round_result result = {sizeof result, d.batch, (int64_t)measured_ns};
  check(qb_observe(optimizer, &result));
  return (outcome){fabs((double)d.latency_ns / truth_ns - 1),
                   (double)(d.high_ns - d.low_ns) / (2 * (double)d.latency_ns),
                   d.low_ns <= result.latency_ns && result.latency_ns <= d.high_ns};
}

/* The first round from which on the mean error is under 5 %; 0 is that of the change. */
static int recovered(const double mean[ROUNDS])
{
  int first = ROUNDS;
  while (first > 0 && mean[first - 1] < 0.05)
    first--;
  return first;
}

static double mean_from(const double mean[ROUNDS], int first)
{
  double sum = 0;
  for (int i = first; i < ROUNDS; i++)
    sum += mean[i] / (ROUNDS - first);
  return 100 * sum;
}

static void change(qb_profile *profile, double slowdown, double noise, uint64_t *seed)
{
  double slower[ROUNDS] = {0}, back[ROUNDS] = {0};
  for (int run = 0; run < RUNS; run++) {
    unsigned ignored = 0;
    qb_optimizer *optimizer = start(profile);
    for (int i = 0; i < BEFORE; i++)
      (void)serve(optimizer, 1, noise, seed, &ignored);
    for (int i = 0; i < ROUNDS; i++)
      slower[i] += serve(optimizer, slowdown, noise, seed, &ignored).error / RUNS;
    for (int i = 0; i < BEFORE; i++)
      (void)serve(optimizer, slowdown, noise, seed, &ignored);
    for (int i = 0; i < ROUNDS; i++)
      back[i] += serve(optimizer, 1, noise, seed, &ignored).error / RUNS;
    qb_optimizer_free(optimizer);
  }
  printf("%10.2f  %6.0f %%  %12d  %18.1f %%  %12d  %18.1f %%\n", slowdown, 100 * noise,
         recovered(slower), mean_from(slower, 10), recovered(back), mean_from(back, 10));
}

/* The least, the mean and the most that one run has inside, in each regime. */
static void cover(qb_profile *profile, double noise, uint64_t *seed)
{
  static const double slowdowns[REGIMES] = {1, 1.2, 1, 1.5};
  double sum[REGIMES] = {0}, width[REGIMES] = {0};
  int least[REGIMES], most[REGIMES] = {0};
  for (int r = 0; r < REGIMES; r++)
    least[r] = REGIME;
  for (int run = 0; run < RUNS; run++) {
    unsigned ignored = 0;
    qb_optimizer *optimizer = start(profile);
    for (int r = 0; r < REGIMES; r++) {
      int inside = 0;
      for (int i = 0; i < REGIME; i++) {
        const outcome o = serve(optimizer, slowdowns[r], noise, seed, &ignored);
        inside += o.is_inside;
        width[r] += o.half_width / (RUNS * REGIME);
      }
      sum[r] += (double)inside / RUNS;
      least[r] = inside < least[r] ? inside : least[r];
      most[r] = inside > most[r] ? inside : most[r];
    }
    qb_optimizer_free(optimizer);
  }
  for (int r = 0; r < REGIMES; r++)
    printf("%10.2f  %6.0f %%  %8.1f %% (%.1f to %.1f)  %12.1f %%\n", slowdowns[r], 100 * noise,
           100 * sum[r] / REGIME, 100.0 * least[r] / REGIME, 100.0 * most[r] / REGIME,
           100 * width[r]);
}

static void stay(qb_profile *profile, double noise, uint64_t *seed)
{
  unsigned alarms = 0;
  for (int run = 0; run < LONG_RUNS; run++) {
    qb_optimizer *optimizer = start(profile);
    for (int i = 0; i < LONG; i++)
      (void)serve(optimizer, 1, noise, seed, &alarms);
    qb_optimizer_free(optimizer);
  }
  printf("noise of +-%2.0f %%: %.2f false alarms in 10,000 rounds (%d runs)\n", 100 * noise,
         (double)alarms / LONG_RUNS, LONG_RUNS);
}

int main(int argc, char **argv)
{
  uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 5;
  qb_context *context;
  check(qb_context_new(NULL, &context));
  const qb_configuration one = {1, 1};
  qb_profile *profile = scripted_profile(context, &one, MAX_BATCH, 8, 2, 1.05);
  puts("  slowdown     noise  recovered in  then mean error of  back again in  then mean error of");
  static const double slowdowns[] = {1.1, 1.2, 1.5, 2, 4, 0.7}, noises[] = {0.01, 0.05, 0.1};
  for (size_t n = 0; n < sizeof noises / sizeof *noises; n++)
    for (size_t s = 0; s < sizeof slowdowns / sizeof *slowdowns; s++)
      change(profile, slowdowns[s], noises[n], &seed);
  puts("\n  slowdown     noise  inside the 95 % interval  mean half-width");
  for (size_t n = 0; n < sizeof noises / sizeof *noises; n++)
    cover(profile, noises[n], &seed);
  puts("");
  for (size_t n = 0; n < sizeof noises / sizeof *noises; n++)
    stay(profile, noises[n], &seed);
  qb_profile_unref(profile);
  qb_context_unref(context);
  return 0;
}
