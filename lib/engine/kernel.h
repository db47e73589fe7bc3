/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Computations of our own, for what oneDNN has no primitive for: on row-major arrays, whose first
 * dimension is the batch, on the calling thread's OpenMP team.
 */
#ifndef QB_ENGINE_KERNEL_H
#define QB_ENGINE_KERNEL_H

#include "engine/onednn.h"

/* Immutable and one block of memory: qb__free() frees it. */
typedef struct qb__kernel {
  void (*run)(const struct qb__kernel *self, float *const arguments[QB__ARG_COUNT]);
} qb__kernel;

/* Runs a primitive, or a kernel if that is NULL. */
static inline qb_status qb__run_either(const struct dnnl_primitive *primitive,
                                       const qb__kernel *kernel, struct dnnl_stream *stream,
                                       struct dnnl_memory *const arguments[QB__ARG_COUNT])
{
  if (primitive)
    return qb__execute(primitive, stream, arguments);
  float *data[QB__ARG_COUNT];
  for (int a = 0; a < QB__ARG_COUNT; a++)
    data[a] = qb__memory_data(arguments[a]);
  kernel->run(kernel, data);
  return QB_OK;
}

/* Writes `value` into `count` elements of the destination. */
qb_status qb__kernel_fill(const qb_context *context, size_t count, float value,
                          qb__kernel **kernel);

/* Copies the source, repeated along its dimensions of 1, to a destination of dimensions `to`. */
qb_status qb__kernel_repeat(const qb_context *context, const qb__dims *from, const qb__dims *to,
                            qb__kernel **kernel);

/* Copies a tensor to another layout, of any type, whose blocks are filled with zeros. */
qb_status qb__kernel_move(const qb_context *context, const qb__dims *dims, const qb__layout *from,
                          const qb__layout *to, qb__kernel **kernel);

/* The activation of an operator on `count` elements; unsupported for those that oneDNN has. */
qb_status qb__kernel_activation(const qb_context *context, const qb__operator *op, size_t count,
                                qb__kernel **kernel);

/* Whether a quantize or dequantize has one scale and zero point for all elements. */
bool qb__kernel_converts_all_alike(const qb__graph *graph, const qb__operator *op);
/* A quantize or dequantize of a source of these dimensions; row-major where not all are alike. */
qb_status qb__kernel_convert(const qb_context *context, const qb__graph *graph,
                             const qb__operator *op, const qb__dims *source, qb__kernel **kernel);

/*
 * A quantize or dequantize of bytes in a lowered graph, on arrays of these dimensions that lie alike,
 * or if it `turns`, from row-major to channels last.
 */
qb_status qb__kernel_bytes(const qb_context *context, const qb__graph *graph,
                           const qb__operator *op, const qb__dims *dims, bool turns,
                           qb__kernel **kernel);
/*
 * Whether there is a kernel for an operator from bytes of this step to bytes: LRN and average pools, on
 * samples of `rank` dimensions, where no bytes make anything infinite on the way.
 */
bool qb__kernel_computes_bytewise(const qb__operator *op, uint32_t rank, float step);
/* That kernel, on bytes whose channels are last. */
qb_status qb__kernel_bytewise(const qb_context *context, const qb__graph *graph,
                              const qb__operator *op, uint32_t batch, qb__kernel **kernel);
/* Writes `value` into `count` bytes. */
qb_status qb__kernel_fill_bytes(const qb_context *context, size_t count, float value,
                                qb__kernel **kernel);

/*
 * A layer of integers with exact sums, of a row-major source. Weights are one row of all outputs
 * for each input of a group, those of a channel's window next to each other.
 */
qb_status qb__kernel_integer_layer(const qb_context *context, const qb__graph *graph,
                                   const qb__operator *op, uint32_t batch, qb__kernel **kernel);
/* The product of row-major matrices of integers, source and weights, with exact sums. */
qb_status qb__kernel_integer_matmul(const qb_context *context, const qb__dims *source,
                                    const qb__dims *weights, const qb__dims *to,
                                    qb__kernel **kernel);

/* A binary operator: source and addend, both repeated to the dimensions `to`. */
qb_status qb__kernel_binary(const qb_context *context, qb__op_kind kind, const qb__dims *source,
                            const qb__dims *addend, const qb__dims *to, qb__kernel **kernel);

/*
 * A binary operator on a source of dimensions `dims`, whose channels lie in blocks of `block`, and a
 * number for each channel: for each sample or for all. The result may lie where the source lies.
 */
qb_status qb__kernel_by_channel(const qb_context *context, qb__op_kind kind, const qb__dims *dims,
                                int64_t block, bool each_sample, qb__kernel **kernel);

/*
 * A convolution by minimal filtering (winograd.h), whose addend lies in the destination: whether there
 * is one, the layouts that it takes, and what its weights are transformed to, row-major.
 */
#define QB__OWN_WINOGRAD "own:winograd"
bool qb__winograd_computes(const qb__operator *op, const qb__dims *source,
                           const qb__dims *destination);
bool qb__winograd_reads(const qb__layout *layout, const qb__dims *dims);
void qb__winograd_weights_dims(const qb__dims *weights, qb__dims *transformed);
qb_status qb__kernel_winograd(const qb_context *context, const qb__operator *op,
                              const qb__dims *source_dims, const qb__layout *source,
                              const qb__dims *destination_dims, const qb__layout *destination,
                              qb__kernel **kernel, size_t *scratchpad_bytes);

/* The addend where the source is not 0, else the weights; all repeated to the dimensions `to`. */
qb_status qb__kernel_select(const qb_context *context, const qb__dims *source,
                            const qb__dims *addend, const qb__dims *weights, const qb__dims *to,
                            qb__kernel **kernel);

/* A reduction of a source of these dimensions. */
qb_status qb__kernel_reduce(const qb_context *context, const qb__operator *op,
                            const qb__dims *source, qb__kernel **kernel);

/* The index of the largest or smallest. */
qb_status qb__kernel_arg(const qb_context *context, const qb__operator *op, const qb__dims *source,
                         qb__kernel **kernel);

/* A layer norm or group norm; scale and shift, where there are any, are weights and bias. */
qb_status qb__kernel_norm(const qb_context *context, const qb__operator *op, const qb__dims *source,
                          qb__kernel **kernel);

/*
 * A pick from one or two arrays, source and addend, to an array of dimensions `to`: row-major ones,
 * or with the channels last in all. The operator has to outlive the kernel.
 */
qb_status qb__kernel_pick(const qb_context *context, const qb__operator *op,
                          const qb__dims *const *from, const qb__dims *to, bool channels_last,
                          qb__kernel **kernel);

#endif
