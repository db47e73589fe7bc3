/* SPDX-License-Identifier: Apache-2.0 */
/* How accurate the precisions of a profile are, found out by running the user's own samples. */
#ifndef TOOL_ANSWERS_H
#define TOOL_ANSWERS_H

#include <qosbatch/profile.h>

struct source; /* run/source.h */

typedef struct answers_demand {
  struct source *input;
  const char *labels; /* one for each sample; NULL: answers in 32-bit floats are the right ones */
  uint64_t most;      /* samples, spread evenly over the input */
} answers_demand;

/*
 * Answers the samples in every precision of the profile and keeps in it how many are right. *profile is
 * then another one. Returns the exit status, after a message.
 */
int answers_measure(qb_model *model, const answers_demand *demand, qb_profile **profile);

#endif
