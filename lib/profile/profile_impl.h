/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of qb_profile: the points, ordered, with the node and the model they belong to. */
#ifndef QB_PROFILE_PROFILE_IMPL_H
#define QB_PROFILE_PROFILE_IMPL_H

#include "core/refcount.h"
#include "engine/layer_algorithm.h"
#include "model/configuration.h"
#include "profile/profile_data.h"

/* How the network is computed by so many threads in a precision. */
typedef struct qb__profile_algorithms {
  uint32_t threads;
  qb_precision precision;
  size_t layer_count; /* operators of the graph of that precision */
  qb__algorithms algorithms;
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
  qb__profile_algorithms *algorithms;     /* no two of as many threads and one precision */
  qb_accuracy accuracies[QB__PRECISIONS]; /* of no samples: not known */
  size_t session_count;                   /* 0: nobody knows which sessions the points are of */
  qb__past_session *sessions;
  qb__variation variation;
  size_t point_count;
  qb_profile_point *points; /* ordered by qb__configuration_compare(), then batch; no two alike */
};

/* A profile that is equal to another one, before anybody else sees it. */
qb_status qb__profile_copy(const qb_profile *profile, qb_profile **copy);

/* Before anybody else sees the profile: takes an accuracy, checked, with its interval worked out. */
qb_status qb__profile_set_accuracy(qb_profile *profile, const qb_accuracy *accuracy);

/* Before anybody else sees the profile; `operators` is copied. */
qb_status qb__profile_set_operators(qb_profile *profile, const qb__operator_work *operators,
                                    size_t count);

/* Those of a model, and which network it is; a workload has none. */
qb_status qb__profile_take_operators(qb_profile *profile, const qb_model *model);

/*
 * Before anybody else sees the profile; `algorithms`, of `layer_count` operators, is copied. Of the
 * configuration threads and precision count.
 */
qb_status qb__profile_add_algorithms(qb_profile *profile, const qb_configuration *k,
                                     const qb__algorithms *algorithms, size_t layer_count);

/* Whether a profile is of this network; the message says what differs. */
qb_status qb__profile_check_model(const qb_profile *profile, const qb_model *model);

/* NULL if those for so many threads and the precision are not known. */
const qb__algorithms *qb__profile_algorithms_of(const qb_profile *profile,
                                                const qb_configuration *k);

/* Those that are known to be as fast here, for this model; NULL if none are. */
const qb__algorithms *qb__profile_algorithms_for(const qb_profile *profile, const qb_model *model,
                                                 const qb_configuration *k);

#endif
