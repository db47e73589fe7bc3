/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "optimize_demand.h"
#include "view_choice.h"

#include <stdio.h>

static void print_job_json(const nodes *all, const choice *made, const qb_job_plan *plan)
{
  json_t *root = object_new();
  add_choice(root, all, made);
  add_integer(root, "samples_per_instance", (int64_t)plan->samples_per_instance);
  add_integer(root, "rounds_per_instance", (int64_t)plan->rounds_per_instance);
  add_integer(root, "remainder", plan->remainder);
  add_integer(root, "total_ns", plan->total_ns);
  add_integer(root, "low_ns", plan->low_ns);
  add_integer(root, "high_ns", plan->high_ns);
  add_number(root, "throughput_per_s", plan->throughput_per_s);
  add_number(root, "cost", plan->cost);
  add_integer(root, "memory_bytes", (int64_t)plan->memory_bytes);
  print_json(root);
}

static void print_job(const nodes *all, const demand *d, const choice *made,
                      const qb_job_plan *plan)
{
  const qb_configuration *c = &plan->configuration;
  printf("%s, %llu samples", all->model, (unsigned long long)d->samples);
  if (d->qos.deadline_ns)
    printf(" within %s", human_time(d->qos.deadline_ns).s);
  printf(": ");
  print_feasibility(made);
  print_node(all, plan->profile);
  printf("configuration  %s\n", human_configuration(c).s);
  printf("rounds         %llu of %u", (unsigned long long)plan->rounds_per_instance, plan->batch);
  if (plan->remainder)
    printf(" and one of %u", plan->remainder);
  printf("%s\n", c->instances > 1 ? " on an instance" : "");
  printf("end-to-end     %s, 95 %% interval %s to %s\n", human_time(plan->total_ns).s,
         human_time(plan->low_ns).s, human_time(plan->high_ns).s);
  printf("throughput     %s samples/s\n", digits(plan->throughput_per_s).s);
  printf("memory         %s\n", human_bytes((double)plan->memory_bytes).s);
  if (plan->cost > 0)
    printf("cost           %s\n", digits(plan->cost).s);
  print_untried(&plan->untried);
}

int optimize_job(const nodes *all, const demand *d, bool as_json)
{
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  qb_job job = QB_JOB_INIT;
  job.samples = d->samples;
  if (check(qb_plan_job(all->profiles, all->count, &job, &d->qos, &plan, NULL)))
    return EXIT_FAILED;
  const choice made = {.feasible = plan.feasible,
                       .reason = plan.reason,
                       .nearest = &plan.nearest,
                       .untried = &plan.untried,
                       .profile = plan.profile,
                       .configuration = &plan.configuration,
                       .batch = plan.batch};
  if (as_json)
    print_job_json(all, &made, &plan);
  else
    print_job(all, d, &made, &plan);
  return EXIT_DONE;
}
