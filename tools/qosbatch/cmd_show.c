/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "common/files.h"
#include "common/load.h"
#include "common/options.h"
#include "view.h"

#include <qosbatch/inspect.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_model_json(const qb_model *model)
{
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_model_get_info(model, &info);
  json_t *root = object_new();
  add_text(root, "model", info.name);
  add_number(root, "flops_per_sample", info.flops_per_sample);
  add_integer(root, "weight_bytes", (int64_t)info.weight_bytes);
  add_integer(root, "activation_bytes_per_sample", (int64_t)info.activation_bytes_per_sample);
  json_t *operators = add_array(root, "operators");
  qb_operator_info o = QB_OPERATOR_INFO_INIT;
  for (uint32_t i = 0; !qb_model_get_operator(model, i, &o); i++) {
    json_t *entry = append_object(operators);
    add_text(entry, "name", o.name);
    add_text(entry, "kind", o.kind);
    add_number(entry, "flops_per_sample", o.flops_per_sample);
    add_integer(entry, "bytes_per_sample", (int64_t)o.bytes_per_sample);
    add_integer(entry, "weight_bytes", (int64_t)o.weight_bytes);
    if (o.of_integers)
      add_bool(entry, "can_saturate", o.can_saturate);
  }
  print_json(root);
}

/* Networks of floats have no column for it. */
static bool has_integers(const qb_model *model)
{
  qb_operator_info o = QB_OPERATOR_INFO_INIT;
  bool found = false;
  for (uint32_t i = 0; !found && !qb_model_get_operator(model, i, &o); i++)
    found = o.of_integers;
  return found;
}

static void print_model(const qb_model *model)
{
  static const char *const titles[] = {
      "<operator",  "<kind",         "MFLOP/sample",  "of all [%]",
      "KiB/sample", "weights [KiB]", "<without VNNI",
  };
  const bool with_integers = has_integers(model);
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_model_get_info(model, &info);
  printf("%s: %u operators, %s per sample, weights %s, activations %s per sample\n\n", info.name,
         info.operators, human_amount(info.flops_per_sample, "FLOP").s,
         human_bytes((double)info.weight_bytes).s,
         human_bytes((double)info.activation_bytes_per_sample).s);
  table *t = table_new(titles, sizeof titles / sizeof *titles - !with_integers);
  qb_operator_info o = QB_OPERATOR_INFO_INIT;
  for (uint32_t i = 0; !qb_model_get_operator(model, i, &o); i++) {
    table_cell(t, "%s", o.name);
    table_cell(t, "%s", o.kind);
    table_cell(t, "%s", digits(o.flops_per_sample / 1e6).s);
    table_cell(t, "%.1f", /* a network may only move elements */
               info.flops_per_sample > 0 ? 100 * o.flops_per_sample / info.flops_per_sample : 0);
    table_cell(t, "%.0f", (double)o.bytes_per_sample / 1024);
    table_cell(t, "%.0f", (double)o.weight_bytes / 1024);
    if (with_integers)
      table_cell(t, "%s", !o.of_integers ? "" : o.can_saturate ? "can saturate" : "the same");
  }
  table_print(t);
}

static void print_file(const qb_profile *profile, const qb_node *node, bool as_json)
{
  if (!as_json) {
    if (profile)
      profile_print(profile);
    else
      node_print(node);
    return;
  }
  json_t *root = object_new();
  if (profile)
    profile_to_json(profile, root);
  else
    node_to_json(node, root);
  print_json(root);
}

/* A profile, or else a node; if it is neither, the message speaks of the profile. */
static int load_file(qb_context *context, const char *path, qb_profile **profile, qb_node **node)
{
  const qb_status status = qb_profile_load(context, path, profile);
  if (status == QB_ERROR_IO && access(path, F_OK))
    return fail("%s; the built-in networks are alexnet and resnet50", qb_error_message());
  if (status != QB_ERROR_FORMAT)
    return check(status);
  char *message = strdup(qb_error_message());
  const int result = qb_node_load(context, path, node)
                         ? fail("%s", message ? message : qb_status_name(status))
                         : EXIT_DONE;
  free(message);
  return result;
}

static int run(const command *self, int argc, char **argv)
{
  bool as_json = false, with_layers = false;
  uint64_t batch = 1, threads = 0;
  const option options[] = {
      OPTION_FLAG("layers", &with_layers, "run a network and show where the time of a round goes"),
      OPTION_INTEGER("batch", "N", &batch, 1, 4096, "samples in a round, with --layers (1)"),
      OPTION_INTEGER("threads", "T", &threads, 1, 4096, "threads, with --layers (all usable)"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  const char *what = options_parse(self, options, sizeof options / sizeof *options, argc, argv);
  if (!with_layers && (batch != 1 || threads))
    fail_usage("--batch and --threads apply to --layers only; add --layers");

  qb_context *context = NULL;
  qb_model *model = NULL;
  qb_profile *profile = NULL;
  qb_node *node = NULL;
  int result = load_context(&context);
  if (result)
    goto done;
  const qb_status status = is_onnx(what) ? qb_model_load_onnx(context, what, &model)
                                         : qb_model_builtin(context, what, &model);
  if (with_layers) {
    result = status == QB_ERROR_NOT_FOUND ? fail("--layers needs a network, not '%s'; use alexnet, "
                                                 "resnet50, or a file that ends in .onnx",
                                                 what)
             : status                     ? check(status)
                      : layers_print(context, model, (uint32_t)batch, (uint32_t)threads, as_json);
  } else if (!status) {
    if (as_json)
      print_model_json(model);
    else
      print_model(model);
  } else if (status != QB_ERROR_NOT_FOUND) {
    result = check(status);
  } else if (!(result = load_file(context, what, &profile, &node))) {
    print_file(profile, node, as_json);
  }
done:
  qb_node_unref(node);
  qb_profile_unref(profile);
  qb_model_unref(model);
  qb_context_unref(context);
  return result;
}

const command command_show = {
    .name = "show",
    .operand = "FILE",
    .operand_role = FILE_READ,
    .synopsis = "[--layers [--batch N] [--threads T]] [--json]",
    .summary = "Show the contents of a profile, a node file or a network",
    .details =
        "FILE is a profile, a node saved by 'qosbatch node -o', alexnet, resnet50, or an ONNX\n"
        "file that ends in .onnx.",
    .run = run,
};
