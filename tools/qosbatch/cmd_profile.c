/* SPDX-License-Identifier: Apache-2.0 */
#include "configurations.h"
#include "diagnose.h"
#include "load.h"
#include "measure.h"
#include "options.h"
#include "view.h"

#include <stdio.h>
#include <stdlib.h>

static void print(const qb_profile *profile, const char *path, bool as_json)
{
  if (!as_json) {
    profile_print(profile);
    printf("\nsaved to %s\n", path);
    return;
  }
  json_t *root = object_new();
  add_text(root, "file", path);
  profile_to_json(profile, root);
  print_json(root);
}

static int run(const command *self, int argc, char **argv)
{
  const char *output = NULL;
  uint64_t max_batch = 0;
  integer_list batches = {NULL, 0}, instances = {NULL, 0}, threads = {NULL, 0};
  double budget_s = 0, goal_pct = 0, price_per_hour = 0;
  bool quiet = false, as_json = false;
  const option options[] = {
      OPTION_STRING('o', "output", "FILE", &output, "where to save the profile (required)"),
      OPTION_INTEGER("max-batch", "N", &max_batch, 1, QB_MAX_BATCH,
                     "measure batches of 1, 2, 3, 4, 6, 8, 12, ... N samples (64)"),
      OPTION_LIST("batch", "L", &batches, 1, QB_MAX_BATCH,
                  "measure these batch sizes instead: 1,3,24 or 1-8"),
      OPTION_LIST("threads", "L", &threads, 1, 4096, "threads per instance (see above)"),
      OPTION_LIST("instances", "L", &instances, 1, 4096, "rounds at the same time (see above)"),
      OPTION_NUMBER("time-budget", "S", &budget_s, 0, 1e6,
                    "seconds to measure in all (20 a configuration)"),
      OPTION_NUMBER("goal", "PCT", &goal_pct, 0, 100,
                    "stop early when all 95 % intervals are within +-PCT % (1)"),
      OPTION_NUMBER("price-per-hour", "P", &price_per_hour, 0, 1e9,
                    "what the node costs, in your currency"),
      OPTION_FLAG("quiet", &quiet, "no progress bar and no notes"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  const char *name = options_parse(self, options, sizeof options / sizeof *options, argc, argv);
  if (!output)
    fail_usage("expected -o FILE, where to save the profile");
  if (max_batch && batches.count)
    fail_usage("expected --max-batch or --batch, not both");

  qb_context *context = NULL;
  qb_model *model = NULL;
  qb_node *node = NULL;
  qb_profile *profile = NULL;
  configuration_list configurations = {NULL, 0};
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  qb_node_info info = QB_NODE_INFO_INIT;
  int result;
  if ((result = check_output(output)) || (result = load_context(&context)) ||
      (result = load_model(context, name, &model)) ||
      (result = measure_node(context, price_per_hour, budget_s, &node, &params.time_budget_ns)) ||
      (result = check(qb_node_get_info(node, &info))) ||
      (result = configurations_to_measure(info.usable_threads, &instances, &threads, quiet,
                                          &configurations)))
    goto done;
  params.max_batch = (uint32_t)max_batch;
  params.batches = batches.values;
  params.batch_count = batches.count;
  params.configurations = configurations.items;
  params.configuration_count = configurations.count;
  params.goal = goal_pct / 100;
  if ((result = measure_profile(model, node, &params, quiet, &profile)) ||
      (result = check(qb_profile_save(profile, output))))
    goto done;
  print(profile, output, as_json);
done:
  qb_profile_unref(profile);
  qb_node_unref(node);
  qb_model_unref(model);
  qb_context_unref(context);
  free(configurations.items);
  free(threads.values);
  free(instances.values);
  free(batches.values);
  return result;
}

const command command_profile = {
    .name = "profile",
    .operand = "MODEL",
    .synopsis = "-o FILE [options]",
    .summary = "Measure how long rounds of a network take on this node",
    .details =
        "MODEL is alexnet or resnet50.\n"
        "\n"
        "Without --threads and --instances: 1 instance on 1 thread, 1 on all threads, and an\n"
        "instance a thread. With both: all their products that fit. With --threads alone: 1\n"
        "instance; with --instances alone: they share all threads.",
    .run = run,
};
