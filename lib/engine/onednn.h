/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of oneDNN that networks need, the same for both of its majors: layouts, memories and
 * primitives of our operators. onednn.c holds what the majors share, onednn2.c and onednn3.c what
 * differs; no other file includes oneDNN's headers.
 */
#ifndef QB_ENGINE_ONEDNN_H
#define QB_ENGINE_ONEDNN_H

#include "engine/plan_findings.h"
#include "model/graph.h"

struct dnnl_engine;
struct dnnl_stream;
struct dnnl_primitive;
struct dnnl_primitive_desc;
struct dnnl_memory;

/* How the elements of a tensor lie in memory. Immutable. */
typedef struct qb__layout qb__layout;

enum { QB__ONEDNN_DIMS = 12 }; /* the room its arrays have */

/* Dimensions as oneDNN counts them: batch first, groups first in weights; and what they are of. */
typedef struct qb__dims {
  int count;
  int64_t at[QB__ONEDNN_DIMS];
  qb__type type;
} qb__dims;

/* Bytes of an element. */
size_t qb__type_bytes(qb__type type);

/*
 * Whether the processor, as far as oneDNN is allowed to use it, multiplies these natively: bfloat16
 * numbers, and bytes without sums that saturate 16 bits.
 */
bool qb__has_bf16(void);
bool qb__has_vnni(void);
/* Whether oneDNN is allowed to use these. */
bool qb__has_avx512(void);
bool qb__has_avx2(void);

/* "oneDNN 2.6.3"; static. */
const char *qb__onednn_version(void);

qb_status qb__onednn_start(struct dnnl_engine **engine);
void qb__onednn_stop(struct dnnl_engine *engine);
qb_status qb__stream_new(struct dnnl_engine *engine, struct dnnl_stream **stream);
void qb__stream_free(struct dnnl_stream *stream);

/* Row-major. */
qb_status qb__layout_plain(const qb_context *context, const qb__dims *dims, qb__layout **layout);
qb_status qb__layout_copy(const qb_context *context, const qb__layout *layout, qb__layout **copy);
void qb__layout_free(const qb_context *context, qb__layout *layout);
/*
 * The part of a tensor that begins at `offsets`; fails with QB_ERROR_UNSUPPORTED where it cuts
 * through blocks.
 */
qb_status qb__layout_part(const qb_context *context, const qb__layout *whole, const qb__dims *dims,
                          const int64_t *offsets, qb__layout **part);
/* The same bytes with dimension i being dimension order[i] of `layout`. */
qb_status qb__layout_permuted(const qb_context *context, const qb__layout *layout, int count,
                              const uint32_t *order, qb__layout **permuted);
/* Other dimensions in the order and blocks of a layout; row-major where that is not a known one. */
qb_status qb__layout_like(const qb_context *context, const qb__layout *model,
                          const qb__dims *model_dims, const qb__dims *dims, qb__layout **layout);
bool qb__layout_equal(const qb__layout *a, const qb__layout *b);
qb__type qb__layout_type(const qb__layout *layout);
size_t qb__layout_bytes(const qb__layout *layout);

/* Where a layout keeps the element at a position: see qb__blocked_offset(). */
typedef struct qb__blocking {
  int count;
  int64_t first;                    /* element of the memory that the layout begins at */
  int64_t strides[QB__ONEDNN_DIMS]; /* of whole blocks, in elements */
  int inner_count;
  int64_t inner_blocks[QB__ONEDNN_DIMS], inner_dims[QB__ONEDNN_DIMS]; /* outermost first */
  bool padded;                                                        /* larger than its dims */
} qb__blocking;

/* False for a layout that only oneDNN understands. */
bool qb__layout_blocking(const qb__layout *layout, qb__blocking *blocking);
size_t qb__blocked_offset(const qb__blocking *blocking, const int64_t *position);
/* Rounds dimensions up to whole blocks. */
void qb__blocking_room(const qb__blocking *blocking, qb__dims *dims);

/* A memory over bytes of the caller's; NULL data may be given and set later. */
qb_status qb__memory_new(struct dnnl_engine *engine, const qb__layout *layout, void *data,
                         struct dnnl_memory **memory);
qb_status qb__memory_set(struct dnnl_memory *memory, void *data);
/* Its bytes; NULL of a memory that is NULL. */
void *qb__memory_data(const struct dnnl_memory *memory);
/* Channels, the second dimension, behind all others. */
qb_status qb__layout_channels_last(const qb_context *context, const qb__dims *dims,
                                   qb__layout **layout);
/* Channels in blocks of 16 or 8. */
qb_status qb__layout_channel_blocks(const qb_context *context, const qb__dims *dims, int64_t block,
                                    qb__layout **layout);
void qb__memory_free(struct dnnl_memory *memory);

/* The arguments of a primitive, in the order of qb__execute()'s array. */
typedef enum qb__argument {
  QB__ARG_SOURCE,
  QB__ARG_ADDEND, /* second input of a sum; a fused one lies in the destination beforehand */
  QB__ARG_WEIGHTS,
  QB__ARG_BIAS,
  QB__ARG_FACTORS, /* of a layer on integers, where qb__factors_are_arguments() */
  QB__ARG_DESTINATION,
  QB__ARG_SCRATCHPAD,
  QB__ARG_COUNT
} qb__argument;

/*
 * What to make a primitive for. A layout that is NULL is left to oneDNN's choice. `op` tells the
 * kind, the window, and what is fused behind it.
 */
typedef struct qb__primitive_spec {
  const qb__operator *op;
  const qb__findings *findings; /* what it passes over is not used; NULL: nothing */
  qb__dims source_dims, weights_dims, destination_dims;
  const qb__layout *source, *addend, *weights, *destination;
  const float *factors; /* of a layer on integers: values of op->requantize.factors */
} qb__primitive_spec;

/* Whether a layer on integers adds its bias to its sums, else to these times their factors. */
bool qb__sums_take_bias(void);
/* Whether it gets its factors in every round, else when it is described. */
bool qb__factors_are_arguments(void);

/* A primitive, or a kernel of ours in its place, and what it works on. Belongs to whoever asked for it. */
typedef struct qb__primitive {
  struct qb__kernel *kernel;                  /* owned; NULL: a primitive */
  struct dnnl_primitive_desc *description;    /* NULL: there is no such primitive */
  struct dnnl_primitive *handle;              /* NULL before qb__primitive_compile() */
  qb__layout *source, *weights, *destination; /* weights NULL where there are none */
  size_t scratchpad_bytes;
  char implementation[QB__IMPLEMENTATION_CHARS]; /* oneDNN's name for it: "jit:avx2"; "": nothing */
} qb__primitive;

static inline bool qb__primitive_exists(const qb__primitive *primitive)
{
  return *primitive->implementation;
}

/*
 * What oneDNN would make; fails with QB_ERROR_UNSUPPORTED when it has nothing for these layouts.
 * The primitive keeps the number of threads the calling thread's team has.
 */
qb_status qb__primitive_describe(const qb_context *context, struct dnnl_engine *engine,
                                 const qb__primitive_spec *spec, qb__primitive *primitive);
/* Makes a primitive that was described: its code is compiled, and stays in oneDNN's cache. */
qb_status qb__primitive_compile(qb__primitive *primitive);
qb_status qb__reorder_new(struct dnnl_engine *engine, const qb__layout *from, const qb__layout *to,
                          struct dnnl_primitive **primitive, size_t *scratchpad_bytes);
void qb__primitive_free(struct dnnl_primitive *primitive);
void qb__primitive_clear(const qb_context *context, qb__primitive *primitive);

/*
 * Runs a primitive to its end on the calling thread's team. Arguments that are NULL are not passed.
 */
qb_status qb__execute(const struct dnnl_primitive *primitive, struct dnnl_stream *stream,
                      struct dnnl_memory *const arguments[QB__ARG_COUNT]);

#endif
