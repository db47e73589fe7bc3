/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of oneDNN's algorithms computes a convolution or dense layer: found by running them,
 * once for all batch sizes, so that weights are held in one layout.
 */
#ifndef QB_ENGINE_LAYER_CHOICE_H
#define QB_ENGINE_LAYER_CHOICE_H

#include "engine/layer_algorithm.h"
#include "engine/onednn.h"

/* Samples in a round of a trial: few, for it to be short, but more than in one alone. */
enum { QB__TRIAL_BATCH = 2 };

/*
 * What was chosen for an operator, and on what its input and addend lay then (slots of the plan).
 */
typedef struct qb__choice {
  qb__layer_algorithm algorithm;
  int32_t source, addend;
  bool unblocked; /* is not to take blocks of channels that oneDNN would not take itself */
} qb__choice;

struct qb__planner;

/*
 * Describes the primitive of a layer whose input is in slot `source` and addend in slot `addend`
 * (or QB__NONE): by the algorithm chosen before, or by the fastest one, which is remembered. Where
 * its result has to lie as slot `destination`, not QB__NONE, its input stays as it is as well.
 */
qb_status qb__layer_choose(struct qb__planner *p, uint32_t index, int32_t source, int32_t addend,
                           int32_t destination, qb__primitive *primitive);

/* Plain loops: right, and slower by orders of magnitude than anything else. */
bool qb__is_slow(const qb__primitive *primitive);

#endif
