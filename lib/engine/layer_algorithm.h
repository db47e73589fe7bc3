/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The algorithms that compute a convolution or dense layer, with the names that profiles store, and
 * those of a whole network.
 */
#ifndef QB_ENGINE_LAYER_ALGORITHM_H
#define QB_ENGINE_LAYER_ALGORITHM_H

#include "engine/plan_findings.h"

#include <stdint.h>

typedef enum qb__layer_algorithm {
  QB__ALGORITHM_UNKNOWN,    /* or an operator without weights, which has none */
  QB__ALGORITHM_PREFERRED,  /* layouts as oneDNN likes them best */
  QB__ALGORITHM_IN_PLACE,   /* on the input as it lies */
  QB__ALGORITHM_BLOCKED_16, /* channels in blocks of 16, or 8 */
  QB__ALGORITHM_BLOCKED_8,
  QB__ALGORITHM_WINOGRAD, /* Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" */
  QB__ALGORITHM_ROWS,     /* dense: the weights as the model has them, or transposed */
  QB__ALGORITHM_COLUMNS,
  QB__ALGORITHM_COUNT
} qb__layer_algorithm;

static inline bool qb__is_blocked(qb__layer_algorithm algorithm)
{
  return algorithm == QB__ALGORITHM_BLOCKED_16 || algorithm == QB__ALGORITHM_BLOCKED_8;
}

/* How a network is computed: trials find it, profiles keep it. */
typedef struct qb__algorithms {
  qb__layer_algorithm *layers; /* by operator */
  uint32_t microbatch; /* the most samples that pass through the network together; 0: any number */
  uint32_t compared;   /* samples; larger rounds than that may find a microbatch */
  qb__findings findings;
} qb__algorithms;

/* "winograd"; static. */
const char *qb__layer_algorithm_name(qb__layer_algorithm algorithm);

/* False for any other name. */
bool qb__layer_algorithm_of(const char *name, qb__layer_algorithm *algorithm);

#endif
