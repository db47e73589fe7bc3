/* SPDX-License-Identifier: Apache-2.0 */
/* The classes that samples belong to, as a person labelled them. */
#ifndef TOOL_LABELS_H
#define TOOL_LABELS_H

#include <stdint.h>

/*
 * Reads one number a line, exactly `count` of them; any other file is a mistake. Returns the exit status,
 * after a message.
 */
int labels_read(const char *path, uint64_t count, uint32_t *labels);

#endif
