/* SPDX-License-Identifier: Apache-2.0 */
/* A node type as a node, and the profile that its times come from. */
#ifndef QB_PLACE_TYPE_NODE_H
#define QB_PLACE_TYPE_NODE_H

#include <qosbatch/catalogue.h>
#include <qosbatch/profile.h>
#include <qosbatch/qos.h>

/* vcpus / threads_per_core, at least 1. */
uint32_t qb__type_cores(const qb_node_type *type);

/* Checks that all profiles are there, and of the same model. */
qb_status qb__profiles_of_one_model(qb_profile *const *profiles, size_t profile_count);

/*
 * How many cores of each node are left to others: as asked, else the most of any profile's node. Types
 * without another core are to be left out; fails with QB_ERROR_NOT_FOUND if all of them are such.
 */
qb_status qb__reserve_of_nodes(const qb_catalogue *catalogue, qb_profile *const *profiles,
                               size_t profile_count, const qb_qos *qos, uint32_t *reserve_cores);

/*
 * Finds the profile for a type: one measured on its processor with as many cores, and best with that
 * reserve, else the one whose compute power per core is nearest. Fails with QB_ERROR_NOT_FOUND, naming
 * the type, when none can be used.
 */
qb_status qb__profile_for_type(const qb_node_type *type, uint32_t reserve_cores,
                               qb_profile *const *profiles, size_t profile_count, size_t *index);

/*
 * Makes a node of the type's cores, c, m, memory and price, without a quota, that leaves some of its
 * cores to others. What the type does not say is as on the profile's node. *node is a new reference.
 */
qb_status qb__node_of_type(const qb_profile *profile, const qb_node_type *type,
                           uint32_t reserve_cores, qb_node **node);

#endif
