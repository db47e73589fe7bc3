/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels of oneDNN that compute wrongly on purpose, in the plans that the engine checks and runs.
 * The linker puts faulty_kernels.c between the engine and oneDNN (--wrap, tests/unit/meson.build).
 */
#ifndef QB_SUPPORT_FAULTY_KERNELS_H
#define QB_SUPPORT_FAULTY_KERNELS_H

#include "engine/network_plan.h"

typedef enum faulty_target {
  FAULTY_NOTHING,
  FAULTY_IMPLEMENTATION, /* the one that an operator is computed by first */
  FAULTY_LAYERS,         /* every implementation of layers */
  FAULTY_CHANGES,        /* of layout, those that pack weights among them */
  FAULTY_COMPILING,      /* the first implementation of all cannot be compiled */
} faulty_target;

typedef struct fault {
  faulty_target target;
  const char *op; /* whose kernels they are; NULL: of all layers, or of all changes */
  /* Which elements of a result are wrong, of packed weights with padding. NULL: one of 13. */
  bool (*is_wrong)(const qb__dims *dims, const int64_t *at);
  bool unwritten;       /* wrong elements stay what they were, else they get another high bit */
  uint32_t least_batch; /* of plans with the fault */
} fault;

typedef struct faulty_record {
  char implementation[QB__IMPLEMENTATION_CHARS]; /* the faulty one */
  size_t runs;                                   /* of faulty kernels */
} faulty_record;

extern faulty_record faulty_seen;

/* From here on, for plans that are not checked yet. Starts the record anew. */
void faulty_kernels_are(const fault *made);

#endif
