/* SPDX-License-Identifier: Apache-2.0 */
/* Between onednn.c, onednn_terms.c and the file of the major in use. */
#ifndef QB_ENGINE_ONEDNN_IMPL_H
#define QB_ENGINE_ONEDNN_IMPL_H

#include "engine/onednn.h"

#include <oneapi/dnnl/dnnl.h>

#if DNNL_VERSION_MAJOR == 2
struct qb__layout {
  dnnl_memory_desc_t md;
};
#define QB__MD(layout) (&(layout)->md)
typedef const dnnl_memory_desc_t *qb__const_md;
enum { QB__FACTORS_ARGUMENT = 0 }; /* there is none */
#else
struct qb__layout {
  dnnl_memory_desc_t md; /* a handle, owned */
};
#define QB__MD(layout) ((layout)->md)
typedef const_dnnl_memory_desc_t qb__const_md;
enum { QB__FACTORS_ARGUMENT = DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS };
#endif

/* Sets the message for a failed call of oneDNN. */
qb_status qb__onednn_error(dnnl_status_t status, const char *doing);

_Static_assert(QB__ONEDNN_DIMS == DNNL_MAX_NDIMS, "qb__dims is passed as dnnl_dims_t");

/* Row-major order of `count` dimensions. */
dnnl_format_tag_t qb__plain_tag(int count);

/* Where an image has its channels other than before its pixels. */
typedef enum qb__channel_order {
  QB__CHANNEL_BLOCKS_16,
  QB__CHANNEL_BLOCKS_8,
  QB__CHANNEL_BLOCKS_4,
  QB__CHANNELS_LAST,
  QB__CHANNEL_ORDER_COUNT
} qb__channel_order;

/* Undefined below 3 and beyond 5 dimensions. */
dnnl_format_tag_t qb__channel_order_tag(int count, qb__channel_order order);

/* A window in oneDNN's arrays; its dilations begin at 0. */
typedef struct qb__onednn_window {
  dnnl_dims_t kernel, strides, dilations, pad_before, pad_after;
} qb__onednn_window;

void qb__onednn_window_of(const qb__window *window, qb__onednn_window *result);

/* The layout of a tag: row-major, blocks, or one that oneDNN chooses. */
qb_status qb__layout_new(const qb_context *context, const qb__dims *dims, dnnl_format_tag_t tag,
                         qb__layout **layout);

/* A copy of a descriptor that oneDNN owns. */
qb_status qb__layout_of(const qb_context *context, qb__const_md md, qb__layout **layout);

/* The layouts of a spec, all that the operator needs among them. */
typedef struct qb__layouts {
  const qb__layout *source, *addend, *weights, *bias, *destination;
} qb__layouts;

/* Whether an implementation is one that the spec passes over. */
bool qb__is_unwanted(const qb__primitive_spec *spec, const_dnnl_primitive_desc_t description);

/*
 * Makes the descriptor of the primitive on these layouts, of the first implementation that is not
 * unwanted; attributes hold what is fused.
 */
dnnl_status_t qb__describe(dnnl_engine_t engine, const qb__primitive_spec *spec,
                           const qb__layouts *layouts, const_dnnl_primitive_attr_t attributes,
                           dnnl_primitive_desc_t *result);

/* An activation as oneDNN knows it. */
typedef struct qb__eltwise {
  dnnl_alg_kind_t kind;
  float alpha, beta;
} qb__eltwise;

qb__eltwise qb__eltwise_of(const qb__operator *op);

/* oneDNN's name for a sum, difference, product or quotient. */
dnnl_alg_kind_t qb__binary_of(qb__op_kind kind);

/* oneDNN's name for a pool. */
dnnl_alg_kind_t qb__pool_of(const qb__operator *op);

dnnl_data_type_t qb__data_type_of(qb__type type);
qb__type qb__type_of(dnnl_data_type_t type);

/* Multiplies the sums of each output by a factor; weights may be in groups. */
dnnl_status_t qb__set_factors(dnnl_primitive_attr_t attributes, const qb__primitive_spec *spec);

/* Appends what is fused behind an operator. */
dnnl_status_t qb__append_sum(dnnl_post_ops_t post_ops, float factor);
dnnl_status_t qb__append_eltwise(dnnl_post_ops_t post_ops, const qb__eltwise *eltwise);

#endif
