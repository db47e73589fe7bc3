/* SPDX-License-Identifier: Apache-2.0 */
/* The size of a round by deadlines, where the best one is known without the solution. */
#include "optimize/round_size.h"

#include "optimize/round_reward.h"
#include "support/expect.h"
#include "support/random.h"
#include "support/unit.h"

#include <stdlib.h>

enum { CASES = 300, MOST_BATCH = 16, STATES_EACH = 20 };

static qb_context *context;

typedef struct scene {
  int64_t latency_ns[MOST_BATCH + 1], slow_ns[MOST_BATCH + 1];
  qb__round_problem problem;
  qb__round_policy policy;
  const qb__rate_table *table;
  int64_t left_ns[QB__POLICY_LONGEST];
  uint32_t count;
} scene;

static void make(scene *s, uint64_t *seed, double targets, bool shed, uint32_t instances)
{
  const double once = 1e6 * random_int(seed, 1, 20), each = 1e6 * random_int(seed, 1, 10);
  const uint32_t batch = (uint32_t)random_int(seed, 1, MOST_BATCH);
  s->latency_ns[0] = s->slow_ns[0] = 0;
  for (uint32_t n = 1; n <= batch; n++)
    s->latency_ns[n] = s->slow_ns[n] = (int64_t)(once + each * n);
  s->problem = (qb__round_problem){.instances = instances,
                                   .target_ns = (int64_t)(targets * (double)s->latency_ns[1]),
                                   .latency_ns = s->latency_ns,
                                   .slow_ns = s->slow_ns,
                                   .shed = shed};
  assert_ok(qb__round_policy_init(context, batch, &s->policy));
  assert_ok(qb__round_policy_solve(context, &s->problem, &s->policy));
  s->table = &s->policy.table[random_int(seed, 0, QB__POLICY_RATES - 1)];
}

static int rising(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

/* Samples that can all be in time alone if late ones are given up. */
static void draw_samples(scene *s, uint64_t *seed)
{
  const int64_t least_ns = s->problem.shed ? s->latency_ns[1] : 1 - s->problem.target_ns / 4;
  s->count = (uint32_t)random_int(seed, 1, s->policy.lengths);
  for (uint32_t i = 0; i < s->count; i++)
    s->left_ns[i] =
        least_ns + (int64_t)random_int(seed, 0, (uint64_t)(s->problem.target_ns - least_ns));
  qsort(s->left_ns, s->count, sizeof *s->left_ns, rising);
}

static qb__round_size choose(const scene *s)
{
  const qb__round_queue queue = {.count = s->count,
                                 .known = s->count,
                                 .deadline_ns = s->left_ns,
                                 .room = SIZE_MAX,
                                 .target_ns = s->problem.target_ns};
  const qb__round_size c = qb__round_find_size(&s->policy, s->table, &s->problem, &queue, 0);
  assert_in_range(c.size, 1, s->policy.most);
  assert_true(c.give_up + c.size <= s->count);
  return c;
}

/* What is given up is never a sample that was to run, and what runs is in time or runs in order. */
static void refused_samples_are_never_those_that_run(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = random_cases(CASES); i > 0; i--) {
    scene s;
    make(&s, &seed, 1.2 + 5 * random_unit(&seed), i % 2, 1);
    for (int k = 0; k < STATES_EACH; k++) {
      draw_samples(&s, &seed);
      const qb__round_size c = choose(&s);
      assert_true(s.problem.shed ? s.left_ns[c.give_up] >= s.latency_ns[c.size] : c.give_up == 0);
    }
    qb__round_policy_free(context, &s.policy);
  }
}

/*
 * Requests of another class, who have all the time in the world, are no reason to give up others.
 */
static void patient_requests_are_no_reason_to_refuse_others(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = random_cases(CASES); i > 0; i--) {
    scene s;
    make(&s, &seed, 2.5 + 5 * random_unit(&seed), true, 1);
    const uint32_t most = s.policy.most;
    s.count = 2 * most;
    for (uint32_t k = 0; k < s.count; k++)
      s.left_ns[k] = k < most ? s.latency_ns[most] : k % 2 ? INT64_MAX : 20 * s.problem.target_ns;
    qsort(s.left_ns, s.count, sizeof *s.left_ns, rising);
    assert_int_equal(choose(&s).give_up, 0);
    qb__round_policy_free(context, &s.policy);
  }
}

/*
 * With a target shorter than two rounds nobody survives one: as many as can be run, if that is the
 * last chance of all.
 */
static void the_last_chance_runs_as_many_as_it_can(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = random_cases(CASES); i > 0; i--) {
    scene s;
    make(&s, &seed, 1.2 + 0.79 * random_unit(&seed), true, 1);
    for (int k = 0; k < STATES_EACH; k++) {
      draw_samples(&s, &seed);
      uint32_t most = 1;
      for (uint32_t n = 1; n <= s.count && n <= s.policy.most; n++)
        if (s.left_ns[s.count - n] >= s.latency_ns[n])
          most = n;
      assert_int_equal(choose(&s).size, most);
    }
    qb__round_policy_free(context, &s.policy);
  }
}

/* The samples that have less than need_ns left. */
static uint32_t late_for(const scene *s, int64_t need_ns)
{
  uint32_t late = 0;
  while (late < s->count && s->left_ns[late] < need_ns)
    late++;
  return late;
}

/* By itself; no deadline counts as more than that of a sample that arrives now. */
static double earned(const scene *s, uint32_t lost, uint32_t size)
{
  uint64_t sum_ns[QB__POLICY_LONGEST + 1] = {0};
  for (uint32_t i = 0; i < size; i++) {
    const int64_t left_ns = s->left_ns[lost + i], target_ns = s->problem.target_ns;
    sum_ns[i + 1] = sum_ns[i] + (uint64_t)(left_ns < target_ns ? left_ns : target_ns);
  }
  return qb__round_earned(&s->problem, s->left_ns + lost, sum_ns, 0, size);
}

/* What the solution says of the samples from `first` on, behind a round of its i-th size. */
static double left_behind(const scene *s, uint32_t i, uint32_t first)
{
  const uint32_t size = s->policy.sizes[i];
  const int64_t target_ns = s->problem.target_ns;
  if (s->problem.shed && s->problem.instances == 1) { /* who is late then is given up then */
    const uint32_t late = late_for(s, s->latency_ns[size] + s->latency_ns[1]);
    first = late > first ? late : first;
  }
  if (first == s->count)
    return s->table->value_empty[size];
  const int64_t left_ns = s->left_ns[first] < target_ns ? s->left_ns[first] : target_ns;
  const double age =
      fmin((double)(target_ns - left_ns) / s->policy.age_step_ns, QB__POLICY_AGES - 1.001);
  const uint32_t whole = (uint32_t)age, states = (s->policy.lengths + 1) * QB__POLICY_AGES;
  const float *value =
      s->table->value_left + i * states + (s->count - first) * QB__POLICY_AGES + whole;
  return value[0] + (age - whole) * (value[1] - value[0]);
}

static double value_of(const scene *s, qb__round_size c)
{
  const double own = earned(s, c.give_up, c.size);
  if (c.give_up + c.size == s->count)
    return own + (double)s->table->value_empty[c.size];
  for (uint32_t i = 0; i < s->policy.size_count; i++)
    if (s->policy.sizes[i] == c.size)
      return own + left_behind(s, i, c.give_up + c.size);
  return -INFINITY;
}

/* All of the policy's sizes, and all samples, one after the other. */
static qb__round_size best_of_all(const scene *s)
{
  const bool shed = s->problem.shed;
  qb__round_size best = {0, 1};
  double most = -INFINITY;
  for (uint32_t i = 0; i < s->policy.size_count; i++) {
    const uint32_t size = s->policy.sizes[i];
    const qb__round_size c = {shed ? late_for(s, s->latency_ns[size]) : 0, size};
    if (c.give_up + size < s->count && value_of(s, c) > most) {
      most = value_of(s, c);
      best = c;
    }
  }
  uint32_t size = s->count < s->policy.most ? s->count : s->policy.most;
  while (shed && size > 1 && s->count - late_for(s, s->latency_ns[size]) < size)
    size--;
  const uint32_t lost = s->count - size;
  const bool wasteful = size == s->policy.most && lost > late_for(s, s->latency_ns[size]);
  if (lost && (!shed || wasteful))
    return best;
  const qb__round_size all = {lost, size};
  return value_of(s, all) > most ? all : best;
}

/* Of samples whose times left are whole milliseconds, as those of rounds are: some just make it. */
static void the_size_is_the_best_of_all(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = random_cases(CASES); i > 0; i--) {
    scene s;
    make(&s, &seed, 1.2 + 5 * random_unit(&seed), i % 2, 1 + (uint32_t)i / 2 % 2);
    for (int k = 0; k < STATES_EACH; k++) {
      draw_samples(&s, &seed);
      for (uint32_t j = 0; j < s.count; j++)
        s.left_ns[j] = s.left_ns[j] / 1000000 * 1000000;
      const qb__round_size found = choose(&s), best = best_of_all(&s);
      if (value_of(&s, found) < value_of(&s, best) - 1e-6)
        fail_msg("%u of %u samples behind %u are worth %.9f, and %u behind %u %.9f", found.size,
                 s.count, found.give_up, value_of(&s, found), best.size, best.give_up,
                 value_of(&s, best));
    }
    qb__round_policy_free(context, &s.policy);
  }
}

/*
 * Each sample is late with a chance that falls from 1 with 2 T - S left to 0 with S left, also one
 * of another class, whose deadline lies beyond the target.
 */
static void lateness_is_the_sum_of_each_samples_chance(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = random_cases(CASES) * STATES_EACH; i > 0; i--) {
    const int64_t times_ns[2] = {random_int(&seed, 1, 1000000), random_int(&seed, 1, 300000)};
    const int64_t now_ns = (int64_t)random_int(&seed, 0, 1000000000);
    int64_t latency_ns[MOST_BATCH + 1], slow_ns[MOST_BATCH + 1], deadline_ns[MOST_BATCH];
    uint64_t sum_ns[MOST_BATCH + 1] = {0};
    const uint32_t size = (uint32_t)random_int(&seed, 1, MOST_BATCH);
    latency_ns[size] = times_ns[0];
    slow_ns[size] = times_ns[0] + times_ns[1];
    const qb__round_problem problem = {.target_ns = (int64_t)random_int(&seed, 1, 2000000),
                                       .latency_ns = latency_ns,
                                       .slow_ns = slow_ns};
    for (uint32_t k = 0; k < size; k++)
      deadline_ns[k] = now_ns - 500000 + (int64_t)random_int(&seed, 0, 2500000);
    qsort(deadline_ns, size, sizeof *deadline_ns, rising);
    double expected = 0;
    for (uint32_t k = 0; k < size; k++) {
      const int64_t counted_ns = now_ns + problem.target_ns;
      sum_ns[k + 1] =
          sum_ns[k] + (uint64_t)(deadline_ns[k] < counted_ns ? deadline_ns[k] : counted_ns);
      const double left = (double)(deadline_ns[k] - now_ns - times_ns[0]);
      expected += fmin(1, fmax(0, 0.5 - 0.5 * left / (double)times_ns[1]));
    }
    const double late = qb__expected_late(&problem, deadline_ns, sum_ns, now_ns, size);
    assert_true(fabs(late - expected) < 1e-6);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refused_samples_are_never_those_that_run),
      cmocka_unit_test(patient_requests_are_no_reason_to_refuse_others),
      cmocka_unit_test(the_last_chance_runs_as_many_as_it_can),
      cmocka_unit_test(the_size_is_the_best_of_all),
      cmocka_unit_test(lateness_is_the_sum_of_each_samples_chance)};
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
