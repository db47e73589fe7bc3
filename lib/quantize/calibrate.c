/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize/calibrate.h"

#include "core/alloc.h"
#include "core/error.h"

#include <math.h>

static void free_observed(const qb_context *context, qb__observed *o)
{
  if (!o)
    return;
  qb__free(context, o->sums);
  qb__free(context, o->squares);
  qb__free(context, o->most);
  qb__free(context, o);
}

static qb__observed *new_observed(const qb_context *context, const qb__tensor *t)
{
  qb__observed *o = qb__calloc(context, 1, sizeof *o);
  if (!o)
    return NULL;
  o->sums = qb__calloc(context, t->elements, sizeof *o->sums);
  o->squares = qb__calloc(context, (size_t)t->dims[0], sizeof *o->squares);
  o->most = qb__calloc(context, (size_t)t->dims[0], sizeof *o->most);
  if (o->sums && o->squares && o->most)
    return o;
  free_observed(context, o);
  return NULL;
}

static void observe(qb__observed *o, const qb__tensor *t, const float *values)
{
  qb__histogram_add(&o->halves[o->samples % 2], values, t->elements);
  const size_t each = t->elements / (size_t)t->dims[0];
  for (size_t c = 0; c < (size_t)t->dims[0]; c++) {
    float most = o->most[c];
    double squares = 0;
    for (size_t i = c * each; i < (c + 1) * each; i++) {
      o->sums[i] += (double)values[i];
      squares += (double)values[i] * (double)values[i];
      most = fmaxf(most, fabsf(values[i]));
    }
    o->squares[c] += squares;
    o->most[c] = most;
  }
  o->samples++;
}

static qb_status check_finite(const qb__calibration *c, int32_t tensor)
{
  const qb__observed *o = c->of[tensor];
  return o->halves[0].not_finite || o->halves[1].not_finite
             ? qb__fail(QB_ERROR_INVALID_ARGUMENT,
                        "tensor '%s' has values that are not finite for the samples given; leave "
                        "out the samples that cause them",
                        c->graph->tensors[tensor].name)
             : QB_OK;
}

static qb_status run_all(qb__calibration *c, const int32_t *tensors, size_t count,
                         const qb__samples *samples)
{
  qb__capture *capture = NULL;
  qb_status status = qb__capture_new(c->graph, tensors, count, &capture);
  uint32_t ran = 0;
  for (uint64_t done = 0; !status && done < samples->used; done += ran) {
    status = qb__capture_run(capture, samples, done, samples->used, &ran);
    for (size_t i = 0; !status && i < count; i++) {
      const qb__tensor *t = &c->graph->tensors[tensors[i]];
      for (uint32_t s = 0; s < ran; s++)
        observe(c->of[tensors[i]], t, qb__capture_values(capture, i) + s * t->elements);
    }
  }
  for (size_t i = 0; !status && i < count; i++)
    status = check_finite(c, tensors[i]);
  qb__capture_free(capture);
  return status;
}

qb_status qb__calibrate(const qb__graph *graph, const bool *wanted, const qb__samples *samples,
                        qb__calibration *calibration)
{
  *calibration = (qb__calibration){.graph = graph};
  const qb_context *context = graph->context;
  int32_t *tensors = qb__calloc(context, graph->tensor_count, sizeof *tensors);
  calibration->of = qb__calloc(context, graph->tensor_count, sizeof *calibration->of);
  size_t count = 0;
  qb_status status = tensors && calibration->of ? QB_OK : QB_ERROR_NO_MEMORY;
  for (size_t i = 0; !status && i < graph->tensor_count; i++) {
    if (!wanted[i])
      continue;
    tensors[count++] = (int32_t)i;
    calibration->of[i] = new_observed(context, &graph->tensors[i]);
    status = calibration->of[i] ? QB_OK : QB_ERROR_NO_MEMORY;
  }
  if (!status && count)
    status = run_all(calibration, tensors, count, samples);
  qb__free(context, tensors);
  if (status)
    qb__calibration_clear(calibration);
  return status;
}

void qb__calibration_clear(qb__calibration *calibration)
{
  const qb__graph *g = calibration->graph;
  for (size_t i = 0; calibration->of && i < g->tensor_count; i++)
    free_observed(g->context, calibration->of[i]);
  qb__free(g->context, calibration->of);
  calibration->of = NULL;
}
