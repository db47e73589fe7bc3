/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays the search of qb_profile_run() over tables of measured rounds: what it visits, how long that
 * would have taken, and what plans made of it lose against plans made of the whole table. Beside it are
 * the three splits that were the default before, a grid and random points, given the same time.
 */
#include "replay/table.h"

#include <qosbatch/lab.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Targets, over the shortest round of one sample. */
static const double targets[] = {1.5, 2, 3, 5, 8, 12, 20};
enum { TARGETS = sizeof targets / sizeof *targets };

/* The highest rate held within each target, the least latency at half of it, the least time of a job. */
enum { QUESTIONS = 2 * TARGETS + 1, JOB = QUESTIONS - 1, JOB_SAMPLES = 10000 };

enum { SEARCH, THREE, GRID, RANDOM, METHODS };
static const char *const method_names[METHODS] = {"search", "three splits", "grid", "random"};

static const char *const usage =
    "usage: ./dev bench search [--budget S] [--unrest PCT] [--opening S] [--seeds N] FILE.csv...\n"
    "  FILE.csv   instances,threads,batch,latency_ns and, if known, p95_ns,mean_ns\n"
    "  --budget   seconds the search has (60)\n"
    "  --unrest   how much longer visits are than in the table: |z| times this, z normal (3)\n"
    "  --opening  seconds that it takes to get a split ready (1)\n"
    "  --seeds    runs of each method (3)\n";

typedef struct options {
  double budget_s, unrest, opening_s;
  int seeds;
} options;

static void check(qb_status status)
{
  if (status) {
    fprintf(stderr, "search: %s\n", qb_error_message());
    exit(1);
  }
}

/* Answers known already: judging one takes longer than a search. */
typedef struct judged {
  size_t question;
  qb_configuration split;
  uint32_t batch;
  double value;
} judged;

typedef struct judge {
  const table *table;
  qb_context *context;
  qb_profile *truth;
  int64_t target_ns[TARGETS];
  double rate_per_s[TARGETS], best[QUESTIONS];
  judged *known;
  size_t known_count;
} judge;

typedef struct choice {
  bool made;
  qb_configuration split;
  uint32_t batch;
  double value; /* more is better */
} choice;

static choice plan_service(const judge *j, qb_profile *profile, size_t question)
{
  const size_t t = question % TARGETS;
  const bool highest = question < TARGETS;
  qb_qos qos = QB_QOS_INIT;
  qb_load load = QB_LOAD_INIT;
  qos.objective = highest ? QB_OBJECTIVE_RATE : QB_OBJECTIVE_LATENCY;
  if (highest)
    qos.latency_ns = j->target_ns[t];
  else
    load.rate_per_s = j->rate_per_s[t];
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  check(qb_plan_service(&profile, 1, &load, &qos, &plan, NULL));
  return (choice){plan.feasible, plan.configuration, plan.batch,
                  highest ? plan.max_rate_per_s : 1e9 / (double)plan.latency_ns};
}

static choice plan_job(qb_profile *profile)
{
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  qb_job job = QB_JOB_INIT;
  job.samples = JOB_SAMPLES;
  check(qb_plan_job(&profile, 1, &job, NULL, &plan, NULL));
  return (choice){plan.feasible, plan.configuration, plan.batch, 1e9 / (double)plan.total_ns};
}

static choice answer(const judge *j, qb_profile *profile, size_t question)
{
  return question == JOB ? plan_job(profile) : plan_service(j, profile, question);
}

static bool same_split(const qb_configuration *a, const qb_configuration *b)
{
  return a->instances == b->instances && a->threads == b->threads;
}

/* The table's rounds of one split, of no more samples than `batch`, which is the last. */
static qb_profile *truth_of(const judge *j, const qb_configuration *split, uint32_t batch)
{
  qb_profile_point *points = calloc(j->table->batch_count + 1, sizeof *points);
  size_t count = 0;
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; points && !qb_profile_get_point(j->truth, i, &p); i++)
    if (same_split(&p.configuration, split) && p.batch < batch)
      points[count++] = p;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  check(qb_estimate(j->truth, split, batch, NULL, &e));
  p = (qb_profile_point)QB_PROFILE_POINT_INIT;
  p.configuration = *split;
  p.batch = batch;
  p.latency_ns = p.low_ns = p.high_ns = e.latency_ns;
  p.p95_ns = e.p95_ns;
  p.mean_ns = e.mean_ns;
  points[count++] = p;
  qb_profile *made = replay_profile(j->context, points, count);
  free(points);
  return made;
}

/* What a choice is worth by the table. */
static double judge_choice(judge *j, size_t question, const choice *c)
{
  if (!c->made)
    return 0;
  for (size_t i = 0; i < j->known_count; i++)
    if (j->known[i].question == question && same_split(&j->known[i].split, &c->split) &&
        j->known[i].batch == c->batch)
      return j->known[i].value;
  qb_profile *truth = truth_of(j, &c->split, c->batch);
  const choice real = answer(j, truth, question);
  qb_profile_unref(truth);
  const judged made = {question, c->split, c->batch, real.made ? real.value : 0};
  j->known = realloc(j->known, (j->known_count + 1) * sizeof *j->known);
  if (!j->known)
    exit(1);
  j->known[j->known_count++] = made;
  return made.value;
}

static judge judge_new(const table *t, qb_context *context)
{
  judge j = {.table = t, .context = context, .truth = table_truth(context, t)};
  double shortest_ns = INFINITY;
  for (size_t i = 0; i < t->point_count; i++)
    if (t->points[i].batch == t->batches[0])
      shortest_ns = fmin(shortest_ns, t->points[i].latency_ns);
  for (size_t q = 0; q < QUESTIONS; q++) {
    if (q < TARGETS)
      j.target_ns[q] = (int64_t)(targets[q] * shortest_ns);
    const choice best = answer(&j, j.truth, q);
    j.best[q] = best.made ? best.value : 0;
    if (q < TARGETS)
      j.rate_per_s[q] = best.value / 2;
  }
  return j;
}

typedef struct outcome {
  size_t visits;
  double probe_s, elapsed_s;
  double regret[QUESTIONS];
} outcome;

/* What was seen, as a profile. */
static qb_profile *found(qb_context *context, const qb__sweep *sweep)
{
  size_t count = 0;
  for (size_t k = 0; k < sweep->curve_count; k++)
    count += sweep->curves[k].count;
  qb_profile_point *points = calloc(count + 1, sizeof *points);
  count = 0;
  for (size_t k = 0; points && k < sweep->curve_count; k++)
    for (size_t i = 0; i < sweep->curves[k].count; i++) {
      qb__record *record = &sweep->curves[k].records[i];
      if (!record->visit_count)
        continue;
      if (!record->point.visits)
        check(qb__record_finish(context, record, 0));
      points[count++] = record->point;
    }
  qb_profile *made = replay_profile(context, points, count);
  free(points);
  return made;
}

/* One visit of a round at the least, as the sweep's are. */
static void visit_once(replay *r, const qb__sweep *sweep, size_t k, uint32_t batch)
{
  qb__record *record;
  qb__visit seen;
  replay_run run = {r, sweep};
  r->open = &sweep->curves[k].configuration;
  check(qb__points_find(sweep->context, &sweep->curves[k], batch, &record));
  const double least_ns = 5e7, rounds = record->last_ns ? least_ns / (double)record->last_ns : 1;
  check(replay_visitor.visit(&run, batch, (uint32_t)fmin(fmax(rounds, 1), QB__MOST_ROUNDS), batch,
                             &seen));
  check(qb__record_add(sweep->context, record, &seen));
}

/* By rising batch, all splits in turn, again and again. */
static void visit_grid(replay *r, const qb__sweep *sweep, double budget_ns)
{
  const table *t = r->table;
  for (size_t i = 0; r->probe_ns < budget_ns; i++) {
    const size_t k = i % t->split_count, b = i / t->split_count % t->batch_count;
    if (table_find(t, &t->splits[k], t->batches[b]))
      visit_once(r, sweep, k, t->batches[b]);
  }
}

static void visit_at_random(replay *r, const qb__sweep *sweep, double budget_ns)
{
  const table *t = r->table;
  while (r->probe_ns < budget_ns) {
    const size_t k = qb__random_bits(&r->random) % t->split_count;
    const size_t b = qb__random_bits(&r->random) % t->batch_count;
    if (table_find(t, &t->splits[k], t->batches[b]))
      visit_once(r, sweep, k, t->batches[b]);
  }
}

/* The most threads in all, and one. */
static bool was_default(const table *t, const qb_configuration *split)
{
  uint32_t most = 1;
  for (size_t k = 0; k < t->split_count; k++)
    if (t->splits[k].instances * t->splits[k].threads > most)
      most = t->splits[k].instances * t->splits[k].threads;
  const qb_configuration *c = split;
  return (c->instances == 1 && (c->threads == 1 || c->threads == most)) ||
         (c->instances == most && c->threads == 1);
}

static void sweep_over(replay *r, qb__sweep *sweep, int method)
{
  const table *t = r->table;
  double *prior_ns = calloc(t->split_count * t->batch_count, sizeof *prior_ns);
  if (!prior_ns)
    exit(1);
  for (size_t k = 0; k < t->split_count; k++) {
    qb__points *c = &sweep->curves[sweep->curve_count];
    if (method == THREE && !was_default(t, &t->splits[k]))
      continue;
    c->configuration = t->splits[k];
    for (size_t b = 0; b < t->batch_count; b++)
      if (table_find(t, &t->splits[k], t->batches[b])) {
        prior_ns[sweep->curve_count * t->batch_count + b] =
            1e6 * t->batches[b] / t->splits[k].threads;
        if (method == THREE || t->split_count <= 3)
          check(qb__points_add(sweep->context, c, t->batches[b]));
      }
    sweep->curve_count++;
  }
  replay_run run = {r, sweep};
  sweep->user = &run;
  sweep->prior_ns = method == SEARCH && t->split_count > 3 ? prior_ns : NULL;
  if (method == SEARCH || method == THREE)
    check(qb__sweep_run(sweep));
  free(prior_ns);
}

/* `budget_ns`: of the sweeps all time, of the others that of their visits. */
static outcome try_method(judge *j, int method, const options *o, int seed, double budget_ns)
{
  replay r = {.table = j->table,
              .unrest = o->unrest / 100,
              .opening_ns = (int64_t)(1e9 * o->opening_s),
              .now_ns = 1};
  qb__random_seed(&r.random, (uint64_t)seed);
  qb_context *context = replay_context(&r);
  qb__points *curves = calloc(j->table->split_count, sizeof *curves);
  qb__sweep sweep = {.context = context,
                     .visitor = &replay_visitor,
                     .curves = curves,
                     .batch_count = j->table->batch_count,
                     .batches = j->table->batches,
                     .budget_ns = (int64_t)budget_ns,
                     .goal = 0.01};
  if (!curves)
    exit(1);
  sweep_over(&r, &sweep, method);
  if (method == GRID)
    visit_grid(&r, &sweep, budget_ns);
  if (method == RANDOM)
    visit_at_random(&r, &sweep, budget_ns);
  qb_profile *profile = found(context, &sweep);
  outcome out = {r.visits, r.probe_ns / 1e9, (double)r.now_ns / 1e9, {0}};
  for (size_t q = 0; q < QUESTIONS; q++) {
    const choice c = answer(j, profile, q);
    out.regret[q] = j->best[q] > 0 ? fmax(0, 1 - judge_choice(j, q, &c) / j->best[q]) : 0;
  }
  qb_profile_unref(profile);
  for (size_t k = 0; k < sweep.curve_count; k++)
    qb__points_clear(context, &curves[k]);
  free(curves);
  free(r.round_ns);
  qb_context_unref(context);
  return out;
}

typedef struct summary {
  double visits, probe_s, elapsed_s;
  double mean, by_kind[3]; /* rate, latency, job */
  double by_question[QUESTIONS], worst_run;
  size_t runs;
} summary;

static void add(summary *s, const outcome *o)
{
  s->runs++;
  s->visits += (double)o->visits;
  s->probe_s += o->probe_s;
  s->elapsed_s += o->elapsed_s;
  for (size_t q = 0; q < QUESTIONS; q++) {
    s->mean += o->regret[q] / QUESTIONS;
    s->by_question[q] += o->regret[q];
    s->worst_run = fmax(s->worst_run, o->regret[q]);
    s->by_kind[q == JOB ? 2 : q / TARGETS] += o->regret[q] / (q == JOB ? 1 : TARGETS);
  }
}

/* The question that loses most. */
static double worst_of(const summary *s)
{
  double worst = 0;
  for (size_t q = 0; q < QUESTIONS; q++)
    worst = fmax(worst, s->by_question[q] / (double)s->runs);
  return worst;
}

static void print(const char *name, const summary *s)
{
  const double n = (double)s->runs;
  printf("%-14s %7.0f %9.1f %9.1f %8.1f %8.1f %8.1f %8.1f %8.1f %9.1f\n", name, s->visits / n,
         s->probe_s / n, s->elapsed_s / n, 100 * s->by_kind[0] / n, 100 * s->by_kind[1] / n,
         100 * s->by_kind[2] / n, 100 * s->mean / n, 100 * worst_of(s), 100 * s->worst_run);
}

/* Of the search, over files. */
typedef struct totals {
  double mean, worst, probe_s;
  int files;
} totals;

/* What one visit to each point takes. */
static double full_s(const table *t)
{
  double ns = 0;
  for (size_t i = 0; i < t->point_count; i++)
    ns += fmax(t->points[i].latency_ns, 5e7);
  return ns / 1e9;
}

static void replay_file(const char *path, const options *o, totals *all)
{
  table t = table_read(path);
  replay still = {.now_ns = 1};
  qb_context *context = replay_context(&still);
  judge j = judge_new(&t, context);
  summary of[METHODS] = {0};
  for (int seed = 1; seed <= o->seeds; seed++) {
    double budget_ns = 1e9 * o->budget_s;
    for (int m = 0; m < METHODS; m++) {
      const outcome out = try_method(&j, m, o, seed, m == THREE ? 1e9 * o->budget_s : budget_ns);
      add(&of[m], &out);
      if (m == SEARCH) {
        budget_ns = 1e9 * out.probe_s;
      }
    }
  }
  printf("%s: %zu splits, %zu points, %.0f s for one visit to each\n", path, t.split_count,
         t.point_count, full_s(&t));
  printf("%-14s %7s %9s %9s %8s %8s %8s %8s %8s %9s\n", "regret [%]", "visits", "probes[s]",
         "all[s]", "rate", "latency", "job", "mean", "worst", "worst run");
  for (int m = 0; m < METHODS; m++)
    print(method_names[m], &of[m]);
  all->files++;
  all->mean += of[SEARCH].mean / o->seeds;
  all->worst = fmax(all->worst, worst_of(&of[SEARCH]));
  all->probe_s += of[SEARCH].probe_s / o->seeds;
  qb_profile_unref(j.truth);
  free(j.known);
  qb_context_unref(context);
  table_free(&t);
}

static int read_options(int argc, char **argv, options *o)
{
  int i = 1;
  for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
    const double value = atof(argv[i + 1]);
    if (!strcmp(argv[i], "--budget"))
      o->budget_s = value;
    else if (!strcmp(argv[i], "--unrest"))
      o->unrest = value;
    else if (!strcmp(argv[i], "--opening"))
      o->opening_s = value;
    else if (!strcmp(argv[i], "--seeds"))
      o->seeds = (int)value;
    else
      break;
  }
  if (i >= argc || argv[i][0] == '-' || !(o->budget_s > 0) || o->seeds < 1) {
    fputs(usage, stderr);
    exit(2);
  }
  return i;
}

int main(int argc, char **argv)
{
  options o = {60, 3, 1, 3};
  totals all = {0};
  for (int i = read_options(argc, argv, &o); i < argc; i++)
    replay_file(argv[i], &o, &all);
  printf("{\"regret_mean\": %.4f, \"regret_worst\": %.4f, \"probe_s\": %.1f}\n",
         all.mean / all.files, all.worst, all.probe_s / all.files);
  return 0;
}
