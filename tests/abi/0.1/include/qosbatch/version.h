/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file version.h
 * The version of the headers, and of the library that was loaded. docs/abi.md says which versions
 * work together.
 */
#ifndef QOSBATCH_VERSION_H
#define QOSBATCH_VERSION_H

#include <qosbatch/export.h>

#include <stdint.h>

QB_BEGIN_DECLS

/** The version of these headers, first part. */
#define QB_VERSION_MAJOR 0
/** Second part. */
#define QB_VERSION_MINOR 1
/** Third part. */
#define QB_VERSION_PATCH 0

/** A version as a number that grows with it: 0x00MMmmpp. */
#define QB_VERSION_NUMBER_OF(major, minor, patch) ((major) << 16 | (minor) << 8 | (patch))

/** Version of these headers as a number; compare with qb_version_number(). */
#define QB_VERSION_NUMBER QB_VERSION_NUMBER_OF(QB_VERSION_MAJOR, QB_VERSION_MINOR, QB_VERSION_PATCH)

/** Whether these headers are of this version or a later one; usable by the preprocessor. */
#define QB_VERSION_AT_LEAST(major, minor, patch)                                                   \
  (QB_VERSION_NUMBER >= QB_VERSION_NUMBER_OF(major, minor, patch))

/**
 * @return the version of the loaded library as "MAJOR.MINOR.PATCH"; static, do not free.
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API const char *qb_version(void);

/**
 * @return the version of the loaded library as a number, such as QB_VERSION_NUMBER_OF(0, 1, 0).
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API uint32_t qb_version_number(void);

QB_END_DECLS

#endif
