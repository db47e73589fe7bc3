/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP exchange from its first header to its last byte, and what it asks for. */
#ifndef SERVE_EXCHANGE_H
#define SERVE_EXCHANGE_H

#include "batcher.h"
#include "budget.h"
#include "desk.h"
#include "door.h"
#include "protocol.h"

#include <microhttpd.h>

typedef enum route {
  ROUTE_NONE,
  ROUTE_INFER,
  ROUTE_LIVE,
  ROUTE_READY,
  ROUTE_SERVER,
  ROUTE_MODEL,
  ROUTE_METRICS
} route;

struct server;

typedef struct exchange {
  request request; /* first: the batcher's callback casts */
  task task;
  struct server *of;
  struct MHD_Connection *connection;
  visitor *visitor;
  route route;
  problem problem; /* status 0: none */
  const char *allow;
  /* The body. */
  size_t most_bytes; /* it may have */
  size_t header_bytes;
  bool is_packed, is_over; /* is_over: it was ended while its body came */
  upload upload;
  char *body;
  size_t bytes, room, held; /* held: of the server's memory, by all that is here */
  infer_request infer;
  float *numbers;
  /* The answer. */
  bool is_answered; /* or there is a problem */
  char *text;
  size_t text_bytes, text_header_bytes;
} exchange;

/*
 * Finds the route and reads the headers; a problem when the request cannot be good, whatever its
 * body is.
 */
void exchange_begin(exchange *e, const char *url, const char *method);

/* Whether a body follows the headers. */
bool exchange_has_body(const exchange *e);

/* Whether the client waits for a word before it sends the body: "100 Continue", or a refusal. */
bool exchange_waits(const exchange *e);

#endif
