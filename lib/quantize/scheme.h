/* SPDX-License-Identifier: Apache-2.0 */
/* Which operators of a network compute on integers of 8 bits, and which tensors therefore are. */
#ifndef QB_QUANTIZE_SCHEME_H
#define QB_QUANTIZE_SCHEME_H

#include "model/graph.h"

typedef struct qb__scheme {
  const qb__graph *graph; /* a plain one */
  bool *kept;             /* by operator: a layer that is to stay in floats; the caller's choice */
  bool *integer;          /* by operator: reads integers, and writes them where `quantized` */
  bool *quantized;        /* by tensor */
  int32_t *group;         /* by tensor: those of one number share their range */
} qb__scheme;

/* All layers in integers, none kept. */
qb_status qb__scheme_init(const qb__graph *graph, qb__scheme *scheme);
void qb__scheme_clear(qb__scheme *scheme);

/* Works out all but `kept`, anew after that changed. */
void qb__scheme_work_out(qb__scheme *scheme);

/* A convolution, dense or linear layer on floats, with weights that 8 bits may hold. */
bool qb__is_quantizable(const qb__graph *graph, const qb__operator *op);

#endif
