/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether an 8-bit layer gives other answers on processors without VNNI. Those multiply unsigned inputs
 * with signed weights and add two neighbouring products in 16 bits, saturated (VPMADDUBSW): 255 * 127 * 2
 * is more than that. Found from the weights, for any input.
 */
#ifndef QB_MODEL_SATURATION_H
#define QB_MODEL_SATURATION_H

#include "model/graph.h"

/*
 * The largest step that all weights are multiples of that 8 bits with a sign hold, within the rounding of
 * 32-bit floats; false where there is none, or all are 0.
 */
bool qb__weight_step(const float *weights, size_t count, float *step);

/* The same of each output of a layer; those of a layer of integers are 1. False where one has none. */
bool qb__layer_steps(const qb__graph *graph, const qb__operator *op, float *steps);

/*
 * The quantize or dequantize that a layer reads from, directly or behind what only moves its
 * elements; NULL where there is none.
 */
const qb__operator *qb__integers_read(const qb__graph *graph, const qb__operator *layer);

typedef enum qb__saturation {
  QB__NOT_OF_INTEGERS, /* not a layer of u8 inputs or s8 inputs and s8 weights */
  QB__CANNOT_SATURATE,
  QB__CAN_SATURATE
} qb__saturation;

/*
 * Of a convolution, dense or linear layer whose inputs are from 0 to `most`. Convolutions of an even
 * number of channels add products of neighbouring ones; of the others, whose inputs may come in
 * another order, any two.
 */
qb__saturation qb__unsigned_saturation(const qb__graph *graph, const qb__operator *op, float most);

/* Of any operator. Signed inputs count as the unsigned ones that they are made by adding 128. */
qb__saturation qb__layer_saturation(const qb__graph *graph, const qb__operator *op);

#endif
