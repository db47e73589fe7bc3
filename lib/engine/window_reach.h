/* SPDX-License-Identifier: Apache-2.0 */
/* Windows over images of 1 to 3 dimensions, for plain loops. */
#ifndef QB_ENGINE_WINDOW_REACH_H
#define QB_ENGINE_WINDOW_REACH_H

#include "model/graph.h"

/* An image of any number of dimensions as channels of depth x rows x columns. */
typedef struct qb__volume {
  int64_t channels, size[3], elements; /* elements: of a channel */
} qb__volume;

static inline qb__volume qb__volume_of(const qb__tensor *t)
{
  qb__volume v = {t->dims[0], {1, 1, 1}, 1};
  for (uint32_t i = 1; i < t->rank; i++) {
    v.size[2 - (t->rank - 1 - i)] = t->dims[i];
    v.elements *= t->dims[i];
  }
  return v;
}

/* The same of a window: dimensions an image does not have slide over 1. */
typedef struct qb__window3 {
  int64_t kernel[3], strides[3], dilations[3], pad_before[3], elements;
} qb__window3;

static inline qb__window3 qb__window3_of(const qb__window *w, uint32_t rank)
{
  qb__window3 v = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, 1};
  for (uint32_t i = 1; i < rank; i++) {
    const uint32_t to = 2 - (rank - 1 - i);
    v.kernel[to] = w->kernel[i - 1];
    v.strides[to] = w->strides[i - 1];
    v.dilations[to] = w->dilations[i - 1];
    v.pad_before[to] = w->pad_before[i - 1];
    v.elements *= w->kernel[i - 1];
  }
  return v;
}

/*
 * The element of `image` that element `tap` of the window reads at element `place` of what it
 * slides to; -1 in the padding.
 */
static inline int64_t qb__reach(const qb__volume *image, const qb__volume *places,
                                const qb__window3 *w, int64_t place, int64_t tap)
{
  int64_t index = 0, step = 1;
  for (int i = 2; i >= 0; i--) {
    const int64_t at = place % places->size[i] * w->strides[i] +
                       tap % w->kernel[i] * w->dilations[i] - w->pad_before[i];
    if (at < 0 || at >= image->size[i])
      return -1;
    index += at * step;
    step *= image->size[i];
    place /= places->size[i];
    tap /= w->kernel[i];
  }
  return index;
}

#endif
