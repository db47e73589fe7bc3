/* SPDX-License-Identifier: Apache-2.0 */
#include "core/alloc.h"
#include "core/error.h"
#include "engine/onednn_impl.h"

#include <stdio.h>
#include <string.h>

const char *qb__onednn_version(void)
{
  static _Thread_local char text[32];
  const dnnl_version_t *v = dnnl_version();
  snprintf(text, sizeof text, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
  return text;
}

qb_status qb__onednn_start(struct dnnl_engine **engine)
{
  return qb__onednn_error(dnnl_engine_create(engine, dnnl_cpu, 0), "starting its CPU engine");
}

void qb__onednn_stop(struct dnnl_engine *engine)
{
  if (engine)
    dnnl_engine_destroy(engine);
}

qb_status qb__stream_new(struct dnnl_engine *engine, struct dnnl_stream **stream)
{
  return qb__onednn_error(dnnl_stream_create(stream, engine, dnnl_stream_default_flags),
                          "making a stream");
}

void qb__stream_free(struct dnnl_stream *stream)
{
  if (stream)
    dnnl_stream_destroy(stream);
}

qb_status qb__layout_plain(const qb_context *context, const qb__dims *dims, qb__layout **layout)
{
  return qb__layout_new(context, dims, qb__plain_tag(dims->count), layout);
}

qb_status qb__layout_copy(const qb_context *context, const qb__layout *layout, qb__layout **copy)
{
  return qb__layout_of(context, QB__MD(layout), copy);
}

qb_status qb__layout_channel_blocks(const qb_context *context, const qb__dims *dims, int64_t block,
                                    qb__layout **layout)
{
  const dnnl_format_tag_t tag = qb__channel_order_tag(
      dims->count, block == 16 ? QB__CHANNEL_BLOCKS_16 : QB__CHANNEL_BLOCKS_8);
  return tag == dnnl_format_tag_undef ? QB_ERROR_UNSUPPORTED
                                      : qb__layout_new(context, dims, tag, layout);
}

qb_status qb__layout_channels_last(const qb_context *context, const qb__dims *dims,
                                   qb__layout **layout)
{
  const dnnl_format_tag_t tag = qb__channel_order_tag(dims->count, QB__CHANNELS_LAST);
  return tag == dnnl_format_tag_undef ? QB_ERROR_UNSUPPORTED
                                      : qb__layout_new(context, dims, tag, layout);
}

qb_status qb__layout_like(const qb_context *context, const qb__layout *model,
                          const qb__dims *model_dims, const qb__dims *dims, qb__layout **layout)
{
  for (qb__channel_order order = 0; order < QB__CHANNEL_ORDER_COUNT; order++) {
    const dnnl_format_tag_t tag = qb__channel_order_tag(dims->count, order);
    if (tag == dnnl_format_tag_undef)
      break;
    qb__layout *probe = NULL;
    const qb_status status = qb__layout_new(context, model_dims, tag, &probe);
    if (status)
      return status;
    const bool same = qb__layout_equal(probe, model);
    qb__layout_free(context, probe);
    if (same)
      return qb__layout_new(context, dims, tag, layout);
  }
  return qb__layout_plain(context, dims, layout);
}

qb_status qb__memory_new(struct dnnl_engine *engine, const qb__layout *layout, void *data,
                         struct dnnl_memory **memory)
{
  return qb__onednn_error(
      dnnl_memory_create(memory, QB__MD(layout), engine, data ? data : DNNL_MEMORY_NONE),
      "making a memory");
}

qb_status qb__memory_set(struct dnnl_memory *memory, void *data)
{
  return qb__onednn_error(dnnl_memory_set_data_handle(memory, data), "setting a memory's address");
}

void *qb__memory_data(const struct dnnl_memory *memory)
{
  void *data = NULL;
  if (memory)
    dnnl_memory_get_data_handle(memory, &data);
  return data;
}

void qb__memory_free(struct dnnl_memory *memory)
{
  if (memory)
    dnnl_memory_destroy(memory);
}

size_t qb__blocked_offset(const qb__blocking *blocking, const int64_t *position)
{
  int64_t outer[QB__ONEDNN_DIMS];
  int64_t offset = blocking->first, stride = 1;
  memcpy(outer, position, (size_t)blocking->count * sizeof *outer);
  for (int i = blocking->inner_count; i-- > 0;) {
    int64_t *p = &outer[blocking->inner_dims[i]];
    offset += *p % blocking->inner_blocks[i] * stride;
    *p /= blocking->inner_blocks[i];
    stride *= blocking->inner_blocks[i];
  }
  for (int d = 0; d < blocking->count; d++)
    offset += outer[d] * blocking->strides[d];
  return (size_t)offset;
}

void qb__blocking_room(const qb__blocking *blocking, qb__dims *dims)
{
  for (int d = 0; d < blocking->count; d++) {
    int64_t block = 1;
    for (int i = 0; i < blocking->inner_count; i++)
      block *= blocking->inner_dims[i] == d ? blocking->inner_blocks[i] : 1;
    dims->at[d] = (dims->at[d] + block - 1) / block * block;
  }
}

static bool has_isa(dnnl_cpu_isa_t isa)
{
  return (dnnl_get_effective_cpu_isa() & isa) == isa;
}

bool qb__has_bf16(void)
{
  return has_isa(dnnl_cpu_isa_avx512_core_bf16);
}

bool qb__has_vnni(void)
{
  return has_isa(dnnl_cpu_isa_avx512_core_vnni) || has_isa(dnnl_cpu_isa_avx2_vnni);
}

bool qb__has_avx2(void)
{
  return has_isa(dnnl_cpu_isa_avx2);
}

bool qb__has_avx512(void)
{
  return has_isa(dnnl_cpu_isa_avx512_core);
}

static dnnl_status_t append(dnnl_post_ops_t post_ops, dnnl_alg_kind_t kind, float alpha, float beta)
{
  const qb__eltwise eltwise = {kind, alpha, beta};
  return qb__append_eltwise(post_ops, &eltwise);
}

/* What a layer on integers does before its addend comes in. */
static dnnl_status_t append_rounding(dnnl_post_ops_t post_ops, const qb__requantize *r)
{
  dnnl_status_t code = append(post_ops, dnnl_eltwise_clip, r->low, r->high);
  if (!code)
    code = append(post_ops, dnnl_eltwise_round, 0, 0);
  return code ? code : append(post_ops, dnnl_eltwise_linear, r->step, r->offset);
}

static dnnl_status_t append_all(dnnl_post_ops_t post_ops, const qb__operator *op)
{
  const qb__requantize *r = &op->requantize;
  dnnl_status_t code = r->rounds ? append_rounding(post_ops, r) : dnnl_success;
  if (!code && op->addend != QB__NONE && !qb__is_binary(op->kind) && op->kind != QB__OP_MATMUL)
    code = qb__append_sum(post_ops, r->applies ? r->addend_step : 1);
  if (!code && op->activation && op->kind != QB__OP_ACTIVATION) {
    const qb__eltwise eltwise = qb__eltwise_of(op);
    code = qb__append_eltwise(post_ops, &eltwise);
  }
  if (!code && r->applies && (r->last_step != 1 || r->last_offset != 0))
    code = append(post_ops, dnnl_eltwise_linear, r->last_step, r->last_offset);
  return code;
}

/* `spec` may be NULL: nothing is fused. */
static dnnl_status_t new_attributes(const qb__primitive_spec *spec,
                                    dnnl_primitive_attr_t *attributes)
{
  dnnl_post_ops_t post_ops = NULL;
  dnnl_status_t code = dnnl_primitive_attr_create(attributes);
  if (code)
    return code;
  code = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
  if (!code)
    code = dnnl_post_ops_create(&post_ops);
  if (!code && spec)
    code = append_all(post_ops, spec->op);
  if (!code && spec && spec->factors)
    code = qb__set_factors(*attributes, spec);
  if (!code)
    code = dnnl_primitive_attr_set_post_ops(*attributes, post_ops);
  if (post_ops)
    dnnl_post_ops_destroy(post_ops);
  return code;
}

/* The layout oneDNN settled on for one of the tensors. */
static qb_status query_layout(const qb_context *context, const_dnnl_primitive_desc_t pd,
                              dnnl_query_t what, qb__layout **layout)
{
  const qb__const_md md = dnnl_primitive_desc_query_md(pd, what, 0);
  return md ? qb__layout_of(context, md, layout)
            : qb__fail(QB_ERROR_ENGINE, "oneDNN does not report the layout it chose");
}

static size_t scratchpad_bytes(const_dnnl_primitive_desc_t pd)
{
  const qb__const_md md = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
  return md ? dnnl_memory_desc_get_size(md) : 0;
}

/* Takes the description over on success. */
static qb_status finish(const qb_context *context, dnnl_primitive_desc_t pd,
                        const qb__primitive_spec *spec, qb__primitive *primitive)
{
  qb_status status = query_layout(context, pd, dnnl_query_src_md, &primitive->source);
  if (!status)
    status = query_layout(context, pd, dnnl_query_dst_md, &primitive->destination);
  if (!status && spec->op->weights != QB__NONE)
    status = query_layout(context, pd, dnnl_query_weights_md, &primitive->weights);
  if (status)
    return status;
  primitive->scratchpad_bytes = scratchpad_bytes(pd);
  const char *name = "";
  dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
  strncat(primitive->implementation, name, sizeof primitive->implementation - 1);
  primitive->description = pd;
  return QB_OK;
}

qb_status qb__primitive_describe(const qb_context *context, struct dnnl_engine *engine,
                                 const qb__primitive_spec *spec, qb__primitive *primitive)
{
  const qb__operator *op = spec->op;
  qb__layouts use = {spec->source, spec->addend, spec->weights, NULL, spec->destination};
  qb__layout *source = NULL, *weights = NULL, *bias = NULL, *destination = NULL;
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_primitive_desc_t pd = NULL;
  qb__primitive result;
  memset(&result, 0, sizeof result);
  qb_status status = QB_OK;
  if (op->activation && qb__eltwise_of(op).kind == dnnl_alg_kind_undef)
    return qb__fail(QB_ERROR_UNSUPPORTED, "oneDNN does not support this activation");
  if (!use.source) {
    status = qb__layout_new(context, &spec->source_dims, dnnl_format_tag_any, &source);
    use.source = source;
  }
  if (!status && !use.destination) {
    status = qb__layout_new(context, &spec->destination_dims, dnnl_format_tag_any, &destination);
    use.destination = destination;
  }
  if (!status && op->weights != QB__NONE && !use.weights) {
    status = qb__layout_new(context, &spec->weights_dims, dnnl_format_tag_any, &weights);
    use.weights = weights;
  }
  if (!status && op->bias != QB__NONE) {
    const qb__dims dims = {1, {spec->destination_dims.at[1]}};
    status = qb__layout_new(context, &dims, dnnl_a, &bias);
    use.bias = bias;
  }
  if (status)
    goto done;
  dnnl_status_t code = new_attributes(spec, &attributes);
  if (!code)
    code = qb__describe(engine, spec, &use, attributes, &pd);
  if (code) {
    status = qb__onednn_error(code, "an operator with these shapes and layouts");
    goto done;
  }
  status = finish(context, pd, spec, &result);
  if (status) {
    qb__primitive_clear(context, &result);
    dnnl_primitive_desc_destroy(pd);
  } else {
    *primitive = result;
  }
done:
  if (attributes)
    dnnl_primitive_attr_destroy(attributes);
  qb__layout_free(context, source);
  qb__layout_free(context, weights);
  qb__layout_free(context, bias);
  qb__layout_free(context, destination);
  return status;
}

qb_status qb__primitive_compile(qb__primitive *primitive)
{
  if (primitive->kernel)
    return QB_OK;
  return qb__onednn_error(dnnl_primitive_create(&primitive->handle, primitive->description),
                          "making a primitive");
}

qb_status qb__reorder_new(struct dnnl_engine *engine, const qb__layout *from, const qb__layout *to,
                          struct dnnl_primitive **primitive, size_t *scratchpad)
{
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_primitive_desc_t pd = NULL;
  dnnl_status_t code = new_attributes(NULL, &attributes);
  if (!code)
    code = dnnl_reorder_primitive_desc_create(&pd, QB__MD(from), engine, QB__MD(to), engine,
                                              attributes);
  if (!code) {
    *scratchpad = scratchpad_bytes(pd);
    code = dnnl_primitive_create(primitive, pd);
  }
  if (pd)
    dnnl_primitive_desc_destroy(pd);
  if (attributes)
    dnnl_primitive_attr_destroy(attributes);
  return qb__onednn_error(code, "changing a tensor's layout");
}

void qb__primitive_free(struct dnnl_primitive *primitive)
{
  if (primitive)
    dnnl_primitive_destroy(primitive);
}

void qb__primitive_clear(const qb_context *context, qb__primitive *primitive)
{
  qb__primitive_free(primitive->handle);
  if (primitive->description)
    dnnl_primitive_desc_destroy(primitive->description);
  qb__free(context, primitive->kernel);
  qb__layout_free(context, primitive->source);
  qb__layout_free(context, primitive->weights);
  qb__layout_free(context, primitive->destination);
  memset(primitive, 0, sizeof *primitive);
}

qb_status qb__execute(const struct dnnl_primitive *primitive, struct dnnl_stream *stream,
                      struct dnnl_memory *const arguments[QB__ARG_COUNT])
{
  static const int names[QB__ARG_COUNT] = {
      DNNL_ARG_SRC_0,       DNNL_ARG_SRC_1, DNNL_ARG_WEIGHTS,   DNNL_ARG_BIAS,
      QB__FACTORS_ARGUMENT, DNNL_ARG_DST,   DNNL_ARG_SCRATCHPAD};
  dnnl_exec_arg_t list[QB__ARG_COUNT];
  int count = 0;
  for (int i = 0; i < QB__ARG_COUNT; i++)
    if (arguments[i]) {
      list[count].arg = names[i];
      list[count++].memory = arguments[i];
    }
  const dnnl_status_t code = dnnl_primitive_execute(primitive, stream, count, list);
  return code ? qb__onednn_error(code, "running a primitive") : QB_OK;
}
