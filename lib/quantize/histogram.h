/* SPDX-License-Identifier: Apache-2.0 */
/* How often a tensor has which values, over samples that come one by one. */
#ifndef QB_QUANTIZE_HISTOGRAM_H
#define QB_QUANTIZE_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QB__BINS = 2048 };

/*
 * Values of either sign in bins of equal width over 0..reach. The reach is a power of two that
 * doubles with larger values, two bins becoming one. Zero it before use.
 */
typedef struct qb__histogram {
  double reach;
  uint64_t positive[QB__BINS], negative[QB__BINS];
  float least, most;
  uint64_t count;
  bool not_finite; /* a value was; it is not counted */
} qb__histogram;

void qb__histogram_add(qb__histogram *h, const float *values, size_t count);

/* All that `other` has. */
void qb__histogram_merge(qb__histogram *h, const qb__histogram *other);

/* The middle of a bin. */
double qb__histogram_middle(const qb__histogram *h, size_t bin);

#endif
