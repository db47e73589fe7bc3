/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <qosbatch/inspect.h>

#include <stdio.h>

const char *node_name(const qb_node_info *info)
{
  return info->cpu && *info->cpu ? info->cpu : "an unnamed processor";
}

void node_to_json(const qb_node *node, json_t *object)
{
  qb_node_info info = QB_NODE_INFO_INIT;
  qb_node_get_info(node, &info);
  add_text(object, "cpu", node_name(&info));
  add_text(object, "isa", qb_isa_name(info.isa));
  add_integer(object, "hardware_threads", info.hardware_threads);
  add_integer(object, "cores", info.cores);
  add_number(object, "quota_cores", info.quota_cores);
  add_integer(object, "usable_threads", info.usable_threads);
  add_integer(object, "numa_nodes", info.numa_nodes);
  add_integer(object, "l1d_bytes", (int64_t)info.l1d_bytes);
  add_integer(object, "l2_bytes", (int64_t)info.l2_bytes);
  add_integer(object, "l3_bytes", (int64_t)info.l3_bytes);
  add_integer(object, "memory_bytes", (int64_t)info.memory_bytes);
  add_number(object, "compute_flops", info.compute_flops_per_s);
  add_number(object, "memory_bytes_per_s", info.memory_bytes_per_s);
  add_number(object, "price_per_hour", info.price_per_hour);

  json_t *compute = add_array(object, "compute");
  for (int isa = QB_ISA_GENERIC; isa <= (int)info.isa; isa++) {
    for (uint32_t threads = 1; threads <= info.usable_threads; threads++) {
      double flops;
      if (qb_node_get_compute(node, threads, (qb_isa)isa, QB_PRECISION_F32, &flops))
        continue; /* not measured, or not an instruction set of this architecture */
      json_t *entry = append_object(compute);
      add_text(entry, "isa", qb_isa_name((qb_isa)isa));
      add_integer(entry, "threads", threads);
      add_number(entry, "flops", flops);
    }
  }
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

/* c and m for 1, 2, 4, ... threads and all: every number of 128 would say no more. */
static void print_scaling(const qb_node *node, uint32_t usable_threads)
{
  const char *titles[QB_ISA_AVX512 + 2] = {"threads"};
  qb_isa isas[QB_ISA_AVX512];
  size_t count = 0;
  double value;
  for (int isa = QB_ISA_GENERIC; isa <= QB_ISA_AVX512; isa++) {
    if (qb_node_get_compute(node, 1, (qb_isa)isa, QB_PRECISION_F32, &value))
      continue;
    isas[count++] = (qb_isa)isa;
    titles[count] = qb_isa_name((qb_isa)isa);
  }
  titles[count + 1] = "bandwidth";
  printf("\nsustained: compute power by instruction set [GFLOP/s], memory bandwidth [GB/s]\n");
  table *t = table_new(titles, count + 2);
  for (uint32_t threads = 1;;) {
    table_cell(t, "%u", threads);
    for (size_t i = 0; i < count; i++) {
      const bool known = !qb_node_get_compute(node, threads, isas[i], QB_PRECISION_F32, &value);
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
  printf("threads    %u usable: %u core%s, %u hardware thread%s, a quota of %s\n",
         info.usable_threads, info.cores, plural(info.cores), info.hardware_threads,
         plural(info.hardware_threads), digits(info.quota_cores).s);
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
