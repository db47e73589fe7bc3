/* SPDX-License-Identifier: Apache-2.0 */
#include "door.h"

#include "common/clock.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { TICK_MS = 100, MOST_LINGERING = 64 };
static const int64_t IDLE_NS = 60000000000, LINGER_NS = 2000000000;

/* An address, of IPv6 the half that a provider gives to one customer. */
typedef struct client {
  uint8_t address[8];
  uint32_t connections;
  struct client *next;
} client;

struct visitor {
  int socket;
  client *of;
  phase phase;
  int64_t since_ns;
  int64_t gone_ns; /* since_ns when the other end was found closed; 0: it was not */
  bool answered, answered_early, closing;
  void *user;
  visitor *previous, *next;
};

typedef struct lingering {
  int socket;
  int64_t until_ns;
} lingering;

struct door {
  uint32_t most;
  int64_t timeout_ns;
  pthread_t thread;
  int wake;             /* an eventfd: there is work for the thread, or it is to end */
  pthread_mutex_t lock; /* of all below */
  visitor *first;
  client *clients;
  struct pollfd *polled;
  uint32_t polled_room;
  lingering lingering[MOST_LINGERING];
  uint32_t lingering_count;
  bool ending;
  door_counts counts;
};

static void wake(door *self)
{
  const uint64_t one = 1;
  (void)!write(self->wake, &one, sizeof one);
}

/* Without the event loop, which writes nothing for a request that is not complete. */
static void say(const visitor *v, const char *status)
{
  char text[256];
  const int bytes =
      snprintf(text, sizeof text,
               "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n{\"error\":\"%s\"}",
               status, strlen(status) - 4 + sizeof "{\"error\":\"\"}" - 1, status + 4);
  (void)!send(v->socket, text, (size_t)bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The event loop sees the end of the connection and closes it. Called with the lock. */
static void shut(visitor *v, const char *status)
{
  if (status)
    say(v, status);
  shutdown(v->socket, SHUT_RDWR);
  v->closing = true;
}

static bool is_early(const visitor *v)
{
  return v->phase == PHASE_BODY || (v->phase == PHASE_REQUEST && !v->answered);
}

static int64_t deadline_ns(const door *self, const visitor *v)
{
  if (v->phase == PHASE_WORK)
    return INT64_MAX;
  return v->since_ns + (v->phase == PHASE_REQUEST && v->answered ? IDLE_NS : self->timeout_ns);
}

static void end_late(door *self, int64_t now_ns)
{
  for (visitor *v = self->first; v; v = v->next)
    if (!v->closing && now_ns > deadline_ns(self, v)) {
      self->counts.timed_out++;
      shut(v, v->phase == PHASE_BODY ? "408 Request Timeout" : NULL);
    }
}

/*
 * Clients that have left: epoll tells of an end once, and libmicrohttpd does not notice one that
 * came together with the last bytes. Who is waiting for an answer may have closed one direction
 * only.
 */
static void end_left(door *self)
{
  if (self->counts.connections > self->polled_room) {
    struct pollfd *more = realloc(self->polled, self->counts.connections * sizeof *more);
    if (!more)
      return;
    self->polled = more;
    self->polled_room = self->counts.connections;
  }
  nfds_t count = 0;
  for (visitor *v = self->first; v; v = v->next)
    self->polled[count++] = (struct pollfd){.fd = v->socket, .events = POLLRDHUP};
  if (poll(self->polled, count, 0) <= 0)
    return;
  count = 0;
  for (visitor *v = self->first; v; v = v->next) {
    int unread = 0;
    const bool gone = self->polled[count++].revents & (POLLRDHUP | POLLHUP) && !v->closing &&
                      (v->phase == PHASE_REQUEST || v->phase == PHASE_BODY) &&
                      !ioctl(v->socket, FIONREAD, &unread) && !unread;
    if (gone && v->gone_ns == v->since_ns) { /* the event loop had the time of a tick */
      self->counts.left++;
      shut(v, NULL);
    }
    v->gone_ns = gone ? v->since_ns : 0;
  }
}

static void discard(door *self, int64_t now_ns)
{
  char unread[1 << 14];
  uint32_t kept = 0;
  for (uint32_t i = 0; i < self->lingering_count; i++) {
    const lingering l = self->lingering[i];
    ssize_t got;
    do
      got = recv(l.socket, unread, sizeof unread, MSG_DONTWAIT);
    while (got > 0);
    if (got < 0 && now_ns < l.until_ns)
      self->lingering[kept++] = l;
    else
      close(l.socket);
  }
  self->lingering_count = kept;
}

/* Sleeps until there is something to do. Called with the lock, which is given up meanwhile. */
static void sleep_until_due(door *self)
{
  struct pollfd watched[1 + MOST_LINGERING] = {{.fd = self->wake, .events = POLLIN}};
  const nfds_t count = 1 + self->lingering_count;
  for (nfds_t i = 1; i < count; i++)
    watched[i] = (struct pollfd){.fd = self->lingering[i - 1].socket, .events = POLLIN};
  const int timeout_ms = self->first || self->lingering_count ? TICK_MS : -1;
  pthread_mutex_unlock(&self->lock);
  poll(watched, count, timeout_ms);
  uint64_t ignored;
  if (watched[0].revents)
    (void)!read(self->wake, &ignored, sizeof ignored);
  pthread_mutex_lock(&self->lock);
}

static void *watch(void *user)
{
  door *self = user;
  int64_t next_ns = 0;
  pthread_mutex_lock(&self->lock);
  while (!self->ending) {
    const int64_t now_ns = clock_ns();
    discard(self, now_ns);
    if (now_ns >= next_ns) {
      end_late(self, now_ns);
      end_left(self);
      next_ns = now_ns + TICK_MS * 1000000;
    }
    sleep_until_due(self);
  }
  pthread_mutex_unlock(&self->lock);
  return NULL;
}

door *door_open(uint32_t most, int64_t timeout_ns)
{
  door *self = calloc(1, sizeof *self);
  if (!self)
    return NULL;
  self->most = most;
  self->timeout_ns = timeout_ns;
  self->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&self->lock, NULL);
  if (self->wake >= 0 && !pthread_create(&self->thread, NULL, watch, self))
    return self;
  if (self->wake >= 0)
    close(self->wake);
  free(self);
  return NULL;
}

void door_close(door *self)
{
  pthread_mutex_lock(&self->lock);
  self->ending = true;
  pthread_mutex_unlock(&self->lock);
  wake(self);
  pthread_join(self->thread, NULL);
  for (uint32_t i = 0; i < self->lingering_count; i++)
    close(self->lingering[i].socket);
  close(self->wake);
  pthread_mutex_destroy(&self->lock);
  free(self->polled);
  free(self);
}

static void copy_address(uint8_t to[8], const struct sockaddr *address)
{
  memset(to, 0, 8);
  if (address->sa_family == AF_INET)
    memcpy(to, &((const struct sockaddr_in *)address)->sin_addr, 4);
  else if (address->sa_family == AF_INET6)
    memcpy(to, &((const struct sockaddr_in6 *)address)->sin6_addr, 8);
}

static client *client_of(door *self, const struct sockaddr *address)
{
  uint8_t key[8];
  copy_address(key, address);
  for (client *c = self->clients; c; c = c->next)
    if (!memcmp(c->address, key, sizeof key))
      return c;
  client *c = calloc(1, sizeof *c);
  if (!c)
    return NULL;
  memcpy(c->address, key, sizeof key);
  c->next = self->clients;
  self->clients = c;
  return c;
}

static void forget(door *self, client *c)
{
  if (--c->connections)
    return;
  client **at = &self->clients;
  while (*at != c)
    at = &(*at)->next;
  *at = c->next;
  free(c);
}

/* Whether `v` is to give way rather than `other`. */
static bool goes_before(const visitor *v, const visitor *other)
{
  if (v->of->connections != other->of->connections)
    return v->of->connections > other->of->connections;
  if (is_early(v) != is_early(other))
    return is_early(v);
  return v->since_ns < other->since_ns;
}

/* Makes room for one more. False: all are waiting for answers. Called with the lock. */
static bool make_room(door *self)
{
  visitor *worst = NULL;
  for (visitor *v = self->first; v; v = v->next)
    if (!v->closing && (v->phase == PHASE_REQUEST || v->phase == PHASE_BODY) &&
        (!worst || goes_before(v, worst)))
      worst = v;
  if (!worst)
    return false;
  self->counts.gave_way++;
  shut(worst, worst->phase == PHASE_BODY ? "503 Service Unavailable" : NULL);
  return true;
}

visitor *door_enter(door *self, int socket, const struct sockaddr *address)
{
  visitor *v = calloc(1, sizeof *v);
  if (!v)
    return NULL;
  v->socket = socket;
  v->since_ns = clock_ns();
  pthread_mutex_lock(&self->lock);
  v->of = client_of(self, address);
  if (!v->of) {
    pthread_mutex_unlock(&self->lock);
    free(v);
    return NULL;
  }
  if (self->counts.connections >= self->most && !make_room(self)) {
    self->counts.turned_away++;
    shut(v, "503 Service Unavailable");
  }
  v->of->connections++;
  self->counts.connections++;
  const bool is_first = !self->first;
  v->next = self->first;
  if (v->next)
    v->next->previous = v;
  self->first = v;
  pthread_mutex_unlock(&self->lock);
  if (is_first)
    wake(self);
  return v;
}

/* Keeps the connection open when its socket is closed. Called with the lock. */
static bool linger(door *self, int socket)
{
  if (self->lingering_count == MOST_LINGERING)
    return false;
  const int copy = dup(socket);
  if (copy < 0)
    return false;
  shutdown(copy, SHUT_WR);
  self->lingering[self->lingering_count++] = (lingering){copy, clock_ns() + LINGER_NS};
  return true;
}

void door_answered_early(door *self, visitor *v)
{
  pthread_mutex_lock(&self->lock);
  v->answered_early = true;
  pthread_mutex_unlock(&self->lock);
}

void door_leave(door *self, visitor *v)
{
  pthread_mutex_lock(&self->lock);
  const bool lingers = v->answered_early && !v->closing && linger(self, v->socket);
  *(v->previous ? &v->previous->next : &self->first) = v->next;
  if (v->next)
    v->next->previous = v->previous;
  forget(self, v->of);
  self->counts.connections--;
  pthread_mutex_unlock(&self->lock);
  free(v);
  if (lingers)
    wake(self);
}

void door_phase(door *self, visitor *v, phase now, void *user)
{
  pthread_mutex_lock(&self->lock);
  v->answered = v->answered || v->phase == PHASE_ANSWER;
  v->phase = now;
  v->since_ns = clock_ns();
  v->user = user;
  pthread_mutex_unlock(&self->lock);
}

void door_refuse(door *self, visitor *v, const char *status)
{
  pthread_mutex_lock(&self->lock);
  if (!v->closing)
    say(v, status);
  v->answered_early = true;
  pthread_mutex_unlock(&self->lock);
}

void *door_find_stalled(door *self, const visitor *other)
{
  visitor *worst = NULL;
  pthread_mutex_lock(&self->lock);
  for (visitor *v = self->first; v; v = v->next)
    if (v != other && !v->closing && v->phase == PHASE_BODY &&
        (!worst || v->since_ns < worst->since_ns))
      worst = v;
  if (worst) {
    self->counts.gave_way++;
    shut(worst, "503 Service Unavailable");
  }
  pthread_mutex_unlock(&self->lock);
  return worst ? worst->user : NULL;
}

door_counts door_count(door *self)
{
  pthread_mutex_lock(&self->lock);
  const door_counts counts = self->counts;
  pthread_mutex_unlock(&self->lock);
  return counts;
}

static bool is_quiet(door *self, bool all_closed)
{
  pthread_mutex_lock(&self->lock);
  bool quiet = !all_closed || !self->first;
  for (const visitor *v = self->first; v && quiet; v = v->next)
    quiet = v->phase == PHASE_REQUEST || v->closing;
  pthread_mutex_unlock(&self->lock);
  return quiet;
}

void door_wait_quiet(door *self, bool all_closed, int64_t most_ns)
{
  const int64_t until_ns = clock_ns() + most_ns;
  const struct timespec pause = {0, 5000000};
  while (!is_quiet(self, all_closed) && clock_ns() < until_ns)
    nanosleep(&pause, NULL);
}
