/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "common/load.h"
#include "common/options.h"
#include "common/output.h"
#include "common/precisions.h"
#include "configurations.h"
#include "trace.h"

#include <qosbatch/simulate.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ENTRANTS = 32 };

/* A policy that takes part, and what it made of it. */
typedef struct entrant {
  const char *policy;
  bool tuned;
  qb_simulation_report report;
} entrant;

typedef struct entrants {
  entrant items[MOST_ENTRANTS];
  size_t count;
} entrants;

static bool has_settings(const char *policy)
{
  return strcmp(policy, "qosbatch") && strcmp(policy, "exhaustive") &&
         strcmp(policy, "no-batching");
}

static void add(entrants *list, const char *policy, bool tuned)
{
  for (size_t i = 0; i < list->count; i++)
    if (list->items[i].policy == policy && list->items[i].tuned == tuned)
      return;
  if (list->count < MOST_ENTRANTS)
    list->items[list->count++] = (entrant){policy, tuned, QB_SIMULATION_REPORT_INIT};
}

static void add_named(entrants *list, const char *name, size_t length, bool tuned)
{
  const bool all = length == 3 && !strncmp(name, "all", 3);
  bool found = false;
  const char *its;
  for (uint32_t p = 0; (its = qb_policy_name(p)); p++) {
    if (!all && (strlen(its) != length || strncmp(its, name, length)))
      continue;
    found = true;
    if (all || !tuned || !has_settings(its))
      add(list, its, false);
    if (tuned && has_settings(its))
      add(list, its, true);
  }
  if (!found)
    fail_usage("unknown policy '%.*s'; expected 'all', 'qosbatch', 'exhaustive', 'no-batching', "
               "'fixed-batch', 'tensorflow-serving', 'triton', 'bentoml', 'clipper-aimd' or "
               "'clipper-deadline'",
               (int)length, name);
}

static void add_listed(entrants *list, const char *names, bool tuned)
{
  for (;;) {
    const size_t length = strcspn(names, ",");
    add_named(list, names, length, tuned);
    if (!names[length])
      return;
    names += length + 1;
  }
}

static const char *const arrivals_names[] = {"poisson", "mmpp", "on-off", "diurnal", "trace"};

static qb_arrivals find_arrivals(const char *name)
{
  for (int a = QB_ARRIVALS_POISSON; a < QB_ARRIVALS_TRACE; a++)
    if (!strcmp(name, arrivals_names[a]))
      return (qb_arrivals)a;
  fail_usage("unknown arrivals '%s'; expected poisson, mmpp, on-off or diurnal, or --trace FILE",
             name);
}

static void print_as_json(const char *model, const qb_traffic *traffic, const entrants *list)
{
  json_t *root = object_new();
  add_text(root, "model", model);
  add_text(root, "arrivals", arrivals_names[traffic->arrivals]);
  json_t *array = add_array(root, "policies");
  for (size_t i = 0; i < list->count; i++) {
    const qb_simulation_report *r = &list->items[i].report;
    json_t *entry = append_object(array);
    add_text(entry, "name", list->items[i].policy);
    add_bool(entry, "tuned", list->items[i].tuned);
    add_integer(entry, "samples", (int64_t)r->samples);
    add_integer(entry, "answered", (int64_t)r->answered);
    add_integer(entry, "p50_ns", r->p50_ns);
    add_integer(entry, "p95_ns", r->p95_ns);
    add_integer(entry, "p99_ns", r->p99_ns);
    add_integer(entry, "latency_ns", r->latency_ns);
    add_number(entry, "mean_latency_ns", r->mean_latency_ns);
    add_number(entry, "within_slo", r->within_slo);
    add_number(entry, "rate", r->rate_per_s);
    add_number(entry, "throughput", r->throughput_per_s);
    add_number(entry, "goodput", r->goodput_per_s);
    add_number(entry, "utilisation", r->utilisation);
    add_number(entry, "mean_batch", r->mean_batch);
    add_number(entry, "cost_per_million", r->cost_per_million);
    add_integer(entry, "events", (int64_t)r->events);
    add_integer(entry, "batch", r->batch);
    add_integer(entry, "max_wait_us", r->max_wait_ns / 1000);
  }
  print_json(root);
}

static void print_as_text(const char *model, const qb_configuration *c, const qb_traffic *traffic,
                          const qb_qos *qos, const entrants *list)
{
  static const char *const titles[] = {"<policy",  "within SLO", "goodput/s",
                                       "p50 [ms]", "p95 [ms]",   "p99 [ms]",
                                       "busy",     "mean batch", "per million"};
  printf("%s, %s, %s arrivals, %s samples/s, target %s\n\n", model, human_configuration(c).s,
         arrivals_names[traffic->arrivals], digits(list->items[0].report.rate_per_s).s,
         human_time(qos->latency_ns).s);
  table *t = table_new(titles, sizeof titles / sizeof *titles);
  for (size_t i = 0; i < list->count; i++) {
    const qb_simulation_report *r = &list->items[i].report;
    table_cell(t, "%s%s", list->items[i].policy, list->items[i].tuned ? ", tuned" : "");
    table_cell(t, "%.2f %%", 100 * r->within_slo);
    table_cell(t, "%s", digits(r->goodput_per_s).s);
    table_cell(t, "%s", digits(milliseconds(r->p50_ns)).s);
    table_cell(t, "%s", digits(milliseconds(r->p95_ns)).s);
    table_cell(t, "%s", digits(milliseconds(r->p99_ns)).s);
    table_cell(t, "%.0f %%", 100 * r->utilisation);
    table_cell(t, "%s", digits(r->mean_batch).s);
    table_cell(t, "%s", r->cost_per_million > 0 ? digits(r->cost_per_million).s : "-");
  }
  table_print(t);
}

/* What the options say of the arrivals; 0: not given, the library's default. */
typedef struct shape {
  double burst_ratio, burst_share, burst_s, swing, period_s;
} shape;

/* An option that the arrivals have no use for is refused rather than ignored. */
static void take_shape(const shape *form, qb_traffic *traffic)
{
  const bool is_mmpp = traffic->arrivals == QB_ARRIVALS_MMPP;
  const bool has_bursts = is_mmpp || traffic->arrivals == QB_ARRIVALS_ON_OFF;
  const bool is_diurnal = traffic->arrivals == QB_ARRIVALS_DIURNAL;
  const struct {
    const char *name, *kinds;
    bool given, used;
  } all[] = {
      {"burst-ratio", "mmpp", form->burst_ratio > 0, is_mmpp},
      {"burst-share", "mmpp or on-off", form->burst_share > 0, has_bursts},
      {"burst-length", "mmpp or on-off", form->burst_s > 0, has_bursts},
      {"swing", "diurnal", form->swing > 0, is_diurnal},
      {"period", "diurnal", form->period_s > 0, is_diurnal},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i].given && !all[i].used)
      fail_usage("--%s needs other arrivals: expected --arrivals %s, too", all[i].name,
                 all[i].kinds);
  traffic->burst_ratio = form->burst_ratio;
  traffic->burst_share = form->burst_share;
  traffic->swing = form->swing;
  traffic->burst_ns = (int64_t)ceil(form->burst_s * 1e9);
  traffic->period_ns = (int64_t)ceil(form->period_s * 1e9);
}

static int run(const command *self, int argc, char **argv)
{
  double latency_ms = 0, percentile = 0;
  shape form = {0, 0, 0, 0, 0};
  uint64_t samples = 0, seed = 1, instances = 0, threads = 0, max_batch = 0, max_queued = 0;
  const char *names = "qosbatch", *arrivals = "poisson", *path_of_trace = NULL;
  const char *precision = NULL;
  bool as_json = false, tuned = false, answer_late = false;
  qb_traffic traffic = QB_TRAFFIC_INIT;
  const option options[] = {
      OPTION_NUMBER("rate", "R", &traffic.rate_per_s, 0, 1e9, "samples that arrive per second"),
      OPTION_NUMBER("latency", "MS", &latency_ms, 0, 1e9,
                    "latency target in milliseconds, arrival to answer (required)"),
      OPTION_PERCENT("percentile", "P", &percentile, "percentile to report (99)"),
      OPTION_STRING(0, "policy", "L", &names, "policies, separated by commas, or all (qosbatch)"),
      OPTION_FLAG("tuned", &tuned, "also search for the other servers' best settings"),
      OPTION_INTEGER("requests", "N", &samples, 1, 1e9, "number of samples (100000; trace: all)"),
      OPTION_INTEGER("seed", "S", &seed, 0, 1e15, "seed of the random numbers (1)"),
      OPTION_STRING(0, "arrivals", "KIND", &arrivals, "poisson, mmpp, on-off, diurnal (poisson)"),
      OPTION_NUMBER("burst-ratio", "X", &form.burst_ratio, 1, 1e6,
                    "mmpp: rate in a burst over that between (5)"),
      OPTION_NUMBER("burst-share", "X", &form.burst_share, 0, 1,
                    "mmpp, on-off: share of the time in bursts (0.2)"),
      OPTION_NUMBER("burst-length", "S", &form.burst_s, 0, 1e6,
                    "mmpp, on-off: mean seconds of a burst (1)"),
      OPTION_NUMBER("swing", "X", &form.swing, 0, 1, "diurnal: relative swing of the rate (0.8)"),
      OPTION_NUMBER("period", "S", &form.period_s, 0, 1e6, "diurnal: period in seconds (60)"),
      OPTION_FILE(0, "trace", "FILE", &path_of_trace, FILE_READ,
                  "file of arrival times in seconds, one per line"),
      OPTION_INTEGER("instances", "I", &instances, 1, 4096, "instances, one round each"),
      OPTION_INTEGER("threads", "T", &threads, 1, 4096, "threads per instance"),
      OPTION_STRING(0, "precision", "NAME", &precision, "f32, bf16 or int8 (the first measured)"),
      OPTION_INTEGER("max-batch", "N", &max_batch, 1, QB_MAX_BATCH,
                     "largest batch (the largest measured)"),
      OPTION_INTEGER("queue-limit", "N", &max_queued, 1, UINT32_MAX,
                     "most samples in the queue (no limit)"),
      OPTION_FLAG("answer-late", &answer_late, "qosbatch answers late instead of refusing"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  const char *path = options_parse(self, options, sizeof options / sizeof *options, argc, argv);
  if (!(latency_ms > 0))
    fail_usage("expected --latency MS, the target to judge answers by");
  if (!(traffic.rate_per_s > 0) == !path_of_trace)
    fail_usage("expected either --rate R or --trace FILE");
  entrants list = {.count = 0};
  add_listed(&list, names, tuned);
  traffic.arrivals = path_of_trace ? QB_ARRIVALS_TRACE : find_arrivals(arrivals);
  take_shape(&form, &traffic);

  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = (int64_t)ceil(latency_ms * 1e6);
  qos.percentile = percentile;
  qos.shed = !answer_late;
  qb_simulation simulation = QB_SIMULATION_INIT;
  simulation.max_batch = (uint32_t)max_batch;
  simulation.samples = samples;
  simulation.seed = seed;
  simulation.max_queued = (uint32_t)max_queued;

  qb_context *context = NULL;
  qb_profile *profile = NULL;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  qb_configuration configuration;
  trace times = {NULL, 0};
  int result;
  if ((result = load_context(&context)) || (result = load_profile(context, path, &profile)) ||
      (result = check(qb_profile_get_info(profile, &info))) ||
      (result = configuration_of_profile(profile,
                                         &(qb_configuration){(uint32_t)instances, (uint32_t)threads,
                                                             precision_named(precision, profile)},
                                         &configuration)) ||
      (path_of_trace && (result = trace_read(path_of_trace, 1e9, true, &times))))
    goto done;
  traffic.times_ns = times.times_ns;
  traffic.time_count = times.count;
  for (size_t i = 0; i < list.count; i++) {
    simulation.policy = list.items[i].policy;
    simulation.tuned = list.items[i].tuned;
    if ((result = check(qb_simulate(profile, &configuration, &traffic, &qos, &simulation,
                                    &list.items[i].report))))
      goto done;
  }
  if (as_json)
    print_as_json(info.model, &traffic, &list);
  else
    print_as_text(info.model, &configuration, &traffic, &qos, &list);
done:
  free(times.times_ns);
  qb_profile_unref(profile);
  qb_context_unref(context);
  return result;
}

const command command_simulate = {
    .name = "simulate",
    .operand = "PROFILE",
    .operand_role = FILE_READ,
    .synopsis = "(--rate R | --trace FILE) --latency MS [options]",
    .summary = "Simulate a service under load, by our policy or another server's",
    .details = "No network is run; rounds take as long as the profile says. The same seed gives "
               "the same\nfigures. Policies: qosbatch, exhaustive (the best fixed batch size and "
               "wait), no-batching,\nfixed-batch, tensorflow-serving, triton, bentoml, "
               "clipper-aimd, clipper-deadline.",
    .run = run,
};
