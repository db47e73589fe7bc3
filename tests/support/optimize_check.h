/* SPDX-License-Identifier: Apache-2.0 */
/* A graph before and after qb__graph_optimize(). */
#ifndef QB_SUPPORT_OPTIMIZE_CHECK_H
#define QB_SUPPORT_OPTIMIZE_CHECK_H

#include "core/alloc.h"
#include "engine/reference.h"
#include "support/expect.h"
#include "support/random_graph.h"

#include <float.h>

static inline size_t count_kind(const qb__graph *g, qb__op_kind kind)
{
  size_t count = 0;
  for (size_t i = 0; i < g->operator_count; i++)
    count += g->operators[i].kind == kind;
  return count;
}

/*
 * What a rounding of each input makes of the outputs: graphs of norms and logarithms make much of
 * it.
 */
static inline double rounding_error(const qb__graph *g, uint32_t batch, const float *input,
                                    float *const *expected, size_t out)
{
  const size_t in = batch * g->tensors[g->inputs[0]].elements;
  float *rounded = qb__calloc(g->context, in, sizeof *rounded);
  float *found = qb__calloc(g->context, out, sizeof *found);
  for (size_t i = 0; i < in; i++)
    rounded[i] = input[i] * (i % 2 ? 1 + FLT_EPSILON : 1 - FLT_EPSILON);
  assert_ok(qb__reference_run(g, batch, (const float *const *)&rounded, &found, NULL));
  const double error = relative_error(found, *expected, out);
  qb__free(g->context, rounded);
  qb__free(g->context, found);
  return error;
}

/* Optimizes the graph and checks that it computes what it computed before. */
static inline void check_same_result(qb__graph *g)
{
  enum { BATCH = 2 };
  assert_ok(g->status);
  const size_t in = BATCH * g->tensors[g->inputs[0]].elements;
  const size_t out = BATCH * g->tensors[g->outputs[0]].elements;
  float *input = qb__calloc(g->context, in, sizeof *input);
  float *before = qb__calloc(g->context, out, sizeof *before);
  float *after = qb__calloc(g->context, out, sizeof *after);
  qb__fill_values(input, in, 7, 0, 1);
  assert_ok(qb__reference_run(g, BATCH, (const float *const *)&input, &before, NULL));
  const double rounding = rounding_error(g, BATCH, input, &before, out);
  const double limit = rounding > 1e-6 ? 10 * rounding : 1e-5;
  assert_ok(qb__graph_optimize(g));
  assert_ok(qb__reference_run(g, BATCH, (const float *const *)&input, &after, NULL));
  const double error = relative_error(after, before, out);
  for (size_t i = 0; !(error <= limit) && i < g->operator_count; i++)
    print_message("%s -> %d of %d and %d\n", qb__operator_kind_name(&g->operators[i]),
                  (int)g->operators[i].output, (int)g->operators[i].input,
                  (int)qb__operator_input(&g->operators[i], 1));
  if (!(error <= limit))
    fail_msg("relative error %g after optimizing, %g by rounding inputs", error, rounding);
  qb__free(g->context, input);
  qb__free(g->context, before);
  qb__free(g->context, after);
}

#endif
