/* SPDX-License-Identifier: Apache-2.0 */
/* A plan under construction: what adds steps to it. */
#ifndef QB_ENGINE_NETWORK_PLAN_IMPL_H
#define QB_ENGINE_NETWORK_PLAN_IMPL_H

#include "engine/network_plan.h"

typedef struct qb__planner {
  const qb_context *context;
  const qb__graph *graph;
  qb__network_plan *plan;
  bool to_run;
  qb__findings *findings; /* grows by what cannot be compiled */
  qb__choice *choices;    /* by operator */
  qb__packed *packed;
  struct dnnl_engine *engine;
  struct dnnl_stream *stream;
  int32_t *slot_of;   /* by tensor */
  uint32_t *last_use; /* by tensor: the last operator that reads it or a view of it */
} qb__planner;

/* Dimensions of a tensor with the batch before them. */
qb__dims qb__plan_dims(const qb__tensor *tensor, uint32_t batch);

/*
 * The same of an input or result of a layer as it is described: linear ones have a row for each vector.
 */
qb__dims qb__plan_layer_dims(const qb__operator *op, const qb__tensor *tensor, uint32_t batch);

/* Weights as oneDNN counts their dimensions: groups first. */
qb__dims qb__plan_weights_dims(const qb__graph *graph, const qb__operator *op);

/* Takes the layout over on success. */
qb_status qb__plan_slot(qb__planner *p, qb__slot_kind kind, const qb__dims *dims,
                        qb__layout *layout, int32_t *slot);

/* Bytes of slot `base` under another layout, which is taken over on success. */
qb_status qb__plan_view(qb__planner *p, int32_t base, const qb__dims *dims, qb__layout *layout,
                        int32_t *view);

/* The elements of a row-major slot under other dimensions. */
qb_status qb__plan_plain_view(qb__planner *p, int32_t base, const qb__dims *dims, int32_t *view);

/* A new slot for an operator's output. Takes the layout over, also on failure. */
qb_status qb__plan_result(qb__planner *p, const qb__operator *op, qb__layout *layout);

/* Where the second input of an operator lies; constants are put there. */
qb_status qb__plan_operand(qb__planner *p, int32_t tensor, int32_t *slot);

/* A step's arguments before any is set. */
extern const int32_t qb__no_slots[QB__ARG_COUNT];

/* A constant of the graph in a layout. */
qb_status qb__plan_constant(qb__planner *p, int32_t tensor, const qb__dims *dims,
                            const qb__layout *layout, int32_t *slot);

/* Compiles what an operator is computed by; where oneDNN fails in that, it is passed over. */
qb_status qb__plan_compile(qb__planner *p, uint32_t index, qb__primitive *primitive);

/* Takes the primitive over, also on failure; a scratchpad gets a slot that lives for this step. */
qb_status qb__plan_step(qb__planner *p, uint32_t op, struct dnnl_primitive *primitive,
                        const char *implementation, size_t scratchpad_bytes,
                        const int32_t slots[QB__ARG_COUNT]);

/* The same for a kernel. */
qb_status qb__plan_kernel(qb__planner *p, uint32_t op, qb__kernel *kernel, const char *name,
                          const int32_t slots[QB__ARG_COUNT]);

/* Adds the constants of a layer to its arguments, and its step. */
qb_status qb__plan_layer(qb__planner *p, uint32_t index, qb__primitive *primitive,
                         int32_t slots[QB__ARG_COUNT]);

/* Whether two slots have the same bytes. */
bool qb__plan_overlap(const qb__planner *p, int32_t a, int32_t b);

/*
 * Whether operator `index` may write a result of `layout` over its input `tensor`, which has to lie
 * in `slot` in that layout, and to be needed no more, not by the operator's other input either.
 */
bool qb__plan_may_overwrite(const qb__planner *p, uint32_t index, int32_t tensor, int32_t slot,
                            int32_t other, const qb__layout *layout);

/* Copies a slot into a new one of another layout. */
qb_status qb__plan_reorder(qb__planner *p, uint32_t op, qb__slot_kind kind, const qb__layout *to,
                           int32_t from, int32_t *slot);

/* Copies a slot to another one of the same dimensions. */
qb_status qb__plan_copy(qb__planner *p, uint32_t op, int32_t from, int32_t to);

/* Whether a slot lies in one of the orders that primitives are made for, and in one piece. */
bool qb__plan_is_usual(const qb__planner *p, int32_t slot);

/* Replaces a slot by a row-major copy where it is not so; copies serve again. */
qb_status qb__plan_plain(qb__planner *p, uint32_t op, int32_t *slot);

/* The same of bfloat16 numbers. */
qb_status qb__plan_plain_halves(qb__planner *p, uint32_t op, int32_t *slot);

/* Replaces a slot by a copy with its channels last where they are not. */
qb_status qb__plan_channels_last(qb__planner *p, uint32_t op, int32_t *slot);

/* Writes `value` into all of a slot. */
qb_status qb__plan_fill(qb__planner *p, uint32_t op, int32_t slot, float value);

/* Replaces a slot by a row-major one of these dimensions, along which it is repeated. */
qb_status qb__plan_repeated(qb__planner *p, uint32_t op, const qb__dims *dims, int32_t *slot);

/* Products of matrices. */
qb_status qb__plan_matmul(qb__planner *p, uint32_t index);

/* Linear layers. */
qb_status qb__plan_linear(qb__planner *p, uint32_t index);

/* A layer or product of integers whose sums 32-bit floats do not hold. */
qb_status qb__plan_integers(qb__planner *p, uint32_t index);

/* Reals to bytes, and bytes to reals. */
qb_status qb__plan_bytes(qb__planner *p, uint32_t index);

/* An operator from bytes to bytes, by way of reals. */
qb_status qb__plan_bytewise(qb__planner *p, uint32_t index);

/*
 * How many channels of the tensor `whole` lie next to each other, where an operator combines each
 * of its elements with the number that slot `factors` has for the element's channel; else 0.
 */
int64_t qb__plan_channel_block(const qb__planner *p, const qb__operator *op, int32_t whole,
                               int32_t factors);

/* An operator on a kernel of ours. */
qb_status qb__plan_own(qb__planner *p, uint32_t index);

/* Operators that only move elements: concat, pad, transpose. */
qb_status qb__plan_rearrangement(qb__planner *p, uint32_t index);

#endif
