/* SPDX-License-Identifier: Apache-2.0 */
/* The rounds of a profile as a node type runs them: their times, and two kinds of error. */
#ifndef QB_PLACE_ROUNDS_H
#define QB_PLACE_ROUNDS_H

#include <qosbatch/catalogue.h>
#include <qosbatch/estimate.h>

/*
 * Of one configuration. Arrays are indexed by samples in the round, 0..max_batch; a round of 0
 * takes no time. Errors are standard deviations.
 */
typedef struct qb__rounds {
  qb_configuration configuration;
  uint32_t max_batch;
  double *time_ns;        /* expected */
  double *error_ns;       /* of the profile: the same in every round of this size */
  double *noise_ns;       /* of single rounds, independent of each other */
  double *memory_share;   /* of the roofline's time that goes with bandwidth, 0..1 */
  uint64_t *memory_bytes; /* of all instances */
  double flops;           /* c of an instance; 0 if not known */
} qb__rounds;

typedef struct qb__rounds_set {
  const qb_profile *profile;
  size_t count;
  qb__rounds *rounds;
} qb__rounds_set;

/* The rounds of all measured configurations; memory comes from the profile's context. */
qb_status qb__rounds_set_init(qb__rounds_set *set, const qb_profile *profile);
void qb__rounds_set_free(qb__rounds_set *set);

/* Room for the rounds of `like` on any node type. */
qb_status qb__rounds_set_like(qb__rounds_set *set, const qb__rounds_set *like);

/* Checks that all are there, and of the same model. */
qb_status qb__profiles_of_one_model(const qb_profile *const *profiles, size_t profile_count);

/*
 * The profile of a type: *index, *own when it was measured on such a node. Fails with
 * QB_ERROR_NOT_FOUND, naming the type, when none can be used.
 */
qb_status qb__profile_for_type(const qb_node_type *type, const qb_profile *const *profiles,
                               size_t profile_count, size_t *index, bool *own);

/*
 * Carries rounds over to a node type: T' = T * ((1 - w) * c / c' + w * m / m') with w the memory's
 * share. An instance keeps its threads where the type has as many cores, and the number of
 * instances fills the same fraction of the node.
 */
void qb__rounds_transfer(const qb__rounds_set *from, const qb_node_type *type, qb__rounds_set *to);

/*
 * A profile as one of the type, unchanged if it is the type's own, else with times at the upper end
 * of the wider interval. A function has one instance. *made is a new reference.
 */
qb_status qb__profile_of_type(const qb_profile *profile, const qb_node_type *type, bool own,
                              qb_profile **made);

#endif
