/* SPDX-License-Identifier: Apache-2.0 */
/* qb_profile_run(): which points are visited when, until the time is spent or all are sure. */
#include "core/alloc.h"
#include "core/context_impl.h"
#include "core/error.h"
#include "core/structs.h"
#include "model/model_impl.h"
#include "profile/profile_impl.h"
#include "profile/record.h"

#include <qosbatch/session.h>
#include <qosbatch/version.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Every configuration gets this many sessions, in turn: what memory a session happens to get, and
 * what a neighbour happens to do meanwhile, are part of how sure a measurement is. */
enum { SESSIONS = 2 };

/* Long enough for several short rounds, short against a neighbour's bursts. */
static const int64_t VISIT_NS = 80000000;

/* Rounds that take longer are not preceded by one that is not timed. */
static const int64_t LONGEST_WARM_UP_NS = 100000000;

static const int64_t DEFAULT_BUDGET_NS = 20000000000; /* of one configuration */

/* Fewer visits have no distribution-free interval, so no point is sure before. */
enum { FEWEST_SURE_VISITS = 6 };

typedef struct sweep {
  qb_context *context;
  qb_model *model;
  qb_node *node;
  qb_progress_callback progress;
  void *user;
  size_t configuration_count;
  qb_configuration *configurations;
  size_t batch_count;
  uint32_t *batches; /* ascending */
  int64_t budget_ns; /* of one configuration */
  double goal;
  qb__record *records; /* by configuration, then batch */
  double full_flops;   /* what an undisturbed thread sustains, as far as seen */
  int64_t start_ns, measure_ns, prepare_ns;
  uint64_t weight_bytes;
  uint32_t sessions_done;
} sweep;

static int ascending(const void *a, const void *b)
{
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static qb_status choose_batches(sweep *s, const qb_profile_params *params)
{
  const uint32_t most = params->max_batch ? params->max_batch : 64;
  if (most > QB_MAX_BATCH)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "max_batch %u is outside 1..%u", most, QB_MAX_BATCH);
  const size_t room = params->batch_count > 40 ? params->batch_count : 40;
  s->batches = qb__calloc(s->context, room, sizeof *s->batches);
  if (!s->batches)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; params->batches && i < params->batch_count; i++) {
    if (params->batches[i] < 1 || params->batches[i] > QB_MAX_BATCH)
      return qb__fail(QB_ERROR_INVALID_ARGUMENT, "batches[%zu] = %u is outside 1..%u", i,
                      params->batches[i], QB_MAX_BATCH);
    s->batches[s->batch_count++] = params->batches[i];
  }
  if (!s->batch_count) {
    for (uint32_t b = 1; b < most; b *= 2) {
      s->batches[s->batch_count++] = b;
      if (b >= 2 && b + b / 2 < most)
        s->batches[s->batch_count++] = b + b / 2;
    }
    s->batches[s->batch_count++] = most;
  }
  qsort(s->batches, s->batch_count, sizeof *s->batches, ascending);
  size_t distinct = 1;
  for (size_t i = 1; i < s->batch_count; i++)
    if (s->batches[i] != s->batches[distinct - 1])
      s->batches[distinct++] = s->batches[i];
  s->batch_count = distinct;
  return QB_OK;
}

static void add_configuration(sweep *s, uint32_t instances, uint32_t threads)
{
  for (size_t i = 0; i < s->configuration_count; i++)
    if (s->configurations[i].instances == instances && s->configurations[i].threads == threads)
      return;
  const qb_configuration made = {sizeof made, instances, threads};
  s->configurations[s->configuration_count++] = made;
}

static qb_status choose_configurations(sweep *s, const qb_profile_params *params)
{
  const size_t room = params->configuration_count > 3 ? params->configuration_count : 3;
  s->configurations = qb__calloc(s->context, room, sizeof *s->configurations);
  if (!s->configurations)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; params->configurations && i < params->configuration_count; i++) {
    qb_configuration each;
    const qb_status status = qb__struct_in(&each, sizeof each, sizeof each,
                                           &params->configurations[i], "qb_configuration");
    if (status)
      return status;
    if (each.instances < 1 || each.threads < 1)
      return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                      "configurations[%zu]: %u instances of %u threads; both must be at least 1", i,
                      each.instances, each.threads);
    add_configuration(s, each.instances, each.threads);
  }
  if (!s->configuration_count) {
    qb_node_info info = QB_NODE_INFO_INIT;
    const qb_status status = qb_node_get_info(s->node, &info);
    if (status)
      return status;
    add_configuration(s, 1, 1);
    add_configuration(s, 1, info.usable_threads);
    add_configuration(s, info.usable_threads, 1);
  }
  return QB_OK;
}

static qb_status set_up(sweep *s, const qb_profile_params *params)
{
  double flops;
  qb_status status = qb_node_compute_flops(s->node, 1, QB_ISA_BEST, &flops);
  if (status)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "the node's compute power is not measured; pass one from qb_node_detect() with "
                    "a measure budget that is not negative");
  s->full_flops = flops;
  if (!(params->goal >= 0 && params->goal < 1) || params->time_budget_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "goal %g must be in [0, 1) and the time budget not negative", params->goal);
  status = choose_batches(s, params);
  if (!status)
    status = choose_configurations(s, params);
  if (status)
    return status;
  s->goal = params->goal > 0 ? params->goal : 0.01;
  s->budget_ns = params->time_budget_ns ? params->time_budget_ns / (int64_t)s->configuration_count
                                        : DEFAULT_BUDGET_NS;
  s->records = qb__calloc(s->context, s->configuration_count * s->batch_count, sizeof *s->records);
  if (!s->records)
    return QB_ERROR_NO_MEMORY;
  for (size_t k = 0; k < s->configuration_count; k++)
    for (size_t b = 0; b < s->batch_count; b++) {
      qb_profile_point *point = &s->records[k * s->batch_count + b].point;
      point->size = sizeof *point;
      point->configuration = s->configurations[k];
      point->batch = s->batches[b];
    }
  return QB_OK;
}

/* Tells the host; `part` is how much of the current session's work is done, 0..1. */
static qb_status tell(const sweep *s, qb_phase phase, const qb_profile_point *point, double part)
{
  if (!s->progress)
    return QB_OK;
  const double sessions = (double)(SESSIONS * s->configuration_count);
  const qb_progress progress = {sizeof progress,
                                phase,
                                (s->sessions_done + fmin(part, 1)) / sessions,
                                qb__now_ns(s->context) - s->start_ns,
                                point->configuration,
                                point->batch};
  return s->progress(s->user, &progress)
             ? QB_OK
             : qb__fail(QB_ERROR_CANCELLED, "the progress callback asked to stop");
}

/* The share of a session's progress that preparation stands for. */
static const double PREPARATION = 0.2;

static qb_status prepare_all(sweep *s, qb_session *session, qb__record *records)
{
  for (size_t b = 0; b < s->batch_count; b++) {
    qb_profile_point *point = &records[b].point;
    int64_t elapsed_ns;
    qb_status status =
        tell(s, QB_PHASE_PREPARE, point, PREPARATION * (double)b / (double)s->batch_count);
    if (!status)
      status = qb_session_prepare(session, point->batch, &elapsed_ns);
    if (status)
      return status;
    qb_session_info info = QB_SESSION_INFO_INIT;
    status = qb_session_get_info(session, &info);
    if (status)
      return status;
    s->prepare_ns += elapsed_ns;
    s->weight_bytes = info.weight_bytes;
    /* The first session: oneDNN keeps compiled code, so later ones are ready sooner. */
    if (!point->prepare_ns)
      point->prepare_ns = elapsed_ns;
    point->memory_bytes = info.weight_bytes + info.arena_bytes;
  }
  return QB_OK;
}

static qb_status is_sure(const sweep *s, qb__record *record, bool *sure)
{
  *sure = false;
  if (record->visit_count < FEWEST_SURE_VISITS)
    return QB_OK;
  const qb_status status = qb__record_finish(s->context, record, s->full_flops);
  const qb_profile_point *p = &record->point;
  const double allowed = s->goal * (double)p->latency_ns;
  if (!status)
    *sure = !p->disturbed && p->visits >= FEWEST_SURE_VISITS &&
            (double)(p->high_ns - p->latency_ns) <= allowed &&
            (double)(p->latency_ns - p->low_ns) <= allowed;
  return status;
}

static qb_status visit(sweep *s, qb__sampler *sampler, qb__record *record)
{
  const int64_t last_ns =
      record->visit_count ? record->visits[record->visit_count - 1].median_ns : 0;
  int64_t rounds = last_ns > 0 ? VISIT_NS / last_ns : 1;
  rounds = rounds < 1 ? 1 : rounds > QB__MOST_ROUNDS ? QB__MOST_ROUNDS : rounds;
  qb__visit seen;
  qb_status status = qb__sampler_visit(sampler, record->point.batch, (uint32_t)rounds,
                                       last_ns < LONGEST_WARM_UP_NS, &seen);
  if (!status)
    status = qb__record_add(s->context, record, &seen);
  if (!status && seen.flops > s->full_flops)
    s->full_flops = seen.flops;
  return status;
}

/*
 * Interleaved passes over the batch sizes of a session, until its share of the time is spent or all
 * points are sure. Every point is visited at least once, whatever that takes.
 */
static qb_status measure(sweep *s, qb__sampler *sampler, qb__record *records, bool first_session)
{
  const int64_t budget_ns = s->budget_ns / SESSIONS;
  const int64_t start_ns = qb__now_ns(s->context);
  int64_t elapsed_ns = 0;
  for (bool more = true; more;) {
    more = false;
    for (size_t b = 0; b < s->batch_count; b++) {
      bool sure;
      qb_status status = is_sure(s, &records[b], &sure);
      const bool must = first_session && !records[b].visit_count;
      const bool passed_over = sure && !first_session;
      if (!status && ((elapsed_ns < budget_ns && !passed_over) || must)) {
        status = tell(s, QB_PHASE_MEASURE, &records[b].point,
                      PREPARATION + (1 - PREPARATION) * (double)elapsed_ns / (double)budget_ns);
        if (!status)
          status = visit(s, sampler, &records[b]);
        more |= !sure;
      }
      if (status)
        return status;
      elapsed_ns = qb__now_ns(s->context) - start_ns;
    }
    more &= elapsed_ns < budget_ns;
  }
  s->measure_ns += elapsed_ns;
  return tell(s, QB_PHASE_MEASURE, &records[s->batch_count - 1].point, 1);
}

static qb_status run_session(sweep *s, size_t configuration, bool first)
{
  qb__record *records = s->records + configuration * s->batch_count;
  qb_session *session = NULL;
  qb__sampler *sampler = NULL;
  qb_status status = qb_session_new(s->model, &s->configurations[configuration], &session);
  if (!status)
    status = prepare_all(s, session, records);
  if (!status)
    status = qb__sampler_new(session, s->batches[s->batch_count - 1], &sampler);
  if (!status)
    status = measure(s, sampler, records, first);
  qb__sampler_free(sampler);
  qb_session_unref(session);
  s->sessions_done++;
  return status;
}

static qb_status make_profile(sweep *s, qb_profile **profile)
{
  const size_t count = s->configuration_count * s->batch_count;
  qb_profile_point *points = qb__calloc(s->context, count, sizeof *points);
  if (!points)
    return QB_ERROR_NO_MEMORY;
  qb_status status = QB_OK;
  for (size_t i = 0; i < count && !status; i++) {
    status = qb__record_finish(s->context, &s->records[i], s->full_flops);
    points[i] = s->records[i].point;
  }
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  info.model = s->model->info.name;
  info.engine = s->model->is_workload ? "workload" : qb_engine_version();
  info.library = qb_version();
  info.created_unix_s = (int64_t)time(NULL);
  info.flops_per_sample = s->model->info.flops_per_sample;
  info.measure_ns = s->measure_ns;
  info.prepare_ns = s->prepare_ns;
  info.weight_bytes = s->weight_bytes;
  if (!status)
    status = qb__profile_new(s->context, s->node, &info, s->model->bytes_per_sample, points, count,
                             profile);
  qb__free(s->context, points);
  return status;
}

qb_status qb_profile_run(qb_model *model, qb_node *node, const qb_profile_params *params,
                         qb_progress_callback progress, void *user, qb_profile **profile)
{
  if (!model || !node || !profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !model  ? "model"
                    : !node ? "node"
                            : "profile");
  qb_profile_params use = QB_PROFILE_PARAMS_INIT;
  qb_status status = QB_OK;
  if (params)
    status = qb__struct_in(&use, sizeof use, sizeof use, params, "qb_profile_params");
  if (status)
    return status;
  sweep s = {.context = model->context,
             .model = model,
             .node = node,
             .progress = progress,
             .user = user,
             .start_ns = qb__now_ns(model->context)};
  status = set_up(&s, &use);
  for (int session = 0; session < SESSIONS && !status; session++)
    for (size_t k = 0; k < s.configuration_count && !status; k++)
      status = run_session(&s, k, session == 0);
  if (!status)
    status = make_profile(&s, profile);
  for (size_t i = 0; s.records && i < s.configuration_count * s.batch_count; i++)
    qb__record_clear(s.context, &s.records[i]);
  qb__free(s.context, s.records);
  qb__free(s.context, s.batches);
  qb__free(s.context, s.configurations);
  return status;
}
