/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file version.h
 * The version of the headers, and of the library that was loaded.
 */
#ifndef QOSBATCH_VERSION_H
#define QOSBATCH_VERSION_H

#include <qosbatch/export.h>

QB_BEGIN_DECLS

/** Version of these headers. Within a major version the ABI only grows. */
#define QB_VERSION_MAJOR 0
#define QB_VERSION_MINOR 1
#define QB_VERSION_PATCH 0

/**
 * @return the version of the loaded library as "MAJOR.MINOR.PATCH"; static, do not free.
 * Thread-safety: safe.
 */
QB_API const char *qb_version(void);

/**
 * @return the inference engine the library was built with and its version as loaded, such as
 * "oneDNN 2.6.3", or "none" when it can only run a host's own workload; static, do not free.
 * Thread-safety: safe.
 */
QB_API const char *qb_engine_version(void);

QB_END_DECLS

#endif
