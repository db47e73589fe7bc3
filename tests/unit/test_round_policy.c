/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The solver against a plain one: the process of docs/decision.md with every transition written
 * out, twice the lengths and, with all answered, twice the ages, and value iteration on its
 * transformation into one of equal steps (P. J. Schweitzer, "Iterative solution of the functional
 * equations of undiscounted Markov renewal programming", J. Math. Anal. Appl. 34, 1971).
 */
#include "optimize/round_policy.h"
#include "support/expect.h"
#include "support/random.h"
#include "support/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Up to 4 the solver looks at every size. */
enum { MOST_BATCH = 4, ACTIONS = MOST_BATCH + 1, MOST_TARGETS = 1024 };

static qb_context *context;

/* What an action leads to: 0 waits, r runs r. */
typedef struct action {
  bool possible;
  double reward, time_s;
  uint32_t count;
  uint32_t *next;
  double *probability;
} action;

typedef struct plain {
  const qb__round_problem *problem;
  double rate_per_s, step_s, target_s;
  uint32_t batch, lengths, ages;
  action (*actions)[ACTIONS]; /* [length * ages + age] */
  double *value, *next;
} plain;

static void lead_to(action *a, uint32_t state, double probability)
{
  if (probability <= 0)
    return;
  assert_true(a->count < MOST_TARGETS);
  a->next[a->count] = state;
  a->probability[a->count++] = probability;
}

/* To n samples whose oldest has this age in steps, both between those that there are. */
static void lead_between(const plain *p, action *a, double n, double age, double probability)
{
  const double last = p->ages - 1;
  if (age > last) {
    if (p->problem->shed)
      n *= last / age;
    age = last;
  }
  n = fmin(n, p->lengths);
  const uint32_t n0 = (uint32_t)n, n1 = n0 < p->lengths ? n0 + 1 : n0;
  const uint32_t a0 = (uint32_t)age, a1 = a0 + 1 < p->ages ? a0 + 1 : a0;
  const double fn = n - n0, fa = age - a0;
  lead_to(a, n0 * p->ages + a0, probability * (1 - fn) * (1 - fa));
  lead_to(a, n0 * p->ages + a1, probability * (1 - fn) * fa);
  lead_to(a, n1 * p->ages + a0, probability * fn * (1 - fa));
  lead_to(a, n1 * p->ages + a1, probability * fn * fa);
}

static double poisson(double mean, uint32_t k)
{
  return exp(k * log(mean) - mean - lgamma(k + 1.0));
}

static double seconds(int64_t ns)
{
  return 1e-9 * (double)ns;
}

/* Of n samples with ages spread evenly, those that a round of `size` is too late for. */
static uint32_t late_for(const plain *p, uint32_t n, double age_s, uint32_t size)
{
  uint32_t late = 0;
  while (late < n && age_s * (1 - (double)late / n) + seconds(p->problem->latency_ns[size]) >
                         p->target_s * (1 + 1e-9))
    late++;
  return late;
}

static void fill_run(const plain *p, uint32_t n, uint32_t age, uint32_t size, action *a)
{
  const double age_s = age * p->step_s, round_s = seconds(p->problem->latency_ns[size]);
  const uint32_t late = late_for(p, n, age_s, size), lost = p->problem->shed ? late : 0;
  a->possible = size + lost <= n;
  if (!a->possible)
    return;
  a->time_s = round_s / p->problem->instances;
  for (uint32_t i = lost; i < lost + size; i++) /* in the middle between it and the next one */
    a->reward += (i >= late) - 0.1 * (age_s * (1 - (double)i / n) + round_s) / p->target_s;
  const uint32_t left = n - lost - size;
  const double slot = a->time_s / p->step_s, mean = p->rate_per_s * a->time_s;
  for (uint32_t k = 0; k < mean + 8 * sqrt(mean) + 8; k++) {
    const double oldest = left ? (double)age * left / n + slot : slot * k / (k + 1);
    lead_between(p, a, left + k, oldest, poisson(mean, k));
  }
}

static void fill_wait(const plain *p, uint32_t n, uint32_t age, action *a)
{
  a->possible = age + 1 < p->ages;
  a->time_s = p->step_s;
  const double mean = p->rate_per_s * a->time_s;
  for (uint32_t k = 0; a->possible && k < mean + 8 * sqrt(mean) + 8; k++)
    lead_between(p, a, n + k, age + 1, poisson(mean, k));
}

static void fill_action(const plain *p, uint32_t n, uint32_t age, uint32_t size)
{
  static uint32_t next[MOST_TARGETS];
  static double probability[MOST_TARGETS];
  action *a = &p->actions[n * p->ages + age][size];
  *a = (action){.next = next, .probability = probability};
  if (!n) { /* the next arrival */
    a->possible = size == 0;
    a->time_s = 1 / p->rate_per_s;
    lead_to(a, p->ages, 1);
  } else if (size) {
    fill_run(p, n, age, size, a);
  } else {
    fill_wait(p, n, age, a);
  }
  double sum = 0;
  for (uint32_t i = 0; i < a->count; i++)
    sum += probability[i];
  a->next = calloc(a->count + 1, sizeof *a->next);
  a->probability = calloc(a->count + 1, sizeof *a->probability);
  assert_true(a->next && a->probability);
  memcpy(a->next, next, a->count * sizeof *next);
  for (uint32_t i = 0; i < a->count; i++)
    a->probability[i] = probability[i] / sum;
}

static plain make_plain(const qb__round_problem *problem, const qb__round_policy *policy,
                        double rate_per_s)
{
  plain p = {.problem = problem,
             .rate_per_s = rate_per_s,
             .step_s = policy->age_step_ns * 1e-9,
             .target_s = seconds(problem->target_ns),
             .batch = policy->most,
             .lengths = 2 * policy->lengths,
             .ages = problem->shed ? QB__POLICY_AGES : 2 * QB__POLICY_AGES};
  const size_t states = (size_t)(p.lengths + 1) * p.ages;
  p.actions = calloc(states, sizeof *p.actions);
  p.value = calloc(states, sizeof *p.value);
  p.next = calloc(states, sizeof *p.next);
  assert_true(p.actions && p.value && p.next);
  for (uint32_t n = 0; n <= p.lengths; n++)
    for (uint32_t age = 0; age < p.ages; age++)
      for (uint32_t size = 0; size <= p.batch; size++)
        fill_action(&p, n, age, size);
  return p;
}

static void free_plain(plain *p)
{
  for (size_t i = 0; i < (size_t)(p->lengths + 1) * p->ages; i++)
    for (uint32_t k = 0; k <= p->batch; k++) {
      free(p->actions[i][k].next);
      free(p->actions[i][k].probability);
    }
  free(p->actions);
  free(p->value);
  free(p->next);
}

/* The action of a solved table; for states beyond it that of its last ones. */
static uint32_t solved_action(const plain *p, const qb__round_policy *policy,
                              const qb__rate_table *table, uint32_t n, uint32_t age)
{
  if (!n)
    return 0;
  const uint32_t known = age < QB__POLICY_AGES ? age : QB__POLICY_AGES - 1;
  uint32_t size = qb__round_policy_at(policy, table, n, known);
  if (size == QB__POLICY_ALL || size > p->batch)
    size = p->batch;
  while (size > 1 && !p->actions[n * p->ages + age][size].possible)
    size--;
  return size;
}

/* What the best rule earns per second in the long run, or a solved table's. */
static double gain_per_s(plain *p, const qb__round_policy *policy, const qb__rate_table *table)
{
  double least_s = 1 / p->rate_per_s;
  least_s =
      fmin(least_s, fmin(p->step_s, seconds(p->problem->latency_ns[1]) / p->problem->instances));
  const double unit_s = 0.99 * least_s;
  double low = 0, high = 1;
  for (int i = 0; i < 20000 && high - low > 1e-4 * fabs(high); i++) {
    low = INFINITY;
    high = -INFINITY;
    for (uint32_t s = 0; s < (p->lengths + 1) * p->ages; s++) {
      double best = -INFINITY;
      const uint32_t only =
          table ? solved_action(p, policy, table, s / p->ages, s % p->ages) : UINT32_MAX;
      for (uint32_t k = 0; k <= p->batch; k++) {
        const action *a = &p->actions[s][k];
        if (!a->possible || (table && k != only))
          continue;
        double expected = 0;
        for (uint32_t t = 0; t < a->count; t++)
          expected += a->probability[t] * p->value[a->next[t]];
        best = fmax(best, (a->reward + expected - p->value[s]) / a->time_s);
      }
      low = fmin(low, best);
      high = fmax(high, best);
      p->next[s] = p->value[s] + unit_s * best;
    }
    for (uint32_t s = 0; s < (p->lengths + 1) * p->ages; s++)
      p->value[s] = p->next[s] - p->next[p->ages];
  }
  return 0.5 * (low + high);
}

/* As a refresh does it: solved for a node that is faster or slower first. */
static void solve_for_other_times(const qb__round_problem *problem, uint32_t batch, double factor,
                                  qb__round_policy *policy)
{
  int64_t latency_ns[MOST_BATCH + 1] = {0}, slow_ns[MOST_BATCH + 1] = {0};
  for (uint32_t n = 1; n <= batch; n++) {
    latency_ns[n] = (int64_t)(factor * (double)problem->latency_ns[n]);
    slow_ns[n] = (int64_t)(factor * (double)problem->slow_ns[n]);
  }
  qb__round_problem other = *problem;
  other.latency_ns = latency_ns;
  other.slow_ns = slow_ns;
  assert_ok(qb__round_policy_solve(context, &other, policy));
}

static void check_case(uint64_t *seed, bool shed, bool refreshed)
{
  int64_t latency_ns[MOST_BATCH + 1] = {0}, slow_ns[MOST_BATCH + 1] = {0};
  const double once = 1e6 * random_int(seed, 1, 20), each = 1e6 * random_int(seed, 1, 10);
  const uint32_t batch = (uint32_t)random_int(seed, 1, MOST_BATCH);
  for (uint32_t n = 1; n <= batch; n++) {
    latency_ns[n] = (int64_t)(once + each * n);
    slow_ns[n] = (int64_t)(1.03 * (once + each * n));
  }
  const qb__round_problem problem = {
      .instances = (uint32_t)random_int(seed, 1, 2),
      .target_ns = (int64_t)((1.5 + 3 * random_unit(seed)) * (double)latency_ns[1]),
      .latency_ns = latency_ns,
      .slow_ns = slow_ns,
      .shed = shed};
  qb__round_policy policy;
  assert_ok(qb__round_policy_init(context, batch, &policy));
  const double factor = 0.7 + 0.6 * random_unit(seed);
  if (refreshed)
    solve_for_other_times(&problem, batch, factor, &policy);
  assert_ok(qb__round_policy_solve(context, &problem, &policy));
  const qb__rate_table *table = &policy.table[random_int(seed, 0, 3)];
  plain p = make_plain(&problem, &policy, table->rate_per_s);
  const double best = gain_per_s(&p, NULL, NULL), theirs = gain_per_s(&p, &policy, table);
  print_message("%s %u x %.0f + %.0f n ms, up to %u, target %.1f ms, %.1f/s: best %.3f/s, solved "
                "%.3f/s%s, which earns %.3f/s\n",
                shed ? "shed" : "keep", problem.instances, once * 1e-6, each * 1e-6, batch,
                (double)problem.target_ns * 1e-6, table->rate_per_s, best, table->gain_per_s,
                refreshed ? " again" : "", theirs);
  /* With all answered, ages beyond 1.5 targets are taken as that: it expects more than it earns. */
  const double size = fabs(best); /* late answers earn less than nothing */
  assert_true(table->gain_per_s > best - 0.02 * size);
  assert_true(!shed || table->gain_per_s < best + 0.01 * size);
  assert_true(theirs > best - 0.01 * size);
  free_plain(&p);
  qb__round_policy_free(context, &policy);
}

/* The rates, and the queues and ages that are told apart, as docs/decision.md has them. */
static void tables_reach_as_far_as_is_promised(void **state)
{
  (void)state;
  const int64_t latency_ns[] = {0, 10000000, 12000000, 14000000, 16000000};
  for (int i = 0; i < 4; i++) {
    const bool shed = i % 2, is_short = i / 2;
    const qb__round_problem problem = {.instances = 1,
                                       .target_ns = is_short ? 16000000 : 60000000,
                                       .latency_ns = latency_ns,
                                       .slow_ns = latency_ns,
                                       .shed = shed};
    const double capacity_per_s = 4 / 0.016, target_ns = (double)problem.target_ns;
    const double oldest_ns = shed ? target_ns - 10e6 : 1.5 * target_ns;
    qb__round_policy policy;
    assert_ok(qb__round_policy_init(context, 4, &policy));
    assert_ok(qb__round_policy_solve(context, &problem, &policy));
    for (int r = 1; r < QB__POLICY_RATES; r++)
      assert_true(policy.table[r].rate_per_s > policy.table[r - 1].rate_per_s);
    const double highest = (shed ? 1.5 : 0.95) * capacity_per_s;
    assert_true(fabs(policy.table[0].rate_per_s / (0.1 * capacity_per_s) - 1) < 1e-9);
    assert_true(fabs(policy.table[QB__POLICY_RATES - 1].rate_per_s / highest - 1) < 1e-9);
    assert_true(fabs(policy.age_step_ns * (QB__POLICY_AGES - 1) / oldest_ns - 1) < 1e-9);
    assert_int_equal(policy.lengths, is_short ? 2 * 4 + 2 : (int)(1.5 * capacity_per_s * 0.06) + 2);
    qb__round_policy_free(context, &policy);
  }
}

static void policies_are_those_of_plain_value_iteration(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  const int cases = random_cases(8);
  for (int i = 0; i < cases; i++)
    check_case(&seed, i % 2, i / 2 % 2);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tables_reach_as_far_as_is_promised),
      cmocka_unit_test(policies_are_those_of_plain_value_iteration),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
