/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/network_choice.h"

#include "core/alloc.h"
#include "core/error.h"
#include "engine/plan_trial.h"

#include <string.h>

/* A way to compute all layers. */
typedef struct way {
  qb__choice *choices;
  qb__packed packed;
  qb__network_plan *plan;
  size_t arena_bytes;
} way;

static void clear(const qb__chooser *c, way *w)
{
  qb__network_plan_free(c->graph->context, w->plan);
  qb__free(c->graph->context, w->choices);
  qb__packed_clear(&w->packed);
}

static qb_status make_plan(const qb__chooser *c, bool to_run, way *w)
{
  qb__network_plan_free(c->graph->context, w->plan);
  w->plan = NULL;
  const qb_status status =
      qb__network_plan_new(c->graph, QB__TRIAL_BATCH, to_run, c->findings, w->choices, &w->packed,
                           c->engine, c->stream, &w->plan);
  if (!status)
    w->arena_bytes = w->plan->arena_bytes;
  return status;
}

/*
 * The plan is one of the batch size that layers are tried at, also where their algorithms are
 * given: weights are packed for it, whichever batch sizes come next, so that rounds do not depend
 * on that.
 */
static qb_status find(const qb__chooser *c, const qb__layer_algorithm *algorithms, bool unblocked,
                      way *w)
{
  const qb__graph *graph = c->graph;
  w->choices = qb__calloc(graph->context, graph->operator_count, sizeof *w->choices);
  if (!w->choices)
    return QB_ERROR_NO_MEMORY;
  for (uint32_t i = 0; i < graph->operator_count; i++) {
    w->choices[i].unblocked = unblocked;
    if (algorithms)
      w->choices[i].algorithm = algorithms[graph->operators[i].origin];
  }
  return make_plan(c, false, w);
}

/*
 * Whether changes to blocks of channels and back may take a twentieth of the time, which is worth
 * the time of finding another way: a core moves a byte in the time of about five operations.
 */
static bool changes_much(const qb__graph *graph, const way *w)
{
  const double operations_per_byte = 5, share = 0.05;
  const qb__network_plan *plan = w->plan;
  double bytes = 0, flops = 0;
  bool blocks = false;
  for (uint32_t i = 0; i < graph->operator_count; i++) {
    blocks = blocks || qb__is_blocked(w->choices[i].algorithm);
    flops += plan->batch * qb__operator_flops(graph, &graph->operators[i]);
  }
  for (size_t i = 0; i < plan->step_count; i++)
    if (!strcmp(plan->steps[i].implementation, QB__CHANGE_OF_LAYOUT))
      bytes +=
          2 * (double)qb__layout_bytes(plan->slots[plan->steps[i].slots[QB__ARG_SOURCE]].layout);
  return blocks && operations_per_byte * bytes > share * flops;
}

/* Puts the faster one first. */
static qb_status compare(const qb__chooser *c, way ways[2])
{
  size_t best;
  qb_status status = make_plan(c, true, &ways[0]);
  if (!status)
    status = make_plan(c, true, &ways[1]);
  if (status)
    return status;
  const qb__network_plan *const plans[2] = {ways[1].plan, ways[0].plan};
  status = qb__plan_trial(c->graph, c->guards, c->engine, plans, 2, 1, &best);
  if (!status && best == 0) {
    const way first = ways[0];
    ways[0] = ways[1];
    ways[1] = first;
  }
  return status;
}

qb_status qb__network_choose(const qb__chooser *c, const qb__layer_algorithm *algorithms,
                             qb__choice **choices, qb__packed *packed, size_t *arena_bytes)
{
  way ways[2] = {{.plan = NULL}};
  for (int i = 0; i < 2; i++)
    qb__packed_init(&ways[i].packed, c->graph->context, c->engine);
  qb_status status = find(c, algorithms, false, &ways[0]);
  if (!status && !algorithms && changes_much(c->graph, &ways[0])) {
    status = find(c, NULL, true, &ways[1]);
    if (!status)
      status = compare(c, ways);
    if (status == QB_ERROR_NO_MEMORY || status == QB_ERROR_UNSUPPORTED)
      status = QB_OK; /* there is one of the two */
  }
  if (!status) {
    *arena_bytes = ways[0].arena_bytes;
    *choices = ways[0].choices;
    *packed = ways[0].packed;
    ways[0].choices = NULL;
    qb__packed_init(&ways[0].packed, c->graph->context, c->engine);
  }
  clear(c, &ways[0]);
  clear(c, &ways[1]);
  return status;
}
