/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what is asked for to rounds that can be run. Each returns the exit status, after a message.
 */
#ifndef SERVE_SETUP_H
#define SERVE_SETUP_H

#include "batcher.h"
#include "common/precisions.h"
#include "protocol.h"

typedef struct demand {
  const char *model, *profile; /* profile NULL: measured briefly */
  const char *int8;            /* the network in quantized form; NULL: none */
  precision_list precisions;   /* that were asked for */
  uint64_t reserve_cores;      /* RESERVE_USUAL: the profile's */
  double rate_per_s;           /* 0: the highest there is */
  qb_qos qos;
} demand;

/* Names belong to the model. */
int setup_model(const qb_model *model, protocol_model *result);

/*
 * Loads the profile, or measures one, plans, and makes a session in which all batch sizes are
 * ready.
 */
int setup_rounds(qb_context *context, qb_model *model, const demand *d, batcher_rounds *result);
void setup_free(batcher_rounds *rounds);

#endif
