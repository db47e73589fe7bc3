/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the HTTP server share. */
#ifndef SERVE_SERVER_INSIDE_H
#define SERVE_SERVER_INSIDE_H

#include "budget.h"
#include "desk.h"
#include "door.h"
#include "metrics.h"
#include "server.h"

#include <microhttpd.h>
#include <stdatomic.h>

#define TOO_LATE "too late to be answered within the target"

struct server {
  const server_params *params;
  struct MHD_Daemon *daemon;
  MHD_socket listening; /* ours again once the daemon takes no more connections */
  door *door;
  desk *desk;
  budget memory;
  atomic_bool draining;
  response_counts responses;
};

#endif
