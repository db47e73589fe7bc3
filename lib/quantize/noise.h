/* SPDX-License-Identifier: Apache-2.0 */
/* How far tensors of a quantized network are from those of the one in floats. */
#ifndef QB_QUANTIZE_NOISE_H
#define QB_QUANTIZE_NOISE_H

#include "quantize/capture.h"

/* Noise as a share of the signal, both as sums of squares: 0 is none. */
typedef struct qb__noise {
  double signal, noise;
} qb__noise;

/*
 * Of `count` tensors of one graph that are `others` in the other, over up to 16 of the samples. A
 * tensor is named once in either.
 */
qb_status qb__measure_noise(const qb__graph *graph, const int32_t *tensors, const qb__graph *other,
                            const int32_t *others, size_t count, const qb__samples *samples,
                            qb__noise *noise);

/* 10 log10 of signal by noise. */
double qb__noise_sqnr_db(const qb__noise *noise);

#endif
