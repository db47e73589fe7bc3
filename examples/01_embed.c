/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole way once: get a profile, estimate rounds, plan a service, decide its rounds.
 *
 * usage: 01_embed [PROFILE.json | MODEL] [LATENCY_MS] [RATE_PER_S]
 */
#define _POSIX_C_SOURCE 200809L

#include "common.h"

#include <string.h>

static qb_profile *measure(qb_context *context, const char *name)
{
  qb_model *model;
  qb_node *node;
  qb_profile *profile;
  require(qb_model_builtin(context, name, &model), "make the model");
  require(qb_node_detect(context, NULL, &node), "detect the node");
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = 16;
  params.time_budget_ns = 10 * INT64_C(1000000000); /* the more time, the narrower the intervals */
  printf("measuring %s for about 10 s; store the result with qb_profile_save()\n", name);
  require(qb_profile_run(model, node, &params, NULL, NULL, &profile), "profile the model");
  /* The profile keeps what it needs. */
  qb_node_unref(node);
  qb_model_unref(model);
  return profile;
}

static void show_estimates(const qb_profile *profile)
{
  static const uint32_t batches[] = {1, 3, 24}; /* they need not have been measured */
  for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    require(qb_estimate(profile, NULL, batches[i], NULL, &e), "estimate a round");
    printf("batch %2u: %6.1f ms (95 %%: %.1f to %.1f, %s), %.1f samples/s\n", e.batch,
           (double)e.latency_ns / 1e6, (double)e.low_ns / 1e6, (double)e.high_ns / 1e6,
           qb_source_name(e.source), e.throughput_per_s);
  }
}

static void show_plan(const qb_service_plan *plan)
{
  printf("plan: %u instance(s) of %u thread(s), batches up to %u, wait up to %.1f ms; "
         "p50 %.1f ms, p99 %.1f ms\n",
         plan->configuration.instances, plan->configuration.threads, plan->batch,
         (double)plan->max_wait_ns / 1e6, (double)plan->p50_ns / 1e6, (double)plan->p99_ns / 1e6);
  /* Infeasible is an answer, not an error: the plan is the nearest one to the demand. */
  if (!plan->feasible)
    printf("the demand cannot be met (%s); SLO >= %.1f ms or rate <= %.1f/s would do, if not 0\n",
           qb_reason_name(plan->reason), (double)plan->nearest.latency_ns / 1e6,
           plan->nearest.rate_per_s);
}

/*
 * Steps through 8 rounds on a clock of its own, with samples at even gaps and one instance. A real
 * service has its queue and its engine here: see 02_service_round.c.
 */
static void decide_rounds(qb_optimizer *optimizer, double rate_per_s)
{
  const double gap_ns = 1e9 / rate_per_s;
  double now_ns = 0;
  uint64_t answered = 0; /* sample k arrives at k * gap_ns */
  for (int round = 0; round < 8;) {
    const uint64_t arrived = (uint64_t)(now_ns / gap_ns) + 1;
    qb_round_state state = QB_ROUND_STATE_INIT;
    state.queued = (uint32_t)(arrived - answered);
    state.now_ns = (int64_t)now_ns;
    state.oldest_arrival_ns = (int64_t)((double)answered * gap_ns);
    state.arrived = arrived;
    qb_decision decision = QB_DECISION_INIT;
    require(qb_optimize(optimizer, &state, &decision), "decide a round");
    char why[256];
    qb_explain(&decision, why, sizeof why);
    printf("%7.1f ms, %2u waiting: %s\n", now_ns / 1e6, state.queued, why);
    if (decision.action == QB_ACTION_WAIT) {
      /* Ask again when the next sample arrives, or when the longest wait is over. */
      const double arrival_ns = (double)arrived * gap_ns + 1;
      const double latest_ns = now_ns + (double)decision.max_wait_ns;
      now_ns = decision.max_wait_ns && latest_ns < arrival_ns ? latest_ns : arrival_ns;
      continue;
    }
    /* RUN, or INFEASIBLE: the oldest sample is late, and is answered all the same. */
    answered += decision.batch;
    now_ns += (double)decision.latency_ns;
    qb_round_result result = QB_ROUND_RESULT_INIT;
    result.batch = decision.batch;
    result.latency_ns = decision.latency_ns; /* measure it in a real service */
    require(qb_observe(optimizer, &result), "observe a round");
    if (decision.refresh_due)
      require(qb_optimizer_refresh(optimizer), "refresh the optimizer");
    round++;
  }
}

int main(int argc, char **argv)
{
  const char *source = argc > 1 ? argv[1] : "alexnet";
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = (int64_t)((argc > 2 ? strtod(argv[2], NULL) : 200) * 1e6);
  qos.percentile = 99;
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = argc > 3 ? strtod(argv[3], NULL) : 40;

  qb_context *context;
  qb_profile *profile;
  require(qb_context_new(NULL, &context), "make a context");
  const size_t length = strlen(source);
  if (length > 5 && !strcmp(source + length - 5, ".json"))
    require(qb_profile_load(context, source, &profile), "load the profile");
  else
    profile = measure(context, source);
  show_estimates(profile);

  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  require(qb_plan_service(&profile, 1, &load, &qos, &plan, NULL), "plan the service");
  show_plan(&plan);

  qb_optimizer *optimizer;
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  require(qb_optimizer_params_of_plan(&plan, &params), "take the plan");
  require(qb_optimizer_new(profile, &params, &qos, &optimizer), "make an optimizer");
  decide_rounds(optimizer, load.rate_per_s);

  qb_optimizer_free(optimizer);
  qb_profile_unref(profile);
  qb_context_unref(context);
  return 0;
}
