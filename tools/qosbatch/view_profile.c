/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <qosbatch/accuracy.h>
#include <qosbatch/estimate.h>
#include <qosbatch/inspect.h>

#include <math.h>
#include <stdio.h>

/* Half the width of the 95 % interval of a point, in percent. */
static double spread_pct(const qb_profile_point *point)
{
  return 50.0 * (double)(point->high_ns - point->low_ns) / (double)point->latency_ns;
}

static double samples_per_s(const qb_profile_point *point)
{
  return 1e9 * point->configuration.instances * point->batch / (double)point->latency_ns;
}

/* p of T = b * F * p / c; NAN where the library cannot tell. */
static double density(const qb_profile *profile, const qb_profile_point *point)
{
  qb_latency_estimate estimate = QB_LATENCY_ESTIMATE_INIT;
  return qb_estimate(profile, &point->configuration, point->batch, NULL, &estimate)
             ? NAN
             : estimate.density;
}

/* A noisy measurement of the peak may be so far off. */
static const double LEAST_DENSITY = 0.9;

double possible_share(double share, double saving)
{
  return LEAST_DENSITY * share <= saving ? share : NAN;
}

static bool peak_is_known(const qb_profile *profile)
{
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  qb_node_info node = QB_NODE_INFO_INIT;
  qb_profile_get_info(profile, &info);
  qb_node_get_info(qb_profile_node(profile), &node);
  return info.flops_per_sample > 0 && node.compute_flops_per_s > 0;
}

/* What the layers may save of the arithmetic that is counted; older profiles do not tell. */
static double possible_saving(const qb_profile *profile)
{
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  qb_profile_get_info(profile, &info);
  return info.least_flops_per_sample > 0 ? info.flops_per_sample / info.least_flops_per_sample
                                         : WINOGRAD_SAVING;
}

/* Of density p; NAN also where the work or the peak is not known. */
static double share_of_peak(const qb_profile *profile, double p)
{
  return peak_is_known(profile) ? possible_share(1 / p, possible_saving(profile)) : NAN;
}

static void accuracy_to_json(const qb_profile *profile, json_t *object)
{
  json_t *array = add_array(object, "accuracy");
  qb_accuracy a = QB_ACCURACY_INIT;
  for (qb_precision p = QB_PRECISION_F32; p <= QB_PRECISION_INT8; p++) {
    if (qb_profile_get_accuracy(profile, p, &a))
      continue;
    json_t *entry = append_object(array);
    add_text(entry, "precision", qb_precision_name(p));
    add_bool(entry, "labels", a.labels);
    add_integer(entry, "samples", (int64_t)a.samples);
    add_integer(entry, "agreeing", (int64_t)a.agreeing);
    add_number(entry, "share", a.share);
    add_number(entry, "low", a.low);
    add_number(entry, "high", a.high);
  }
}

void profile_to_json(const qb_profile *profile, json_t *object)
{
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  qb_profile_get_info(profile, &info);
  add_text(object, "model", info.model);
  add_text(object, "engine", info.engine);
  add_text(object, "library", info.library);
  add_integer(object, "created_unix_s", info.created_unix_s);
  add_number(object, "flops_per_sample", info.flops_per_sample);
  add_integer(object, "weight_bytes", (int64_t)info.weight_bytes);
  add_integer(object, "configurations", info.configurations);
  add_integer(object, "max_batch", info.max_batch);
  add_integer(object, "runs", info.runs);
  add_integer(object, "measure_ns", info.measure_ns);
  add_integer(object, "prepare_ns", info.prepare_ns);
  node_to_json(qb_profile_node(profile), add_object(object, "node"));

  accuracy_to_json(profile, object);
  json_t *points = add_array(object, "points");
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &point); i++) {
    const double p = density(profile, &point);
    json_t *entry = append_object(points);
    add_configuration(entry, &point.configuration);
    add_integer(entry, "batch", point.batch);
    add_integer(entry, "visits", point.visits);
    add_integer(entry, "set_aside", point.set_aside);
    add_integer(entry, "latency_ns", point.latency_ns);
    add_integer(entry, "low_ns", point.low_ns);
    add_integer(entry, "high_ns", point.high_ns);
    add_integer(entry, "p95_ns", point.p95_ns);
    add_integer(entry, "mean_ns", point.mean_ns);
    add_integer(entry, "prepare_ns", point.prepare_ns);
    add_integer(entry, "memory_bytes", (int64_t)point.memory_bytes);
    add_bool(entry, "disturbed", point.disturbed);
    add_number(entry, "thread_flops", point.thread_flops_per_s);
    add_number(entry, "throughput_per_s", samples_per_s(&point));
    add_number(entry, "density", p);
    add_number(entry, "peak_fraction", share_of_peak(profile, p));
  }
}

/* Others than f32. */
static bool has_precisions(const qb_profile *profile)
{
  bool found = false;
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &point); i++)
    found |= point.configuration.precision != QB_PRECISION_F32;
  return found;
}

static void print_accuracy(const qb_profile *profile)
{
  qb_accuracy a = QB_ACCURACY_INIT;
  for (qb_precision p = QB_PRECISION_F32; p <= QB_PRECISION_INT8; p++)
    if (!qb_profile_get_accuracy(profile, p, &a))
      printf("accuracy   %s: %llu of %llu answers as %s, %.2f %% (95 %% interval %.2f to %.2f)\n",
             qb_precision_name(p), (unsigned long long)a.agreeing, (unsigned long long)a.samples,
             a.labels ? "labelled" : "in f32", 100 * a.share, 100 * a.low, 100 * a.high);
}

static void print_points(const qb_profile *profile)
{
  static const char *const titles[] = {
      "instances", "threads", "batch",       "latency [ms]", "+- [%]", "p95 [ms]",
      "samples/s", "density", "of peak [%]", "memory [MiB]", "visits", "<precision",
  };
  const bool mixed = has_precisions(profile);
  bool disturbed = false, impossible = false;
  table *t = table_new(titles, sizeof titles / sizeof *titles - !mixed);
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &point); i++) {
    const double p = density(profile, &point), share = share_of_peak(profile, p);
    table_cell(t, "%u", point.configuration.instances);
    table_cell(t, "%u", point.configuration.threads);
    table_cell(t, "%u", point.batch);
    table_cell(t, "%s", digits(milliseconds(point.latency_ns)).s);
    table_cell(t, "%.1f", spread_pct(&point));
    table_cell(t, "%s", digits(milliseconds(point.p95_ns)).s);
    table_cell(t, "%s", digits(samples_per_s(&point)).s);
    table_cell(t, "%s", digits(p).s);
    table_cell(t, "%s", isnan(share) ? "-" : digits(100 * share).s);
    table_cell(t, "%.0f", mebibytes((double)point.memory_bytes));
    table_cell(t, "%s%u", point.disturbed ? "*" : "", point.visits);
    if (mixed)
      table_cell(t, "%s", qb_precision_name(point.configuration.precision));
    disturbed = disturbed || point.disturbed;
    impossible = impossible || (isnan(share) && !isnan(p) && peak_is_known(profile));
  }
  table_print(t);
  if (disturbed)
    printf("* neighbours slowed the cores in most visits: this time is uncertain\n");
  if (impossible)
    printf("- of peak: rounds did more than the node's cores sustained when they were measured; "
           "profile again when it is quiet\n");
}

void profile_print(const qb_profile *profile)
{
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  qb_profile_get_info(profile, &info);
  uint64_t visits = 0, set_aside = 0;
  double worst_spread_pct = 0;
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &point); i++) {
    visits += point.visits;
    set_aside += point.set_aside;
    worst_spread_pct = fmax(worst_spread_pct, spread_pct(&point));
  }
  printf("network    %s, %s per sample, weights %s\n", info.model,
         human_amount(info.flops_per_sample, "FLOP").s, human_bytes((double)info.weight_bytes).s);
  printf("measured   %s by libqosbatch %s on %s\n", human_date(info.created_unix_s).s, info.library,
         info.engine);
  printf("samples    %llu visits kept, %llu set aside; %s of rounds, %s to make batches ready\n",
         (unsigned long long)visits, (unsigned long long)set_aside, human_time(info.measure_ns).s,
         human_time(info.prepare_ns).s);
  printf("spread     95 %% intervals within +-%.1f %%, in %s\n", worst_spread_pct,
         info.runs > 1 ? "the sessions of several runs" : "the sessions measured");
  print_accuracy(profile);
  node_print(qb_profile_node(profile));
  printf("\n");
  print_points(profile);
}
