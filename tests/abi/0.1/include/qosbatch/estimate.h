/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file estimate.h
 * How long a round takes at any batch size, in any configuration, here or on another node, and how
 * sure that is.
 */
#ifndef QOSBATCH_ESTIMATE_H
#define QOSBATCH_ESTIMATE_H

#include <qosbatch/profile.h>

QB_BEGIN_DECLS

/**
 * Where an estimate comes from; each is less sure than the one before it. Values are stable.
 * @since 0.1
 */
typedef enum qb_source {
  QB_SOURCE_MEASURED = 1,     /**< this point was measured */
  QB_SOURCE_INTERPOLATED = 2, /**< between measured batch sizes of the same configuration */
  QB_SOURCE_EXTRAPOLATED = 3, /**< outside the measured batch sizes of the same configuration */
  QB_SOURCE_TRANSFERRED = 4 /**< from another configuration, node or instruction set, by c and m */
} qb_source;

/** @return "measured" and so on; "unknown" for any other value. Thread-safety: safe. @since 0.1 */
static inline const char *qb_source_name(qb_source source)
{
  return qb_enum_name("qb_source", (int)source);
}

/** What bounds the time of a round. Values are stable. @since 0.1 */
typedef enum qb_bound {
  QB_BOUND_COMPUTE = 1, /**< arithmetic: F * b / c is the larger part of the roofline */
  QB_BOUND_MEMORY = 2,  /**< weights and activations moved: bytes / m is the larger part */
  QB_BOUND_UNKNOWN = 3  /**< the work is not known (a workload that states none) */
} qb_bound;

/** @return "compute" and so on; "unknown" for any other value. Thread-safety: safe. @since 0.1 */
static inline const char *qb_bound_name(qb_bound bound)
{
  return qb_enum_name("qb_bound", (int)bound);
}

/** A place to estimate for. @since 0.1 */
typedef struct qb_where {
  size_t size; /**< sizeof(qb_where) */
  const qb_node
      *node;  /**< of which c and m are known, as from qb_node_load(); NULL: the profile's */
  qb_isa isa; /**< the best instruction set that the engine may use; QB_ISA_BEST: any */
} qb_where;

#define QB_WHERE_INIT QB__INIT(qb_where)

/** Time and resources of a round of `batch` samples, T = b * F * p / c. @since 0.1 */
typedef struct qb_latency_estimate {
  size_t size;                    /**< sizeof(qb_latency_estimate) */
  qb_configuration configuration; /**< as asked for */
  uint32_t batch;                 /**< as asked for */
  qb_source source;               /**< where the figures come from */
  int64_t latency_ns;             /**< T, an undisturbed round */
  int64_t low_ns;  /**< 95 % interval of T in a later session on the machine: its lower end ... */
  int64_t high_ns; /**< ... and its upper end */
  int64_t p95_ns;  /**< 95th percentile of single rounds */
  int64_t mean_ns; /**< mean of single rounds: what each of many takes */
  double throughput_per_s; /**< samples/s of all instances together */
  double density;          /**< p, dimensionless; 1/p is the efficiency */
  double
      compute_flops_per_s; /**< c, FLOP/s of the threads of one instance while all instances run */
  uint64_t memory_bytes;   /**< of a session with this batch size ready: packed weights with their
                              copies on other NUMA nodes, the arenas of all instances, compiled
                              layers. Beside it are the model with its own
                              copy of the weights, and another qb_session_info.code_bytes /
                              ready_batches for each further batch size */
  qb_bound bound;          /**< what bounds T */
  double memory_share;     /**< part of the roofline's time that waits for memory, 0..1 */
  double
      thread_flops_per_s; /**< FLOP/s that a thread sustained when it was profiled; 0: not known */
  double speed_slope; /**< how far rounds were shown to follow that speed from session to session of
                           this machine, 0..1: if a thread now sustains f, scale T by
                           pow(thread_flops_per_s / f, speed_slope) */
} qb_latency_estimate;

#define QB_LATENCY_ESTIMATE_INIT QB__INIT(qb_latency_estimate)

/**
 * Estimates a round.
 *
 * Between measured batch sizes the time of a round is interpolated linearly; a larger batch never
 * takes less time in all. Beyond them the last time per sample is kept and the interval widens.
 *
 * A configuration, node or instruction set that was not measured gets the time of the nearest
 * measured configuration, scaled by what arithmetic at c and traffic at m take there and here, by
 * what a team of threads loses, and by what a CPU quota leaves; the interval is wide, because
 * kernels for other cores may be better or worse than c and m tell (docs/estimates.md). A node with
 * the profile's processor, cores, instruction set, quota and reserve counts as the profile's own.
 * Every planner of this library takes its times from this function.
 *
 * @param configuration NULL: the measured one with the highest throughput
 * @param batch 1..QB_MAX_BATCH
 * @param where NULL: the profile's own node
 * @param[in,out] estimate its size is set by the caller
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NOT_FOUND (c of that node, or of that
 * instruction set, was not measured)
 * Thread-safety: safe. Takes no lock and allocates nothing.
 * @since 0.1
 */
QB_API qb_status qb_estimate(const qb_profile *profile, const qb_configuration *configuration,
                             uint32_t batch, const qb_where *where, qb_latency_estimate *estimate);

QB_END_DECLS

#endif
