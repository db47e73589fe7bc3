/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP: connections, routes, and requests that wait for their answer. */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include "batcher.h"
#include "protocol.h"

typedef struct server_params {
  const char *address; /* of IPv4 or IPv6, in digits */
  uint16_t port;       /* 0: any free one */
  protocol_model model;
  batcher *batcher;
  qb_qos qos;
  size_t memory_bytes; /* that bodies may hold together */
  int64_t timeout_ns;  /* for headers, body and sending an answer each */
  int64_t grace_ns;    /* that connections have for a last request when it stops */
} server_params;

typedef struct server server;

/* Listens. `params` stays valid until the end. Returns NULL after a message on stderr. */
server *server_start(const server_params *params);
uint16_t server_port(const server *self);

/*
 * Refuses new connections and says it is not ready; those there are get an answer and are closed.
 */
void server_drain(server *self);

/* Once the batcher has stopped: sends the last answers and closes. */
void server_stop(server *self);

#endif
