/* SPDX-License-Identifier: Apache-2.0 */
#include <qosbatch/quantize.h>

#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "model/graph_edit.h"
#include "model/model_data.h"
#include "model/saturation.h"
#include "quantize/equalise.h"
#include "quantize/noise.h"
#include "quantize/plain_graph.h"
#include "quantize/quantized_graph.h"

#include <math.h>
#include <string.h>

enum { USUAL_CALIBRATION = 300 };

typedef struct work {
  qb_context *context;
  const qb_quantize_params *params;
  const char *name;
  qb__samples samples;
  qb__graph plain;
  qb__scheme scheme;
  qb__calibration calibration;
  qb__integer_range *ranges;  /* by tensor of the plain graph */
  int32_t *reals;             /* by tensor: what it is in the quantized graph */
  qb__saturation *saturation; /* by operator of the plain graph */
  int32_t *tensors, *others;  /* results of layers, and the first output behind them */
  qb__noise *noise;           /* of these */
  size_t layers;
  uint32_t *expected, *answers; /* by sample; NULL: no top-1 answer */
  qb_quantization found;
  qb_model *quantized;
} work;

static qb_status step(const work *w, const char *what)
{
  return w->params->on_step && !w->params->on_step(w->params->user, what)
             ? qb__fail(QB_ERROR_CANCELLED, "quantizing '%s' was cancelled", w->name)
             : QB_OK;
}

static bool is_layer(const work *w, size_t index)
{
  return qb__is_quantizable(&w->plain, &w->plain.operators[index]);
}

/* --- Answers --------------------------------------------------------------------------------- */

static qb_status answer(qb_model *model, const work *w, uint32_t *answers)
{
  qb_session *session = NULL;
  qb_status status = qb_session_new(model, NULL, NULL, &session);
  if (!status)
    status = qb_session_get_answers(session, w->params->samples, w->params->inputs, answers);
  qb_session_unref(session);
  return status;
}

/* Answers to the samples that ranges were not found with, at the front. @return how many they are */
static uint64_t keep_others(const work *w, uint32_t *answers)
{
  uint64_t kept = 0, used = 0;
  for (uint64_t i = 0; i < w->params->samples; i++)
    if (used < w->samples.used && qb__sample_index(&w->samples, used) == i)
      used++;
    else
      answers[kept++] = answers[i];
  return kept;
}

static qb_status answer_in_floats(work *w, qb_model *model)
{
  const qb__graph *g = qb__model_graph(model);
  if (g->tensors[g->outputs[0]].elements < 2)
    return QB_OK;
  const uint64_t samples = w->params->samples;
  w->expected = qb__calloc(w->context, samples, sizeof *w->expected);
  w->answers = qb__calloc(w->context, samples, sizeof *w->answers);
  if (!w->expected || !w->answers)
    return QB_ERROR_NO_MEMORY;
  const qb_status status = answer(model, w, w->expected);
  if (!status)
    w->found.samples = keep_others(w, w->expected);
  return status;
}

static qb_status count_right(const work *w, const uint32_t *answers, qb_agreement *right)
{
  uint32_t *labels = qb__calloc(w->context, w->params->samples, sizeof *labels);
  if (!labels)
    return QB_ERROR_NO_MEMORY;
  memcpy(labels, w->params->labels, w->params->samples * sizeof *labels);
  const qb_status status = qb_agreement_count(answers, labels, keep_others(w, labels), right);
  qb__free(w->context, labels);
  return status;
}

static qb_status compare_answers(work *w)
{
  qb_quantization *found = &w->found;
  qb_agreement agreement = QB_AGREEMENT_INIT, right = QB_AGREEMENT_INIT, before = QB_AGREEMENT_INIT;
  qb_status status = answer(w->quantized, w, w->answers);
  if (status)
    return status;
  keep_others(w, w->answers);
  status = qb_agreement_count(w->answers, w->expected, found->samples, &agreement);
  found->agreement = agreement.share;
  found->agreement_low = agreement.low;
  found->agreement_high = agreement.high;
  if (!status && w->params->labels) {
    status = count_right(w, w->answers, &right);
    if (!status)
      status = count_right(w, w->expected, &before);
    found->accuracy = right.share;
    found->accuracy_low = right.low;
    found->accuracy_high = right.high;
    found->float_accuracy = before.share;
  }
  found->holds = w->params->labels ? found->accuracy >= w->params->accuracy * found->float_accuracy
                                   : found->agreement >= w->params->accuracy;
  return status;
}

/* --- The network ----------------------------------------------------------------------------- */

static qb_status calibrate(work *w)
{
  qb_status status = step(w, "finding ranges");
  if (!status)
    status = qb__calibrate(&w->plain, w->scheme.quantized, &w->samples, &w->calibration);
  if (status)
    return status;
  w->found.equalised = (uint32_t)qb__equalise(&w->plain, &w->scheme, &w->calibration);
  if (w->plain.status || !w->found.equalised)
    return w->plain.status;
  status = step(w, "finding ranges of channels made alike");
  qb__calibration_clear(&w->calibration);
  return status ? status
                : qb__calibrate(&w->plain, w->scheme.quantized, &w->samples, &w->calibration);
}

/* Results of layers that something reads, each once, and the first output. */
static size_t list_tensors(work *w)
{
  size_t count = 0;
  for (size_t i = 0; i < w->plain.operator_count; i++)
    if (is_layer(w, i)) {
      w->tensors[count] = w->plain.operators[i].output;
      w->others[count] = w->reals[w->tensors[count]];
      count++;
    }
  const int32_t output = w->plain.outputs[0];
  for (size_t i = 0; i < count; i++)
    if (w->tensors[i] == output)
      return count;
  w->tensors[count] = output;
  w->others[count] = w->reals[output];
  return count + 1;
}

static void note_noise(work *w, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (w->tensors[i] == w->plain.outputs[0])
      w->found.sqnr_db = qb__noise_sqnr_db(&w->noise[i]);
}

/* Layers in the order of the plain graph: a rebuilt one has the name and the weights it has. */
static void note_saturation(work *w, const qb__graph *quantized)
{
  size_t next = 0;
  for (size_t i = 0; i < w->plain.operator_count; i++) {
    if (!is_layer(w, i))
      continue;
    while (!qb__is_quantizable(quantized, &quantized->operators[next]))
      next++;
    w->saturation[i] = qb__layer_saturation(quantized, &quantized->operators[next++]);
  }
}

static qb_status quantize_once(work *w)
{
  qb__graph graph;
  qb_status status = step(w, "quantizing");
  if (!status)
    status = qb__choose_ranges(&w->scheme, &w->calibration, w->ranges);
  if (!status)
    status = qb__quantized_graph(&w->scheme, &w->calibration, w->ranges, w->params->portable,
                                 &graph, w->reals);
  if (status)
    return status;
  const size_t count = list_tensors(w);
  note_saturation(w, &graph);
  status = step(w, "measuring noise");
  if (!status)
    status =
        qb__measure_noise(&w->plain, w->tensors, &graph, w->others, count, &w->samples, w->noise);
  if (status) {
    qb__graph_clear(&graph);
    return status;
  }
  note_noise(w, count);
  qb_model_unref(w->quantized);
  w->quantized = NULL;
  return qb__model_from_graph(&graph, w->name, &w->quantized);
}

static double noise_share(const qb__noise *n)
{
  return n->signal > 0 ? n->noise / n->signal : 0;
}

/* The noise that what an operator reads has, where a layer wrote it or what leads to it. */
static double noise_before(const work *w, int32_t tensor)
{
  for (int depth = 0; depth < 64; depth++) {
    for (size_t i = 0; i < w->layers; i++)
      if (w->tensors[i] == tensor)
        return noise_share(&w->noise[i]);
    const int32_t producer = qb__producer(&w->plain, tensor);
    if (producer == QB__NONE)
      return 0;
    tensor = w->plain.operators[producer].input;
  }
  return 0;
}

/* The layer that adds most noise to what it reads; false if all are in floats. */
static bool keep_worst(work *w)
{
  double most = -INFINITY;
  size_t worst = w->plain.operator_count, layer = 0;
  for (size_t i = 0; i < w->plain.operator_count; i++) {
    if (!is_layer(w, i))
      continue;
    const double added =
        noise_share(&w->noise[layer++]) - noise_before(w, w->plain.operators[i].input);
    if (!w->scheme.kept[i] && added > most) {
      most = added;
      worst = i;
    }
  }
  if (worst == w->plain.operator_count)
    return false;
  w->scheme.kept[worst] = true;
  qb__scheme_work_out(&w->scheme);
  return true;
}

static qb_status quantize_until_it_holds(work *w)
{
  qb_status status;
  do {
    status = quantize_once(w);
    w->found.holds = true;
    if (!status && w->expected) {
      status = step(w, "comparing answers");
      if (!status)
        status = compare_answers(w);
    }
  } while (!status && !w->found.holds && keep_worst(w));
  return status;
}

/* --- The call -------------------------------------------------------------------------------- */

static void report_layer(const work *w, size_t index, const qb__noise *noise)
{
  const qb__operator *op = &w->plain.operators[index];
  const qb__integer_range *range = &w->ranges[op->input];
  const bool integer = w->scheme.integer[index];
  qb_quantized_layer layer = QB_QUANTIZED_LAYER_INIT;
  layer.name = op->name;
  layer.kind = qb__operator_kind_name(op);
  layer.precision = integer ? QB_PRECISION_INT8 : QB_PRECISION_F32;
  layer.range = integer ? qb__range_method_name(range->method) : "";
  layer.input_low = integer ? (double)(range->low * range->scale) : 0;
  layer.input_high = integer ? (double)(range->high * range->scale) : 0;
  layer.input_sqnr_db = integer ? range->sqnr_db : INFINITY;
  layer.output_sqnr_db = qb__noise_sqnr_db(noise);
  layer.can_saturate = w->saturation[index] == QB__CAN_SATURATE;
  if (w->params->on_layer)
    w->params->on_layer(w->params->user, &layer);
}

static void report(work *w)
{
  size_t layer = 0;
  for (size_t i = 0; i < w->plain.operator_count; i++)
    if (is_layer(w, i)) {
      w->found.integer_layers += w->scheme.integer[i];
      report_layer(w, i, &w->noise[layer++]);
    }
}

static qb_status begin(work *w, qb_model *model)
{
  const qb_quantize_params *p = w->params;
  const uint64_t asked = p->calibration_samples ? p->calibration_samples : USUAL_CALIBRATION;
  w->samples =
      (qb__samples){p->inputs, p->samples, asked < p->samples / 2 ? asked : p->samples / 2};
  w->found.calibration_samples = w->samples.used;
  qb_status status = qb__plain_graph(qb__model_graph(model), &w->plain);
  if (!status)
    status = qb__scheme_init(&w->plain, &w->scheme);
  if (status)
    return status;
  for (size_t i = 0; i < w->plain.operator_count; i++) {
    const qb__op_kind kind = w->plain.operators[i].kind;
    if (kind == QB__OP_QUANTIZE || kind == QB__OP_DEQUANTIZE)
      return qb__fail(QB_ERROR_UNSUPPORTED,
                      "'%s' is quantized already; pass the network of floats that it was made from",
                      w->name);
    w->layers += is_layer(w, i);
  }
  if (!w->layers)
    return qb__fail(QB_ERROR_UNSUPPORTED,
                    "'%s' has no convolution, dense or linear layer to quantize", w->name);
  w->found.layers = (uint32_t)w->layers;
  w->ranges = qb__calloc(w->context, w->plain.tensor_count, sizeof *w->ranges);
  w->reals = qb__calloc(w->context, w->plain.tensor_count, sizeof *w->reals);
  w->saturation = qb__calloc(w->context, w->plain.operator_count, sizeof *w->saturation);
  w->tensors = qb__calloc(w->context, w->layers + 1, sizeof *w->tensors);
  w->others = qb__calloc(w->context, w->layers + 1, sizeof *w->others);
  w->noise = qb__calloc(w->context, w->layers + 1, sizeof *w->noise);
  return w->ranges && w->reals && w->saturation && w->tensors && w->others && w->noise
             ? QB_OK
             : QB_ERROR_NO_MEMORY;
}

static void clear(work *w)
{
  if (w->calibration.of)
    qb__calibration_clear(&w->calibration);
  if (w->scheme.graph)
    qb__scheme_clear(&w->scheme);
  qb__graph_clear(&w->plain);
  qb__free(w->context, w->ranges);
  qb__free(w->context, w->reals);
  qb__free(w->context, w->saturation);
  qb__free(w->context, w->tensors);
  qb__free(w->context, w->others);
  qb__free(w->context, w->noise);
  qb__free(w->context, w->expected);
  qb__free(w->context, w->answers);
}

static qb_status check_params(const qb_model *model, const qb_quantize_params *p)
{
  const qb_model_info *info = qb__model_info(model);
  if (qb__model_is_workload(model))
    return qb__fail(QB_ERROR_UNSUPPORTED,
                    "'%s' is a workload, whose operators the library does not know", info->name);
  bool complete = p->inputs != NULL;
  for (uint32_t i = 0; complete && i < info->inputs; i++)
    complete = p->inputs[i] != NULL;
  if (!complete || p->samples < 2)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "qb_quantize_params: %llu samples of %u inputs; pass 2 samples or more of each",
                    (unsigned long long)p->samples, info->inputs);
  if (!(p->accuracy >= 0 && p->accuracy <= 1))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "qb_quantize_params.accuracy is %g; it is a share from 0 to 1", p->accuracy);
  const qb__graph *g = qb__model_graph(model);
  if ((p->accuracy > 0 || p->labels) && g->tensors[g->outputs[0]].elements < 2)
    return qb__fail(QB_ERROR_UNSUPPORTED,
                    "the first output of '%s' has one element, so there is no top-1 answer whose "
                    "accuracy could be kept; leave accuracy and labels out",
                    info->name);
  return QB_OK;
}

qb_status qb_model_quantize(qb_model *model, const qb_quantize_params *params,
                            qb_quantization *quantization, qb_model **quantized)
{
  if (!model || !quantized)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL", model ? "quantized" : "model");
  model = qb__model_in(model, QB_PRECISION_F32);
  qb_quantize_params copy;
  qb_status status = QB__STRUCT_IN(qb_quantize_params, &copy, params);
  if (!status && quantization)
    status = QB__STRUCT_CHECK_OUT(qb_quantization, quantization);
  if (!status)
    status = check_params(model, &copy);
  if (status)
    return status;
  work w = {
      .context = qb__model_context(model), .params = &copy, .name = qb__model_info(model)->name};
  w.found.size = sizeof w.found;
  qb__graph_init(&w.plain, w.context);
  status = begin(&w, model);
  if (!status)
    status = step(&w, "running in floats");
  if (!status)
    status = answer_in_floats(&w, model);
  if (!status)
    status = calibrate(&w);
  if (!status)
    status = quantize_until_it_holds(&w);
  if (status) {
    qb_model_unref(w.quantized);
  } else {
    report(&w);
    if (quantization)
      QB__STRUCT_OUT(qb_quantization, quantization, &w.found);
    *quantized = w.quantized;
  }
  clear(&w);
  return status;
}
