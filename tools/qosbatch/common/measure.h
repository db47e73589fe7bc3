/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring within a time budget, with a progress bar. Returned is the exit status. */
#ifndef TOOL_MEASURE_H
#define TOOL_MEASURE_H

#include "common/precisions.h"

/* Of --reserve: nothing was asked for. */
#define RESERVE_USUAL UINT64_MAX

#define OPTION_RESERVE(to, usual)                                                                  \
  OPTION_INTEGER("reserve", "N", to, 0, 65535,                                                     \
                 "cores to leave to HTTP, clients and others (" usual ")")

/* What was asked for, else what the profile's node leaves, or without a profile (NULL) none. */
uint32_t reserve_of(uint64_t asked, const qb_profile *profile);

/*
 * A profile that has to be of this network and, if a reserve was asked for, of that; of another node it
 * is worth a warning. What was loaded is there all the same.
 */
int load_profile_here(qb_context *context, const char *path, const qb_model *model,
                      uint64_t reserve_cores, qb_profile **profile);

/* Takes at most a quarter of a budget, which may be 0 for the library's; *left_ns is the rest. */
int measure_node(qb_context *context, uint32_t reserve_cores, double price_per_hour,
                 double budget_s, qb_node **node, int64_t *left_ns);

int measure_profile(qb_model *model, qb_node *node, const qb_profile_params *params, bool quiet,
                    qb_profile **profile);

/* What a command that is given no profile measures for itself. */
typedef struct brief_demand {
  const char *model;         /* as the user names it */
  precision_list precisions; /* one or more */
  bool by_accuracy;          /* an accuracy will choose among them */
  uint32_t max_batch;
  double seconds;         /* for each precision */
  uint64_t reserve_cores; /* RESERVE_USUAL: none */
  double price_per_hour;
  bool quiet;
} brief_demand;

/* What plans are made by; a plan names the one that it uses. */
typedef struct profile_list {
  qb_profile *profiles[MOST_PRECISIONS];
  size_t count;
} profile_list;

/*
 * With an accuracy all precisions are in one profile; without one, plans use the first precision of a
 * profile only, so each has its own. Adds to `made`, an empty list, also after a failure.
 */
int measure_briefly(qb_context *context, qb_model *model, const brief_demand *demand,
                    profile_list *made);

void profile_list_free(profile_list *list);

#endif
