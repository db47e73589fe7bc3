/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "server.h"

#include "metrics.h"
#include "protocol.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 2048, IDLE_SECONDS = 60, MOST_SAMPLES = 64 };
enum { CONNECTION_BYTES = 128 << 10 }; /* half of it is what is received at a time */

static const char TOO_LATE[] = "too late to be answered within the target";

struct server {
  const server_params *params;
  struct MHD_Daemon *daemon;
  size_t most_bytes; /* of a body */
  atomic_bool draining;
};

/* An HTTP exchange from its first header to its last byte. */
typedef struct exchange {
  request request; /* first: request_over() casts */
  struct MHD_Connection *connection;
  infer_request infer;
  char *body;
  size_t bytes, room;
  bool too_large, welcome, submitted; /* welcome: the batcher expects it */
} exchange;

/* Sends text that free() frees. */
static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *type,
                                 char *text, size_t bytes)
{
  struct MHD_Response *r =
      text ? MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE)
           : MHD_create_response_from_buffer(0, (char[]){""}, MHD_RESPMEM_MUST_COPY);
  if (!r) {
    free(text);
    return MHD_NO;
  }
  MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  if (status == MHD_HTTP_TOO_MANY_REQUESTS)
    MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "1");
  const enum MHD_Result result =
      MHD_queue_response(c, text ? status : MHD_HTTP_INTERNAL_SERVER_ERROR, r);
  MHD_destroy_response(r);
  return result;
}

static enum MHD_Result send_json(struct MHD_Connection *c, unsigned status, char *text)
{
  return send_text(c, status, "application/json", text, text ? strlen(text) : 0);
}

static enum MHD_Result send_error(struct MHD_Connection *c, unsigned status, const char *text)
{
  return send_json(c, status, protocol_error(text));
}

static enum MHD_Result send_answer(server *self, exchange *e)
{
  if (e->request.status == 429)
    return send_error(e->connection, 429, TOO_LATE);
  if (e->request.status != 200)
    return send_error(e->connection, 500, "the round failed");
  size_t bytes, header_bytes;
  char *text = protocol_write(&e->infer, self->params->model, &self->params->output,
                              e->request.outputs, &bytes, &header_bytes);
  if (!header_bytes)
    return send_text(e->connection, 200, "application/json", text, bytes);
  struct MHD_Response *r = MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE);
  if (!r) {
    free(text);
    return MHD_NO;
  }
  char number[24];
  snprintf(number, sizeof number, "%zu", header_bytes);
  MHD_add_response_header(r, "Inference-Header-Content-Length", number);
  MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
  const enum MHD_Result result = MHD_queue_response(e->connection, 200, r);
  MHD_destroy_response(r);
  return result;
}

static void request_over(request *r)
{
  MHD_resume_connection(((exchange *)r)->connection);
}

/* With this header a client waits for a word before it sends the body: "100 Continue", or a refusal. */
static bool body_waits(struct MHD_Connection *c)
{
  const char *expected = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT);
  return expected && !strcasecmp(expected, "100-continue");
}

static void expect_no_more(server *self, exchange *e)
{
  if (e->welcome)
    batcher_expect_no_more(self->params->batcher);
  e->welcome = false;
}

/* The headers of a request. */
static enum MHD_Result begin(server *self, struct MHD_Connection *c, exchange **made)
{
  exchange *e = *made = calloc(1, sizeof *e);
  if (!e)
    return MHD_NO;
  e->connection = c;
  e->request.arrived_ns = batcher_now_ns();
  if (body_waits(c) && !(e->welcome = batcher_welcome(self->params->batcher)))
    return send_error(c, 429, TOO_LATE);
  const char *length =
      MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
  const size_t expected = length ? strtoul(length, NULL, 10) : 0;
  if (expected && expected <= self->most_bytes && (e->body = malloc(expected)))
    e->room = expected;
  return MHD_YES;
}

/* The body is there: reads it and queues it; the connection sleeps until request_over(). */
static enum MHD_Result infer(server *self, exchange *e)
{
  struct MHD_Connection *c = e->connection;
  if (e->too_large)
    return send_error(c, 413, "the body is larger than any request");
  const char *length =
      MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Inference-Header-Content-Length");
  const char *problem = protocol_read(e->body, e->bytes, length ? strtoul(length, NULL, 10) : 0,
                                      &self->params->input, MOST_SAMPLES, &e->infer);
  if (problem)
    return send_error(c, 400, problem);
  if (e->infer.numbers) { /* the text has been read */
    free(e->body);
    e->body = NULL;
  }
  e->request.samples = e->infer.samples;
  e->request.inputs = e->infer.inputs;
  e->request.outputs =
      calloc(e->infer.samples * self->params->output.elements_per_sample, sizeof(float));
  e->request.over = request_over;
  if (!e->request.outputs)
    return send_error(c, 500, "out of memory");
  e->submitted = true;
  MHD_suspend_connection(c); /* before anybody could resume it */
  expect_no_more(self, e);
  if (!batcher_submit(self->params->batcher, &e->request)) {
    e->request.status = 429;
    MHD_resume_connection(c);
  }
  return MHD_YES;
}

static enum MHD_Result get(server *self, struct MHD_Connection *c, const char *url)
{
  const server_params *p = self->params;
  char path[160];
  if (!strcmp(url, "/metrics")) {
    char *text = metrics_text(p->batcher, p->plan, p->qos);
    return send_text(c, 200, "text/plain; version=0.0.4", text, text ? strlen(text) : 0);
  }
  if (!strcmp(url, "/v2/health/live"))
    return send_json(c, 200, strdup("{\"live\":true}"));
  if (!strcmp(url, "/v2"))
    return send_json(c, 200,
                     strdup("{\"name\":\"qosbatch-service\",\"version\":\"1\","
                            "\"extensions\":[\"binary_tensor_data\"]}"));
  const bool ready = !self->draining;
  snprintf(path, sizeof path, "/v2/models/%s/ready", p->model);
  if (!strcmp(url, "/v2/health/ready") || !strcmp(url, path))
    return send_json(c, ready ? 200 : 503,
                     strdup(ready ? "{\"ready\":true}" : "{\"ready\":false}"));
  snprintf(path, sizeof path, "/v2/models/%s", p->model);
  if (!strcmp(url, path))
    return send_json(c, 200, protocol_metadata(p->model, &p->input, &p->output));
  return send_error(c, 404, "no such path");
}

static bool append(server *self, exchange *e, const char *data, size_t bytes)
{
  if (e->bytes + bytes > self->most_bytes) {
    e->too_large = true;
    return true;
  }
  if (e->bytes + bytes > e->room) {
    const size_t room = e->bytes + bytes > 2 * e->room ? e->bytes + bytes : 2 * e->room;
    char *larger = realloc(e->body, room);
    if (!larger)
      return false;
    e->body = larger;
    e->room = room;
  }
  memcpy(e->body + e->bytes, data, bytes);
  e->bytes += bytes;
  return true;
}

/* libmicrohttpd calls it for the headers, for each piece of the body, and at its end. */
static enum MHD_Result handle(void *user, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *bytes, void **state)
{
  server *self = user;
  (void)version;
  exchange *e = *state;
  if (!e)
    return begin(self, c, (exchange **)state);
  if (*bytes) {
    const bool good = append(self, e, data, *bytes);
    *bytes = 0;
    return good ? MHD_YES : MHD_NO;
  }
  if (e->submitted)
    return send_answer(self, e);
  if (!strcmp(method, "GET"))
    return get(self, c, url);
  char path[160];
  snprintf(path, sizeof path, "/v2/models/%s/infer", self->params->model);
  if (strcmp(method, "POST") || strcmp(url, path))
    return send_error(c, 404, "no such path");
  return infer(self, e);
}

static void completed(void *user, struct MHD_Connection *c, void **state,
                      enum MHD_RequestTerminationCode code)
{
  exchange *e = *state;
  (void)c;
  if (!e)
    return;
  expect_no_more(user, e);
  /* To a client that had left, too: most of them because it was late. */
  if (e->submitted && e->request.status == 200 && code != MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN)
    batcher_answered(((server *)user)->params->batcher, &e->request);
  free(e->request.outputs);
  free(e->infer.numbers);
  free(e->body);
  free(e);
}

server *server_start(const server_params *params)
{
  server *self = calloc(1, sizeof *self);
  if (!self)
    return NULL;
  self->params = params;
  /* As text a number takes some 20 bytes at most. */
  self->most_bytes = 4096 + 20 * MOST_SAMPLES * params->input.elements_per_sample;
  const struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(params->port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  self->daemon = MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, params->port, NULL, NULL, handle,
      self, MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&address, MHD_OPTION_CONNECTION_LIMIT,
      (unsigned)MOST_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_NOTIFY_COMPLETED,
      completed, self, MHD_OPTION_END);
  if (self->daemon)
    return self;
  fprintf(stderr, "service: cannot listen on port %u\n", params->port);
  free(self);
  return NULL;
}

uint16_t server_port(const server *self)
{
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(self->daemon, MHD_DAEMON_INFO_BIND_PORT);
  return info ? info->port : 0;
}

void server_drain(server *self)
{
  self->draining = true;
  const MHD_socket listening = MHD_quiesce_daemon(self->daemon);
  if (listening != MHD_INVALID_SOCKET)
    close(listening);
}

void server_stop(server *self)
{
  /* Answers that are on their way: the daemon closes connections at once when stopped. */
  const struct timespec pause = {0, 200000000};
  nanosleep(&pause, NULL);
  MHD_stop_daemon(self->daemon);
  free(self);
}
