/* SPDX-License-Identifier: Apache-2.0 */
#include <qosbatch/mitigate.h>

#include "core/error.h"
#include "core/structs.h"
#include "estimate/density.h"
#include "estimate/round_times.h"
#include "model/configuration.h"
#include "profile/profile_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Less is not worth a change. */
static const double LEAST_GAIN = 0.02;

/* One change of each kind, at most, and one to each precision. */
enum { KINDS = QB_MITIGATION_QUIETER_NODE + QB__PRECISIONS };

typedef struct advice {
  const qb_profile *profile;
  qb_latency_estimate now;
  qb_mitigation list[KINDS];
  size_t count;
} advice;

/* The new entry, whose text is still to be written; NULL if it gains too little. */
static qb_mitigation *add(advice *a, qb_mitigation_kind kind, qb_gain_of gain_of, double gain)
{
  if (!(gain >= LEAST_GAIN) || isinf(gain))
    return NULL;
  qb_mitigation *m = &a->list[a->count++];
  *m = (qb_mitigation){.size = sizeof *m,
                       .kind = kind,
                       .gain_of = gain_of,
                       .gain = gain,
                       .configuration = a->now.configuration,
                       .batch = a->now.batch};
  return m;
}

static bool measured_at(const advice *a, const qb_configuration *k, uint32_t batch,
                        qb_latency_estimate *e)
{
  *e = (qb_latency_estimate)QB_LATENCY_ESTIMATE_INIT;
  return !qb_estimate(a->profile, k, batch, NULL, e) && e->source != QB_SOURCE_EXTRAPOLATED;
}

/* Faster whatever the times within both intervals are: no promise is made of noise. */
static bool surely_faster(const qb_latency_estimate *e, const qb_latency_estimate *than)
{
  const double samples = (double)e->configuration.instances * e->batch;
  const double than_samples = (double)than->configuration.instances * than->batch;
  return (double)e->high_ns / samples < (double)than->low_ns / than_samples;
}

/* The smallest batch within 2 % of the best throughput on one side of the present one. */
static void advise_batch(advice *a, bool larger)
{
  size_t count;
  const qb_configuration *k = &a->now.configuration;
  const qb_profile_point *points = qb__profile_curve(a->profile, k, &count);
  double best = 0;
  uint32_t batch = 0;
  for (int pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < count; i++) {
      qb_latency_estimate e;
      if ((points[i].batch > a->now.batch) != larger || !measured_at(a, k, points[i].batch, &e))
        continue;
      if (pass == 0)
        best = fmax(best, e.throughput_per_s);
      else if (!batch && e.throughput_per_s >= best / (1 + LEAST_GAIN))
        batch = points[i].batch;
    }
  qb_latency_estimate e;
  if (!batch || !measured_at(a, k, batch, &e) || !surely_faster(&e, &a->now))
    return;
  qb_mitigation *m = add(a, larger ? QB_MITIGATION_LARGER_BATCH : QB_MITIGATION_SMALLER_BATCH,
                         QB_GAIN_OF_THROUGHPUT, e.throughput_per_s / a->now.throughput_per_s - 1);
  if (!m)
    return;
  m->batch = batch;
  if (larger)
    snprintf(m->text, sizeof m->text,
             "Run batches of %u: %.0f %% of the time at batch %u is spent waiting for memory, and "
             "larger batches share the fixed cost of a round.",
             batch, 100 * a->now.memory_share, a->now.batch);
  else
    snprintf(m->text, sizeof m->text,
             "Run batches of %u: the activations of %u samples do not fit in the cache.", batch,
             a->now.batch);
}

static void advise_configuration(advice *a, bool more_instances)
{
  qb_latency_estimate best = a->now;
  for (size_t i = 0; i < qb__configuration_count(a->profile); i++) {
    qb_configuration k;
    uint32_t max_batch;
    qb_latency_estimate e;
    qb__configuration_at(a->profile, i, &k, &max_batch);
    const bool fits = more_instances ? k.instances > a->now.configuration.instances
                                     : k.instances <= a->now.configuration.instances &&
                                           k.threads > a->now.configuration.threads;
    if (fits && k.precision == a->now.configuration.precision &&
        measured_at(a, &k, a->now.batch, &e) && e.throughput_per_s > best.throughput_per_s)
      best = e;
  }
  if (!surely_faster(&best, &a->now))
    return;
  qb_mitigation *m =
      add(a, more_instances ? QB_MITIGATION_MORE_INSTANCES : QB_MITIGATION_MORE_THREADS,
          QB_GAIN_OF_THROUGHPUT, best.throughput_per_s / a->now.throughput_per_s - 1);
  if (!m)
    return;
  m->configuration = best.configuration;
  snprintf(m->text, sizeof m->text,
           "Run %u instance%s of %u thread%s: a round then takes %.3g ms instead of %.3g ms.",
           best.configuration.instances, best.configuration.instances == 1 ? "" : "s",
           best.configuration.threads, best.configuration.threads == 1 ? "" : "s",
           1e-6 * (double)best.latency_ns, 1e-6 * (double)a->now.latency_ns);
}

static void advise_quota(advice *a)
{
  qb_node_info node = QB_NODE_INFO_INIT;
  if (qb_node_get_info(qb__profile_node(a->profile), &node) || !(node.quota_cores > 0))
    return;
  const double threads =
      fmin((double)a->now.configuration.instances * a->now.configuration.threads, node.cores);
  qb_mitigation *m =
      add(a, QB_MITIGATION_RAISE_QUOTA, QB_GAIN_OF_THROUGHPUT, threads / node.quota_cores - 1);
  if (m)
    snprintf(m->text, sizeof m->text,
             "Raise the CPU quota from %.3g to %.0f cores: these threads are throttled.",
             node.quota_cores, threads);
}

/*
 * Two to one or more between instruction sets, so that good kernels of the lower one are told from
 * bad ones of the higher, by what the time leaves for arithmetic when traffic has had its part.
 */
static void advise_isa(advice *a)
{
  static const double GOOD_KERNELS = 1.5; /* the largest density of arithmetic well done */
  qb_node_info node = QB_NODE_INFO_INIT;
  const qb_configuration *k = &a->now.configuration;
  if (a->now.bound != QB_BOUND_COMPUTE || qb_node_get_info(qb__profile_node(a->profile), &node))
    return;
  const qb__instance_roof best = qb__instance_roof_of(qb__profile_node(a->profile), node.isa, k);
  const double least_s = a->now.batch * qb__profile_info(a->profile)->flops_per_sample / best.flops;
  const double traffic_s = qb__serial_s(a->profile, a->now.batch, &best) - least_s;
  const double round_s = 1e-9 * (double)a->now.latency_ns, arithmetic_s = round_s - traffic_s;
  for (int isa = node.isa - 1; isa > QB_ISA_GENERIC; isa--) {
    const double ratio =
        best.flops / qb__instance_roof_of(qb__profile_node(a->profile), (qb_isa)isa, k).flops;
    const double density = arithmetic_s / (least_s * ratio);
    if (ratio < GOOD_KERNELS || density < 1 || density > GOOD_KERNELS)
      continue;
    qb_mitigation *m = add(a, QB_MITIGATION_BETTER_ISA, QB_GAIN_OF_THROUGHPUT,
                           round_s / (traffic_s + arithmetic_s / ratio) - 1);
    if (m)
      snprintf(m->text, sizeof m->text,
               "Let the engine use %s: arithmetic runs at %.0f %% of its peak, as with %s (is "
               "ONEDNN_MAX_CPU_ISA set?).",
               qb_isa_name(node.isa), 100 * least_s / arithmetic_s, qb_isa_name((qb_isa)isa));
    return;
  }
}

/* What is known of the answers: "", or a part of a sentence. */
static void describe_accuracy(const qb_accuracy *known, char text[80])
{
  *text = 0;
  if (known)
    snprintf(text, 80, "; %llu of %llu answers are %s", (unsigned long long)known->agreeing,
             (unsigned long long)known->samples, known->labels ? "right" : "as in f32");
}

/*
 * Measured, a precision has to be surely faster. Else it is a prospect: what c and m make of it, with a
 * wide interval, where the processor has the instructions and the work is known.
 */
static void advise_precision(advice *a, qb_precision precision)
{
  qb_configuration k = a->now.configuration;
  k.precision = precision;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  if (qb_estimate(a->profile, &k, a->now.batch, NULL, &e) || !surely_faster(&e, &a->now))
    return;
  const bool works = qb__profile_info(a->profile)->flops_per_sample > 0;
  if (e.source == QB_SOURCE_TRANSFERRED && !works)
    return;
  qb_mitigation *m = add(a, QB_MITIGATION_LOWER_PRECISION, QB_GAIN_OF_THROUGHPUT,
                         e.throughput_per_s / a->now.throughput_per_s - 1);
  if (!m)
    return;
  m->configuration = k;
  char accuracy[80];
  describe_accuracy(qb__profile_accuracy(a->profile, precision), accuracy);
  if (e.source == QB_SOURCE_TRANSFERRED)
    snprintf(
        m->text, sizeof m->text,
        "Try %s: by what the processor sustains, a round takes %.3g to %.3g ms instead of %.3g "
        "ms%s.",
        qb_precision_name(precision), 1e-6 * (double)e.low_ns, 1e-6 * (double)e.high_ns,
        1e-6 * (double)a->now.latency_ns, accuracy);
  else
    snprintf(m->text, sizeof m->text, "Compute in %s: a round takes %.3g ms instead of %.3g ms%s.",
             qb_precision_name(precision), 1e-6 * (double)e.latency_ns,
             1e-6 * (double)a->now.latency_ns, accuracy);
}

static const qb_profile_point *point_of(const advice *a)
{
  size_t count;
  const qb_configuration *k = &a->now.configuration;
  const qb_profile_point *points = qb__profile_curve(a->profile, k, &count);
  for (size_t i = 0; i < count; i++)
    if (points[i].batch == a->now.batch)
      return &points[i];
  return NULL;
}

static void advise_preparation(advice *a)
{
  const qb_profile_point *p = point_of(a);
  if (!p || !p->prepare_ns)
    return;
  qb_mitigation *m = add(a, QB_MITIGATION_PREPARE, QB_GAIN_OF_FIRST_ROUND,
                         (double)p->prepare_ns / (double)p->latency_ns);
  if (m)
    snprintf(m->text, sizeof m->text,
             "Prepare the batch sizes in use at startup (qb_session_prepare()): this takes %.3g "
             "ms, which otherwise delays the first round.",
             1e-6 * (double)p->prepare_ns);
}

static void advise_node(advice *a)
{
  const qb_profile_point *p = point_of(a);
  if (!p)
    return;
  qb_mitigation *m = add(a, QB_MITIGATION_QUIETER_NODE, QB_GAIN_OF_P95,
                         (double)p->p95_ns / (double)p->latency_ns - 1);
  if (m)
    snprintf(m->text, sizeof m->text,
             "Dedicate the node to this workload: 1 round in 20 takes %.3g ms or more, an "
             "undisturbed one %.3g ms.",
             1e-6 * (double)p->p95_ns, 1e-6 * (double)p->latency_ns);
}

static int by_gain(const void *a, const void *b)
{
  const qb_mitigation *x = a, *y = b;
  if (x->gain_of != y->gain_of) /* throughput first */
    return x->gain_of < y->gain_of ? -1 : 1;
  return x->gain > y->gain ? -1 : x->gain < y->gain;
}

/* One instance on the most threads, in the profile's first precision. */
static qb_configuration widest(const qb_profile *profile)
{
  qb_configuration best, k;
  uint32_t max_batch;
  qb__configuration_at(profile, 0, &best, &max_batch);
  for (size_t i = 1; i < qb__configuration_count(profile); i++) {
    qb__configuration_at(profile, i, &k, &max_batch);
    if (k.precision == best.precision &&
        (k.instances < best.instances ||
         (k.instances == best.instances && k.threads > best.threads)))
      best = k;
  }
  return best;
}

qb_status qb_mitigations(const qb_profile *profile, const qb_configuration *configuration,
                         uint32_t batch, qb_mitigation *list, size_t capacity, size_t *count)
{
  if (!profile || !count || (capacity && !list))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !profile ? "profile"
                    : !count ? "count"
                             : "list");
  advice a = {.profile = profile, .now = QB_LATENCY_ESTIMATE_INIT};
  const qb_configuration usual = widest(profile);
  qb_status status = QB__STRUCTS_CHECK(qb_mitigation, list, capacity);
  if (!status)
    status = qb_estimate(profile, configuration ? configuration : &usual, batch, NULL, &a.now);
  if (status)
    return status;
  advise_batch(&a, true);
  advise_batch(&a, false);
  advise_configuration(&a, true);
  advise_configuration(&a, false);
  advise_quota(&a);
  advise_isa(&a);
  for (qb_precision p = a.now.configuration.precision + 1; p <= QB_PRECISION_INT8; p++)
    advise_precision(&a, p);
  advise_preparation(&a);
  advise_node(&a);
  qsort(a.list, a.count, sizeof *a.list, by_gain);
  for (size_t i = 0; i < a.count && i < capacity; i++)
    QB__STRUCT_OUT_AT(qb_mitigation, list, i, &a.list[i]);
  *count = a.count;
  return QB_OK;
}
