/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "common/load.h"
#include "common/measure.h"
#include "common/options.h"
#include "view.h"

#include <qosbatch/inspect.h>

#include <stdio.h>

static void print(const qb_node *node, bool as_json)
{
  if (!as_json) {
    node_print(node);
    printf("\nlibqosbatch %s, engine %s\n", qb_version(), qb_engine_version());
    return;
  }
  json_t *root = object_new();
  node_to_json(node, root);
  add_text(root, "library", qb_version());
  add_text(root, "engine", qb_engine_version());
  print_json(root);
}

static int run(const command *self, int argc, char **argv)
{
  const char *output = NULL;
  uint64_t reserve_cores = 0;
  double price_per_hour = 0;
  bool as_json = false;
  const option options[] = {
      OPTION_FILE('o', "output", "FILE", &output, FILE_WRITTEN, "save the node as JSON"),
      OPTION_RESERVE(&reserve_cores, "0"),
      OPTION_NUMBER("price-per-hour", "P", &price_per_hour, 0, 1e9,
                    "price of the node, in your currency"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  options_parse(self, options, sizeof options / sizeof *options, argc, argv);

  qb_context *context = NULL;
  qb_node *node = NULL;
  int64_t left_ns;
  int result;
  if ((result = output ? check_output(output) : EXIT_DONE) || (result = load_context(&context)) ||
      (result =
           measure_node(context, (uint32_t)reserve_cores, price_per_hour, 0, &node, &left_ns)) ||
      (result = output ? check(qb_node_save(node, output)) : EXIT_DONE))
    goto done;
  print(node, as_json);
done:
  qb_node_unref(node);
  qb_context_unref(context);
  return result;
}

const command command_node = {
    .name = "node",
    .synopsis = "[-o FILE] [--json]",
    .summary = "Detect this node and measure what it sustains",
    .details =
        "Takes about two seconds. Cores, caches and CPU quota are read; compute power (fused\n"
        "multiply-adds) and memory bandwidth (triad) are measured for 1 to all threads.",
    .run = run,
};
