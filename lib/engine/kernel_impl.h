/* SPDX-License-Identifier: Apache-2.0 */
/* What kernels share. Loops are written for the compiler to vectorise. */
#ifndef QB_ENGINE_KERNEL_IMPL_H
#define QB_ENGINE_KERNEL_IMPL_H

#include "engine/kernel.h"

/*
 * Before a function of loops: compiled once for each of the instruction sets, of which the dynamic
 * linker takes the best one that the processor has (named by level: names of processors match these
 * alone). Not before functions with OpenMP's pragmas, whose bodies the compiler puts into functions
 * of their own beforehand; and not under sanitizers, which the linker's choice runs ahead of.
 */
#if defined __x86_64__ && defined __GLIBC__ && !defined __SANITIZE_ADDRESS__ &&                    \
    !defined __SANITIZE_THREAD__ && !defined __clang__ && __GNUC__ >= 12
#define QB__VECTORISED                                                                             \
  __attribute__((noinline, target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define QB__VECTORISED __attribute__((noinline))
#endif

enum {
  QB__GRAIN = 4096, /* elements worth another thread */
  QB__LANES = 16    /* partial results of a sum, for it to be vectorised */
};

enum { QB__MOST_REPEATED = 3 };

/*
 * Up to three arrays, each repeated along dimensions of 1, walked row by row: all of them have the
 * elements of a row next to each other, or one element for the whole row.
 */
typedef struct qb__nest {
  int count; /* dimensions of rows */
  int64_t dims[QB__ONEDNN_DIMS];
  int64_t strides[QB__MOST_REPEATED][QB__ONEDNN_DIMS];
  int64_t rows, row;             /* elements of a row */
  bool whole[QB__MOST_REPEATED]; /* has `row` elements in a row, else 1 */
} qb__nest;

void qb__nest_make(qb__nest *nest, const qb__dims *to, const qb__dims *const *from, int arrays);

/* Where row `index` begins in each array. */
void qb__nest_offsets(const qb__nest *nest, int arrays, int64_t index, int64_t *offsets);

/* Product of the dimensions from `first` up to before `end`. */
static inline int64_t qb__span(const qb__dims *dims, int first, int end)
{
  int64_t product = 1;
  for (int i = first; i < end; i++)
    product *= dims->at[i];
  return product;
}

#endif
