/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in files, as a number: XXH64 (Yann Collet, xxhash.com), as 'xxhsum -H1' prints it. It is
 * made for chance, not for malice; a change of up to 8 bytes in a row never goes unseen.
 */
#ifndef TOOL_CONTENT_H
#define TOOL_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t content_of(const void *data, size_t bytes);

/* Of all that a file holds. False, with errno, if it cannot be read or is no plain file. */
bool content_of_file(int fd, uint64_t *hash);

/* Likewise; never waits for what is behind a path. */
bool content_of_path(const char *path, uint64_t *hash);

#endif
