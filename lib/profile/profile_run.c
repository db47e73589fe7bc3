/* SPDX-License-Identifier: Apache-2.0 */
/* qb_profile_run(): what is to be measured, the sessions it is measured in, and the profile of it. */
#include "core/alloc.h"
#include "core/error.h"
#include "core/hooks.h"
#include "core/structs.h"
#include "engine/session_profiling.h"
#include "model/configuration.h"
#include "model/model_data.h"
#include "node/node_data.h"
#include "profile/levels.h"
#include "profile/profile_history.h"
#include "profile/splits.h"
#include "profile/sweep.h"

#include <qosbatch/inspect.h>
#include <qosbatch/version.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t BUDGET_OF_ONE_NS = 20000000000, DEFAULT_BUDGET_NS = 60000000000;

/* So few configurations of a precision are all measured. */
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
  size_t most_splits;         /* of a precision */
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
  for (size_t i = 0; i < params->batch_count; i++)
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
  const qb_profile_point *known = qb__profile_curve(s->known, k, &count);
  const size_t runs = qb__profile_runs(s->known, k);
  c->known_runs = count && !runs ? 1 : runs;
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

/* The node has compute power measured. The yardstick beside visits is of 32-bit floats. */
static void add_configuration(run *s, const qb_configuration *k)
{
  for (size_t i = 0; i < s->sweep.curve_count; i++)
    if (!qb__configuration_compare(&s->sweep.curves[i].configuration, k))
      return;
  const uint64_t all = (uint64_t)k->instances * k->threads;
  double flops = 0;
  (void)qb_node_get_compute(s->node, all < UINT32_MAX ? (uint32_t)all : UINT32_MAX, QB_ISA_BEST,
                            QB_PRECISION_F32, &flops);
  qb__points *points = &s->sweep.curves[s->sweep.curve_count++];
  points->configuration = *k;
  points->thread_flops_per_s = flops / (double)all * qb__node_slowest_share(s->node, (uint32_t)all);
  qb_node_info info = QB_NODE_INFO_INIT;
  points->throttled = !qb_node_get_info(s->node, &info) && info.quota_cores < (double)all &&
                      info.quota_cores < info.cores;
}

/* Those asked for, in a precision or, where none was asked for, in their own. */
static void take_configurations(run *s, const qb_profile_params *params, qb_precision precision)
{
  for (size_t i = 0; i < params->configuration_count; i++) {
    qb_configuration k = params->configurations[i];
    if (params->precision_count)
      k.precision = precision;
    if (k.precision == precision)
      add_configuration(s, &k);
  }
}

/* Those known, and what else the node's cores can be split into. */
static void take_splits(run *s, const qb_node_info *node, qb_precision precision)
{
  for (size_t i = 0; s->known && i < s->known->point_count; i++)
    if (s->known->points[i].configuration.precision == precision)
      add_configuration(s, &s->known->points[i].configuration);
  qb_configuration splits[QB__MOST_SPLITS];
  const size_t count = qb__splits_of(node, splits);
  for (size_t i = 0; i < count; i++) {
    splits[i].precision = precision;
    add_configuration(s, &splits[i]);
  }
}

/* Whether a precision is to be measured: asked for, or that of what is asked for or known. */
static bool is_wanted(const run *s, const qb_profile_params *params, qb_precision precision)
{
  bool wanted = false;
  if (params->precision_count)
    for (size_t i = 0; i < params->precision_count; i++)
      wanted |= params->precisions[i] == precision;
  else if (params->configuration_count)
    for (size_t i = 0; i < params->configuration_count; i++)
      wanted |= params->configurations[i].precision == precision;
  else if (s->known)
    for (size_t i = 0; i < s->known->point_count; i++)
      wanted |= s->known->points[i].configuration.precision == precision;
  else
    wanted = precision == QB_PRECISION_F32;
  return wanted;
}

static qb_status check_configurations(const qb_profile_params *params)
{
  qb_status status = QB_OK;
  for (size_t i = 0; i < params->configuration_count && !status; i++) {
    status = qb__configuration_check(&params->configurations[i]);
    if (status)
      status = qb__fail_within(status, "configurations[%zu]", i);
  }
  for (size_t i = 0; i < params->precision_count && !status; i++)
    if ((unsigned)params->precisions[i] >= QB__PRECISIONS)
      status =
          qb__fail(QB_ERROR_INVALID_ARGUMENT, "precisions[%zu] is %d; give a QB_PRECISION_ value",
                   i, (int)params->precisions[i]);
  return status;
}

/* Those of a precision stand side by side. */
static qb_status choose_configurations(run *s, const qb_profile_params *params)
{
  const size_t known = s->known ? s->known->info.configurations : 0;
  const size_t room = QB__PRECISIONS * (params->configuration_count + QB__MOST_SPLITS) + known;
  qb_node_info info = QB_NODE_INFO_INIT;
  qb_status status = check_configurations(params);
  if (!status)
    status = qb_node_get_info(s->node, &info);
  if (status)
    return status;
  s->sweep.curves = qb__calloc(s->context, room, sizeof *s->sweep.curves);
  s->algorithms = qb__calloc(s->context, room, sizeof *s->algorithms);
  if (!s->sweep.curves || !s->algorithms)
    return QB_ERROR_NO_MEMORY;
  for (qb_precision p = QB_PRECISION_F32; p <= QB_PRECISION_INT8; p++) {
    const size_t before = s->sweep.curve_count;
    if (is_wanted(s, params, p) && params->configuration_count)
      take_configurations(s, params, p);
    else if (is_wanted(s, params, p))
      take_splits(s, &info, p);
    const size_t added = s->sweep.curve_count - before;
    s->most_splits = added > s->most_splits ? added : s->most_splits;
  }
  return QB_OK;
}

/* Configurations that nobody named are candidates, unless they are few. */
static qb_status make_prior(run *s, const qb_profile_params *params)
{
  if (params->configuration_count || s->most_splits <= FEW || !s->sweep.adaptive)
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

/* Of each precision the same, and a share of that where its configurations are few. */
static int64_t default_budget_ns(const run *s)
{
  int64_t all_ns = 0;
  for (qb_precision p = QB_PRECISION_F32; p <= QB_PRECISION_INT8; p++) {
    int64_t its_ns = 0;
    for (size_t k = 0; k < s->sweep.curve_count; k++)
      its_ns += s->sweep.curves[k].configuration.precision == p ? BUDGET_OF_ONE_NS : 0;
    all_ns += its_ns < DEFAULT_BUDGET_NS ? its_ns : DEFAULT_BUDGET_NS;
  }
  return all_ns;
}

static qb_status set_up(run *s, const qb_profile_params *params)
{
  if (!(params->goal >= 0 && params->goal < 1) || params->time_budget_ns < 0)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "goal %g must be in [0, 1) and the time budget not negative", params->goal);
  double ignored;
  if (qb_node_get_compute(s->node, 1, QB_ISA_BEST, QB_PRECISION_F32, &ignored))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "the node's compute power was not measured; pass a node from qb_node_detect() "
                    "with a non-negative measure budget");
  s->sweep.adaptive = !params->batch_count;
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
  const qb_configuration *wanted = &s->sweep.curves[curve].configuration;
  for (size_t k = 0; k < s->sweep.curve_count; k++) {
    const qb_configuration *its = &s->sweep.curves[k].configuration;
    if (s->algorithms[k].layers && its->threads == wanted->threads &&
        its->precision == wanted->precision)
      return &s->algorithms[k];
  }
  return s->like ? qb__profile_algorithms_for(s->like, s->model, wanted) : NULL;
}

/* After each batch size that is made ready: a larger one may find a microbatch. */
static qb_status keep_algorithms(run *s)
{
  if (qb__model_is_workload(s->model))
    return QB_OK;
  qb__algorithms *kept = &s->algorithms[s->open];
  const qb__graph *graph = qb__model_graph(qb__session_model(s->session));
  if (!kept->layers)
    kept->layers = qb__calloc(s->context, graph->operator_count, sizeof *kept->layers);
  if (!kept->layers)
    return QB_ERROR_NO_MEMORY;
  qb__algorithms found = {.layers = kept->layers};
  (void)qb__session_get_algorithms(s->session, &found);
  kept->microbatch = found.microbatch;
  kept->compared = found.compared;
  return qb__findings_copy(s->context, &found.findings, &kept->findings);
}

static qb_status open_session(void *user, size_t index, uint32_t largest_batch)
{
  run *s = user;
  s->open = index;
  const qb_status status = qb__session_new(s->model, &s->sweep.curves[index].configuration,
                                           algorithms_for(s, index), s->node, &s->session);
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
  if (!s->weight_bytes ||
      point->configuration.precision == s->sweep.curves->configuration.precision)
    s->weight_bytes = memory.weight_bytes;
  if (!point->memory_bytes) {
    point->prepare_ns = elapsed_ns;
    point->memory_bytes =
        memory.weight_bytes + memory.copy_bytes + memory.instance_bytes + memory.code_bytes;
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
    status = qb__points_full_speed(sweep->context, c, 0, &flops);
    flops = qb__levels_speed(c, flops);
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
  if (!status)
    status = qb__profile_take_sessions(*profile, &s->sweep, s->known, info.created_unix_s);
  for (qb_precision p = QB_PRECISION_F32; p <= QB_PRECISION_INT8 && s->known && !status; p++)
    if (qb__profile_accuracy(s->known, p))
      status = qb__profile_set_accuracy(*profile, qb__profile_accuracy(s->known, p));
  for (size_t k = 0; k < s->sweep.curve_count && !status; k++) {
    const qb_configuration *its = &s->sweep.curves[k].configuration;
    const qb__algorithms *algorithms = algorithms_for(s, k);
    const qb__graph *graph = qb__model_graph(qb__model_in(s->model, its->precision));
    if (algorithms && !qb__profile_algorithms_of(*profile, its))
      status = qb__profile_add_algorithms(*profile, its, algorithms, graph->operator_count);
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
    qb__findings_clear(s->context, &s->algorithms[k].findings);
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
  use.batch_count = use.batches ? use.batch_count : 0;
  use.configuration_count = use.configurations ? use.configuration_count : 0;
  use.precision_count = use.precisions ? use.precision_count : 0;
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
