/* SPDX-License-Identifier: Apache-2.0 */
/* Machines and networks that nobody measured, for a search to show that it is not made for one. */
#ifndef BENCH_REPLAY_MACHINES_H
#define BENCH_REPLAY_MACHINES_H

#include "replay/table.h"

enum { MACHINE_KINDS = 5 };
extern const char *const machine_kinds[MACHINE_KINDS];

/*
 * Rounds on a machine of a kind, of which the seed draws the cores, caches, bandwidth and network.
 * False: there is no such kind.
 */
bool machine_made(const char *kind, uint64_t seed, table *made);

#endif
