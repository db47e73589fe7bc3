/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file catalogue.h
 * Node types that can be paid for by use: what each sustains, and how it is billed.
 */
#ifndef QOSBATCH_CATALOGUE_H
#define QOSBATCH_CATALOGUE_H

#include <qosbatch/node.h>

#include <stdbool.h>

QB_BEGIN_DECLS

/**
 * Node types and the currency of their prices.
 * Thread-safety: safe; immutable after creation.
 */
typedef struct qb_catalogue qb_catalogue;

/** What is paid for. Values are stable. */
typedef enum qb_billing_kind {
  QB_BILLING_TIME = 1, /**< each node, from its order to the end of the job */
  QB_BILLING_CALLS = 2 /**< each round: a call of a function, and memory for the time it takes */
} qb_billing_kind;

/**
 * Prices are in the currency of the catalogue. Fields of the other kind are 0. A value type: it has
 * no size and never grows.
 */
typedef struct qb_billing {
  qb_billing_kind kind;
  double price_per_hour;  /**< QB_BILLING_TIME: of a node */
  double price_per_gib_s; /**< QB_BILLING_CALLS: of a GiB of the node's memory for a second */
  double price_per_call;  /**< QB_BILLING_CALLS: of a call, whatever it takes */
  int64_t granularity_ns; /**< time is billed in multiples of this, > 0; a node's, or a call's */
  int64_t minimum_ns;     /**< time billed is at least this */
  uint64_t reserved[4];   /**< 0 */
} qb_billing;

/** A kind of node. Strings of a type that the library gives belong to the catalogue. */
typedef struct qb_node_type {
  size_t size;      /**< sizeof(qb_node_type) */
  const char *name; /**< unlike all others of the catalogue */
  /**
   * The processor as qb_node_info names it, or "". A profile of a node with this processor and as
   * many cores speaks of this type without being transferred.
   */
  const char *cpu;
  uint32_t vcpus;             /**< as the provider counts them */
  uint32_t threads_per_core;  /**< 2 where a vCPU is a hardware thread, 1 where it is a core */
  uint64_t memory_bytes;      /**< of the node, or of the function */
  double compute_flops;       /**< c of all cores together, FLOP/s; 0 if not known */
  double memory_bytes_per_s;  /**< m of all cores together, B/s; 0 if not known */
  bool measured;              /**< c and m were measured on such a node, not only stated */
  int64_t start_up_ns;        /**< from the order until batch sizes are ready; billed */
  double interruptions_per_h; /**< of one node, on average: of a spot price; else 0 */
  uint32_t most_nodes;        /**< that can be had at a time, 1..QB_MOST_NODES */
  qb_billing billing;
} qb_node_type;

/** The most nodes of a type, and the most types of a catalogue. */
#define QB_MOST_NODES 100000u

#define QB_NODE_TYPE_INIT                                                                          \
  {                                                                                                \
    .size = sizeof(qb_node_type), .name = "", .cpu = "", .vcpus = 1, .threads_per_core = 1,        \
    .most_nodes = 1, .billing = {                                                                  \
      .kind = QB_BILLING_TIME,                                                                     \
      .granularity_ns = 1000000000                                                                 \
    }                                                                                              \
  }

/** @return the cores of a node of this type: vcpus / threads_per_core, at least 1. */
QB_API uint32_t qb_node_type_cores(const qb_node_type *type);

/**
 * Makes a catalogue of copies of the types.
 * @param currency "USD" and the like: 1 to 16 characters
 * @param note what the reader should know of it, such as where prices are from; may be ""
 * @param[out] catalogue a new reference
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT (the message names the type and the field);
 * QB_ERROR_NO_MEMORY
 */
QB_API qb_status qb_catalogue_new(qb_context *context, const char *currency, const char *note,
                                  const qb_node_type *types, size_t count,
                                  qb_catalogue **catalogue);

/**
 * Loads a catalogue (docs/formats.md) and checks every field; unknown fields are refused.
 * @param[out] catalogue a new reference
 * @return QB_OK; QB_ERROR_IO; QB_ERROR_FORMAT; QB_ERROR_VERSION; QB_ERROR_NO_MEMORY
 */
QB_API qb_status qb_catalogue_load(qb_context *context, const char *path, qb_catalogue **catalogue);

/**
 * Saves a catalogue as JSON, atomically: the file is either the old or the new one.
 * @return QB_OK; QB_ERROR_IO; QB_ERROR_NO_MEMORY
 */
QB_API qb_status qb_catalogue_save(const qb_catalogue *catalogue, const char *path);

/** @return the number of types; 0 for NULL. Thread-safety: safe. */
QB_API uint32_t qb_catalogue_count(const qb_catalogue *catalogue);

/** @return the currency; belongs to the catalogue. Thread-safety: safe. */
QB_API const char *qb_catalogue_currency(const qb_catalogue *catalogue);

/** @return the note; belongs to the catalogue. Thread-safety: safe. */
QB_API const char *qb_catalogue_note(const qb_catalogue *catalogue);

/** Describes type `index`. @return QB_OK; QB_ERROR_NOT_FOUND; QB_ERROR_INVALID_ARGUMENT */
QB_API qb_status qb_catalogue_get_type(const qb_catalogue *catalogue, uint32_t index,
                                       qb_node_type *type);

/** @return the same catalogue, with one more reference. Thread-safety: safe. */
QB_API qb_catalogue *qb_catalogue_ref(qb_catalogue *catalogue);

/** Gives a reference back; NULL is allowed. Thread-safety: safe. */
QB_API void qb_catalogue_unref(qb_catalogue *catalogue);

QB_END_DECLS

#endif
