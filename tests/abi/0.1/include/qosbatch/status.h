/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file status.h
 * What every call returns, and the text that explains a failure.
 *
 * Rules that hold for every function of the library, said once:
 * - Outputs come last and are untouched on failure.
 * - The library never prints, exits or aborts, and leaves the host's state (affinity, OpenMP
 *   settings, locale, signals, working directory) as it found it.
 * - A struct that begins with `size_t size` may grow in later versions: initialise it with its
 *   `_INIT` macro, also where the library fills it. A struct without a size never changes.
 *   docs/abi.md says what that promises.
 * - Parameter structs, strings and arrays are only read during the call.
 * - A `_ref` function returns its argument with one more reference; an `_unref` function gives one
 *   back and accepts NULL. An object keeps what it was made from alive.
 */
#ifndef QOSBATCH_STATUS_H
#define QOSBATCH_STATUS_H

#include <qosbatch/export.h>

QB_BEGIN_DECLS

/** Values are stable and never reused. @since 0.1 */
typedef enum qb_status {
  QB_OK = 0,
  QB_ERROR_INVALID_ARGUMENT = 1, /**< an argument is outside its documented range */
  QB_ERROR_NO_MEMORY = 2,        /**< the allocator returned NULL */
  QB_ERROR_OVERFLOW = 3,         /**< a shape, count or file is larger than can be represented */
  QB_ERROR_IO = 4,               /**< a file could not be read, written, flushed or renamed */
  QB_ERROR_FORMAT = 5,           /**< a file is not what its format says */
  QB_ERROR_VERSION = 6,          /**< a file's format is newer than the library */
  QB_ERROR_UNSUPPORTED = 7,      /**< well formed, but beyond this build of the library */
  QB_ERROR_NOT_FOUND = 8,        /**< no model, operator or measurement of that name or number */
  QB_ERROR_MISMATCH = 9,         /**< a profile of another machine, model or engine */
  QB_ERROR_INFEASIBLE = 10,      /**< the quality of service asked for cannot be met */
  QB_ERROR_ENGINE = 11,          /**< the inference engine or the host's workload failed */
  QB_ERROR_CANCELLED = 12,       /**< the progress callback asked to stop */
  QB_ERROR_SYSTEM = 13           /**< the operating system refused a thread, a core or a counter */
} qb_status;

/**
 * @return the name of a status, such as "QB_ERROR_FORMAT"; "QB_ERROR_UNKNOWN" for any other value.
 * Static, do not free. Thread-safety: safe.
 * @since 0.1
 */
QB_API const char *qb_status_name(qb_status status);

/**
 * @return what went wrong in the last call that failed *in the calling thread*: the offending
 * value, its place (file, byte, JSON path, operator) and the remedy. Empty before the first
 * failure. Belongs to the library and stays valid until the next call that fails in this thread.
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API const char *qb_error_message(void);

QB_END_DECLS

#endif
