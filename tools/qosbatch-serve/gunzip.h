/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies with "Content-Encoding: gzip" or "deflate". */
#ifndef SERVE_GUNZIP_H
#define SERVE_GUNZIP_H

#include "budget.h"
#include "protocol.h"

/*
 * Returns memory to be freed with free(), *bytes and a 0 behind them, with *room bytes of the
 * budget; or NULL. More than `most` bytes are refused before they are there.
 */
char *gunzip(const char *packed, size_t packed_bytes, size_t most, budget *memory, size_t *bytes,
             size_t *room, problem *why);

#endif
