/* SPDX-License-Identifier: Apache-2.0 */
/* What `qosbatch optimize` is asked for, and what services and jobs say alike. */
#ifndef TOOL_OPTIMIZE_H
#define TOOL_OPTIMIZE_H

#include "common/output.h"

#include <qosbatch/qosbatch.h>

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

/* What qb_plan_job() and qb_plan_service() decide alike. */
typedef struct choice {
  bool feasible;
  qb_reason reason;
  const qb_nearest *nearest;
  uint32_t profile;
  const qb_configuration *configuration;
  uint32_t batch;
} choice;

void add_choice(json_t *root, const nodes *all, const choice *made);
void print_feasibility(const choice *made);
void print_node(const nodes *all, uint32_t profile);

int optimize_service(const nodes *all, const demand *d, bool as_json);

#endif
