/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_MOST = 4096, EVENTS = 64, PATIENCE_MS = 10000, ANSWER_MOST = 1 << 20 };
static const int64_t REST_NS = 2000000;

typedef struct connection {
  int socket;                  /* -1: closed */
  bool busy, writing, welcome; /* welcome: the server said 100 Continue */
  bool retried;                /* sent again: the server had closed the connection meanwhile */
  size_t sent, got, expected;  /* expected: bytes of the whole answer; 0: not known yet */
  size_t reply;                /* index */
  char header[HEADER_MOST + 1];
} connection;

struct client {
  uint16_t port;
  const char *text;
  size_t head_bytes, bytes;
  int epoll;
  uint32_t count;
  connection *connections;
  uint32_t *idle; /* a stack */
  uint32_t idle_count;
  int64_t start_ns;
  reply *replies;
  size_t answered;
  int64_t rest_until_ns; /* in a closed loop: the server has refused one */
};

int64_t client_now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* -1 after a message. */
static int connect_to(uint16_t port)
{
  const struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
  if (s >= 0 && !connect(s, (const struct sockaddr *)&address, sizeof address)) {
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return s;
  }
  fprintf(stderr, "load: cannot connect to port %u: %s\n", port, strerror(errno));
  if (s >= 0)
    close(s);
  return -1;
}

char *client_get(uint16_t port, const char *path)
{
  char request[256], *answer = calloc(1, ANSWER_MOST + 1);
  const int s = connect_to(port), bytes = snprintf(request, sizeof request,
                                                   "GET %s HTTP/1.1\r\nHost: localhost\r\n"
                                                   "Connection: close\r\n\r\n",
                                                   path);
  if (s < 0 || !answer || send(s, request, (size_t)bytes, MSG_NOSIGNAL) != bytes) {
    free(answer);
    return NULL;
  }
  size_t used = 0;
  ssize_t got;
  while (used < ANSWER_MOST && (got = recv(s, answer + used, ANSWER_MOST - used, 0)) > 0)
    used += (size_t)got;
  close(s);
  const char *body = strstr(answer, "\r\n\r\n");
  if (!body || strncmp(answer, "HTTP/1.1 200 ", 13)) {
    fprintf(stderr, "load: no answer to GET %s\n", path);
    free(answer);
    return NULL;
  }
  memmove(answer, body + 4, strlen(body + 4) + 1);
  return answer;
}

static bool open_connection(client *self, connection *c)
{
  c->socket = connect_to(self->port);
  if (c->socket < 0)
    return false;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  return !epoll_ctl(self->epoll, EPOLL_CTL_ADD, c->socket, &event);
}

client *client_new(uint16_t port, const char *text, size_t head_bytes, size_t bytes,
                   uint32_t connections)
{
  client *self = calloc(1, sizeof *self);
  if (!self)
    return NULL;
  *self = (client){
      .port = port, .text = text, .head_bytes = head_bytes, .bytes = bytes, .count = connections};
  self->epoll = epoll_create1(EPOLL_CLOEXEC);
  self->connections = calloc(connections, sizeof *self->connections);
  self->idle = calloc(connections, sizeof *self->idle);
  bool good = self->epoll >= 0 && self->connections && self->idle;
  for (uint32_t i = 0; i < connections && good; i++) {
    good = open_connection(self, &self->connections[i]);
    self->idle[self->idle_count++] = i;
  }
  if (good)
    return self;
  client_free(self);
  return NULL;
}

void client_free(client *self)
{
  if (!self)
    return;
  for (uint32_t i = 0; self->connections && i < self->count; i++)
    if (self->connections[i].socket > 0)
      close(self->connections[i].socket);
  if (self->epoll >= 0)
    close(self->epoll);
  free(self->connections);
  free(self->idle);
  free(self);
}

static void watch(client *self, connection *c, bool writing)
{
  if (c->writing == writing)
    return;
  c->writing = writing;
  struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0u), .data.ptr = c};
  epoll_ctl(self->epoll, EPOLL_CTL_MOD, c->socket, &event);
}

static bool reopen(client *self, connection *c)
{
  close(c->socket);
  c->writing = false;
  const bool good = open_connection(self, c);
  if (!good)
    c->socket = -1;
  return good;
}

/*
 * The exchange is over; status 0: the connection broke. One that the server leaves is opened anew.
 */
static void end(client *self, connection *c, int status)
{
  reply *r = &self->replies[c->reply];
  r->status = status;
  const int64_t now_ns = client_now_ns();
  r->latency_ns = now_ns - self->start_ns - r->due_ns;
  if (status == 429)
    self->rest_until_ns = now_ns + REST_NS;
  self->answered++;
  c->busy = false;
  const bool left = !status || strcasestr(c->header, "\r\nconnection: close");
  if (left && !reopen(self, c))
    return;
  self->idle[self->idle_count++] = (uint32_t)(c - self->connections);
}

static void lost(client *self, connection *c);

/* The head; the body when the server asks for it. */
static void send_more(client *self, connection *c)
{
  const size_t bytes = c->welcome ? self->bytes : self->head_bytes;
  while (c->sent < bytes) {
    const ssize_t sent =
        send(c->socket, self->text + c->sent, bytes - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN)
        lost(self, c);
      else
        watch(self, c, true);
      return;
    }
    c->sent += (size_t)sent;
  }
  watch(self, c, false);
}

/*
 * A server may close a connection that was idle for long just when a request leaves on it. Nobody
 * has seen that request, so it is sent again.
 */
static void lost(client *self, connection *c)
{
  const bool unseen = !c->retried && !c->welcome && !c->got;
  if (!unseen || !reopen(self, c)) {
    end(self, c, 0);
    return;
  }
  c->retried = true;
  c->sent = 0;
  send_more(self, c);
}

static void read_header(connection *c)
{
  c->header[c->got < HEADER_MOST ? c->got : HEADER_MOST] = 0;
  const char *body = strstr(c->header, "\r\n\r\n");
  /* From the start of a line: Inference-Header-Content-Length is of a part. */
  static const char field[] = "\r\ncontent-length:";
  const char *length = strcasestr(c->header, field);
  if (body && length && length < body)
    c->expected = (size_t)(body + 4 - c->header) + strtoul(length + sizeof field - 1, NULL, 10);
}

/* All of "100 Continue", behind which the server says nothing before the body is there. */
static bool is_invitation(const connection *c)
{
  return c->got >= 16 && !memcmp(c->header, "HTTP/1.1 100", 12) &&
         !memcmp(c->header + c->got - 4, "\r\n\r\n", 4);
}

static void receive(client *self, connection *c)
{
  char rest[16384];
  for (;;) {
    const bool in_header = c->got < HEADER_MOST;
    char *to = in_header ? c->header + c->got : rest;
    const size_t room = in_header ? HEADER_MOST - c->got : sizeof rest;
    const ssize_t got = recv(c->socket, to, room, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
      return;
    if (got <= 0 || !c->busy) { /* closed, or says what nobody asked for */
      if (c->busy)
        lost(self, c);
      else
        (void)reopen(self, c);
      return;
    }
    c->got += (size_t)got;
    if (!c->welcome && is_invitation(c)) {
      c->got = 0;
      c->welcome = true;
      send_more(self, c);
      continue;
    }
    if (!c->expected)
      read_header(c);
    if (c->expected && c->got >= c->expected) {
      end(self, c, atoi(c->header + 9));
      return;
    }
  }
}

static void start(client *self, size_t index)
{
  connection *c = &self->connections[self->idle[--self->idle_count]];
  c->busy = true;
  c->sent = c->got = c->expected = 0;
  c->welcome = c->retried = false;
  c->reply = index;
  send_more(self, c);
}

static void wait_for_events(client *self, int64_t until_ns)
{
  struct epoll_event events[EVENTS];
  const int64_t left_ns = until_ns - client_now_ns();
  const struct timespec left = {left_ns > 0 ? left_ns / 1000000000 : 0,
                                left_ns > 0 ? left_ns % 1000000000 : 0};
  const int count = epoll_pwait2(self->epoll, events, EVENTS, &left, NULL);
  for (int i = 0; i < count; i++) {
    connection *c = events[i].data.ptr;
    if (c->busy && (events[i].events & EPOLLOUT))
      send_more(self, c);
    if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
      receive(self, c);
  }
}

/* Nobody waits for what is still under way: its replies are the caller's. */
static size_t give_up(client *self)
{
  const size_t answered = self->answered;
  for (uint32_t i = 0; i < self->count; i++)
    if (self->connections[i].busy)
      end(self, &self->connections[i], 0);
  return answered;
}

size_t client_run(client *self, reply *replies, size_t count, uint32_t at_once, int64_t for_ns)
{
  self->replies = replies;
  self->answered = 0;
  self->start_ns = client_now_ns();
  size_t next = 0;
  int64_t quiet_ns = self->start_ns;
  for (;;) {
    const int64_t now_ns = client_now_ns();
    const int64_t since_ns = now_ns - self->start_ns;
    const size_t before = self->answered;
    if (at_once) {
      if (since_ns >= for_ns || next == count)
        at_once = 0, count = next;
      while (at_once && now_ns >= self->rest_until_ns && next < count &&
             next - self->answered < at_once && self->idle_count) {
        replies[next].due_ns = since_ns;
        start(self, next++);
      }
    } else {
      while (next < count && replies[next].due_ns <= since_ns && self->idle_count)
        start(self, next++);
    }
    if (next == count && self->answered == count)
      return count;
    int64_t until_ns = at_once ? now_ns + REST_NS : now_ns + 50000000;
    if (!at_once && next < count && self->idle_count &&
        self->start_ns + replies[next].due_ns < until_ns)
      until_ns = self->start_ns + replies[next].due_ns;
    wait_for_events(self, until_ns);
    if (self->answered != before || next < count)
      quiet_ns = now_ns;
    if (now_ns - quiet_ns > (int64_t)PATIENCE_MS * 1000000)
      return give_up(self); /* the server is gone */
  }
}
