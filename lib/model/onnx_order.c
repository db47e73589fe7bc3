/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order nodes are imported in: a file may list them in any, and those that no output of the
 * model depends on do not count.
 */
#include "core/alloc.h"
#include "core/error.h"
#include "model/onnx_impl.h"

#include <stdio.h>
#include <string.h>

enum { UNSEEN, OPEN, DONE };

typedef struct visit {
  uint32_t node;
  size_t next; /* input */
} visit;

typedef struct sorter {
  qb__onnx *im;
  const Onnx__GraphProto *graph;
  uint8_t *states; /* by node */
  visit *path;     /* from where the search began to where it is */
  size_t depth;
  uint32_t *order;
  size_t count;
} sorter;

/* The node that writes a value; false for inputs, initializers and unknown names. */
static bool writer_of(const qb__onnx *im, const char *name, uint32_t *node)
{
  const qb__onnx_value *value = *name ? qb__onnx_find(im, name) : NULL;
  if (!value || value->writer == QB__NONE)
    return false;
  *node = (uint32_t)value->writer;
  return true;
}

/* Names the nodes on the path from `first` on. */
static void fail_cycle(sorter *s, uint32_t first)
{
  char names[256] = "";
  size_t at = s->depth, length = 0;
  while (at > 0 && s->path[at - 1].node != first)
    at--;
  for (size_t i = at ? at - 1 : 0; i < s->depth && length + 80 < sizeof names; i++)
    length += (size_t)snprintf(names + length, sizeof names - length, "%s'%.64s'",
                               length ? ", " : "", qb__onnx_label(s->graph->node[s->path[i].node]));
  s->im->status = qb__fail(QB_ERROR_FORMAT, "%s %s: the nodes form a cycle", names,
                           s->depth - at ? "read one another's outputs" : "reads its own output");
}

static void enter(sorter *s, uint32_t node)
{
  s->states[node] = OPEN;
  s->path[s->depth++] = (visit){node, 0};
}

/* Puts everything a node depends on before it. */
static void put(sorter *s, uint32_t first)
{
  if (s->states[first] == DONE)
    return;
  enter(s, first);
  while (s->depth && !s->im->status) {
    visit *v = &s->path[s->depth - 1];
    const Onnx__NodeProto *proto = s->graph->node[v->node];
    uint32_t needed;
    if (v->next == proto->n_input) {
      s->states[v->node] = DONE;
      s->order[s->count++] = v->node;
      s->depth--;
    } else if (writer_of(s->im, proto->input[v->next++], &needed)) {
      if (s->states[needed] == OPEN)
        fail_cycle(s, needed);
      else if (s->states[needed] == UNSEEN)
        enter(s, needed);
    }
  }
}

qb_status qb__onnx_sort(qb__onnx *im, const Onnx__GraphProto *graph, uint32_t **order,
                        size_t *count)
{
  sorter s = {.im = im, .graph = graph};
  uint32_t node;
  s.states = qb__calloc(im->context, graph->n_node, sizeof *s.states);
  s.path = qb__calloc(im->context, graph->n_node, sizeof *s.path);
  s.order = qb__calloc(im->context, graph->n_node, sizeof *s.order);
  if (!s.states || !s.path || !s.order)
    im->status = QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < graph->n_output && !im->status; i++)
    if (writer_of(im, graph->output[i]->name, &node))
      put(&s, node);
  /* Again by the file's order, which stays where it is one that nodes can be run in. */
  s.count = 0;
  for (size_t i = 0; i < graph->n_node && !im->status; i++)
    s.states[i] = s.states[i] == DONE ? UNSEEN : DONE;
  for (uint32_t i = 0; i < graph->n_node && !im->status; i++)
    put(&s, i);
  qb__free(im->context, s.states);
  qb__free(im->context, s.path);
  if (im->status) {
    qb__free(im->context, s.order);
    return im->status;
  }
  *order = s.order;
  *count = s.count;
  return QB_OK;
}
