/* SPDX-License-Identifier: Apache-2.0 */
#include "model/graph_rebuild.h"

#include "core/alloc.h"
#include "core/error.h"
#include "model/graph_impl.h"

#include <string.h>

void qb__rebuild_begin(qb__rebuild *r, const qb__graph *from, qb__graph *to)
{
  r->from = from;
  r->to = to;
  qb__graph_init(to, from->context);
  r->map = qb__calloc(from->context, from->tensor_count, sizeof *r->map);
  if (!r->map) {
    to->status = QB_ERROR_NO_MEMORY;
    return;
  }
  for (size_t i = 0; i < from->tensor_count; i++)
    r->map[i] = QB__NONE;
  for (size_t i = 0; i < from->input_count; i++) {
    const qb__tensor *t = &from->tensors[from->inputs[i]];
    r->map[from->inputs[i]] = qb__graph_input(to, t->name, t->rank, t->dims);
  }
}

void qb__rebuild_end(qb__rebuild *r)
{
  qb__free(r->from->context, r->map);
}

int32_t qb__rebuild_tensor(qb__rebuild *r, int32_t tensor)
{
  if (tensor == QB__NONE || r->to->status || r->map[tensor] != QB__NONE)
    return tensor == QB__NONE || r->to->status ? QB__NONE : r->map[tensor];
  const qb__tensor *t = &r->from->tensors[tensor];
  const int32_t copy = qb__graph_constant(r->to, t->name, t->rank, t->dims);
  if (copy != QB__NONE)
    memcpy(r->to->tensors[copy].constant, t->constant, t->elements * sizeof *t->constant);
  return r->map[tensor] = copy;
}

int32_t qb__rebuild_operator(qb__rebuild *r, const qb__operator *op)
{
  qb__graph *to = r->to;
  if (to->status)
    return QB__NONE;
  const qb__tensor *out = &r->from->tensors[op->output];
  qb__operator copy = *op;
  copy.name = NULL;
  copy.input = qb__rebuild_tensor(r, op->input);
  copy.weights = qb__rebuild_tensor(r, op->weights);
  copy.bias = qb__rebuild_tensor(r, op->bias);
  copy.mean = qb__rebuild_tensor(r, op->mean);
  copy.variance = qb__rebuild_tensor(r, op->variance);
  copy.addend = qb__rebuild_tensor(r, op->addend);
  if (!qb__operator_own(r->from, &copy))
    to->status = QB_ERROR_NO_MEMORY;
  for (size_t i = 0; copy.rest && i < op->rest_count; i++)
    copy.rest[i] = qb__rebuild_tensor(r, op->rest[i]);
  const int32_t output = qb__graph_append(to, op->name, copy, out->rank, out->dims);
  if (output == QB__NONE)
    return QB__NONE;
  qb__graph_rename(to, output, out->name);
  return r->map[op->output] = output;
}
