/* SPDX-License-Identifier: Apache-2.0 */
/* The one checker for flat public structs, which begin with `size_t size`. */
#ifndef QB_CORE_STRUCTS_H
#define QB_CORE_STRUCTS_H

#include <qosbatch/status.h>

#include <stddef.h>

/*
 * Copies a struct of the caller into `ours` (of `ours_bytes`), whatever version its header had:
 * fields it does not have become 0, fields we do not know must be 0. `oldest` is the size of the
 * first released version. `ours` keeps its own size in the first field.
 */
qb_status qb__struct_in(void *ours, size_t ours_bytes, size_t oldest, const void *theirs,
                        const char *name);

/* Checks a struct that is to be filled: not NULL, and a size some version had. */
qb_status qb__struct_check_out(const void *theirs, size_t oldest, const char *name);

/* Fills a checked struct of the caller with as much as it has room for; its size stays. */
void qb__struct_out(void *theirs, const void *ours, size_t ours_bytes);

#endif
