/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/profile_given.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "model/configuration.h"
#include "model/model_data.h"
#include "node/node_data.h"
#include "profile/profile_impl.h"

#include <qosbatch/measurements.h>
#include <qosbatch/version.h>

/* A node of which only the number of cores that the measurements took is known. */
static qb_status unknown_node(qb_context *context, double price_per_hour,
                              const qb_profile_point *points, size_t count, qb_node **node)
{
  if (!(price_per_hour >= 0 && price_per_hour <= QB__MOST_PRICE))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "price_per_hour %g is outside 0..%g; use 0 if unknown", price_per_hour,
                    QB__MOST_PRICE);
  uint64_t cores = 1;
  for (size_t i = 0; i < count; i++) {
    const qb_configuration *c = &points[i].configuration;
    const uint64_t used = (uint64_t)c->instances * c->threads;
    cores = used > cores ? used : cores;
  }
  qb_node_info info = QB_NODE_INFO_INIT;
  info.cpu = "not known";
  info.isa = QB_ISA_GENERIC;
  info.cores = info.hardware_threads = info.usable_threads =
      cores < QB__MAX_GIVEN_CORES ? (uint32_t)cores : QB__MAX_GIVEN_CORES;
  info.quota_cores = info.cores;
  info.numa_nodes = 1;
  info.price_per_hour = price_per_hour;
  return qb__node_new(context, &info, NULL, 0, NULL, 0, node);
}

static void describe(const qb__points_origin *origin, const qb_measurements_params *params,
                     qb_profile_info *info)
{
  info->model = params->name ? params->name : origin->name;
  info->engine = origin->engine;
  info->library = qb_version();
  info->created_unix_s = origin->created_unix_s;
  info->measure_ns = origin->measure_ns;
  if (!params->model)
    return;
  const qb_model_info *model = qb__model_info(params->model);
  info->model = model->name;
  info->flops_per_sample = model->flops_per_sample;
  info->weight_bytes = model->weight_bytes;
}

qb_status qb__profile_of_given(qb_context *context, const qb__points_origin *origin,
                               const qb_measurements_params *params, const qb_profile_point *points,
                               size_t count, qb_profile **profile)
{
  qb_node *node = NULL;
  qb_status status = QB_OK;
  if (params->node)
    node = qb_node_ref(params->node);
  else
    status = unknown_node(context, params->price_per_hour, points, count, &node);
  if (status)
    return status;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  describe(origin, params, &info);
  qb_profile *made = NULL;
  const double bytes_per_sample = params->model ? qb__model_bytes_per_sample(params->model) : 0;
  status = qb__profile_new(context, node, &info, bytes_per_sample, points, count, &made);
  if (!status && params->model)
    status = qb__profile_take_operators(made, params->model);
  if (status)
    qb_profile_unref(made);
  else
    *profile = made;
  qb_node_unref(node);
  return status;
}

/* A copy of the host's point, complete. */
static qb_status take_point(const qb_profile_point *theirs, qb_profile_point *p)
{
  const qb_status status = QB__STRUCT_IN(qb_profile_point, p, theirs);
  if (status)
    return status;
  p->low_ns = p->low_ns ? p->low_ns : p->latency_ns;
  p->high_ns = p->high_ns ? p->high_ns : p->latency_ns;
  p->p95_ns = p->p95_ns ? p->p95_ns : p->latency_ns;
  p->mean_ns = p->mean_ns ? p->mean_ns : p->latency_ns;
  return qb__configuration_check(&p->configuration);
}

static qb_status take_points(const qb_profile_point *theirs, size_t count, qb_profile_point *points)
{
  qb_status status = QB__STRUCTS_CHECK(qb_profile_point, theirs, count);
  for (size_t i = 0; i < count && !status; i++) {
    status = take_point(qb__struct_at(theirs, i), &points[i]);
    if (status)
      return qb__fail_within(status, "points[%zu]", i);
  }
  return status;
}

qb_status qb_profile_from_points(qb_context *context, const qb_profile_point *points, size_t count,
                                 const qb_measurements_params *params, qb_profile **profile)
{
  if (!context || !points || !profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !context  ? "context"
                    : !points ? "points"
                              : "profile");
  if (count < 1 || count > QB__MAX_GIVEN_POINTS)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%zu points; give 1..%d", count,
                    QB__MAX_GIVEN_POINTS);
  qb_measurements_params use = QB_MEASUREMENTS_PARAMS_INIT;
  qb_status status = params ? QB__STRUCT_IN(qb_measurements_params, &use, params) : QB_OK;
  if (status)
    return status;
  qb_profile_point *ours = qb__calloc(context, count, sizeof *ours);
  if (!ours)
    return QB_ERROR_NO_MEMORY;
  const qb__points_origin origin = {.engine = "points", .name = "points"};
  status = take_points(points, count, ours);
  if (!status)
    status = qb__profile_of_given(context, &origin, &use, ours, count, profile);
  qb__free(context, ours);
  return status;
}
