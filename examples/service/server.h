/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP: connections, routes, and requests that wait for their answer. */
#ifndef SERVICE_SERVER_H
#define SERVICE_SERVER_H

#include "batcher.h"

typedef struct server_params {
  uint16_t port; /* of 127.0.0.1; 0: any free one */
  const char *model;
  qb_tensor_info input, output;
  batcher *batcher;
  const qb_service_plan *plan;
  const qb_qos *qos;
} server_params;

typedef struct server server;

/* Listens. `params` stays valid until the end. Returns NULL after a message on stderr. */
server *server_start(const server_params *params);
uint16_t server_port(const server *self);

/* Refuses new connections and says it is not ready; what is under way goes on. */
void server_drain(server *self);

/* Once the batcher has stopped: sends the last answers and closes. */
void server_stop(server *self);

#endif
