/* SPDX-License-Identifier: Apache-2.0 */
#include "view_choice.h"

#include <math.h>
#include <stdio.h>

static void add_nearest(json_t *object, const qb_nearest *nearest)
{
  json_t *entry = add_object(object, "nearest");
  if (nearest->latency_ns)
    add_integer(entry, "latency_ns", nearest->latency_ns);
  if (nearest->rate_per_s > 0)
    add_number(entry, "rate_per_s", nearest->rate_per_s);
  if (nearest->deadline_ns)
    add_integer(entry, "deadline_ns", nearest->deadline_ns);
  if (nearest->budget_per_hour > 0)
    add_number(entry, "budget_per_hour", nearest->budget_per_hour);
  if (nearest->memory_bytes)
    add_integer(entry, "memory_bytes", (int64_t)nearest->memory_bytes);
  if (nearest->percentile > 0)
    add_number(entry, "percentile", nearest->percentile);
  if (nearest->accuracy > 0)
    add_number(entry, "accuracy", nearest->accuracy);
}

/* "latency >= 118 ms, or rate <= 19.4/s". Rounded so that what is printed is feasible. */
static void print_nearest(const qb_nearest *nearest)
{
  const char *separator = "feasible with: ";
  if (nearest->latency_ns) {
    printf("%slatency >= %s", separator, human_time_rounded(nearest->latency_ns, ROUND_UP).s);
    separator = ", or ";
  }
  if (nearest->rate_per_s > 0) {
    printf("%srate <= %s/s", separator, digits_rounded(nearest->rate_per_s, ROUND_DOWN).s);
    separator = ", or ";
  }
  if (nearest->percentile > 0) {
    printf("%spercentile <= %s", separator, digits_rounded(nearest->percentile, ROUND_DOWN).s);
    separator = ", or ";
  }
  if (nearest->deadline_ns) {
    printf("%sdeadline >= %s", separator, human_time_rounded(nearest->deadline_ns, ROUND_UP).s);
    separator = ", or ";
  }
  if (nearest->budget_per_hour > 0) {
    printf("%sbudget >= %s per hour", separator,
           digits_rounded(nearest->budget_per_hour, ROUND_UP).s);
    separator = ", or ";
  }
  if (nearest->memory_bytes) {
    printf("%smemory >= %.0f MiB", separator, ceil(mebibytes((double)nearest->memory_bytes)));
    separator = ", or ";
  }
  if (nearest->accuracy > 0) {
    printf("%saccuracy <= %s", separator, digits_rounded(nearest->accuracy, ROUND_DOWN).s);
    separator = ", or ";
  }
  printf("%s\n", *separator == ',' ? "" : "no change of one limit alone is enough");
}

/* A limit in the words of the options. */
static const char *limit(qb_reason reason)
{
  switch (reason) {
  case QB_REASON_SLO: return "the latency target";
  case QB_REASON_CAPACITY: return "the rate, which exceeds the capacity";
  case QB_REASON_MEMORY: return "the memory limit";
  case QB_REASON_BUDGET: return "the budget";
  case QB_REASON_DEADLINE: return "the deadline";
  case QB_REASON_THROUGHPUT: return "the speed of the node alone";
  case QB_REASON_COST: return "the price: no plan costs less";
  case QB_REASON_ACCURACY: return "the accuracy";
  default: return "none of the limits";
  }
}

void print_feasibility(const choice *made)
{
  if (made->feasible) {
    printf("feasible, bound by %s", limit(made->reason));
    if (made->nearest->accuracy > 0)
      printf(": a better plan is right in %s %% of the answers",
             digits_rounded(made->nearest->accuracy, ROUND_DOWN).s);
    printf("\n\n");
    return;
  }
  printf("INFEASIBLE, limited by %s\n", limit(made->reason));
  print_nearest(made->nearest);
  printf("\nthe nearest plan:\n");
}

void print_untried(const qb_untried *untried)
{
  const qb_configuration *c = &untried->configuration;
  if (c->instances)
    printf("not measured   %s: expected to be %.0f %% better; 'profile --refine' measures it\n",
           human_configuration(c).s, 100 * untried->gain);
}

void print_node(const nodes *all, uint32_t profile)
{
  if (all->count > 1)
    printf("node           %s\n", all->paths[profile]);
}

void add_choice(json_t *root, const nodes *all, const choice *made)
{
  add_bool(root, "feasible", made->feasible);
  add_text(root, "reason", qb_reason_name(made->reason));
  add_nearest(root, made->nearest);
  add_text(root, "profile", all->paths[made->profile]);
  add_integer(root, "batch", made->batch);
  add_configuration(root, made->configuration);
  if (!made->untried->configuration.instances)
    return;
  json_t *untried = add_object(root, "untried");
  add_configuration(untried, &made->untried->configuration);
  add_number(untried, "gain", made->untried->gain);
}
