/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which point to visit next: one whose time may still change an answer that plans take from the
 * profile, weighed against the cost of the visit. It measures nothing itself: the caller visits.
 */
#ifndef QB_PROFILE_SEARCH_H
#define QB_PROFILE_SEARCH_H

#include "profile/worth.h"

#include <qosbatch/profile.h>

/* How far a visit is off, as the standard deviation of a logarithm, before several tell. */
#define QB__VISIT_ERROR 0.08

/* All points that may be visited. */
typedef struct qb__search_grid {
  size_t split_count;
  const qb_configuration *splits;
  size_t batch_count;
  const uint32_t *batches; /* ascending */
  const double *prior_ns;  /* by split, then batch: expected beforehand; 0: it cannot be visited */
} qb__search_grid;

/* What visits of a point say by now. */
typedef struct qb__search_seen {
  uint32_t visits, rounds; /* and single rounds of those visits */
  double latency_ns;
  double error;                 /* standard error of its logarithm, above 0 */
  double p95_ratio, mean_ratio; /* of single rounds, over latency_ns */
} qb__search_seen;

/* What a visit costs beside the rounds that are timed. */
typedef struct qb__search_cost {
  double visit_ns;   /* it goes on for this long at least */
  double opening_ns; /* of another split than the one that is open */
  double most_ns;    /* none may cost more */
} qb__search_cost;

typedef struct qb__search_choice {
  size_t split, batch; /* indices */
  double cost_ns;
  /* What is lost by choosing as is known now, as a share: over all questions, and in the worst. */
  double mean_regret, worst_regret;
} qb__search_choice;

typedef struct qb__search qb__search;

/* The grid is copied. */
qb_status qb__search_new(const qb_context *context, const qb__search_grid *grid,
                         qb__search **search);
void qb__search_free(qb__search *search);

/* Takes what is known of a point in place of what was. */
void qb__search_learn(qb__search *search, size_t split, size_t batch, const qb__search_seen *seen);

/* The expected time of a round by now. */
double qb__search_expected_ns(qb__search *search, size_t split, size_t batch);

/*
 * The visit by which the expected regret falls most for what it costs (expected improvement a
 * second: Snoek, Larochelle and Adams, NIPS 2012, section 3.2): of every question (the highest rate
 * within a target, the least latency at a rate, the least time of a job) and draw, the share that
 * today's answer, of what was measured, loses counts for the points that would tell, as far as a
 * visit to each takes their uncertainty away. False: no point may be visited for cost->most_ns; the
 * regrets are filled in all the same.
 *
 * @param open the split that is open; SIZE_MAX: none
 */
bool qb__search_next(qb__search *search, size_t open, const qb__search_cost *cost,
                     qb__search_choice *choice);

/* How likely a split is the best answer to some question, as of qb__search_next(). */
double qb__search_hope(const qb__search *search, size_t split);

/* How many questions a point is the best answer to, or today's, as of qb__search_next(). */
double qb__search_weight(const qb__search *search, size_t split, size_t batch);

#endif
