/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lowering.h"

#include "core/error.h"
#include "model/pass_integers.h"

static bool is_quantized(const qb__graph *graph)
{
  for (size_t i = 0; i < graph->operator_count; i++) {
    const qb__operator *op = &graph->operators[i];
    if (op->kind == QB__OP_QUANTIZE || op->kind == QB__OP_DEQUANTIZE || op->integer_limit != 0)
      return true;
  }
  return false;
}

static qb_status lower_to_int8(qb__graph *lowered, struct dnnl_engine *engine)
{
  qb__lower_bytes(lowered);
  qb__lower_layers(lowered, engine);
  return lowered->status;
}

static qb_status check(const qb__graph *graph, qb_precision precision)
{
  if (precision == QB_PRECISION_INT8 && !is_quantized(graph))
    return qb__fail(QB_ERROR_UNSUPPORTED,
                    "the network has no quantized layers, which int8 needs; use an ONNX file with "
                    "QuantizeLinear and DequantizeLinear, or QB_PRECISION_F32");
  if (precision == QB_PRECISION_BF16 && is_quantized(graph))
    return qb__fail(QB_ERROR_UNSUPPORTED,
                    "the network has quantized layers, whose integers bf16 cannot hold; use "
                    "QB_PRECISION_INT8 or QB_PRECISION_F32");
  if (precision == QB_PRECISION_BF16 && !qb__has_bf16())
    return qb__fail(QB_ERROR_UNSUPPORTED,
                    "this processor does not multiply bf16 (avx512_bf16, amx), and emulating it is "
                    "slower than f32; use QB_PRECISION_F32");
  return QB_OK;
}

qb_status qb__lower(const qb__graph *graph, qb_precision precision, struct dnnl_engine *engine,
                    qb__graph *lowered)
{
  qb_status status = check(graph, precision);
  if (!status)
    status = qb__graph_copy(graph, lowered);
  if (!status && precision == QB_PRECISION_INT8)
    status = lower_to_int8(lowered, engine);
  if (!status && precision == QB_PRECISION_BF16)
    qb__lower_bf16(lowered, engine);
  if (!status && !lowered->status)
    qb__split_integers(lowered); /* that are still in floats */
  return status ? status : lowered->status;
}
