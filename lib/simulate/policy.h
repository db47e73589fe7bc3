/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy sees of a simulated service, and what it may do. */
#ifndef QB_SIMULATE_POLICY_H
#define QB_SIMULATE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

/* Arrival times of the samples that wait, the oldest first: a ring with room for a power of two. */
typedef struct qb__waiting {
  int64_t *times_ns;
  uint64_t first; /* counts up for ever; index & mask is the place */
  uint64_t end;
  uint64_t mask;
} qb__waiting;

static inline uint64_t qb__waiting_count(const qb__waiting *waiting)
{
  return waiting->end - waiting->first;
}

/* The index-th oldest. */
static inline int64_t qb__waiting_at(const qb__waiting *waiting, uint64_t index)
{
  return waiting->times_ns[(waiting->first + index) & waiting->mask];
}

typedef struct qb__view {
  int64_t now_ns;
  uint32_t free_instances;
  const qb__waiting *waiting; /* one or more */
} qb__view;

/*
 * First `refuse` of the oldest are given up, then `run` of the others run if an instance is free.
 */
typedef struct qb__move {
  uint64_t refuse;
  uint32_t run;
  bool newest;    /* run the newest instead of the oldest */
  int64_t ask_ns; /* if nothing is done: ask again at this time, or when something happens */
} qb__move;

typedef struct qb__policy qb__policy;
struct qb__policy {
  /* Fills a move, which is zeroed but for ask_ns, which is INT64_MAX. */
  void (*decide)(qb__policy *self, const qb__view *view, qb__move *move);
  /* A round of `batch` took latency_ns and ends now; NULL: it does not care. */
  void (*observe)(qb__policy *self, uint32_t batch, int64_t latency_ns, int64_t now_ns);
  bool while_busy;     /* asked even when no instance is free */
  uint64_t queue_most; /* refuses arrivals beyond; 0: no bound */
};

#endif
