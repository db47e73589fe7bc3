/* SPDX-License-Identifier: Apache-2.0 */
/* What would make an infeasible demand feasible: it does, and a little less does not. */
#include "queue/time_histogram.h"
#include "support/expect.h"
#include "support/random.h"
#include "support/random_profile.h"
#include "support/service_ways.h"

#include <math.h>

/* At least, and until each term has helped once. */
enum { CASES = 6, MOST_CASES = 100 };

static qb_context *context;

static bool feasible(service_case c)
{
  qb_service_plan plan;
  plan_case(&c, &plan);
  return plan.feasible;
}

/* Where no value of a term helps, the most generous one does not. */
static bool with_latency(service_case c, int64_t latency_ns)
{
  c.qos.latency_ns = latency_ns;
  return feasible(c);
}

static bool with_rate(service_case c, double rate_per_s)
{
  c.load.rate_per_s = rate_per_s;
  return feasible(c);
}

static bool with_percentile(service_case c, double percentile)
{
  c.qos.percentile = percentile;
  return feasible(c);
}

static bool with_memory(service_case c, uint64_t memory_bytes)
{
  c.qos.memory_bytes = memory_bytes;
  return feasible(c);
}

static bool with_budget(service_case c, double budget_per_hour)
{
  c.qos.budget_per_hour = budget_per_hour;
  return feasible(c);
}

typedef struct counts {
  int infeasible, latency, rate, percentile, memory, budget;
} counts;

/* Times are whole nanoseconds: the most percent that one makes, if all samples are in one bin. */
static double nanosecond(int64_t target_ns)
{
  return 100 / exp2(floor(log2((double)target_ns)) - QB__TIME_MANTISSA_BITS);
}

static void check(const service_case *c, const qb_nearest *n, counts *seen)
{
  enum { NO_LIMIT = 0 };
  if (n->latency_ns) {
    assert_true(n->latency_ns > c->qos.latency_ns);
    assert_true(with_latency(*c, n->latency_ns));
    assert_false(with_latency(*c, n->latency_ns - 1));
  } else {
    assert_false(with_latency(*c, NO_LIMIT));
  }
  if (n->rate_per_s > 0) {
    assert_true(n->rate_per_s < c->load.rate_per_s);
    assert_true(with_rate(*c, n->rate_per_s));
    /* The next rung of the ladder exp(0.01 k), unless that is beyond what was asked for. */
    const double rung = exp(0.01 * (double)(lround(100 * log(n->rate_per_s)) + 1));
    const double next = fmin(rung, c->load.rate_per_s);
    assert_false(with_rate(*c, next));
  } else {
    assert_false(with_rate(*c, 0.01));
  }
  if (n->percentile > 0) {
    assert_true(n->percentile < c->qos.percentile);
    assert_true(with_percentile(*c, n->percentile));
    assert_false(with_percentile(*c, n->percentile + 1e-3 + nanosecond(c->qos.latency_ns)));
  } else {
    assert_false(with_percentile(*c, 1e-6));
  }
  if (n->memory_bytes) {
    assert_true(n->memory_bytes > c->qos.memory_bytes);
    assert_true(with_memory(*c, n->memory_bytes));
    assert_false(with_memory(*c, n->memory_bytes - 1));
  } else {
    assert_false(with_memory(*c, NO_LIMIT));
  }
  if (n->budget_per_hour > 0) {
    assert_true(n->budget_per_hour > c->qos.budget_per_hour);
    assert_true(with_budget(*c, n->budget_per_hour));
    assert_false(with_budget(*c, n->budget_per_hour * (1 - 1e-9)));
  } else {
    assert_false(with_budget(*c, NO_LIMIT));
  }
  seen->latency += n->latency_ns > 0;
  seen->rate += n->rate_per_s > 0;
  seen->percentile += n->percentile > 0;
  seen->memory += n->memory_bytes > 0;
  seen->budget += n->budget_per_hour > 0;
}

static bool all_seen(const counts *seen)
{
  return seen->latency && seen->rate && seen->percentile && seen->memory && seen->budget;
}

/* Just beyond the best that the nodes can do in one term, and what the best needs in the others. */
static void make_tight_case(uint64_t *seed, service_case *c)
{
  make_service_case(context, seed, c);
  c->qos.memory_bytes = 0;
  c->qos.budget_per_hour = 0;
  qb_service_plan best;
  plan_case(c, &best);
  if (!best.feasible)
    return;
  const double less = 0.3 + 0.69 * random_unit(seed);
  c->qos.latency_ns = best.latency_ns;
  switch (random_int(seed, 0, 2)) {
  case 0: c->qos.latency_ns = (int64_t)(less * (double)best.latency_ns); break;
  case 1: c->qos.memory_bytes = best.memory_bytes - 1; break;
  default: c->qos.budget_per_hour = less * best.cost_per_hour; break;
  }
}

static void the_nearest_change_makes_the_demand_feasible(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  const int cases = random_cases(CASES), most = random_kinds_come_up(CASES) ? MOST_CASES : cases;
  counts seen = {0};
  for (int i = 0; i < cases || (i < most && !all_seen(&seen)); i++) {
    service_case c;
    qb_service_plan plan;
    make_tight_case(&seed, &c);
    plan_case(&c, &plan);
    if (!plan.feasible) {
      seen.infeasible++;
      check(&c, &plan.nearest, &seen);
    } else {
      const qb_nearest none = {.latency_ns = 0};
      assert_memory_equal(&plan.nearest, &none, sizeof none);
    }
    free_service_case(&c);
  }
  print_message("%d demands infeasible; what would do: latency %d, rate %d, percentile %d, "
                "memory %d, budget %d times\n",
                seen.infeasible, seen.latency, seen.rate, seen.percentile, seen.memory,
                seen.budget);
  assert_true(all_seen(&seen) || !random_kinds_come_up(CASES));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_nearest_change_makes_the_demand_feasible)};
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
