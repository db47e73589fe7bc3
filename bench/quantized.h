/* SPDX-License-Identifier: Apache-2.0 */
/* The 8-bit form of a network, as `qosbatch quantize --portable` makes it. */
#ifndef QB_BENCH_QUANTIZED_H
#define QB_BENCH_QUANTIZED_H

#include "timing.h"

#include <qosbatch/quantize.h>

/* Samples in a normal range, so that no arithmetic is slow. */
static inline void fill_samples(float *values, size_t count)
{
  for (size_t i = 0; i < count; i++)
    values[i] = (float)(i * 2654435761u % 1024) / 512.0f - 1.0f;
}

/* From few samples: neither speed nor memory depends on ranges. */
static inline qb_model *quantized(qb_model *real)
{
  enum { SAMPLES = 4 };
  qb_tensor_info input = QB_TENSOR_INFO_INIT;
  check(qb_model_get_input(real, 0, &input));
  const size_t count = SAMPLES * (size_t)input.elements_per_sample;
  float *samples = malloc(count * sizeof *samples);
  if (!samples)
    exit(1);
  fill_samples(samples, count);
  const void *const inputs[1] = {samples};
  qb_quantize_params params = QB_QUANTIZE_PARAMS_INIT;
  params.inputs = inputs;
  params.samples = SAMPLES;
  params.portable = true;
  qb_model *made;
  check(qb_model_quantize(real, &params, NULL, &made));
  free(samples);
  return made;
}

#endif
