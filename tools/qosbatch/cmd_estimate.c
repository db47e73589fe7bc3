/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "common/load.h"
#include "common/options.h"
#include "common/precisions.h"
#include "configurations.h"
#include "view.h"

#include <qosbatch/inspect.h>

#include <stdio.h>
#include <stdlib.h>

static void print_as_json(const qb_profile_info *info, const qb_latency_estimate *estimates,
                          size_t count)
{
  json_t *root = object_new();
  add_text(root, "model", info->model);
  json_t *array = add_array(root, "estimates");
  for (size_t i = 0; i < count; i++) {
    const qb_latency_estimate *e = &estimates[i];
    json_t *entry = append_object(array);
    add_integer(entry, "batch", e->batch);
    add_configuration(entry, &e->configuration);
    add_integer(entry, "latency_ns", e->latency_ns);
    add_integer(entry, "low_ns", e->low_ns);
    add_integer(entry, "high_ns", e->high_ns);
    add_integer(entry, "p95_ns", e->p95_ns);
    add_integer(entry, "mean_ns", e->mean_ns);
    add_text(entry, "source", qb_source_name(e->source));
    add_number(entry, "density", e->density);
    add_text(entry, "bound", qb_bound_name(e->bound));
    add_number(entry, "throughput_per_s", e->throughput_per_s);
    add_integer(entry, "memory_bytes", (int64_t)e->memory_bytes);
  }
  print_json(root);
}

static void print_as_text(const qb_profile *profile, const qb_profile_info *info,
                          const qb_latency_estimate *estimates, size_t count)
{
  static const char *const titles[] = {
      "batch",     "latency [ms]", "low [ms]", "high [ms]",    "p95 [ms]", "ms/sample",
      "samples/s", "density",      "<bound",   "memory [MiB]", "<source",
  };
  qb_node_info node = QB_NODE_INFO_INIT;
  qb_node_get_info(qb_profile_node(profile), &node);
  const qb_configuration *c = &estimates[0].configuration;
  printf("%s, %s, on %s\n\n", info->model, human_configuration(c).s, node_name(&node));
  table *t = table_new(titles, sizeof titles / sizeof *titles);
  for (size_t i = 0; i < count; i++) {
    const qb_latency_estimate *e = &estimates[i];
    table_cell(t, "%u", e->batch);
    table_cell(t, "%s", digits(milliseconds(e->latency_ns)).s);
    table_cell(t, "%s", digits(milliseconds(e->low_ns)).s);
    table_cell(t, "%s", digits(milliseconds(e->high_ns)).s);
    table_cell(t, "%s", digits(milliseconds(e->p95_ns)).s);
    table_cell(t, "%s", digits(milliseconds(e->latency_ns) / e->batch).s);
    table_cell(t, "%s", digits(e->throughput_per_s).s);
    table_cell(t, "%s", digits(e->density).s);
    table_cell(t, "%s", qb_bound_name(e->bound));
    table_cell(t, "%.0f", mebibytes((double)e->memory_bytes));
    table_cell(t, "%s", qb_source_name(e->source));
  }
  table_print(t);
}

static qb_isa isa_of(const char *name)
{
  int isa = QB_ISA_BEST;
  if (!qb_enum_find("qb_isa", name, &isa) || isa == QB_ISA_BEST)
    fail_usage("--isa %s: expected generic, sse41, avx, avx2 or avx512", name);
  return (qb_isa)isa;
}

static int run(const command *self, int argc, char **argv)
{
  integer_list batches = {NULL, 0};
  uint64_t instances = 0, threads = 0;
  const char *node_path = NULL, *isa_name = NULL, *precision = NULL;
  bool as_json = false;
  const option options[] = {
      OPTION_LIST("batch", "L", &batches, 1, QB_MAX_BATCH, "batch sizes, 1,3,24 or 1-8 (required)"),
      OPTION_INTEGER("instances", "I", &instances, 1, 4096,
                     "instances, one round each (see above)"),
      OPTION_INTEGER("threads", "T", &threads, 1, 4096, "threads per instance (see above)"),
      OPTION_STRING(0, "precision", "NAME", &precision, "f32, bf16 or int8 (the first measured)"),
      OPTION_FILE(0, "node", "FILE", &node_path, FILE_READ,
                  "estimate for another node, saved there with 'qosbatch node -o'"),
      OPTION_STRING(0, "isa", "NAME", &isa_name,
                    "limit kernels to sse41, avx, avx2 or avx512 (best available)"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  const char *path = options_parse(self, options, sizeof options / sizeof *options, argc, argv);
  if (!batches.count)
    fail_usage("expected --batch L, the batch sizes to estimate");

  qb_where where = QB_WHERE_INIT;
  where.isa = isa_name ? isa_of(isa_name) : QB_ISA_BEST;
  qb_context *context = NULL;
  qb_profile *profile = NULL;
  qb_node *node = NULL;
  qb_latency_estimate *estimates = allocate(batches.count, sizeof *estimates);
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  qb_configuration configuration;
  int result;
  if ((result = load_context(&context)) || (result = load_profile(context, path, &profile)) ||
      (node_path && (result = load_node(context, node_path, &node))) ||
      (result = check(qb_profile_get_info(profile, &info))) ||
      (result = configuration_of_profile(profile,
                                         &(qb_configuration){(uint32_t)instances, (uint32_t)threads,
                                                             precision_named(precision, profile)},
                                         &configuration)))
    goto done;
  where.node = node;
  for (size_t i = 0; i < batches.count; i++) {
    estimates[i] = (qb_latency_estimate)QB_LATENCY_ESTIMATE_INIT;
    if ((result =
             check(qb_estimate(profile, &configuration, batches.values[i], &where, &estimates[i]))))
      goto done;
  }
  if (as_json)
    print_as_json(&info, estimates, batches.count);
  else
    print_as_text(profile, &info, estimates, batches.count);
done:
  qb_node_unref(node);
  qb_profile_unref(profile);
  qb_context_unref(context);
  free(estimates);
  free(batches.values);
  return result;
}

const command command_estimate = {
    .name = "estimate",
    .operand = "PROFILE",
    .operand_role = FILE_READ,
    .synopsis = "--batch L [options]",
    .summary = "Estimate how long a round takes, at any batch size",
    .details = "Without --instances and --threads, uses the measured configuration with the "
               "highest\nthroughput; with one of them, the best measured configuration that "
               "matches. With both,\nany configuration will do, measured or not.",
    .run = run,
};
