/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every operator in plain loops, as the standard says, for NaN and infinities too: what the
 * engine's results are compared with, and what it computes with where oneDNN would lose a NaN.
 */
#ifndef QB_ENGINE_REFERENCE_H
#define QB_ENGINE_REFERENCE_H

#include "model/graph.h"

/*
 * What the reference saw of an activation: its spread, and values that would falsify timings.
 */
typedef struct qb__range {
  double deviation; /* standard deviation over all elements */
  size_t denormals;
  size_t not_finite;
} qb__range;

/*
 * Runs a graph on `batch` samples, row-major, one operator after the other. `ranges`, one element a
 * tensor of the graph, is filled for the activations if not NULL.
 */
qb_status qb__reference_run(const qb__graph *graph, uint32_t batch, const float *const *inputs,
                            float *const *outputs, qb__range *ranges);

#endif
