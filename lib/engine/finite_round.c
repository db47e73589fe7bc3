/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/finite_round.h"

#include "core/alloc.h"
#include "engine/reference_impl.h"
#include "engine/row_values.h"
#include "model/graph_edit.h"

#include <qosbatch/session.h>

#include <math.h>
#include <string.h>

/* What is known of a sample. */
enum {
  MARK_NOT_FINITE = 1,
  MARK_HIDDEN = 2 /* finite values may stand where there are none */
};

void qb__finite_begin(qb__finite_round *round, const qb__graph *graph,
                      const qb__finite_guards *guards, const qb__network_plan *plan,
                      struct dnnl_memory *const *memories)
{
  *round = (qb__finite_round){.graph = graph, .guards = guards, .plan = plan, .memories = memories};
}

static qb_status rows_of(const qb__finite_round *r, int32_t slot, qb__rows *rows)
{
  const qb__slot *s = &r->plan->slots[slot];
  return qb__rows_of(&s->dims, s->layout, qb__memory_data(r->memories[slot]), rows);
}

/* From here on every sample's own values count. What was not looked at keeps the bounds. */
static qb_status begin_to_look(qb__finite_round *r)
{
  const size_t tensors = r->graph->tensor_count, batch = r->plan->batch;
  r->largest = qb__calloc(r->graph->context, batch * tensors, sizeof *r->largest);
  r->marks = qb__calloc(r->graph->context, batch, sizeof *r->marks);
  if (!r->largest || !r->marks)
    return QB_ERROR_NO_MEMORY;
  for (size_t row = 0; row < batch; row++)
    memcpy(r->largest + row * tensors, r->guards->bounds, tensors * sizeof *r->largest);
  return QB_OK;
}

/* Infinite constants may be handed on, but not out. */
static void note_largest(qb__finite_round *r, int32_t tensor, uint32_t row, double value)
{
  const bool may_be_infinite = isinf(r->guards->bounds[tensor]) && !qb__is_output(r->graph, tensor);
  r->largest[row * r->graph->tensor_count + (size_t)tensor] = value;
  if (isnan(value) || (isinf(value) && !may_be_infinite))
    r->marks[row] |= MARK_NOT_FINITE;
}

/* Whether an operator may have met, or made, an infinity or a NaN of a sample. */
static bool is_doubtful(const qb__finite_round *r, int32_t index, uint32_t row)
{
  const qb__operator *op = &r->graph->operators[index];
  const double *largest = r->largest + row * r->graph->tensor_count;
  int32_t tensor;
  for (size_t i = 0; (tensor = qb__operator_input(op, i)) != QB__NONE; i++)
    if (!isfinite(largest[tensor]))
      return true;
  const qb__magnitude m =
      qb__operator_magnitude(r->graph, op, &r->guards->factors[index], largest, INFINITY);
  return !(m.peak <= QB__LARGEST_SUM);
}

/* Computes one sample of an operator with one input as the standard says. */
static qb_status compute_again(const qb__finite_round *r, const qb__watch *w, uint32_t row)
{
  const qb_context *context = r->graph->context;
  const qb__operator *op = &r->graph->operators[w->op];
  const qb__step *step = &r->plan->steps[w->before - 1]; /* changes of layout come before it */
  qb__rows from, to;
  qb_status status = rows_of(r, step->slots[QB__ARG_SOURCE], &from);
  if (!status)
    status = rows_of(r, w->slot, &to);
  if (status)
    return status;
  float *x = qb__calloc(context, r->graph->tensors[op->input].elements, sizeof *x);
  float *y = qb__calloc(context, r->graph->tensors[op->output].elements, sizeof *y);
  status = x && y ? QB_OK : QB_ERROR_NO_MEMORY;
  if (!status) {
    const float *values[] = {x};
    const qb__reference_inputs in = {1, values};
    qb__rows_get(&from, row, x);
    status = qb__reference_operator(r->graph, op, &in, y);
    qb__rows_set(&to, row, y);
  }
  qb__free(context, x);
  qb__free(context, y);
  return status;
}

/* Layers take too long for that. What an operator has overwritten it cannot read again. */
static bool can_be_computed_again(const qb__finite_round *r, const qb__watch *w)
{
  switch (r->graph->operators[w->op].kind) {
  case QB__OP_ACTIVATION:
  case QB__OP_MAX_POOL:
  case QB__OP_LRN:
  case QB__OP_LAYER_NORM:
  case QB__OP_GROUP_NORM:
  case QB__OP_SOFTMAX:
  case QB__OP_ARG: break;
  default: return false;
  }
  const int32_t *slots = r->plan->steps[w->before - 1].slots;
  return slots[QB__ARG_DESTINATION] == w->slot && slots[QB__ARG_SOURCE] != w->slot;
}

static qb_status look_at_row(qb__finite_round *r, const qb__watch *w, const qb__rows *rows,
                             uint32_t row)
{
  qb_status status = QB_OK;
  const qb__operator *op = w->op == QB__NONE ? NULL : &r->graph->operators[w->op];
  if (op && is_doubtful(r, w->op, row)) {
    if (can_be_computed_again(r, w))
      status = compute_again(r, w, row);
    else if (qb__operator_hides(op))
      r->marks[row] |= MARK_NOT_FINITE | MARK_HIDDEN;
  }
  note_largest(r, w->tensor, row, (double)qb__magnitude_of(qb__rows_largest_bits(rows, row)));
  return status;
}

/* Integers are finite: what the bounds say of them holds. */
static bool is_of_integers(const qb__finite_round *r, const qb__watch *w)
{
  const qb__type type = r->plan->slots[w->slot].dims.type;
  return type == QB__TYPE_U8 || type == QB__TYPE_S8;
}

/* What bytes are made of is gone when they are there. */
static void mark_hidden(qb__finite_round *r, const qb__watch *w)
{
  for (uint32_t row = 0; r->largest && row < r->plan->batch; row++)
    if (is_doubtful(r, w->op, row))
      r->marks[row] |= MARK_NOT_FINITE | MARK_HIDDEN;
}

static qb_status look_at(qb__finite_round *r, const qb__watch *w)
{
  const int32_t limit = r->guards->limits[w->tensor];
  if (is_of_integers(r, w)) {
    mark_hidden(r, w);
    return QB_OK;
  }
  if (!r->largest && limit == QB__NO_GUARD)
    return QB_OK;
  qb__rows rows;
  qb_status status = rows_of(r, w->slot, &rows);
  if (status || (!r->largest && !qb__rows_exceed(&rows, limit)))
    return status;
  if (!r->largest)
    status = begin_to_look(r);
  for (uint32_t row = 0; row < r->plan->batch && !status; row++)
    status = look_at_row(r, w, &rows, row);
  return status;
}

qb_status qb__finite_look(qb__finite_round *r, size_t step)
{
  qb_status status = QB_OK;
  while (!status && r->next < r->plan->watch_count && r->plan->watches[r->next].before <= step)
    status = look_at(r, &r->plan->watches[r->next++]);
  return status;
}

static void hide_nothing(const qb__finite_round *r, uint32_t row, void *const *outputs)
{
  for (size_t o = 0; o < r->graph->output_count; o++) {
    const size_t elements = r->graph->tensors[r->graph->outputs[o]].elements;
    float *values = (float *)outputs[o] + row * elements;
    for (size_t i = 0; i < elements; i++)
      values[i] = NAN;
  }
}

void qb__finite_end(qb__finite_round *r, bool done, void *const *outputs, uint32_t *flags,
                    uint32_t first)
{
  for (uint32_t row = 0; done && row < r->plan->batch; row++) {
    const uint8_t mark = r->marks ? r->marks[row] : 0;
    if (mark & MARK_HIDDEN)
      hide_nothing(r, first + row, outputs);
    if (flags)
      flags[first + row] = mark ? QB_SAMPLE_NOT_FINITE : 0;
  }
  qb__free(r->graph->context, r->largest);
  qb__free(r->graph->context, r->marks);
}
