/* SPDX-License-Identifier: Apache-2.0 */
/* What values tensors have, over samples of a network's inputs. */
#ifndef QB_QUANTIZE_CALIBRATE_H
#define QB_QUANTIZE_CALIBRATE_H

#include "quantize/capture.h"
#include "quantize/histogram.h"

/* Of one tensor. */
typedef struct qb__observed {
  qb__histogram halves[2]; /* every second sample */
  double *sums;            /* by element */
  double *squares;         /* by element of dimension 0: the sum of squares of its elements */
  float *most;             /* likewise: the largest absolute value */
  uint64_t samples;
} qb__observed;

typedef struct qb__calibration {
  const qb__graph *graph;
  qb__observed **of; /* by tensor; NULL: was not looked at */
} qb__calibration;

/* Of the tensors that `wanted` names, one element for each of the graph. */
qb_status qb__calibrate(const qb__graph *graph, const bool *wanted, const qb__samples *samples,
                        qb__calibration *calibration);
void qb__calibration_clear(qb__calibration *calibration);

#endif
