/* SPDX-License-Identifier: Apache-2.0 */
/* An empty graph as the state of a test, and a context that belongs to it. */
#ifndef QB_SUPPORT_GRAPH_FIXTURE_H
#define QB_SUPPORT_GRAPH_FIXTURE_H

/* *state is a qb__graph. */
int graph_set_up(void **state);

int graph_tear_down(void **state);

#endif
