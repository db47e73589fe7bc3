/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "common/files.h"
#include "common/load.h"
#include "common/measure.h"
#include "common/options.h"
#include "common/output.h"
#include "common/precisions.h"
#include "configurations.h"

#include <qosbatch/estimate.h>
#include <qosbatch/inspect.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BATCHES = 8, FEWEST_BATCHES = 2 };

/* A point that was measured again, next to what the profile says of it. */
typedef struct comparison {
  qb_latency_estimate estimated;
  double speed; /* of a thread, as a ratio to when it was profiled */
  int64_t measured_ns;
  double error_pct;
  bool covered;   /* measured within the estimate's 95 % interval */
  bool disturbed; /* the measurement is not to be trusted */
} comparison;

/* By how much rounds of a configuration take longer than estimated, whatever their batch size. */
typedef struct change {
  qb_configuration configuration;
  double pct;
} change;

typedef struct evaluation {
  comparison *points; /* free(points) */
  size_t count, disturbed;
  double mean_pct, max_pct; /* of the absolute errors */
  double coverage95;        /* 0..1 */
  change *changes;          /* free(changes); of configurations with two points or more */
  size_t change_count;
  double change_share; /* of the squared error, that they explain: 0..1; NAN: not known */
} evaluation;

/* Keeps `sorted` ascending and without doubles. */
static void insert(uint32_t *sorted, size_t *count, uint32_t value)
{
  size_t at = *count;
  while (at > 0 && sorted[at - 1] > value)
    at--;
  if (at > 0 && sorted[at - 1] == value)
    return;
  memmove(&sorted[at + 1], &sorted[at], (*count - at) * sizeof *sorted);
  sorted[at] = value;
  (*count)++;
}

/*
 * Chooses up to `most` batch sizes that were not probed, where estimates have to reach farthest:
 * each halves the widest gap, as a ratio, between those probed or chosen so far. Returns how many
 * there are.
 */
static size_t choose_batches(const qb_profile *profile, uint32_t point_count, size_t most,
                             uint32_t chosen[DEFAULT_BATCHES])
{
  uint32_t *known = allocate((size_t)point_count + DEFAULT_BATCHES, sizeof *known);
  size_t known_count = 0, chosen_count = 0;
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &point); i++)
    insert(known, &known_count, point.batch);
  while (chosen_count < most) {
    double widest = 1;
    uint32_t middle = 0;
    for (size_t i = 0; i + 1 < known_count; i++) {
      const double low = known[i], high = known[i + 1];
      if (high - low >= 2 && high / low > widest) {
        widest = high / low;
        middle = (uint32_t)lround(sqrt(low * high));
      }
    }
    if (!middle)
      break;
    insert(known, &known_count, middle);
    insert(chosen, &chosen_count, middle);
  }
  free(known);
  return chosen_count;
}

/* How long it takes to visit each point once. */
static double pass_ns(const qb_profile *profile, const configuration_list *configurations,
                      const uint32_t *batches, size_t count)
{
  const double shortest_visit_ns = 8e7;
  double sum_ns = 0;
  for (size_t k = 0; k < configurations->count; k++)
    for (size_t i = 0; i < count; i++) {
      qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
      if (!qb_estimate(profile, &configurations->items[k], batches[i], NULL, &e))
        sum_ns += fmax((double)e.latency_ns, shortest_visit_ns);
    }
  return sum_ns;
}

/*
 * As many as can be visited ten times each within the budget: fewer points that are measured well
 * tell more of the estimates than many that are not.
 */
static size_t choose_for_budget(const qb_profile *profile, uint32_t point_count,
                                const configuration_list *configurations, double budget_s,
                                uint32_t chosen[DEFAULT_BATCHES])
{
  const double visits = 10;
  const double budget_ns = 1e9 * (budget_s > 0 ? budget_s : 20.0 * (double)configurations->count);
  size_t most = DEFAULT_BATCHES, count;
  do {
    count = choose_batches(profile, point_count, most--, chosen);
  } while (most >= FEWEST_BATCHES &&
           visits * pass_ns(profile, configurations, chosen, count) > budget_ns);
  return count;
}

/* Which measured points are compared; 0 and an empty list stand for any. */
typedef struct selection {
  qb_configuration configuration;
  integer_list batches;
  const char *model; /* where the network is; NULL: by the profile's name */
  const char *int8;  /* and its quantized form; NULL: none */
} selection;

static bool selected(const selection *which, const qb_profile_point *point)
{
  bool batch = !which->batches.count;
  for (size_t i = 0; i < which->batches.count; i++)
    batch = batch || which->batches.values[i] == point->batch;
  const qb_configuration *any = &which->configuration, *c = &point->configuration;
  return batch && (!any->instances || any->instances == c->instances) &&
         (!any->threads || any->threads == c->threads) && any->precision == c->precision;
}

/* c moves with the processor's frequency: rounds follow it as far as past sessions have shown. */
static void follow_speed(comparison *c, const qb_profile_point *point)
{
  qb_latency_estimate *e = &c->estimated;
  c->speed = 1;
  if (!(e->thread_flops_per_s > 0) || !(point->thread_flops_per_s > 0))
    return;
  c->speed = point->thread_flops_per_s / e->thread_flops_per_s;
  const double factor = pow(c->speed, -e->speed_slope);
  e->latency_ns = (int64_t)((double)e->latency_ns * factor);
  e->low_ns = (int64_t)((double)e->low_ns * factor);
  e->high_ns = (int64_t)((double)e->high_ns * factor);
}

static double log_error(const comparison *c)
{
  return log((double)c->measured_ns / (double)c->estimated.latency_ns);
}

/*
 * What the points of a configuration, from `first` to `end`, have in common, and their squared error
 * without it. The mean of n points off by chance alone would explain one of n squares, too.
 */
static double common_error(const evaluation *e, size_t first, size_t end, double *explained)
{
  const double n = (double)(end - first);
  double mean = 0, left = 0;
  for (size_t i = first; i < end; i++)
    mean += log_error(&e->points[i]) / n;
  for (size_t i = first; i < end; i++)
    left += pow(log_error(&e->points[i]) - mean, 2);
  *explained = fmax(n * mean * mean - left / (n - 1), 0);
  return mean;
}

/* The machine's change since the profile: one factor for each configuration. */
static void find_changes(evaluation *e)
{
  double squares = 0, explained = 0;
  e->changes = allocate(e->count, sizeof *e->changes);
  for (size_t first = 0, end; first < e->count; first = end) {
    const qb_configuration *k = &e->points[first].estimated.configuration;
    for (end = first + 1;
         end < e->count && same_configuration(k, &e->points[end].estimated.configuration); end++)
      ;
    if (end - first < 2)
      continue;
    double its;
    const double mean = common_error(e, first, end, &its);
    explained += its;
    for (size_t i = first; i < end; i++)
      squares += pow(log_error(&e->points[i]), 2);
    e->changes[e->change_count++] = (change){*k, 100 * expm1(mean)};
  }
  e->change_share = squares > 0 ? explained / squares : NAN;
}

static int compare(const qb_profile *profile, const qb_profile *measured, const selection *which,
                   evaluation *e)
{
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  qb_profile_get_info(measured, &info);
  e->points = allocate(info.points, sizeof *e->points);
  size_t covered = 0;
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(measured, i, &point); i++) {
    if (!selected(which, &point))
      continue;
    comparison *c = &e->points[e->count++];
    c->estimated = (qb_latency_estimate)QB_LATENCY_ESTIMATE_INIT;
    if (check(qb_estimate(profile, &point.configuration, point.batch, NULL, &c->estimated)))
      return EXIT_FAILED;
    follow_speed(c, &point);
    c->measured_ns = point.latency_ns;
    c->error_pct =
        100.0 * (double)(c->estimated.latency_ns - point.latency_ns) / (double)point.latency_ns;
    c->covered =
        point.latency_ns >= c->estimated.low_ns && point.latency_ns <= c->estimated.high_ns;
    c->disturbed = point.disturbed;
    covered += c->covered;
    e->disturbed += c->disturbed;
    e->mean_pct += fabs(c->error_pct);
    e->max_pct = fmax(e->max_pct, fabs(c->error_pct));
  }
  if (!e->count)
    return fail("no measurement has the requested batch sizes and configurations");
  e->mean_pct /= (double)e->count;
  e->coverage95 = (double)covered / (double)e->count;
  find_changes(e);
  return EXIT_DONE;
}

static void print_as_json(const char *model, const evaluation *e)
{
  json_t *root = object_new();
  add_text(root, "model", model);
  add_number(root, "mean_abs_pct_error", e->mean_pct);
  add_number(root, "max_abs_pct_error", e->max_pct);
  add_number(root, "coverage95", e->coverage95);
  add_integer(root, "disturbed_points", (int64_t)e->disturbed);
  add_number(root, "change_share", e->change_share);
  json_t *changes = add_array(root, "changes");
  for (size_t i = 0; i < e->change_count; i++) {
    json_t *entry = append_object(changes);
    add_configuration(entry, &e->changes[i].configuration);
    add_number(entry, "change_pct", e->changes[i].pct);
  }
  json_t *array = add_array(root, "points");
  for (size_t i = 0; i < e->count; i++) {
    const comparison *c = &e->points[i];
    json_t *entry = append_object(array);
    add_integer(entry, "batch", c->estimated.batch);
    add_configuration(entry, &c->estimated.configuration);
    add_integer(entry, "estimated_ns", c->estimated.latency_ns);
    add_integer(entry, "low_ns", c->estimated.low_ns);
    add_integer(entry, "high_ns", c->estimated.high_ns);
    add_integer(entry, "measured_ns", c->measured_ns);
    add_number(entry, "error_pct", c->error_pct);
    add_text(entry, "source", qb_source_name(c->estimated.source));
    add_bool(entry, "covered", c->covered);
    add_bool(entry, "disturbed", c->disturbed);
    add_number(entry, "speed", c->speed);
  }
  print_json(root);
}

static void print_changes(const evaluation *e)
{
  if (isnan(e->change_share))
    return;
  printf("the machine has changed since the profile: time of a round ");
  for (size_t i = 0; i < e->change_count; i++)
    printf("%s%+.1f %% with %u x %u", i ? ", " : "", e->changes[i].pct,
           e->changes[i].configuration.instances, e->changes[i].configuration.threads);
  printf(" (instances x threads), at all batch sizes; that is %.0f %% of the squared error\n",
         100 * e->change_share);
}

static void print_speeds(const evaluation *e)
{
  double slowest = 1, fastest = 1;
  for (size_t i = 0; i < e->count; i++) {
    slowest = fmin(slowest, e->points[i].speed);
    fastest = fmax(fastest, e->points[i].speed);
  }
  if (slowest >= 0.98 && fastest <= 1.02)
    return;
  const double slope = e->points[0].estimated.speed_slope;
  printf("threads now sustain %.2f to %.2f of their profiled compute power; ", slowest, fastest);
  if (slope > 0)
    printf("estimates follow that to the power of %.2f, as past sessions did\n", slope);
  else
    printf("past sessions do not show that rounds follow it, and estimates do not\n");
}

static void print_as_text(const char *model, const evaluation *e)
{
  static const char *const titles[] = {
      "instances", "threads",       "batch",     "estimated [ms]", "low [ms]",
      "high [ms]", "measured [ms]", "error [%]", "<covered",       "<source",
  };
  printf("%s, estimated against measured\n\n", model);
  table *t = table_new(titles, sizeof titles / sizeof *titles);
  for (size_t i = 0; i < e->count; i++) {
    const comparison *c = &e->points[i];
    table_cell(t, "%u", c->estimated.configuration.instances);
    table_cell(t, "%u", c->estimated.configuration.threads);
    table_cell(t, "%u", c->estimated.batch);
    table_cell(t, "%s", digits(milliseconds(c->estimated.latency_ns)).s);
    table_cell(t, "%s", digits(milliseconds(c->estimated.low_ns)).s);
    table_cell(t, "%s", digits(milliseconds(c->estimated.high_ns)).s);
    table_cell(t, "%s%s", c->disturbed ? "*" : "", digits(milliseconds(c->measured_ns)).s);
    table_cell(t, "%+.1f", c->error_pct);
    table_cell(t, "%s", c->covered ? "yes" : "no");
    table_cell(t, "%s", qb_source_name(c->estimated.source));
  }
  table_print(t);
  print_speeds(e);
  if (e->disturbed)
    printf("* neighbours slowed the cores in most visits: the measurement itself is uncertain\n");
  printf("\nmean error %.1f %%, worst %.1f %%; %.0f %% of the measurements lie in the 95 %% "
         "interval\n",
         e->mean_pct, e->max_pct, 100 * e->coverage95);
  print_changes(e);
  if (2 * e->disturbed > e->count)
    printf("the machine was too busy to judge the estimates; repeat this when it is quieter\n");
}

/* The network of a profile, from `path` if that is not NULL. */
static int load_profiled(qb_context *context, const qb_profile *profile, const selection *which,
                         qb_model **model)
{
  const char *path = which->model;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  int result = check(qb_profile_get_info(profile, &info));
  if (path)
    result = load_model(context, path, model);
  else if (!is_onnx(info.model))
    result = check(qb_model_builtin(context, info.model, model));
  else if (qb_model_load_onnx(context, info.model, model))
    result = fail("%s; use --model to give its path", qb_error_message());
  return result ? result : load_int8(context, which->int8, model);
}

/* Measures the points again, on this node, which must be the profile's. */
static int measure_again(qb_context *context, const char *path, const qb_profile *profile,
                         const selection *which, double budget_s, bool any_node,
                         qb_profile **measured)
{
  qb_model *model = NULL;
  qb_node *node = NULL;
  configuration_list configurations = {NULL, 0};
  uint32_t chosen[DEFAULT_BATCHES];
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  qb_profile_get_info(profile, &info);
  const integer_list *batches = &which->batches;
  int result = configurations_of_profile(profile, &which->configuration, &configurations);
  if (result)
    goto done;
  params.batches = batches->count ? batches->values : chosen;
  params.batch_count =
      batches->count ? batches->count
                     : choose_for_budget(profile, info.points, &configurations, budget_s, chosen);
  if (!params.batch_count) {
    result = fail("%s: no batch size lies between the measured ones; give --batch", path);
    goto done;
  }
  params.like = profile;
  params.configurations = configurations.items;
  params.configuration_count = configurations.count;
  if ((result = load_profiled(context, profile, which, &model)) ||
      (result = check_profile(path, profile, model)) ||
      (result = measure_node(context, reserve_of(RESERVE_USUAL, profile), 0, budget_s, &node,
                             &params.time_budget_ns)))
    goto done;
  if (!any_node && qb_profile_check(profile, NULL, node)) {
    result = fail("%s: %s; --any-node compares anyway", path, qb_error_message());
    goto done;
  }
  if (strcmp(info.engine, qb_engine_version()))
    warn("the profile was measured with %s, this is %s", info.engine, qb_engine_version());
  result = measure_profile(model, node, &params, false, measured);
done:
  free(configurations.items);
  qb_node_unref(node);
  qb_model_unref(model);
  return result;
}

static int run(const command *self, int argc, char **argv)
{
  integer_list batches = {NULL, 0};
  uint64_t instances = 0, threads = 0;
  double budget_s = 0;
  const char *measurements = NULL, *model = NULL, *precision = NULL, *int8 = NULL;
  bool any_node = false, as_json = false;
  const option options[] = {
      OPTION_LIST("batch", "L", &batches, 1, QB_MAX_BATCH,
                  "batch sizes (up to 8 between those of the profile)"),
      OPTION_INTEGER("instances", "I", &instances, 1, 4096,
                     "only configurations of I instances (all)"),
      OPTION_INTEGER("threads", "T", &threads, 1, 4096,
                     "only configurations of T threads per instance (all)"),
      OPTION_STRING(0, "precision", "NAME", &precision, "f32, bf16 or int8 (the first measured)"),
      OPTION_NUMBER("time-budget", "S", &budget_s, 0, 1e6,
                    "seconds to measure in total (20 per configuration)"),
      OPTION_FILE(0, "model", "MODEL", &model, FILE_MODEL,
                  "path of the profiled .onnx file (its name, in this folder)"),
      OPTION_FILE(0, "int8", "FILE", &int8, FILE_READ, "its quantized form"),
      OPTION_FILE(0, "measurements", "FILE", &measurements, FILE_READ,
                  "compare with rounds from a CSV file instead"),
      OPTION_FLAG("any-node", &any_node, "compare even if another node was profiled"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  const char *path = options_parse(self, options, sizeof options / sizeof *options, argc, argv);
  if (measurements && budget_s > 0)
    fail_usage("--time-budget limits measuring, but --measurements were taken already");

  qb_context *context = NULL;
  qb_profile *profile = NULL, *measured = NULL;
  evaluation e = {.points = NULL};
  selection which = {{(uint32_t)instances, (uint32_t)threads}, batches, model, int8};
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  int result;
  if ((result = load_context(&context)) || (result = load_profile(context, path, &profile)) ||
      (result = check(qb_profile_get_info(profile, &info))))
    goto done;
  which.configuration.precision = precision_named(precision, profile);
  if ((result = measurements ? load_measurements(context, measurements, NULL, &measured)
                             : measure_again(context, path, profile, &which, budget_s, any_node,
                                             &measured)) ||
      (result = compare(profile, measured, &which, &e)))
    goto done;
  if (as_json)
    print_as_json(info.model, &e);
  else
    print_as_text(info.model, &e);
done:
  free(e.changes);
  free(e.points);
  free(batches.values);
  qb_profile_unref(measured);
  qb_profile_unref(profile);
  qb_context_unref(context);
  return result;
}

const command command_evaluate = {
    .name = "evaluate",
    .operand = "PROFILE",
    .operand_role = FILE_READ,
    .synopsis = "[options]",
    .summary = "Compare a profile's estimates with measured rounds",
    .details =
        "Measures on this node, which must be the profiled one, or reads rounds from a CSV file "
        "with\nthe columns instances, threads, batch and latency_ns; --batch, --instances and "
        "--threads\nselect some of them. Errors are relative to the measurement. What all batch "
        "sizes "
        "of a\nconfiguration are off by is the change of the machine since the profile.",
    .run = run,
};
