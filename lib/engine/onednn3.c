/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What oneDNN 3.x does in its own way: descriptors are handles, operations described in one step.
 */
#include "core/alloc.h"
#include "engine/onednn_impl.h"
#include "node/cpuid_caches.h"

#include <string.h>

qb_status qb__layout_new(const qb_context *context, const qb__dims *dims, dnnl_format_tag_t tag,
                         qb__layout **layout)
{
  qb__layout *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  const dnnl_status_t code = dnnl_memory_desc_create_with_tag(&self->md, dims->count, dims->at,
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
  const dnnl_status_t code = dnnl_memory_desc_clone(&self->md, md);
  if (code) {
    qb__free(context, self);
    return qb__onednn_error(code, "copying a tensor's description");
  }
  *layout = self;
  return QB_OK;
}

/* Takes a descriptor over, also on failure. */
static qb_status adopt(const qb_context *context, dnnl_memory_desc_t md, qb__layout **layout)
{
  qb__layout *self = qb__calloc(context, 1, sizeof *self);
  if (!self) {
    dnnl_memory_desc_destroy(md);
    return QB_ERROR_NO_MEMORY;
  }
  self->md = md;
  *layout = self;
  return QB_OK;
}

qb_status qb__layout_part(const qb_context *context, const qb__layout *whole, const qb__dims *dims,
                          const int64_t *offsets, qb__layout **part)
{
  dnnl_memory_desc_t md = NULL;
  const dnnl_status_t code = dnnl_memory_desc_create_submemory(&md, whole->md, dims->at, offsets);
  return code ? qb__onednn_error(dnnl_unimplemented, "a part of a tensor")
              : adopt(context, md, part);
}

qb_status qb__layout_permuted(const qb_context *context, const qb__layout *layout, int count,
                              const uint32_t *order, qb__layout **permuted)
{
  dnnl_memory_desc_t md = NULL;
  int positions[DNNL_MAX_NDIMS];
  for (int i = 0; i < count; i++)
    positions[order[i]] = i;
  const dnnl_status_t code = dnnl_memory_desc_permute_axes(&md, layout->md, positions);
  return code ? qb__onednn_error(code, "permuting a tensor") : adopt(context, md, permuted);
}

void qb__layout_free(const qb_context *context, qb__layout *layout)
{
  if (layout)
    dnnl_memory_desc_destroy(layout->md);
  qb__free(context, layout);
}

bool qb__layout_equal(const qb__layout *a, const qb__layout *b)
{
  return dnnl_memory_desc_equal(a->md, b->md);
}

qb__type qb__layout_type(const qb__layout *layout)
{
  dnnl_data_type_t type = dnnl_f32;
  dnnl_memory_desc_query(layout->md, dnnl_query_data_type, &type);
  return qb__type_of(type);
}

size_t qb__layout_bytes(const qb__layout *layout)
{
  return dnnl_memory_desc_get_size(layout->md);
}

bool qb__layout_blocking(const qb__layout *layout, qb__blocking *blocking)
{
  qb__blocking found = {.count = 0};
  dnnl_format_kind_t kind;
  dnnl_dims_t *dims, *padded_dims, *strides, *blocks, *indices;
  if (dnnl_memory_desc_query(layout->md, dnnl_query_format_kind, &kind) || kind != dnnl_blocked ||
      dnnl_memory_desc_query(layout->md, dnnl_query_ndims_s32, &found.count) ||
      dnnl_memory_desc_query(layout->md, dnnl_query_dims, &dims) ||
      dnnl_memory_desc_query(layout->md, dnnl_query_padded_dims, &padded_dims) ||
      dnnl_memory_desc_query(layout->md, dnnl_query_strides, &strides) ||
      dnnl_memory_desc_query(layout->md, dnnl_query_submemory_offset_s64, &found.first) ||
      dnnl_memory_desc_query(layout->md, dnnl_query_inner_nblks_s32, &found.inner_count) ||
      dnnl_memory_desc_query(layout->md, dnnl_query_inner_blks, &blocks) ||
      dnnl_memory_desc_query(layout->md, dnnl_query_inner_idxs, &indices))
    return false;
  for (int i = 0; i < found.count; i++) {
    found.strides[i] = (*strides)[i];
    found.padded |= (*padded_dims)[i] != (*dims)[i];
  }
  for (int i = 0; i < found.inner_count; i++) {
    found.inner_blocks[i] = (*blocks)[i];
    found.inner_dims[i] = (*indices)[i];
  }
  *blocking = found;
  return true;
}

bool qb__sums_take_bias(void)
{
  return false;
}

bool qb__factors_are_arguments(void)
{
  return true;
}

dnnl_status_t qb__set_factors(dnnl_primitive_attr_t attributes, const qb__primitive_spec *spec)
{
  const bool grouped = spec->weights_dims.count > spec->destination_dims.count;
  return dnnl_primitive_attr_set_scales_mask(attributes, DNNL_ARG_WEIGHTS, grouped ? 3 : 1);
}

dnnl_status_t qb__append_sum(dnnl_post_ops_t post_ops, float factor)
{
  return dnnl_post_ops_append_sum(post_ops, factor, 0, dnnl_data_type_undef);
}

dnnl_status_t qb__append_eltwise(dnnl_post_ops_t post_ops, const qb__eltwise *eltwise)
{
  return dnnl_post_ops_append_eltwise(post_ops, eltwise->kind, eltwise->alpha, eltwise->beta);
}

static dnnl_status_t describe(dnnl_engine_t engine, const qb__primitive_spec *spec,
                              const qb__layouts *l, const_dnnl_primitive_attr_t attributes,
                              dnnl_primitive_desc_t *result)
{
  const qb__operator *op = spec->op;
  qb__onednn_window w;
  qb__onednn_window_of(&op->window, &w);
  const_dnnl_memory_desc_t bias = l->bias ? l->bias->md : NULL;
  switch (op->kind) {
  case QB__OP_CONVOLUTION:
    return dnnl_convolution_forward_primitive_desc_create(
        result, engine, dnnl_forward_inference, dnnl_convolution_direct, l->source->md,
        l->weights->md, bias, l->destination->md, w.strides, w.dilations, w.pad_before, w.pad_after,
        attributes);
  case QB__OP_DECONVOLUTION:
    return dnnl_deconvolution_forward_primitive_desc_create(
        result, engine, dnnl_forward_inference, dnnl_deconvolution_direct, l->source->md,
        l->weights->md, bias, l->destination->md, w.strides, w.dilations, w.pad_before, w.pad_after,
        attributes);
  case QB__OP_DENSE:
  case QB__OP_LINEAR:
    return dnnl_inner_product_forward_primitive_desc_create(result, engine, dnnl_forward_inference,
                                                            l->source->md, l->weights->md, bias,
                                                            l->destination->md, attributes);
  case QB__OP_MAX_POOL:
  case QB__OP_AVERAGE_POOL:
    return dnnl_pooling_forward_primitive_desc_create(
        result, engine, dnnl_forward_inference, qb__pool_of(op), l->source->md, l->destination->md,
        w.strides, w.kernel, w.dilations, w.pad_before, w.pad_after, attributes);
  case QB__OP_LRN:
    return dnnl_lrn_forward_primitive_desc_create(
        result, engine, dnnl_forward_inference, dnnl_lrn_across_channels, l->source->md,
        l->destination->md, op->lrn_size, op->lrn_alpha, op->lrn_beta, op->lrn_k, attributes);
  case QB__OP_SOFTMAX:
    return dnnl_softmax_forward_primitive_desc_create(
        result, engine, dnnl_forward_inference,
        op->logarithm ? dnnl_softmax_log : dnnl_softmax_accurate, l->source->md, l->destination->md,
        (int)op->axis + 1, attributes);
  case QB__OP_ACTIVATION: {
    const qb__eltwise e = qb__eltwise_of(op);
    return dnnl_eltwise_forward_primitive_desc_create(result, engine, dnnl_forward_inference,
                                                      e.kind, l->source->md, l->destination->md,
                                                      e.alpha, e.beta, attributes);
  }
  case QB__OP_ADD:
  case QB__OP_SUBTRACT:
  case QB__OP_MULTIPLY:
  case QB__OP_DIVIDE:
    return dnnl_binary_primitive_desc_create(result, engine, qb__binary_of(op->kind), l->source->md,
                                             l->addend->md, l->destination->md, attributes);
  case QB__OP_MATMUL:
    return dnnl_matmul_primitive_desc_create(result, engine, l->source->md, l->weights->md, NULL,
                                             l->destination->md, attributes);
  case QB__OP_RESIZE:
    return dnnl_resampling_forward_primitive_desc_create(
        result, engine, dnnl_forward_inference,
        op->linear ? dnnl_resampling_linear : dnnl_resampling_nearest, NULL, l->source->md,
        l->destination->md, attributes);
  default: break; /* none of oneDNN's */
  }
  return dnnl_unimplemented;
}

/*
 * Whether oneDNN finds a first-level cache with room for the inputs of one output of 1024 channels. It
 * reads AMD's leaf on AMD's processors, even where a virtual machine leaves that empty, and otherwise
 * guesses what it does not find.
 */
static bool finds_first_cache(void)
{
  enum { LEAST_BYTES = 4096 };
#if defined(__x86_64__)
  const qb__cache_sizes told = qb__cpuid_caches_of(__builtin_cpu_is("amd") ? QB__AMD : QB__INTEL);
  return told.bytes[1] && told.bytes[1] / told.threads[1] >= LEAST_BYTES;
#else
  return true;
#endif
}

/*
 * Whether oneDNN, 3.7.2 at least, divides by zero (SIGFPE) when asked for this convolution: where
 * it looks for the best blocks of a 1x1 window on channels last, it has a rule of its own for these
 * numbers of channels (est_eff_1x1()), which divides by the blocks of rows that fit into the cache
 * it found: none if that is empty. A deconvolution is one backwards.
 */
static bool divides_by_zero(const qb__primitive_spec *spec)
{
  static const int64_t channels[][2] = {
      {256, 1024}, {512, 1024}, {512, 2048}, {1024, 512}, {1024, 2048}};
  const qb__dims *weights = &spec->weights_dims;
  const bool backwards = spec->op->kind == QB__OP_DECONVOLUTION;
  if (spec->op->kind != QB__OP_CONVOLUTION && !backwards)
    return false;
  const int first = weights->count - spec->source_dims.count; /* 1 behind groups */
  for (int i = first + 2; i < weights->count; i++)
    if (weights->at[i] != 1)
      return false;
  for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
    if (weights->at[first + 1] == channels[i][backwards] &&
        weights->at[first] == channels[i][!backwards])
      return !finds_first_cache();
  return false;
}

/* Goes on to the next implementation that is not unwanted. */
static dnnl_status_t pass_over(const qb__primitive_spec *spec, dnnl_primitive_desc_t *description)
{
  while (qb__is_unwanted(spec, *description)) {
    const dnnl_status_t code = dnnl_primitive_desc_next_impl(*description);
    if (!code)
      continue;
    dnnl_primitive_desc_destroy(*description);
    *description = NULL;
    return code == dnnl_last_impl_reached ? dnnl_unimplemented : code;
  }
  return dnnl_success;
}

dnnl_status_t qb__describe(dnnl_engine_t engine, const qb__primitive_spec *spec,
                           const qb__layouts *l, const_dnnl_primitive_attr_t attributes,
                           dnnl_primitive_desc_t *result)
{
  if (!divides_by_zero(spec)) {
    const dnnl_status_t code = describe(engine, spec, l, attributes, result);
    return code ? code : pass_over(spec, result);
  }
  const qb__dims *dims = &spec->source_dims;
  const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
  const bool wide = (isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core;
  qb__layout blocked;
  dnnl_status_t code = dnnl_memory_desc_create_with_tag(
      &blocked.md, dims->count, dims->at, qb__data_type_of(dims->type),
      qb__channel_order_tag(dims->count, wide ? QB__CHANNEL_BLOCKS_16 : QB__CHANNEL_BLOCKS_8));
  if (code)
    return code;
  qb__layouts in_blocks = *l;
  in_blocks.source = &blocked;
  code = spec->source && !qb__layout_equal(spec->source, &blocked)
             ? dnnl_unimplemented
             : describe(engine, spec, &in_blocks, attributes, result);
  dnnl_memory_desc_destroy(blocked.md);
  return code ? code : pass_over(spec, result);
}
