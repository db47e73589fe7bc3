/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of oneDNN's ways to compute a convolution or dense layer is taken: found by running them,
 * once for all batch sizes, so that weights are held in one layout.
 */
#ifndef QB_ENGINE_LAYER_CHOICE_H
#define QB_ENGINE_LAYER_CHOICE_H

#include "engine/onednn.h"

/* Samples in a round of a trial: few, for it to be short, but more than in one alone. */
enum { QB__TRIAL_BATCH = 2 };

typedef enum qb__way {
  QB__WAY_UNKNOWN,
  QB__WAY_PREFERRED,  /* layouts as oneDNN likes them best */
  QB__WAY_IN_PLACE,   /* on the input as it lies */
  QB__WAY_BLOCKED_16, /* channels in blocks of 16, or 8 */
  QB__WAY_BLOCKED_8,
  QB__WAY_WINOGRAD, /* Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016 */
  QB__WAY_ROWS,     /* dense: the weights as the model has them, or transposed */
  QB__WAY_COLUMNS
} qb__way;

/* What was chosen for an operator, and on what its input and addend lay then (slots of the plan). */
typedef struct qb__choice {
  qb__way way;
  int32_t source, addend;
} qb__choice;

struct qb__planner;

/*
 * Makes the primitive of a convolution or dense layer whose input is in slot `source` and addend in
 * slot `addend` (or QB__NONE): in the way chosen before, or in the fastest one, which is remembered.
 */
qb_status qb__layer_choose(struct qb__planner *p, uint32_t index, int32_t source, int32_t addend,
                           qb__made *made);

/* Weights as oneDNN counts their dimensions: groups first. */
qb__dims qb__weights_dims(const qb__graph *graph, const qb__operator *op);

/* Plain loops: right, and slower by orders of magnitude than anything else. */
bool qb__is_slow(const qb__made *made);

#endif
