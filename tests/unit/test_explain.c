/* SPDX-License-Identifier: Apache-2.0 */
#include "support/unit.h"

#include <qosbatch/optimize.h>

#include <string.h>

static qb_decision decision(qb_action action, qb_reason reason)
{
  qb_decision d = QB_DECISION_INIT;
  d.action = action;
  d.reason = reason;
  d.batch = 7;
  d.max_wait_ns = 1500000;
  d.latency_ns = 20000000;
  d.low_ns = 19000000;
  d.high_ns = 21000000;
  d.oldest_latency_ns = 33000000;
  return d;
}

static void sentences_have_their_figures(void **state)
{
  (void)state;
  static const qb_action actions[] = {QB_ACTION_RUN, QB_ACTION_WAIT, QB_ACTION_INFEASIBLE};
  for (int a = 0; a < 3; a++)
    for (int reason = QB_REASON_SLO; reason <= QB_REASON_LATE; reason++) {
      const qb_decision d = decision(actions[a], (qb_reason)reason);
      char text[512];
      const size_t needed = qb_explain(&d, text, sizeof text);
      assert_int_equal(needed, strlen(text) + 1);
      assert_non_null(strstr(text, "7 samples"));
      assert_non_null(strstr(text, "33.000 ms"));
      if (actions[a] == QB_ACTION_WAIT)
        assert_non_null(strstr(text, "1.500 ms"));
      else
        assert_non_null(strstr(text, "19.000 to 21.000 ms"));
    }
}

/* A node that is not as it was profiled is said to be so. */
static void a_slower_node_is_mentioned(void **state)
{
  (void)state;
  qb_decision d = decision(QB_ACTION_RUN, QB_REASON_SLO);
  char text[512];
  for (int i = 0; i < 2; i++) {
    d.slowdown = i;
    (void)qb_explain(&d, text, sizeof text);
    assert_null(strstr(text, "profiled"));
  }
  d.slowdown = 1.5;
  (void)qb_explain(&d, text, sizeof text);
  assert_non_null(strstr(text, "The node is 1.50 times slower than profiled."));
  d.slowdown = 0.5;
  (void)qb_explain(&d, text, sizeof text);
  assert_non_null(strstr(text, "The node is 2.00 times faster than profiled."));
}

static void refused_samples_are_mentioned(void **state)
{
  (void)state;
  qb_decision d = decision(QB_ACTION_RUN, QB_REASON_SLO);
  char text[512];
  (void)qb_explain(&d, text, sizeof text);
  assert_null(strstr(text, "Refuse"));
  d.give_up = 3;
  (void)qb_explain(&d, text, sizeof text);
  assert_non_null(strstr(text, "refuse the first 3 samples"));
}

static void a_short_buffer_is_cut_and_terminated(void **state)
{
  (void)state;
  const qb_decision d = decision(QB_ACTION_RUN, QB_REASON_SLO);
  char text[16] = "###############";
  const size_t needed = qb_explain(&d, text, 8);
  assert_true(needed > 8);
  assert_int_equal(strlen(text), 7);
  assert_int_equal(text[8], '#');
  assert_int_equal(qb_explain(&d, NULL, 0), needed);
  assert_true(qb_explain(NULL, text, sizeof text) > 1);
}

static void names_are_different(void **state)
{
  (void)state;
  assert_string_equal(qb_action_name(QB_ACTION_WAIT), "wait");
  assert_string_equal(qb_action_name((qb_action)99), "unknown");
  for (int a = QB_REASON_NONE; a <= QB_REASON_LATE; a++)
    for (int b = a + 1; b <= QB_REASON_LATE; b++)
      assert_string_not_equal(qb_reason_name((qb_reason)a), qb_reason_name((qb_reason)b));
  assert_string_equal(qb_reason_name((qb_reason)99), "unknown");
  assert_string_equal(qb_objective_name(QB_OBJECTIVE_COST), "cost");
  assert_string_equal(qb_objective_name((qb_objective)99), "unknown");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sentences_have_their_figures),
      cmocka_unit_test(a_slower_node_is_mentioned),
      cmocka_unit_test(refused_samples_are_mentioned),
      cmocka_unit_test(a_short_buffer_is_cut_and_terminated),
      cmocka_unit_test(names_are_different),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
