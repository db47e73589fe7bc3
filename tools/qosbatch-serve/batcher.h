/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue of samples, a thread for each instance that takes rounds from it as qb_optimize()
 * decides, a thread that refreshes its tables, and admission. It knows nothing of HTTP: copy the
 * files batcher* into a host of any protocol.
 */
#ifndef SERVE_BATCHER_H
#define SERVE_BATCHER_H

#include <qosbatch/qosbatch.h>

#include <stdbool.h>
#include <stdint.h>

enum { BATCHER_REASONS = 32, LATENCY_BUCKETS = 12 };

/* What became of a request. */
typedef enum outcome {
  OUTCOME_ANSWERED,
  OUTCOME_LATE,       /* it cannot be answered in time */
  OUTCOME_NOT_FINITE, /* a NaN or an infinity, in the input, the output or between */
  OUTCOME_FAILED,     /* the round failed */
} outcome;

/* What a request asks for and becomes. Its owner keeps it until it was told that it is over. */
typedef struct request {
  uint32_t samples;
  const void *inputs; /* 32-bit floats of one behind the other, at any address */
  float *outputs;
  void (*over)(struct request *self); /* called once, from a thread of the batcher */
  int64_t arrived_ns;                 /* by batcher_now_ns(): the target counts from there */
  outcome outcome;
  uint32_t left; /* these belong to the batcher */
  int64_t taken_ns, expected_ns;
} request;

/*
 * The input of a request while it is received. It counts for admission only as long as it comes
 * fast enough to be there in time: a sender that is silent, or sends a byte now and then, takes no
 * place.
 */
typedef struct upload {
  uint32_t samples; /* that it brings, as far as known */
  int64_t since_ns;
  uint64_t bytes, expected_bytes;  /* so far, and in all; 0: not known, it does not count */
  struct upload *previous, **list; /* these belong to the batcher; zero at first */
  struct upload *next;
} upload;

/* Counted since the start; a copy is consistent. */
typedef struct batcher_counts {
  uint64_t requests, refused, given_up, failed; /* refused: at once; given up: after a wait */
  uint64_t samples, in_time, rounds;            /* samples: answered */
  uint64_t reasons[BATCHER_REASONS];            /* of decisions to run */
  uint64_t latency[LATENCY_BUCKETS + 1]; /* samples by sixths of the target; the last: more */
  double latency_sum_s, round_sum_s, predicted_sum_s;
  uint64_t refreshes;         /* of the tables that decisions look up */
  qb_coverage rounds_covered; /* by the intervals that were predicted for them */
  uint32_t queued;
  qb_service_plan plan;    /* that rounds are run by */
  double margin_s;         /* that admission takes answers to come later than expected */
  const uint64_t *batches; /* rounds of 0..most_batch samples; belongs to the batcher */
  uint32_t most_batch;
} batcher_counts;

/* How rounds are run; a new profile changes it. The owner keeps both as long as they are in use. */
typedef struct batcher_rounds {
  qb_profile *profile;
  qb_session *session; /* with all batch sizes ready */
  qb_service_plan plan;
  qb_optimizer_params params; /* those of the plan, with rounds of any size that was profiled */
} batcher_rounds;

typedef struct batcher_params {
  qb_qos qos;                             /* with a latency and a percentile */
  uint32_t queue_most;                    /* samples */
  size_t input_elements, output_elements; /* of a sample */
  void (*report)(const char *text);       /* what went wrong in a round; from any thread */
} batcher_params;

typedef struct batcher batcher;

/* Returns NULL after a report. */
batcher *batcher_start(const batcher_params *params, const batcher_rounds *rounds);

/*
 * Goes on with other rounds: those under way end, what is queued is kept. False after a report:
 * nothing has changed. When it returns, the rounds it was started or changed with before are not in
 * use any more.
 */
bool batcher_change(batcher *self, const batcher_rounds *rounds);

/* The most samples that a request may have to be in time when nothing is before it. */
uint32_t batcher_most_samples(batcher *self);

/* False: refused, because the queue is full or the target could not be kept. Never blocks. */
bool batcher_submit(batcher *self, request *r);

/*
 * Whether a request of so many samples would be taken if its input were there now; if not it counts
 * as refused, and the input need not be waited for.
 */
bool batcher_welcome(batcher *self, uint32_t samples);

/* More bytes of an input have come; and no more will, however it ended (allowed at any time). */
void batcher_uploading(batcher *self, upload *u, uint64_t bytes);
void batcher_uploaded(batcher *self, upload *u);

/* The answer of a request has left; its latency counts, and admission learns from it. */
void batcher_answered(batcher *self, const request *r);

/* Answers what is queued and takes no more: all that comes later is refused. */
void batcher_stop(batcher *self);

/* Once it has stopped and nobody can ask it any more. */
void batcher_free(batcher *self);

batcher_counts batcher_count(batcher *self);

int64_t batcher_now_ns(void);

#endif
