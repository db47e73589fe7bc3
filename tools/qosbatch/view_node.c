/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <qosbatch/inspect.h>

#include <stdio.h>

const char *node_name(const qb_node_info *info)
{
  return info->cpu && *info->cpu ? info->cpu : "an unnamed processor";
}

/* An instruction set and a precision. */
typedef struct column {
  qb_isa isa;
  qb_precision precision;
} column;

enum { MOST_COLUMNS = QB_ISA_AVX512 + QB_PRECISION_INT8 };

/* If it was measured: not every architecture has every instruction set, nor that every precision. */
static void add_compute(json_t *array, const qb_node *node, const column *what, uint32_t threads)
{
  double flops;
  if (qb_node_get_compute(node, threads, what->isa, what->precision, &flops))
    return;
  json_t *entry = append_object(array);
  add_text(entry, "precision", qb_precision_name(what->precision));
  add_text(entry, "isa", qb_isa_name(what->isa));
  add_integer(entry, "threads", threads);
  add_number(entry, "flops", flops);
}

static void add_features(json_t *object, uint32_t features)
{
  json_t *array = add_array(object, "features");
  for (uint32_t bit = 1; bit <= QB_FEATURE_BF16; bit <<= 1)
    if (features & bit)
      append_text(array, qb_feature_name((qb_feature)bit));
}

/* As a catalogue has it: of all threads, 0 where it was not measured. */
static void add_precision(json_t *object, const char *key, const qb_node *node,
                          qb_precision precision, uint32_t threads)
{
  double flops = 0;
  (void)qb_node_get_compute(node, threads, QB_ISA_BEST, precision, &flops);
  add_number(object, key, flops);
}

void node_to_json(const qb_node *node, json_t *object)
{
  qb_node_info info = QB_NODE_INFO_INIT;
  qb_node_get_info(node, &info);
  add_text(object, "cpu", node_name(&info));
  add_text(object, "isa", qb_isa_name(info.isa));
  add_features(object, info.features);
  add_integer(object, "hardware_threads", info.hardware_threads);
  add_integer(object, "cores", info.cores);
  add_number(object, "quota_cores", info.quota_cores);
  add_integer(object, "usable_threads", info.usable_threads);
  add_integer(object, "reserve_cores", info.reserve_cores);
  add_integer(object, "numa_nodes", info.numa_nodes);
  add_integer(object, "l1d_bytes", (int64_t)info.l1d_bytes);
  add_integer(object, "l2_bytes", (int64_t)info.l2_bytes);
  add_integer(object, "l3_bytes", (int64_t)info.l3_bytes);
  add_integer(object, "memory_bytes", (int64_t)info.memory_bytes);
  add_number(object, "compute_flops", info.compute_flops_per_s);
  add_precision(object, "compute_bf16_flops", node, QB_PRECISION_BF16, info.usable_threads);
  add_precision(object, "compute_int8_flops", node, QB_PRECISION_INT8, info.usable_threads);
  add_number(object, "memory_bytes_per_s", info.memory_bytes_per_s);
  add_number(object, "price_per_hour", info.price_per_hour);

  json_t *compute = add_array(object, "compute");
  for (qb_precision p = QB_PRECISION_F32; p <= QB_PRECISION_INT8; p++)
    for (int isa = QB_ISA_GENERIC; isa <= (int)info.isa; isa++)
      for (uint32_t threads = 1; threads <= info.usable_threads; threads++)
        add_compute(compute, node, &(column){(qb_isa)isa, p}, threads);
  json_t *bandwidth = add_array(object, "bandwidth");
  for (uint32_t threads = 1; threads <= info.usable_threads; threads++) {
    double bytes_per_s;
    if (qb_node_get_bandwidth(node, threads, &bytes_per_s))
      continue;
    json_t *entry = append_object(bandwidth);
    add_integer(entry, "threads", threads);
    add_number(entry, "bytes_per_s", bytes_per_s);
  }
}

/* What there is to show: 32-bit floats by instruction set, other precisions by the best one. */
static size_t columns_of(const qb_node *node, column columns[MOST_COLUMNS])
{
  size_t count = 0;
  double ignored;
  for (int isa = QB_ISA_GENERIC; isa <= QB_ISA_AVX512; isa++)
    if (!qb_node_get_compute(node, 1, (qb_isa)isa, QB_PRECISION_F32, &ignored))
      columns[count++] = (column){(qb_isa)isa, QB_PRECISION_F32};
  for (qb_precision p = QB_PRECISION_BF16; p <= QB_PRECISION_INT8; p++)
    if (!qb_node_get_compute(node, 1, QB_ISA_BEST, p, &ignored))
      columns[count++] = (column){QB_ISA_BEST, p};
  return count;
}

/* c and m for 1, 2, 4, ... threads and all: every number of 128 would say no more. */
static void print_scaling(const qb_node *node, uint32_t usable_threads)
{
  const char *titles[MOST_COLUMNS + 2] = {"threads"};
  column columns[MOST_COLUMNS];
  const size_t count = columns_of(node, columns);
  double value;
  for (size_t i = 0; i < count; i++)
    titles[i + 1] = columns[i].precision == QB_PRECISION_F32
                        ? qb_isa_name(columns[i].isa)
                        : qb_precision_name(columns[i].precision);
  titles[count + 1] = "bandwidth";
  printf("\nsustained: compute power by instruction set and precision [GFLOP/s], memory bandwidth "
         "[GB/s]\n");
  table *t = table_new(titles, count + 2);
  for (uint32_t threads = 1;;) {
    table_cell(t, "%u", threads);
    for (size_t i = 0; i < count; i++) {
      const column *c = &columns[i];
      const bool known = !qb_node_get_compute(node, threads, c->isa, c->precision, &value);
      table_cell(t, "%s", known ? digits(value / 1e9).s : "-");
    }
    const bool known = !qb_node_get_bandwidth(node, threads, &value);
    table_cell(t, "%s", known ? digits(value / 1e9).s : "-");
    if (threads >= usable_threads)
      break;
    threads = threads * 2 < usable_threads ? threads * 2 : usable_threads;
  }
  table_print(t);
}

/* Those that are known. */
static void print_caches(const qb_node_info *info)
{
  const struct {
    const char *name;
    uint64_t bytes;
  } caches[] = {{"L1d", info->l1d_bytes}, {"L2", info->l2_bytes}, {"L3", info->l3_bytes}};
  const char *before = "caches     ", *after = "";
  for (size_t i = 0; i < sizeof caches / sizeof *caches; i++)
    if (caches[i].bytes) {
      printf("%s%s %s", before, caches[i].name, human_bytes((double)caches[i].bytes).s);
      before = ", ";
      after = "\n";
    }
  printf("%s", after);
}

void node_print(const qb_node *node)
{
  qb_node_info info = QB_NODE_INFO_INIT;
  qb_node_get_info(node, &info);
  printf("processor  %s, %s\n", node_name(&info), qb_isa_name(info.isa));
  printf("threads    %u usable: %u core%s, %u hardware thread%s, a quota of %s",
         info.usable_threads, info.cores, plural(info.cores), info.hardware_threads,
         plural(info.hardware_threads), digits(info.quota_cores).s);
  if (info.reserve_cores)
    printf(", %u left to others", info.reserve_cores);
  printf("\n");
  if (info.memory_bytes > 0) {
    print_caches(&info);
    printf("memory     %s on %u NUMA node%s\n", human_bytes((double)info.memory_bytes).s,
           info.numa_nodes, plural(info.numa_nodes));
  }
  if (info.price_per_hour > 0)
    printf("price      %s per hour\n", digits(info.price_per_hour).s);
  if (info.compute_flops_per_s > 0)
    print_scaling(node, info.usable_threads);
}
