/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file fleet.h
 * Which node type to buy, how many nodes of it, and which batch to run on each.
 *
 * A node type is a node with the type's c and m, and its times are those of qb_estimate() there: as
 * measured if the type has the profile's processor and cores, else transferred, with a wider
 * interval. Of several profiles each type takes the one measured on it, else the one whose compute
 * power per core is nearest. A transferred instance keeps its threads if the type has as many
 * cores, and instances fill the same part of the node. Every node leaves qos.reserve_cores of its
 * cores to others. docs/cost.md has the whole method.
 */
#ifndef QOSBATCH_FLEET_H
#define QOSBATCH_FLEET_H

#include <qosbatch/catalogue.h>
#include <qosbatch/plan.h>

QB_BEGIN_DECLS

/**
 * Chooses nodes of one type for a job, by exhaustive search over node types, number of nodes,
 * configurations and batch sizes: of all that keep the limits the one that ends first (high_ns), or
 * with QB_OBJECTIVE_COST the one with the lowest cost.
 *
 * Times count from the order of the nodes: start-up is included, and every node is billed until the
 * last one is done. Samples are split over all instances of all nodes as evenly as possible.
 * Interruptions are a Poisson process: in the mean each costs a start-up and half a round, at the
 * end of the interval a start-up and a round. The errors of rounds and the number of interruptions
 * then each hold 98.75 %, so that high_ns still holds 97.5 %.
 *
 * @param profiles of one model, `profile_count` of them, 1 or more
 * @param qos NULL: no limits
 * @param[in,out] plan its size is set by the caller
 * @param[out] frontier empty if nothing keeps the limits but the deadline; free it with
 * qb_job_frontier_free(). NULL if not wanted
 * @return QB_OK, also when not feasible; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_MISMATCH (profiles of
 * different models); QB_ERROR_NOT_FOUND (a type has no profile, and its c, or that of the profiles'
 * nodes, is not known; or no type has more cores than are left to others); QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_plan_job_fleet(const qb_catalogue *catalogue, qb_profile *const *profiles,
                                   size_t profile_count, const qb_job *job, const qb_qos *qos,
                                   qb_job_plan *plan, qb_job_frontier **frontier);

/**
 * Chooses nodes of one type for a service: of each type the fewest nodes that hold the rate within
 * the latency, planned by qb_plan_service() for an equal part of the rate each, and qos.spare_nodes
 * more; of the types the one that costs least per hour. If no number of nodes holds the rate, the
 * plan is for all that can be had, and plan->nearest.rate_per_s is what they hold. Functions
 * (QB_BILLING_CALLS) are billed at the rate asked for.
 *
 * A transferred type must hold the latency even at the upper end of the 95 % interval: its rounds
 * are taken to last that long.
 *
 * @param[in,out] plan of the cheapest type; its size is set by the caller
 * @param[out] frontier one plan for each type that has cores left; free it with qb_service_frontier_free(). NULL if not
 * wanted
 * @return as qb_plan_job_fleet()
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_plan_service_fleet(const qb_catalogue *catalogue, qb_profile *const *profiles,
                                       size_t profile_count, const qb_load *load, const qb_qos *qos,
                                       qb_service_plan *plan, qb_service_frontier **frontier);

QB_END_DECLS

#endif
