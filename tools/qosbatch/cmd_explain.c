/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "common/load.h"
#include "common/options.h"
#include "common/output.h"
#include "common/precisions.h"
#include "configurations.h"

#include <qosbatch/mitigate.h>

#include <stdio.h>
#include <stdlib.h>

enum { MAX_CHANGES = 16 };

static void print_gain(const qb_mitigation *m)
{
  if (m->gain_of == QB_GAIN_OF_FIRST_ROUND)
    printf("first rounds %s times as fast: ", digits(1 + m->gain).s);
  else
    printf("+%.0f %% %s: ", 100 * m->gain,
           m->gain_of == QB_GAIN_OF_P95 ? "speed of slow rounds" : "samples/s");
}

/* By a control group: whenever a larger quota would help. */
static bool is_throttled(const qb_mitigation *list, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (list[i].kind == QB_MITIGATION_RAISE_QUOTA)
      return true;
  return false;
}

static void print_as_json(const qb_node_info *node, const qb_latency_estimate *now,
                          const qb_mitigation *list, size_t count)
{
  json_t *root = object_new();
  add_integer(root, "batch", now->batch);
  add_configuration(root, &now->configuration);
  add_integer(root, "latency_ns", now->latency_ns);
  add_number(root, "density", now->density);
  add_text(root, "bound", qb_bound_name(now->bound));
  add_number(root, "memory_share", now->memory_share);
  add_bool(root, "throttled", is_throttled(list, count));
  add_number(root, "quota_cores", node->quota_cores);
  json_t *array = add_array(root, "mitigations");
  for (size_t i = 0; i < count; i++) {
    json_t *entry = append_object(array);
    add_text(entry, "kind", qb_mitigation_name(list[i].kind));
    add_number(entry, "gain", list[i].gain);
    add_text(entry, "gain_of",
             list[i].gain_of == QB_GAIN_OF_FIRST_ROUND ? "first_round"
             : list[i].gain_of == QB_GAIN_OF_P95       ? "p95"
                                                       : "throughput");
    add_integer(entry, "batch", list[i].batch);
    add_configuration(entry, &list[i].configuration);
    add_text(entry, "text", list[i].text);
  }
  print_json(root);
}

static void print_as_text(const char *model, const qb_node_info *node,
                          const qb_latency_estimate *now, const qb_mitigation *list, size_t count)
{
  printf("%s, %s, batch %u: %s, %s samples/s\n", model, human_configuration(&now->configuration).s,
         now->batch, human_time(now->latency_ns).s, digits(now->throughput_per_s).s);
  printf("%.0f %% of the compute power is used; bound by %s (%.0f %% of the roofline is memory)\n",
         100 / now->density, qb_bound_name(now->bound), 100 * now->memory_share);
  if (is_throttled(list, count))
    printf("throttled: %s on a CPU quota of %s cores; raise it, or use fewer threads\n",
           human_configuration(&now->configuration).s, digits(node->quota_cores).s);
  printf("\n");
  for (size_t i = 0; i < count; i++) {
    print_gain(&list[i]);
    puts(list[i].text);
  }
  if (!count)
    printf("Nothing in the profile would gain 2 %% or more.\n");
}

static int run(const command *self, int argc, char **argv)
{
  uint64_t instances = 0, threads = 0, batch = 1;
  const char *precision = NULL;
  bool as_json = false;
  const option options[] = {
      OPTION_INTEGER("batch", "N", &batch, 1, QB_MAX_BATCH, "batch size (1)"),
      OPTION_INTEGER("instances", "I", &instances, 1, 4096, "instances, one round each (1)"),
      OPTION_INTEGER("threads", "T", &threads, 1, 4096,
                     "threads per instance (the most that were measured)"),
      OPTION_STRING(0, "precision", "NAME", &precision, "f32, bf16 or int8 (the first measured)"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  const char *path = options_parse(self, options, sizeof options / sizeof *options, argc, argv);

  qb_context *context = NULL;
  qb_profile *profile = NULL;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  qb_node_info node = QB_NODE_INFO_INIT;
  qb_latency_estimate now = QB_LATENCY_ESTIMATE_INIT;
  qb_mitigation list[MAX_CHANGES];
  for (size_t i = 0; i < MAX_CHANGES; i++)
    list[i] = (qb_mitigation)QB_MITIGATION_INIT;
  qb_configuration configuration;
  size_t count;
  int result;
  if ((result = load_context(&context)) || (result = load_profile(context, path, &profile)) ||
      (result = check(qb_profile_get_info(profile, &info))) ||
      (result = check(qb_node_get_info(qb_profile_node(profile), &node))) ||
      (result = configuration_of_profile(profile,
                                         &(qb_configuration){instances ? (uint32_t)instances : 1,
                                                             (uint32_t)threads,
                                                             precision_named(precision, profile)},
                                         &configuration)) ||
      (result = check(qb_estimate(profile, &configuration, (uint32_t)batch, NULL, &now))) ||
      (result = check(
           qb_mitigations(profile, &configuration, (uint32_t)batch, list, MAX_CHANGES, &count))))
    goto done;
  if (count > MAX_CHANGES)
    count = MAX_CHANGES;
  if (as_json)
    print_as_json(&node, &now, list, count);
  else
    print_as_text(info.model, &node, &now, list, count);
done:
  qb_profile_unref(profile);
  qb_context_unref(context);
  return result;
}

const command command_explain = {
    .name = "explain",
    .operand = "PROFILE",
    .operand_role = FILE_READ,
    .synopsis = "[options]",
    .summary = "Show what limits the speed of a round, and what each improvement would gain",
    .details = "Each gain is estimated from the profile, for that improvement alone.",
    .run = run,
};
