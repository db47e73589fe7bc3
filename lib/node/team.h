/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of our own, each pinned to a core, that do a piece of work at the same time. */
#ifndef QB_NODE_TEAM_H
#define QB_NODE_TEAM_H

#include <qosbatch/context.h>

typedef struct qb__team qb__team;

/* What thread `index` does; it calls nothing that can fail. */
typedef void (*qb__team_work)(void *user, uint32_t index);

/*
 * Starts `size` sleeping threads, thread i on CPU cpus[i] (unpinned if the system refuses). Fails
 * with QB_ERROR_NO_MEMORY or QB_ERROR_SYSTEM.
 */
qb_status qb__team_new(qb_context *context, const uint16_t *cpus, uint32_t size, qb__team **team);
void qb__team_free(qb__team *team);

/*
 * Has the first `threads` of the team do the work together, and waits for all of them. Returns the
 * nanoseconds (1 or more) from the earliest start to the latest end. For one caller at a time.
 */
int64_t qb__team_run(qb__team *team, uint32_t threads, qb__team_work work, void *user);

enum { QB__MOST_TEAM_SIZES = 32 };

/*
 * The numbers of threads worth measuring of a team: 1, 2, 3, 4, 6, 8, 12, 16, ... and its size.
 * Returns how many they are.
 */
size_t qb__team_sizes(const qb__team *team, uint32_t sizes[QB__MOST_TEAM_SIZES]);

#endif
