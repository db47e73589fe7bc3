/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file context.h
 * The host's hooks: an allocator, a receiver of messages, a clock.
 */
#ifndef QOSBATCH_CONTEXT_H
#define QOSBATCH_CONTEXT_H

#include <qosbatch/status.h>

#include <stddef.h>
#include <stdint.h>

QB_BEGIN_DECLS

/**
 * Every other object is made from a context and keeps a reference to it.
 * Thread-safety: safe; immutable after creation. The hooks are called from whatever thread calls
 * the library and from the threads of sessions, so they must be thread-safe too.
 * @since 0.1
 */
typedef struct qb_context qb_context;

/** How much a message matters. Values are stable. @since 0.1 */
typedef enum qb_severity {
  QB_SEVERITY_WARNING = 1, /**< the result is usable but not as good as it could be */
  QB_SEVERITY_INFO = 2     /**< progress of long work */
} qb_severity;

/**
 * The host's hooks. Members may be 0: the library then uses malloc, drops messages, reads
 * CLOCK_MONOTONIC and allows half of the machine's memory.
 * @since 0.1
 */
typedef struct qb_context_params {
  size_t size; /**< sizeof(qb_context_params) */
  /**
   * Returns `bytes` (> 0) bytes aligned to `alignment` (a power of two, at most 2 MiB), or NULL.
   * Set both or neither of allocate and release. Memory that oneDNN, jansson or hwloc allocate
   * still comes from malloc.
   */
  void *(*allocate)(void *user, size_t bytes, size_t alignment);
  void (*release)(void *user, void *memory); /**< memory is never NULL */
  void *allocator_user;                      /**< passed to allocate and release */
  /** Receives one line without a newline; `text` is valid during the call only. */
  void (*message)(void *user, qb_severity severity, const char *text);
  void *message_user; /**< passed to message */
  /** A monotonic clock in nanoseconds; its origin does not matter. */
  int64_t (*now_ns)(void *user);
  void *clock_user; /**< passed to now_ns */
  /**
   * The most bytes that loading one model file may hold at one time: its text, its parsed form, and
   * the constants that are read, evaluated and converted on the way to the network. A file that
   * claims more is refused with QB_ERROR_NO_MEMORY before the memory is allocated. 0: half of the
   * machine's physical memory, since a session holds the weights once more. Only loading counts.
   */
  uint64_t memory_limit_bytes;
} qb_context_params;

#define QB_CONTEXT_PARAMS_INIT QB__INIT(qb_context_params)

/**
 * Makes a context.
 * @param params NULL: the defaults
 * @param[out] context a new reference, to be given back with qb_context_unref()
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT (only one of allocate and release, or a bad size);
 * QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_context_new(const qb_context_params *params, qb_context **context);

/** @return the same context, with one more reference. Thread-safety: safe. @since 0.1 */
QB_API qb_context *qb_context_ref(qb_context *context);

/** Gives a reference back; NULL is allowed. Thread-safety: safe. @since 0.1 */
QB_API void qb_context_unref(qb_context *context);

QB_END_DECLS

#endif
