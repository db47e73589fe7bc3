/* SPDX-License-Identifier: Apache-2.0 */
/* The decision before a round against what docs/decision.md says of it, evaluated from scratch. */
#include "profile/profile_impl.h"

#include "support/expect.h"
#include "support/random.h"
#include "support/random_profile.h"
#include "support/scripted_profile.h"
#include "support/unit.h"

#include <qosbatch/inspect.h>
#include <qosbatch/optimize.h>

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

enum { STATES = 10, MAX_BATCH = 10 };

static qb_context *context;
static size_t allocations;

static void *counting_allocate(void *user, size_t bytes, size_t alignment)
{
  (void)user;
  allocations++;
  void *memory;
  return posix_memalign(&memory, alignment < 16 ? 16 : alignment, bytes) ? NULL : memory;
}

static void counting_release(void *user, void *memory)
{
  (void)user;
  free(memory);
}

typedef struct times {
  double latency_ns[MAX_BATCH + 1];
  int64_t high_ns[MAX_BATCH + 1];
  uint32_t batch;
} times;

static times read_times(const qb_profile *profile, const qb_optimizer_params *params)
{
  times t = {.batch = params->max_batch};
  for (uint32_t n = 1; n <= params->max_batch; n++) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    assert_ok(qb_estimate(profile, &params->configuration, n, NULL, &e));
    t.latency_ns[n] = (double)e.latency_ns;
    /* Counted with: the slower of the interval's end and a slow single round. */
    t.high_ns[n] = e.high_ns > e.p95_ns ? e.high_ns : e.p95_ns;
    if (t.high_ns[n] < t.high_ns[n - 1])
      t.high_ns[n] = t.high_ns[n - 1];
  }
  return t;
}

/*
 * The least sum of completion times over every way to split n samples, and the largest first round.
 */
static double least_sum(const times *t, uint32_t n, double elapsed_ns, uint32_t *first)
{
  if (!n)
    return 0;
  double least = INFINITY;
  for (uint32_t r = n; r >= 1; r--) {
    uint32_t ignored;
    const double done_ns = elapsed_ns + t->latency_ns[r];
    const double sum = r * done_ns + least_sum(t, n - r, done_ns, &ignored);
    if (sum < least * (1 - 1e-12)) {
      least = sum;
      *first = r;
    }
  }
  return least;
}

static qb_optimizer_params random_params(const qb_profile *profile, uint64_t *seed,
                                         int64_t target_ns)
{
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  assert_ok(qb_profile_get_info(profile, &info));
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  assert_ok(qb_profile_get_point(profile, (uint32_t)random_int(seed, 0, info.points - 1), &p));
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  params.configuration = p.configuration;
  params.max_batch = p.batch;
  params.max_wait_ns =
      random_int(seed, 0, 1) ? 0 : (int64_t)(random_unit(seed) * (double)target_ns);
  return params;
}

static int64_t age_of(const qb_round_state *state)
{
  return state->now_ns - state->oldest_arrival_ns;
}

/* With a target the rule is looked up; whatever it says, no promise is broken by waiting. */
static void check_promise(const times *t, int64_t left, const qb_round_state *state,
                          const qb_decision *d)
{
  const uint32_t at_hand = state->queued < t->batch ? state->queued : t->batch;
  if (d->action == QB_ACTION_WAIT) {
    const uint32_t next = at_hand < t->batch ? at_hand + 1 : at_hand;
    assert_true(d->max_wait_ns > 0 && d->max_wait_ns + t->high_ns[next] <= left);
    return;
  }
  assert_int_equal(d->action, t->high_ns[1] > left ? QB_ACTION_INFEASIBLE : QB_ACTION_RUN);
  assert_int_equal(d->reason, t->high_ns[d->batch] > left ? QB_REASON_LATE : QB_REASON_THROUGHPUT);
  assert_true(d->batch >= 1 && d->batch <= at_hand);
  assert_int_equal(d->oldest_latency_ns, age_of(state) + d->latency_ns);
}

/* Without a target: the best split, after the plan's wait. */
static void check_split(const times *t, const qb_optimizer_params *params,
                        const qb_round_state *state, const qb_decision *d, uint32_t best)
{
  const int64_t age = age_of(state);
  const int64_t wait = state->queued < t->batch ? params->max_wait_ns - age : 0;
  if (wait > 0) {
    assert_int_equal(d->action, QB_ACTION_WAIT);
    assert_int_equal(d->max_wait_ns, wait);
    return;
  }
  assert_int_equal(d->action, QB_ACTION_RUN);
  assert_int_equal(d->batch, best);
  assert_true(d->reason == QB_REASON_FILL || d->reason == QB_REASON_THROUGHPUT);
  assert_int_equal(d->oldest_latency_ns, age + d->latency_ns);
}

static void check(const times *t, const qb_optimizer_params *params, int64_t target_ns,
                  const qb_round_state *state, const qb_decision *d, uint32_t best)
{
  const int64_t left = target_ns ? target_ns - age_of(state) : INT64_MAX;
  assert_int_equal(d->give_up, 0); /* nobody asked for that */
  if (!state->queued || !state->free_instances) {
    assert_int_equal(d->action, QB_ACTION_WAIT);
    assert_int_equal(d->reason, QB_REASON_NONE);
    assert_int_equal(d->max_wait_ns, 0);
  } else if (target_ns && t->latency_ns[1] > (double)target_ns) { /* nothing to solve */
    assert_int_equal(d->action, QB_ACTION_INFEASIBLE);
    assert_int_equal(d->batch, best);
  } else if (target_ns) {
    check_promise(t, left, state, d);
  } else {
    check_split(t, params, state, d, best);
  }
}

static void decisions_keep_their_promises(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  const int profiles = random_cases(200);
  size_t during = 0;
  for (int i = 0; i < profiles; i++) {
    qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
    qb_qos qos = QB_QOS_INIT;
    qos.latency_ns = random_int(&seed, 0, 3) ? (int64_t)random_int(&seed, 1000000, 200000000) : 0;
    const qb_optimizer_params params = random_params(profile, &seed, qos.latency_ns);
    const times t = read_times(profile, &params);
    uint32_t best[MAX_BATCH + 1] = {0};
    for (uint32_t n = 1; n <= (t.batch < 8 ? t.batch : 8); n++)
      (void)least_sum(&t, n, 0, &best[n]);
    qb_optimizer *optimizer;
    assert_ok(qb_optimizer_new(profile, &params, &qos, &optimizer));
    for (int s = 0; s < STATES; s++) {
      qb_round_state now = QB_ROUND_STATE_INIT;
      now.queued = (uint32_t)random_int(&seed, 0, 8);
      now.free_instances = (uint32_t)random_int(&seed, 0, 4) > 0;
      now.now_ns = (int64_t)random_int(&seed, 0, INT64_MAX / 2);
      now.oldest_arrival_ns = now.now_ns - (int64_t)random_int(&seed, 0, 250000000);
      if (now.queued >= t.batch && t.batch > 8)
        continue;
      qb_decision d = QB_DECISION_INIT;
      const size_t before = allocations;
      assert_ok(qb_optimize(optimizer, &now, &d));
      during += allocations - before;
      check(&t, &params, qos.latency_ns, &now, &d,
            best[now.queued < t.batch ? now.queued : t.batch]);
    }
    qb_optimizer_free(optimizer);
    qb_profile_unref(profile);
  }
  print_message("%d profiles, %d states each, %zu allocations in decisions\n", profiles, STATES,
                during);
  assert_int_equal(during, 0);
}

/* Where late samples are given up, those that run are in time, by ages that are spread evenly. */
static void without_deadlines_what_runs_is_in_time(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = random_cases(100); i > 0; i--) {
    qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
    qb_qos qos = QB_QOS_INIT;
    qos.latency_ns = (int64_t)random_int(&seed, 20000000, 200000000);
    qos.shed = true;
    const qb_optimizer_params params = random_params(profile, &seed, qos.latency_ns);
    const times t = read_times(profile, &params);
    qb_optimizer *optimizer;
    assert_ok(qb_optimizer_new(profile, &params, &qos, &optimizer));
    for (int s = 0; s < STATES; s++) {
      qb_round_state now = QB_ROUND_STATE_INIT;
      now.queued = (uint32_t)random_int(&seed, 1, 4 * MAX_BATCH);
      now.now_ns = qos.latency_ns;
      now.oldest_arrival_ns = (int64_t)random_int(&seed, 0, (uint64_t)qos.latency_ns);
      qb_decision d = QB_DECISION_INIT;
      assert_ok(qb_optimize(optimizer, &now, &d));
      if (d.action != QB_ACTION_RUN)
        continue;
      assert_true(d.batch >= 1 && d.batch + d.give_up <= now.queued);
      const double part = 1 - (double)d.give_up / now.queued;
      assert_true((double)qos.latency_ns - part * (double)age_of(&now) >=
                  t.latency_ns[d.batch] - 1);
    }
    qb_optimizer_free(optimizer);
    qb_profile_unref(profile);
  }
}

/* An optimizer on rounds of 8 + 2 n ms, up to 8, with a target of 40 ms. */
static qb_optimizer *scripted_optimizer(qb_profile **profile, bool shed)
{
  const qb_configuration one = {1, 1};
  *profile = scripted_profile(context, &one, MAX_BATCH, 8, 2, 1.05);
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  params.configuration = one;
  params.max_batch = 8;
  params.rate_per_s = 100;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 40000000;
  qos.shed = shed;
  qb_optimizer *optimizer;
  assert_ok(qb_optimizer_new(*profile, &params, &qos, &optimizer));
  return optimizer;
}

/* Giving up follows the times left: those who cannot be in time, and who make others late. */
static void samples_that_would_be_late_are_refused(void **state)
{
  (void)state;
  qb_profile *profile;
  qb_optimizer *optimizer = scripted_optimizer(&profile, true);
  const int64_t lost[] = {-1, 5000000, 9999999};
  qb_round_state now = QB_ROUND_STATE_INIT;
  qb_decision d = QB_DECISION_INIT;
  now.queued = now.deadline_count = 3;
  now.deadline_ns = lost;
  assert_ok(qb_optimize(optimizer, &now, &d));
  assert_int_equal(d.action, QB_ACTION_INFEASIBLE);
  assert_int_equal(d.give_up, 3);
  /* The first of seven has 11 ms left: alone it would be in time, and the others wait for it. */
  const int64_t left[] = {11000000, 23000000, 23000000, 23000000, 23000000, 23000000, 23000000};
  now.queued = now.deadline_count = 7;
  now.deadline_ns = left;
  assert_ok(qb_optimize(optimizer, &now, &d));
  assert_int_equal(d.action, QB_ACTION_RUN);
  assert_int_equal(d.give_up, 1);
  assert_int_equal(d.batch, 6);
  qb_optimizer_free(optimizer);
  /* Without shedding it is answered, too, and the others are not made late for it. */
  qb_profile_unref(profile);
  optimizer = scripted_optimizer(&profile, false);
  assert_ok(qb_optimize(optimizer, &now, &d));
  assert_int_equal(d.action, QB_ACTION_RUN);
  assert_int_equal(d.reason, QB_REASON_LATE);
  assert_int_equal(d.give_up, 0);
  assert_int_equal(d.batch, 7);
  qb_optimizer_free(optimizer);
  qb_profile_unref(profile);
}

/* A request with a target of its own is not made to wait beyond it. */
static void a_deadline_of_its_own_is_waited_for_no_longer(void **state)
{
  (void)state;
  qb_profile *profile;
  qb_optimizer *optimizer = scripted_optimizer(&profile, false);
  for (int64_t urgent = 1000000; urgent <= 40000000; urgent += 500000) {
    const int64_t left[] = {urgent, 200000000};
    qb_round_state now = QB_ROUND_STATE_INIT;
    qb_decision d = QB_DECISION_INIT;
    now.queued = now.deadline_count = 2;
    now.deadline_ns = left;
    assert_ok(qb_optimize(optimizer, &now, &d));
    if (d.action == QB_ACTION_WAIT)
      assert_true(d.max_wait_ns + 14000000 <= urgent);
    else
      assert_int_equal(d.action, urgent < 10500000 ? QB_ACTION_INFEASIBLE : QB_ACTION_RUN);
  }
  qb_optimizer_free(optimizer);
  qb_profile_unref(profile);
}

/*
 * Rounds of 1..8 samples on a node that takes `slowdown` as long as profiled, +-5 % uniformly; the
 * optimizer is refreshed when it asks. Returns the mean error of its predictions as percent, and
 * counts the times it asked.
 */
static double serve(qb_optimizer *optimizer, int rounds, double slowdown, uint64_t *seed,
                    int *refreshes, double *told)
{
  double sum = 0;
  for (int i = 0; i < rounds; i++) {
    qb_round_state now = QB_ROUND_STATE_INIT;
    qb_decision d = QB_DECISION_INIT;
    now.queued = (uint32_t)random_int(seed, 1, 8);
    assert_ok(qb_optimize(optimizer, &now, &d));
    if (d.refresh_due) {
      ++*refreshes;
      assert_ok(qb_optimizer_refresh(optimizer));
      assert_ok(qb_optimize(optimizer, &now, &d));
      assert_false(d.refresh_due);
    }
    const double truth_ns = slowdown * (8e6 + 2e6 * d.batch);
    sum += fabs((double)d.latency_ns / truth_ns - 1);
    *told = d.slowdown;
    const qb_round_result result = {sizeof result, d.batch,
                                    (int64_t)(truth_ns * (0.95 + 0.1 * random_unit(seed)))};
    const size_t before = allocations;
    assert_ok(qb_observe(optimizer, &result));
    assert_int_equal(allocations, before);
  }
  return 100 * sum / rounds;
}

/*
 * Noise is no change; a node that becomes 1.5 times slower, and recovers, is predicted within 5 % on
 * average from the tenth round on, at every batch size.
 */
static void a_slower_node_is_learnt_and_forgotten(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  double told = 0;
  int refreshes = 0;
  for (int run = random_cases(20); run > 0; run--) {
    qb_profile *profile;
    const qb_configuration one = {1, 1};
    profile = scripted_profile(context, &one, MAX_BATCH, 8, 2, 1.05);
    qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
    params.configuration = one;
    params.max_batch = 8;
    qb_optimizer *optimizer;
    assert_ok(qb_optimizer_new(profile, &params, NULL, &optimizer));
    refreshes = 0;
    (void)serve(optimizer, 10000, 1, &seed, &refreshes, &told);
    assert_int_equal(refreshes, 0);
    assert_true(fabs(told - 1) < 0.02);
    for (int phase = 0; phase < 4; phase++) {
      const double slowdown = phase % 2 ? 1 : 1.5;
      (void)serve(optimizer, 10, slowdown, &seed, &refreshes, &told);
      assert_true(refreshes > phase);
      assert_true(serve(optimizer, 30, slowdown, &seed, &refreshes, &told) < 5);
      assert_true(fabs(told / slowdown - 1) < 0.05);
    }
    assert_true(refreshes <= 8);
    qb_optimizer_free(optimizer);
    qb_profile_unref(profile);
  }
}

/* One round that was interrupted says nothing of the node. */
static void one_interrupted_round_changes_nothing(void **state)
{
  (void)state;
  qb_profile *profile;
  qb_optimizer *optimizer = scripted_optimizer(&profile, false);
  qb_round_result result = {sizeof result, 4, 160000000};
  assert_ok(qb_observe(optimizer, &result));
  result.latency_ns = 16000000;
  for (int i = 0; i < 40; i++)
    assert_ok(qb_observe(optimizer, &result));
  qb_round_state now = QB_ROUND_STATE_INIT;
  qb_decision d = QB_DECISION_INIT;
  assert_ok(qb_optimize(optimizer, &now, &d));
  assert_false(d.refresh_due);
  assert_true(fabs(d.slowdown - 1) < 0.02);
  qb_optimizer_free(optimizer);
  qb_profile_unref(profile);
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  uint64_t seed = 11;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  const qb_optimizer_params params = random_params(profile, &seed, 0);
  qb_optimizer *optimizer = NULL;
  assert_status(qb_optimizer_new(NULL, &params, NULL, &optimizer), QB_ERROR_INVALID_ARGUMENT);
  qb_optimizer_params wrong = params;
  wrong.max_batch = 0;
  assert_status(qb_optimizer_new(profile, &wrong, NULL, &optimizer), QB_ERROR_INVALID_ARGUMENT);
  wrong.max_batch = QB_MAX_BATCH + 1;
  assert_status(qb_optimizer_new(profile, &wrong, NULL, &optimizer), QB_ERROR_INVALID_ARGUMENT);
  wrong = params;
  wrong.max_wait_ns = -1;
  assert_status(qb_optimizer_new(profile, &wrong, NULL, &optimizer), QB_ERROR_INVALID_ARGUMENT);
  wrong = params;
  wrong.rate_per_s = NAN;
  assert_status(qb_optimizer_new(profile, &wrong, NULL, &optimizer), QB_ERROR_INVALID_ARGUMENT);
  wrong = params;
  wrong.network = 2;
  profile->info.network = 1;
  assert_status(qb_optimizer_new(profile, &wrong, NULL, &optimizer), QB_ERROR_MISMATCH);
  assert_null(optimizer);
  qb_optimizer_params largest = params;
  largest.max_batch = QB_MAX_BATCH;
  assert_ok(qb_optimizer_new(profile, &largest, NULL, &optimizer));
  qb_optimizer_free(optimizer);
  assert_ok(qb_optimizer_new(profile, &params, NULL, &optimizer));
  qb_round_result result = QB_ROUND_RESULT_INIT;
  assert_status(qb_observe(optimizer, &result), QB_ERROR_INVALID_ARGUMENT);
  result.batch = 1;
  assert_status(qb_observe(optimizer, &result), QB_ERROR_INVALID_ARGUMENT);
  qb_optimizer_free(optimizer);
  qb_profile_unref(profile);
}

static void refuse_state(qb_optimizer *optimizer, const qb_round_state *now)
{
  qb_decision d = QB_DECISION_INIT;
  d.batch = 77;
  assert_status(qb_optimize(optimizer, now, &d), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(d.batch, 77);
}

static void a_state_that_cannot_be_is_refused(void **state)
{
  (void)state;
  qb_profile *profile;
  qb_optimizer *optimizer = scripted_optimizer(&profile, false);
  const int64_t deadlines[4] = {0};
  qb_round_state good = QB_ROUND_STATE_INIT;
  qb_decision d = QB_DECISION_INIT;
  good.queued = good.deadline_count = good.deadline_room = 4;
  good.deadline_ns = deadlines;
  good.deadline_first = 3;
  assert_ok(qb_optimize(optimizer, &good, &d));
  qb_round_state bad = good;
  bad.deadline_count = 5;
  refuse_state(optimizer, &bad);
  bad = good;
  bad.deadline_ns = NULL;
  refuse_state(optimizer, &bad);
  bad = good;
  bad.deadline_first = 4;
  refuse_state(optimizer, &bad);
  bad = good;
  bad.deadline_room = 3;
  refuse_state(optimizer, &bad);
  bad = good;
  bad.deadline_count = 0;
  bad.oldest_arrival_ns = 1;
  refuse_state(optimizer, &bad);
  d.size = 1;
  assert_status(qb_optimize(optimizer, &good, &d), QB_ERROR_INVALID_ARGUMENT);
  qb_optimizer_free(optimizer);
  qb_profile_unref(profile);
}

/* Member by member where there is padding between them. */
static void assert_same_decision(const qb_decision *a, const qb_decision *b)
{
  assert_int_equal(a->action, b->action);
  assert_int_equal(a->reason, b->reason);
  assert_int_equal(a->batch, b->batch);
  assert_int_equal(a->refresh_due, b->refresh_due);
  assert_memory_equal(&a->max_wait_ns, &b->max_wait_ns,
                      offsetof(qb_decision, give_up) - offsetof(qb_decision, max_wait_ns));
  assert_int_equal(a->give_up, b->give_up);
  assert_true(a->slowdown == b->slowdown);
}

/* Deadlines around the end of a ring, at any time of the clock, are those of an array. */
static void a_ring_of_deadlines_is_read_like_an_array(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  enum { ROOM = 16 };
  for (int i = random_cases(400); i > 0; i--) {
    qb_profile *profile;
    qb_optimizer *optimizer = scripted_optimizer(&profile, i % 2);
    int64_t array[ROOM], ring[ROOM] = {0};
    qb_round_state now = QB_ROUND_STATE_INIT;
    now.queued = now.deadline_count = (uint32_t)random_int(&seed, 1, ROOM);
    array[0] = (int64_t)random_int(&seed, 0, 40000000);
    for (uint32_t k = 1; k < now.queued; k++)
      array[k] = array[k - 1] + (int64_t)random_int(&seed, 0, 6000000);
    now.deadline_ns = array;
    qb_decision flat = QB_DECISION_INIT, wrapped = QB_DECISION_INIT;
    assert_ok(qb_optimize(optimizer, &now, &flat));
    now.deadline_ns = ring;
    now.deadline_room = ROOM;
    now.deadline_first = (uint32_t)random_int(&seed, 0, ROOM - 1);
    now.now_ns = (int64_t)random_int(&seed, 0, INT64_MAX / 2) - INT64_MAX / 4;
    for (uint32_t k = 0; k < now.queued; k++)
      ring[(now.deadline_first + k) % ROOM] = now.now_ns + array[k];
    assert_ok(qb_optimize(optimizer, &now, &wrapped));
    assert_same_decision(&flat, &wrapped);
    qb_optimizer_free(optimizer);
    qb_profile_unref(profile);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(decisions_keep_their_promises),
      cmocka_unit_test(without_deadlines_what_runs_is_in_time),
      cmocka_unit_test(samples_that_would_be_late_are_refused),
      cmocka_unit_test(a_deadline_of_its_own_is_waited_for_no_longer),
      cmocka_unit_test(a_slower_node_is_learnt_and_forgotten),
      cmocka_unit_test(one_interrupted_round_changes_nothing),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(a_state_that_cannot_be_is_refused),
      cmocka_unit_test(a_ring_of_deadlines_is_read_like_an_array),
  };
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.allocate = counting_allocate;
  params.release = counting_release;
  if (qb_context_new(&params, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
