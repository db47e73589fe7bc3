/* SPDX-License-Identifier: Apache-2.0 */
/* All memory goes through the context's allocator; failure sets the message. */
#ifndef QB_CORE_ALLOC_H
#define QB_CORE_ALLOC_H

#include <qosbatch/context.h>

#include <stdbool.h>

/*
 * `count` zeroed elements of `element_bytes`; a valid pointer even for 0 of them, NULL on failure.
 */
void *qb__calloc(const qb_context *context, size_t count, size_t element_bytes);

/* `bytes` bytes, not zeroed, aligned to `alignment`; NULL on failure. */
void *qb__alloc_aligned(const qb_context *context, size_t bytes, size_t alignment);

/* NULL is allowed. */
void qb__free(const qb_context *context, const void *memory);

char *qb__strdup(const qb_context *context, const char *text);

/*
 * Makes room for one more element behind `count` in a growing array; *array and *capacity change
 * only on success.
 */
bool qb__grow(const qb_context *context, void *array, size_t count, size_t *capacity,
              size_t element_bytes);

#endif
