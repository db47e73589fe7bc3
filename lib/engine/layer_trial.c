/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/layer_trial.h"

#include "core/alloc.h"
#include "core/context_impl.h"

#include <string.h>

/* The first round is not timed: it touches the memory. */
enum { ROUNDS = 4, MOST_STEPS = 3 };

/* A primitive on memory of its own. */
typedef struct step {
  struct dnnl_primitive *primitive; /* owned if a change of layout */
  bool owned;
  void *data[QB__ARG_COUNT];
  struct dnnl_memory *memories[QB__ARG_COUNT];
} step;

typedef struct candidate {
  size_t step_count;
  step steps[MOST_STEPS];
} candidate;

static qb_status add_memory(const qb__planner *p, step *s, qb__argument argument,
                            const qb__layout *layout)
{
  const size_t bytes = qb__layout_bytes(layout);
  float *data = qb__alloc_aligned(p->context, bytes + sizeof *data, QB__REGION_ALIGNMENT);
  if (!data)
    return QB_ERROR_NO_MEMORY;
  s->data[argument] = data;
  for (size_t i = 0; i < bytes / sizeof *data; i++)
    data[i] = 0.01f; /* neither zero nor anything a product makes denormal */
  return qb__memory_new(p->engine, layout, data, &s->memories[argument]);
}

static qb_status add_scratchpad(const qb__planner *p, step *s, size_t bytes)
{
  if (!bytes)
    return QB_OK;
  const qb__dims dims = {1, {(int64_t)(bytes + 3) / 4}};
  qb__layout *layout = NULL;
  qb_status status = qb__layout_plain(p->context, &dims, &layout);
  if (!status)
    status = add_memory(p, s, QB__ARG_SCRATCHPAD, layout);
  qb__layout_free(p->context, layout);
  return status;
}

static qb_status add_change(const qb__planner *p, candidate *c, const qb__layout *from,
                            const qb__layout *to)
{
  if (qb__layout_equal(from, to))
    return QB_OK;
  step *s = &c->steps[c->step_count++];
  size_t scratchpad_bytes = 0;
  s->owned = true;
  qb_status status = qb__reorder_new(p->engine, from, to, &s->primitive, &scratchpad_bytes);
  if (!status)
    status = add_memory(p, s, QB__ARG_SOURCE, from);
  if (!status)
    status = add_memory(p, s, QB__ARG_DESTINATION, to);
  return status ? status : add_scratchpad(p, s, scratchpad_bytes);
}

static qb_status add_layer(const qb__planner *p, candidate *c, const qb__operator *op,
                           const qb__made *made)
{
  step *s = &c->steps[c->step_count++];
  s->primitive = made->primitive;
  qb_status status = add_memory(p, s, QB__ARG_SOURCE, made->source);
  if (!status)
    status = add_memory(p, s, QB__ARG_WEIGHTS, made->weights);
  if (!status)
    status = add_memory(p, s, QB__ARG_DESTINATION, made->destination);
  if (!status && op->bias != QB__NONE) {
    const qb__dims dims = {1, {(int64_t)p->graph->tensors[op->bias].elements}};
    qb__layout *layout = NULL;
    status = qb__layout_plain(p->context, &dims, &layout);
    if (!status)
      status = add_memory(p, s, QB__ARG_BIAS, layout);
    qb__layout_free(p->context, layout);
  }
  return status ? status : add_scratchpad(p, s, made->scratchpad_bytes);
}

static void clear(const qb__planner *p, candidate *c)
{
  for (size_t i = 0; i < c->step_count; i++) {
    step *s = &c->steps[i];
    for (int a = 0; a < QB__ARG_COUNT; a++) {
      qb__memory_free(s->memories[a]);
      qb__free(p->context, s->data[a]);
    }
    if (s->owned)
      qb__primitive_free(s->primitive);
  }
}

static qb_status run(const qb__planner *p, const candidate *c)
{
  qb_status status = QB_OK;
  for (size_t i = 0; i < c->step_count && !status; i++)
    status = qb__execute(c->steps[i].primitive, p->stream, c->steps[i].memories);
  return status;
}

/* Round by round, so that a burst of somebody else's work meets all of them. */
static qb_status time_all(const qb__planner *p, const candidate *candidates, size_t count,
                          int64_t *ns)
{
  for (int round = 0; round < ROUNDS; round++)
    for (size_t i = 0; i < count; i++) {
      const int64_t start_ns = qb__now_ns(p->context);
      const qb_status status = run(p, &candidates[i]);
      const int64_t elapsed_ns = qb__now_ns(p->context) - start_ns;
      if (status)
        return status;
      if (round <= 1 || elapsed_ns < ns[i])
        ns[i] = elapsed_ns;
    }
  return QB_OK;
}

qb_status qb__layer_trial(const qb__planner *p, const qb__operator *op, const qb__layout *have,
                          const qb__layout *addend, const qb__made *made, size_t count, int64_t *ns)
{
  candidate *candidates = qb__calloc(p->context, count, sizeof *candidates);
  if (!candidates)
    return QB_ERROR_NO_MEMORY;
  qb_status status = QB_OK;
  for (size_t i = 0; i < count && !status; i++) {
    status = add_change(p, &candidates[i], have, made[i].source);
    if (!status && addend)
      status = add_change(p, &candidates[i], addend, made[i].destination);
    if (!status)
      status = add_layer(p, &candidates[i], op, &made[i]);
  }
  if (!status)
    status = time_all(p, candidates, count, ns);
  for (size_t i = 0; i < count; i++)
    clear(p, &candidates[i]);
  qb__free(p->context, candidates);
  return status;
}
