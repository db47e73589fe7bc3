/* SPDX-License-Identifier: Apache-2.0 */
#include "support/graph_fixture.h"

#include "model/graph.h"

int graph_set_up(void **state)
{
  static qb__graph graph;
  qb_context *context;
  if (qb_context_new(NULL, &context))
    return -1;
  qb__graph_init(&graph, context);
  *state = &graph;
  return 0;
}

int graph_tear_down(void **state)
{
  qb__graph *graph = *state;
  qb_context *context = graph->context;
  qb__graph_clear(graph);
  qb_context_unref(context);
  return 0;
}
