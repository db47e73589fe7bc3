/* SPDX-License-Identifier: Apache-2.0 */
/* The public face: checks what is asked for and puts the parts together. */
#include "core/error.h"
#include "core/structs.h"
#include "estimate/round_times.h"
#include "model/configuration.h"
#include "node/node_data.h"
#include "plan/demand.h"
#include "profile/profile_data.h"
#include "simulate/contest.h"

#include <math.h>
#include <string.h>

enum { DEFAULT_SAMPLES = 100000, MOST_SAMPLES = 1000000000 };
static const double DEFAULT_BURST_RATIO = 5, DEFAULT_BURST_SHARE = 0.2, DEFAULT_SWING = 0.8;
static const int64_t DEFAULT_BURST_NS = 1000000000, DEFAULT_PERIOD_NS = 60000000000;

static const char *const policies[] = {"qosbatch",    "exhaustive",         "no-batching",
                                       "fixed-batch", "tensorflow-serving", "triton",
                                       "bentoml",     "clipper-aimd",       "clipper-deadline"};

const char *qb_policy_name(uint32_t index)
{
  return index < sizeof policies / sizeof *policies ? policies[index] : NULL;
}

static qb_status find_policy(const char *name, qb__policy_kind *kind)
{
  uint32_t i = QB__POLICY_QOSBATCH;
  while (name && qb_policy_name(i) && strcmp(name, qb_policy_name(i)))
    i++;
  if (!qb_policy_name(i))
    return qb__fail(QB_ERROR_NOT_FOUND,
                    "simulation.policy '%.64s' is unknown; qb_policy_name() lists the policies",
                    name);
  *kind = (qb__policy_kind)i;
  return QB_OK;
}

static qb_status check_trace(const qb_traffic *t)
{
  if (!t->times_ns || !t->time_count)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "traffic is an empty trace; give at least one time");
  for (size_t i = 1; i < t->time_count; i++)
    if (t->times_ns[i] < t->times_ns[i - 1])
      return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                      "traffic.times_ns[%zu] is %lld, less than its predecessor; sort the times", i,
                      (long long)t->times_ns[i]);
  return QB_OK;
}

static qb_status check_bursts(const qb_traffic *t)
{
  if (t->arrivals == QB_ARRIVALS_MMPP && !(t->burst_ratio > 1 && isfinite(t->burst_ratio)))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "traffic.burst_ratio is %g; give the rate within bursts divided by that "
                    "between them, above 1",
                    t->burst_ratio);
  if (!(t->burst_share > 0 && t->burst_share < 1))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "traffic.burst_share is %g; give a share of the time between 0 and 1",
                    t->burst_share);
  if (t->burst_ns <= 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "traffic.burst_ns is %lld; give a time above 0",
                    (long long)t->burst_ns);
  return QB_OK;
}

static void set_defaults(qb_traffic *t)
{
  t->burst_ratio = t->burst_ratio == 0 ? DEFAULT_BURST_RATIO : t->burst_ratio;
  t->burst_share = t->burst_share == 0 ? DEFAULT_BURST_SHARE : t->burst_share;
  t->burst_ns = t->burst_ns ? t->burst_ns : DEFAULT_BURST_NS;
  t->swing = t->swing == 0 ? DEFAULT_SWING : t->swing;
  t->period_ns = t->period_ns ? t->period_ns : DEFAULT_PERIOD_NS;
}

static qb_status law_of(const qb_traffic *t, qb__arrival_law *law)
{
  qb_status status = QB_OK;
  if (t->arrivals != QB_ARRIVALS_TRACE && !(t->rate_per_s > 0 && isfinite(t->rate_per_s)))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "traffic.rate_per_s is %g; give the samples that arrive per second, above 0",
                    t->rate_per_s);
  const double burst_s = (double)t->burst_ns * 1e-9;
  switch (t->arrivals) {
  case QB_ARRIVALS_POISSON:
    *law = (qb__arrival_law){.rate_per_s = {t->rate_per_s, 0}};
    return QB_OK;
  case QB_ARRIVALS_MMPP:
    status = check_bursts(t);
    *law = qb__arrival_bursts(t->rate_per_s, t->burst_ratio, t->burst_share, burst_s);
    return status;
  case QB_ARRIVALS_ON_OFF:
    status = check_bursts(t);
    *law = qb__arrival_bursts(t->rate_per_s, INFINITY, t->burst_share, burst_s);
    return status;
  case QB_ARRIVALS_DIURNAL:
    if (!(t->swing >= 0 && t->swing <= 1) || t->period_ns <= 0)
      return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                      "traffic.swing is %g and .period_ns %lld; give 0..1 and a time above 0",
                      t->swing, (long long)t->period_ns);
    *law = (qb__arrival_law){.rate_per_s = {t->rate_per_s, 0},
                             .swing = t->swing,
                             .period_s = (double)t->period_ns * 1e-9};
    return QB_OK;
  case QB_ARRIVALS_TRACE:
    status = check_trace(t);
    *law = (qb__arrival_law){.times_ns = t->times_ns, .time_count = t->time_count};
    return status;
  }
  return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                  "traffic.arrivals is %d, expected one of QB_ARRIVALS_*", (int)t->arrivals);
}

static qb_status read_simulation(const qb_simulation *theirs, qb_simulation *ours)
{
  *ours = (qb_simulation)QB_SIMULATION_INIT;
  if (theirs) {
    const qb_status status = QB__STRUCT_IN(qb_simulation, ours, theirs);
    if (status)
      return status;
  }
  if (ours->samples > MOST_SAMPLES || ours->max_batch > QB_MAX_BATCH)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "simulation.samples is %llu and .max_batch %u; give at most %d and %u",
                    (unsigned long long)ours->samples, ours->max_batch, MOST_SAMPLES, QB_MAX_BATCH);
  return QB_OK;
}

/* The configuration asked for or the one with the highest throughput, and its largest batch. */
static qb_status find_configuration(const qb_profile *profile, const qb_configuration *asked,
                                    qb_configuration *configuration, uint32_t *max_batch)
{
  qb_latency_estimate estimate = QB_LATENCY_ESTIMATE_INIT;
  const qb_status status = qb_estimate(profile, asked, 1, NULL, &estimate);
  if (status)
    return status;
  *configuration = estimate.configuration;
  for (size_t i = 0; i < qb__configuration_count(profile); i++) {
    qb_configuration c;
    uint32_t batch;
    qb__configuration_at(profile, i, &c, &batch);
    if (!qb__configuration_compare(&c, configuration)) {
      *max_batch = batch;
      return QB_OK;
    }
  }
  *max_batch = qb__profile_info(profile)->max_batch;
  return QB_OK;
}

static void fill_report(const qb__contest *c, const qb__result *result,
                        qb_simulation_report *report)
{
  const qb__outcome *o = &result->outcome;
  const double span_s = o->span_ns * 1e-9;
  report->samples = o->arrived;
  report->answered = o->answered;
  report->p50_ns = o->p50_ns;
  report->p95_ns = o->p95_ns;
  report->p99_ns = o->p99_ns;
  report->latency_ns = o->latency_ns;
  report->mean_latency_ns = o->mean_ns;
  report->within_slo = o->arrived ? (double)o->within / (double)o->arrived : 0;
  report->mean_batch = o->rounds ? (double)o->run / (double)o->rounds : 0;
  report->events = o->events;
  report->batch = result->batch;
  report->max_wait_ns = result->max_wait_ns;
  if (!(span_s > 0))
    return;
  report->rate_per_s = (double)o->arrived / span_s;
  report->throughput_per_s = (double)o->answered / span_s;
  report->goodput_per_s = (double)o->within / span_s;
  report->utilisation = fmin(1, o->busy_ns / o->span_ns / c->service.instances);
  const double price = qb__node_info(qb__profile_node(c->profile))->price_per_hour;
  if (o->within)
    report->cost_per_million = price / 3600 * 1e6 / report->goodput_per_s;
}

qb_status qb_simulate(qb_profile *profile, const qb_configuration *configuration,
                      const qb_traffic *traffic, const qb_qos *qos, const qb_simulation *simulation,
                      qb_simulation_report *report)
{
  if (!profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "profile is NULL");
  qb__contest c = {.profile = profile};
  qb_traffic asked;
  qb_simulation how;
  qb__policy_kind policy = QB__POLICY_QOSBATCH;
  uint32_t max_batch;
  qb_status status = QB__STRUCT_CHECK_OUT(qb_simulation_report, report);
  if (!status)
    status = QB__STRUCT_IN(qb_traffic, &asked, traffic);
  if (!status) {
    set_defaults(&asked);
    status = law_of(&asked, &c.service.arrivals);
  }
  if (!status)
    status = qb__qos_in(qos, &c.qos);
  if (!status && !c.qos.latency_ns)
    status = qb__fail(QB_ERROR_INVALID_ARGUMENT,
                      "qos.latency_ns is 0; give the target that answers are judged by");
  if (!status)
    status = read_simulation(simulation, &how);
  if (!status)
    status = find_policy(how.policy, &policy);
  if (!status)
    status = find_configuration(profile, configuration, &c.configuration, &max_batch);
  if (status)
    return status;

  qb__round_times table;
  c.service.batch = how.max_batch ? how.max_batch : max_batch;
  status = qb__round_times_init(profile, NULL, &c.configuration, c.service.batch, &table);
  if (status)
    return status;
  c.service.instances = c.configuration.instances;
  c.service.latency_ns = how.steady ? table.latency_ns : table.median_ns;
  c.service.spread = how.steady ? NULL : table.spread;
  c.service.queue_most = how.max_queued;
  c.service.target_ns = c.qos.latency_ns;
  c.service.percentile = c.qos.percentile;
  c.service.samples = how.samples ? how.samples : DEFAULT_SAMPLES;
  if (asked.arrivals == QB_ARRIVALS_TRACE && (!how.samples || how.samples > asked.time_count))
    c.service.samples = asked.time_count;
  c.service.seed = how.seed;

  qb__result result;
  status = qb__contest_run(&c, policy, how.tuned, &result);
  qb__round_times_free(profile, &table);
  if (status)
    return status;
  qb_simulation_report ours = QB_SIMULATION_REPORT_INIT;
  fill_report(&c, &result, &ours);
  QB__STRUCT_OUT(qb_simulation_report, report, &ours);
  return QB_OK;
}
