/* SPDX-License-Identifier: Apache-2.0 */
/* The search for the rules of several instances, against every plain rule on arrivals of its own. */
#include "optimize/round_search.h"

#include "optimize/round_decide.h"
#include "support/expect.h"
#include "support/random.h"
#include "support/unit.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_BATCH = 8, LONGEST_WAIT = 12, MOST_INSTANCES = 3, SAMPLES = 6000 };

static qb_context *context;

typedef struct scene {
  qb__round_tables tables;
  uint32_t first[MOST_BATCH + 1];
  int64_t arrived_ns[SAMPLES + 1], deadline_ns[SAMPLES];
  qb__rate_table plain; /* a rule that is tried */
} scene;

static void make(scene *s, uint64_t *seed, bool shed)
{
  qb__round_tables *t = &s->tables;
  const double once = 1e6 * random_int(seed, 5, 20), each = 1e6 * random_int(seed, 1, 5);
  assert_ok(qb__round_tables_init(context, MOST_BATCH, t));
  for (uint32_t n = 1; n <= MOST_BATCH; n++) {
    t->latency_ns[n] = t->slow_ns[n] = (int64_t)(once + each * n);
    s->first[n] = n;
  }
  t->first = s->first;
  t->problem = (qb__round_problem){
      .instances = (uint32_t)random_int(seed, 2, MOST_INSTANCES),
      .target_ns = (int64_t)((2 + 2 * random_unit(seed)) * (double)t->latency_ns[MOST_BATCH]),
      .latency_ns = t->latency_ns,
      .slow_ns = t->slow_ns,
      .shed = shed};
  assert_ok(qb__round_policy_init(context, MOST_BATCH, &t->policy));
  assert_ok(qb__round_policy_solve(context, &t->problem, &t->policy));
  assert_ok(qb__round_search(context, t));
}

static void draw_arrivals(scene *s, uint64_t *seed, double rate_per_s)
{
  double now_ns = 0;
  for (uint32_t i = 0; i < SAMPLES; i++) {
    now_ns -= 1e9 * log(1 - random_unit(seed)) / rate_per_s;
    s->arrived_ns[i] = (int64_t)now_ns;
    s->deadline_ns[i] = s->arrived_ns[i] + s->tables.problem.target_ns;
  }
  s->arrived_ns[SAMPLES] = INT64_MAX;
}

/* An answer in time earns 1, and each answer costs a tenth of its latency in targets. */
static double reward(const scene *s, uint32_t first, uint32_t size, int64_t end_ns)
{
  double sum = 0;
  for (uint32_t i = first; i < first + size; i++)
    sum += (end_ns <= s->deadline_ns[i]) -
           0.1 * (double)(end_ns - s->arrived_ns[i]) / (double)s->tables.problem.target_ns;
  return sum;
}

/* What decisions by a table earn for each arrival. */
static double earns(const scene *s, const qb__rate_table *table)
{
  const qb__round_tables *t = &s->tables;
  int64_t free_ns[MOST_INSTANCES] = {0}, now_ns = 0;
  double sum = 0;
  for (uint32_t first = 0, end = 0; first < SAMPLES;) {
    uint32_t next = 0;
    for (uint32_t i = 1; i < t->problem.instances; i++)
      next = free_ns[i] < free_ns[next] ? i : next;
    now_ns = free_ns[next] > now_ns ? free_ns[next] : now_ns;
    if (first == end && s->arrived_ns[end] > now_ns)
      now_ns = s->arrived_ns[end];
    while (s->arrived_ns[end] <= now_ns)
      end++;
    const qb__round_queue queue = {.count = end - first,
                                   .known = end - first,
                                   .deadline_ns = s->deadline_ns,
                                   .first = first,
                                   .room = SIZE_MAX,
                                   .now_ns = now_ns,
                                   .target_ns = t->problem.target_ns,
                                   .age_ns = now_ns - s->arrived_ns[first]};
    qb_decision d = QB_DECISION_INIT;
    qb__round_decide_by(t, table, &queue, &d);
    first += d.give_up;
    if (d.action == QB_ACTION_WAIT) {
      const int64_t until_ns = now_ns + d.max_wait_ns;
      now_ns = s->arrived_ns[end] < until_ns ? s->arrived_ns[end] : until_ns;
    } else if (d.action == QB_ACTION_RUN || !d.give_up) {
      free_ns[next] = now_ns + t->latency_ns[d.batch];
      sum += reward(s, first, d.batch, free_ns[next]);
      first += d.batch;
    }
  }
  return sum / SAMPLES;
}

/* Runs `batch` samples, or what there is when the oldest has waited for so many age steps. */
static double plain_rule_earns(scene *s, uint32_t batch, uint32_t wait)
{
  for (uint32_t n = 1; n <= s->tables.policy.lengths; n++)
    for (uint32_t age = 0; age < QB__POLICY_AGES; age++)
      s->plain.run[n * QB__POLICY_AGES + age] = (uint16_t)(n >= batch    ? batch
                                                           : age >= wait ? n
                                                                         : 0);
  return earns(s, &s->plain);
}

static void no_plain_rule_earns_more_than_what_is_found(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = 0; i < random_cases(12); i++) {
    scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    make(s, &seed, i % 2);
    for (int r = 0; r < QB__POLICY_RATES - 1; r++) {
      const qb__rate_table *table = &s->tables.policy.table[r];
      draw_arrivals(s, &seed, table->rate_per_s);
      const double found = earns(s, table);
      for (uint32_t batch = 1; batch <= s->tables.policy.most; batch++)
        for (uint32_t wait = 0; wait <= LONGEST_WAIT; wait += 2) {
          const double plain = plain_rule_earns(s, batch, wait);
          if (plain > found + 0.02)
            fail_msg("%u instances, %.1f/s%s: up to %u samples and %u steps earn %.4f, not %.4f",
                     s->tables.problem.instances, table->rate_per_s, i % 2 ? ", shed" : "", batch,
                     wait, plain, found);
        }
    }
    qb__round_tables_free(context, &s->tables);
    free(s);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(no_plain_rule_earns_more_than_what_is_found)};
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
