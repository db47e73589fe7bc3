/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions of 3x3 windows by Winograd's minimal filtering F(4x4, 3x3): 36 multiplications for 16
 * results, where 144 are counted (Lavin and Gray, "Fast Algorithms for Convolutional Neural
 * Networks", CVPR 2016). Arithmetic alone: kernel_winograd.c makes a kernel of it.
 */
#ifndef QB_ENGINE_WINOGRAD_H
#define QB_ENGINE_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  QB__WINOGRAD_LANES = 16, /* channels of a block */
  QB__WINOGRAD_IN = 6,     /* rows and columns of a tile of the input */
  QB__WINOGRAD_OUT = 4,    /* and of one of the output */
  QB__WINOGRAD_POINTS = QB__WINOGRAD_IN * QB__WINOGRAD_IN
};

/* A tensor of images: strides in elements; channels lie in blocks of QB__WINOGRAD_LANES. */
typedef struct qb__images {
  int64_t height, width, channels;
  int64_t image, block, row, pixel;
} qb__images;

typedef struct qb__winograd {
  qb__images in, out;
  int64_t top, left;    /* padding */
  int64_t down, across; /* tiles of an image */
  float low, high;      /* results are clipped to; a NaN stays one */
  int64_t scratch_rows; /* the most tiles in a call */
} qb__winograd;

/*
 * Computes `count` tiles from tile `first` on, counted through all images. `weights` is from
 * qb__winograd_weights(), aligned to 64 bytes as is `scratch`, of qb__winograd_scratch() elements.
 * `bias` may be NULL. With `adds`, results are added to what is in `out`.
 */
typedef void qb__winograd_run(const qb__winograd *w, const float *in, const float *weights,
                              const float *bias, int64_t first, int64_t count, bool adds,
                              float *scratch, float *out);

/* For a processor with AVX-512, or AVX2 and FMA; NULL for others. */
qb__winograd_run *qb__winograd_for(bool avx512, bool avx2);

size_t qb__winograd_scratch(const qb__winograd *w);

/* Transforms a group's weights: [outputs][inputs][3][3] to [36][outputs / 16][inputs][16]. */
void qb__winograd_weights(const float *weights, int64_t outputs, int64_t inputs,
                          float *transformed);

#endif
