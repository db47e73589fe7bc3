/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/plan_trial.h"

#include "core/alloc.h"
#include "core/hooks.h"

#include <math.h>

/* Enough turns for short rounds; long ones are even by themselves. */
enum { FEWEST_TURNS = 2, MOST_TURNS = 5 };
static const int64_t LONG_NS = 100000000; /* of all turns */

/* What was this much slower than the fastest in a turn is in no more of them. */
static const double HOPELESS = 1.3;

static void free_arrays(const qb_context *context, void **all, size_t count)
{
  for (size_t i = 0; all && i < count; i++)
    qb__free(context, all[i]);
  qb__free(context, all);
}

/* Values that are neither zero nor anything a product makes denormal. */
static qb_status make_arrays(const qb__graph *graph, const int32_t *tensors, size_t count,
                             uint32_t samples, void ***all)
{
  *all = qb__calloc(graph->context, count, sizeof **all);
  if (!*all)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < count; i++) {
    const size_t elements = samples * graph->tensors[tensors[i]].elements;
    float *values = qb__alloc_aligned(graph->context, elements * sizeof *values, 64);
    if (!values)
      return QB_ERROR_NO_MEMORY;
    for (size_t j = 0; j < elements; j++)
      values[j] = 0.01f;
    (*all)[i] = values;
  }
  return QB_OK;
}

/* Turn by turn, so that a burst of somebody else's work meets all that are still in it. */
static qb_status time_all(qb__workspace *workspace, const qb__round_data *round,
                          const qb__network_plan *const *plans, size_t count, double *sample_ns)
{
  double least_ns = INFINITY;
  int64_t all_ns = 0;
  for (size_t i = 0; i < count; i++)
    sample_ns[i] = INFINITY;
  for (int turn = 0; turn < FEWEST_TURNS || (turn < MOST_TURNS && all_ns < LONG_NS); turn++)
    for (size_t i = 0; i < count; i++) {
      if (turn > 0 && sample_ns[i] > HOPELESS * least_ns)
        continue;
      const int64_t start_ns = qb__now_ns(workspace->context);
      const qb_status status = qb__workspace_run(workspace, plans[i], round, 0);
      const int64_t elapsed_ns = qb__now_ns(workspace->context) - start_ns;
      if (status)
        return status;
      all_ns += elapsed_ns;
      sample_ns[i] = fmin(sample_ns[i], (double)elapsed_ns / plans[i]->batch);
      least_ns = fmin(least_ns, sample_ns[i]);
    }
  return QB_OK;
}

qb_status qb__plan_trial(const qb__graph *graph, const qb__finite_guards *guards,
                         struct dnnl_engine *engine, const qb__network_plan *const *plans,
                         size_t count, double worth_it, size_t *best)
{
  const qb_context *context = graph->context;
  const uint32_t samples = plans[count - 1]->batch;
  double sample_ns[QB__MOST_TRIED];
  void **inputs = NULL, **outputs = NULL;
  qb__workspace workspace = {0};
  qb_status status = qb__workspace_init(&workspace, context, engine);
  if (!status)
    status = make_arrays(graph, graph->inputs, graph->input_count, samples, &inputs);
  if (!status)
    status = make_arrays(graph, graph->outputs, graph->output_count, samples, &outputs);
  for (size_t i = count; i-- > 0 && !status;) /* the largest first, for an arena to be taken once */
    status = qb__workspace_bind(&workspace, plans[i]);
  if (!status) {
    const qb__round_data round = {.graph = graph,
                                  .guards = guards,
                                  .inputs = (const void *const *)inputs,
                                  .outputs = outputs};
    status = time_all(&workspace, &round, plans, count, sample_ns);
  }
  *best = count - 1;
  for (size_t i = 0; i < count && !status; i++)
    if (sample_ns[i] < sample_ns[*best] * (*best == count - 1 ? worth_it : 1))
      *best = i;
  free_arrays(context, inputs, graph->input_count);
  free_arrays(context, outputs, graph->output_count);
  qb__workspace_clear(&workspace);
  return status;
}
