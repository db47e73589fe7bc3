/* SPDX-License-Identifier: Apache-2.0 */
/* Networks on the engine against the same networks in plain loops. */
#ifndef QB_TESTS_NETWORKS_H
#define QB_TESTS_NETWORKS_H

#include "engine/reference.h"
#include "model/builtin.h"
#include "model/model_impl.h"
#include "support/expect.h"
#include "support/unit.h"

#include <qosbatch/session.h>

#include <math.h>
#include <stdlib.h>

/* Samples and what the plain loops make of them. */
typedef struct expected {
  uint32_t batch;
  float *input, *output;
  size_t outputs; /* of a sample */
} expected;

static inline expected expect(const qb__graph *graph, uint32_t batch, qb__range *ranges)
{
  expected e = {.batch = batch, .outputs = graph->tensors[graph->outputs[0]].elements};
  const size_t inputs = graph->tensors[graph->inputs[0]].elements * batch;
  e.input = malloc(inputs * sizeof *e.input);
  e.output = malloc(e.outputs * batch * sizeof *e.output);
  assert_non_null(e.input);
  assert_non_null(e.output);
  qb__fill_values(e.input, inputs, 42, 0, 1);
  assert_ok(qb__reference_run(graph, batch, (const float *const *)&e.input, &e.output, ranges));
  return e;
}

static inline void forget(expected *e)
{
  free(e->input);
  free(e->output);
}

/* Largest difference of the first `batch` samples, as a part of the largest output. */
static inline double difference(const expected *e, const float *output, uint32_t batch)
{
  double largest = 0, worst = 0;
  for (size_t i = 0; i < e->outputs * batch; i++) {
    largest = fmax(largest, fabs(e->output[i]));
    worst = fmax(worst, isfinite(output[i]) ? fabs((double)output[i] - e->output[i]) : INFINITY);
  }
  return worst / largest;
}

static inline void run_and_compare(qb_session *session, const expected *e, uint32_t batch)
{
  float *output = malloc(e->outputs * batch * sizeof *output);
  assert_non_null(output);
  const void *const inputs[1] = {e->input};
  void *const outputs[1] = {output};
  assert_ok(qb_session_run(session, batch, inputs, outputs, NULL));
  const double off = difference(e, output, batch);
  if (off > 1e-4)
    print_message("batch %u: off by %g\n", batch, off);
  assert_true(off <= 1e-4);
  free(output);
}

#endif
