/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP client that keeps to a schedule: requests leave when they are due, whatever came back. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What became of a request, in the order they were due. */
typedef struct reply {
  int64_t due_ns;     /* since the start */
  int64_t latency_ns; /* from then to the last byte of the answer */
  int status;         /* HTTP; 0: none came */
} reply;

typedef struct client client;

/* The body of one answer to GET; free(). NULL after a message on stderr. */
char *client_get(uint16_t port, const char *path);

/*
 * Connects to 127.0.0.1; all requests are `bytes` of `text`, which says "Expect: 100-continue": the
 * body behind the first `head_bytes` is sent when the server asks for it. NULL after a message on
 * stderr.
 */
client *client_new(uint16_t port, const char *text, size_t head_bytes, size_t bytes,
                   uint32_t connections);
void client_free(client *self);

/*
 * Open loop: sends `count` requests at replies[].due_ns and waits for their answers. Closed loop
 * (at_once > 0): that many under way at any time, until `for_ns` is over; returns how many were
 * answered. In a closed loop one that is refused makes a pause before it tries again.
 */
size_t client_run(client *self, reply *replies, size_t count, uint32_t at_once, int64_t for_ns);

int64_t client_now_ns(void);

#endif
