/* SPDX-License-Identifier: Apache-2.0 */
#include "support/expect.h"
#include "support/failing_allocator.h"

#include <qosbatch/verify.h>

#include <math.h>

enum { MOST = 2000 };

static qb_context *context;

static qb_verification verify(size_t count, size_t late)
{
  int64_t latencies_ns[MOST];
  for (size_t i = 0; i < count; i++)
    latencies_ns[i] = i < late ? 30000000 : 10000000;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 20000000;
  qb_verification v = QB_VERIFICATION_INIT;
  assert_ok(qb_verify(context, latencies_ns, count, &qos, 0.99, &v));
  assert_int_equal(v.samples, count);
  assert_int_equal(v.late, late);
  return v;
}

/* The table of MLPerf Inference's rules: p99 at 99 % needs 459 samples, 662 with one late. */
static void numbers_of_samples_are_those_of_mlperf(void **state)
{
  (void)state;
  static const struct {
    size_t late, needed;
  } known[] = {{0, 459}, {1, 662}};
  for (int i = 0; i < 2; i++) {
    qb_verification v = verify(known[i].needed, known[i].late);
    assert_int_equal(v.verdict, QB_VERDICT_PASS);
    assert_int_equal(v.needed, known[i].needed);
    assert_int_equal(v.more, 0);
    v = verify(known[i].needed - 1, known[i].late);
    assert_int_equal(v.verdict, QB_VERDICT_MORE);
    assert_int_equal(v.more, 1);
  }
  assert_int_equal(verify(100, 0).more, 359);
}

/*
 * Of 1, 2, 3, ... the rank is the value: by integers, for every percentile of up to two decimals.
 */
static void percentiles_are_exact(void **state)
{
  (void)state;
  enum { COUNT = 1000 };
  int64_t latencies_ns[COUNT];
  for (size_t i = 0; i < COUNT; i++)
    latencies_ns[i] = (int64_t)i + 1;
  for (uint64_t hundredths = 1; hundredths < 10000; hundredths++) {
    const size_t count = hundredths % 2 ? COUNT : COUNT / 4;
    qb_qos qos = QB_QOS_INIT;
    qos.latency_ns = COUNT;
    qos.percentile = (double)hundredths / 100;
    qb_verification v = QB_VERIFICATION_INIT;
    assert_ok(qb_verify(context, latencies_ns, count, &qos, 0.99, &v));
    const uint64_t rank = (count * hundredths + 9999) / 10000;
    assert_int_equal(v.latency_ns, rank);
  }
}

/* The least number by adding up the binomial distribution from scratch. */
static void the_samples_needed_are_those_of_the_binomial_law(void **state)
{
  (void)state;
  for (size_t late = 0; late < 8; late++) {
    size_t n = late + 1;
    for (;; n++) {
      double sum = 0, term = pow(0.99, (double)n);
      for (size_t k = 0; k <= late; k++) {
        sum += term;
        term *= (double)(n - k) / (double)(k + 1) * 0.01 / 0.99;
      }
      if (sum <= 0.01)
        break;
    }
    assert_int_equal(verify(10 + late, late).needed, n);
  }
}

static void broken_targets_fail(void **state)
{
  (void)state;
  assert_int_equal(verify(100, 20).verdict, QB_VERDICT_FAIL);
  assert_int_equal(verify(100, 20).more, 0);
  assert_int_equal(verify(2, 2).verdict, QB_VERDICT_FAIL); /* 1 in 10,000 if it were kept */
  assert_int_equal(verify(100, 2).verdict, QB_VERDICT_MORE);
}

static void the_bound_is_the_least_target_that_passes(void **state)
{
  (void)state;
  int64_t latencies_ns[662];
  for (int i = 0; i < 662; i++)
    latencies_ns[i] = 1000 * (int64_t)(i * 311 % 662);
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 1;
  qb_verification v = QB_VERIFICATION_INIT;
  assert_ok(qb_verify(context, latencies_ns, 662, &qos, 0.99, &v));
  assert_int_equal(v.bound_ns, 660000); /* one may be late: the second largest */
  qos.latency_ns = v.bound_ns;
  assert_ok(qb_verify(context, latencies_ns, 662, &qos, 0.99, &v));
  assert_int_equal(v.verdict, QB_VERDICT_PASS);
  assert_ok(qb_verify(context, latencies_ns, 458, &qos, 0.99, &v));
  assert_int_equal(v.bound_ns, 0);
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  const int64_t good = 5, bad[2] = {5, -3};
  qb_qos qos = QB_QOS_INIT;
  qb_verification v = QB_VERIFICATION_INIT;
  v.late = 77;
  assert_status(qb_verify(context, &good, 1, &qos, 0.99, &v), QB_ERROR_INVALID_ARGUMENT);
  qos.latency_ns = 10;
  assert_status(qb_verify(context, NULL, 0, &qos, 0.99, &v), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_verify(context, bad, 2, &qos, 0.99, &v), QB_ERROR_INVALID_ARGUMENT);
  assert_message("latencies_ns[1] is -3");
  assert_status(qb_verify(context, &good, 1, &qos, 1, &v), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_verify(context, &good, 1, NULL, 0.9, &v), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(v.late, 77);
  assert_string_equal(qb_verdict_name(QB_VERDICT_MORE), "more");
  assert_string_equal(qb_verdict_name((qb_verdict)9), "unknown");
}

static qb_status verify_one(qb_context *its, void *user)
{
  const int64_t latency_ns = 5;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 10;
  qb_verification v = QB_VERIFICATION_INIT;
  (void)user;
  return qb_verify(its, &latency_ns, 1, &qos, 0.99, &v);
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  assert_int_equal(check_every_allocation_failure(verify_one, NULL), 1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(percentiles_are_exact),
      cmocka_unit_test(numbers_of_samples_are_those_of_mlperf),
      cmocka_unit_test(the_samples_needed_are_those_of_the_binomial_law),
      cmocka_unit_test(broken_targets_fail),
      cmocka_unit_test(the_bound_is_the_least_target_that_passes),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
