/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/profile_history.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "model/configuration.h"
#include "model/model_data.h"
#include "node/node_data.h"

#include <qosbatch/inspect.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* F(4x4, 3x3) multiplies 36 times where 144 multiplications are counted. */
static const double SAVED_BY_FILTERING = 0.75;

static int by_place(const void *a, const void *b)
{
  const qb_profile_point *x = a, *y = b;
  const int sign = qb__configuration_compare(&x->configuration, &y->configuration);
  return sign ? sign : x->batch < y->batch ? -1 : x->batch > y->batch;
}

static qb_status check_point(const qb_profile_point *p, size_t index)
{
  const char *wrong = NULL;
  if (p->configuration.instances < 1 || p->configuration.threads < 1)
    wrong = "instances and threads must be at least 1";
  else if (p->batch < 1 || p->batch > QB_MAX_BATCH)
    wrong = "batch must be 1..65536";
  else if (p->latency_ns < 1)
    wrong = "latency_ns must be positive";
  else if (p->low_ns < 1 || p->low_ns > p->latency_ns || p->high_ns < p->latency_ns)
    wrong = "low_ns <= latency_ns <= high_ns must hold, and low_ns be positive";
  else if (p->p95_ns < p->latency_ns)
    wrong = "p95_ns must be at least latency_ns";
  else if (p->mean_ns < p->latency_ns)
    wrong = "mean_ns must be at least latency_ns";
  else if (p->prepare_ns < 0)
    wrong = "prepare_ns must not be negative";
  return wrong ? qb__fail(QB_ERROR_INVALID_ARGUMENT,
                          "points[%zu] (%u instances, %u threads, batch %u, %lld ns): %s", index,
                          p->configuration.instances, p->configuration.threads, p->batch,
                          (long long)p->latency_ns, wrong)
               : QB_OK;
}

static qb_status take_points(qb_profile *self, const qb_profile_point *points, size_t count)
{
  if (!count)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "a profile needs at least one measured point");
  for (size_t i = 0; i < count; i++) {
    const qb_status status = check_point(&points[i], i);
    if (status)
      return status;
  }
  self->points = qb__calloc(self->context, count, sizeof *points);
  if (!self->points)
    return QB_ERROR_NO_MEMORY;
  memcpy(self->points, points, count * sizeof *points);
  self->point_count = count;
  qsort(self->points, count, sizeof *points, by_place);
  self->info.points = (uint32_t)count;
  self->info.configurations = self->info.max_batch = 0;
  for (size_t i = 0; i < count; i++) {
    qb_profile_point *p = &self->points[i], *before = i ? p - 1 : NULL;
    p->size = sizeof *p;
    if (before && !by_place(before, p))
      return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                      "%u instances of %u threads in %s at batch %u appear twice; keep one of them",
                      p->configuration.instances, p->configuration.threads,
                      qb_precision_name(p->configuration.precision), p->batch);
    self->info.configurations +=
        !before || qb__configuration_compare(&before->configuration, &p->configuration);
    if (p->batch > self->info.max_batch)
      self->info.max_batch = p->batch;
  }
  return QB_OK;
}

qb_status qb__profile_new(qb_context *context, qb_node *node, const qb_profile_info *info,
                          double bytes_per_sample, const qb_profile_point *points,
                          size_t point_count, qb_profile **profile)
{
  qb_profile *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  qb__refcount_init(&self->references);
  self->context = qb_context_ref(context);
  self->node = qb_node_ref(node);
  self->info = *info;
  self->info.size = sizeof self->info;
  self->info.runs = 0;
  self->variation = qb__variation_of(NULL, 0);
  self->bytes_per_sample = bytes_per_sample;
  self->info.model = qb__strdup(context, info->model);
  self->info.engine = qb__strdup(context, info->engine);
  self->info.library = qb__strdup(context, info->library);
  qb_status status = self->info.model && self->info.engine && self->info.library
                         ? take_points(self, points, point_count)
                         : QB_ERROR_NO_MEMORY;
  if (status)
    qb_profile_unref(self);
  else
    *profile = self;
  return status;
}

qb_status qb__profile_copy(const qb_profile *profile, qb_profile **copy)
{
  qb_profile *self = NULL;
  qb_status status =
      qb__profile_new(profile->context, profile->node, &profile->info, profile->bytes_per_sample,
                      profile->points, profile->point_count, &self);
  if (!status)
    status = qb__profile_set_operators(self, profile->operators, profile->operator_count);
  for (size_t i = 0; i < profile->algorithms_count && !status; i++) {
    const qb__profile_algorithms *each = &profile->algorithms[i];
    const qb_configuration k = {.threads = each->threads, .precision = each->precision};
    status = qb__profile_add_algorithms(self, &k, &each->algorithms, each->layer_count);
  }
  if (!status)
    status = qb__profile_set_sessions(self, profile->sessions, profile->session_count);
  if (status) {
    qb_profile_unref(self);
    return status;
  }
  memcpy(self->accuracies, profile->accuracies, sizeof self->accuracies);
  *copy = self;
  return QB_OK;
}

qb_status qb__profile_set_operators(qb_profile *profile, const qb__operator_work *operators,
                                    size_t count)
{
  qb__operator_work *copy = qb__calloc(profile->context, count, sizeof *copy);
  if (!copy)
    return QB_ERROR_NO_MEMORY;
  if (count)
    memcpy(copy, operators, count * sizeof *copy);
  qb__free(profile->context, profile->operators);
  profile->operators = copy;
  profile->operator_count = count;
  return QB_OK;
}

/* Whether Winograd's algorithm computes such a layer, in some engine. */
static bool may_be_filtered(const qb__operator *op)
{
  bool may = op->kind == QB__OP_CONVOLUTION;
  for (int i = 0; i < 2; i++)
    may = may && op->window.kernel[i] == 3 && op->window.strides[i] == 1 &&
          op->window.dilations[i] == 1;
  return may;
}

qb_status qb__profile_take_operators(qb_profile *profile, const qb_model *model)
{
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_status status = qb_model_get_info(model, &info);
  if (status)
    return status;
  profile->info.network = qb__model_network(model);
  qb__operator_work *work = qb__calloc(profile->context, info.operators, sizeof *work);
  if (!work)
    return QB_ERROR_NO_MEMORY;
  profile->info.least_flops_per_sample = info.flops_per_sample;
  for (uint32_t i = 0; i < info.operators && !status; i++) {
    qb_operator_info op = QB_OPERATOR_INFO_INIT;
    status = qb_model_get_operator(model, i, &op);
    work[i] = (qb__operator_work){op.flops_per_sample, (double)op.bytes_per_sample,
                                  (double)op.weight_bytes};
    if (may_be_filtered(&qb__model_graph(model)->operators[i]))
      profile->info.least_flops_per_sample -= SAVED_BY_FILTERING * op.flops_per_sample;
  }
  if (!info.operators)
    profile->info.least_flops_per_sample = 0;
  if (!status)
    status = qb__profile_set_operators(profile, work, info.operators);
  qb__free(profile->context, work);
  return status;
}

const qb_profile_point *qb__profile_curve(const qb_profile *profile, const qb_configuration *k,
                                          size_t *count)
{
  const qb_profile_point *p = profile->points, *end = p + profile->point_count;
  while (p < end && qb__configuration_compare(&p->configuration, k))
    p++;
  const qb_profile_point *first = p;
  while (p < end && !qb__configuration_compare(&p->configuration, k))
    p++;
  *count = (size_t)(p - first);
  return first;
}

/* Appends a difference to a list of them. */
__attribute__((format(printf, 2, 3))) static void note(char list[1024], const char *format, ...)
{
  const size_t used = strlen(list);
  va_list args;
  va_start(args, format);
  const int n = used ? snprintf(list + used, 1024 - used, "; ") : 0;
  vsnprintf(list + used + n, 1024 - used - (size_t)n, format, args);
  va_end(args);
}

/* "vnni, bf16" */
static const char *name_features(uint32_t features, char names[64])
{
  *names = 0;
  for (uint32_t bit = 1; bit <= QB__LAST_FEATURE; bit <<= 1)
    if (features & bit) {
      const size_t used = strlen(names);
      snprintf(names + used, 64 - used, "%s%s", used ? ", " : "", qb_feature_name(bit));
    }
  return names;
}

/* Of features those that are missing: profiles of before know of none. */
static void list_differences(const qb_profile *profile, const qb_node *node, char list[1024])
{
  char features[64];
  qb_node_info then = QB_NODE_INFO_INIT, now = QB_NODE_INFO_INIT;
  *list = 0;
  if (qb_node_get_info(profile->node, &then) || qb_node_get_info(node, &now))
    return;
  if (strcmp(then.cpu, now.cpu) != 0)
    note(list, "processor '%.64s', here '%.64s'", then.cpu, now.cpu);
  if (then.features & ~now.features)
    note(list, "no %s here", name_features(then.features & ~now.features, features));
  if (then.isa != now.isa)
    note(list, "instruction set %s, here %s", qb_isa_name(then.isa), qb_isa_name(now.isa));
  if (then.cores != now.cores)
    note(list, "%u cores, here %u", then.cores, now.cores);
  if (fabs(then.quota_cores - now.quota_cores) > 1e-3)
    note(list, "a quota of %g cores, here %g", then.quota_cores, now.quota_cores);
  if (then.reserve_cores != now.reserve_cores)
    note(list, "a reserve of %u cores, here %u", then.reserve_cores, now.reserve_cores);
  /* Of one thread: a neighbour that is busy just now takes a core from many, seldom from one. */
  double then_flops, now_flops;
  if (!qb_node_get_compute(profile->node, 1, QB_ISA_BEST, QB_PRECISION_F32, &then_flops) &&
      !qb_node_get_compute(node, 1, QB_ISA_BEST, QB_PRECISION_F32, &now_flops) &&
      fabs(now_flops / then_flops - 1) > 0.25)
    note(list, "%.4g GFLOP/s a thread, here %.4g", then_flops / 1e9, now_flops / 1e9);
}

static qb_status check_node(const qb_profile *profile, const qb_node *node)
{
  char list[1024];
  list_differences(profile, node, list);
  return *list
             ? qb__fail(QB_ERROR_MISMATCH,
                        "the profile of '%s' was measured on another node: %s; profile again here",
                        profile->info.model, list)
             : QB_OK;
}

qb_status qb_profile_check(const qb_profile *profile, const qb_model *model, const qb_node *node)
{
  if (!profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "profile is NULL");
  const qb_status status = model ? qb__profile_check_model(profile, model) : QB_OK;
  return !status && node ? check_node(profile, node) : status;
}

bool qb__profile_is_of_node(const qb_profile *profile, const qb_node *node)
{
  char list[1024];
  if (node != profile->node)
    list_differences(profile, node, list);
  return node == profile->node || !*list;
}

bool qb__profiles_same_network(const qb_profile_info *a, const qb_profile_info *b)
{
  return a->network && b->network ? a->network == b->network : !strcmp(a->model, b->model);
}

qb_status qb_profile_get_info(const qb_profile *profile, qb_profile_info *info)
{
  if (!profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "profile is NULL");
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_profile_info, info);
  if (!status)
    QB__STRUCT_OUT(qb_profile_info, info, &profile->info);
  return status;
}

qb_node *qb_profile_node(const qb_profile *profile)
{
  return profile ? profile->node : NULL;
}

qb_status qb_profile_get_point(const qb_profile *profile, uint32_t index, qb_profile_point *point)
{
  if (!profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "profile is NULL");
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_profile_point, point);
  if (status)
    return status;
  if (index >= profile->point_count)
    return qb__fail(QB_ERROR_NOT_FOUND, "the profile has no point %u; it has %zu", index,
                    profile->point_count);
  QB__STRUCT_OUT(qb_profile_point, point, &profile->points[index]);
  return QB_OK;
}

qb_profile *qb_profile_ref(qb_profile *profile)
{
  if (profile)
    qb__refcount_take(&profile->references);
  return profile;
}

void qb_profile_unref(qb_profile *profile)
{
  if (!profile || !qb__refcount_drop(&profile->references))
    return;
  qb_context *context = profile->context;
  qb_node_unref(profile->node);
  qb__free(context, profile->info.model);
  qb__free(context, profile->info.engine);
  qb__free(context, profile->info.library);
  qb__free(context, profile->operators);
  for (size_t i = 0; i < profile->algorithms_count; i++) {
    qb__free(context, profile->algorithms[i].algorithms.layers);
    qb__findings_clear(context, &profile->algorithms[i].algorithms.findings);
  }
  qb__free(context, profile->algorithms);
  qb__free(context, profile->points);
  qb__free(context, profile->sessions);
  qb__free(context, profile);
  qb_context_unref(context);
}

qb_context *qb__profile_context(const qb_profile *profile)
{
  return profile->context;
}

const qb_node *qb__profile_node(const qb_profile *profile)
{
  return profile->node;
}

const qb_profile_info *qb__profile_info(const qb_profile *profile)
{
  return &profile->info;
}

const qb_profile_point *qb__profile_points(const qb_profile *profile)
{
  return profile->points;
}

size_t qb__profile_point_count(const qb_profile *profile)
{
  return profile->point_count;
}

const qb__operator_work *qb__profile_operators(const qb_profile *profile)
{
  return profile->operators;
}

size_t qb__profile_operator_count(const qb_profile *profile)
{
  return profile->operator_count;
}

double qb__profile_bytes_per_sample(const qb_profile *profile)
{
  return profile->bytes_per_sample;
}
