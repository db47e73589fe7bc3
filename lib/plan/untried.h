/* SPDX-License-Identifier: Apache-2.0 */
/* Whether measuring another division of the cores could change a plan. */
#ifndef QB_PLAN_UNTRIED_H
#define QB_PLAN_UNTRIED_H

#include <qosbatch/plan.h>

/* Less is not worth measuring for. */
static const double QB__LEAST_GAIN = 0.05;

/*
 * Of a plan made of what was measured, and one made with what is expected of other configurations,
 * too; both values are better the lower they are.
 */
static inline qb_untried qb__untried_of(bool feasible, double value, bool hoped_feasible,
                                        double hoped_value, qb_source source,
                                        const qb_configuration *configuration)
{
  qb_untried found = {.gain = 0};
  const double gain = hoped_feasible && !feasible  ? 1
                      : hoped_feasible == feasible ? 1 - hoped_value / value
                                                   : 0;
  if (source == QB_SOURCE_TRANSFERRED && gain >= QB__LEAST_GAIN) {
    found.configuration = *configuration;
    found.gain = gain;
  }
  return found;
}

#endif
