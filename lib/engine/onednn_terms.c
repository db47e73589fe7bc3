/* SPDX-License-Identifier: Apache-2.0 */
/* Operators, windows, orders of elements and failures in oneDNN's terms, whichever its major. */
#include "core/error.h"
#include "engine/onednn_impl.h"

#include <string.h>

qb_status qb__onednn_error(dnnl_status_t status, const char *doing)
{
  switch (status) {
  case dnnl_success: return QB_OK;
  case dnnl_out_of_memory:
    return qb__fail(QB_ERROR_NO_MEMORY, "oneDNN ran out of memory for %s; use a smaller batch",
                    doing);
  case dnnl_unimplemented:
    return qb__fail(QB_ERROR_UNSUPPORTED, "oneDNN does not support %s", doing);
  default: return qb__fail(QB_ERROR_ENGINE, "oneDNN failed with status %d: %s", (int)status, doing);
  }
}

bool qb__is_unwanted(const qb__primitive_spec *spec, const_dnnl_primitive_desc_t description)
{
  const char *name = "";
  return spec->findings && spec->findings->count &&
         !dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, (void *)&name) &&
         qb__is_passed_over(spec->findings, spec->op->origin, name);
}

static const struct {
  dnnl_data_type_t type;
  size_t bytes;
} types[] = {[QB__TYPE_F32] = {dnnl_f32, 4},
             [QB__TYPE_BF16] = {dnnl_bf16, 2},
             [QB__TYPE_U8] = {dnnl_u8, 1},
             [QB__TYPE_S8] = {dnnl_s8, 1}};

dnnl_data_type_t qb__data_type_of(qb__type type)
{
  return types[type].type;
}

qb__type qb__type_of(dnnl_data_type_t type)
{
  qb__type result = QB__TYPE_S8;
  while (result > QB__TYPE_F32 && types[result].type != type)
    result--;
  return result;
}

size_t qb__type_bytes(qb__type type)
{
  return types[type].bytes;
}

dnnl_format_tag_t qb__plain_tag(int count)
{
  static const dnnl_format_tag_t tags[QB_MAX_DIMS + 2] = {
      dnnl_format_tag_undef, dnnl_a,       dnnl_ab,      dnnl_abc, dnnl_abcd, dnnl_abcde,
      dnnl_abcdef,           dnnl_abcdefg, dnnl_abcdefgh};
  return count <= QB_MAX_DIMS + 1 ? tags[count] : dnnl_format_tag_undef;
}

dnnl_format_tag_t qb__channel_order_tag(int count, qb__channel_order order)
{
  /* By the number of dimensions, from 3. */
  static const dnnl_format_tag_t tags[][QB__CHANNEL_ORDER_COUNT] = {
      {dnnl_nCw16c, dnnl_nCw8c, dnnl_nCw4c, dnnl_nwc},
      {dnnl_nChw16c, dnnl_nChw8c, dnnl_nChw4c, dnnl_nhwc},
      {dnnl_nCdhw16c, dnnl_nCdhw8c, dnnl_nCdhw4c, dnnl_ndhwc}};
  return count < 3 || count > 5 ? dnnl_format_tag_undef : tags[count - 3][order];
}

void qb__onednn_window_of(const qb__window *window, qb__onednn_window *result)
{
  memset(result, 0, sizeof *result);
  for (int i = 0; i < QB__MOST_SPATIAL; i++) {
    result->kernel[i] = window->kernel[i];
    result->strides[i] = window->strides[i];
    /* 3.7.2 may crash where a window of one element is declared dilated. */
    result->dilations[i] = window->kernel[i] > 1 ? window->dilations[i] - 1 : 0;
    result->pad_before[i] = window->pad_before[i];
    result->pad_after[i] = window->pad_after[i];
  }
}

qb__eltwise qb__eltwise_of(const qb__operator *op)
{
  switch (op->activation) {
  case QB__ACTIVATION_RELU: return (qb__eltwise){dnnl_eltwise_relu, op->alpha, 0};
  case QB__ACTIVATION_CLIP: return (qb__eltwise){dnnl_eltwise_clip, op->alpha, op->beta};
  case QB__ACTIVATION_SIGMOID: return (qb__eltwise){dnnl_eltwise_logistic, 0, 0};
  case QB__ACTIVATION_TANH: return (qb__eltwise){dnnl_eltwise_tanh, 0, 0};
  /* 3.x asks for the slope and the offset, 2.x ignores them. */
  case QB__ACTIVATION_HARD_SWISH: return (qb__eltwise){dnnl_eltwise_hardswish, 1.0f / 6, 0.5f};
  case QB__ACTIVATION_POWER: return (qb__eltwise){dnnl_eltwise_pow, op->alpha, op->beta};
  case QB__ACTIVATION_LINEAR: return (qb__eltwise){dnnl_eltwise_linear, op->alpha, op->beta};
  case QB__ACTIVATION_ELU: return (qb__eltwise){dnnl_eltwise_elu, op->alpha, 0};
  case QB__ACTIVATION_GELU_ERF: return (qb__eltwise){dnnl_eltwise_gelu_erf, 0, 0};
  case QB__ACTIVATION_GELU_TANH: return (qb__eltwise){dnnl_eltwise_gelu_tanh, 0, 0};
  case QB__ACTIVATION_SWISH: return (qb__eltwise){dnnl_eltwise_swish, op->alpha, 0};
  /* 3.x asks for a slope, 2.x ignores it. */
  case QB__ACTIVATION_SOFTPLUS: return (qb__eltwise){dnnl_eltwise_soft_relu, 1, 0};
  case QB__ACTIVATION_MISH: return (qb__eltwise){dnnl_eltwise_mish, 0, 0};
  default: return (qb__eltwise){dnnl_alg_kind_undef, 0, 0};
  }
}

dnnl_alg_kind_t qb__binary_of(qb__op_kind kind)
{
  return kind == QB__OP_ADD        ? dnnl_binary_add
         : kind == QB__OP_SUBTRACT ? dnnl_binary_sub
         : kind == QB__OP_MULTIPLY ? dnnl_binary_mul
                                   : dnnl_binary_div;
}

dnnl_alg_kind_t qb__pool_of(const qb__operator *op)
{
  return op->kind == QB__OP_MAX_POOL ? dnnl_pooling_max
         : op->include_padding       ? dnnl_pooling_avg_include_padding
                                     : dnnl_pooling_avg_exclude_padding;
}
