/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles made of points, and what other rooms read of a profile, as long-lived as it is. */
#ifndef QB_PROFILE_PROFILE_DATA_H
#define QB_PROFILE_PROFILE_DATA_H

#include "profile/history.h"

#include <qosbatch/accuracy.h>
#include <qosbatch/profile.h>

/* What an operator of the network does, for the roofline of each. */
typedef struct qb__operator_work {
  double flops_per_sample;
  double bytes_per_sample; /* activations read and written */
  double weight_bytes;     /* read once a round */
} qb__operator_work;

/*
 * Makes a profile of copies of the strings and points given, puts the points in order and counts
 * info.points, .configurations and .max_batch. Fails with QB_ERROR_INVALID_ARGUMENT, naming the
 * point, when there is none, or one is impossible or appears twice.
 */
qb_status qb__profile_new(qb_context *context, qb_node *node, const qb_profile_info *info,
                          double bytes_per_sample, const qb_profile_point *points,
                          size_t point_count, qb_profile **profile);

/* As qb_profile_load(), of JSON that is in memory already; `path` is for messages only. */
qb_status qb__profile_parse(qb_context *context, const char *path, const char *text, size_t bytes,
                            qb_profile **profile);

/* qb_profile_check() without a message. */
bool qb__profile_is_of_node(const qb_profile *profile, const qb_node *node);

/* Whether two profiles are of one network; by name where that is all that is known. */
bool qb__profiles_same_network(const qb_profile_info *a, const qb_profile_info *b);

qb_context *qb__profile_context(const qb_profile *profile);
const qb_node *qb__profile_node(const qb_profile *profile);
const qb_profile_info *qb__profile_info(const qb_profile *profile);

/* Ordered by qb__configuration_compare(), then batch; no two alike. */
const qb_profile_point *qb__profile_points(const qb_profile *profile);
size_t qb__profile_point_count(const qb_profile *profile);

/* NULL: it was not measured. */
const qb_accuracy *qb__profile_accuracy(const qb_profile *profile, qb_precision precision);

/* The points of one configuration, by rising batch: *count of them from the one returned. */
const qb_profile_point *qb__profile_curve(const qb_profile *profile, const qb_configuration *k,
                                          size_t *count);

/* What sessions of the machine differ by. */
const qb__variation *qb__profile_variation(const qb_profile *profile);

/* How many runs a configuration's points are of; 0: not known. */
size_t qb__profile_runs(const qb_profile *profile, const qb_configuration *k);

/* Of the operators that are known, in their order. */
const qb__operator_work *qb__profile_operators(const qb_profile *profile);
size_t qb__profile_operator_count(const qb_profile *profile);
/* Activations read and written by all of them. */
double qb__profile_bytes_per_sample(const qb_profile *profile);

#endif
