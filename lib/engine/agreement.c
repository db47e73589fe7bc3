/* SPDX-License-Identifier: Apache-2.0 */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "core/wilson.h"
#include "engine/session_profiling.h"
#include "model/model_data.h"

#include <qosbatch/quantize.h>

#include <math.h>
#include <string.h>

enum { MOST_ROUND = 16 };

static uint32_t answer_of(const float *output, uint64_t elements)
{
  uint64_t best = 0;
  bool finite = true;
  for (uint64_t i = 0; i < elements; i++) {
    finite = finite && isfinite(output[i]);
    best = output[i] > output[best] ? i : best;
  }
  return finite ? (uint32_t)best : QB_NO_ANSWER;
}

/* Rounds of one session: where its next samples are, and memory for what it writes. */
typedef struct rounds {
  qb_session *session;
  const qb__graph *graph;
  const char **inputs;
  float **outputs;
} rounds;

static void free_rounds(const qb_context *context, rounds *r)
{
  for (size_t i = 0; r->outputs && i < r->graph->output_count; i++)
    qb__free(context, r->outputs[i]);
  qb__free(context, r->outputs);
  qb__free(context, r->inputs);
}

static uint64_t output_elements(const qb__graph *graph, size_t output)
{
  return graph->tensors[graph->outputs[output]].elements;
}

static qb_status make_rounds(const qb_context *context, uint32_t batch, const void *const *inputs,
                             rounds *r)
{
  const qb__graph *g = r->graph;
  r->inputs = qb__calloc(context, g->input_count, sizeof *r->inputs);
  r->outputs = r->inputs ? qb__calloc(context, g->output_count, sizeof *r->outputs) : NULL;
  if (!r->outputs)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < g->input_count; i++)
    r->inputs[i] = inputs[i];
  for (size_t i = 0; i < g->output_count; i++)
    if (!(r->outputs[i] = qb__calloc(context, output_elements(g, i) * batch, sizeof(float))))
      return QB_ERROR_NO_MEMORY;
  return QB_OK;
}

static qb_status run_round(rounds *r, uint32_t batch, uint32_t *answers)
{
  const uint64_t elements = output_elements(r->graph, 0);
  const qb_status status = qb_session_run(r->session, batch, (const void *const *)r->inputs,
                                          (void *const *)r->outputs, NULL);
  for (uint32_t i = 0; i < batch && !status; i++)
    answers[i] = answer_of(r->outputs[0] + i * elements, elements);
  for (size_t i = 0; i < r->graph->input_count; i++)
    r->inputs[i] += r->graph->tensors[r->graph->inputs[i]].elements * batch * sizeof(float);
  return status;
}

static qb_status check_arguments(const qb_session *session, uint64_t samples,
                                 const void *const *inputs, const uint32_t *answers)
{
  if (!session || !inputs || !answers || !samples)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s",
                    !session  ? "session is NULL"
                    : !inputs ? "inputs is NULL"
                    : samples ? "answers is NULL"
                              : "samples is 0; pass one or more");
  const qb_model *model = qb__session_model(session);
  const char *name = qb__model_info(model)->name;
  if (qb__model_is_workload(model))
    return qb__fail(QB_ERROR_UNSUPPORTED,
                    "'%s' is a workload, whose outputs the library does not know; compare its "
                    "answers in the host",
                    name);
  const qb__graph *g = qb__model_graph(model);
  const uint64_t elements = output_elements(g, 0);
  if (elements < 2 || elements >= QB_NO_ANSWER)
    return qb__fail(QB_ERROR_UNSUPPORTED,
                    "the first output of '%s' has %llu elements, so there is no top-1 answer; "
                    "compare its outputs in the host",
                    name, (unsigned long long)elements);
  for (size_t i = 0; i < g->input_count; i++)
    if (!inputs[i])
      return qb__fail(QB_ERROR_INVALID_ARGUMENT, "input %zu of '%s' is NULL", i, name);
  return QB_OK;
}

qb_status qb_session_get_answers(qb_session *session, uint64_t samples, const void *const *inputs,
                                 uint32_t *answers)
{
  qb_status status = check_arguments(session, samples, inputs, answers);
  if (status)
    return status;
  const qb_context *context = qb__session_context(session);
  const uint32_t batch = (uint32_t)(samples < MOST_ROUND ? samples : MOST_ROUND);
  rounds r = {.session = session, .graph = qb__model_graph(qb__session_model(session))};
  status = make_rounds(context, batch, inputs, &r);
  for (uint64_t done = 0; done < samples && !status; done += batch)
    status =
        run_round(&r, samples - done < batch ? (uint32_t)(samples - done) : batch, answers + done);
  free_rounds(context, &r);
  return status;
}

qb_status qb_agreement_count(const uint32_t *answers, const uint32_t *expected, uint64_t samples,
                             qb_agreement *agreement)
{
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_agreement, agreement);
  if (status)
    return status;
  if (samples && (!answers || !expected))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL", answers ? "expected" : "answers");
  qb_agreement found = {.size = sizeof found, .samples = samples, .high = 1};
  for (uint64_t i = 0; i < samples; i++)
    found.agreeing += answers[i] == expected[i] && answers[i] != QB_NO_ANSWER;
  if (samples) {
    found.share = (double)found.agreeing / (double)samples;
    qb__wilson_interval(found.agreeing, samples, &found.low, &found.high);
  }
  QB__STRUCT_OUT(qb_agreement, agreement, &found);
  return QB_OK;
}
