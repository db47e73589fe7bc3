/* SPDX-License-Identifier: Apache-2.0 */
/* What rounds of a known length are good for: the questions that a profile is to answer. */
#ifndef QB_PROFILE_WORTH_H
#define QB_PROFILE_WORTH_H

#include <stdint.h>

/* A way to run: rounds of `batch` samples on every instance at a time. */
typedef struct qb__worth_rounds {
  uint32_t instances, batch;
  double mean_ns; /* of single rounds */
  double p95_ns;  /* their 95th percentile */
} qb__worth_rounds;

/* Samples per second while every round is full: what a job ends by. */
double qb__worth_throughput(const qb__worth_rounds *rounds);

/*
 * The same at the upper end of a 95 % interval, by which plans of jobs choose: rounds of a job are all
 * longer where neighbours make them so, and where their times are off, by `error` as a share.
 */
double qb__worth_sure_throughput(const qb__worth_rounds *rounds, double error);

/*
 * The time within which 99 of 100 answers come at a rate of Poisson arrivals; infinite where they
 * are more than rounds can take. The wait is that of heavy traffic, exponential with mean T / (2 i)
 * u / (1 - u) at utilisation u, as rounds are of nearly equal length (Kingman, "The single server
 * queue in heavy traffic", 1961, and its form for several servers). It is to compare ways, not to
 * promise: plans look at the queue itself.
 */
double qb__worth_latency_ns(const qb__worth_rounds *rounds, double rate_per_s);

/* The highest rate at which that time is within the target; 0: none. */
double qb__worth_rate(const qb__worth_rounds *rounds, double target_ns);

#endif
