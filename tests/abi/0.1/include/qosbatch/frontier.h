/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file frontier.h
 * The alternatives to a plan: those that no other plan beats.
 */
#ifndef QOSBATCH_FRONTIER_H
#define QOSBATCH_FRONTIER_H

#include <qosbatch/plan.h>

QB_BEGIN_DECLS

/** @return the number of plans; 0 for NULL. Thread-safety: safe. @since 0.1 */
QB_API uint32_t qb_job_frontier_count(const qb_job_frontier *frontier);

/**
 * Describes plan `index`.
 * @param[in,out] plan its size is set by the caller
 * @return QB_OK; QB_ERROR_NOT_FOUND; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_job_frontier_get(const qb_job_frontier *frontier, uint32_t index,
                                     qb_job_plan *plan);

/**
 * Frees a frontier; NULL is allowed.
 * Thread-safety: safe; no thread may read the frontier any more.
 * @since 0.1
 */
QB_API void qb_job_frontier_free(qb_job_frontier *frontier);

/** @return the number of plans; 0 for NULL. Thread-safety: safe. @since 0.1 */
QB_API uint32_t qb_service_frontier_count(const qb_service_frontier *frontier);

/** Describes plan `index`; else as qb_job_frontier_get(). Thread-safety: safe. @since 0.1 */
QB_API qb_status qb_service_frontier_get(const qb_service_frontier *frontier, uint32_t index,
                                         qb_service_plan *plan);

/**
 * Frees a frontier; NULL is allowed.
 * Thread-safety: safe; no thread may read the frontier any more.
 * @since 0.1
 */
QB_API void qb_service_frontier_free(qb_service_frontier *frontier);

QB_END_DECLS

#endif
