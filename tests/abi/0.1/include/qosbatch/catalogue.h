/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file catalogue.h
 * Node types that can be bought: what each sustains, and how it is billed.
 */
#ifndef QOSBATCH_CATALOGUE_H
#define QOSBATCH_CATALOGUE_H

#include <qosbatch/node.h>

#include <stdbool.h>

QB_BEGIN_DECLS

/**
 * Node types and the currency of their prices.
 * Thread-safety: safe; immutable after creation.
 * @since 0.1
 */
typedef struct qb_catalogue qb_catalogue;

/** What is paid for. Values are stable. @since 0.1 */
typedef enum qb_billing_kind {
  QB_BILLING_TIME = 1, /**< each node, from its order to the end of the job */
  QB_BILLING_CALLS = 2 /**< each round: a call of a function, and memory for the time it takes */
} qb_billing_kind;

/**
 * How a node type is billed, in the catalogue's currency. Prices of the other kind must be 0. A
 * value type: it has no size and never grows.
 * @since 0.1
 */
typedef struct qb_billing {
  qb_billing_kind kind;   /**< which of the prices count */
  double price_per_hour;  /**< QB_BILLING_TIME: of a node */
  double price_per_gib_s; /**< QB_BILLING_CALLS: of a GiB of the node's memory for a second */
  double price_per_call;  /**< QB_BILLING_CALLS: of a call, whatever it takes */
  int64_t granularity_ns; /**< time is billed in multiples of this, > 0; a node's, or a call's */
  int64_t minimum_ns;     /**< time billed is at least this */
  uint64_t reserved[4];   /**< 0 */
} qb_billing;

/** A type of node. Strings that the library gives belong to the catalogue. @since 0.1 */
typedef struct qb_node_type {
  size_t size;      /**< sizeof(qb_node_type) */
  const char *name; /**< unique in the catalogue, 1..255 characters */
  const char *cpu;  /**< the processor as qb_node_info names it, or "". With the profile's processor
                         and number of cores, the type counts as the profiled node */
  uint32_t vcpus;   /**< as the provider counts them, 1..65536 */
  uint32_t threads_per_core; /**< 2 where a vCPU is a hardware thread, 1 where it is a core. A node
                                  has vcpus / threads_per_core cores, at least 1 */
  qb_isa isa;                /**< best instruction set; QB_ISA_BEST: that of the profile */
  bool measured;         /**< c and m were measured on such a node, not taken from a data sheet */
  uint64_t memory_bytes; /**< of the node, or of the function, > 0 */
  double compute_flops_per_s; /**< c of all cores together, FLOP/s; 0 if not known */
  double memory_bytes_per_s;  /**< m of all cores together, B/s; 0 if not known */
  int64_t start_up_ns;        /**< from the order until batch sizes are ready; billed */
  double interruptions_per_h; /**< expected, of one node: of a spot price; else 0 */
  uint32_t max_nodes;         /**< how many can be had at once, 1..QB_MAX_NODES */
  qb_billing billing;         /**< what it costs */
  uint32_t features; /**< bits of qb_feature; with QB_ISA_BEST also those of the profile's node */
  double compute_bf16_flops_per_s; /**< c in bfloat16 of all cores together; 0: twice that of 32-bit
                                        floats with QB_FEATURE_BF16, else it cannot be had */
  double compute_int8_flops_per_s; /**< c in 8-bit integers of all cores together; 0: by isa and
                                        features (docs/estimates.md) */
} qb_node_type;

/** The most nodes of a type, and the most types of a catalogue. @since 0.1 */
#define QB_MAX_NODES 100000u

#define QB_NODE_TYPE_INIT                                                                          \
  {                                                                                                \
    .size = sizeof(qb_node_type), .name = "", .cpu = "", .vcpus = 1, .threads_per_core = 1,        \
    .max_nodes = 1, .billing = {                                                                   \
      .kind = QB_BILLING_TIME,                                                                     \
      .granularity_ns = 1000000000                                                                 \
    }                                                                                              \
  }

/**
 * Makes a catalogue of copies of the types.
 * @param currency "USD" and the like: 1..16 characters
 * @param note anything the reader should know, such as where the prices come from; may be ""
 * @param types `count` of them, 1..QB_MAX_NODES
 * @param[out] catalogue a new reference
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT (the message names the type and the field);
 * QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_catalogue_new(qb_context *context, const char *currency, const char *note,
                                  const qb_node_type *types, size_t count,
                                  qb_catalogue **catalogue);

/**
 * Loads a catalogue (docs/formats.md) and checks every field; unknown fields are refused. The file
 * may be untrusted.
 * @param[out] catalogue a new reference
 * @return QB_OK; QB_ERROR_IO; QB_ERROR_FORMAT; QB_ERROR_VERSION; QB_ERROR_NO_MEMORY;
 * QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_catalogue_load(qb_context *context, const char *path, qb_catalogue **catalogue);

/** Gives a reference back; NULL is allowed. Thread-safety: safe. @since 0.1 */
QB_API void qb_catalogue_unref(qb_catalogue *catalogue);

/** A catalogue as a whole. Strings belong to the catalogue. @since 0.1 */
typedef struct qb_catalogue_info {
  size_t size;          /**< sizeof(qb_catalogue_info) */
  uint32_t types;       /**< number of node types */
  const char *currency; /**< of all prices */
  const char *note;     /**< as given; may be "" */
} qb_catalogue_info;

#define QB_CATALOGUE_INFO_INIT QB__INIT(qb_catalogue_info)

/**
 * Describes a catalogue.
 * @param[in,out] info its size is set by the caller
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_catalogue_get_info(const qb_catalogue *catalogue, qb_catalogue_info *info);

/**
 * Describes type `index`.
 * @param[in,out] type its size is set by the caller
 * @return QB_OK; QB_ERROR_NOT_FOUND; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_catalogue_get_type(const qb_catalogue *catalogue, uint32_t index,
                                       qb_node_type *type);

QB_END_DECLS

#endif
