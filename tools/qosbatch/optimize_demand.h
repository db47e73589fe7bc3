/* SPDX-License-Identifier: Apache-2.0 */
/* What `qosbatch optimize` is asked for: a service or a job, on one of some nodes. */
#ifndef TOOL_OPTIMIZE_DEMAND_H
#define TOOL_OPTIMIZE_DEMAND_H

#include <qosbatch/qosbatch.h>

#include <stdbool.h>

typedef struct demand {
  qb_qos qos;
  double rate_per_s; /* of a service; 0: the highest there is */
  uint64_t queued;
  uint64_t samples; /* > 0: a job */
  bool frontier;
} demand;

/* Profiles of one model on the nodes to choose among. */
typedef struct nodes {
  const char **paths;
  qb_profile **profiles;
  size_t count;
  const char *model; /* belongs to the profiles */
} nodes;

/* Each returns the exit status, after a message if it failed. */
int optimize_service(const nodes *all, const demand *d, bool as_json);
int optimize_job(const nodes *all, const demand *d, bool as_json);

#endif
