/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our policy against those of other servers, simulated over a grid of profiles, loads, targets and
 * traffic: goodput (answers within the target per second) against the best rival of each cell, the
 * rivals' defaults, and the exhaustive search over largest batch and longest wait. Once all may
 * refuse what would be late: ours sheds, tuned rivals may stand behind a front end that does; once
 * all answer everything, without the rivals whose rules refuse. Loads are parts of the throughput of
 * the best batch whose rounds keep the target.
 *
 * usage: policies [SAMPLES [FIRST [END]]]   of the cells
 */
#include "support/scripted_profile.h"

#include <qosbatch/lab.h>
#include <qosbatch/simulate.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const double loads[] = {0.3, 0.5, 0.7, 0.85, 0.95};
static const double targets[] = {2, 3, 5, 10};
enum { LOADS = 5, TARGETS = 4, TRAFFICS = 2, POLICIES = 9, MAX_BATCH = 64 };

static void check(qb_status status)
{
  if (status) {
    fprintf(stderr, "policies: %s\n", qb_error_message());
    exit(1);
  }
}

typedef struct subject {
  const char *name;
  qb_profile *profile;
  qb_configuration configuration;
  uint32_t max_batch;
} subject;

static double latency_of(const subject *s, uint32_t batch)
{
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  check(qb_estimate(s->profile, &s->configuration, batch, NULL, &e));
  return (double)e.latency_ns;
}

static double capacity_per_s(const subject *s, double target_ns)
{
  double most = 0;
  for (uint32_t b = 1; b <= s->max_batch; b++)
    if (latency_of(s, b) <= target_ns)
      most = fmax(most, 1e9 * s->configuration.instances * b / latency_of(s, b));
  return most;
}

/* Of all cells, when late samples are refused and when they are not. */
typedef struct totals {
  int cells;
  double worst_rival, worst_exhaustive, log_defaults;
  double log_rival, log_exhaustive;
  int default_count, below_rival, below_exhaustive;
} totals;

typedef struct cell {
  const subject *subject;
  double load, target;
  bool bursty, shed;
  uint64_t samples;
} cell;

static double goodput(const cell *c, const char *policy, bool tuned)
{
  const subject *s = c->subject;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = (int64_t)(c->target * latency_of(s, 1));
  qos.shed = c->shed;
  qb_traffic traffic = QB_TRAFFIC_INIT;
  traffic.rate_per_s = c->load * capacity_per_s(s, (double)qos.latency_ns);
  if (c->bursty) {
    traffic.arrivals = QB_ARRIVALS_MMPP;
    traffic.burst_ratio = 4;
    traffic.burst_ns = (int64_t)(200e9 / traffic.rate_per_s);
  }
  qb_simulation simulation = QB_SIMULATION_INIT;
  simulation.policy = policy;
  simulation.seed = 1;
  simulation.tuned = tuned;
  simulation.samples = c->samples;
  simulation.max_batch = s->max_batch;
  qb_simulation_report report = QB_SIMULATION_REPORT_INIT;
  check(qb_simulate(s->profile, &s->configuration, &traffic, &qos, &simulation, &report));
  return report.within_slo;
}

static void run_cell(const cell *c, totals *t)
{
  const double ours = goodput(c, "qosbatch", false);
  const double exhaustive = goodput(c, "exhaustive", true);
  /* The last three refuse by their rules. */
  static const char *const rivals[] = {"no-batching",     "fixed-batch", "tensorflow-serving",
                                       "triton",          "bentoml",     "clipper-aimd",
                                       "clipper-deadline"};
  const int count = c->shed ? 7 : 4;
  double best = 0;
  const char *best_policy = rivals[0];
  bool best_tuned = false;
  for (int p = 0; p < count; p++)
    for (int tuned = 0; tuned < 2; tuned++) {
      const double theirs = goodput(c, rivals[p], tuned);
      if (theirs > best) {
        best = theirs;
        best_policy = rivals[p];
        best_tuned = tuned;
      }
      if (!tuned) {
        t->log_defaults += log(fmax(ours, 1e-3) / fmax(theirs, 1e-3));
        t->default_count++;
      }
    }
  const double to_rival = ours / best, to_exhaustive = ours / exhaustive;
  t->cells++;
  t->worst_rival = fmin(t->worst_rival, to_rival);
  t->worst_exhaustive = fmin(t->worst_exhaustive, to_exhaustive);
  t->log_rival += log(fmax(to_rival, 1e-3));
  t->log_exhaustive += log(fmax(to_exhaustive, 1e-3));
  t->below_rival += to_rival < 0.99;
  t->below_exhaustive += to_exhaustive < 0.97;
  printf("%-12s %-7s %-6s load %.2f target %4.1f T(1): within %.4f, best rival %.4f (%s%s) x%.3f, "
         "exhaustive %.4f x%.3f%s\n",
         c->subject->name, c->bursty ? "bursty" : "poisson", c->shed ? "refuse" : "answer", c->load,
         c->target, ours, best, best_policy, best_tuned ? " tuned" : "", to_rival, exhaustive,
         to_exhaustive, to_rival < 0.99 || to_exhaustive < 0.97 ? "  <--" : "");
}

static void print_totals(const char *name, const totals *t)
{
  printf(
      "%s, %d cells: over the best rival least %.4f, geometric mean %.3f, %d below 0.99; over the "
      "exhaustive search least %.4f, geometric mean %.3f, %d below 0.97; geometric mean over the "
      "rivals' defaults %.3f\n",
      name, t->cells, t->worst_rival, exp(t->log_rival / t->cells), t->below_rival,
      t->worst_exhaustive, exp(t->log_exhaustive / t->cells), t->below_exhaustive,
      exp(t->log_defaults / t->default_count));
}

int main(int argc, char **argv)
{
  const uint64_t samples = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
  setvbuf(stdout, NULL, _IOLBF, 0);
  qb_context *context;
  check(qb_context_new(NULL, &context));
  subject subjects[6];
  int count = 0;
  static const char *const files[] = {"alexnet", "resnet50"};
  for (int i = 0; i < 2; i++) {
    char path[64];
    snprintf(path, sizeof path, "tests/fixtures/%s.json", files[i]);
    subject *s = &subjects[count++];
    *s = (subject){.name = files[i], .max_batch = 32};
    check(qb_profile_load(context, path, &s->profile));
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    check(qb_estimate(s->profile, NULL, 1, NULL, &e));
    s->configuration = e.configuration;
  }
  /* The time of a round, 10 ms for one sample, that does not depend on its size: 50 to 95 %. */
  static const double once[] = {0.5, 0.8, 0.95};
  static const char *const names[] = {"once-50", "once-80", "once-95", "once-80x4"};
  for (int i = 0; i < 4; i++) {
    subject *s = &subjects[count++];
    const double part = i < 3 ? once[i] : 0.8;
    *s = (subject){.name = names[i], .configuration = {i < 3 ? 1 : 4, 1}, .max_batch = MAX_BATCH};
    s->profile =
        scripted_profile(context, &s->configuration, MAX_BATCH, 10 * part, 10 * (1 - part), 1.03);
  }
  const int cells = count * TRAFFICS * LOADS * TARGETS;
  const int first = argc > 2 ? atoi(argv[2]) : 0, end = argc > 3 ? atoi(argv[3]) : cells;
  totals t[2] = {{.worst_rival = INFINITY, .worst_exhaustive = INFINITY},
                 {.worst_rival = INFINITY, .worst_exhaustive = INFINITY}};
  for (int i = first; i < end && i < cells; i++)
    for (int shed = 0; shed < 2; shed++) {
      const cell c = {.subject = &subjects[i / (TRAFFICS * LOADS * TARGETS)],
                      .load = loads[i / TARGETS % LOADS],
                      .target = targets[i % TARGETS],
                      .bursty = i / (LOADS * TARGETS) % TRAFFICS,
                      .shed = shed,
                      .samples = samples};
      run_cell(&c, &t[shed]);
    }
  print_totals("all answer everything", &t[0]);
  print_totals("all may refuse", &t[1]);
  for (int i = 0; i < count; i++)
    qb_profile_unref(subjects[i].profile);
  qb_context_unref(context);
  return 0;
}
