/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files, read with a limit and written atomically. */
#ifndef QB_CORE_FILE_H
#define QB_CORE_FILE_H

#include <qosbatch/context.h>

/*
 * Reads a file of at most `limit` bytes. *data is terminated with a 0 that *bytes does not count;
 * free it with qb__free(). Fails with QB_ERROR_IO, QB_ERROR_OVERFLOW or QB_ERROR_NO_MEMORY.
 */
qb_status qb__file_read(const qb_context *context, const char *path, size_t limit, char **data,
                        size_t *bytes);

/* The same of a file that need not be there: *data is NULL where it cannot be read. */
qb_status qb__file_read_optional(const qb_context *context, const char *path, size_t limit,
                                 char **data);

/*
 * Replaces a file by writing a temporary one beside it, flushing it to disk and renaming it, then
 * flushing the folder. On failure the old file is untouched and the temporary one removed.
 */
qb_status qb__file_write(const qb_context *context, const char *path, const void *data,
                         size_t bytes);

#endif
