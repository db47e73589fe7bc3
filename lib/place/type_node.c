/* SPDX-License-Identifier: Apache-2.0 */
#include "place/type_node.h"

#include "core/error.h"
#include "node/node_data.h"
#include "plan/demand.h"
#include "profile/profile_data.h"

#include <math.h>
#include <string.h>

/* Another size of the same processor is nearer than any other processor. */
static const double OTHER_PROCESSOR = 100;

uint32_t qb__type_cores(const qb_node_type *type)
{
  const uint32_t cores = type->vcpus / type->threads_per_core;
  return cores ? cores : 1;
}

qb_status qb__profiles_of_one_model(qb_profile *const *profiles, size_t profile_count)
{
  const qb_status status = qb__profiles_check(profiles, profile_count);
  if (status)
    return status;
  for (size_t i = 1; i < profile_count; i++)
    if (!qb__profiles_same_network(qb__profile_info(profiles[i]), qb__profile_info(profiles[0])))
      return qb__fail(QB_ERROR_MISMATCH,
                      "profiles[%zu] is of '%.64s', profiles[0] of '%.64s'; plan one model at a "
                      "time",
                      i, qb__profile_info(profiles[i])->model,
                      qb__profile_info(profiles[0])->model);
  return QB_OK;
}

/* How far a profile's node is from a type; infinite if it tells nothing of it. */
static double distance(const qb_profile *profile, const qb_node_type *type)
{
  const qb_node_info *node = qb__node_info(qb__profile_node(profile));
  const double cores = qb__type_cores(type), measured_on = node->usable_threads;
  const bool same_cpu =
      *type->cpu && !strcmp(type->cpu, node->cpu) && (!type->isa || type->isa == node->isa);
  const double other_size = 1e-3 * fabs(log(measured_on / cores));
  if (same_cpu && other_size == 0)
    return 0;
  if (!(type->compute_flops_per_s > 0) || !(node->compute_flops_per_s > 0))
    return INFINITY;
  const double power =
      (node->compute_flops_per_s / measured_on) / (type->compute_flops_per_s / cores);
  return (same_cpu ? 0 : OTHER_PROCESSOR) + fabs(log(power)) + other_size;
}

qb_status qb__profile_for_type(const qb_node_type *type, qb_profile *const *profiles,
                               size_t profile_count, size_t *index)
{
  double least = INFINITY;
  for (size_t i = 0; i < profile_count; i++)
    if (distance(profiles[i], type) < least) {
      least = distance(profiles[i], type);
      *index = i;
    }
  return isfinite(least)
             ? QB_OK
             : qb__fail(QB_ERROR_NOT_FOUND,
                        "type '%.64s': no profile was measured on its processor ('%.64s', %u "
                        "cores), and none can be transferred, as compute_flops of %s is not known; "
                        "run 'qosbatch node' there, or profile there",
                        type->name, type->cpu, qb__type_cores(type),
                        type->compute_flops_per_s > 0 ? "the profiles' nodes" : "the type");
}

/* c of one core and of all, if it is known. Returns the number of entries. */
static size_t compute_of(qb_isa isa, qb_precision precision, uint32_t cores, double flops,
                         qb__sustained table[2])
{
  size_t count = 0;
  if (!(flops > 0))
    return 0;
  if (cores > 1)
    table[count++] = (qb__sustained){isa, 1, flops / cores, precision};
  table[count++] = (qb__sustained){isa, cores, flops, precision};
  return count;
}

qb_status qb__node_of_type(const qb_profile *profile, const qb_node_type *type, qb_node **node)
{
  const qb_node *like = qb__profile_node(profile);
  const uint32_t cores = qb__type_cores(type);
  qb_context *context = qb__profile_context(profile);
  qb_node_info info = *qb__node_info(like);
  info.memory_bytes = type->memory_bytes;
  info.price_per_hour = type->billing.price_per_hour;
  info.quota_cores = info.hardware_threads;
  if (distance(profile, type) == 0)
    return qb__node_like(like, &info, node);
  info.cpu = type->cpu;
  info.features = type->features | (type->isa ? 0 : info.features);
  info.isa = type->isa ? type->isa : info.isa;
  info.cores = info.usable_threads = cores;
  info.hardware_threads = type->vcpus > cores ? type->vcpus : cores;
  info.quota_cores = info.hardware_threads;
  qb__sustained compute[8];
  size_t count = 0;
  if (info.isa == QB_ISA_AVX) /* whose registers are twice as wide */
    count =
        compute_of(QB_ISA_SSE41, QB_PRECISION_F32, cores, type->compute_flops_per_s / 2, compute);
  count +=
      compute_of(info.isa, QB_PRECISION_F32, cores, type->compute_flops_per_s, compute + count);
  count += compute_of(info.isa, QB_PRECISION_BF16, cores, type->compute_bf16_flops_per_s,
                      compute + count);
  count += compute_of(info.isa, QB_PRECISION_INT8, cores, type->compute_int8_flops_per_s,
                      compute + count);
  const qb__sustained bandwidth = {QB_ISA_BEST, cores, type->memory_bytes_per_s};
  return qb__node_new(context, &info, compute, count, &bandwidth, type->memory_bytes_per_s > 0,
                      node);
}
