/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/workspace.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/hooks.h"
#include "engine/finite_round.h"

#include <string.h>

typedef struct qb__binding {
  const qb__network_plan *plan;
  struct dnnl_memory **memories;                   /* by slot; constants belong to others */
  struct dnnl_memory *(*arguments)[QB__ARG_COUNT]; /* by step */
} binding;

qb_status qb__workspace_init(qb__workspace *workspace, const qb_context *context,
                             struct dnnl_engine *engine)
{
  workspace->context = context;
  workspace->engine = engine;
  return workspace->stream ? QB_OK : qb__stream_new(engine, &workspace->stream);
}

static void free_binding(const qb_context *context, const binding *b)
{
  for (size_t i = 0; b->memories && i < b->plan->slot_count; i++)
    if (b->plan->slots[i].kind != QB__SLOT_CONSTANT)
      qb__memory_free(b->memories[i]);
  qb__free(context, b->memories);
  qb__free(context, b->arguments);
}

void qb__workspace_clear(qb__workspace *workspace)
{
  for (size_t i = 0; i < workspace->count; i++)
    free_binding(workspace->context, &workspace->bindings[i]);
  qb__free(workspace->context, workspace->bindings);
  qb__free(workspace->context, workspace->arena);
  qb__stream_free(workspace->stream);
  memset(workspace, 0, sizeof *workspace);
}

static qb_status bind_constant(const qb__workspace *workspace, const qb__slot *slot,
                               struct dnnl_memory **memory)
{
  if (workspace->copies && !*memory)
    return qb__weight_copy(workspace->context, workspace->engine, workspace->copies, slot->constant,
                           slot->layout, memory);
  *memory = *memory ? *memory : slot->constant;
  return QB_OK;
}

static qb_status bind_slot(const qb__workspace *workspace, const qb__slot *slot, char *arena,
                           struct dnnl_memory **memory)
{
  if (slot->kind == QB__SLOT_CONSTANT)
    return bind_constant(workspace, slot, memory);
  void *data = slot->kind == QB__SLOT_ARENA ? arena + slot->region.offset : NULL;
  return *memory ? data ? qb__memory_set(*memory, data) : QB_OK
                 : qb__memory_new(workspace->engine, slot->layout, data, memory);
}

static qb_status make_binding(const qb__workspace *workspace, const qb__network_plan *plan,
                              binding *b)
{
  b->plan = plan;
  b->memories = qb__calloc(workspace->context, plan->slot_count, sizeof(struct dnnl_memory *));
  b->arguments = qb__calloc(workspace->context, plan->step_count, sizeof *b->arguments);
  if (!b->memories || !b->arguments)
    return QB_ERROR_NO_MEMORY;
  qb_status status = QB_OK;
  for (size_t i = 0; i < plan->slot_count && !status; i++)
    status = bind_slot(workspace, &plan->slots[i], workspace->arena, &b->memories[i]);
  for (size_t i = 0; i < plan->step_count && !status; i++)
    for (int a = 0; a < QB__ARG_COUNT; a++) {
      const int32_t slot = plan->steps[i].slots[a];
      b->arguments[i][a] = slot == QB__NONE ? NULL : b->memories[slot];
    }
  return status;
}

/*
 * A larger arena; what was bound to the old one moves. It is touched by the thread that will use
 * it, when the old one is gone: until then it is addresses only.
 */
static qb_status grow_arena(qb__workspace *workspace, size_t bytes)
{
  if (bytes <= workspace->arena_bytes)
    return QB_OK;
  char *arena = qb__alloc_aligned(workspace->context, bytes, QB__REGION_ALIGNMENT);
  if (!arena)
    return QB_ERROR_NO_MEMORY;
  qb_status status = QB_OK;
  for (size_t i = 0; i < workspace->count && !status; i++) {
    const binding *b = &workspace->bindings[i];
    for (size_t s = 0; s < b->plan->slot_count && !status; s++)
      status = bind_slot(workspace, &b->plan->slots[s], arena, &b->memories[s]);
  }
  qb__free(workspace->context, workspace->arena);
  memset(arena, 0, bytes);
  workspace->arena = arena;
  workspace->arena_bytes = bytes;
  return status;
}

static const binding *find(const qb__workspace *workspace, const qb__network_plan *plan)
{
  for (size_t i = 0; i < workspace->count; i++)
    if (workspace->bindings[i].plan == plan)
      return &workspace->bindings[i];
  return NULL;
}

qb_status qb__workspace_bind(qb__workspace *workspace, const qb__network_plan *plan)
{
  if (find(workspace, plan))
    return QB_OK;
  if (!qb__grow(workspace->context, &workspace->bindings, workspace->count, &workspace->capacity,
                sizeof *workspace->bindings))
    return QB_ERROR_NO_MEMORY;
  binding made = {0};
  qb_status status = grow_arena(workspace, plan->arena_bytes);
  if (!status)
    status = make_binding(workspace, plan, &made);
  if (status)
    free_binding(workspace->context, &made);
  else
    workspace->bindings[workspace->count++] = made;
  return status;
}

void qb__workspace_forget(qb__workspace *workspace, const qb__network_plan *plan)
{
  size_t i = 0;
  while (i < workspace->count && workspace->bindings[i].plan != plan)
    i++;
  if (i == workspace->count)
    return;
  free_binding(workspace->context, &workspace->bindings[i]);
  workspace->bindings[i] = workspace->bindings[--workspace->count];
}

struct dnnl_memory *const *qb__workspace_arguments(const qb__workspace *workspace,
                                                   const qb__network_plan *plan, size_t step)
{
  return find(workspace, plan)->arguments[step];
}

/* An array of the caller's from a sample on; oneDNN takes no const pointers. */
static void *part_of(const void *data, const qb__tensor *tensor, uint32_t first)
{
  return (float *)(uintptr_t)data + first * tensor->elements;
}

static qb_status take_data(const binding *b, const qb__round_data *round, uint32_t first)
{
  const qb__graph *g = round->graph;
  qb_status status = QB_OK;
  for (size_t i = 0; i < b->plan->slot_count && !status; i++) {
    const uint32_t port = b->plan->slots[i].port;
    if (b->plan->slots[i].kind == QB__SLOT_INPUT)
      status = qb__memory_set(b->memories[i],
                              part_of(round->inputs[port], &g->tensors[g->inputs[port]], first));
    else if (b->plan->slots[i].kind == QB__SLOT_OUTPUT)
      status = qb__memory_set(b->memories[i],
                              part_of(round->outputs[port], &g->tensors[g->outputs[port]], first));
  }
  return status;
}

qb_status qb__workspace_run(qb__workspace *workspace, const qb__network_plan *plan,
                            const qb__round_data *round, uint32_t first)
{
  const binding *b = find(workspace, plan);
  qb_status status = take_data(b, round, first);
  if (status)
    return status;
  int64_t before_ns = round->times ? qb__now_ns(workspace->context) : 0;
  qb__finite_round values;
  qb__finite_begin(&values, round->graph, round->guards, plan, b->memories);
  for (size_t i = 0; i < plan->step_count && !status; i++) {
    const qb__step *step = &plan->steps[i];
    status = qb__finite_look(&values, i);
    if (!status)
      status = qb__run_either(step->primitive, step->kernel, workspace->stream, b->arguments[i]);
    if (status)
      status = qb__fail_within(status, "operator '%s' at batch %u",
                               round->graph->operators[step->op].name, plan->batch);
    if (round->times) {
      const int64_t now_ns = qb__now_ns(workspace->context);
      const uint32_t op = round->graph->operators[step->op].origin;
      round->times[op].time_ns += now_ns - before_ns;
      /* An operator's own primitive comes behind the changes of layout it needs. */
      round->times[op].implementation = step->implementation;
      before_ns = now_ns;
    }
  }
  if (!status)
    status = qb__finite_look(&values, plan->step_count);
  qb__finite_end(&values, !status, round->outputs, round->flags, first);
  return status;
}
