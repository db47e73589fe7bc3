/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a process may multiply tiles (AMX), of which Linux wants to be asked first. */
#ifndef QB_NODE_TILES_H
#define QB_NODE_TILES_H

#include <stdbool.h>

/*
 * Whether the processor multiplies tiles of bytes and of bfloat16 numbers (AMX-TILE, AMX-INT8,
 * AMX-BF16) and the operating system keeps their registers. A process needs Linux's permission to use
 * them: without it, the first use is a fatal signal.
 */
bool qb__has_tiles(void);

/* Whether this process has the permission. */
bool qb__may_use_tiles(void);

/*
 * Asks for the permission where the processor has tiles and the process may not use them yet. oneDNN
 * asks the same before its first primitive, so that its kernels may use tiles if, and only if, the
 * process may do so afterwards. The permission is for good and for all threads: signal stacks that are
 * set up later (sigaltstack()) have to hold the tiles, too. Linux refuses it while there is a smaller one.
 */
void qb__ask_for_tiles(void);

#endif
