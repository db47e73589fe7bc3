/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A graph made ready for one batch size: primitives in the order they run, and where in an arena
 * their activations lie. Shared by all instances; each brings an arena of its own.
 */
#ifndef QB_ENGINE_NETWORK_PLAN_H
#define QB_ENGINE_NETWORK_PLAN_H

#include "engine/kernel.h"
#include "engine/layer_choice.h"
#include "engine/memory_plan.h"
#include "engine/onednn.h"
#include "engine/packed_weights.h"
#include "engine/plan_findings.h"

typedef enum qb__slot_kind {
  QB__SLOT_ARENA,
  QB__SLOT_INPUT,   /* the caller's, row-major */
  QB__SLOT_OUTPUT,  /* the caller's, row-major */
  QB__SLOT_CONSTANT /* packed weights */
} qb__slot_kind;

/* Something primitives read or write. */
typedef struct qb__slot {
  qb__slot_kind kind;
  uint32_t port; /* which of the caller's inputs or outputs */
  qb__dims dims;
  qb__layout *layout;
  struct dnnl_memory *constant; /* belongs to the packed weights */
  int32_t view_of;              /* the same bytes as another slot's, or QB__NONE */
  int32_t plain, halves;        /* row-major copies of what it has now, or QB__NONE; the latter */
                                /* in bfloat16 */
  qb__region region;            /* in the arena */
} qb__slot;

/* The implementation of a step that only copies a tensor to another layout. */
#define QB__CHANGE_OF_LAYOUT "reorder"

typedef struct qb__step {
  struct dnnl_primitive *primitive;              /* or NULL, for a kernel of ours */
  qb__kernel *kernel;                            /* owned */
  uint32_t op;                                   /* index in the graph it serves */
  int32_t slots[QB__ARG_COUNT];                  /* QB__NONE: no such argument */
  char implementation[QB__IMPLEMENTATION_CHARS]; /* oneDNN's name for it, or "own" */
} qb__step;

/* Where a tensor lies, and from which step on: for who looks at it before that step runs. */
typedef struct qb__watch {
  int32_t tensor, slot;
  int32_t op;    /* that wrote it, or QB__NONE */
  size_t before; /* step */
} qb__watch;

typedef struct qb__network_plan {
  uint32_t batch;
  size_t slot_count, slot_capacity;
  qb__slot *slots;
  size_t step_count, step_capacity;
  qb__step *steps;
  size_t watch_count;
  qb__watch
      *watches; /* of the inputs and of each operator's output, in the order they are written */
  size_t arena_bytes;
} qb__network_plan;

/*
 * Packs weights not packed yet. A plan that is not `to_run` serves its choices and packed weights
 * alone: its operators are not compiled. `choices` has one element for each operator: those that
 * are unknown are made, for which the batch should be QB__TRIAL_BATCH. What `findings` pass over
 * is not used. Failures name the operator. QB_ERROR_ENGINE with more findings than before: oneDNN
 * failed to compile what it had described, and another call does without it.
 */
qb_status qb__network_plan_new(const qb__graph *graph, uint32_t batch, bool to_run,
                               qb__findings *findings, qb__choice *choices, qb__packed *packed,
                               struct dnnl_engine *engine, struct dnnl_stream *stream,
                               qb__network_plan **plan);
void qb__network_plan_free(const qb_context *context, qb__network_plan *plan);

#endif
