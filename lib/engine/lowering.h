/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model's graph as it runs in a precision: a copy in which activations have types, and operators
 * are those that there are kernels for. The planner handles tensors of any type, so this is all that
 * a precision is.
 */
#ifndef QB_ENGINE_LOWERING_H
#define QB_ENGINE_LOWERING_H

#include "engine/onednn.h"

/*
 * Fails with QB_ERROR_UNSUPPORTED where this processor or this graph has nothing that gains from
 * the precision. `lowered` borrows the constants of `graph`.
 */
qb_status qb__lower(const qb__graph *graph, qb_precision precision, struct dnnl_engine *engine,
                    qb__graph *lowered);

/*
 * The steps of INT8 (lower_bytes.c, lower_layer.c). Integers of 8 bits are kept as bytes from where
 * they are made: unsigned and counted from 0, or signed if their zero point is in the middle and no
 * unsigned sum adds them. What does not only move them reads them through an operator that dequantizes.
 */
void qb__lower_bytes(qb__graph *graph);
/*
 * Layers on bytes take over what is done with their sums, where kernels give the same on every
 * processor: on those without VNNI where no sum of two products can exceed 16 bits.
 */
void qb__lower_layers(qb__graph *graph, struct dnnl_engine *engine);

/* All of BF16 (lower_bf16.c). */
void qb__lower_bf16(qb__graph *graph, struct dnnl_engine *engine);

/* A tensor that is bytes, read as (byte - zero) * scale. */
typedef struct qb__byte_source {
  int32_t tensor; /* QB__NONE: it is not */
  float scale, zero;
} qb__byte_source;

qb__byte_source qb__byte_source_of(const qb__graph *graph, int32_t tensor);

/* A constant of one element, or QB__NONE for what that stands for: `neutral`. */
int32_t qb__lower_number(qb__graph *graph, const char *name, float value, float neutral);
/* What it says. */
float qb__lowered_number(const qb__graph *graph, int32_t constant, float neutral);

#endif
