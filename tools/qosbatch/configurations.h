/* SPDX-License-Identifier: Apache-2.0 */
/* Which configurations a command speaks of, given --instances and --threads. */
#ifndef TOOL_CONFIGURATIONS_H
#define TOOL_CONFIGURATIONS_H

#include "common/options.h"

#include <qosbatch/profile.h>

typedef struct configuration_list {
  qb_configuration *items; /* free(items) */
  size_t count;
} configuration_list;

/*
 * Those to measure on a node with `usable` threads: all products of the two lists that fit. One
 * list alone is completed: 1 instance of each number of threads, or each number of instances with
 * an equal share of the threads. Without both, none: the library chooses. Returns the exit status:
 * a failure if none fits.
 */
int configurations_to_measure(uint32_t usable, const integer_list *instances,
                              const integer_list *threads, configuration_list *list);

/*
 * Those of a profile with this number of instances and threads, 0 standing for any, and in this
 * precision. If both are given it is that one, measured or not. Returns the exit status: a failure if
 * there is none.
 */
int configurations_of_profile(const qb_profile *profile, const qb_configuration *wanted,
                              configuration_list *list);

/* As configurations_of_profile(), but only the one that had the highest throughput. */
int configuration_of_profile(const qb_profile *profile, const qb_configuration *wanted,
                             qb_configuration *configuration);

#endif
