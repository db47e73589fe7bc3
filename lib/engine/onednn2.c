/* SPDX-License-Identifier: Apache-2.0 */
/* What oneDNN 2.x does in its own way: descriptors by value, operations described in two steps. */
#include "core/alloc.h"
#include "engine/onednn_impl.h"

#include <string.h>

qb_status qb__layout_new(const qb_context *context, const qb__dims *dims, dnnl_format_tag_t tag,
                         qb__layout **layout)
{
  qb__layout *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  const dnnl_status_t code = dnnl_memory_desc_init_by_tag(&self->md, dims->count, dims->at,
                                                          qb__data_type_of(dims->type), tag);
  if (code) {
    qb__free(context, self);
    return qb__onednn_error(code, "describing a tensor");
  }
  *layout = self;
  return QB_OK;
}

qb_status qb__layout_of(const qb_context *context, qb__const_md md, qb__layout **layout)
{
  qb__layout *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->md = *md;
  *layout = self;
  return QB_OK;
}

qb_status qb__layout_part(const qb_context *context, const qb__layout *whole, const qb__dims *dims,
                          const int64_t *offsets, qb__layout **part)
{
  dnnl_memory_desc_t md;
  const dnnl_status_t code = dnnl_memory_desc_init_submemory(&md, &whole->md, dims->at, offsets);
  return code ? qb__onednn_error(dnnl_unimplemented, "a part of a tensor")
              : qb__layout_of(context, &md, part);
}

qb_status qb__layout_permuted(const qb_context *context, const qb__layout *layout, int count,
                              const uint32_t *order, qb__layout **permuted)
{
  dnnl_memory_desc_t md;
  int positions[DNNL_MAX_NDIMS];
  for (int i = 0; i < count; i++)
    positions[order[i]] = i;
  const dnnl_status_t code = dnnl_memory_desc_permute_axes(&md, &layout->md, positions);
  return code ? qb__onednn_error(code, "permuting a tensor")
              : qb__layout_of(context, &md, permuted);
}

void qb__layout_free(const qb_context *context, qb__layout *layout)
{
  qb__free(context, layout);
}

bool qb__layout_equal(const qb__layout *a, const qb__layout *b)
{
  return dnnl_memory_desc_equal(&a->md, &b->md);
}

qb__type qb__layout_type(const qb__layout *layout)
{
  return qb__type_of(layout->md.data_type);
}

size_t qb__layout_bytes(const qb__layout *layout)
{
  return dnnl_memory_desc_get_size(&layout->md);
}

bool qb__layout_blocking(const qb__layout *layout, qb__blocking *blocking)
{
  const dnnl_memory_desc_t *md = &layout->md;
  const dnnl_blocking_desc_t *from = &md->format_desc.blocking;
  if (md->format_kind != dnnl_blocked || md->extra.flags)
    return false;
  memset(blocking, 0, sizeof *blocking);
  blocking->count = md->ndims;
  blocking->first = md->offset0;
  blocking->inner_count = from->inner_nblks;
  for (int i = 0; i < md->ndims; i++) {
    blocking->strides[i] = from->strides[i];
    blocking->padded |= md->padded_dims[i] != md->dims[i];
  }
  for (int i = 0; i < from->inner_nblks; i++) {
    blocking->inner_blocks[i] = from->inner_blks[i];
    blocking->inner_dims[i] = from->inner_idxs[i];
  }
  return true;
}

bool qb__sums_take_bias(void)
{
  return true;
}

bool qb__factors_are_arguments(void)
{
  return false;
}

dnnl_status_t qb__set_factors(dnnl_primitive_attr_t attributes, const qb__primitive_spec *spec)
{
  return dnnl_primitive_attr_set_output_scales(attributes, spec->destination_dims.at[1], 1 << 1,
                                               spec->factors);
}

dnnl_status_t qb__append_sum(dnnl_post_ops_t post_ops, float factor)
{
  return dnnl_post_ops_append_sum(post_ops, factor);
}

dnnl_status_t qb__append_eltwise(dnnl_post_ops_t post_ops, const qb__eltwise *eltwise)
{
  return dnnl_post_ops_append_eltwise(post_ops, 1.0f, eltwise->kind, eltwise->alpha, eltwise->beta);
}

/* The first implementation that is not unwanted. */
static dnnl_status_t choose(dnnl_engine_t engine, const qb__primitive_spec *spec,
                            const_dnnl_op_desc_t operation, const_dnnl_primitive_attr_t attributes,
                            dnnl_primitive_desc_t *result)
{
  dnnl_primitive_desc_iterator_t each = NULL;
  dnnl_status_t code =
      dnnl_primitive_desc_iterator_create(&each, operation, attributes, engine, NULL);
  if (code)
    return code;
  *result = dnnl_primitive_desc_iterator_fetch(each);
  while (!code && *result && qb__is_unwanted(spec, *result)) {
    dnnl_primitive_desc_destroy(*result);
    *result = NULL;
    code = dnnl_primitive_desc_iterator_next(each);
    if (!code)
      *result = dnnl_primitive_desc_iterator_fetch(each);
  }
  dnnl_primitive_desc_iterator_destroy(each);
  return *result ? dnnl_success : code == dnnl_iterator_ends ? dnnl_unimplemented : code;
}

dnnl_status_t qb__describe(dnnl_engine_t engine, const qb__primitive_spec *spec,
                           const qb__layouts *l, const_dnnl_primitive_attr_t attributes,
                           dnnl_primitive_desc_t *result)
{
  const qb__operator *op = spec->op;
  qb__onednn_window w;
  qb__onednn_window_of(&op->window, &w);
  const dnnl_memory_desc_t *bias = l->bias ? &l->bias->md : NULL;
  union {
    dnnl_convolution_desc_t convolution;
    dnnl_deconvolution_desc_t deconvolution;
    dnnl_inner_product_desc_t dense;
    dnnl_pooling_v2_desc_t pool;
    dnnl_lrn_desc_t lrn;
    dnnl_softmax_v2_desc_t softmax;
    dnnl_eltwise_desc_t activation;
    dnnl_binary_desc_t binary;
    dnnl_matmul_desc_t matmul;
    dnnl_resampling_desc_t resize;
  } d;
  dnnl_status_t code = dnnl_unimplemented;
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
    code = dnnl_dilated_convolution_forward_desc_init(
        &d.convolution, dnnl_forward_inference, dnnl_convolution_direct, &l->source->md,
        &l->weights->md, bias, &l->destination->md, w.strides, w.dilations, w.pad_before,
        w.pad_after);
    break;
  case QB__OP_DECONVOLUTION:
    code = dnnl_dilated_deconvolution_forward_desc_init(
        &d.deconvolution, dnnl_forward_inference, dnnl_deconvolution_direct, &l->source->md,
        &l->weights->md, bias, &l->destination->md, w.strides, w.dilations, w.pad_before,
        w.pad_after);
    break;
  case QB__OP_DENSE:
  case QB__OP_LINEAR:
    code = dnnl_inner_product_forward_desc_init(&d.dense, dnnl_forward_inference, &l->source->md,
                                                &l->weights->md, bias, &l->destination->md);
    break;
  case QB__OP_MAX_POOL:
  case QB__OP_AVERAGE_POOL:
    code = dnnl_pooling_v2_forward_desc_init(&d.pool, dnnl_forward_inference, qb__pool_of(op),
                                             &l->source->md, &l->destination->md, w.strides,
                                             w.kernel, w.dilations, w.pad_before, w.pad_after);
    break;
  case QB__OP_LRN:
    code = dnnl_lrn_forward_desc_init(&d.lrn, dnnl_forward_inference, dnnl_lrn_across_channels,
                                      &l->source->md, op->lrn_size, op->lrn_alpha, op->lrn_beta,
                                      op->lrn_k);
    break;
  case QB__OP_SOFTMAX:
    code =
        dnnl_softmax_v2_forward_desc_init(&d.softmax, dnnl_forward_inference,
                                          op->logarithm ? dnnl_softmax_log : dnnl_softmax_accurate,
                                          &l->source->md, &l->destination->md, (int)op->axis + 1);
    break;
  case QB__OP_ACTIVATION: {
    const qb__eltwise e = qb__eltwise_of(op);
    code = dnnl_eltwise_forward_desc_init(&d.activation, dnnl_forward_inference, e.kind,
                                          &l->source->md, e.alpha, e.beta);
    break;
  }
  case QB__OP_ADD:
  case QB__OP_SUBTRACT:
  case QB__OP_MULTIPLY:
  case QB__OP_DIVIDE:
    code = dnnl_binary_desc_init(&d.binary, qb__binary_of(op->kind), &l->source->md, &l->addend->md,
                                 &l->destination->md);
    break;
  case QB__OP_MATMUL:
    code = dnnl_matmul_desc_init(&d.matmul, &l->source->md, &l->weights->md, NULL,
                                 &l->destination->md);
    break;
  case QB__OP_RESIZE:
    code = dnnl_resampling_forward_desc_init(&d.resize, dnnl_forward_inference,
                                             op->linear ? dnnl_resampling_linear
                                                        : dnnl_resampling_nearest,
                                             NULL, &l->source->md, &l->destination->md);
    break;
  default: break; /* none of oneDNN's */
  }
  return code ? code : choose(engine, spec, &d, attributes, result);
}
