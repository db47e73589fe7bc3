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

/*
 * Fills element `i` of a checked array of the host with as much of ours as it has room for; its size
 * stays. Bytes between the members of ours, left over from whatever was there before, become 0 where
 * the compiler knows them.
 */
#define QB__STRUCT_OUT_AT(type, theirs, i, ours)                                                   \
  do {                                                                                             \
    type qb__copy = *(ours);                                                                       \
    QB__CLEAR_PADDING(&qb__copy);                                                                  \
    qb__struct_out_at(1 ? (theirs) : (type *)NULL, i, &qb__copy, sizeof qb__copy);                 \
  } while (0)

/* The same for a single struct. */
#define QB__STRUCT_OUT(type, theirs, ours) QB__STRUCT_OUT_AT(type, theirs, 0, ours)

#ifdef __has_builtin
#if __has_builtin(__builtin_clear_padding)
#define QB__CLEAR_PADDING(object) __builtin_clear_padding(object)
#endif
#endif
#ifndef QB__CLEAR_PADDING
#define QB__CLEAR_PADDING(object) (void)(object)
#endif

void qb__struct_out_at(void *theirs, size_t i, const void *ours, size_t ours_bytes);

/*
 * Element `i` of a checked array: its elements are as large as in the host's header, not in ours.
 */
const void *qb__struct_at(const void *theirs, size_t i);

#endif
