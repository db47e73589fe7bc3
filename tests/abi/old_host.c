/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that was built with the headers of 0.1 and runs with the library of today: every public
 * struct crosses the border once, and a few results tell that its members are where they were.
 *
 * usage: old_host PROFILE.json CATALOGUE.json NETWORK.onnx
 */
#include <qosbatch/lab.h>
#include <qosbatch/planning.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(that)    check(that, #that, __LINE__)
#define CHECK_OK(call) check((call) == QB_OK, #call, __LINE__)

enum { OPERATORS = 16, LATENCIES = 459 };

static const int64_t MS = 1000000;
static const qb_configuration ONE = {1, 1, QB_PRECISION_F32, {0}};

static void check(bool good, const char *expression, int line)
{
  if (good)
    return;
  fprintf(stderr, "line %d: %s fails: %s\n", line, expression, qb_error_message());
  exit(EXIT_FAILURE);
}

/* Sessions call it on threads of their own. */
static int64_t clock_ns(void *user)
{
  return 1000 * ++*(atomic_llong *)user;
}

static void use_estimates(const qb_profile *profile)
{
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  CHECK_OK(qb_profile_get_info(profile, &info));
  CHECK(!strcmp(info.model, "alexnet") && info.points && info.max_batch >= 16);
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  CHECK_OK(qb_profile_get_point(profile, 0, &point));
  qb_where where = QB_WHERE_INIT;
  where.isa = QB_ISA_BEST;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  CHECK_OK(qb_estimate(profile, &point.configuration, point.batch, &where, &e));
  CHECK(e.source == QB_SOURCE_MEASURED && e.latency_ns == point.latency_ns);
  CHECK(e.batch == point.batch && e.configuration.threads == point.configuration.threads);
  CHECK(e.low_ns <= e.latency_ns && e.latency_ns <= e.high_ns);
  CHECK(e.memory_bytes > info.weight_bytes / 2 && e.density > 0);
  CHECK(e.thread_flops_per_s == point.thread_flops_per_s);
  qb_node_info node = QB_NODE_INFO_INIT;
  CHECK_OK(qb_node_get_info(qb_profile_node(profile), &node));
  CHECK(node.cores == 2 && node.isa == QB_ISA_AVX2 && node.numa_nodes == 1);
}

static void use_mitigations(const qb_profile *profile)
{
  qb_mitigation list[8];
  for (size_t i = 0; i < 8; i++)
    list[i] = (qb_mitigation)QB_MITIGATION_INIT;
  size_t count = 0;
  CHECK_OK(qb_mitigations(profile, &ONE, 1, list, 8, &count));
  CHECK(count >= 2 && count <= 8);
  for (size_t i = 0; i < count; i++)
    CHECK(list[i].gain > 0 && list[i].configuration.instances && strlen(list[i].text) > 10);
}

/* A ring of deadlines that wraps around: the last of its elements is the most urgent. */
static void decide(qb_optimizer *optimizer, int64_t slack_ns, qb_decision *decision)
{
  const int64_t now_ns = 5000 * MS;
  const int64_t ring[4] = {now_ns + slack_ns + MS, now_ns + slack_ns + 2 * MS, 0,
                           now_ns + slack_ns};
  qb_round_state state = QB_ROUND_STATE_INIT;
  state.queued = state.deadline_count = 3;
  state.now_ns = state.oldest_arrival_ns = now_ns;
  state.deadline_ns = ring;
  state.deadline_first = 3;
  state.deadline_room = 4;
  state.arrived = 3;
  CHECK_OK(qb_optimize(optimizer, &state, decision));
}

static void use_optimizer(qb_profile *profile, const qb_service_plan *plan, const qb_qos *qos)
{
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  CHECK_OK(qb_optimizer_params_of_plan(plan, &params));
  CHECK(params.max_batch == plan->batch && params.network == plan->network);
  qb_optimizer *optimizer;
  CHECK_OK(qb_optimizer_new(profile, &params, qos, &optimizer));
  qb_decision decision = QB_DECISION_INIT;
  decide(optimizer, 0, &decision);
  CHECK(decision.action == QB_ACTION_INFEASIBLE && decision.reason == QB_REASON_LATE);
  decide(optimizer, qos->latency_ns, &decision);
  CHECK(decision.action != QB_ACTION_INFEASIBLE && decision.batch);
  CHECK(decision.slowdown == 1 && !decision.refresh_due);
  char why[256];
  CHECK(qb_explain(&decision, why, sizeof why) > 10);

  qb_round_result result = QB_ROUND_RESULT_INIT;
  result.batch = decision.batch;
  result.latency_ns = 2 * decision.latency_ns;
  for (int i = 0; i < 50; i++)
    CHECK_OK(qb_observe(optimizer, &result));
  decide(optimizer, qos->latency_ns, &decision);
  CHECK(decision.refresh_due && decision.slowdown > 1.5);
  CHECK_OK(qb_optimizer_refresh(optimizer));
  decide(optimizer, qos->latency_ns, &decision);
  CHECK(!decision.refresh_due);
  qb_optimizer_free(optimizer);
}

static void use_service(qb_profile *profile)
{
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = 40;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 400 * MS;
  qos.percentile = 95;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  qb_service_frontier *frontier;
  CHECK_OK(qb_plan_service(&profile, 1, &load, &qos, &plan, &frontier));
  CHECK(plan.feasible && plan.latency_ns <= qos.latency_ns && plan.max_rate_per_s >= 40);
  CHECK(plan.nodes == 1 && plan.configuration.instances && !plan.nearest.latency_ns);
  CHECK(qb_service_frontier_count(frontier));
  CHECK_OK(qb_service_frontier_get(frontier, 0, &plan));
  qb_service_frontier_free(frontier);
  use_optimizer(profile, &plan, &qos);

  qb_traffic traffic = QB_TRAFFIC_INIT;
  traffic.rate_per_s = load.rate_per_s;
  qb_simulation simulation = QB_SIMULATION_INIT;
  simulation.policy = qb_policy_name(0);
  simulation.samples = 2000;
  simulation.seed = 1;
  qb_simulation_report report = QB_SIMULATION_REPORT_INIT;
  CHECK_OK(qb_simulate(profile, &plan.configuration, &traffic, &qos, &simulation, &report));
  CHECK(report.answered == report.samples && report.within_slo > 0.5 && report.events);
  CHECK(report.batch && report.p50_ns <= report.p99_ns);

  qos.latency_ns = 1;
  CHECK_OK(qb_plan_service(&profile, 1, &load, &qos, &plan, NULL));
  CHECK(!plan.feasible && plan.reason == QB_REASON_SLO && plan.nearest.latency_ns > MS);
}

static void use_jobs(qb_context *context, qb_profile *profile, const char *prices)
{
  qb_job job = QB_JOB_INIT;
  job.samples = 100000;
  qb_job_plan here = QB_JOB_PLAN_INIT, bought = QB_JOB_PLAN_INIT;
  CHECK_OK(qb_plan_job(&profile, 1, &job, NULL, &here, NULL));
  CHECK(here.feasible && here.nodes == 1 && here.memory_bytes);
  CHECK(here.low_ns <= here.total_ns && here.total_ns <= here.high_ns);

  qb_catalogue *catalogue;
  CHECK_OK(qb_catalogue_load(context, prices, &catalogue));
  qb_catalogue_info info = QB_CATALOGUE_INFO_INIT;
  CHECK_OK(qb_catalogue_get_info(catalogue, &info));
  CHECK(!strcmp(info.currency, "USD") && info.types > 1 && *info.note);
  qb_job_frontier *frontier;
  CHECK_OK(qb_plan_job_fleet(catalogue, &profile, 1, &job, NULL, &bought, &frontier));
  CHECK(bought.feasible && bought.cost > 0 && bought.type < info.types);
  CHECK(qb_job_frontier_count(frontier));
  CHECK_OK(qb_job_frontier_get(frontier, 0, &bought));
  qb_job_frontier_free(frontier);

  qb_node_type types[2] = {QB_NODE_TYPE_INIT, QB_NODE_TYPE_INIT};
  for (uint32_t i = 0; i < 2; i++)
    CHECK_OK(qb_catalogue_get_type(catalogue, i, &types[i]));
  CHECK(types[0].max_nodes == 50 && types[0].billing.kind == QB_BILLING_TIME);
  CHECK(types[0].billing.price_per_hour > 0 && types[0].billing.minimum_ns == 60000 * MS);
  qb_catalogue *mine;
  CHECK_OK(qb_catalogue_new(context, "EUR", "", types, 2, &mine));
  qb_catalogue_unref(mine);
  qb_catalogue_unref(catalogue);
}

static void use_nodes_that_are_there(const qb_profile *profile)
{
  qb_job job = QB_JOB_INIT;
  job.samples = 100000;
  qb_place_node nodes[3];
  qb_share shares[3];
  for (size_t i = 0; i < 3; i++) {
    nodes[i] = (qb_place_node)QB_PLACE_NODE_INIT;
    nodes[i].profile = profile;
    shares[i] = (qb_share)QB_SHARE_INIT;
  }
  nodes[1].speed = 0.5;
  nodes[2].ready_ns = 60000 * MS;
  qb_placement placement = QB_PLACEMENT_INIT;
  CHECK_OK(qb_place_job(nodes, 3, &job, NULL, shares, &placement));
  CHECK(placement.feasible && placement.used == 3 && placement.bound_ns <= placement.total_ns);
  CHECK(shares[0].samples + shares[1].samples + shares[2].samples == job.samples);
  CHECK(shares[0].samples > shares[2].samples && shares[0].samples > shares[1].samples);
  CHECK(shares[2].total_ns > nodes[2].ready_ns && shares[1].configuration.threads);
}

static void use_verification(qb_context *context)
{
  static int64_t latencies_ns[LATENCIES];
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = MS;
  qos.percentile = 99;
  qb_verification verification = QB_VERIFICATION_INIT;
  CHECK_OK(qb_verify(context, latencies_ns, LATENCIES, &qos, 0.99, &verification));
  CHECK(verification.verdict == QB_VERDICT_PASS && verification.needed == LATENCIES);
  CHECK_OK(qb_verify(context, latencies_ns, LATENCIES - 1, &qos, 0.99, &verification));
  CHECK(verification.verdict == QB_VERDICT_MORE && verification.more == 1);
}

static int run_of_workload(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
                           void *const *outputs)
{
  (void)inputs, (void)outputs;
  atomic_uint *work = user;
  for (uint32_t i = 0; i < 1000 * batch; i++)
    work[instance] += i;
  return 0;
}

static bool count_progress(void *user, const qb_progress *progress)
{
  *(int *)user += progress->fraction >= 0 && progress->batch && progress->configuration.threads;
  return true;
}

static void use_own_engine(qb_context *context)
{
  static atomic_uint work[1];
  qb_node_params how = QB_NODE_PARAMS_INIT;
  how.measure_budget_ns = 20 * MS;
  qb_node *node;
  CHECK_OK(qb_node_detect(context, &how, &node));
  qb_workload workload = QB_WORKLOAD_INIT;
  workload.name = "mine";
  workload.user = work;
  workload.run = run_of_workload;
  workload.instance_sample_bytes = 64;
  qb_model *model;
  CHECK_OK(qb_model_from_workload(context, &workload, &model));
  static const uint32_t batches[] = {1, 2};
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.batches = batches;
  params.batch_count = 2;
  params.configurations = &ONE;
  params.configuration_count = 1;
  params.time_budget_ns = 50 * MS;
  int steps = 0;
  qb_profile *profile;
  CHECK_OK(qb_profile_run(model, node, &params, count_progress, &steps, &profile));
  CHECK(steps > 0);
  qb_profile_unref(profile);

  qb_profile_point point = QB_PROFILE_POINT_INIT;
  point.configuration = ONE;
  point.batch = 1;
  point.latency_ns = MS;
  qb_measurements_params origin = QB_MEASUREMENTS_PARAMS_INIT;
  origin.name = "elsewhere";
  CHECK_OK(qb_profile_from_points(context, &point, 1, &origin, &profile));
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  CHECK_OK(qb_profile_get_info(profile, &info));
  CHECK(!strcmp(info.model, "elsewhere") && info.points == 1);
  qb_profile_unref(profile);
  qb_model_unref(model);
  qb_node_unref(node);
}

/* A network runs where the library was built with ONNX and an engine. */
static void use_network(qb_context *context, const char *path)
{
  qb_model *model;
  const qb_status loaded = qb_model_load_onnx(context, path, &model);
  if (loaded == QB_ERROR_UNSUPPORTED)
    return;
  CHECK_OK(loaded);
  qb_model_info info = QB_MODEL_INFO_INIT;
  CHECK_OK(qb_model_get_info(model, &info));
  CHECK(info.inputs == 1 && info.outputs == 1 && info.operators && info.operators <= OPERATORS);
  qb_tensor_info input = QB_TENSOR_INFO_INIT, output = QB_TENSOR_INFO_INIT;
  CHECK_OK(qb_model_get_input(model, 0, &input));
  CHECK_OK(qb_model_get_output(model, 0, &output));
  CHECK(input.rank == 3 && input.elements_per_sample && output.elements_per_sample);
  qb_operator_info operator= QB_OPERATOR_INFO_INIT;
  CHECK_OK(qb_model_get_operator(model, 0, &operator));
  CHECK(*operator.kind && operator.flops_per_sample> 0);
  qb_session *session;
  const qb_status opened = qb_session_new(model, &ONE, NULL, &session);
  if (opened != QB_ERROR_UNSUPPORTED) {
    CHECK_OK(opened);
    qb_operator_time times[OPERATORS];
    for (size_t i = 0; i < OPERATORS; i++)
      times[i] = (qb_operator_time)QB_OPERATOR_TIME_INIT;
    float *in = calloc(input.elements_per_sample, sizeof *in);
    float *out = calloc(output.elements_per_sample, sizeof *out);
    CHECK(in && out);
    const void *const inputs[] = {in};
    void *const outputs[] = {out};
    CHECK_OK(qb_session_run_timed(session, 1, inputs, outputs, times, info.operators));
    CHECK(times[0].time_ns > 0 && times[0].time_ns % 1000 == 0); /* by clock_ns() */
    qb_session_info running = QB_SESSION_INFO_INIT;
    CHECK_OK(qb_session_get_info(session, &running));
    CHECK(running.configuration.threads == 1 && running.ready_batches == 1);
    CHECK(running.arena_bytes && !running.as_profiled);
    free(in);
    free(out);
    qb_session_unref(session);
  }
  qb_model_unref(model);
}

int main(int argc, char **argv)
{
  CHECK(argc == 4);
  CHECK(qb_version_number() >= QB_VERSION_NUMBER);
  qb_context *context, *counting;
  qb_profile *profile;
  atomic_llong calls = 0;
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.memory_limit_bytes = UINT64_C(1) << 30;
  CHECK_OK(qb_context_new(&params, &context));
  params.now_ns = clock_ns;
  params.clock_user = &calls;
  CHECK_OK(qb_context_new(&params, &counting));
  CHECK_OK(qb_profile_load(context, argv[1], &profile));
  use_estimates(profile);
  use_mitigations(profile);
  use_service(profile);
  use_jobs(context, profile, argv[2]);
  use_nodes_that_are_there(profile);
  use_verification(context);
  use_own_engine(context);
  use_network(counting, argv[3]);
  qb_profile_unref(profile);
  qb_context_unref(counting);
  qb_context_unref(context);
  return 0;
}
