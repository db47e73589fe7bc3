/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles that are changed as JSON, value by value, and taken through every decision: estimated,
 * planned with, decided with round by round, simulated. What is accepted gives answers that hold.
 */
#include "fuzz/fuzz.h"
#include "profile/profile_data.h"
#include "support/json_mutator.h"
#include "support/random.h"

#include <qosbatch/frontier.h>
#include <qosbatch/inspect.h>
#include <qosbatch/optimize.h>
#include <qosbatch/simulate.h>

#include <math.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t most) __attribute__((weak));

/* Little of each, as a fuzzer learns from many inputs. */
enum { MOST_BATCH = 16, ROUNDS = 60, SAMPLES = 200 };

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t most, unsigned seed)
{
  uint64_t random = (seed + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15) | 1;
  random_bits(&random);
  json_t *root = json_loadb((const char *)data, bytes, 0, NULL);
  if (!json_is_object(root)) {
    json_decref(root);
    return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, bytes, most) : bytes;
  }
  for (uint64_t n = random_int(&random, 1, 4); n; n--)
    json_mutate(root, &random);
  char *text = json_dumps(root, JSON_COMPACT);
  FUZZ_EXPECT(text);
  if (strlen(text) <= most)
    memcpy(data, text, bytes = strlen(text));
  free(text);
  json_decref(root);
  return bytes;
}

/* Of the same input always the same demands. */
static uint64_t hash_of(const uint8_t *data, size_t bytes)
{
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < bytes; i++)
    hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
  return hash | 1;
}

/* A few times what a sample takes, or far from it. */
static int64_t some_time_ns(uint64_t *random, int64_t round_ns)
{
  const double factor = random_int(random, 0, 7) ? 10 * random_unit(random) : 1e-6;
  const double ns = factor * (double)round_ns;
  return ns < 1 ? 1 : ns > 1e17 ? (int64_t)1e17 : (int64_t)ns;
}

static void estimate(qb_profile *profile)
{
  for (uint32_t batch = 1; batch <= QB_MAX_BATCH; batch *= 2) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    FUZZ_EXPECT(!qb_estimate(profile, NULL, batch, NULL, &e));
    FUZZ_EXPECT(0 < e.low_ns && e.low_ns <= e.latency_ns && e.latency_ns <= e.high_ns);
    FUZZ_EXPECT(e.mean_ns > 0 && e.p95_ns > 0);
  }
}

static void plan_job(qb_profile *profile, uint64_t *random, int64_t round_ns)
{
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  qb_job job = QB_JOB_INIT;
  qb_qos qos = QB_QOS_INIT;
  job.samples = random_int(random, 1, 100000);
  qos.deadline_ns = random_int(random, 0, 1) ? 0 : some_time_ns(random, round_ns);
  qos.objective = random_int(random, 0, 1) ? QB_OBJECTIVE_COST : qos.objective;
  qb_job_frontier *frontier = NULL;
  FUZZ_EXPECT(!qb_plan_job(&profile, 1, &job, &qos, &plan, &frontier));
  FUZZ_EXPECT(plan.nodes == 0 || plan.total_ns > 0);
  FUZZ_EXPECT(plan.low_ns <= plan.total_ns && plan.total_ns <= plan.high_ns);
  FUZZ_EXPECT(!plan.feasible || !qos.deadline_ns || plan.high_ns <= qos.deadline_ns);
  FUZZ_EXPECT(plan.cost >= 0 && plan.throughput_per_s >= 0);
  qb_job_frontier_free(frontier);
}

static void plan_service(qb_profile *profile, const qb_qos *qos, double rate_per_s)
{
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = rate_per_s;
  FUZZ_EXPECT(!qb_plan_service(&profile, 1, &load, qos, &plan, NULL));
  FUZZ_EXPECT(!plan.feasible || (plan.latency_ns > 0 && plan.latency_ns <= qos->latency_ns));
  FUZZ_EXPECT(plan.utilisation >= 0 && plan.utilisation <= 1 && plan.cost_per_hour >= 0);
  FUZZ_EXPECT(plan.p50_ns <= plan.p95_ns && plan.p95_ns <= plan.p99_ns);
}

static void decide(qb_profile *profile, uint64_t *random, const qb_qos *qos, double rate_per_s,
                   const qb_profile_info *info)
{
  qb_optimizer *optimizer;
  qb_profile_point first = QB_PROFILE_POINT_INIT;
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  FUZZ_EXPECT(!qb_profile_get_point(profile, 0, &first));
  params.configuration = first.configuration;
  params.max_batch = info->max_batch;
  params.rate_per_s = rate_per_s;
  FUZZ_EXPECT(!qb_optimizer_new(profile, &params, qos, &optimizer));
  qb_round_state now = QB_ROUND_STATE_INIT;
  for (int i = 0; i < ROUNDS; i++) {
    qb_decision d = QB_DECISION_INIT;
    now.queued = (uint32_t)random_int(random, 0, 2 * info->max_batch);
    now.now_ns += some_time_ns(random, first.latency_ns) / ROUNDS;
    now.oldest_arrival_ns = now.now_ns - now.now_ns / (int64_t)random_int(random, 1, 100);
    FUZZ_EXPECT(!qb_optimize(optimizer, &now, &d));
    FUZZ_EXPECT(d.batch <= info->max_batch && d.give_up <= now.queued);
    FUZZ_EXPECT(now.queued == 0 || d.slowdown > 0);
    FUZZ_EXPECT(d.low_ns <= d.latency_ns && d.latency_ns <= d.high_ns);
    FUZZ_EXPECT(d.action != QB_ACTION_RUN || (d.batch > 0 && d.batch <= now.queued));
    char text[256];
    FUZZ_EXPECT(qb_explain(&d, text, sizeof text) > 1);
    qb_round_result result = QB_ROUND_RESULT_INIT;
    result.batch = d.batch ? d.batch : 1;
    result.latency_ns = some_time_ns(random, first.latency_ns);
    FUZZ_EXPECT(!qb_observe(optimizer, &result));
    if (d.refresh_due && i == ROUNDS / 2)
      FUZZ_EXPECT(!qb_optimizer_refresh(optimizer));
  }
  qb_optimizer_free(optimizer);
}

static void simulate(qb_profile *profile, uint64_t *random, const qb_qos *qos, double rate_per_s)
{
  uint32_t policies = 0;
  while (qb_policy_name(policies))
    policies++;
  qb_traffic traffic = QB_TRAFFIC_INIT;
  qb_simulation simulation = QB_SIMULATION_INIT;
  qb_simulation_report report = QB_SIMULATION_REPORT_INIT;
  traffic.arrivals = (qb_arrivals)random_int(random, QB_ARRIVALS_POISSON, QB_ARRIVALS_DIURNAL);
  traffic.rate_per_s = rate_per_s;
  simulation.policy = qb_policy_name((uint32_t)random_int(random, 0, policies - 1));
  simulation.samples = SAMPLES;
  simulation.max_queued = 1000;
  simulation.seed = random_bits(random);
  FUZZ_EXPECT(!qb_simulate(profile, NULL, &traffic, qos, &simulation, &report));
  FUZZ_EXPECT(report.answered <= report.samples && report.samples <= SAMPLES);
  FUZZ_EXPECT(report.within_slo >= 0 && report.within_slo <= 1);
  FUZZ_EXPECT(report.utilisation >= 0 && report.utilisation <= 1 + 1e-9);
  FUZZ_EXPECT(report.p50_ns <= report.p95_ns && report.p95_ns <= report.p99_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
  qb_context *context;
  qb_profile *profile;
  FUZZ_EXPECT(!qb_context_new(NULL, &context));
  if (!qb__profile_parse(context, "fuzz", (const char *)data, bytes, &profile)) {
    uint64_t random = hash_of(data, bytes);
    qb_profile_info info = QB_PROFILE_INFO_INIT;
    qb_latency_estimate one = QB_LATENCY_ESTIMATE_INIT;
    FUZZ_EXPECT(!qb_profile_get_info(profile, &info));
    estimate(profile);
    FUZZ_EXPECT(!qb_estimate(profile, NULL, 1, NULL, &one));
    if (info.max_batch <= MOST_BATCH) {
      qb_qos qos = QB_QOS_INIT;
      qos.latency_ns = some_time_ns(&random, one.latency_ns);
      qos.shed = random_int(&random, 0, 1);
      const double rate_per_s = fmin(2 * random_unit(&random) * 1e9 / (double)one.latency_ns, 1e9);
      plan_job(profile, &random, one.latency_ns);
      if (rate_per_s > 0) {
        switch (random_int(&random, 0, 2)) {
        case 0: plan_service(profile, &qos, rate_per_s); break;
        case 1: decide(profile, &random, &qos, rate_per_s, &info); break;
        default: simulate(profile, &random, &qos, rate_per_s);
        }
      }
    }
    qb_profile_unref(profile);
  }
  qb_context_unref(context);
  return 0;
}
