/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize/plain_graph.h"

#include "model/graph_rebuild.h"

#include <string.h>

static bool adds_behind(const qb__operator *op)
{
  return op->addend != QB__NONE && !qb__is_binary(op->kind) && op->kind != QB__OP_MATMUL;
}

/* Tensors of the file's names keep them: here what the fused operator writes. */
static void append_apart(qb__rebuild *r, const qb__operator *op)
{
  qb__operator layer = *op;
  const int32_t addend = qb__rebuild_tensor(r, op->addend);
  layer.addend = QB__NONE;
  layer.activation = QB__ACTIVATION_NONE;
  int32_t x = qb__rebuild_operator(r, &layer);
  qb__graph_rename(r->to, x, op->name);
  x = qb__graph_add(r->to, op->name, x, addend);
  if (op->activation)
    x = qb__graph_activation(r->to, op->name, x, op->activation, op->alpha, op->beta);
  if (x != QB__NONE)
    qb__graph_rename(r->to, x, r->from->tensors[op->output].name);
  r->map[op->output] = x;
}

qb_status qb__plain_graph(const qb__graph *from, qb__graph *plain)
{
  qb__rebuild r;
  qb__rebuild_begin(&r, from, plain);
  for (size_t i = 0; i < from->operator_count && !plain->status; i++)
    if (adds_behind(&from->operators[i]))
      append_apart(&r, &from->operators[i]);
    else
      qb__rebuild_operator(&r, &from->operators[i]);
  for (size_t i = 0; i < from->output_count && !plain->status; i++)
    qb__graph_output(plain, r.map[from->outputs[i]]);
  qb__rebuild_end(&r);
  return plain->status;
}
