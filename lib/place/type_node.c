/* SPDX-License-Identifier: Apache-2.0 */
#include "place/type_node.h"

#include "core/error.h"
#include "node/node_data.h"
#include "place/catalogue_impl.h"
#include "plan/demand.h"
#include "profile/profile_data.h"

#include <math.h>
#include <string.h>

/* Another size of the same processor is nearer than any other processor, another reserve than that. */
static const double OTHER_PROCESSOR = 100, OTHER_RESERVE = 1e-7;

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

qb_status qb__reserve_of_nodes(const qb_catalogue *catalogue, qb_profile *const *profiles,
                               size_t profile_count, const qb_qos *qos, uint32_t *reserve_cores)
{
  uint32_t most_cores = 0;
  *reserve_cores = qos->reserve_cores;
  for (size_t i = 0; i < profile_count && !qos->reserve_cores; i++) {
    const uint32_t its = qb__node_info(qb__profile_node(profiles[i]))->reserve_cores;
    *reserve_cores = its > *reserve_cores ? its : *reserve_cores;
  }
  for (uint32_t i = 0; i < catalogue->count; i++) {
    const uint32_t cores = qb__type_cores(&catalogue->types[i]);
    most_cores = cores > most_cores ? cores : most_cores;
  }
  return most_cores > *reserve_cores
             ? QB_OK
             : qb__fail(
                   QB_ERROR_NOT_FOUND,
                   "a reserve of %u cores leaves none of any node type, of which the largest has "
                   "%u; reserve %u at most, or add larger types",
                   *reserve_cores, most_cores, most_cores - 1);
}

static bool same_processor(const qb_node_info *node, const qb_node_type *type)
{
  return *type->cpu && !strcmp(type->cpu, node->cpu) && (!type->isa || type->isa == node->isa);
}

/* Also with other cores left to others. */
static bool same_size(const qb_node_info *node, const qb_node_type *type)
{
  return node->usable_threads + node->reserve_cores == qb__type_cores(type);
}

/* How far a profile's node is from a type; infinite if it tells nothing of it. */
static double distance(const qb_profile *profile, const qb_node_type *type, uint32_t reserve_cores)
{
  const qb_node_info *node = qb__node_info(qb__profile_node(profile));
  const bool same_cpu = same_processor(node, type);
  const double cores = qb__type_cores(type), measured_on = node->usable_threads;
  const double other_reserve = node->reserve_cores == reserve_cores ? 0 : OTHER_RESERVE;
  if (same_cpu && same_size(node, type))
    return other_reserve;
  if (!(type->compute_flops_per_s > 0) || !(node->compute_flops_per_s > 0))
    return INFINITY;
  const double power =
      (node->compute_flops_per_s / measured_on) / (type->compute_flops_per_s / cores);
  const double other_size = 1e-3 * fabs(log((measured_on + node->reserve_cores) / cores));
  return (same_cpu ? 0 : OTHER_PROCESSOR) + fabs(log(power)) + other_size + other_reserve;
}

qb_status qb__profile_for_type(const qb_node_type *type, uint32_t reserve_cores,
                               qb_profile *const *profiles, size_t profile_count, size_t *index)
{
  double least = INFINITY;
  for (size_t i = 0; i < profile_count; i++)
    if (distance(profiles[i], type, reserve_cores) < least) {
      least = distance(profiles[i], type, reserve_cores);
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

qb_status qb__node_of_type(const qb_profile *profile, const qb_node_type *type,
                           uint32_t reserve_cores, qb_node **node)
{
  const qb_node *like = qb__profile_node(profile);
  const uint32_t cores = qb__type_cores(type);
  qb_context *context = qb__profile_context(profile);
  qb_node_info info = *qb__node_info(like);
  info.memory_bytes = type->memory_bytes;
  info.price_per_hour = type->billing.price_per_hour;
  info.quota_cores = info.hardware_threads;
  info.reserve_cores = reserve_cores;
  info.usable_threads = cores - reserve_cores;
  if (same_processor(qb__node_info(like), type) && same_size(qb__node_info(like), type))
    return qb__node_like(like, &info, node);
  info.cpu = type->cpu;
  info.features = type->features | (type->isa ? 0 : info.features);
  info.isa = type->isa ? type->isa : info.isa;
  info.cores = cores;
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
