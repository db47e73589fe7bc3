/* SPDX-License-Identifier: Apache-2.0 */
/* What the plans of services and jobs have in common, as JSON and as text. */
#ifndef TOOL_VIEW_CHOICE_H
#define TOOL_VIEW_CHOICE_H

#include "common/output.h"
#include "optimize_demand.h"

/* What qb_plan_job() and qb_plan_service() both decide. */
typedef struct choice {
  bool feasible;
  qb_reason reason;
  const qb_nearest *nearest;
  const qb_untried *untried;
  uint32_t profile;
  const qb_configuration *configuration;
  uint32_t batch;
} choice;

void add_choice(json_t *root, const nodes *all, const choice *made);
void print_feasibility(const choice *made);
/* Says where measuring more could change the plan. */
void print_untried(const qb_untried *untried);
void print_node(const nodes *all, uint32_t profile);

#endif
