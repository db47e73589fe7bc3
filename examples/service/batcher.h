/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded queue of samples and a thread for each instance that takes rounds from it. */
#ifndef SERVICE_BATCHER_H
#define SERVICE_BATCHER_H

#include <qosbatch/qosbatch.h>

#include <pthread.h>

enum { REASONS = QB_REASON_LATE + 1, LATENCY_BUCKETS = 12 };

/* What a request asks for and becomes. Its owner keeps it until it was told that it is over. */
typedef struct request {
  uint32_t samples;
  const void *inputs; /* 32-bit floats of one behind the other, at any address */
  float *outputs;
  void (*over)(struct request *self); /* called once, from a thread of the batcher */
  int64_t arrived_ns;                 /* by batcher_now_ns(): the target counts from there */
  int status;                         /* 200, 429: too late to be in time, 500 */
  uint32_t left;                      /* these belong to the batcher */
  int64_t taken_ns, expected_ns;
} request;

/* Counted since the start; a copy is consistent. */
typedef struct batcher_counts {
  uint64_t requests, refused, given_up, failed; /* refused: at once; given up: after a wait */
  uint64_t samples, in_time, rounds;            /* samples: answered */
  uint64_t reasons[REASONS];                    /* of decisions to run */
  uint64_t latency[LATENCY_BUCKETS + 1]; /* samples by sixths of the target; the last: more */
  double latency_sum_s, round_sum_s, predicted_sum_s;
  uint32_t queued;
  uint64_t *batches; /* rounds of 0..max_batch samples; belongs to the batcher */
} batcher_counts;

typedef struct batcher_params {
  qb_context *context;
  qb_profile *profile;
  qb_session *session;
  qb_service_plan plan;
  qb_qos qos;          /* with a latency and a percentile */
  uint32_t queue_most; /* samples */
  size_t input_elements, output_elements;
} batcher_params;

typedef struct batcher batcher;

/* Returns NULL after a message on stderr. */
batcher *batcher_start(const batcher_params *params);

/* False: refused, because the queue is full or the target could not be kept. Never blocks. */
bool batcher_submit(batcher *self, request *r);

/*
 * Whether a request of one sample would be taken if its input were there now; if not it counts as
 * refused, and the input need not be waited for. One that is welcome has its place until it is expected
 * no more: when it is about to be submitted, or will never be.
 */
bool batcher_welcome(batcher *self);
void batcher_expect_no_more(batcher *self);

/* The answer of a request has left; its latency counts, and admission learns from it. */
void batcher_answered(batcher *self, const request *r);

/* Answers what is queued and takes no more: all that comes later is refused. */
void batcher_stop(batcher *self);

/* Once it has stopped and nobody can ask it any more. */
void batcher_free(batcher *self);

batcher_counts batcher_count(batcher *self);

int64_t batcher_now_ns(void);

#endif
