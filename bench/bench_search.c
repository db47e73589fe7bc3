/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays the search of qb_profile_run() over tables of measured rounds: what it visits, how long that
 * would have taken, and what plans made of it lose against plans made of the whole table. Beside it are
 * the three splits that were the default before, a grid and random points, given the same time, and what
 * noise costs a profile that takes the time to measure every point.
 */
#include "replay/account.h"
#include "replay/machines.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEARCH, THREE, GRID, RANDOM, ALL, METHODS };
static const char *const method_names[METHODS] = {"search", "three splits", "grid", "random",
                                                  "every point"};

/* To each point, where every point is measured. */
enum { VISITS_OF_ALL = 6 };

static const char *const usage =
    "usage: ./dev bench search [OPTION...] [FILE.csv | KIND]...\n"
    "  FILE.csv   instances,threads,batch,latency_ns and, if known, p95_ns,mean_ns; or a profile\n"
    "  KIND       smooth, bandwidth, cliff, unequal, noisy: made-up machines, another with every "
    "seed\n"
    "             (all kinds, if nothing is named)\n"
    "  --profile  a profile of the machine of FILE.csv, to be judged in place of a search\n"
    "  --budget   seconds the search has (60)\n"
    "  --unrest   how much longer visits are than in the table: |z| times this, z normal (3)\n"
    "  --opening  seconds that it takes to get a split ready (1)\n"
    "  --seeds    runs of each method (3)\n"
    "  --seed     the first of them (1)\n";

typedef struct options {
  const char *profile;
  double budget_s, unrest, opening_s;
  int seeds, first_seed;
} options;

static void check(qb_status status)
{
  if (status) {
    fprintf(stderr, "search: %s\n", qb_error_message());
    exit(1);
  }
}

typedef struct outcome {
  size_t visits;
  double probe_s, elapsed_s;
  account accounts[QUESTIONS];
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

static bool same_split(const table_point *p, const qb_configuration *split)
{
  return p->instances == split->instances && p->threads == split->threads;
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

/* What is known of a machine that is as unrestful as the visits to it, when every point has had many. */
static table well_known(const table *t, const options *o)
{
  enum { VISITS = 64 };
  replay r = {.table = t, .unrest = o->unrest / 100, .now_ns = 1};
  qb__random_seed(&r.random, 0);
  qb_context *context = replay_context(&r);
  qb__points *curves = calloc(t->split_count, sizeof *curves);
  table_point *points = calloc(t->point_count, sizeof *points);
  if (!curves || !points)
    exit(1);
  const qb__sweep sweep = {.context = context, .curve_count = t->split_count, .curves = curves};
  size_t count = 0;
  for (size_t k = 0; k < t->split_count; k++) {
    curves[k].configuration = t->splits[k];
    for (size_t i = 0; i < t->point_count; i++) {
      if (!same_split(&t->points[i], &t->splits[k]))
        continue;
      for (int v = 0; v < VISITS; v++)
        visit_once(&r, &sweep, k, t->points[i].batch);
      qb__record *record;
      check(qb__points_find(context, &curves[k], t->points[i].batch, &record));
      check(qb__record_finish(context, record, 0));
      points[count] = t->points[i];
      points[count].latency_ns = (double)record->point.latency_ns;
      points[count].p95_ns = (double)record->point.p95_ns;
      points[count++].mean_ns = (double)record->point.mean_ns;
    }
    qb__points_clear(context, &curves[k]);
  }
  free(curves);
  free(r.round_ns);
  qb_context_unref(context);
  return table_of(points, count);
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

static void visit_all(replay *r, const qb__sweep *sweep)
{
  const table *t = r->table;
  for (int v = 0; v < VISITS_OF_ALL; v++)
    for (size_t k = 0; k < t->split_count; k++)
      for (size_t b = 0; b < t->batch_count; b++)
        if (table_find(t, &t->splits[k], t->batches[b]))
          visit_once(r, sweep, k, t->batches[b]);
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
static outcome try_method(const table *t, judge *j, int method, const options *o, int seed,
                          double budget_ns)
{
  replay r = {.table = t,
              .unrest = o->unrest / 100,
              .opening_ns = (int64_t)(1e9 * o->opening_s),
              .now_ns = 1};
  qb__random_seed(&r.random, (uint64_t)seed);
  qb_context *context = replay_context(&r);
  qb__points *curves = calloc(t->split_count, sizeof *curves);
  qb__sweep sweep = {.context = context,
                     .visitor = &replay_visitor,
                     .curves = curves,
                     .batch_count = t->batch_count,
                     .batches = t->batches,
                     .budget_ns = (int64_t)budget_ns,
                     .goal = 0.01};
  if (!curves)
    exit(1);
  sweep_over(&r, &sweep, method);
  if (method == GRID)
    visit_grid(&r, &sweep, budget_ns);
  if (method == RANDOM)
    visit_at_random(&r, &sweep, budget_ns);
  if (method == ALL)
    visit_all(&r, &sweep);
  qb_profile *profile = found(context, &sweep);
  outcome out = {
      .visits = r.visits, .probe_s = r.probe_ns / 1e9, .elapsed_s = (double)r.now_ns / 1e9};
  account_for(j, profile, out.accounts);
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
    const double regret = o->accounts[q].ruling.regret;
    s->mean += regret / QUESTIONS;
    s->by_question[q] += regret;
    s->worst_run = fmax(s->worst_run, regret);
    s->by_kind[q == JOB ? 2 : q / TARGETS] += regret / (q == JOB ? 1 : TARGETS);
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

/* Every method once. */
static void replay_once(const table *t, judge *j, const options *o, int seed, summary of[METHODS])
{
  double budget_ns = 1e9 * o->budget_s, floors[QUESTIONS];
  outcome out[METHODS];
  for (int m = 0; m < METHODS; m++) {
    out[m] = try_method(t, j, m, o, seed, m == THREE ? 1e9 * o->budget_s : budget_ns);
    add(&of[m], &out[m]);
    if (m == SEARCH)
      budget_ns = 1e9 * out[m].probe_s;
  }
  for (size_t q = 0; q < QUESTIONS; q++)
    floors[q] = out[ALL].accounts[q].ruling.regret;
  printf("  seed %d\n", seed);
  account_print(out[SEARCH].accounts, floors);
}

static const char *const titles = "%-14s %7s %9s %9s %8s %8s %8s %8s %8s %9s\n";

static void print_all(const options *o, const summary of[METHODS], totals *all)
{
  printf(titles, "regret [%]", "visits", "probes[s]", "all[s]", "rate", "latency", "job", "mean",
         "worst", "worst run");
  for (int m = 0; m < METHODS; m++)
    print(method_names[m], &of[m]);
  all->files++;
  all->mean += of[SEARCH].mean / o->seeds;
  all->worst = fmax(all->worst, worst_of(&of[SEARCH]));
  all->probe_s += of[SEARCH].probe_s / o->seeds;
}

static void replay_file(const char *path, const options *o, totals *all)
{
  table t = table_read(path), known = well_known(&t, o);
  judge *j = judge_new(&known);
  summary of[METHODS] = {0};
  printf("%s: %zu splits, %zu points, %.0f s for one visit to each\n", path, t.split_count,
         t.point_count, full_s(&t));
  for (int i = 0; i < o->seeds; i++)
    replay_once(&t, j, o, o->first_seed + i, of);
  print_all(o, of, all);
  judge_free(j);
  table_free(&known);
  table_free(&t);
}

/* False: there is no such kind. */
static bool replay_machines(const char *kind, const options *o, totals *all)
{
  summary of[METHODS] = {0};
  for (int seed = o->first_seed; seed < o->first_seed + o->seeds; seed++) {
    table t;
    if (!machine_made(kind, (uint64_t)seed, &t))
      return false;
    table known = well_known(&t, o);
    judge *j = judge_new(&known);
    replay_once(&t, j, o, seed, of);
    judge_free(j);
    table_free(&known);
    table_free(&t);
  }
  printf("%s: machines %d to %d\n", kind, o->first_seed, o->first_seed + o->seeds - 1);
  print_all(o, of, all);
  return true;
}

/* What profiles lose that know every point as well as the table does. */
static void measure_again(const table *t, judge *j, double floors[QUESTIONS])
{
  enum { TABLES = 16 };
  qb__random_stream random;
  summary of = {0};
  qb__random_seed(&random, 1);
  replay still = {.now_ns = 1};
  qb_context *context = replay_context(&still);
  for (int i = 0; i < TABLES; i++) {
    table again = table_again(t, &random);
    qb_profile *profile = table_truth(context, &again);
    outcome out = {0};
    account_for(j, profile, out.accounts);
    add(&of, &out);
    qb_profile_unref(profile);
    table_free(&again);
  }
  qb_context_unref(context);
  for (size_t q = 0; q < QUESTIONS; q++)
    floors[q] = of.by_question[q] / TABLES;
  printf("  the table measured again would lose %.1f %%, %.1f %% in the worst question\n",
         100 * of.mean / TABLES, 100 * worst_of(&of));
}

/* What a profile that was measured beside the table loses. */
static void judge_file(const char *path, const char *profile_path, totals *all)
{
  table t = table_read(path);
  judge *j = judge_new(&t);
  qb_context *context;
  qb_profile *profile;
  check(qb_context_new(NULL, &context));
  check(qb_profile_load(context, profile_path, &profile));
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  check(qb_profile_get_info(profile, &info));
  outcome out = {.probe_s = (double)info.measure_ns / 1e9};
  double floors[QUESTIONS];
  account_for(j, profile, out.accounts);
  summary of = {0};
  add(&of, &out);
  measure_again(&t, j, floors);
  account_print(out.accounts, floors);
  all->files++;
  all->mean += of.mean;
  all->worst = fmax(all->worst, worst_of(&of));
  all->probe_s += out.probe_s;
  qb_profile_unref(profile);
  qb_context_unref(context);
  judge_free(j);
  table_free(&t);
}

static void fail_usage(void)
{
  fputs(usage, stderr);
  exit(2);
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
    else if (!strcmp(argv[i], "--seed"))
      o->first_seed = (int)value;
    else if (!strcmp(argv[i], "--profile"))
      o->profile = argv[i + 1];
    else
      break;
  }
  if ((i < argc && argv[i][0] == '-') || !(o->budget_s > 0) || o->seeds < 1 || o->first_seed < 0)
    fail_usage();
  return i;
}

int main(int argc, char **argv)
{
  options o = {NULL, 60, 3, 1, 3, 1};
  totals all = {0};
  const int first = read_options(argc, argv, &o);
  for (int i = first; i < argc; i++)
    if (o.profile)
      judge_file(argv[i], o.profile, &all);
    else if (!replay_machines(argv[i], &o, &all))
      replay_file(argv[i], &o, &all);
  for (int k = 0; k < MACHINE_KINDS && first == argc; k++)
    (void)replay_machines(machine_kinds[k], &o, &all);
  printf("{\"regret_mean\": %.4f, \"regret_worst\": %.4f, \"probe_s\": %.1f}\n",
         all.mean / all.files, all.worst, all.probe_s / all.files);
  return 0;
}
