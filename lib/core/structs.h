/* SPDX-License-Identifier: Apache-2.0 */
/* The one checker for flat public structs, which begin with `size_t size` (docs/abi.md). */
#ifndef QB_CORE_STRUCTS_H
#define QB_CORE_STRUCTS_H

#include "core/oldest_members.h"

#include <qosbatch/status.h>

#include <stddef.h>

/*
 * Copies a struct of the host into `ours`, whatever version its header had: members it does not
 * have become 0, members we do not know must be 0. `ours` keeps its own size in the first member.
 */
#define QB__STRUCT_IN(type, ours, theirs)                                                          \
  qb__struct_in(1 ? (ours) : (type *)NULL, sizeof(type), QB__OLDEST_SIZE(type),                    \
                1 ? (theirs) : (const type *)NULL, #type)

/* Checks a struct that is to be filled: not NULL, and a size some version had. */
#define QB__STRUCT_CHECK_OUT(type, theirs)                                                         \
  qb__struct_check_out(1 ? (theirs) : (const type *)NULL, QB__OLDEST_SIZE(type), #type)

/* Checks an array to be read or filled: each element as QB__STRUCT_CHECK_OUT(), all of one size. */
#define QB__STRUCTS_CHECK(type, theirs, count)                                                     \
  qb__structs_check(1 ? (theirs) : (const type *)NULL, count, QB__OLDEST_SIZE(type), #type)

qb_status qb__struct_in(void *ours, size_t ours_bytes, size_t oldest, const void *theirs,
                        const char *name);
qb_status qb__struct_check_out(const void *theirs, size_t oldest, const char *name);
qb_status qb__structs_check(const void *theirs, size_t count, size_t oldest, const char *name);

/* Fills a checked struct of the host with as much as it has room for; its size stays. */
void qb__struct_out(void *theirs, const void *ours, size_t ours_bytes);

/*
 * Element `i` of a checked array: its elements are as large as in the host's header, not in ours.
 */
const void *qb__struct_at(const void *theirs, size_t i);

/* Fills element `i` of a checked array. */
void qb__struct_out_at(void *theirs, size_t i, const void *ours, size_t ours_bytes);

#endif
