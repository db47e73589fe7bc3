/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize/capture.h"

#include "core/alloc.h"
#include "model/graph_rebuild.h"
#include "model/model_data.h"

#include <string.h>

enum { MOST_BATCH = 8 };
static const size_t MOST_BYTES = (size_t)256 << 20;

struct qb__capture {
  qb_context *context;
  const qb__graph *graph;
  qb_model *model;
  qb_session *session;
  uint32_t batch;
  size_t count;
  float **inputs;       /* of `batch` samples each; owned */
  float **outputs;      /* likewise; owned */
  const float **values; /* of the tensors asked for: one of the above */
};

uint64_t qb__sample_index(const qb__samples *samples, uint64_t i)
{
  return (uint64_t)((double)i * (double)samples->total / (double)samples->used);
}

static size_t input_of(const qb__graph *g, int32_t tensor)
{
  size_t i = 0;
  while (i < g->input_count && g->inputs[i] != tensor)
    i++;
  return i;
}

/* The network with outputs of its own; inputs can be none, and are known. */
static qb_status make_model(qb__capture *c, const int32_t *tensors)
{
  qb__graph copy;
  qb__rebuild r;
  qb__rebuild_begin(&r, c->graph, &copy);
  for (size_t i = 0; i < c->graph->operator_count && !copy.status; i++)
    qb__rebuild_operator(&r, &c->graph->operators[i]);
  for (size_t i = 0; i < c->count && !copy.status; i++)
    if (input_of(c->graph, tensors[i]) == c->graph->input_count)
      qb__graph_output(&copy, r.map[tensors[i]]);
  qb__rebuild_end(&r);
  return qb__model_from_graph(&copy, "captured", &c->model);
}

static float *room_for(const qb__capture *c, int32_t tensor)
{
  return qb__calloc(c->context, c->graph->tensors[tensor].elements * c->batch, sizeof(float));
}

static qb_status take_memory(qb__capture *c, const int32_t *tensors)
{
  const qb__graph *g = c->graph;
  size_t bytes = 1;
  for (size_t i = 0; i < c->count; i++)
    bytes += g->tensors[tensors[i]].elements * sizeof(float);
  const size_t fit = MOST_BYTES / bytes;
  c->batch = fit < 1 ? 1 : fit < MOST_BATCH ? (uint32_t)fit : MOST_BATCH;
  c->inputs = qb__calloc(c->context, g->input_count, sizeof *c->inputs);
  c->outputs = qb__calloc(c->context, c->count, sizeof *c->outputs);
  c->values = qb__calloc(c->context, c->count, sizeof *c->values);
  if (!c->inputs || !c->outputs || !c->values)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < g->input_count; i++)
    if (!(c->inputs[i] = room_for(c, g->inputs[i])))
      return QB_ERROR_NO_MEMORY;
  size_t outputs = 0;
  for (size_t i = 0; i < c->count; i++) {
    const size_t input = input_of(g, tensors[i]);
    if (input < g->input_count)
      c->values[i] = c->inputs[input];
    else if (!(c->values[i] = c->outputs[outputs++] = room_for(c, tensors[i])))
      return QB_ERROR_NO_MEMORY;
  }
  return QB_OK;
}

qb_status qb__capture_new(const qb__graph *graph, const int32_t *tensors, size_t count,
                          qb__capture **capture)
{
  qb__capture *c = qb__calloc(graph->context, 1, sizeof *c);
  if (!c)
    return QB_ERROR_NO_MEMORY;
  c->context = graph->context;
  c->graph = graph;
  c->count = count;
  qb_status status = make_model(c, tensors);
  if (!status)
    status = qb_session_new(c->model, NULL, NULL, &c->session);
  if (!status)
    status = take_memory(c, tensors);
  if (status)
    qb__capture_free(c);
  else
    *capture = c;
  return status;
}

void qb__capture_free(qb__capture *capture)
{
  if (!capture)
    return;
  for (size_t i = 0; capture->inputs && i < capture->graph->input_count; i++)
    qb__free(capture->context, capture->inputs[i]);
  for (size_t i = 0; capture->outputs && i < capture->count; i++)
    qb__free(capture->context, capture->outputs[i]);
  qb__free(capture->context, capture->inputs);
  qb__free(capture->context, capture->outputs);
  qb__free(capture->context, capture->values);
  qb_session_unref(capture->session);
  qb_model_unref(capture->model);
  qb__free(capture->context, capture);
}

/* A round is always full: what is over are samples of before, so that one batch size is ready. */
qb_status qb__capture_run(qb__capture *capture, const qb__samples *samples, uint64_t first,
                          uint64_t most, uint32_t *ran)
{
  const qb__graph *g = capture->graph;
  const uint64_t left = samples->used - first;
  const uint64_t asked = most < left ? most : left;
  *ran = asked < capture->batch ? (uint32_t)asked : capture->batch;
  for (size_t i = 0; i < g->input_count; i++) {
    const size_t elements = g->tensors[g->inputs[i]].elements;
    for (uint32_t s = 0; s < *ran; s++)
      memcpy(capture->inputs[i] + s * elements,
             (const float *)samples->inputs[i] + qb__sample_index(samples, first + s) * elements,
             elements * sizeof(float));
  }
  return qb_session_run(capture->session, capture->batch, (const void *const *)capture->inputs,
                        (void *const *)capture->outputs, NULL);
}

const float *qb__capture_values(const qb__capture *capture, size_t index)
{
  return capture->values[index];
}
