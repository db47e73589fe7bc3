/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include "common/diagnose.h"
#include "exchange.h"
#include "infer.h"
#include "server_inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 2048, CLOSING_CONNECTIONS = 64, OTHER_FILES = 192 };
/*
 * Half of it is what is received at a time; beyond that much libmicrohttpd maps it anew each time.
 */
enum { CONNECTION_BYTES = 32 << 10, FIRST_ROOM = 64 << 10 };

static const int64_t LAST_ANSWERS_NS = 2000000000;

static struct MHD_Response *response_of(char *text, size_t bytes, const char *type)
{
  struct MHD_Response *r = MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE);
  if (r)
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  else
    free(text);
  return r;
}

/* Sends text that free() frees, but not when it is NULL: then there was no memory. */
static enum MHD_Result send_text(exchange *e, unsigned status, const char *type, char *text,
                                 size_t bytes)
{
  server *self = e->of;
  struct MHD_Response *r = text ? response_of(text, bytes, type) : NULL;
  if (!r)
    return MHD_NO;
  if (status == 429 || status == 503)
    MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "1");
  if (e->allow)
    MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, e->allow);
  if (status == 415)
    MHD_add_response_header(r, MHD_HTTP_HEADER_ACCEPT_ENCODING, "gzip, deflate");
  if (self->draining)
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
  if (e->text_header_bytes) {
    char number[24];
    snprintf(number, sizeof number, "%zu", e->text_header_bytes);
    MHD_add_response_header(r, "Inference-Header-Content-Length", number);
  }
  door_phase(self->door, e->visitor, PHASE_ANSWER, NULL);
  atomic_fetch_add(&self->responses.by_status[status], 1);
  const enum MHD_Result result = MHD_queue_response(e->connection, status, r);
  MHD_destroy_response(r);
  return result;
}

static enum MHD_Result send_json(exchange *e, unsigned status, char *text)
{
  return send_text(e, status, "application/json", text, text ? strlen(text) : 0);
}

static enum MHD_Result send_problem(exchange *e)
{
  return send_json(e, e->problem.status, protocol_error(e->problem.text));
}

static enum MHD_Result send_answer(exchange *e)
{
  if (e->problem.status)
    return send_problem(e);
  char *text = e->text;
  e->text = NULL;
  return send_text(e, 200, e->text_header_bytes ? "application/octet-stream" : "application/json",
                   text, e->text_bytes);
}

static enum MHD_Result get(exchange *e)
{
  server *self = e->of;
  const server_params *p = self->params;
  const bool ready = !self->draining;
  switch (e->route) {
  case ROUTE_LIVE: return send_json(e, 200, strdup("{\"live\":true}"));
  case ROUTE_SERVER:
    return send_json(e, 200,
                     strdup("{\"name\":\"qosbatch-serve\",\"version\":\"" QB_LIBRARY_VERSION
                            "\",\"extensions\":[\"binary_tensor_data\"]}"));
  case ROUTE_READY:
    return send_json(e, ready ? 200 : 503,
                     strdup(ready ? "{\"ready\":true}" : "{\"ready\":false}"));
  case ROUTE_MODEL: return send_json(e, 200, protocol_metadata(&p->model));
  default: break;
  }
  const door_counts counts = door_count(self->door);
  char *text = metrics_text(p->batcher, &p->qos, &self->responses, &counts, self->memory.used);
  return send_text(e, 200, "text/plain; version=0.0.4; charset=utf-8", text,
                   text ? strlen(text) : 0);
}

/*
 * Makes room for bytes that have come: of the bodies the one gives way that has come for longest.
 */
static bool hold_body(exchange *e, size_t bytes)
{
  server *self = e->of;
  while (!budget_take(&self->memory, bytes)) {
    exchange *stalled = door_find_stalled(self->door, e->visitor);
    if (!stalled)
      return false;
    stalled->is_over = true;
    infer_free(stalled);
  }
  e->held += bytes;
  return true;
}

/* It grows with what has come, whatever length was announced. */
static bool grow_body(exchange *e, size_t bytes)
{
  if (bytes < e->room)
    return true;
  const size_t expected = (size_t)e->upload.expected_bytes;
  const size_t doubled = 2 * bytes < FIRST_ROOM ? FIRST_ROOM : 2 * bytes;
  const size_t room = expected >= bytes && expected < doubled ? expected + 1 : doubled;
  if (!hold_body(e, room - e->room))
    return false;
  char *larger = realloc(e->body, room);
  if (!larger) {
    budget_give(&e->of->memory, room - e->room);
    e->held -= room - e->room;
    return false;
  }
  e->body = larger;
  e->room = room;
  return true;
}

/* A piece of the body. */
static enum MHD_Result append(exchange *e, const char *data, size_t bytes)
{
  server *self = e->of;
  if (e->is_over)
    return MHD_NO;
  const size_t all = e->bytes + bytes;
  const bool fits = all <= e->most_bytes;
  if (!fits || !grow_body(e, all)) {
    const unsigned status = fits ? 503 : 413;
    door_refuse(self->door, e->visitor, fits ? "503 Service Unavailable" : "413 Content Too Large");
    atomic_fetch_add(&self->responses.by_status[status], 1);
    e->is_over = true;
    return MHD_NO;
  }
  batcher_uploading(self->params->batcher, &e->upload, bytes);
  memcpy(e->body + e->bytes, data, bytes);
  e->bytes = all;
  e->body[all] = 0;
  return MHD_YES;
}

static enum MHD_Result begin(server *self, struct MHD_Connection *c, const char *url,
                             const char *method, exchange **made)
{
  exchange *e = *made = calloc(1, sizeof *e);
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  if (!e || !info || !info->socket_context)
    return MHD_NO;
  e->of = self;
  e->connection = c;
  e->visitor = info->socket_context;
  e->request.arrived_ns = batcher_now_ns();
  exchange_begin(e, url, method);
  if (!exchange_has_body(e)) /* the answer comes with the next call, and the connection stays */
    return MHD_YES;
  if (e->problem.status) {
    door_answered_early(self->door, e->visitor);
    return send_problem(e);
  }
  door_phase(self->door, e->visitor, PHASE_BODY, e);
  return MHD_YES;
}

/* libmicrohttpd calls it for the headers, for each piece of the body, and at its end. */
static enum MHD_Result handle(void *user, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *bytes, void **state)
{
  exchange *e = *state;
  (void)version;
  if (!e)
    return begin(user, c, url, method, (exchange **)state);
  if (*bytes) {
    const enum MHD_Result result = append(e, data, *bytes);
    *bytes = 0;
    return result;
  }
  if (e->is_answered)
    return send_answer(e);
  if (e->problem.status)
    return send_problem(e);
  if (e->route != ROUTE_INFER)
    return get(e);
  batcher_uploaded(e->of->params->batcher, &e->upload);
  infer_start(e);
  return MHD_YES;
}

static void completed(void *user, struct MHD_Connection *c, void **state,
                      enum MHD_RequestTerminationCode code)
{
  exchange *e = *state;
  server *self = user;
  (void)c;
  if (!e)
    return;
  batcher_uploaded(self->params->batcher, &e->upload);
  /* To a client that had left, too: most of them because it was late. */
  if (e->is_answered && !e->problem.status && code != MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN)
    batcher_answered(self->params->batcher, &e->request);
  if (e->visitor)
    door_phase(self->door, e->visitor, PHASE_REQUEST, NULL);
  if (e->of)
    infer_free(e);
  free(e);
}

/* A visitor for a new connection; NULL: no memory. What MHD_get_connection_info() returns, the next
 * call overwrites. */
static visitor *enter(server *self, struct MHD_Connection *c)
{
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
  const int socket = info ? info->connect_fd : -1;
  info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  return socket >= 0 && info ? door_enter(self->door, socket, info->client_addr) : NULL;
}

static void connected(void *user, struct MHD_Connection *c, void **state,
                      enum MHD_ConnectionNotificationCode code)
{
  server *self = user;
  if (code == MHD_CONNECTION_NOTIFY_STARTED)
    *state = enter(self, c);
  else if (*state)
    door_leave(self->door, *state);
}

/* A socket that listens, or -1 after a message. */
static int listen_at(const server_params *p)
{
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(p->port)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(p->port)};
  const bool is_v6 = strchr(p->address, ':');
  const struct sockaddr *address = is_v6 ? (const struct sockaddr *)&v6 : (const void *)&v4;
  if (inet_pton(is_v6 ? AF_INET6 : AF_INET, p->address,
                is_v6 ? (void *)&v6.sin6_addr : &v4.sin_addr) != 1) {
    fail("--address '%s': expected an address in digits, such as 127.0.0.1 or ::1", p->address);
    return -1;
  }
  const int one = 1, s = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s >= 0 && !setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) &&
      !bind(s, address, is_v6 ? sizeof v6 : sizeof v4) && !listen(s, SOMAXCONN))
    return s;
  fail("cannot listen on %s, port %u: %s", p->address, p->port, strerror(errno));
  if (s >= 0)
    close(s);
  return -1;
}

/* As many as there may be files, which it makes the most of. */
static uint32_t most_connections(void)
{
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files))
    return MOST_CONNECTIONS / 8;
  files.rlim_cur = files.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &files);
  (void)getrlimit(RLIMIT_NOFILE, &files);
  const rlim_t possible =
      files.rlim_cur > 2 * OTHER_FILES ? files.rlim_cur - OTHER_FILES : OTHER_FILES;
  return possible < MOST_CONNECTIONS ? (uint32_t)possible : MOST_CONNECTIONS;
}

static void release(server *self)
{
  if (self->desk)
    desk_free(self->desk);
  if (self->door)
    door_close(self->door);
  free(self);
}

server *server_start(const server_params *params)
{
  const int listening = listen_at(params);
  server *self = listening < 0 ? NULL : calloc(1, sizeof *self);
  if (!self)
    return NULL;
  const uint32_t most = most_connections();
  self->params = params;
  self->listening = MHD_INVALID_SOCKET;
  self->memory.most = params->memory_bytes;
  self->door = door_open(most, params->timeout_ns);
  self->desk = desk_open();
  if (self->door && self->desk)
    self->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
            (strchr(params->address, ':') ? MHD_USE_IPv6 : 0u),
        0, NULL, NULL, handle, self, MHD_OPTION_LISTEN_SOCKET, listening,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)most + CLOSING_CONNECTIONS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_NOTIFY_COMPLETED,
        completed, self, MHD_OPTION_NOTIFY_CONNECTION, connected, self, MHD_OPTION_END);
  if (self->daemon)
    return self;
  fail("cannot start the HTTP server: %s", strerror(errno));
  close(listening);
  if (self->desk)
    desk_stop(self->desk);
  release(self);
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
  /* Refuses newcomers. It stays open: the daemon's thread has yet to remove it from its epoll. */
  self->listening = MHD_quiesce_daemon(self->daemon);
  if (self->listening != MHD_INVALID_SOCKET)
    shutdown(self->listening, SHUT_RDWR);
  door_wait_quiet(self->door, true, self->params->grace_ns);
}

void server_stop(server *self)
{
  desk_stop(self->desk);
  door_wait_quiet(self->door, false, LAST_ANSWERS_NS);
  MHD_stop_daemon(self->daemon);
  if (self->listening != MHD_INVALID_SOCKET)
    close(self->listening);
  release(self);
}
