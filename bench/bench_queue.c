/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue analysis against the simulator: p50, p95 and p99 of 432 queues (shape of the latency
 * curve, utilisation, largest batch, wait, instances, Poisson and bursty arrivals), and the time
 * each takes.
 *
 * The simulator is random too: tails of bursty queues are made by their few longest bursts. Each
 * queue is simulated with several seeds, until the 95 % interval of the mean is clear of the 3 % or
 * MOST_RUNS are done; a queue is then within, beyond, or not decided. On the simulator's own
 * arrivals the analysis has no chance left to differ by: what it does then is its rule's error.
 * Last, the short paths that plans are made of. About 40 minutes for all.
 *
 * usage: queue [FIRST [END]]   of the queues
 */
#include "support/queue_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LEAST_RUNS = 4, MOST_RUNS = 64, RUN_BURSTS = 1 << 14, RUN_SAMPLES = 1 << 20, TIMES = 3 };

static const double WITHIN = 0.03;

/* Student's t for 95 %, within 0.3 % from 3 degrees of freedom on. */
static double student(double freedom)
{
  return 1.96 + 2.4 / freedom + 2.9 / (freedom * freedom) + 2.7 / pow(freedom, 3);
}

typedef struct answers {
  int runs;
  double sum[TIMES], squares[TIMES];
} answers;

static double mean_of(const answers *t, int k)
{
  return t->sum[k] / t->runs;
}

/* Of the mean, relative to it. */
static double standard_error(const answers *t, int k)
{
  const double mean = mean_of(t, k);
  const double variance = fmax(0, t->squares[k] / t->runs - mean * mean) / (t->runs - 1);
  return sqrt(variance) / mean;
}

typedef struct comparison {
  double error, interval; /* of the time that is off most, and half the width for that one */
  double noise;           /* largest standard error */
  bool within, beyond;    /* neither: not decided */
} comparison;

static comparison compare(const qb__queue_report *report, const answers *t)
{
  const double predicted[TIMES] = {(double)report->p50_ns, (double)report->p95_ns,
                                   (double)report->p99_ns};
  comparison c = {.within = true};
  for (int k = 0; k < TIMES; k++) {
    const double error = fabs(predicted[k] / mean_of(t, k) - 1), noise = standard_error(t, k);
    const double interval = student(t->runs - 1.) * noise;
    c.within &= error + interval < WITHIN;
    c.beyond |= error - interval > WITHIN;
    c.noise = fmax(c.noise, noise);
    if (error >= c.error) {
      c.error = error;
      c.interval = interval;
    }
  }
  return c;
}

typedef struct tally {
  int count, within, beyond, wide;
  double error, worst, noise, rule, rule_worst, quick, quick_worst;
} tally;

static double now_s(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void require(qb_status status)
{
  if (status) {
    fprintf(stderr, "%s\n", qb_error_message());
    exit(EXIT_FAILURE);
  }
}

static void simulate(const qb_context *context, const queue_case *c, uint64_t samples,
                     uint64_t seed, answers *t, qb__outcome *outcome)
{
  require(simulate_case(context, c, samples, seed, outcome));
  const double times[TIMES] = {(double)outcome->p50_ns, (double)outcome->p95_ns,
                               (double)outcome->p99_ns};
  for (int k = 0; k < TIMES; k++) {
    t->sum[k] += times[k];
    t->squares[k] += times[k] * times[k];
  }
  t->runs++;
}

/* What the analysis along another path is off by. */
static double error_along(const qb_context *context, queue_case *c, qb__path_length length,
                          uint64_t seed, const qb__outcome *truth)
{
  qb__queue_report report;
  const qb__batch_queue before = c->queue;
  c->queue.length = length;
  c->queue.seed = seed;
  require(qb__batch_queue_analyse(context, &c->queue, &report));
  c->queue = before;
  return worst_error(&report, truth);
}

static void print_doubtful(const queue_case *c, const comparison *of, int runs)
{
  if (of->within)
    return;
  printf("%s: %.1f %% +- %.1f (%d runs): batch %u, wait %lld ms, %u instances, %s\n",
         of->beyond ? "beyond" : "not decided", 100 * of->error, 100 * of->interval, runs,
         c->queue.batch, (long long)c->queue.max_wait_ns / 1000000, c->queue.instances,
         c->queue.arrivals.leave_per_s[1] > 0 ? "bursty" : "poisson");
  fflush(stdout);
}

static void print_tally(const char *name, const tally *t)
{
  if (!t->count)
    return;
  printf("%s: %d queues, p50, p95 and p99 within 3 %% in %d, beyond in %d, not decided %d\n", name,
         t->count, t->within, t->beyond, t->count - t->within - t->beyond);
  printf("  worst of the three: mean %.2f %%, largest %.2f %%; the simulator's own standard error "
         "%.2f %%, its interval wider than 3 %% in %d\n",
         100 * t->error / t->count, 100 * t->worst, 100 * t->noise / t->count, t->wide);
  printf("  on the simulator's own arrivals (the rule alone): mean %.2f %%, largest %.2f %%\n",
         100 * t->rule / t->count, 100 * t->rule_worst);
  printf("  short paths, as plans compare: mean %.1f %%, largest %.1f %%\n",
         100 * t->quick / t->count, 100 * t->quick_worst);
}

typedef struct effort {
  double analysis_s, simulation_s;
  int runs;
} effort;

/* Simulates until it is known whether the report is within; the first run is `one`. */
static comparison find_truth(const qb_context *context, const queue_case *c, uint64_t samples,
                             uint64_t seed, const qb__queue_report *report, answers *t,
                             qb__outcome *one)
{
  comparison of = {0};
  while (t->runs < MOST_RUNS && !of.within && !of.beyond) {
    qb__outcome outcome;
    simulate(context, c, samples, seed + (uint64_t)t->runs, t, &outcome);
    if (t->runs == 1)
      *one = outcome;
    if (t->runs >= LEAST_RUNS)
      of = compare(report, t);
  }
  return of;
}

static void check_case(const qb_context *context, int index, tally *tallies, effort *spent)
{
  queue_case c;
  make_case(index, &c);
  const bool bursty = c.queue.arrivals.leave_per_s[1] > 0;
  const double each = bursty ? 1 / qb__arrival_burst_count(&c.queue.arrivals, 1) : 0;
  const uint64_t samples = (uint64_t)fmax(RUN_SAMPLES, RUN_BURSTS * each);
  const uint64_t seed = 1000 * (uint64_t)(index + 1);
  qb__queue_report report;
  qb__outcome one = {0};
  answers t = {0};
  const double start_s = now_s();
  require(qb__batch_queue_analyse(context, &c.queue, &report));
  const double middle_s = now_s();
  const comparison of = find_truth(context, &c, samples, seed, &report, &t, &one);
  spent->simulation_s += now_s() - middle_s;
  spent->analysis_s += middle_s - start_s;
  spent->runs += t.runs;
  print_doubtful(&c, &of, t.runs);

  const double rule = error_along(context, &c, (qb__path_length){.samples = samples}, seed, &one);
  const qb__outcome mean = {.p50_ns = (int64_t)mean_of(&t, 0),
                            .p95_ns = (int64_t)mean_of(&t, 1),
                            .p99_ns = (int64_t)mean_of(&t, 2)};
  const double quick = error_along(context, &c, QB__PATH_QUICK, 0, &mean);
  tally *all = &tallies[bursty];
  all->count++;
  all->within += of.within;
  all->beyond += of.beyond;
  all->wide += 2 * student(t.runs - 1.) * of.noise > WITHIN;
  all->error += of.error;
  all->worst = fmax(all->worst, of.error);
  all->noise += of.noise;
  all->rule += rule;
  all->rule_worst = fmax(all->rule_worst, rule);
  all->quick += quick;
  all->quick_worst = fmax(all->quick_worst, quick);
}

int main(int argc, char **argv)
{
  const int first = argc > 1 ? atoi(argv[1]) : 0, end = argc > 2 ? atoi(argv[2]) : CASES;
  qb_context *context;
  require(qb_context_new(NULL, &context));
  tally tallies[2] = {{0}};
  effort spent = {0};
  for (int i = first; i < end && i < CASES; i++)
    check_case(context, i, tallies, &spent);
  print_tally("poisson", &tallies[0]);
  print_tally("bursty", &tallies[1]);
  const int count = tallies[0].count + tallies[1].count;
  printf("an analysis takes %.0f ms, a run of the simulator %.0f ms, %.1f runs a queue\n",
         1e3 * spent.analysis_s / count, 1e3 * spent.simulation_s / spent.runs,
         (double)spent.runs / count);
  qb_context_unref(context);
  return 0;
}
