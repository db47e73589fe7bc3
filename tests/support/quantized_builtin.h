/* SPDX-License-Identifier: Apache-2.0 */
/* Quantized forms of networks, as tools write them: every tensor is quantized and dequantized. */
#ifndef QB_SUPPORT_QUANTIZED_BUILTIN_H
#define QB_SUPPORT_QUANTIZED_BUILTIN_H

#include "engine/reference.h"

/*
 * Builds in `to` what a graph of a built-in network becomes, after its passes: weights of one scale
 * for each output, activations of ranges that their deviations give, which are 1 where `ranges` is
 * NULL. Failures are in to->status.
 */
void quantize_graph(const qb__graph *from, const qb__range *ranges, qb__graph *to);

/* A quantize and a dequantize behind `x`, of 0 to 255. @return the reals */
int32_t through_bytes(qb__graph *graph, const char *name, int32_t x, float scale, float zero_point);

#endif
