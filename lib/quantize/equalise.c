/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize/equalise.h"

#include "core/alloc.h"
#include "model/graph_edit.h"

#include <math.h>

static const double LEAST_GAIN = 1.2589; /* 1 dB */
enum { POWERS = 4 };                     /* of a channel's size that are tried */
static const double MOST_FACTOR = 64;

/* Two layers, and the tensor between them. */
typedef struct pair {
  const qb__operator *first, *second;
  size_t channels, outputs;     /* of the tensor, of the second layer */
  size_t per_output;            /* channels that an output of the second layer reads */
  size_t taps;                  /* weights of one channel and output */
  const float *weights;         /* of the second */
  const qb__observed *observed; /* of the tensor */
  size_t elements;              /* of a channel */
} pair;

/* Where the channel that an output reads begins among all. */
static size_t first_channel(const pair *p, size_t output)
{
  const size_t groups = p->channels / p->per_output;
  return output / (p->outputs / groups) * p->per_output;
}

/*
 * The variance of the noise in the second layer's results: rounding of the tensor by a step common
 * to all channels, and of each output's weights by a step of its own, both uniform.
 */
static double expected_noise(const pair *p, const double *factors)
{
  double largest = 0, noise = 0;
  for (size_t c = 0; c < p->channels; c++)
    largest = fmax(largest, (double)p->observed->most[c] / factors[c]);
  const double step = largest / UINT8_MAX;
  const double count = (double)p->observed->samples * (double)p->elements;
  for (size_t o = 0; o < p->outputs; o++) {
    double squares = 0, most = 0, energy = 0;
    for (size_t k = 0; k < p->per_output; k++) {
      const size_t c = first_channel(p, o) + k;
      for (size_t tap = 0; tap < p->taps; tap++) {
        const double weight =
            (double)p->weights[(o * p->per_output + k) * p->taps + tap] * factors[c];
        squares += weight * weight;
        most = fmax(most, fabs(weight));
      }
      energy += p->observed->squares[c] / count / (factors[c] * factors[c]) * (double)p->taps;
    }
    const double weight_step = most / INT8_MAX;
    noise += (step * step * squares + weight_step * weight_step * energy) / 12;
  }
  return noise;
}

/* The largest weight that any output of the second layer has for a channel. */
static double largest_weight(const pair *p, size_t channel)
{
  double most = 0;
  for (size_t o = 0; o < p->outputs; o++) {
    const size_t first = first_channel(p, o);
    if (channel < first || channel >= first + p->per_output)
      continue;
    for (size_t tap = 0; tap < p->taps; tap++)
      most = fmax(most,
                  fabs((double)p->weights[(o * p->per_output + channel - first) * p->taps + tap]));
  }
  return most;
}

/* Factors that take a power of what makes all channels equally large. */
static void set_factors(const pair *p, double power, double *factors)
{
  double mean = 0;
  size_t alive = 0;
  const bool depthwise = p->per_output == 1;
  for (size_t c = 0; c < p->channels; c++) {
    const double weight = depthwise ? 1 : largest_weight(p, c);
    const double ratio = weight > 0 ? (double)p->observed->most[c] / weight : 0;
    factors[c] = ratio > 0 ? pow(ratio, power) : 0;
    mean += ratio > 0 ? log(factors[c]) : 0;
    alive += ratio > 0;
  }
  for (size_t c = 0; c < p->channels; c++) {
    const double factor = factors[c] > 0 ? factors[c] / exp(mean / (double)alive) : 1;
    factors[c] = fmin(fmax(factor, 1 / MOST_FACTOR), MOST_FACTOR);
  }
}

static void apply(qb__graph *g, const pair *p, const double *factors)
{
  const qb__tensor *first = &g->tensors[p->first->weights];
  const size_t each = first->elements / p->channels;
  for (size_t i = 0; i < first->elements; i++)
    first->constant[i] = (float)((double)first->constant[i] / factors[i / each]);
  for (size_t c = 0; p->first->bias != QB__NONE && c < p->channels; c++) {
    float *bias = &g->tensors[p->first->bias].constant[c];
    *bias = (float)((double)*bias / factors[c]);
  }
  float *second = g->tensors[p->second->weights].constant;
  for (size_t o = 0; o < p->outputs; o++)
    for (size_t i = 0; i < p->per_output * p->taps; i++) {
      float *weight = &second[o * p->per_output * p->taps + i];
      *weight = (float)((double)*weight * factors[first_channel(p, o) + i / p->taps]);
    }
}

static bool owns_constants(const qb__graph *g, const qb__operator *op)
{
  return qb__users(g, op->weights) == 1 && (op->bias == QB__NONE || qb__users(g, op->bias) == 1);
}

static bool find_pair(const qb__graph *g, const qb__scheme *s, const qb__calibration *calibration,
                      size_t index, pair *p)
{
  const qb__operator *first = &g->operators[index];
  if (!s->integer[index] || !qb__is_quantizable(g, first) || first->kind == QB__OP_LINEAR ||
      (first->activation && (first->activation != QB__ACTIVATION_RELU)))
    return false;
  const qb__operator *second = qb__only_reader(g, first->output);
  if (!second || second->kind != first->kind || !qb__is_quantizable(g, second) ||
      !s->integer[second - g->operators] || !calibration->of[first->output] ||
      !owns_constants(g, first) || !owns_constants(g, second))
    return false;
  const qb__tensor *t = &g->tensors[first->output], *w = &g->tensors[second->weights];
  *p = (pair){.first = first,
              .second = second,
              .channels = (size_t)t->dims[0],
              .outputs = (size_t)w->dims[0],
              .per_output = (size_t)w->dims[1],
              .taps = w->elements / (size_t)(w->dims[0] * w->dims[1]),
              .weights = w->constant,
              .observed = calibration->of[first->output],
              .elements = t->elements / (size_t)t->dims[0]};
  return true;
}

/* The factors that are expected to add the least noise; false if none is worth it. */
static bool find_factors(const pair *p, double *factors)
{
  for (size_t c = 0; c < p->channels; c++)
    factors[c] = 1;
  const double now = expected_noise(p, factors);
  double least = now, best = 0;
  for (int i = 1; i <= POWERS; i++) {
    set_factors(p, (double)i / POWERS, factors);
    const double noise = expected_noise(p, factors);
    if (noise < least) {
      least = noise;
      best = (double)i / POWERS;
    }
  }
  set_factors(p, best, factors);
  return least * LEAST_GAIN < now;
}

size_t qb__equalise(qb__graph *graph, const qb__scheme *scheme, const qb__calibration *calibration)
{
  size_t changed = 0;
  for (size_t i = 0; i < graph->operator_count && !graph->status; i++) {
    pair p;
    if (!find_pair(graph, scheme, calibration, i, &p))
      continue;
    double *factors = qb__calloc(graph->context, p.channels, sizeof *factors);
    if (!factors) {
      graph->status = QB_ERROR_NO_MEMORY;
    } else if (find_factors(&p, factors)) {
      apply(graph, &p, factors);
      changed++;
    }
    qb__free(graph->context, factors);
  }
  return changed;
}
