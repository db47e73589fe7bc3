/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file node.h
 * The machine: what may be used of it, and what it sustains.
 */
#ifndef QOSBATCH_NODE_H
#define QOSBATCH_NODE_H

#include <qosbatch/context.h>
#include <qosbatch/names.h>

QB_BEGIN_DECLS

/**
 * A node, detected and measured, or loaded from a file (qb_node_load()).
 * Thread-safety: safe; immutable after creation.
 * @since 0.1
 */
typedef struct qb_node qb_node;

/** Instruction sets, each containing the ones before it. Values are stable. @since 0.1 */
typedef enum qb_isa {
  QB_ISA_BEST = 0,    /**< as a parameter: the best that the node has */
  QB_ISA_GENERIC = 1, /**< what the compiler makes of C for the base architecture */
  QB_ISA_SSE41 = 2,   /**< SSE4.1 */
  QB_ISA_AVX = 3,     /**< AVX */
  QB_ISA_AVX2 = 4,    /**< AVX2 with FMA */
  QB_ISA_AVX512 = 5   /**< AVX-512 F, BW, DQ and VL */
} qb_isa;

/** @return "avx2" and so on; "unknown" for any other value. Thread-safety: safe. @since 0.1 */
static inline const char *qb_isa_name(qb_isa isa)
{
  return qb_enum_name("qb_isa", (int)isa);
}

/**
 * Instructions that decide how fast a precision is, and how exact, as bits. Values are stable.
 * @since 0.1
 */
typedef enum qb_feature {
  QB_FEATURE_VNNI = 1, /**< products of 8-bit integers summed in 32 bits (AVX512_VNNI, AVX-VNNI).
                            Without it pairs of u8 times s8 products are summed in 16 bits, where
                            they saturate */
  QB_FEATURE_BF16 = 2  /**< products of bfloat16 numbers (AVX512_BF16) */
} qb_feature;

/** @return "vnni" or "bf16"; "unknown" for any other value. Thread-safety: safe. @since 0.1 */
static inline const char *qb_feature_name(qb_feature feature)
{
  return qb_enum_name("qb_feature", (int)feature);
}

/** How a node is detected. @since 0.1 */
typedef struct qb_node_params {
  size_t size;               /**< sizeof(qb_node_params) */
  double price_per_hour;     /**< price of the node, in the user's currency; 0: unknown */
  int64_t measure_budget_ns; /**< time for measuring; 0: about 1.5 s; negative: do not measure */
  uint32_t reserve_cores;    /**< usable cores to leave to others, such as the threads that talk to
                                  clients; fewer than there are. 0: none */
} qb_node_params;

#define QB_NODE_PARAMS_INIT QB__INIT(qb_node_params)

/** What is known of a node. Strings belong to the node. @since 0.1 */
typedef struct qb_node_info {
  size_t size;                /**< sizeof(qb_node_info) */
  const char *cpu;            /**< model name of the processor */
  qb_isa isa;                 /**< best instruction set of the processor */
  uint32_t hardware_threads;  /**< hardware threads the process may run on, by its affinity */
  uint32_t cores;             /**< physical cores among them: the most threads worth using */
  uint32_t usable_threads;    /**< min(cores, quota rounded up) - reserve_cores: default number of
                                   threads */
  double quota_cores;         /**< cgroup v1/v2 CPU quota in cores; without one hardware_threads */
  uint64_t l1d_bytes;         /**< first-level data cache, per core */
  uint64_t l2_bytes;          /**< second level, per core or group of cores that shares one */
  uint64_t l3_bytes;          /**< the last level as one core sees it */
  uint64_t memory_bytes;      /**< installed memory, or the cgroup's limit if that is smaller */
  double compute_flops_per_s; /**< c of 32-bit floats: FLOP/s sustained on usable_threads; 0: not
                                   measured */
  double memory_bytes_per_s;  /**< m: STREAM triad on usable_threads, B/s; 0: not measured */
  double price_per_hour;      /**< in the user's currency; 0: unknown */
  uint32_t numa_nodes;        /**< NUMA nodes that the usable cores belong to */
  uint32_t features;          /**< of its processor with its best instruction set: bits of
                                   qb_feature; 0 also if a file does not tell */
  uint32_t reserve_cores;     /**< usable cores that are left to others (qb_node_params) */
} qb_node_info;

#define QB_NODE_INFO_INIT QB__INIT(qb_node_info)

/**
 * Detects the node this process runs on and measures c and m for 1..usable_threads threads.
 *
 * c is what independent chains of fused multiply-adds in registers sustain (2 FLOP each; the
 * compute roof of Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009); m is the triad
 * a[i] = b[i] + s*c[i] of McCalpin's STREAM over arrays several times the last cache, counting 3
 * transfers an element. Both run on threads of their own, pinned to the cores they measure. c is
 * measured for each precision that the processor has instructions for (qb_node_get_compute()), and
 * for each core, so that sessions of a profile of the node use the fastest ones first.
 *
 * A processor with AMX multiplies bf16 and int8 on it if Linux permits the process to. Measuring asks for
 * the permission, as oneDNN does for every session. It stays with the process: signal stacks that are
 * set up later (sigaltstack()) have to hold sysconf(_SC_MINSIGSTKSZ) bytes. If Linux refuses, c is
 * measured without AMX, and sessions do not use it either.
 *
 * Instances have a physical core for each thread. Those of a profile of the node take no more than
 * usable_threads, so that reserve_cores cores stay free with all their hardware threads.
 *
 * @param params NULL: the defaults
 * @param[out] node a new reference
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT (also if reserve_cores leaves no core); QB_ERROR_NO_MEMORY;
 * QB_ERROR_SYSTEM (no usable core, or threads refused)
 * Thread-safety: safe; run nothing else while it measures.
 * @since 0.1
 */
QB_API qb_status qb_node_detect(qb_context *context, const qb_node_params *params, qb_node **node);

/**
 * Describes a node.
 * @param[out] info its size is set by the caller
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_node_get_info(const qb_node *node, qb_node_info *info);

/** @return the same node, with one more reference. Thread-safety: safe. @since 0.1 */
QB_API qb_node *qb_node_ref(qb_node *node);

/** Gives a reference back; NULL is allowed. Thread-safety: safe. @since 0.1 */
QB_API void qb_node_unref(qb_node *node);

QB_END_DECLS

#endif
