/* SPDX-License-Identifier: Apache-2.0 */
#include "diagnose.h"
#include "load.h"
#include "options.h"
#include "output.h"

#include <math.h>
#include <stdio.h>

typedef struct demand {
  qb_qos qos;
  double rate_per_s; /* > 0: a service */
  uint64_t queued;
  uint64_t samples; /* > 0: a job */
} demand;

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
}

/* "SLO >= 118 ms, or rate <= 19.4/s". Rounded so that what is printed is feasible. */
static void print_nearest(const qb_nearest *nearest)
{
  const char *separator = "would do: ";
  if (nearest->latency_ns) {
    printf("%sSLO >= %s", separator, human_time_rounded(nearest->latency_ns, ROUND_UP).s);
    separator = ", or ";
  }
  if (nearest->rate_per_s > 0) {
    printf("%srate <= %s/s", separator, digits_rounded(nearest->rate_per_s, ROUND_DOWN).s);
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
  printf("%s\n", *separator == ',' ? "" : "no change of one term alone would do");
}

static void add_choice(json_t *root, const qb_configuration *configuration, uint32_t batch,
                       bool feasible, qb_reason reason, const qb_nearest *nearest)
{
  add_bool(root, "feasible", feasible);
  add_text(root, "reason", qb_reason_name(reason));
  add_nearest(root, nearest);
  add_integer(root, "batch", batch);
  add_integer(root, "instances", configuration->instances);
  add_integer(root, "threads", configuration->threads);
}

/* Beyond the node's capacity the queue grows for ever, and the library predicts no latency. */
static bool is_stable(const qb_service_plan *plan)
{
  return plan->p50_ns > 0;
}

static void print_service_json(const qb_service_plan *plan, const qb_decision *decision,
                               const char *explanation)
{
  json_t *root = object_new();
  add_choice(root, &plan->configuration, plan->batch, plan->feasible, plan->reason, &plan->nearest);
  add_integer(root, "max_wait_us", plan->max_wait_ns / 1000);

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
  print_json(root);
}

static void print_feasibility(bool feasible, qb_reason reason, const qb_nearest *nearest)
{
  if (feasible) {
    printf("feasible, bound by: %s\n\n", qb_reason_name(reason));
    return;
  }
  printf("INFEASIBLE, because of: %s\n", qb_reason_name(reason));
  print_nearest(nearest);
  printf("\nthe nearest to it:\n");
}

static void print_service(const char *model, const demand *d, const qb_service_plan *plan,
                          const char *explanation)
{
  const qb_configuration *c = &plan->configuration;
  printf("%s at %s samples/s, %g %% of them within %s: ", model, digits(d->rate_per_s).s,
         d->qos.percentile, human_time(d->qos.latency_ns).s);
  print_feasibility(plan->feasible, plan->reason, &plan->nearest);
  printf("configuration  %s\n", human_configuration(c->instances, c->threads).s);
  if (plan->max_wait_ns)
    printf("batch          at most %u, after a wait of at most %s\n", plan->batch,
           human_time(plan->max_wait_ns).s);
  else
    printf("batch          at most %u, of what waits when an instance is free\n", plan->batch);
  if (is_stable(plan)) {
    printf("latency        p50 %s, p95 %s, p99 %s\n", human_time(plan->p50_ns).s,
           human_time(plan->p95_ns).s, human_time(plan->p99_ns).s);
    printf("load           rounds of %s on average, busy %.0f %% of the time\n",
           digits(plan->mean_batch).s, 100 * plan->utilisation);
  } else {
    printf("latency        grows for as long as this rate lasts\n");
  }
  /* Of a plan that breaks the target it is what the node can answer in any time. */
  printf("%s   %s samples/s\n", plan->feasible ? "highest rate" : "capacity    ",
         digits_rounded(plan->max_rate_per_s, ROUND_DOWN).s);
  printf("memory         %s\n", human_bytes((double)plan->memory_bytes).s);
  if (plan->cost_per_hour > 0)
    printf("cost           %s per hour\n", digits(plan->cost_per_hour).s);
  printf("\nnow, with %llu waiting: %s\n", (unsigned long long)d->queued, explanation);
}

static int optimize_service(qb_profile *profile, const char *model, const demand *d, bool as_json)
{
  qb_optimizer *optimizer = NULL;
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = d->rate_per_s;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  qb_round_state state = QB_ROUND_STATE_INIT;
  qb_decision decision = QB_DECISION_INIT;
  char explanation[512];
  const qb_profile *const profiles[] = {profile};
  int result;
  if ((result = check(qb_plan_service(profiles, 1, &load, &d->qos, &plan))) ||
      (result = check(qb_optimizer_new(profile, &plan, &d->qos, &optimizer))))
    goto done;
  state.queued = (uint32_t)d->queued;
  state.free_instances = plan.configuration.instances;
  if ((result = check(qb_optimize(optimizer, &state, &decision))))
    goto done;
  qb_explain(&decision, explanation, sizeof explanation);
  if (as_json)
    print_service_json(&plan, &decision, explanation);
  else
    print_service(model, d, &plan, explanation);
done:
  qb_optimizer_free(optimizer);
  return result;
}

static void print_job_json(const qb_job_plan *plan)
{
  json_t *root = object_new();
  add_choice(root, &plan->configuration, plan->batch, plan->feasible, plan->reason, &plan->nearest);
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

static void print_job(const char *model, const demand *d, const qb_job_plan *plan)
{
  const qb_configuration *c = &plan->configuration;
  printf("%s, %llu samples", model, (unsigned long long)d->samples);
  if (d->qos.deadline_ns)
    printf(" within %s", human_time(d->qos.deadline_ns).s);
  printf(": ");
  print_feasibility(plan->feasible, plan->reason, &plan->nearest);
  printf("configuration  %s\n", human_configuration(c->instances, c->threads).s);
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
}

static int optimize_job(const qb_profile *profile, const char *model, const demand *d, bool as_json)
{
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  const qb_profile *const profiles[] = {profile};
  if (check(qb_plan_job(profiles, 1, d->samples, &d->qos, &plan)))
    return EXIT_FAILED;
  if (as_json)
    print_job_json(&plan);
  else
    print_job(model, d, &plan);
  return EXIT_DONE;
}

/* Refuses options that only the other kind of demand has, rather than ignore them. */
static void check_demand(double latency_ms, double percentile, double rate_per_s, uint64_t queued,
                         uint64_t samples, double deadline_s)
{
  if (samples) {
    if (latency_ms > 0 || percentile > 0 || rate_per_s > 0 || queued != UINT64_MAX)
      fail_usage("--samples asks for a job: expected none of --latency, --percentile, --rate, "
                 "--queue");
    return;
  }
  if (deadline_s > 0)
    fail_usage("--deadline is for a job: expected --samples too");
  if (!(rate_per_s > 0))
    fail_usage("expected --rate R and --latency MS, or --samples N");
  if (!(latency_ms > 0))
    fail_usage("expected --latency MS, the target of the service");
}

static int run(const command *self, int argc, char **argv)
{
  double latency_ms = 0, percentile = 0, rate_per_s = 0, deadline_s = 0, budget_per_hour = 0;
  uint64_t queued = UINT64_MAX, samples = 0, memory_mib = 0;
  bool as_json = false;
  const option options[] = {
      OPTION_NUMBER("rate", "R", &rate_per_s, 0, 1e9, "service: samples that arrive per second"),
      OPTION_NUMBER("latency", "MS", &latency_ms, 0, 1e9,
                    "service: milliseconds from arrival to answer, at most"),
      OPTION_NUMBER("percentile", "P", &percentile, 0, 100,
                    "service: in this many cases of 100 (99)"),
      OPTION_INTEGER("queue", "N", &queued, 0, 1000000000,
                     "service: samples that wait now, for the decision (1)"),
      OPTION_INTEGER("samples", "N", &samples, 1, 1e15, "job: samples to run"),
      OPTION_NUMBER("deadline", "S", &deadline_s, 0, 1e9,
                    "job: seconds from start to end, at most"),
      OPTION_NUMBER("budget-per-hour", "X", &budget_per_hour, 0, 1e9,
                    "price of the node per hour, at most"),
      OPTION_INTEGER("memory-limit", "MIB", &memory_mib, 1, 1 << 30,
                     "MiB of weights and activations, at most"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  const char *path = options_parse(self, options, sizeof options / sizeof *options, argc, argv);
  check_demand(latency_ms, percentile, rate_per_s, queued, samples, deadline_s);

  demand d = {QB_QOS_INIT, rate_per_s, queued == UINT64_MAX ? 1 : queued, samples};
  d.qos.latency_ns = (int64_t)ceil(latency_ms * 1e6);
  d.qos.percentile = percentile > 0 ? percentile : 99;
  d.qos.deadline_ns = (int64_t)ceil(deadline_s * 1e9);
  d.qos.budget_per_hour = budget_per_hour;
  d.qos.memory_bytes = memory_mib << 20;

  qb_context *context = NULL;
  qb_profile *profile = NULL;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  int result;
  if ((result = load_context(&context)) || (result = load_profile(context, path, &profile)) ||
      (result = check(qb_profile_get_info(profile, &info))))
    goto done;
  result = samples ? optimize_job(profile, info.model, &d, as_json)
                   : optimize_service(profile, info.model, &d, as_json);
done:
  qb_profile_unref(profile);
  qb_context_unref(context);
  return result;
}

const command command_optimize = {
    .name = "optimize",
    .operand = "PROFILE",
    .synopsis = "--rate R --latency MS [options] | --samples N [options]",
    .summary = "Choose batch, wait, instances and threads for a service or a job",
    .details = "A service answers samples as they arrive; a job runs samples that are all there.\n"
               "A demand that cannot be met is an answer too: it says what could be.",
    .run = run,
};
