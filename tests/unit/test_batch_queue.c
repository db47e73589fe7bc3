/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue analysis against theory and against the simulator. bench/bench_queue.c has all cases.
 */
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/queue_cases.h"
#include "support/random.h"

#include <math.h>

enum { QUICK_CASES = 24, QUICK_SAMPLES = 600000 };

static qb_context *context;

/*
 * P(wait <= t) of a queue with one server and rounds of one sample that take d (A. K. Erlang, 1909;
 * C. D. Crommelin, P.O. Elect. Eng. J. 25, 1932).
 */
static double erlang_wait(double rate, double d, double t)
{
  double sum = 0, sign = 1;
  for (int k = 0; k * d <= t; k++, sign = -sign) {
    const double x = rate * (t - k * d);
    sum += sign * exp((k ? k * log(fmax(x, 1e-300)) : 0) - lgamma(k + 1.0) + x);
  }
  return (1 - rate * d) * sum;
}

static void one_server_is_as_in_theory(void **state)
{
  (void)state;
  static const double utilisations[] = {0.3, 0.6, 0.8};
  const int64_t latency_ns[] = {0, 10000000};
  for (int i = 0; i < 3; i++) {
    const double rate = utilisations[i] / 0.01;
    const qb__batch_queue queue = {.arrivals = {.rate_per_s = {rate, 0}},
                                   .instances = 1,
                                   .batch = 1,
                                   .latency_ns = latency_ns,
                                   .percentile = 99,
                                   .length = {.samples = 1 << 18}};
    qb__queue_report report;
    assert_ok(qb__batch_queue_analyse(context, &queue, &report));
    const double shares[] = {0.95, 0.99}, found[] = {(double)report.p95_ns, (double)report.p99_ns};
    for (int j = 0; j < 2; j++) {
      double wait_s = 0;
      while (erlang_wait(rate, 0.01, wait_s) < shares[j])
        wait_s += 1e-5;
      print_message("M/D/1 at %.1f, p%g: %.3f ms, theory %.3f ms\n", utilisations[i],
                    100 * shares[j], found[j] * 1e-6, 1e3 * (wait_s + 0.01));
      assert_true(fabs(found[j] * 1e-9 / (wait_s + 0.01) - 1) < 0.03);
    }
    assert_true(fabs(report.utilisation - utilisations[i]) < 0.01);
    assert_true(report.mean_batch == 1);
  }
}

/* On the same arrivals what is left is the chance of single rounds and of the ends of the path. */
static void queues_are_those_of_the_simulator(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  const int cases = random_cases(QUICK_CASES);
  double worst[2] = {0}, sum = 0;
  for (int i = 0; i < cases; i++) {
    queue_case c;
    make_case((int)random_int(&seed, 0, CASES - 1), &c);
    const bool bursty = c.queue.arrivals.leave_per_s[1] > 0;
    c.queue.length = (qb__path_length){.samples = QUICK_SAMPLES};
    c.queue.seed = random_bits(&seed);
    qb__queue_report report;
    qb__outcome truth;
    assert_ok(qb__batch_queue_analyse(context, &c.queue, &report));
    assert_false(report.saturated);
    assert_ok(simulate_case(context, &c, QUICK_SAMPLES, c.queue.seed, &truth));
    const double error = worst_error(&report, &truth);
    worst[bursty] = fmax(worst[bursty], error);
    sum += error;
    assert_true(fabs(report.utilisation - truth.busy_ns / truth.span_ns / c.queue.instances) <
                0.05);
  }
  print_message("%d queues: mean error %.2f %%, worst %.2f %%, bursty %.2f %%\n", cases,
                100 * sum / cases, 100 * worst[0], 100 * worst[1]);
  assert_true(worst[0] < 0.06 && worst[1] < 0.06);
  assert_true(sum / cases < 0.01 || !random_kinds_come_up(QUICK_CASES));
}

/* An even path is one of the same process: each stratum has its turn, and rates are as asked. */
static void even_bursts_take_each_stratum_in_turn(void **state)
{
  (void)state;
  enum { BURSTS = 64 };
  const qb__arrival_law law = qb__arrival_bursts(1000, 4, 0.25, 0.1);
  assert_true(fabs(qb__arrival_burst_count(&law, 400) - 1) < 1e-9);
  qb__arrivals arrivals;
  qb__arrivals_start_even(&arrivals, &law, 3, BURSTS);
  uint32_t seen[2][BURSTS] = {{0}}, number[2] = {0};
  double from_ns = 0, arrived = 0;
  for (int phase = 0; number[0] < BURSTS || number[1] < BURSTS; phase = !phase) {
    assert_int_equal(arrivals.phase, phase);
    const double length_s = (arrivals.switch_ns - from_ns) * 1e-9;
    seen[phase][(int)(BURSTS * exp(-length_s * law.leave_per_s[phase]))]++;
    number[phase]++;
    from_ns = arrivals.switch_ns;
    for (; arrivals.phase == phase; arrived++)
      (void)qb__arrivals_next(&arrivals);
  }
  for (int i = 0; i < BURSTS; i++)
    assert_true(seen[0][i] == 1 && seen[1][i] == 1);
  assert_true(fabs(arrived / (arrivals.now_ns * 1e-9) - 1000) < 20);
}

static void a_bounded_queue_loses_what_the_simulator_does(void **state)
{
  (void)state;
  queue_case c;
  make_case(0, &c);
  c.queue.batch = 4;
  c.queue.queue_most = 6;
  c.queue.length = (qb__path_length){.samples = QUICK_SAMPLES};
  c.queue.arrivals = (qb__arrival_law){.rate_per_s = {2 * 4e9 / (double)c.latency_ns[4], 0}};
  qb__queue_report report;
  qb__outcome truth;
  assert_ok(qb__batch_queue_analyse(context, &c.queue, &report));
  assert_ok(simulate_case(context, &c, QUICK_SAMPLES, 7, &truth));
  const double lost = 1 - (double)truth.answered / (double)truth.arrived;
  print_message("lost %.4f, simulated %.4f\n", report.lost, lost);
  assert_true(lost > 0.3 && fabs(report.lost - lost) < 0.02);
  assert_true(relative_error(report.p99_ns, truth.p99_ns) < 0.03);
}

static void saturation_is_declared(void **state)
{
  (void)state;
  queue_case c;
  make_case(0, &c);
  c.queue.instances = 2;
  c.queue.batch = 8;
  c.queue.arrivals.rate_per_s[0] = 1.01 * 2 * 8e9 / (double)c.latency_ns[8];
  qb__queue_report report;
  assert_ok(qb__batch_queue_analyse(context, &c.queue, &report));
  assert_true(report.saturated);
  c.queue.arrivals.rate_per_s[0] *= 0.9;
  assert_ok(qb__batch_queue_analyse(context, &c.queue, &report));
  assert_false(report.saturated);
  assert_true(report.p50_ns <= report.p95_ns && report.p95_ns <= report.p99_ns);
  assert_true(report.utilisation < 1 && report.mean_batch <= 8);
}

static qb_status analyse_one(qb_context *its, void *user)
{
  queue_case *c = user;
  qb__queue_report report;
  return qb__batch_queue_analyse(its, &c->queue, &report);
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  queue_case c;
  make_case(40, &c);
  c.queue.length = (qb__path_length){.samples = 1000};
  assert_int_equal(check_every_allocation_failure(analyse_one, &c), 3);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_server_is_as_in_theory),
      cmocka_unit_test(queues_are_those_of_the_simulator),
      cmocka_unit_test(even_bursts_take_each_stratum_in_turn),
      cmocka_unit_test(a_bounded_queue_loses_what_the_simulator_does),
      cmocka_unit_test(saturation_is_declared),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
