/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/layer_trial.h"

#include "core/alloc.h"
#include "core/hooks.h"

#include <string.h>

/* The first round is not timed: it touches the memory. */
enum { ROUNDS = 8, FEWEST_ROUNDS = 3, MOST_STEPS = 3 };

/* What was this much slower than the fastest in the first rounds runs no more of them. */
static const double HOPELESS = 1.3;

/* One of a candidate's primitives, on the trial's memory. */
typedef struct step {
  struct dnnl_primitive *primitive; /* NULL: the kernel */
  const qb__kernel *kernel;
  bool owned; /* a change of layout */
  struct dnnl_memory *memories[QB__ARG_COUNT];
} step;

typedef struct candidate {
  size_t step_count;
  step steps[MOST_STEPS];
} candidate;

/* Memory that all candidates share: what is in it does not matter to how long they take. */
typedef struct trial {
  const qb__planner *planner;
  const qb__operator *op;
  size_t bytes[QB__ARG_COUNT]; /* the most that any candidate needs */
  void *data[QB__ARG_COUNT];
  bool borrowed_weights;
  size_t count;
  candidate *candidates;
} trial;

/* Memories get their address when all sizes are known. */
static qb_status add_memory(trial *t, step *s, qb__argument argument, const qb__layout *layout)
{
  const size_t bytes = qb__layout_bytes(layout);
  if (bytes > t->bytes[argument])
    t->bytes[argument] = bytes;
  return qb__memory_new(t->planner->engine, layout, NULL, &s->memories[argument]);
}

static qb_status add_row(trial *t, step *s, qb__argument argument, size_t elements)
{
  if (!elements)
    return QB_OK;
  const qb__dims dims = {1, {(int64_t)elements}};
  qb__layout *layout = NULL;
  qb_status status = qb__layout_plain(t->planner->context, &dims, &layout);
  if (!status)
    status = add_memory(t, s, argument, layout);
  qb__layout_free(t->planner->context, layout);
  return status;
}

static qb_status add_change(trial *t, candidate *c, const qb__layout *from, const qb__layout *to)
{
  if (qb__layout_equal(from, to))
    return QB_OK;
  step *s = &c->steps[c->step_count++];
  size_t scratchpad_bytes = 0;
  s->owned = true;
  qb_status status =
      qb__reorder_new(t->planner->engine, from, to, &s->primitive, &scratchpad_bytes);
  if (!status)
    status = add_memory(t, s, QB__ARG_SOURCE, from);
  if (!status)
    status = add_memory(t, s, QB__ARG_DESTINATION, to);
  return status ? status : add_row(t, s, QB__ARG_SCRATCHPAD, (scratchpad_bytes + 3) / 4);
}

static qb_status add_layer(trial *t, candidate *c, const qb__primitive *primitive)
{
  const qb__tensor *tensors = t->planner->graph->tensors;
  step *s = &c->steps[c->step_count++];
  s->primitive = primitive->handle;
  s->kernel = primitive->kernel;
  qb_status status = add_memory(t, s, QB__ARG_SOURCE, primitive->source);
  if (!status)
    status = add_memory(t, s, QB__ARG_WEIGHTS, primitive->weights);
  if (!status)
    status = add_memory(t, s, QB__ARG_DESTINATION, primitive->destination);
  if (!status && t->op->bias != QB__NONE)
    status = add_row(t, s, QB__ARG_BIAS, tensors[t->op->bias].elements);
  return status ? status : add_row(t, s, QB__ARG_SCRATCHPAD, (primitive->scratchpad_bytes + 3) / 4);
}

/* The model's own weights serve where they are large enough: there may be much of them. */
static qb_status take_memory(trial *t)
{
  const qb_context *context = t->planner->context;
  const qb__tensor *weights = &t->planner->graph->tensors[t->op->weights];
  for (int a = 0; a < QB__ARG_COUNT; a++) {
    if (!t->bytes[a])
      continue;
    if (a == QB__ARG_WEIGHTS && t->bytes[a] <= weights->elements * sizeof(float)) {
      t->data[a] = weights->constant;
      t->borrowed_weights = true;
      continue;
    }
    float *values = qb__alloc_aligned(context, t->bytes[a], QB__REGION_ALIGNMENT);
    if (!values)
      return QB_ERROR_NO_MEMORY;
    for (size_t i = 0; i < t->bytes[a] / sizeof *values; i++)
      values[i] = 0.01f; /* neither zero nor anything a product makes denormal */
    t->data[a] = values;
  }
  qb_status status = QB_OK;
  for (size_t c = 0; c < t->count; c++)
    for (size_t i = 0; i < t->candidates[c].step_count; i++)
      for (int a = 0; a < QB__ARG_COUNT && !status; a++)
        if (t->candidates[c].steps[i].memories[a])
          status = qb__memory_set(t->candidates[c].steps[i].memories[a], t->data[a]);
  return status;
}

static void clear(trial *t)
{
  const qb_context *context = t->planner->context;
  for (size_t c = 0; t->candidates && c < t->count; c++)
    for (size_t i = 0; i < t->candidates[c].step_count; i++) {
      step *s = &t->candidates[c].steps[i];
      for (int a = 0; a < QB__ARG_COUNT; a++)
        qb__memory_free(s->memories[a]);
      if (s->owned)
        qb__primitive_free(s->primitive);
    }
  for (int a = 0; a < QB__ARG_COUNT; a++)
    if (a != QB__ARG_WEIGHTS || !t->borrowed_weights)
      qb__free(context, t->data[a]);
  qb__free(context, t->candidates);
}

static qb_status run(const qb__planner *p, const candidate *c)
{
  qb_status status = QB_OK;
  for (size_t i = 0; i < c->step_count && !status; i++)
    status =
        qb__run_either(c->steps[i].primitive, c->steps[i].kernel, p->stream, c->steps[i].memories);
  return status;
}

/* Round by round, so that a burst of somebody else's work meets all that are still in it. */
static qb_status time_all(const qb__planner *p, const candidate *candidates, size_t count,
                          int64_t *ns)
{
  int64_t least_ns = INT64_MAX;
  for (int round = 0; round < ROUNDS; round++)
    for (size_t i = 0; i < count; i++) {
      if (round >= FEWEST_ROUNDS && (double)ns[i] > HOPELESS * (double)least_ns)
        continue;
      const int64_t start_ns = qb__now_ns(p->context);
      const qb_status status = run(p, &candidates[i]);
      const int64_t elapsed_ns = qb__now_ns(p->context) - start_ns;
      if (status)
        return status;
      if (round <= 1 || elapsed_ns < ns[i])
        ns[i] = elapsed_ns;
      if (round > 0 && ns[i] < least_ns)
        least_ns = ns[i];
    }
  return QB_OK;
}

qb_status qb__layer_trial(const qb__planner *p, const qb__operator *op, const qb__layout *have,
                          const qb__layout *addend, const qb__primitive *primitives, size_t count,
                          int64_t *ns)
{
  trial t = {.planner = p, .op = op, .count = count};
  t.candidates = qb__calloc(p->context, count, sizeof *t.candidates);
  qb_status status = t.candidates ? QB_OK : QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < count && !status; i++) {
    candidate *c = &t.candidates[i];
    status = add_change(&t, c, have, primitives[i].source);
    if (!status && addend)
      status = add_change(&t, c, addend, primitives[i].destination);
    if (!status)
      status = add_layer(&t, c, &primitives[i]);
  }
  if (!status)
    status = take_memory(&t);
  if (!status)
    status = time_all(p, t.candidates, count, ns);
  clear(&t);
  return status;
}
