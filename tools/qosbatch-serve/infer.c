/* SPDX-License-Identifier: Apache-2.0 */
#include "infer.h"

#include "gunzip.h"
#include "server_inside.h"

#include <stddef.h>
#include <stdlib.h>

/* JSON of this many numbers takes longer to write than others should wait. */
enum { MANY_NUMBERS = 10000 };

static exchange *exchange_of(task *t)
{
  return (exchange *)(void *)((char *)t - offsetof(exchange, task));
}

/* Memory for all that a request holds is taken before it is allocated. */
static bool hold(exchange *e, size_t bytes)
{
  if (!budget_take(&e->of->memory, bytes))
    return refuse(&e->problem, 503, "out of memory for the request");
  e->held += bytes;
  return true;
}

static void drop_body(exchange *e)
{
  budget_give(&e->of->memory, e->room);
  e->held -= e->room;
  free(e->body);
  e->body = NULL;
  e->bytes = e->room = 0;
}

static bool unpack(exchange *e)
{
  size_t bytes, held;
  char *text = gunzip(e->body, e->bytes, e->most_bytes, &e->of->memory, &bytes, &held, &e->problem);
  if (!text)
    return false;
  drop_body(e);
  budget_give(&e->of->memory, held - bytes); /* from here on only what is used counts */
  e->held += bytes;
  e->body = text;
  e->bytes = bytes;
  return true;
}

static bool check_samples(exchange *e)
{
  const server_params *p = e->of->params;
  const uint32_t most = batcher_most_samples(p->batcher);
  return e->infer.samples <= most ||
         refuse(&e->problem, 413,
                "inputs[0].shape: %u samples; at most %u can be answered within %g ms",
                e->infer.samples, most, (double)p->qos.latency_ns * 1e-6);
}

static bool read_input(exchange *e)
{
  const protocol_model *model = &e->of->params->model;
  e->request.samples = e->infer.samples;
  e->request.inputs = e->infer.binary;
  if (e->infer.binary)
    return true;
  const size_t bytes = e->infer.samples * model->input.elements_per_sample * sizeof *e->numbers;
  if (!hold(e, bytes))
    return false;
  e->request.inputs = e->numbers = malloc(bytes);
  if (!e->numbers)
    return refuse(&e->problem, 503, "out of memory for the request");
  if (!protocol_read_numbers(model, &e->infer, e->numbers, &e->problem))
    return false;
  drop_body(e); /* the text has been read */
  return true;
}

static bool make_room_for_answer(exchange *e)
{
  const size_t count = e->infer.samples * e->of->params->model.output.elements_per_sample;
  const size_t text_bytes = e->infer.binary_output ? sizeof(float) : PROTOCOL_BYTES_PER_NUMBER;
  if (!hold(e, count * (sizeof(float) + text_bytes)))
    return false;
  e->request.outputs = calloc(count, sizeof *e->request.outputs);
  return e->request.outputs || refuse(&e->problem, 503, "out of memory for the request");
}

static bool read_body(exchange *e)
{
  const server_params *p = e->of->params;
  if (batcher_now_ns() - e->request.arrived_ns > p->qos.latency_ns)
    return refuse(&e->problem, 429, TOO_LATE);
  return (!e->is_packed || unpack(e)) &&
         protocol_read(&p->model, e->body, e->bytes, e->header_bytes, &e->infer, &e->problem) &&
         check_samples(e) && read_input(e) && make_room_for_answer(e);
}

static void wake(exchange *e)
{
  e->is_answered = true;
  MHD_resume_connection(e->connection);
}

static void write_answer(task *t)
{
  exchange *e = exchange_of(t);
  e->text = protocol_write(&e->of->params->model, &e->infer, e->request.outputs, &e->text_bytes,
                           &e->text_header_bytes, &e->problem);
  if (e->text)
    e->problem.status = 0;
  wake(e);
}

static void over(request *r)
{
  exchange *e = (exchange *)(void *)r;
  const size_t count = r->samples * e->of->params->model.output.elements_per_sample;
  switch (r->outcome) {
  case OUTCOME_LATE: refuse(&e->problem, 429, TOO_LATE); break;
  case OUTCOME_NOT_FINITE:
    refuse(&e->problem, 422,
           "this input, or a result of the network on it, holds a NaN or an infinity");
    break;
  case OUTCOME_FAILED: refuse(&e->problem, 500, "the round failed"); break;
  case OUTCOME_ANSWERED:
    e->task.run = write_answer;
    if (desk_put(e->of->desk, &e->task, !e->infer.binary_output && count > MANY_NUMBERS))
      return;
    refuse(&e->problem, 503, "the service is shutting down");
    break;
  }
  wake(e);
}

static void read_request(task *t)
{
  exchange *e = exchange_of(t);
  e->request.over = over;
  if (!read_body(e)) {
    wake(e);
  } else if (!batcher_submit(e->of->params->batcher, &e->request)) {
    refuse(&e->problem, 429, TOO_LATE);
    wake(e);
  }
}

void infer_start(exchange *e)
{
  server *self = e->of;
  /*
   * What one sample takes as JSON is short; so is a binary body, of which only the header is read.
   */
  const size_t sample_bytes =
      PROTOCOL_BYTES_BESIDE +
      PROTOCOL_BYTES_PER_NUMBER * self->params->model.input.elements_per_sample;
  const bool is_long = e->is_packed || (!e->header_bytes && e->bytes > sample_bytes);
  e->task.run = read_request;
  door_phase(self->door, e->visitor, PHASE_WORK, e);
  MHD_suspend_connection(e->connection); /* before anybody could wake it */
  if (!desk_put(self->desk, &e->task, is_long)) {
    refuse(&e->problem, 503, "the service is shutting down");
    wake(e);
  }
}

void infer_free(exchange *e)
{
  budget_give(&e->of->memory, e->held);
  e->held = 0;
  free(e->request.outputs);
  free(e->numbers);
  free(e->body);
  free(e->text);
  e->body = NULL;
}
