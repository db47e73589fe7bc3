/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of qb_profile: the points, ordered, with the node and the model they belong to. */
#ifndef QB_PROFILE_PROFILE_IMPL_H
#define QB_PROFILE_PROFILE_IMPL_H

#include "core/refcount.h"
#include "engine/layer_algorithm.h"

#include <qosbatch/profile.h>

/* What an operator of the network does, for the roofline of each. */
typedef struct qb__operator_work {
  double flops_per_sample;
  double bytes_per_sample; /* activations read and written */
  double weight_bytes;     /* read once a round */
} qb__operator_work;

/* How layers are computed by so many threads. */
typedef struct qb__profile_algorithms {
  uint32_t threads;
  qb__layer_algorithm *algorithms; /* by operator */
} qb__profile_algorithms;

struct qb_profile {
  qb__refcount references;
  qb_context *context;
  qb_node *node;
  qb_profile_info info;    /* its strings are owned */
  double bytes_per_sample; /* activations read and written, for the roofline */
  size_t operator_count;   /* 0: not known */
  qb__operator_work *operators;
  size_t algorithms_count, algorithms_capacity;
  qb__profile_algorithms *algorithms; /* no two of as many threads */
  size_t point_count;
  qb_profile_point *points; /* ordered by instances, threads, batch; no two alike */
};

/*
 * Makes a profile of copies of the strings and points given, puts the points in order and counts
 * info.points, .configurations and .max_batch. Fails with QB_ERROR_INVALID_ARGUMENT, naming the
 * point, when there is none or one is impossible or stands twice.
 */
qb_status qb__profile_new(qb_context *context, qb_node *node, const qb_profile_info *info,
                          double bytes_per_sample, const qb_profile_point *points,
                          size_t point_count, qb_profile **profile);

/* As qb_profile_load(), of JSON that is in memory already; `path` stands in messages only. */
qb_status qb__profile_parse(qb_context *context, const char *path, const char *text, size_t bytes,
                            qb_profile **profile);

/* Whether two profiles are of one network; by name where that is all that is known. */
bool qb__profiles_same_network(const qb_profile_info *a, const qb_profile_info *b);

/* Before anybody else sees the profile; `operators` is copied. */
qb_status qb__profile_set_operators(qb_profile *profile, const qb__operator_work *operators,
                                    size_t count);

/* Those of a model, and which network it is; a workload has none. */
qb_status qb__profile_take_operators(qb_profile *profile, const qb_model *model);

/* Before anybody else sees the profile, and after its operators are set; `algorithms` is copied. */
qb_status qb__profile_add_algorithms(qb_profile *profile, uint32_t threads,
                                     const qb__layer_algorithm *algorithms);

/* By operator; NULL if those for so many threads are not known. */
const qb__layer_algorithm *qb__profile_algorithms_of(const qb_profile *profile, uint32_t threads);

/* Those that are known to be as fast here, for this model; NULL if none are. */
const qb__layer_algorithm *qb__profile_algorithms_for(const qb_profile *profile,
                                                      const qb_model *model, uint32_t threads);

/* The points of one configuration, by rising batch: *count of them from the one returned. */
const qb_profile_point *qb__profile_curve(const qb_profile *profile, uint32_t instances,
                                          uint32_t threads, size_t *count);

#endif
