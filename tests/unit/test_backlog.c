/* SPDX-License-Identifier: Apache-2.0 */
/* How often arrivals find which backlog: the theory against long paths. */
#include "queue/backlog.h"
#include "support/random.h"
#include "support/unit.h"

#include <math.h>

enum { SAMPLES = 1 << 21, STRATA = QB__BACKLOG_STRATA };

static uint64_t count(const qb__arrival_law *law, double capacity_per_s, uint64_t seed,
                      qb__backlog *backlog, uint64_t arrived[STRATA])
{
  qb__arrivals arrivals;
  qb__arrivals_start_even(&arrivals, law, seed, qb__arrival_burst_count(law, SAMPLES));
  *backlog = qb__backlog_follow(&arrivals, capacity_per_s);
  for (int k = 0; k < STRATA; k++)
    arrived[k] = 0;
  for (int i = 0; i < SAMPLES; i++) {
    (void)qb__arrivals_next(&arrivals);
    const uint32_t k = qb__backlog_stratum(backlog, &arrivals);
    assert_true(k < backlog->strata);
    arrived[k]++;
  }
  return SAMPLES;
}

static void strata_have_the_share_of_their_arrivals(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = 0; i < 5; i++) {
    const double utilisation = 0.5 + 0.25 * random_unit(&seed), ratio = 3 + 5 * random_unit(&seed);
    const double share = 0.1 + 0.2 * random_unit(&seed);
    const qb__arrival_law law = qb__arrival_bursts(1000, ratio, share, 0.05);
    qb__backlog backlog;
    uint64_t arrived[STRATA];
    double weights[STRATA], total = 0, worst = 0;
    const double all =
        (double)count(&law, 1000 / utilisation, random_bits(&seed), &backlog, arrived);
    assert_int_equal(backlog.strata, STRATA);
    qb__backlog_weights(&backlog, arrived, weights);
    for (int k = 0; k < STRATA; k++) {
      total += weights[k] * (double)arrived[k];
      if ((double)arrived[k] > all / 50) /* the shares of others are more a matter of chance */
        worst = fmax(worst, fabs(weights[k] * all - 1));
    }
    print_message("utilisation %.2f, ratio %.1f, share %.2f: %.2f find a backlog, shares off by up "
                  "to %.1f %%\n",
                  utilisation, ratio, share, backlog.over, 100 * worst);
    assert_true(fabs(total - 1) < 1e-9);
    assert_true(backlog.over > 0 && backlog.over < 1 && worst < 0.15);
  }
}

static void strata_of_few_are_joined(void **state)
{
  (void)state;
  const qb__backlog backlog = {.strata = STRATA, .steps_per_ns = 1, .over = 0.5};
  uint64_t arrived[STRATA] = {1000, 1000, 1000, 3};
  double weights[STRATA], total = 0;
  qb__backlog_weights(&backlog, arrived, weights);
  for (int k = 0; k < STRATA; k++)
    total += weights[k] * (double)arrived[k];
  assert_true(fabs(total - 1) < 1e-9);
  assert_true(fabs(weights[0] * 1000 - 0.5) < 1e-9);
  assert_true(weights[2] == weights[3] && weights[1] != weights[2]);
  const uint64_t none[STRATA] = {0};
  qb__backlog_weights(&backlog, none, weights);
  assert_true(weights[0] == 0);
}

/* Without bursts, or with bursts that the capacity holds, there is nothing to weigh. */
static void without_a_backlog_nothing_is_weighed(void **state)
{
  (void)state;
  const qb__arrival_law even = {.rate_per_s = {1000, 0}};
  const qb__arrival_law bursts = qb__arrival_bursts(1000, 2, 0.25, 0.1);
  const qb__arrival_law *const laws[] = {&even, &bursts};
  for (int i = 0; i < 2; i++) {
    qb__backlog backlog;
    uint64_t arrived[STRATA];
    double weights[STRATA];
    const double all = (double)count(laws[i], 2000, 1, &backlog, arrived);
    assert_int_equal(backlog.strata, 1);
    qb__backlog_weights(&backlog, arrived, weights);
    assert_true(fabs(weights[0] * all - 1) < 1e-9);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strata_have_the_share_of_their_arrivals),
      cmocka_unit_test(strata_of_few_are_joined),
      cmocka_unit_test(without_a_backlog_nothing_is_weighed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
