/* SPDX-License-Identifier: Apache-2.0 */
/* The way of an infer request from its body to its answer, beside the event loop. */
#ifndef SERVE_INFER_H
#define SERVE_INFER_H

#include "exchange.h"

/* The body is there; the connection sleeps until the answer, or the problem, is. */
void infer_start(exchange *e);

/* Gives back what the exchange holds of the server's memory. */
void infer_free(exchange *e);

#endif
