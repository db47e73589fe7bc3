/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors between the operators of a network, as samples go through it. */
#ifndef QB_QUANTIZE_CAPTURE_H
#define QB_QUANTIZE_CAPTURE_H

#include "model/graph.h"

#include <qosbatch/session.h>

/* Samples of which some are used: every n-th, so that those of a sorted file are of all classes. */
typedef struct qb__samples {
  const void *const *inputs; /* one for each input, to `total` contiguous samples */
  uint64_t total, used;
} qb__samples;

/* Which of all samples the used one `i` is. */
uint64_t qb__sample_index(const qb__samples *samples, uint64_t i);

typedef struct qb__capture qb__capture;

/*
 * A session of a copy of `graph` of which `tensors`, of activations, are outputs. Rounds have as
 * many samples as keep what they write below 256 MiB.
 */
qb_status qb__capture_new(const qb__graph *graph, const int32_t *tensors, size_t count,
                          qb__capture **capture);
void qb__capture_free(qb__capture *capture);

/*
 * Runs up to `most` samples from the used one `first` on, and tells how many it ran.
 */
qb_status qb__capture_run(qb__capture *capture, const qb__samples *samples, uint64_t first,
                          uint64_t most, uint32_t *ran);

/* What tensor `index` of those asked for was: of the samples that ran last, one after the other. */
const float *qb__capture_values(const qb__capture *capture, size_t index);

#endif
