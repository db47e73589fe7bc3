/* SPDX-License-Identifier: Apache-2.0 */
/* The ways in which a convolution or dense layer can be computed: by name, as profiles keep them. */
#ifndef QB_ENGINE_LAYER_WAY_H
#define QB_ENGINE_LAYER_WAY_H

#include <stdbool.h>

typedef enum qb__layer_way {
  QB__WAY_UNKNOWN,    /* or an operator without weights, which has none */
  QB__WAY_PREFERRED,  /* layouts as oneDNN likes them best */
  QB__WAY_IN_PLACE,   /* on the input as it lies */
  QB__WAY_BLOCKED_16, /* channels in blocks of 16, or 8 */
  QB__WAY_BLOCKED_8,
  QB__WAY_WINOGRAD, /* Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016 */
  QB__WAY_ROWS,     /* dense: the weights as the model has them, or transposed */
  QB__WAY_COLUMNS,
  QB__WAY_COUNT
} qb__layer_way;

/* "winograd"; static. */
const char *qb__layer_way_name(qb__layer_way way);

/* False if it is no name of a way. */
bool qb__layer_way_of(const char *name, qb__layer_way *way);

#endif
