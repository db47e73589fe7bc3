/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator, against replay, counting and rules worked out by hand. */
#include "profile/profile_impl.h"
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/random.h"
#include "support/scripted_profile.h"

#include <qosbatch/simulate.h>

#include <math.h>
#include <stddef.h>

static qb_context *context;
static qb_profile *profile; /* rounds of 8 + 2 n ms, 1 instance, up to 16 */
static const qb_configuration one = {1, 1};

static qb_simulation_report simulate(const qb_traffic *traffic, int64_t target_ns, bool shed,
                                     const qb_simulation *simulation)
{
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = target_ns;
  qos.shed = shed;
  qb_simulation_report report = QB_SIMULATION_REPORT_INIT;
  assert_ok(qb_simulate(profile, &one, traffic, &qos, simulation, &report));
  return report;
}

static qb_traffic poisson(double rate_per_s)
{
  qb_traffic traffic = QB_TRAFFIC_INIT;
  traffic.rate_per_s = rate_per_s;
  return traffic;
}

static void replay_is_identical(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (uint32_t p = 0; qb_policy_name(p); p++)
    for (int a = QB_ARRIVALS_POISSON; a <= QB_ARRIVALS_DIURNAL; a++) {
      qb_traffic traffic = poisson(100);
      traffic.arrivals = (qb_arrivals)a;
      qb_simulation simulation = QB_SIMULATION_INIT;
      simulation.policy = qb_policy_name(p);
      simulation.samples = 2000;
      simulation.seed = random_bits(&seed);
      const qb_simulation_report first = simulate(&traffic, 50000000, true, &simulation);
      const qb_simulation_report again = simulate(&traffic, 50000000, true, &simulation);
      /* All but the padding at the end. */
      assert_memory_equal(&first, &again,
                          offsetof(qb_simulation_report, batch) + sizeof first.batch);
      simulation.seed++;
      const qb_simulation_report other = simulate(&traffic, 50000000, true, &simulation);
      assert_true(first.mean_latency_ns != other.mean_latency_ns || !first.answered);
      assert_true(first.answered <= first.samples && first.within_slo <= 1);
      assert_true(first.utilisation >= 0 && first.utilisation <= 1);
      assert_true(first.goodput_per_s <= first.throughput_per_s + 1e-9);
    }
}

/* Rounds vary as single ones did when they were measured: their mean and their 95th percentile. */
static void rounds_vary_as_measured(void **state)
{
  (void)state;
  qb_profile *noisy = scripted_profile(context, &one, 1, 8, 2, 1.2);
  noisy->points[0].mean_ns = 10500000;
  qb_traffic traffic = poisson(0.01); /* nobody waits */
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 100000000;
  qb_simulation_report report = QB_SIMULATION_REPORT_INIT;
  assert_ok(qb_simulate(noisy, &one, &traffic, &qos, NULL, &report));
  assert_in_range(report.mean_latency_ns, 0.998 * 10.5e6, 1.002 * 10.5e6);
  assert_in_range(report.p95_ns, 0.99 * 12e6, 1.01 * 12e6);
  qb_profile_unref(noisy);
}

/* Three samples at once, one more while they run: worked out by hand. */
static void a_short_trace_is_simulated_as_by_hand(void **state)
{
  (void)state;
  const int64_t times_ns[] = {0, 1000000000, 1000000000, 1000000000, 1005000000};
  qb_traffic traffic = QB_TRAFFIC_INIT;
  traffic.arrivals = QB_ARRIVALS_TRACE;
  traffic.times_ns = times_ns;
  traffic.time_count = 5;
  qb_simulation simulation = QB_SIMULATION_INIT;
  simulation.steady = true;
  simulation.policy = "no-batching"; /* rounds of 10 ms: 10, 20, 30, 35 ms, and 10 */
  qb_simulation_report r = simulate(&traffic, 25000000, false, &simulation);
  assert_int_equal(r.samples, 4); /* the first fills the queue */
  assert_int_equal(r.answered, 4);
  assert_true(fabs(r.mean_latency_ns - 23.75e6) < 1e5);
  assert_true(fabs(r.within_slo - 0.5) < 1e-9);
  simulation.policy = "triton";
  r = simulate(&traffic, 25000000, false, &simulation);
  /* One starts at once, the other two and the last one run together: 10, 22, 22, 17 + 2 ms. */
  assert_int_equal(r.answered, 4);
  assert_true(fabs(r.mean_latency_ns - (10 + 24 + 24 + 19) / 4.0 * 1e6) < 1e5);
  simulation.policy = "fixed-batch"; /* eight never come */
  r = simulate(&traffic, 25000000, false, &simulation);
  assert_int_equal(r.answered, 0);
  assert_int_equal(r.p99_ns, 0);
}

static void rates_are_as_asked(void **state)
{
  (void)state;
  qb_simulation simulation = QB_SIMULATION_INIT;
  simulation.policy = "no-batching";
  simulation.max_queued = 4;
  for (int a = QB_ARRIVALS_POISSON; a <= QB_ARRIVALS_DIURNAL; a++) {
    qb_traffic traffic = poisson(1000);
    traffic.arrivals = (qb_arrivals)a;
    traffic.burst_ns = 50000000;
    traffic.period_ns = 1000000000;
    const qb_simulation_report r = simulate(&traffic, 25000000, false, &simulation);
    print_message("arrivals %d: %.1f/s\n", a, r.rate_per_s);
    assert_true(fabs(r.rate_per_s - 1000) < 150);
    assert_true(r.p99_ns <= 60000000 && r.answered < r.samples / 5); /* four wait at most */
  }
}

/* What is promised: above the rivals when there is too much to do, and no sample made late. */
static void our_policy_is_above_the_rivals(void **state)
{
  (void)state;
  static const double rates[] = {60, 150, 300};
  for (int i = 0; i < 3; i++) {
    const qb_traffic traffic = poisson(rates[i]);
    qb_simulation simulation = QB_SIMULATION_INIT;
    simulation.samples = 20000;
    const qb_simulation_report ours = simulate(&traffic, 45000000, true, &simulation);
    for (uint32_t p = 1; qb_policy_name(p); p++) {
      simulation.policy = qb_policy_name(p);
      const qb_simulation_report theirs = simulate(&traffic, 45000000, true, &simulation);
      print_message("%.0f/s: ours %.4f, %s %.4f\n", rates[i], ours.within_slo, simulation.policy,
                    theirs.within_slo);
      assert_true(ours.within_slo > 0.98 * theirs.within_slo);
    }
    const double late = (double)ours.answered / (double)ours.samples - ours.within_slo;
    assert_true(late < 0.03);
  }
}

/* Where all is answered a loaded service stays one: as good as the best largest batch and wait. */
static void our_policy_without_refusing_matches_the_best_batch_and_wait(void **state)
{
  (void)state;
  static const struct {
    uint32_t instances;
    double rate_per_s;
    int64_t target_ns;
  } cells[] = {{1, 340, 100000000}, {1, 300, 45000000}, {4, 1020, 30000000}, {4, 600, 20000000}};
  for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
    const qb_configuration configuration = {cells[i].instances, 1};
    qb_profile *p = scripted_profile(context, &configuration, 16, 8, 2, 1.05);
    const qb_traffic traffic = poisson(cells[i].rate_per_s);
    qb_qos qos = QB_QOS_INIT;
    qos.latency_ns = cells[i].target_ns;
    qb_simulation simulation = QB_SIMULATION_INIT;
    simulation.samples = 10000;
    qb_simulation_report ours = QB_SIMULATION_REPORT_INIT, best = QB_SIMULATION_REPORT_INIT;
    assert_ok(qb_simulate(p, &configuration, &traffic, &qos, &simulation, &ours));
    simulation.policy = "exhaustive";
    assert_ok(qb_simulate(p, &configuration, &traffic, &qos, &simulation, &best));
    print_message("%u instances, %.0f/s: ours %.4f, exhaustive %.4f\n", cells[i].instances,
                  cells[i].rate_per_s, ours.within_slo, best.within_slo);
    assert_int_equal(ours.answered, ours.samples);
    assert_true(ours.within_slo > 0.96 * best.within_slo);
    qb_profile_unref(p);
  }
}

/*
 * A target of two or three rounds, where every sample's own age counts: not below who looks at
 * them.
 */
static void our_policy_holds_targets_of_few_rounds(void **state)
{
  (void)state;
  static const char *const rivals[] = {"bentoml", "clipper-deadline"};
  static const struct {
    double once_ms, each_ms, rate_per_s;
    int64_t target_ns;
  } cells[] = {{5, 5, 127, 20000000}, {8, 2, 420, 50000000}};
  for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
    qb_profile *p = scripted_profile(context, &one, 32, cells[i].once_ms, cells[i].each_ms, 1.03);
    const qb_traffic traffic = poisson(cells[i].rate_per_s);
    qb_qos qos = QB_QOS_INIT;
    qos.latency_ns = cells[i].target_ns;
    qos.shed = true;
    qb_simulation simulation = QB_SIMULATION_INIT;
    simulation.samples = 30000;
    qb_simulation_report ours = QB_SIMULATION_REPORT_INIT, theirs = QB_SIMULATION_REPORT_INIT;
    assert_ok(qb_simulate(p, &one, &traffic, &qos, &simulation, &ours));
    simulation.tuned = true;
    for (size_t r = 0; r < sizeof rivals / sizeof *rivals; r++) {
      simulation.policy = rivals[r];
      assert_ok(qb_simulate(p, &one, &traffic, &qos, &simulation, &theirs));
      print_message("target %.0f ms: ours %.4f, %s %.4f\n", (double)qos.latency_ns * 1e-6,
                    ours.within_slo, rivals[r], theirs.within_slo);
      assert_true(ours.within_slo > 0.99 * theirs.within_slo);
    }
    qb_profile_unref(p);
  }
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  qb_traffic traffic = poisson(0);
  qb_qos qos = QB_QOS_INIT;
  qb_simulation_report r = QB_SIMULATION_REPORT_INIT;
  r.samples = 77;
  qos.latency_ns = 1;
  assert_status(qb_simulate(profile, &one, &traffic, &qos, NULL, &r), QB_ERROR_INVALID_ARGUMENT);
  assert_message("rate_per_s is 0");
  traffic.rate_per_s = 1;
  qos.latency_ns = 0;
  assert_status(qb_simulate(profile, &one, &traffic, &qos, NULL, &r), QB_ERROR_INVALID_ARGUMENT);
  qos.latency_ns = 1;
  traffic.arrivals = (qb_arrivals)9;
  assert_status(qb_simulate(profile, &one, &traffic, &qos, NULL, &r), QB_ERROR_INVALID_ARGUMENT);
  traffic.arrivals = QB_ARRIVALS_TRACE;
  assert_status(qb_simulate(profile, &one, &traffic, &qos, NULL, &r), QB_ERROR_INVALID_ARGUMENT);
  const int64_t falling[] = {5, 3};
  traffic.times_ns = falling;
  traffic.time_count = 2;
  assert_status(qb_simulate(profile, &one, &traffic, &qos, NULL, &r), QB_ERROR_INVALID_ARGUMENT);
  assert_message("times_ns[1] is 3");
  traffic.arrivals = QB_ARRIVALS_MMPP;
  traffic.burst_share = 1;
  assert_status(qb_simulate(profile, &one, &traffic, &qos, NULL, &r), QB_ERROR_INVALID_ARGUMENT);
  traffic.arrivals = QB_ARRIVALS_POISSON;
  qb_simulation simulation = QB_SIMULATION_INIT;
  simulation.policy = "tritton";
  assert_status(qb_simulate(profile, &one, &traffic, &qos, &simulation, &r), QB_ERROR_NOT_FOUND);
  assert_message("'tritton' is unknown");
  assert_status(qb_simulate(NULL, &one, &traffic, &qos, NULL, &r), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(r.samples, 77);
}

static qb_status simulate_one(qb_context *its, void *user)
{
  (void)user;
  qb_profile *small = scripted_profile(context, &one, 4, 8, 2, 1.03);
  small->context = its;
  const qb_traffic traffic = poisson(2000); /* the queue has to grow */
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 45000000;
  qb_simulation simulation = QB_SIMULATION_INIT;
  simulation.samples = 3000;
  qb_simulation_report r = QB_SIMULATION_REPORT_INIT;
  const qb_status status = qb_simulate(small, &one, &traffic, &qos, &simulation, &r);
  small->context = context;
  qb_profile_unref(small);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  assert_true(check_every_allocation_failure(simulate_one, NULL) > 8);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(replay_is_identical),
      cmocka_unit_test(a_short_trace_is_simulated_as_by_hand),
      cmocka_unit_test(rounds_vary_as_measured),
      cmocka_unit_test(rates_are_as_asked),
      cmocka_unit_test(our_policy_is_above_the_rivals),
      cmocka_unit_test(our_policy_without_refusing_matches_the_best_batch_and_wait),
      cmocka_unit_test(our_policy_holds_targets_of_few_rounds),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  profile = scripted_profile(context, &one, 16, 8, 2, 1.03);
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_profile_unref(profile);
  qb_context_unref(context);
  return failed;
}
