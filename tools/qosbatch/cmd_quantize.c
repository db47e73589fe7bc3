/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "common/interrupt.h"
#include "common/load.h"
#include "common/options.h"
#include "common/output.h"
#include "quantize_report.h"
#include "run/labels.h"
#include "run/source.h"

#include <qosbatch/quantize.h>

#include <stdlib.h>

/* With FEW samples, the networks that the tests train keep their accuracy. */
enum { USUAL_SAMPLES = 300, USUAL_CHECK = 1000, FEW = 100 };

typedef struct work {
  const char *model_name, *input, *labels_path, *output;
  conversion how;
  bool portable;
  uint64_t calibration_samples, check_samples;
  double accuracy_percent;
  qb_context *context;
  qb_model *model, *quantized;
  source *rows;
  uint64_t count; /* of samples in memory */
  float *samples;
  uint32_t *labels; /* or NULL */
  quantize_report report;
} work;

/* Rows spread evenly over all; images that cannot be read are left out. */
static int read_samples(work *w, uint64_t elements, uint64_t rows, const uint32_t *labels)
{
  const uint64_t all = source_count(w->rows);
  int result = EXIT_DONE;
  for (uint64_t i = 0; i < rows && !result; i++) {
    const uint64_t row = (uint64_t)((double)i * (double)all / (double)rows);
    row_state state = ROW_OK;
    result = source_read(w->rows, row, 1, w->samples + w->count * elements, &state);
    if (state != ROW_OK)
      continue;
    if (labels)
      w->labels[w->count] = labels[row];
    w->count++;
  }
  if (!result && w->count < 2)
    result =
        fail("'%s' has %llu samples that can be read; quantizing takes 2 or more, and hundreds "
             "to be good",
             w->input, (unsigned long long)w->count);
  return result;
}

static int load_samples(work *w)
{
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_tensor_info input = QB_TENSOR_INFO_INIT;
  int result;
  if ((result = load_context(&w->context)) ||
      (result = load_model(w->context, w->model_name, &w->model)) ||
      (result = check(qb_model_get_info(w->model, &info))))
    return result;
  if (info.inputs != 1)
    return fail("'%s' has %u inputs; quantize takes networks with one", w->model_name, info.inputs);
  if ((result = check(qb_model_get_input(w->model, 0, &input))) ||
      (result = source_open(w->input, &input, &w->how, &w->rows)))
    return result;
  const uint64_t all = source_count(w->rows), wanted = w->calibration_samples + w->check_samples;
  const uint64_t rows = all < wanted ? all : wanted;
  uint32_t *labels = NULL;
  w->samples = allocate(rows * input.elements_per_sample, sizeof *w->samples);
  if (w->labels_path) {
    labels = allocate(all, sizeof *labels);
    w->labels = allocate(rows, sizeof *w->labels);
    result = labels_read(w->labels_path, all, labels);
  }
  if (!result)
    result = read_samples(w, input.elements_per_sample, rows, labels);
  free(labels);
  return result;
}

static bool on_step(void *user, const char *step)
{
  (void)user;
  note("%s", step);
  return !interrupt_signal();
}

static void on_layer(void *user, const qb_quantized_layer *layer)
{
  quantize_report_add(user, layer);
}

static int quantize(work *w)
{
  const void *const inputs[1] = {w->samples};
  qb_quantize_params params = QB_QUANTIZE_PARAMS_INIT;
  params.inputs = inputs;
  params.samples = w->count;
  params.calibration_samples = w->calibration_samples;
  params.labels = w->labels;
  params.accuracy = w->accuracy_percent / 100;
  params.portable = w->portable;
  params.on_layer = on_layer;
  params.on_step = on_step;
  params.user = &w->report;
  int result = check(qb_model_quantize(w->model, &params, &w->report.result, &w->quantized));
  if (result && interrupt_signal())
    return interrupt_status();
  if (!result)
    result = check(qb_model_save_onnx(w->quantized, w->output));
  return result;
}

static void note_few_samples(const work *w)
{
  const uint64_t found_by = w->report.result.calibration_samples;
  if (found_by < FEW)
    note(
        "ranges were found with %llu samples, and values beyond them are cut off; give %d or more, "
        "by %s",
        (unsigned long long)found_by, FEW,
        w->calibration_samples < FEW ? "--samples"
                                     : "a larger --input, half of which finds ranges");
}

static int run(const command *self, int argc, char **argv)
{
  work w = {.how.most_pixels = DEFAULT_MOST_PIXELS,
            .calibration_samples = USUAL_SAMPLES,
            .check_samples = USUAL_CHECK,
            .report.result = QB_QUANTIZATION_INIT};
  bool as_json = false, quiet = false;
  const option options[] = {
      OPTION_FILE('i', "input", "X", &w.input, FILE_READ,
                  "samples: an .npy file, or a folder of images (required)"),
      OPTION_FILE('o', "output", "FILE", &w.output, FILE_WRITTEN,
                  "the quantized network, an .onnx file (required)"),
      OPTION_INTEGER("samples", "N", &w.calibration_samples, 1, 1e9,
                     "samples to find ranges with; half of the input at most (300)"),
      OPTION_INTEGER("check", "N", &w.check_samples, 1, 1e9,
                     "other samples, to compare answers on (1000)"),
      OPTION_FILE(0, "labels", "FILE", &w.labels_path, FILE_READ,
                  "the class of each sample of the input, one number a line"),
      OPTION_PERCENT("accuracy", "P", &w.accuracy_percent,
                     "percent of answers that must stay; layers remain in floats for it"),
      OPTION_FLAG("portable", &w.portable,
                  "7 bits of weights where sums of 8 could saturate without VNNI"),
      CONVERSION_OPTIONS(w.how),
      OPTION_INTEGER("max-pixels", "N", &w.how.most_pixels, 1, 1e12,
                     "largest image to decode, in pixels (89478485)"),
      OPTION_FLAG("quiet", &quiet, "print no notes"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  w.model_name = options_parse(self, options, sizeof options / sizeof *options, argc, argv);
  if (!w.input || !w.output)
    fail_usage("expected --input X and --output FILE");
  if (!is_onnx(w.output))
    fail_usage("--output '%s' must end in .onnx", w.output);
  diagnose_quietly(quiet || as_json);
  w.report.model = w.model_name;
  w.report.output = w.output;
  w.report.accuracy_percent = w.accuracy_percent;
  w.report.has_labels = w.labels_path != NULL;
  interrupt_is_kept();
  int result;
  if (!(result = check_output(w.output)) && !(result = load_samples(&w)) &&
      !(result = quantize(&w))) {
    note_few_samples(&w);
    result = quantize_report_print(&w.report, as_json);
  }
  quantize_report_free(&w.report);
  free(w.samples);
  free(w.labels);
  source_close(w.rows);
  qb_model_unref(w.quantized);
  qb_model_unref(w.model);
  qb_context_unref(w.context);
  return result;
}

const command command_quantize = {
    .name = "quantize",
    .operand = "MODEL",
    .operand_role = FILE_MODEL,
    .synopsis = "--input X --output FILE [options]",
    .summary = "Make an 8-bit network of one in floats, and measure what that loses",
    .details = "MODEL is alexnet, resnet50, or an ONNX file that ends in .onnx. Ranges are found "
               "with some of\n"
               "the samples, answers are compared on others. FILE is ONNX of standard operators "
               "(QDQ), for this\n"
               "tool and other runtimes. Exit status: 1 also if --accuracy is not reached.",
    .run = run,
};
