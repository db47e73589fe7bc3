/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue as a decision sees it: how long each sample has left, the most urgent first. Deadlines
 * are read where the host keeps them; without any, ages are spread evenly below the oldest's.
 */
#ifndef QB_OPTIMIZE_ROUND_QUEUE_H
#define QB_OPTIMIZE_ROUND_QUEUE_H

#include "core/checked.h"

typedef struct qb__round_queue {
  uint32_t count;             /* samples, > 0 */
  uint32_t known;             /* how many of the first have a deadline */
  const int64_t *deadline_ns; /* a ring: `room` of them, sample 0's at `first` */
  size_t first, room;
  int64_t now_ns;    /* by the deadlines' clock */
  int64_t target_ns; /* 0: none */
  int64_t age_ns;    /* of the oldest sample */
} qb__round_queue;

/* a + b and a - b, or the nearest that there is; b of a sum is not negative. */
static inline int64_t qb__add_ns(int64_t a, int64_t b)
{
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static inline int64_t qb__subtract_ns(int64_t a, int64_t b)
{
  int64_t difference;
  return !__builtin_sub_overflow(a, b, &difference) ? difference : b < 0 ? INT64_MAX : INT64_MIN;
}

/* Samples behind those with a deadline are no more urgent than the last of these. */
static inline int64_t qb__queue_left_ns(const qb__round_queue *q, uint32_t index)
{
  if (!q->known)
    return q->target_ns
               ? q->target_ns - qb__clamp_i64((double)q->age_ns * (q->count - index) / q->count)
               : INT64_MAX;
  const size_t at = q->first + qb__min_u32(index, q->known - 1);
  return qb__subtract_ns(q->deadline_ns[at < q->room ? at : at - q->room], q->now_ns);
}

/* How many samples there is something to say of: all, or those with a deadline. */
static inline uint32_t qb__queue_seen(const qb__round_queue *q)
{
  return q->known ? q->known : q->count;
}

/* The first sample from `from` on that has need_ns left or more; those before it are late. */
static inline uint32_t qb__queue_late(const qb__round_queue *q, uint32_t from, int64_t need_ns)
{
  uint32_t beyond = qb__queue_seen(q);
  if (from >= beyond || qb__queue_left_ns(q, from) >= need_ns)
    return from;
  while (beyond - from > 1) {
    const uint32_t middle = from + (beyond - from) / 2;
    if (qb__queue_left_ns(q, middle) < need_ns)
      from = middle;
    else
      beyond = middle;
  }
  return beyond;
}

#endif
