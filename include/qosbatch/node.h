/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file node.h
 * The machine: what may be used of it, and what it sustains.
 */
#ifndef QOSBATCH_NODE_H
#define QOSBATCH_NODE_H

#include <qosbatch/context.h>

QB_BEGIN_DECLS

/**
 * A node, detected and measured, or loaded from a file.
 * Thread-safety: safe; immutable after creation.
 */
typedef struct qb_node qb_node;

/** Instruction sets that the compute power is measured for, each containing the ones before it. */
typedef enum qb_isa {
  QB_ISA_BEST = 0,    /**< as a parameter: the best that the node has */
  QB_ISA_GENERIC = 1, /**< what the compiler makes of C for the base architecture */
  QB_ISA_SSE41 = 2,
  QB_ISA_AVX = 3,
  QB_ISA_AVX2 = 4, /**< with FMA */
  QB_ISA_AVX512 = 5
} qb_isa;

/** @return "avx2" and so on; "unknown" for a number that is none. Thread-safety: safe. */
QB_API const char *qb_isa_name(qb_isa isa);

typedef struct qb_node_params {
  size_t size;               /**< sizeof(qb_node_params) */
  double price_per_hour;     /**< what the node costs, in the user's currency; 0 if not known */
  int64_t measure_budget_ns; /**< time for measuring; 0: about 1.5 s. Negative: do not measure */
} qb_node_params;

#define QB_NODE_PARAMS_INIT                                                                        \
  {                                                                                                \
    sizeof(qb_node_params), 0.0, 0                                                                 \
  }

/** What is known of a node. Strings belong to the node. */
typedef struct qb_node_info {
  size_t size;               /**< sizeof(qb_node_info) */
  const char *cpu;           /**< model name of the processor */
  uint32_t hardware_threads; /**< hardware threads the process may run on (affinity respected) */
  uint32_t cores;            /**< physical cores among them: the most threads worth using */
  double quota_cores;        /**< cgroup v1/v2 CPU quota in cores; = hardware_threads if none */
  uint32_t usable_threads;   /**< min(cores, quota rounded up): default number of threads */
  uint32_t numa_nodes;       /**< NUMA nodes that the usable cores belong to */
  qb_isa isa;                /**< best instruction set of the processor */
  uint64_t l1d_bytes;        /**< per core */
  uint64_t l2_bytes;         /**< per core, or per group that shares one */
  uint64_t l3_bytes;         /**< the last level as one core sees it */
  uint64_t memory_bytes;     /**< installed, or the cgroup's limit if that is smaller */
  double compute_flops;      /**< c: FLOP/s sustained on usable_threads; 0 if not measured */
  double memory_bytes_per_s; /**< m: STREAM triad on usable_threads; 0 if not measured */
  double price_per_hour;     /**< 0 if not known */
} qb_node_info;

#define QB_NODE_INFO_INIT                                                                          \
  {                                                                                                \
    sizeof(qb_node_info), NULL, 0, 0, 0, 0, 0, QB_ISA_BEST, 0, 0, 0, 0, 0, 0, 0                    \
  }

/**
 * Detects the node this process runs on and measures c and m for 1..usable_threads threads.
 *
 * c is what independent chains of fused multiply-adds in registers sustain (2 FLOP each; the
 * compute roof of Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009); m is the triad
 * a[i] = b[i] + s*c[i] of McCalpin's STREAM over arrays several times the last cache, counting 3
 * transfers an element. Both run on threads of their own, pinned to the cores they measure.
 *
 * @param params or NULL for the defaults
 * @param[out] node a new reference
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NO_MEMORY; QB_ERROR_SYSTEM (no usable core, or
 * threads refused)
 */
QB_API qb_status qb_node_detect(qb_context *context, const qb_node_params *params, qb_node **node);

/**
 * Loads a node saved with qb_node_save().
 * @return QB_OK; QB_ERROR_IO; QB_ERROR_FORMAT; QB_ERROR_VERSION; QB_ERROR_NO_MEMORY
 */
QB_API qb_status qb_node_load(qb_context *context, const char *path, qb_node **node);

/**
 * Saves a node as JSON (docs/formats.md), atomically: the file is either the old or the new one.
 * @return QB_OK; QB_ERROR_IO; QB_ERROR_NO_MEMORY
 */
QB_API qb_status qb_node_save(const qb_node *node, const char *path);

/** Fills `info`, whose size is set by the caller. @return QB_OK; QB_ERROR_INVALID_ARGUMENT */
QB_API qb_status qb_node_get_info(const qb_node *node, qb_node_info *info);

/**
 * c for a number of threads running together and an instruction set.
 * @param threads 1 or more; beyond the measured numbers the largest measured one is given
 * @param[out] flops FLOP/s of all of them together
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NOT_FOUND (not measured, or no such ISA here)
 */
QB_API qb_status qb_node_compute_flops(const qb_node *node, uint32_t threads, qb_isa isa,
                                       double *flops);

/** m for a number of threads running together, B/s; else as qb_node_compute_flops(). */
QB_API qb_status qb_node_bandwidth(const qb_node *node, uint32_t threads, double *bytes_per_s);

/** @return the same node, with one more reference. Thread-safety: safe. */
QB_API qb_node *qb_node_ref(qb_node *node);

/** Gives a reference back; NULL is allowed. Thread-safety: safe. */
QB_API void qb_node_unref(qb_node *node);

QB_END_DECLS

#endif
