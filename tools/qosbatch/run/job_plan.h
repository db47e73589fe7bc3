/* SPDX-License-Identifier: Apache-2.0 */
/* What is decided before the first round of a job, from a profile; the journal keeps it. */
#ifndef TOOL_JOB_PLAN_H
#define TOOL_JOB_PLAN_H

#include "run/correction.h"
#include "run/job_profile.h"

typedef struct job_plan {
  qb_configuration configuration;
  uint32_t batch;
  int64_t total_ns, low_ns, high_ns; /* of all samples of the job */
  double price_per_hour;             /* 0: not known */
  double around_ns;                  /* of each round, what is done beside it; 0: not known */
  correction batches;                /* others that may turn out better; none of a kept plan */
} job_plan;

/*
 * Returns the exit status: a demand that cannot be met is a failure that names the nearest one.
 * *profile is what was planned by, a new reference, or NULL.
 */
int job_plan_make(qb_context *context, qb_model *model, const job_demand *demand, job_plan *plan,
                  qb_profile **profile);

/*
 * Takes what is demanded of a kept plan anew, with `done` samples done in `elapsed_ns`. Returns the
 * exit status as job_plan_make().
 */
int job_plan_renew(qb_context *context, qb_model *model, const job_demand *demand, uint64_t done,
                   int64_t elapsed_ns, job_plan *plan);

/* Are rounds so short that what is done around them counts, and so many that it can be measured? */
bool job_plan_is_of_short_rounds(const qb_profile *profile, const job_plan *plan, uint64_t samples);

/* Takes into a new plan that its rounds turned out to be so far apart. */
void job_plan_set_round(const qb_profile *profile, uint64_t samples, double round_ns,
                        job_plan *plan);

/* One line of JSON, to be freed, and back; false if it is none. */
char *job_plan_to_text(const job_plan *plan);
bool job_plan_from_text(const char *text, job_plan *plan);

/* What a job that takes so long costs; 0 if no price is known. */
double job_plan_cost(const job_plan *plan, int64_t ns);

#endif
