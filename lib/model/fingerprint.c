/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fingerprint.h"

#include "core/alloc.h"

#include <string.h>

/* FNV-1a, 64 bits (Fowler, Noll and Vo), of integers in a fixed order of bytes. */
typedef struct printer {
  const qb__graph *graph;
  uint32_t *numbers; /* of tensors, in the order in which they are first met; 0: not yet */
  uint32_t met;
  uint64_t hash;
} printer;

static void add_byte(printer *p, unsigned byte)
{
  p->hash = (p->hash ^ byte) * UINT64_C(0x100000001b3);
}

static void add(printer *p, int64_t value)
{
  for (int shift = 0; shift < 64; shift += 8)
    add_byte(p, (unsigned)((uint64_t)value >> shift & 0xff));
}

/* Names outlive numbers of kinds, which move when one is added. */
static void add_text(printer *p, const char *text)
{
  for (; *text; text++)
    add_byte(p, (unsigned char)*text);
  add_byte(p, 0);
}

static void add_all(printer *p, const int64_t *values, size_t count)
{
  for (size_t i = 0; i < count; i++)
    add(p, values[i]);
}

/* By its number; when it is met first, with its shape. */
static void add_tensor(printer *p, int32_t tensor)
{
  if (tensor == QB__NONE) {
    add(p, 0);
    return;
  }
  const qb__tensor *t = &p->graph->tensors[tensor];
  const bool is_new = !p->numbers[tensor];
  if (is_new)
    p->numbers[tensor] = ++p->met;
  add(p, p->numbers[tensor]);
  if (is_new) {
    add(p, t->constant != NULL);
    add(p, t->rank);
    add_all(p, t->dims, t->rank);
  }
}

static void add_window(printer *p, const qb__window *window)
{
  add_all(p, window->kernel, QB__MOST_SPATIAL);
  add_all(p, window->strides, QB__MOST_SPATIAL);
  add_all(p, window->dilations, QB__MOST_SPATIAL);
  add_all(p, window->pad_before, QB__MOST_SPATIAL);
  add_all(p, window->pad_after, QB__MOST_SPATIAL);
}

/* Numbers that a training may move, such as a slope, are left out like weights. */
static void add_operator(printer *p, const qb__operator *op)
{
  add_text(p, qb__operator_kind_name(op));
  int32_t input;
  for (size_t i = 0; (input = qb__operator_input(op, i)) != QB__NONE; i++)
    add_tensor(p, input);
  const int32_t constants[] = {op->weights, op->bias, op->mean, op->variance};
  for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
    add_tensor(p, constants[i]);
  add_window(p, &op->window);
  add(p, op->include_padding);
  add(p, op->groups);
  add(p, op->axis);
  add(p, op->axes);
  add(p, op->linear);
  add(p, op->lrn_size);
  add(p, op->taps);
  for (size_t i = 0; i < QB_MAX_DIMS; i++) {
    add(p, op->order[i]);
    add(p, op->before[i]);
  }
  add_tensor(p, op->output);
}

qb_status qb__graph_fingerprint(const qb__graph *graph, uint64_t *fingerprint)
{
  printer p = {.graph = graph, .hash = UINT64_C(0xcbf29ce484222325)};
  p.numbers = qb__calloc(graph->context, graph->tensor_count, sizeof *p.numbers);
  if (!p.numbers)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < graph->input_count; i++)
    add_tensor(&p, graph->inputs[i]);
  for (size_t i = 0; i < graph->operator_count; i++)
    add_operator(&p, &graph->operators[i]);
  for (size_t i = 0; i < graph->output_count; i++)
    add_tensor(&p, graph->outputs[i]);
  qb__free(graph->context, p.numbers);
  *fingerprint = p.hash ? p.hash : 1;
  return QB_OK;
}
