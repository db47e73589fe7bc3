/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/worth.h"

#include "support/expect.h"
#include "support/random.h"

#include <math.h>

/* The rate that a target allows is one at which the target is met. */
static void rates_and_latencies_agree(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = 0; i < 1000; i++) {
    const double ns = 1e6 * (1 + 100 * random_unit(&seed));
    const qb__worth_rounds rounds = {(uint32_t)random_int(&seed, 1, 64),
                                     (uint32_t)random_int(&seed, 1, 64), ns,
                                     ns * (1 + random_unit(&seed))};
    const double target_ns = rounds.p95_ns * (1 + 10 * random_unit(&seed)) + 1;
    const double rate = qb__worth_rate(&rounds, target_ns);
    assert_true(rate > 0 && rate < qb__worth_throughput(&rounds));
    assert_true(fabs(qb__worth_latency_ns(&rounds, rate) / target_ns - 1) < 1e-6);
    assert_true(qb__worth_rate(&rounds, rounds.p95_ns) == 0);
    assert_true(isinf(qb__worth_latency_ns(&rounds, qb__worth_throughput(&rounds))));
  }
}

/* It is the whole throughput of rounds that are all alike and known, and less of others. */
static void what_is_sure_of_a_throughput_is_less_the_less_is_known(void **state)
{
  (void)state;
  const qb__worth_rounds alike = {4, 2, 1e6, 1e6}, unlike = {4, 2, 1e6, 1.2e6};
  assert_true(qb__worth_sure_throughput(&alike, 0) == qb__worth_throughput(&alike));
  const double off = qb__worth_sure_throughput(&alike, 0.1);
  const double spread = qb__worth_sure_throughput(&unlike, 0);
  assert_true(fabs(off * 1.196 / 8000 - 1) < 1e-3);
  assert_true(fabs(spread * (1 + 1.96 * 0.2 / 1.645) / 8000 - 1) < 1e-3);
  assert_true(qb__worth_sure_throughput(&unlike, 0.1) < fmin(off, spread));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rates_and_latencies_agree),
      cmocka_unit_test(what_is_sure_of_a_throughput_is_less_the_less_is_known),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
