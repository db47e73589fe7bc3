/* SPDX-License-Identifier: Apache-2.0 */
/* A network and what the reference makes of it, to compare sessions with. */
#ifndef QB_SUPPORT_NETWORK_CHECK_H
#define QB_SUPPORT_NETWORK_CHECK_H

#include "engine/reference.h"
#include "model/model_impl.h"
#include "support/expect.h"
#include "support/random_graph.h"

#include <qosbatch/session.h>

#include <math.h>
#include <stdlib.h>

typedef struct network_check {
  qb_context *context;
  qb_model *model;
  uint32_t most_batch;
  size_t in, out;  /* elements a sample */
  float *input;    /* of most_batch samples */
  float *expected; /* what the reference makes of them */
} network_check;

/* Takes the graph over; `ranges` is passed to the reference. */
static inline network_check network_check_make(qb__graph *graph, uint32_t most_batch,
                                               qb__range *ranges)
{
  network_check c = {.context = graph->context, .most_batch = most_batch};
  assert_ok(qb__model_from_graph(graph, "checked", &c.model));
  const qb__graph *g = &c.model->graph;
  c.in = g->tensors[g->inputs[0]].elements;
  c.out = g->tensors[g->outputs[0]].elements;
  c.input = calloc(most_batch * c.in, sizeof *c.input);
  c.expected = calloc(most_batch * c.out, sizeof *c.expected);
  assert_true(c.input && c.expected);
  qb__fill_values(c.input, most_batch * c.in, 5, 0, 1);
  assert_ok(qb__reference_run(g, most_batch, (const float *const *)&c.input, &c.expected, ranges));
  return c;
}

static inline void network_check_free(network_check *c)
{
  free(c->input);
  free(c->expected);
  qb_model_unref(c->model);
}

/*
 * Runs a round of `batch` samples, from sample `first` on; returns the relative error, -1 if it
 * failed.
 */
static inline double network_check_round(const network_check *c, qb_session *session,
                                         uint32_t first, uint32_t batch)
{
  float *output = malloc(batch * c->out * sizeof *output);
  if (!output)
    return -1;
  for (size_t i = 0; i < batch * c->out; i++)
    output[i] = NAN; /* what is not written is found */
  const void *const inputs[1] = {c->input + first * c->in};
  void *const outputs[1] = {output};
  double error = -1;
  if (!qb_session_run(session, batch, inputs, outputs, NULL))
    error = relative_error(output, c->expected + first * c->out, batch * c->out);
  free(output);
  return error;
}

static inline void network_check_expect(const network_check *c, qb_session *session, uint32_t first,
                                        uint32_t batch)
{
  const double error = network_check_round(c, session, first, batch);
  const qb__graph *g = &c->model->graph;
  for (size_t i = 0; !(error >= 0 && error <= 1e-4) && i < g->operator_count; i++) {
    const qb__operator *op = &g->operators[i];
    const qb__tensor *t = &g->tensors[op->output];
    print_message("%s %s -> %d: %dx%dx%d of %d and %d\n", qb__operator_kind_name(op), op->name,
                  (int)op->output, (int)t->dims[0], (int)t->dims[1], (int)t->dims[2],
                  (int)op->input, (int)qb__operator_input(op, 1));
  }
  if (!(error >= 0 && error <= 1e-4))
    fail_msg("batch %u: relative error %g: %s", batch, error, error < 0 ? qb_error_message() : "");
}

static inline qb_session *network_check_session(const network_check *c, uint32_t instances,
                                                uint32_t threads)
{
  const qb_configuration configuration = {instances, threads};
  qb_session *session;
  assert_ok(qb_session_new(c->model, &configuration, NULL, &session));
  return session;
}

/* Batch 1, all, and both again, on 1 and 2 instances of 1 and 2 threads. */
static inline void network_check_configurations(const network_check *c)
{
  uint64_t weight_bytes = 0;
  for (uint32_t instances = 1; instances <= 2; instances++)
    for (uint32_t threads = 1; threads <= 2; threads++) {
      qb_session *session = network_check_session(c, instances, threads);
      for (int again = 0; again < 2; again++) {
        network_check_expect(c, session, 0, 1);
        network_check_expect(c, session, 0, c->most_batch);
      }
      qb_session_info info = QB_SESSION_INFO_INIT;
      assert_ok(qb_session_get_info(session, &info));
      assert_int_equal(info.ready_batches, c->most_batch > 1 ? 2 : 1);
      if (threads == 1) { /* another number of threads may want another layout */
        weight_bytes = weight_bytes ? weight_bytes : info.weight_bytes;
        assert_int_equal(info.weight_bytes, weight_bytes);
      }
      qb_session_unref(session);
    }
}

#endif
