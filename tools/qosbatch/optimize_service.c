/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "optimize_demand.h"
#include "view_choice.h"

#include <qosbatch/frontier.h>

#include <math.h>
#include <stdio.h>

static choice choice_of(const qb_service_plan *plan)
{
  return (choice){.feasible = plan->feasible,
                  .reason = plan->reason,
                  .nearest = &plan->nearest,
                  .untried = &plan->untried,
                  .profile = plan->profile,
                  .configuration = &plan->configuration,
                  .batch = plan->batch};
}

/* Beyond the node's capacity the queue grows for ever, and the library predicts no latency. */
static bool is_stable(const qb_service_plan *plan)
{
  return plan->p50_ns > 0;
}

static void add_predicted(json_t *root, const qb_service_plan *plan)
{
  json_t *predicted = add_object(root, "predicted");
  if (is_stable(plan)) {
    add_integer(predicted, "p50_ns", plan->p50_ns);
    add_integer(predicted, "p95_ns", plan->p95_ns);
    add_integer(predicted, "p99_ns", plan->p99_ns);
    add_integer(predicted, "latency_ns", plan->latency_ns);
    add_number(predicted, "mean_batch", plan->mean_batch);
    add_number(predicted, "utilisation", plan->utilisation);
  } else {
    static const char *const unknown[] = {"p50_ns",     "p95_ns",     "p99_ns",
                                          "latency_ns", "mean_batch", "utilisation"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
      add_number(predicted, unknown[i], NAN);
  }
  add_number(predicted, "max_rate_per_s", plan->max_rate_per_s);
  add_number(predicted, "cost_per_hour", plan->cost_per_hour);
  add_integer(predicted, "memory_bytes", (int64_t)plan->memory_bytes);
}

static void add_plan(json_t *entry, const nodes *all, const qb_service_plan *plan)
{
  const choice made = choice_of(plan);
  add_choice(entry, all, &made);
  add_integer(entry, "max_wait_us", plan->max_wait_ns / 1000);
  add_number(entry, "rate_per_s", plan->rate_per_s);
  add_predicted(entry, plan);
}

static void print_as_json(const nodes *all, const demand *d, const qb_service_plan *plan,
                          const qb_decision *decision, const char *explanation,
                          const qb_service_frontier *frontier)
{
  json_t *root = object_new();
  add_text(root, "objective", qb_objective_name(d->qos.objective));
  add_plan(root, all, plan);
  json_t *now = add_object(root, "decision");
  add_text(now, "action", qb_action_name(decision->action));
  add_text(now, "reason", qb_reason_name(decision->reason));
  add_integer(now, "batch", decision->batch);
  add_integer(now, "max_wait_us", decision->max_wait_ns / 1000);
  add_integer(now, "latency_ns", decision->latency_ns);
  add_integer(now, "low_ns", decision->low_ns);
  add_integer(now, "high_ns", decision->high_ns);
  add_integer(now, "oldest_latency_ns", decision->oldest_latency_ns);
  add_text(now, "text", explanation);
  if (d->frontier) {
    json_t *plans = add_array(root, "frontier");
    qb_service_plan p = QB_SERVICE_PLAN_INIT;
    for (uint32_t i = 0; i < qb_service_frontier_count(frontier); i++) {
      qb_service_frontier_get(frontier, i, &p);
      add_plan(append_object(plans), all, &p);
    }
  }
  print_json(root);
}

static const char *best_in(qb_objective objective)
{
  switch (objective) {
  case QB_OBJECTIVE_RATE: return "the highest rate";
  case QB_OBJECTIVE_COST: return "the least cost";
  default: return "the least latency";
  }
}

static void print_as_text(const nodes *all, const demand *d, const qb_service_plan *plan,
                          const char *explanation)
{
  const qb_configuration *c = &plan->configuration;
  const choice made = choice_of(plan);
  if (d->rate_per_s > 0)
    printf("%s at %s samples/s", all->model, digits(d->rate_per_s).s);
  else
    printf("%s at the highest rate", all->model);
  printf(", %g %% of them within %s: ", d->qos.percentile, human_time(d->qos.latency_ns).s);
  print_feasibility(&made);
  if (plan->feasible)
    printf("chosen for     %s\n", best_in(d->qos.objective));
  print_node(all, plan->profile);
  printf("configuration  %s\n", human_configuration(c).s);
  if (plan->max_wait_ns)
    printf("batch          at most %u, after a wait of at most %s\n", plan->batch,
           human_time(plan->max_wait_ns).s);
  else
    printf("batch          at most %u of the samples queued when an instance is free\n",
           plan->batch);
  if (is_stable(plan)) {
    printf("latency        p50 %s, p95 %s, p99 %s\n", human_time(plan->p50_ns).s,
           human_time(plan->p95_ns).s, human_time(plan->p99_ns).s);
    printf("load           rounds of %s on average, busy %.0f %% of the time\n",
           digits(plan->mean_batch).s, 100 * plan->utilisation);
  } else {
    printf("latency        grows without bound at this rate\n");
  }
  /* Of a plan that breaks the target it is what the node can answer in any time. */
  printf("%s   %s samples/s\n", plan->feasible ? "highest rate" : "capacity    ",
         digits_rounded(plan->max_rate_per_s, ROUND_DOWN).s);
  printf("memory         %s\n", human_bytes((double)plan->memory_bytes).s);
  if (plan->cost_per_hour > 0)
    printf("cost           %s per hour\n", digits(plan->cost_per_hour).s);
  print_untried(&plan->untried);
  printf("\nnow, with %llu queued: %s\n", (unsigned long long)d->queued, explanation);
}

static void print_frontier(const nodes *all, const demand *d, const qb_service_frontier *frontier)
{
  static const char *const titles[] = {"most/s", "latency", "per hour", "<configuration",
                                       "batch",  "wait",    "<node"};
  const size_t columns = sizeof titles / sizeof *titles - (all->count == 1);
  if (!qb_service_frontier_count(frontier))
    return;
  printf("\nPareto frontier of rate, latency (p%g at %s/s) and cost\n", d->qos.percentile,
         digits(d->rate_per_s).s);
  table *t = table_new(titles, columns);
  qb_service_plan p = QB_SERVICE_PLAN_INIT;
  for (uint32_t i = 0; i < qb_service_frontier_count(frontier); i++) {
    qb_service_frontier_get(frontier, i, &p);
    table_cell(t, "%s", digits_rounded(p.max_rate_per_s, ROUND_DOWN).s);
    table_cell(t, "%s", human_time(p.latency_ns).s);
    table_cell(t, "%s", p.cost_per_hour > 0 ? digits(p.cost_per_hour).s : "-");
    table_cell(t, "%s", human_configuration(&p.configuration).s);
    table_cell(t, "%u", p.batch);
    table_cell(t, "%s", human_time(p.max_wait_ns).s);
    if (all->count > 1)
      table_cell(t, "%s", all->paths[p.profile]);
  }
  table_print(t);
}

/* The round that would run now. */
static int decide(const nodes *all, const demand *d, const qb_service_plan *plan,
                  qb_decision *decision)
{
  qb_optimizer *optimizer = NULL;
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  qb_round_state state = QB_ROUND_STATE_INIT;
  int result = check(qb_optimizer_params_of_plan(plan, &params));
  if (!result)
    result = check(qb_optimizer_new(all->profiles[plan->profile], &params, &d->qos, &optimizer));
  state.queued = (uint32_t)d->queued;
  state.free_instances = plan->configuration.instances;
  if (!result)
    result = check(qb_optimize(optimizer, &state, decision));
  qb_optimizer_free(optimizer);
  return result;
}

int optimize_service(const nodes *all, const demand *d, bool as_json)
{
  qb_load load = QB_LOAD_INIT;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  qb_decision decision = QB_DECISION_INIT;
  qb_service_frontier *frontier = NULL;
  load.rate_per_s = d->rate_per_s;
  int result;
  if ((result = check(qb_plan_service(all->profiles, all->count, &load, &d->qos, &plan,
                                      d->frontier ? &frontier : NULL))) ||
      (result = decide(all, d, &plan, &decision)))
    goto done;
  char explanation[512];
  qb_explain(&decision, explanation, sizeof explanation);
  if (as_json) {
    print_as_json(all, d, &plan, &decision, explanation, frontier);
  } else {
    print_as_text(all, d, &plan, explanation);
    print_frontier(all, d, frontier);
  }
done:
  qb_service_frontier_free(frontier);
  return result;
}
