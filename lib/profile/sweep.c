/* SPDX-License-Identifier: Apache-2.0 */
/* qb_profile_run(): which points are visited when, until the time is spent or all are sure. */
#include "core/alloc.h"
#include "core/error.h"
#include "core/hooks.h"
#include "core/structs.h"
#include "engine/session_profiling.h"
#include "model/configuration.h"
#include "model/model_data.h"
#include "profile/points.h"
#include "profile/profile_impl.h"

#include <qosbatch/version.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Every configuration gets this many sessions, in turn: what memory a session happens to get, and
 * what a neighbour happens to do meanwhile, are part of how sure a measurement is. */
enum { SESSIONS = 2 };

/* Long enough for a few short rounds, short against a neighbour's bursts. */
static const int64_t VISIT_NS = 50000000;

static const int64_t DEFAULT_BUDGET_NS = 20000000000; /* of one configuration */

/* Fewer visits say too little of how they vary, so no point is sure before. */
enum { FEWEST_SURE_VISITS = 6 };

typedef struct curve {
  qb__points points;
  qb__layer_algorithm
      *algorithms; /* by operator, as the first session found; NULL: not yet, or none */
} curve;

typedef struct sweep {
  qb_context *context;
  qb_model *model;
  qb_node *node;
  const qb_profile *known; /* to go on from; NULL: from nothing */
  const qb_profile *like;  /* NULL: algorithms are found */
  qb_progress_callback progress;
  void *user;
  size_t curve_count;
  curve *curves;
  bool adaptive;     /* batch sizes may be added */
  int64_t budget_ns; /* of one configuration */
  double goal;
  int64_t start_ns, measure_ns, prepare_ns;
  uint64_t weight_bytes;
  uint32_t sessions_done;
} sweep;

static qb_status check_batches(const qb_profile_params *params)
{
  if (params->max_batch > QB_MAX_BATCH)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "max_batch %u is outside 1..%u", params->max_batch,
                    QB_MAX_BATCH);
  for (size_t i = 0; params->batches && i < params->batch_count; i++)
    if (params->batches[i] < 1 || params->batches[i] > QB_MAX_BATCH)
      return qb__fail(QB_ERROR_INVALID_ARGUMENT, "batches[%zu] = %u is outside 1..%u", i,
                      params->batches[i], QB_MAX_BATCH);
  return QB_OK;
}

static qb_status add_known(const sweep *s, curve *c)
{
  if (!s->known)
    return QB_OK;
  const qb_configuration *k = &c->points.configuration;
  size_t count;
  const qb_profile_point *known = qb__profile_curve(s->known, k->instances, k->threads, &count);
  qb_status status = QB_OK;
  for (size_t i = 0; i < count && !status; i++)
    status = qb__points_add_known(s->context, &c->points, &known[i], s->goal);
  if (!status && count && s->adaptive)
    status = qb__points_add_where_it_bends(s->context, &c->points);
  return status;
}

/* Those asked for, or powers of two and the largest; and what is known already. */
static qb_status add_batches(sweep *s, curve *c, const qb_profile_params *params)
{
  qb_status status = QB_OK;
  if (!s->adaptive) {
    for (size_t i = 0; i < params->batch_count && !status; i++)
      status = qb__points_add(s->context, &c->points, params->batches[i]);
    return status ? status : add_known(s, c);
  }
  const uint32_t most = params->max_batch ? params->max_batch
                        : s->known        ? s->known->info.max_batch
                                          : 64;
  for (uint32_t b = 1; b < most && !status; b *= 2)
    status = qb__points_add(s->context, &c->points, b);
  if (!status)
    status = qb__points_add(s->context, &c->points, most);
  return status ? status : add_known(s, c);
}

/* The node has compute power measured. */
static void add_configuration(sweep *s, uint32_t instances, uint32_t threads)
{
  for (size_t i = 0; i < s->curve_count; i++)
    if (s->curves[i].points.configuration.instances == instances &&
        s->curves[i].points.configuration.threads == threads)
      return;
  const qb_configuration made = {instances, threads};
  const uint64_t all = (uint64_t)instances * threads;
  double flops = 0;
  (void)qb_node_compute_flops(s->node, all < UINT32_MAX ? (uint32_t)all : UINT32_MAX, QB_ISA_BEST,
                              &flops);
  qb__points *points = &s->curves[s->curve_count++].points;
  points->configuration = made;
  points->thread_flops = flops / (double)all;
  qb_node_info info = QB_NODE_INFO_INIT;
  points->throttled = !qb_node_get_info(s->node, &info) && info.quota_cores < (double)all &&
                      info.quota_cores < info.cores;
}

static qb_status choose_configurations(sweep *s, const qb_profile_params *params)
{
  const size_t known = s->known ? s->known->info.configurations : 0;
  const size_t room = 3 + params->configuration_count + known;
  s->curves = qb__calloc(s->context, room, sizeof *s->curves);
  if (!s->curves)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; params->configurations && i < params->configuration_count; i++) {
    const qb_configuration *each = &params->configurations[i];
    const qb_status status = qb__configuration_check(each);
    if (status)
      return qb__fail_within(status, "configurations[%zu]", i);
    add_configuration(s, each->instances, each->threads);
  }
  for (size_t i = 0; !params->configuration_count && known && i < s->known->point_count; i++)
    add_configuration(s, s->known->points[i].configuration.instances,
                      s->known->points[i].configuration.threads);
  if (!s->curve_count) {
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

/* What an earlier profile says has to be about the same. */
static qb_status check_known(const sweep *s)
{
  const qb_profile_info *known = &s->known->info;
  const char *engine = qb__model_is_workload(s->model) ? "workload" : qb_engine_version();
  const qb_status status = qb_profile_check_model(s->known, s->model);
  if (status)
    return status;
  if (strcmp(known->engine, engine) != 0)
    return qb__fail(QB_ERROR_MISMATCH, "the known profile was measured with %s, this is %s",
                    known->engine, engine);
  return qb_profile_check_node(s->known, s->node);
}

static qb_status set_up(sweep *s, const qb_profile_params *params)
{
  if (!(params->goal >= 0 && params->goal < 1) || params->time_budget_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "goal %g must be in [0, 1) and the time budget not negative", params->goal);
  double ignored;
  if (qb_node_compute_flops(s->node, 1, QB_ISA_BEST, &ignored))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "the node's compute power is not measured; pass one from qb_node_detect() with "
                    "a measure budget that is not negative");
  s->adaptive = !params->batches || !params->batch_count;
  s->goal = params->goal > 0 ? params->goal : 0.01;
  s->known = params->known;
  s->like = params->like ? params->like : params->known;
  qb_status status = check_batches(params);
  if (!status && s->known)
    status = check_known(s);
  if (!status)
    status = choose_configurations(s, params);
  for (size_t k = 0; k < s->curve_count && !status; k++)
    status = add_batches(s, &s->curves[k], params);
  s->budget_ns = params->time_budget_ns && s->curve_count
                     ? params->time_budget_ns / (int64_t)s->curve_count
                     : DEFAULT_BUDGET_NS;
  return status;
}

/* Tells the host; `part` is how much of the current session's work is done, 0..1. */
static qb_status tell(const sweep *s, qb_phase phase, const qb_profile_point *point, double part)
{
  if (!s->progress)
    return QB_OK;
  const double sessions = (double)(SESSIONS * s->curve_count);
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

static qb_status prepare_point(sweep *s, qb_session *session, qb_profile_point *point, double part)
{
  int64_t elapsed_ns;
  qb__engine_memory memory;
  qb_status status = tell(s, QB_PHASE_PREPARE, point, PREPARATION * part);
  if (!status)
    status = qb_session_prepare(session, point->batch, &elapsed_ns);
  if (!status)
    status = qb__session_memory(session, point->batch, &memory);
  if (status)
    return status;
  s->prepare_ns += elapsed_ns;
  s->weight_bytes = memory.weight_bytes;
  if (!point->memory_bytes) {
    point->prepare_ns = elapsed_ns;
    point->memory_bytes = memory.weight_bytes + memory.instance_bytes + memory.code_bytes;
  }
  return QB_OK;
}

/* The largest comes first, for memory to be taken once. */
static qb_status prepare_all(sweep *s, qb_session *session, qb__points *c)
{
  qb_status status = QB_OK;
  for (size_t i = c->count; i-- > 0 && !status;)
    if (!c->records[i].settled)
      status = prepare_point(s, session, &c->records[i].point,
                             (double)(c->count - 1 - i) / (double)c->count);
  return status;
}

static qb_status visit(sweep *s, qb__sampler *sampler, const qb__points *c, qb__record *record)
{
  const int64_t start_ns = qb__now_ns(s->context), last_ns = record->last_ns;
  int64_t rounds = last_ns > 0 ? VISIT_NS / last_ns : 1;
  rounds = rounds < 1 ? 1 : rounds > QB__MOST_ROUNDS ? QB__MOST_ROUNDS : rounds;
  qb__visit seen;
  qb_status status = qb__sampler_visit(sampler, record->point.batch, (uint32_t)rounds,
                                       qb__points_smallest_open(c), &seen);
  if (!status)
    status = qb__record_add(s->context, record, &seen);
  record->visit_ns = qb__now_ns(s->context) - start_ns;
  if (status || (!record->known && record->visit_count < FEWEST_SURE_VISITS))
    return status;
  status = qb__record_finish(s->context, record, c->thread_flops);
  record->sure = !status && qb__point_is_sure(&record->point, s->goal);
  return status;
}

/*
 * Visits the batch sizes of a session, interleaved, until most of another visit would be beyond its
 * share of the time, or all points are sure. Every point is visited at least once, whatever that
 * takes, unless it is settled.
 */
static qb_status measure(sweep *s, qb__sampler *sampler, qb__points *c, bool first_session,
                         int64_t budget_ns)
{
  const int64_t start_ns = qb__now_ns(s->context);
  int64_t elapsed_ns = 0;
  qb__record *next;
  while ((next = qb__points_next(c, first_session)) &&
         (elapsed_ns + next->visit_ns / 2 < budget_ns || !next->visit_count)) {
    qb_status status =
        tell(s, QB_PHASE_MEASURE, &next->point,
             PREPARATION + (1 - PREPARATION) * (double)elapsed_ns / (double)budget_ns);
    if (!status)
      status = visit(s, sampler, c, next);
    if (status)
      return status;
    elapsed_ns = qb__now_ns(s->context) - start_ns;
  }
  s->measure_ns += elapsed_ns;
  return tell(s, QB_PHASE_MEASURE, &c->records[c->count - 1].point, 1);
}

/* Those found on as many threads serve, so that all sessions run the same primitives. */
static const qb__layer_algorithm *algorithms_for(const sweep *s, const curve *c)
{
  const uint32_t threads = c->points.configuration.threads;
  for (size_t k = 0; k < s->curve_count; k++)
    if (s->curves[k].algorithms && s->curves[k].points.configuration.threads == threads)
      return s->curves[k].algorithms;
  return s->like ? qb__profile_algorithms_for(s->like, s->model, threads) : NULL;
}

static qb_status keep_algorithms(const sweep *s, const qb_session *session, curve *c)
{
  if (qb__model_is_workload(s->model) || c->algorithms)
    return QB_OK;
  c->algorithms =
      qb__calloc(s->context, qb__model_graph(s->model)->operator_count, sizeof *c->algorithms);
  if (!c->algorithms)
    return QB_ERROR_NO_MEMORY;
  (void)qb__session_get_algorithms(session,
                                   c->algorithms); /* of a network, and batch sizes are ready */
  return QB_OK;
}

/* What getting ready has left of a session's share; at least half, or little would be measured. */
static int64_t time_left(const sweep *s, int64_t start_ns, int64_t share_ns)
{
  const int64_t left_ns = share_ns - (qb__now_ns(s->context) - start_ns);
  return left_ns > share_ns / 2 ? left_ns : share_ns / 2;
}

static qb_status run_session(sweep *s, curve *c, bool first)
{
  qb_session *session = NULL;
  qb__sampler *sampler = NULL;
  const int64_t start_ns = qb__now_ns(s->context), share_ns = s->budget_ns / SESSIONS;
  qb_status status =
      qb__session_new(s->model, &c->points.configuration, algorithms_for(s, c), &session);
  if (!status)
    status = prepare_all(s, session, &c->points);
  if (!status)
    status = keep_algorithms(s, session, c);
  if (!status)
    status = qb__sampler_new(session, qb__points_largest_open(&c->points), &sampler);
  if (!status)
    status = measure(s, sampler, &c->points, first, time_left(s, start_ns, share_ns));
  if (!status && first && s->adaptive)
    status = qb__points_add_where_it_bends(s->context, &c->points);
  qb__sampler_free(sampler);
  qb_session_unref(session);
  return status;
}

/* Nothing to do where all is settled. */
static qb_status run_sessions(sweep *s)
{
  for (int session = 0; session < SESSIONS; session++)
    for (size_t k = 0; k < s->curve_count; k++, s->sessions_done++) {
      curve *c = &s->curves[k];
      const qb_status status =
          qb__points_largest_open(&c->points) ? run_session(s, c, session == 0) : QB_OK;
      if (status)
        return status;
    }
  return QB_OK;
}

static qb_status make_profile(sweep *s, qb_profile **profile)
{
  size_t count = 0;
  for (size_t k = 0; k < s->curve_count; k++)
    count += s->curves[k].points.count;
  qb_profile_point *points = qb__calloc(s->context, count, sizeof *points);
  if (!points)
    return QB_ERROR_NO_MEMORY;
  qb_status status = QB_OK;
  size_t made = 0;
  for (size_t k = 0; k < s->curve_count && !status; k++) {
    double flops = 0;
    const qb__points *c = &s->curves[k].points;
    status = qb__points_level(s->context, c, &flops);
    for (size_t b = 0; b < c->count && !status; b++) {
      qb__record *record = &c->records[b];
      record->point.thread_flops = flops;
      status = qb__record_finish(s->context, record, c->thread_flops);
      points[made++] = record->point;
    }
  }
  qb_profile *result = NULL;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  info.model = qb__model_info(s->model)->name;
  info.engine = qb__model_is_workload(s->model) ? "workload" : qb_engine_version();
  info.library = qb_version();
  info.created_unix_s = (int64_t)time(NULL);
  info.flops_per_sample = qb__model_info(s->model)->flops_per_sample;
  info.measure_ns = s->measure_ns + (s->known ? s->known->info.measure_ns : 0);
  info.prepare_ns = s->prepare_ns + (s->known ? s->known->info.prepare_ns : 0);
  info.weight_bytes = s->weight_bytes || !s->known ? s->weight_bytes : s->known->info.weight_bytes;
  if (!status)
    status = qb__profile_new(s->context, s->node, &info, qb__model_bytes_per_sample(s->model),
                             points, count, &result);
  if (!status)
    status = qb__profile_take_operators(result, s->model);
  for (size_t k = 0; k < s->curve_count && !status; k++) {
    const curve *c = &s->curves[k];
    const uint32_t threads = c->points.configuration.threads;
    const qb__layer_algorithm *algorithms = algorithms_for(s, c);
    if (algorithms && !qb__profile_algorithms_of(result, threads))
      status = qb__profile_add_algorithms(result, threads, algorithms);
  }
  if (status)
    qb_profile_unref(result);
  else
    *profile = result;
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
    status = QB__STRUCT_IN(qb_profile_params, &use, params);
  if (status)
    return status;
  sweep s = {.context = qb__model_context(model),
             .model = model,
             .node = node,
             .progress = progress,
             .user = user,
             .start_ns = qb__now_ns(qb__model_context(model))};
  status = set_up(&s, &use);
  if (!status)
    status = run_sessions(&s);
  if (!status)
    status = make_profile(&s, profile);
  for (size_t k = 0; k < s.curve_count; k++) {
    qb__points_clear(s.context, &s.curves[k].points);
    qb__free(s.context, s.curves[k].algorithms);
  }
  qb__free(s.context, s.curves);
  return status;
}
