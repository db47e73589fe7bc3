/* SPDX-License-Identifier: Apache-2.0 */
#include "core/alloc.h"
#include "core/error.h"
#include "core/file.h"
#include "core/structs.h"
#include "node/bandwidth.h"
#include "node/cgroup.h"
#include "node/compute_power.h"
#include "node/node_impl.h"
#include "node/usable_threads.h"
#include "node/yardstick.h"

#include <qosbatch/inspect.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t DEFAULT_BUDGET_NS = 1500000000;

/* Those of a precision and an instruction set (the best one that is there for QB_ISA_BEST). */
static const qb__sustained *entries_of(const qb__sustained *table, size_t count, qb_isa isa,
                                       qb_precision precision, size_t *found)
{
  size_t end = count;
  while (end && (table[end - 1].precision != precision || (isa && table[end - 1].isa != isa)))
    end--;
  size_t first = end;
  while (first && table[first - 1].precision == precision &&
         table[first - 1].isa == table[end - 1].isa)
    first--;
  *found = end - first;
  return table + first;
}

/* Linear between the numbers of threads that were measured, constant beyond them. */
static bool look_up(const qb__sustained *table, size_t count, qb_isa isa, qb_precision precision,
                    uint32_t threads, double *per_s)
{
  const qb__sustained *e = entries_of(table, count, isa, precision, &count);
  if (!count)
    return false;
  size_t i = 0;
  while (i + 1 < count && e[i + 1].threads <= threads)
    i++;
  *per_s = e[i].per_s;
  if (i + 1 < count && threads > e[i].threads)
    *per_s += (e[i + 1].per_s - e[i].per_s) * (threads - e[i].threads) /
              (e[i + 1].threads - e[i].threads);
  return true;
}

qb_status qb__node_new(qb_context *context, const qb_node_info *info, const qb__sustained *compute,
                       size_t compute_count, const qb__sustained *bandwidth, size_t bandwidth_count,
                       qb_node **node)
{
  qb_node *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  qb__refcount_init(&self->references);
  self->context = qb_context_ref(context);
  self->info = *info;
  self->info.size = sizeof self->info;
  self->compute_count = compute_count;
  self->bandwidth_count = bandwidth_count;
  self->info.cpu = qb__strdup(context, info->cpu);
  self->compute = qb__calloc(context, compute_count, sizeof *compute);
  self->bandwidth = qb__calloc(context, bandwidth_count, sizeof *bandwidth);
  if (!self->info.cpu || !self->compute || !self->bandwidth) {
    qb_node_unref(self);
    return QB_ERROR_NO_MEMORY;
  }
  if (compute_count)
    memcpy(self->compute, compute, compute_count * sizeof *compute);
  if (bandwidth_count)
    memcpy(self->bandwidth, bandwidth, bandwidth_count * sizeof *bandwidth);
  const uint32_t threads = info->usable_threads;
  self->info.compute_flops_per_s = self->info.memory_bytes_per_s = 0;
  (void)look_up(self->compute, compute_count, QB_ISA_BEST, QB_PRECISION_F32, threads,
                &self->info.compute_flops_per_s);
  (void)look_up(self->bandwidth, bandwidth_count, QB_ISA_BEST, QB_PRECISION_F32, threads,
                &self->info.memory_bytes_per_s);
  *node = self;
  return QB_OK;
}

static int fastest_first(const void *a, const void *b)
{
  const qb__core_speed *x = a, *y = b;
  return x->flops_per_s != y->flops_per_s ? (x->flops_per_s < y->flops_per_s ? 1 : -1)
                                          : (x->cpu > y->cpu) - (x->cpu < y->cpu);
}

qb_status qb__node_set_cores(qb_node *node, const qb__core_speed *cores, size_t count)
{
  if (!count)
    return QB_OK;
  node->cores = qb__calloc(node->context, count, sizeof *cores);
  if (!node->cores)
    return QB_ERROR_NO_MEMORY;
  memcpy(node->cores, cores, count * sizeof *cores);
  qsort(node->cores, count, sizeof *cores, fastest_first);
  node->core_count = count;
  return QB_OK;
}

double qb__node_slowest_share(const qb_node *node, uint32_t threads)
{
  const size_t count = threads < node->core_count ? threads : node->core_count;
  double all = 0;
  for (size_t i = 0; i < count; i++)
    all += node->cores[i].flops_per_s;
  return all > 0 ? node->cores[count - 1].flops_per_s * (double)count / all : 1;
}

qb_status qb__node_like(const qb_node *other, const qb_node_info *info, qb_node **node)
{
  return qb__node_new(other->context, info, other->compute, other->compute_count, other->bandwidth,
                      other->bandwidth_count, node);
}

const qb_node_info *qb__node_info(const qb_node *node)
{
  return &node->info;
}

/* The processor's name as Linux gives it, in `name`; "unknown" where it gives none. */
static qb_status read_cpu_name(const qb_context *context, char name[128])
{
  strcpy(name, "unknown");
  char *text;
  const qb_status status = qb__file_read_optional(context, "/proc/cpuinfo", 1 << 24, &text);
  const char *line = text ? strstr(text, "model name") : NULL;
  const char *colon = line ? strchr(line, ':') : NULL;
  if (colon) {
    colon += 1 + strspn(colon + 1, " \t");
    const size_t length = strcspn(colon, "\n");
    if (length > 0 && length < 128) {
      memcpy(name, colon, length);
      name[length] = 0;
    }
  }
  qb__free(context, text);
  return status;
}

static qb_status set_core_flops(qb_node *node, const qb__topology *topology, const double *flops)
{
  qb__core_speed *cores = qb__calloc(node->context, topology->core_count, sizeof *cores);
  if (!cores)
    return QB_ERROR_NO_MEMORY;
  for (uint32_t i = 0; i < topology->core_count; i++)
    cores[i] = (qb__core_speed){topology->cpus[i], flops[i]};
  const qb_status status = qb__node_set_cores(node, cores, topology->core_count);
  qb__free(node->context, cores);
  return status;
}

static qb_status measure(qb_context *context, const qb__topology *topology, int64_t budget_ns,
                         const qb_node_info *info, qb_node **node)
{
  const bool wanted = budget_ns >= 0;
  qb_node *made = NULL;
  qb__sustained *tables =
      qb__calloc(context, QB__MOST_COMPUTE + QB__MOST_BANDWIDTH, sizeof *tables);
  double *core_flops = qb__calloc(context, topology->core_count, sizeof *core_flops);
  qb__sustained *compute = tables, *bandwidth = tables ? tables + QB__MOST_COMPUTE : NULL;
  size_t compute_count = 0, bandwidth_count = 0;
  qb_status status = tables && core_flops ? QB_OK : QB_ERROR_NO_MEMORY;
  if (!status && wanted)
    status = qb__measure_compute(context, topology, info->usable_threads, budget_ns / 2, compute,
                                 &compute_count, core_flops);
  if (!status && wanted)
    status = qb__measure_bandwidth(context, topology, info->usable_threads, budget_ns / 2,
                                   bandwidth, &bandwidth_count);
  if (!status)
    status = qb__node_new(context, info, compute, compute_count, bandwidth, bandwidth_count, &made);
  if (!status && wanted)
    status = set_core_flops(made, topology, core_flops);
  qb__free(context, core_flops);
  qb__free(context, tables);
  if (status)
    qb_node_unref(made);
  else
    *node = made;
  return status;
}

qb_status qb_node_detect(qb_context *context, const qb_node_params *params, qb_node **node)
{
  if (!context || !node)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL", context ? "node" : "context");
  qb_node_params use = QB_NODE_PARAMS_INIT;
  qb_status status = QB_OK;
  if (params)
    status = QB__STRUCT_IN(qb_node_params, &use, params);
  if (status)
    return status;
  if (!(use.price_per_hour >= 0 && use.price_per_hour <= QB__MOST_PRICE))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "price_per_hour %g is outside 0..%g; use 0 if unknown", use.price_per_hour,
                    QB__MOST_PRICE);
  qb__topology *topology = qb__calloc(context, 1, sizeof *topology);
  if (!topology)
    return QB_ERROR_NO_MEMORY;
  char name[128];
  qb__cgroup_limits limits;
  status = qb__topology_read(topology);
  if (!status)
    status = read_cpu_name(context, name);
  if (!status)
    status = qb__cgroup_read(context, "", &limits);
  if (!status) {
    qb_node_info info = QB_NODE_INFO_INIT;
    info.cpu = name;
    info.hardware_threads = topology->hardware_threads;
    info.cores = topology->core_count;
    info.quota_cores = qb__quota_cores(topology, &limits);
    info.usable_threads = qb__usable_threads(topology, &limits, use.reserve_cores);
    info.reserve_cores = use.reserve_cores;
    info.numa_nodes = topology->numa_nodes;
    info.isa = qb__best_isa();
    info.features = qb__features();
    info.l1d_bytes = topology->l1d_bytes;
    info.l2_bytes = topology->l2_bytes;
    info.l3_bytes = topology->l3_bytes;
    info.memory_bytes = limits.memory_bytes && limits.memory_bytes < topology->memory_bytes
                            ? limits.memory_bytes
                            : topology->memory_bytes;
    info.price_per_hour = use.price_per_hour;
    if (!info.usable_threads)
      status =
          qb__fail(QB_ERROR_INVALID_ARGUMENT,
                   "reserve_cores %u leaves none of this node's %u usable cores; reserve %u at "
                   "most",
                   use.reserve_cores, qb__usable_threads(topology, &limits, 0),
                   qb__usable_threads(topology, &limits, 1));
    else
      status =
          measure(context, topology,
                  use.measure_budget_ns ? use.measure_budget_ns : DEFAULT_BUDGET_NS, &info, node);
  }
  qb__free(context, topology);
  return status;
}

qb_status qb_node_get_info(const qb_node *node, qb_node_info *info)
{
  if (!node)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "node is NULL");
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_node_info, info);
  if (!status)
    QB__STRUCT_OUT(qb_node_info, info, &node->info);
  return status;
}

qb_status qb_node_get_compute(const qb_node *node, uint32_t threads, qb_isa isa,
                              qb_precision precision, double *flops)
{
  if (!node || !flops || threads < 1)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s",
                    !node    ? "node is NULL"
                    : !flops ? "flops is NULL"
                             : "threads is 0; pass 1 or more");
  double found;
  if (!look_up(node->compute, node->compute_count, isa, precision, threads, &found))
    return qb__fail(QB_ERROR_NOT_FOUND, "the compute power of '%s' with %s in %s was not measured",
                    node->info.cpu, qb_isa_name(isa), qb_precision_name(precision));
  *flops = found;
  return QB_OK;
}

qb_status qb_node_get_bandwidth(const qb_node *node, uint32_t threads, double *bytes_per_s)
{
  if (!node || !bytes_per_s || threads < 1)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s",
                    !node          ? "node is NULL"
                    : !bytes_per_s ? "bytes_per_s is NULL"
                                   : "threads is 0; pass 1 or more");
  double found;
  if (!look_up(node->bandwidth, node->bandwidth_count, QB_ISA_BEST, QB_PRECISION_F32, threads,
               &found))
    return qb__fail(QB_ERROR_NOT_FOUND, "the memory bandwidth of '%s' was not measured",
                    node->info.cpu);
  *bytes_per_s = found;
  return QB_OK;
}

qb_node *qb_node_ref(qb_node *node)
{
  if (node)
    qb__refcount_take(&node->references);
  return node;
}

void qb_node_unref(qb_node *node)
{
  if (!node || !qb__refcount_drop(&node->references))
    return;
  qb_context *context = node->context;
  qb__free(context, node->info.cpu);
  qb__free(context, node->compute);
  qb__free(context, node->bandwidth);
  qb__free(context, node->cores);
  qb__free(context, node);
  qb_context_unref(context);
}
