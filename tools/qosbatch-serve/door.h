/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is connected, and for how long. Whoever does not get on gives way: a connection has a
 * deadline for each phase of a request, whatever bytes come meanwhile; when there are too many, the
 * client (an address) with the most connections loses the one that has waited for longest.
 * libmicrohttpd has a limit for idle connections and one for the connections of an address, but any
 * byte restarts the first, and the second turns newcomers away, /v2/health included.
 */
#ifndef SERVE_DOOR_H
#define SERVE_DOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

typedef enum phase {
  PHASE_REQUEST, /* a request's headers are to come */
  PHASE_BODY,    /* its body is to come */
  PHASE_WORK,    /* it waits for its answer; no deadline: that is the batcher's matter */
  PHASE_ANSWER   /* the answer is being sent */
} phase;

/* Connections that were closed, by reason. */
typedef struct door_counts {
  uint64_t timed_out, gave_way, turned_away, left;
  uint32_t connections;
} door_counts;

typedef struct door door;
typedef struct visitor visitor;

/* `timeout_ns`: for headers, body and sending an answer each. NULL: no memory, or no thread. */
door *door_open(uint32_t most, int64_t timeout_ns);
void door_close(door *self);

/* NULL: no memory. The connection may be one that was turned away and is closing. */
visitor *door_enter(door *self, int socket, const struct sockaddr *address);

/*
 * The client got an answer before it had sent its body. What it still sends is thrown away for a
 * while when the connection is closed, or it would not see the answer.
 */
void door_answered_early(door *self, visitor *v);

/* Before the socket is closed. */
void door_leave(door *self, visitor *v);

/* A new phase; `user` is for door_find_stalled(). */
void door_phase(door *self, visitor *v, phase now, void *user);

/* Answers a request whose body is being received; the connection is to be closed then. */
void door_refuse(door *self, visitor *v, const char *status);

/*
 * The user of the connection whose body has been coming for longest, but not `other`; it is closed.
 * NULL: there is none.
 */
void *door_find_stalled(door *self, const visitor *other);

door_counts door_count(door *self);

/* Until no connection has a request under way, or all have closed; at most so long. */
void door_wait_quiet(door *self, bool all_closed, int64_t most_ns);

#endif
