/* SPDX-License-Identifier: Apache-2.0 */
/* qb_profile_run(): what is to be measured, the sessions it is measured in, and the profile of it. */
#include "core/alloc.h"
#include "core/error.h"
#include "core/hooks.h"
#include "core/structs.h"
#include "engine/session_profiling.h"
#include "model/configuration.h"
#include "model/model_data.h"
#include "profile/profile_impl.h"
#include "profile/splits.h"
#include "profile/sweep.h"

#include <qosbatch/inspect.h>
#include <qosbatch/version.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t BUDGET_OF_ONE_NS = 20000000000, DEFAULT_BUDGET_NS = 60000000000;

/* So few configurations are all measured. */
enum { FEW = 3 };

typedef struct run {
  qb_context *context;
  qb_model *model;
  qb_node *node;
  const qb_profile *known; /* to go on from; NULL: from nothing */
  const qb_profile *like;  /* NULL: algorithms are found */
  qb_progress_callback progress;
  void *user;
  qb__sweep sweep;
  qb__algorithms *algorithms; /* by curve, as its sessions found; layers NULL: not yet, or none */
  uint32_t *batches;          /* the grid's */
  double *prior_ns;
  int64_t start_ns, prepare_ns;
  uint64_t weight_bytes;
  size_t open; /* the curve of the session */
  qb_session *session;
  qb__sampler *sampler;
} run;

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

static qb_status add_known(const run *s, qb__points *c)
{
  if (!s->known)
    return QB_OK;
  const qb_configuration *k = &c->configuration;
  size_t count;
  const qb_profile_point *known = qb__profile_curve(s->known, k->instances, k->threads, &count);
  qb_status status = QB_OK;
  for (size_t i = 0; i < count && !status; i++)
    status = qb__points_add_known(s->context, c, &known[i], s->sweep.goal);
  if (!status && count && s->sweep.adaptive)
    status = qb__points_add_where_it_bends(s->context, c);
  return status;
}

/* Powers of two and the largest. */
static qb_status make_grid(run *s, const qb_profile_params *params)
{
  const uint32_t most = params->max_batch ? params->max_batch
                        : s->known        ? s->known->info.max_batch
                                          : 64;
  s->batches = qb__calloc(s->context, 33, sizeof *s->batches);
  if (!s->batches)
    return QB_ERROR_NO_MEMORY;
  for (uint32_t b = 1; b < most; b *= 2)
    s->batches[s->sweep.batch_count++] = b;
  s->batches[s->sweep.batch_count++] = most;
  s->sweep.batches = s->batches;
  return QB_OK;
}

/* Those asked for, or all of the grid; and what is known already. Candidates get theirs later. */
static qb_status add_batches(run *s, qb__points *c, const qb_profile_params *params)
{
  const uint32_t *batches = s->sweep.adaptive ? s->batches : params->batches;
  const size_t count = s->sweep.adaptive ? s->sweep.batch_count : params->batch_count;
  qb_status status = QB_OK;
  for (size_t i = 0; i < count && !status && !s->prior_ns; i++)
    status = qb__points_add(s->context, c, batches[i]);
  return status ? status : add_known(s, c);
}

/* The node has compute power measured. */
static void add_configuration(run *s, uint32_t instances, uint32_t threads)
{
  for (size_t i = 0; i < s->sweep.curve_count; i++)
    if (s->sweep.curves[i].configuration.instances == instances &&
        s->sweep.curves[i].configuration.threads == threads)
      return;
  const qb_configuration made = {instances, threads};
  const uint64_t all = (uint64_t)instances * threads;
  double flops = 0;
  (void)qb_node_get_compute(s->node, all < UINT32_MAX ? (uint32_t)all : UINT32_MAX, QB_ISA_BEST,
                            &flops);
  qb__points *points = &s->sweep.curves[s->sweep.curve_count++];
  points->configuration = made;
  points->thread_flops_per_s = flops / (double)all;
  qb_node_info info = QB_NODE_INFO_INIT;
  points->throttled = !qb_node_get_info(s->node, &info) && info.quota_cores < (double)all &&
                      info.quota_cores < info.cores;
}

static qb_status take_configurations(run *s, const qb_profile_params *params)
{
  for (size_t i = 0; i < params->configuration_count; i++) {
    const qb_configuration *each = &params->configurations[i];
    const qb_status status = qb__configuration_check(each);
    if (status)
      return qb__fail_within(status, "configurations[%zu]", i);
    add_configuration(s, each->instances, each->threads);
  }
  return QB_OK;
}

/* Those known, and what else the node's cores can be split into. */
static qb_status take_splits(run *s)
{
  qb_node_info info = QB_NODE_INFO_INIT;
  const qb_status status = qb_node_get_info(s->node, &info);
  if (status)
    return status;
  for (size_t i = 0; s->known && i < s->known->point_count; i++)
    add_configuration(s, s->known->points[i].configuration.instances,
                      s->known->points[i].configuration.threads);
  qb_configuration splits[QB__MOST_SPLITS];
  const size_t count = qb__splits_of(&info, splits);
  for (size_t i = 0; i < count; i++)
    add_configuration(s, splits[i].instances, splits[i].threads);
  return QB_OK;
}

static qb_status choose_configurations(run *s, const qb_profile_params *params)
{
  const size_t known = s->known ? s->known->info.configurations : 0;
  const bool given = params->configurations && params->configuration_count;
  const size_t room = given ? params->configuration_count : QB__MOST_SPLITS + known;
  s->sweep.curves = qb__calloc(s->context, room, sizeof *s->sweep.curves);
  s->algorithms = qb__calloc(s->context, room, sizeof *s->algorithms);
  if (!s->sweep.curves || !s->algorithms)
    return QB_ERROR_NO_MEMORY;
  return given ? take_configurations(s, params) : take_splits(s);
}

/* Configurations that nobody named are candidates, unless they are few. */
static qb_status make_prior(run *s, const qb_profile_params *params)
{
  if (params->configuration_count || s->sweep.curve_count <= FEW || !s->sweep.adaptive)
    return QB_OK;
  const size_t count = s->sweep.batch_count;
  s->prior_ns = qb__calloc(s->context, s->sweep.curve_count, count * sizeof *s->prior_ns);
  if (!s->prior_ns)
    return QB_ERROR_NO_MEMORY;
  for (size_t k = 0; k < s->sweep.curve_count; k++)
    for (size_t b = 0; b < count; b++)
      s->prior_ns[k * count + b] =
          qb__split_prior_ns(s->model, s->node, &s->sweep.curves[k].configuration, s->batches[b]);
  s->sweep.prior_ns = s->prior_ns;
  return QB_OK;
}

/* What an earlier profile says has to be about the same. */
static qb_status check_known(const run *s)
{
  const qb_profile_info *known = &s->known->info;
  const char *engine = qb__model_is_workload(s->model) ? "workload" : qb_engine_version();
  const qb_status status = qb_profile_check(s->known, s->model, NULL);
  if (status)
    return status;
  if (strcmp(known->engine, engine) != 0)
    return qb__fail(QB_ERROR_MISMATCH, "the known profile was measured with %s, this is %s",
                    known->engine, engine);
  return qb_profile_check(s->known, NULL, s->node);
}

/* A share of what all have where they are few. */
static int64_t default_budget_ns(const run *s)
{
  const int64_t all_ns = (int64_t)s->sweep.curve_count * BUDGET_OF_ONE_NS;
  return all_ns < DEFAULT_BUDGET_NS ? all_ns : DEFAULT_BUDGET_NS;
}

static qb_status set_up(run *s, const qb_profile_params *params)
{
  if (!(params->goal >= 0 && params->goal < 1) || params->time_budget_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "goal %g must be in [0, 1) and the time budget not negative", params->goal);
  double ignored;
  if (qb_node_get_compute(s->node, 1, QB_ISA_BEST, &ignored))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "the node's compute power was not measured; pass a node from qb_node_detect() "
                    "with a non-negative measure budget");
  s->sweep.adaptive = !params->batches || !params->batch_count;
  s->sweep.goal = params->goal > 0 ? params->goal : 0.01;
  s->known = params->known;
  s->like = params->like ? params->like : params->known;
  qb_status status = check_batches(params);
  if (!status && s->known)
    status = check_known(s);
  if (!status)
    status = choose_configurations(s, params);
  if (!status)
    status = make_grid(s, params);
  if (!status)
    status = make_prior(s, params);
  for (size_t k = 0; k < s->sweep.curve_count && !status; k++)
    status = add_batches(s, &s->sweep.curves[k], params);
  s->sweep.budget_ns = params->time_budget_ns ? params->time_budget_ns : default_budget_ns(s);
  return status;
}

static qb_status tell(void *user, qb_phase phase, const qb_profile_point *point, double fraction)
{
  const run *s = user;
  if (!s->progress)
    return QB_OK;
  const qb_progress progress = {.size = sizeof progress,
                                .phase = phase,
                                .batch = point->batch,
                                .configuration = point->configuration,
                                .fraction = fraction,
                                .elapsed_ns = qb__now_ns(s->context) - s->start_ns};
  return s->progress(s->user, &progress)
             ? QB_OK
             : qb__fail(QB_ERROR_CANCELLED, "the progress callback asked to stop");
}

/* Those found on as many threads serve, so that all sessions run the same primitives. */
static const qb__algorithms *algorithms_for(const run *s, size_t curve)
{
  const uint32_t threads = s->sweep.curves[curve].configuration.threads;
  for (size_t k = 0; k < s->sweep.curve_count; k++)
    if (s->algorithms[k].layers && s->sweep.curves[k].configuration.threads == threads)
      return &s->algorithms[k];
  return s->like ? qb__profile_algorithms_for(s->like, s->model, threads) : NULL;
}

/* After each batch size that is made ready: a larger one may find a microbatch. */
static qb_status keep_algorithms(run *s)
{
  if (qb__model_is_workload(s->model))
    return QB_OK;
  qb__algorithms *kept = &s->algorithms[s->open];
  if (!kept->layers)
    kept->layers =
        qb__calloc(s->context, qb__model_graph(s->model)->operator_count, sizeof *kept->layers);
  if (!kept->layers)
    return QB_ERROR_NO_MEMORY;
  (void)qb__session_get_algorithms(s->session, kept);
  return QB_OK;
}

static qb_status open_session(void *user, size_t index, uint32_t largest_batch)
{
  run *s = user;
  s->open = index;
  const qb_status status = qb__session_new(s->model, &s->sweep.curves[index].configuration,
                                           algorithms_for(s, index), &s->session);
  return status ? status : qb__sampler_new(s->session, largest_batch, &s->sampler);
}

static qb_status prepare_point(void *user, qb_profile_point *point)
{
  run *s = user;
  int64_t elapsed_ns;
  qb__engine_memory memory;
  qb_status status = qb_session_prepare(s->session, point->batch, &elapsed_ns);
  if (!status)
    status = qb__session_memory(s->session, point->batch, &memory);
  if (!status)
    status = keep_algorithms(s);
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

static qb_status visit(void *user, uint32_t batch, uint32_t rounds, uint32_t warm_up_batch,
                       qb__visit *seen)
{
  const run *s = user;
  return qb__sampler_visit(s->sampler, batch, rounds, warm_up_batch, seen);
}

static void close_session(void *user)
{
  run *s = user;
  qb__sampler_free(s->sampler);
  qb_session_unref(s->session);
  s->sampler = NULL;
  s->session = NULL;
}

static const qb__visitor sessions = {open_session, prepare_point, visit, close_session, tell};

/* Points that were seen; candidates may have others. */
static qb_status collect(const qb__sweep *sweep, qb_profile_point *points, size_t *count)
{
  qb_status status = QB_OK;
  for (size_t k = 0; k < sweep->curve_count && !status; k++) {
    const qb__points *c = &sweep->curves[k];
    double flops = 0;
    status = qb__points_full_speed(sweep->context, c, &flops);
    for (size_t b = 0; b < c->count && !status; b++) {
      qb__record *record = &c->records[b];
      if (!record->visit_count && !record->known)
        continue;
      record->point.thread_flops_per_s = flops;
      points[(*count)++] = record->point;
    }
  }
  return status;
}

static qb_status assemble(const run *s, const qb_profile_point *points, size_t count,
                          qb_profile **profile)
{
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  info.model = qb__model_info(s->model)->name;
  info.engine = qb__model_is_workload(s->model) ? "workload" : qb_engine_version();
  info.library = qb_version();
  info.created_unix_s = (int64_t)time(NULL);
  info.flops_per_sample = qb__model_info(s->model)->flops_per_sample;
  info.measure_ns = s->sweep.measure_ns + (s->known ? s->known->info.measure_ns : 0);
  info.prepare_ns = s->prepare_ns + (s->known ? s->known->info.prepare_ns : 0);
  info.weight_bytes = s->weight_bytes || !s->known ? s->weight_bytes : s->known->info.weight_bytes;
  qb_status status = qb__profile_new(s->context, s->node, &info,
                                     qb__model_bytes_per_sample(s->model), points, count, profile);
  if (!status)
    status = qb__profile_take_operators(*profile, s->model);
  for (size_t k = 0; k < s->sweep.curve_count && !status; k++) {
    const uint32_t threads = s->sweep.curves[k].configuration.threads;
    const qb__algorithms *algorithms = algorithms_for(s, k);
    if (algorithms && !qb__profile_algorithms_of(*profile, threads))
      status = qb__profile_add_algorithms(*profile, threads, algorithms);
  }
  return status;
}

static qb_status make_profile(const run *s, qb_profile **profile)
{
  size_t room = 0, count = 0;
  for (size_t k = 0; k < s->sweep.curve_count; k++)
    room += s->sweep.curves[k].count;
  qb_profile_point *points = qb__calloc(s->context, room, sizeof *points);
  qb_profile *made = NULL;
  qb_status status = points ? collect(&s->sweep, points, &count) : QB_ERROR_NO_MEMORY;
  if (!status)
    status = assemble(s, points, count, &made);
  if (status)
    qb_profile_unref(made);
  else
    *profile = made;
  qb__free(s->context, points);
  return status;
}

static void clear(run *s)
{
  for (size_t k = 0; k < s->sweep.curve_count; k++) {
    qb__points_clear(s->context, &s->sweep.curves[k]);
    qb__free(s->context, s->algorithms[k].layers);
  }
  qb__free(s->context, s->sweep.curves);
  qb__free(s->context, s->algorithms);
  qb__free(s->context, s->batches);
  qb__free(s->context, s->prior_ns);
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
  run s = {.context = qb__model_context(model),
           .model = model,
           .node = node,
           .progress = progress,
           .user = user,
           .start_ns = qb__now_ns(qb__model_context(model))};
  s.sweep.context = s.context;
  s.sweep.visitor = &sessions;
  s.sweep.user = &s;
  status = set_up(&s, &use);
  if (!status)
    status = qb__sweep_run(&s.sweep);
  if (!status)
    status = make_profile(&s, profile);
  clear(&s);
  return status;
}
