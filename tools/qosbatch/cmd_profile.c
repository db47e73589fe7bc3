/* SPDX-License-Identifier: Apache-2.0 */
#include "answers.h"
#include "common/diagnose.h"
#include "common/load.h"
#include "common/measure.h"
#include "common/options.h"
#include "common/precisions.h"
#include "configurations.h"
#include "run/source.h"
#include "view.h"

#include <qosbatch/inspect.h>
#include <qosbatch/measurements.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct request {
  const char *model, *output, *measurements, *node, *refine, *int8, *precision, *input;
  precision_list precisions;
  answers_demand answers;
  conversion how;
  uint64_t max_batch, reserve_cores;
  integer_list batches, instances, threads;
  double budget_s, goal_pct, price_per_hour;
  bool quiet, as_json;
} request;

static void check_usage(const request *r)
{
  if (!r->output)
    fail_usage("expected -o FILE, where to save the profile");
  if (r->max_batch && r->batches.count)
    fail_usage("expected --max-batch or --batch, not both");
  if (r->answers.labels && !r->input)
    fail_usage("--labels are of the samples of --input: expected --input X");
  if (!r->measurements) {
    if (!r->model)
      fail_usage("expected MODEL, or --measurements FILE.csv");
    if (r->node)
      fail_usage("--node describes the node of --measurements; without --measurements this node is "
                 "measured");
    if (r->precision || !r->refine)
      precisions_use_int8(&r->precisions, r->int8);
    return;
  }
  const char *measuring = r->max_batch                        ? "max-batch"
                          : r->batches.count                  ? "batch"
                          : r->instances.count                ? "instances"
                          : r->threads.count                  ? "threads"
                          : r->budget_s > 0                   ? "time-budget"
                          : r->goal_pct > 0                   ? "goal"
                          : r->refine                         ? "refine"
                          : r->reserve_cores != RESERVE_USUAL ? "reserve"
                          : r->precision                      ? "precision"
                          : r->int8                           ? "int8"
                          : r->input                          ? "input"
                                                              : NULL;
  if (measuring)
    fail_usage("--%s selects what to measure; --measurements takes every row of the file",
               measuring);
  if (r->node && r->price_per_hour > 0)
    fail_usage("expected --node, whose file has the price, or --price-per-hour, not both");
}

/* Before a minute of measuring: what is wrong with them is said at once. */
static int open_samples(const request *r, const qb_model *model, source **samples)
{
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_tensor_info input = QB_TENSOR_INFO_INIT;
  int result = check(qb_model_get_info(model, &info));
  if (!result && info.inputs != 1)
    result = fail("'%s' has %u inputs; --input takes networks with one", info.name, info.inputs);
  if (!result)
    result = check(qb_model_get_input(model, 0, &input));
  return result ? result : source_open(r->input, &input, &r->how, samples);
}

static int measure_here(qb_context *context, const request *r, qb_model *model,
                        qb_profile **profile)
{
  qb_profile *known = NULL;
  qb_node *node = NULL;
  configuration_list configurations = {NULL, 0};
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  qb_node_info info = QB_NODE_INFO_INIT;
  precision_list precisions = r->precisions;
  int result;
  if ((r->refine && (result = load_profile_of(context, r->refine, model, &known))) ||
      (!r->refine && (result = precisions_resolve(model, false, &precisions))) ||
      (result = measure_node(context, reserve_of(r->reserve_cores, known), r->price_per_hour,
                             r->budget_s, &node, &params.time_budget_ns)) ||
      (result = check(qb_node_get_info(node, &info))) ||
      (result = configurations_to_measure(info.usable_threads, &r->instances, &r->threads,
                                          &configurations)))
    goto done;
  params.max_batch = (uint32_t)r->max_batch;
  params.batches = r->batches.values;
  params.batch_count = r->batches.count;
  params.configurations = configurations.items;
  params.configuration_count = configurations.count;
  params.goal = r->goal_pct / 100;
  params.known = known;
  params.precisions = precisions.values;
  params.precision_count = precisions.count;
  result = measure_profile(model, node, &params, r->quiet, profile);
done:
  qb_profile_unref(known);
  qb_node_unref(node);
  free(configurations.items);
  return result;
}

static int take_measurements(qb_context *context, const request *r, qb_model *model,
                             qb_profile **profile)
{
  qb_measurements_params params = QB_MEASUREMENTS_PARAMS_INIT;
  params.model = model;
  params.price_per_hour = r->price_per_hour;
  int result = EXIT_DONE;
  if (r->node)
    result = load_node(context, r->node, &params.node);
  if (!result)
    result = load_measurements(context, r->measurements, &params, profile);
  qb_node_unref(params.node);
  return result;
}

static void print(const qb_profile *profile, const request *r)
{
  if (!r->as_json) {
    profile_print(profile);
    printf("\nsaved to %s\n", r->output);
    return;
  }
  json_t *root = object_new();
  add_text(root, "file", r->output);
  profile_to_json(profile, root);
  print_json(root);
}

static int run(const command *self, int argc, char **argv)
{
  request r = {
      .answers.most = 1000, .how.most_pixels = DEFAULT_MOST_PIXELS, .reserve_cores = RESERVE_USUAL};
  const option options[] = {
      OPTION_FILE('o', "output", "FILE", &r.output, FILE_WRITTEN,
                  "where to save the profile (required)"),
      OPTION_INTEGER("max-batch", "N", &r.max_batch, 1, QB_MAX_BATCH,
                     "batch sizes 1, 2, 4, ... N, more where the curve bends (64)"),
      OPTION_LIST("batch", "L", &r.batches, 1, QB_MAX_BATCH,
                  "measure these batch sizes instead: 1,3,24 or 1-8"),
      OPTION_LIST("threads", "L", &r.threads, 1, 4096, "threads per instance (see above)"),
      OPTION_LIST("instances", "L", &r.instances, 1, 4096, "instances, one round each (see above)"),
      OPTION_RESERVE(&r.reserve_cores, "0, or as in --refine"),
      OPTION_STRING(0, "precision", "L", &r.precision,
                    "f32,bf16,int8 (f32, int8 if quantized, or those of --refine)"),
      OPTION_FILE(0, "int8", "FILE", &r.int8, FILE_READ, "MODEL in quantized form, for int8"),
      OPTION_FILE('i', "input", "X", &r.input, FILE_READ,
                  "count how many answers to these samples are right in each precision"),
      OPTION_FILE(0, "labels", "FILE", &r.answers.labels, FILE_READ,
                  "the class of each of them, one number a line (answers in f32)"),
      OPTION_INTEGER("samples", "N", &r.answers.most, 1, 1e9, "the most samples to answer (1000)"),
      CONVERSION_OPTIONS(r.how),
      OPTION_NUMBER("time-budget", "S", &r.budget_s, 0, 1e6,
                    "seconds in all (20 a configuration, 60 a precision at most)"),
      OPTION_NUMBER("goal", "PCT", &r.goal_pct, 0, 100,
                    "stop early when all 95 % intervals are within +-PCT % (1)"),
      OPTION_FILE(0, "refine", "PROFILE", &r.refine, FILE_REFINED,
                  "extend this profile by a run: uncertain points again, and its history"),
      OPTION_NUMBER("price-per-hour", "P", &r.price_per_hour, 0, 1e9,
                    "price of the node, in your currency"),
      OPTION_FILE(0, "measurements", "FILE", &r.measurements, FILE_READ,
                  "read rounds timed elsewhere from a CSV file instead"),
      OPTION_FILE(0, "node", "FILE", &r.node, FILE_READ,
                  "the node of the measurements, saved with 'qosbatch node -o'"),
      OPTION_FLAG("quiet", &r.quiet, "print no progress bar and no notes"),
      OPTION_FLAG("json", &r.as_json, "print JSON"),
  };
  r.model = options_parse(self, options, sizeof options / sizeof *options, argc, argv);
  r.precisions = precisions_named(r.precision);
  check_usage(&r);
  diagnose_quietly(r.quiet);

  qb_context *context = NULL;
  qb_model *model = NULL;
  qb_profile *profile = NULL;
  int result;
  if ((result = check_output(r.output)) || (result = load_context(&context)) ||
      (r.model && (result = load_model(context, r.model, &model))) ||
      (model && (result = load_int8(context, r.int8, &model))) ||
      (r.input && (result = open_samples(&r, model, &r.answers.input))) ||
      (result = r.measurements ? take_measurements(context, &r, model, &profile)
                               : measure_here(context, &r, model, &profile)) ||
      (r.input && (result = answers_measure(model, &r.answers, &profile))) ||
      (result = check(qb_profile_save(profile, r.output))))
    goto done;
  print(profile, &r);
done:
  qb_profile_unref(profile);
  source_close(r.answers.input);
  qb_model_unref(model);
  qb_context_unref(context);
  free(r.threads.values);
  free(r.instances.values);
  free(r.batches.values);
  return result;
}

const command command_profile = {
    .name = "profile",
    .operand = "[MODEL]",
    .operand_role = FILE_MODEL,
    .synopsis = "-o FILE [options]",
    .summary = "Measure how long rounds of a network take on this node",
    .details =
        "MODEL is alexnet, resnet50, or an ONNX file that ends in .onnx.\n\nWithout --threads and "
        "--instances, all splits of the threads among instances are tried; if\nthere are more than "
        "3, only those that could be best for some target, rate or job are\nmeasured in full. With "
        "both, all their products that fit; with --threads alone, 1\ninstance; with --instances "
        "alone, they share all threads.\n\nWith --input, every precision answers the samples, an "
        ".npy file or a folder of images, and the\nprofile says how many answers are as in f32, "
        "or as labelled. --accuracy of other commands\nchooses by that.\n\nWith --measurements "
        "nothing is run. The CSV file has a "
        "row for each round with the columns\ninstances, threads, batch and latency_ns; others are "
        "ignored. MODEL then tells the work\nper sample, and --node what the cores sustain; both "
        "may be left out.",
    .run = run,
};
