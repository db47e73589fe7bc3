/* SPDX-License-Identifier: Apache-2.0 */
/* Tables handed from refreshes to decisions; tests/stress has both at once. */
#include "optimize/optimizer_impl.h"
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/random.h"
#include "support/scripted_profile.h"
#include "support/unit.h"

#include <qosbatch/optimize.h>

#include <math.h>

enum { MAX_BATCH = 4, STEPS = 600 };

static const int64_t TARGET_NS = 30000000;

typedef struct scene {
  qb_context *context;
  qb_profile *profile;
  qb_optimizer *optimizer;
  qb_latency_estimate profiled[MAX_BATCH + 1];
} scene;

/* Rounds of 8 + 2 n ms. */
static scene scene_new(qb_context *context, uint32_t instances)
{
  scene s = {.context = context};
  const qb_configuration configuration = {instances, 1};
  s.profile = scripted_profile(context, &configuration, MAX_BATCH, 8, 2, 1.05);
  for (uint32_t n = 1; n <= MAX_BATCH; n++) {
    s.profiled[n] = (qb_latency_estimate)QB_LATENCY_ESTIMATE_INIT;
    assert_ok(qb_estimate(s.profile, &configuration, n, NULL, &s.profiled[n]));
  }
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  params.configuration = configuration;
  params.max_batch = MAX_BATCH;
  params.rate_per_s = 200;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = TARGET_NS;
  assert_ok(qb_optimizer_new(s.profile, &params, &qos, &s.optimizer));
  return s;
}

static void scene_free(scene *s)
{
  qb_optimizer_free(s->optimizer);
  qb_profile_unref(s->profile);
}

static qb_decision decide(const scene *s, uint32_t queued)
{
  int64_t deadline_ns[MAX_BATCH];
  for (uint32_t i = 0; i < queued; i++)
    deadline_ns[i] = 18000000 + (int64_t)i * 1000000;
  qb_round_state now = QB_ROUND_STATE_INIT;
  now.queued = now.deadline_count = queued;
  now.deadline_ns = deadline_ns;
  qb_decision d = QB_DECISION_INIT;
  assert_ok(qb_optimize(s->optimizer, &now, &d));
  assert_in_range(d.batch, 1, MAX_BATCH);
  return d;
}

static void observe(const scene *s, uint32_t batch, int64_t latency_ns)
{
  qb_round_result result = QB_ROUND_RESULT_INIT;
  result.batch = batch;
  result.latency_ns = latency_ns;
  assert_ok(qb_observe(s->optimizer, &result));
}

/* The slowdown of the tables that a decision was by. What it predicts follows rounds at once. */
static double tables_of(const scene *s, const qb_decision *d)
{
  const qb_latency_estimate *p = &s->profiled[d->batch];
  assert_true(fabs((double)d->latency_ns - d->slowdown * (double)p->latency_ns) <= 4);
  assert_true(d->low_ns <= d->latency_ns && d->latency_ns <= d->high_ns);
  return s->optimizer->tables[s->optimizer->live].slowdown;
}

/* Whatever comes in between, a decision is by the last refresh that was done. */
static void decisions_are_by_the_last_refresh(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  scene s = scene_new(context, 1), alone = scene_new(context, 1);
  double observed = 1, refreshed = 1;
  for (int i = random_cases(STEPS); i > 0; i--) {
    const unsigned what = (unsigned)random_int(&seed, 0, 2);
    if (what == 0) {
      const int64_t taken_ns = (int64_t)((0.7 + random_unit(&seed)) * 16e6);
      for (int k = 0; k < 8; k++) {
        observe(&s, 4, taken_ns);
        observe(&alone, 4, taken_ns);
      }
      observed = decide(&alone, 1).slowdown;
    } else if (what == 1) { /* which no decision may see before the next one */
      assert_ok(qb_optimizer_refresh(s.optimizer));
      refreshed = observed;
    } else {
      const qb_decision d = decide(&s, MAX_BATCH);
      assert_int_not_equal(d.action, QB_ACTION_WAIT);
      assert_true(fabs(tables_of(&s, &d) - refreshed) < 1e-6);
      assert_true(d.slowdown == observed);
    }
  }
  scene_free(&alone);
  scene_free(&s);
  qb_context_unref(context);
}

static double tables_now(const scene *s)
{
  const qb_decision d = decide(s, MAX_BATCH);
  return tables_of(s, &d);
}

static void slow_down(const scene *s, double slowdown)
{
  for (int i = 0; i < 50; i++)
    observe(s, 4, (int64_t)(slowdown * 16e6));
}

/*
 * With memory refused at any point decisions go on by tables that are whole, and later ones
 * succeed.
 */
static void a_refresh_without_memory_leaves_whole_tables(void **state)
{
  const bool is_untaken = *state;
  for (long k = 1;; k++) {
    failing_allocator allocator = {0};
    qb_context *context = failing_allocator_context(&allocator);
    scene s = scene_new(context, 2);
    if (is_untaken) { /* the one that fails takes it back */
      slow_down(&s, 1.2);
      assert_ok(qb_optimizer_refresh(s.optimizer));
    }
    slow_down(&s, 1.5);
    allocator.fail_at = allocator.requests + k;
    const qb_status status = qb_optimizer_refresh(s.optimizer);
    allocator.fail_at = 0;
    const double before = tables_now(&s);
    if (status) {
      assert_int_equal(status, QB_ERROR_NO_MEMORY);
      assert_true(fabs(before - 1) < 1e-6);
      assert_ok(qb_optimizer_refresh(s.optimizer));
    }
    assert_true(fabs(tables_now(&s) - 1.5) < 0.02);
    scene_free(&s);
    qb_context_unref(context);
    assert_int_equal(allocator.live, 0);
    if (!status) {
      assert_true(k > 2);
      return;
    }
  }
}

int main(void)
{
  static bool is_untaken = true;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(decisions_are_by_the_last_refresh),
      cmocka_unit_test(a_refresh_without_memory_leaves_whole_tables),
      {"a_refresh_without_memory_leaves_whole_tables when one before it was not taken",
       a_refresh_without_memory_leaves_whole_tables, NULL, NULL, &is_untaken},
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
