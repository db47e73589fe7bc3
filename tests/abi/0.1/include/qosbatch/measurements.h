/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file measurements.h
 * Profiles of rounds that were timed elsewhere: by another engine, or by the host itself.
 */
#ifndef QOSBATCH_MEASUREMENTS_H
#define QOSBATCH_MEASUREMENTS_H

#include <qosbatch/profile.h>

QB_BEGIN_DECLS

/** Metadata that measurements from elsewhere do not contain. @since 0.1 */
typedef struct qb_measurements_params {
  size_t size;           /**< sizeof(qb_measurements_params) */
  qb_model *model;       /**< what was measured; NULL: F is unknown, and `name` names the profile */
  qb_node *node;         /**< where; NULL: a node with unknown c and m */
  double price_per_hour; /**< price of the unknown node; 0: unknown */
  const char *name;      /**< name of an unknown model; NULL: that of the file, or "points" */
} qb_measurements_params;

#define QB_MEASUREMENTS_PARAMS_INIT QB__INIT(qb_measurements_params)

/**
 * Makes a profile of rounds that were timed elsewhere, by any engine, and written to a file.
 *
 * The file is CSV (RFC 4180) whose first line names the columns; `instances`, `threads`, `batch` and
 * `latency_ns` are needed, in any order, and other columns are ignored. A row is the time of one
 * round while all instances ran. Rows of the same configuration and batch are samples: their median
 * is the latency, with its distribution-free 95 % interval. With fewer than 6 rows the interval is
 * Student's, from the spread of all points' rows, or from a typical 10 % where there are few.
 *
 * The file may come from a stranger: every field is checked.
 *
 * @param params NULL: the defaults
 * @param[out] profile a new reference
 * @return QB_OK; QB_ERROR_IO; QB_ERROR_FORMAT (the message says line, column and value);
 * QB_ERROR_OVERFLOW (more than 64 MiB, or 100,000 points); QB_ERROR_INVALID_ARGUMENT;
 * QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_profile_from_measurements(qb_context *context, const char *path,
                                              const qb_measurements_params *params,
                                              qb_profile **profile);

/**
 * Makes a profile of points that the host measured or computed itself.
 *
 * A point needs configuration, batch and latency_ns. Members that are 0 follow from it: low_ns,
 * high_ns, p95_ns and mean_ns are then latency_ns.
 *
 * @param points `count` of them, in any order, each (configuration, batch) once
 * @param count 1..100,000
 * @param params NULL: the defaults
 * @param[out] profile a new reference
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT (the message says point and member);
 * QB_ERROR_UNSUPPORTED (a precision that is not supported); QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_profile_from_points(qb_context *context, const qb_profile_point *points,
                                        size_t count, const qb_measurements_params *params,
                                        qb_profile **profile);

QB_END_DECLS

#endif
