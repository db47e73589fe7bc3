/* SPDX-License-Identifier: Apache-2.0 */
/* Histograms of values, and the ranges that 8 bits stand for. */
#include "quantize/range.h"
#include "support/expect.h"
#include "support/random.h"

#include <math.h>
#include <stdlib.h>

/* Values whose size changes, as samples bring larger ones. */
static size_t draw(uint64_t *random, float *values, size_t most, bool positive)
{
  const size_t count = random_int(random, 1, most);
  const double scale = exp(random_normal(random));
  for (size_t i = 0; i < count; i++) {
    const double value = random_normal(random) * scale;
    values[i] = (float)(positive ? fabs(value) : value);
  }
  return count;
}

static void histograms_count_every_value_near_its_place(void **state)
{
  (void)state;
  enum { MOST = 500 };
  uint64_t random = random_start();
  for (int n = 0; n < 200; n++) {
    qb__histogram parts[2] = {{0}, {0}};
    float values[MOST], most = 0;
    double sum = 0, found = 0;
    uint64_t count = 0;
    for (int round = 0; round < 6; round++) {
      const size_t drawn = draw(&random, values, MOST, false);
      qb__histogram_add(&parts[round % 2], values, drawn);
      count += drawn;
      for (size_t i = 0; i < drawn; i++) {
        sum += fabs((double)values[i]);
        most = fmaxf(most, fabsf(values[i]));
      }
    }
    qb__histogram_merge(&parts[0], &parts[1]);
    const qb__histogram *h = &parts[0];
    assert_int_equal(h->count, count);
    assert_true(fmaxf(-h->least, h->most) == most);
    assert_true(h->reach >= most && h->reach <= 2 * most);
    uint64_t counted = 0;
    for (size_t i = 0; i < QB__BINS; i++) {
      counted += h->positive[i] + h->negative[i];
      found += (double)(h->positive[i] + h->negative[i]) * qb__histogram_middle(h, i);
    }
    assert_int_equal(counted, count);
    assert_true(fabs(found - sum) <= (double)count * h->reach / QB__BINS);
  }
}

static void the_squared_error_of_a_range_is_that_of_rounding(void **state)
{
  (void)state;
  enum { COUNT = 20000 };
  uint64_t random = random_start();
  static float values[COUNT];
  for (int n = 0; n < 20; n++) {
    const bool positive = n % 2;
    qb__histogram h = {0};
    const size_t count = draw(&random, values, COUNT, positive);
    qb__histogram_add(&h, values, count);
    for (qb__range_method m = 0; m < QB__RANGE_METHODS; m++) {
      const qb__integer_range range = qb__range_by(m, &h);
      assert_true(range.low == (h.least < 0 ? -128 : 0) && range.high == (h.least < 0 ? 127 : 255));
      double noise = 0, signal = 0;
      for (size_t i = 0; i < count; i++) {
        const float steps = nearbyintf(values[i] / range.scale);
        const double error =
            (double)values[i] - (double)(range.scale * fminf(fmaxf(steps, range.low), range.high));
        noise += error * error;
        signal += (double)values[i] * (double)values[i];
      }
      if (count > 1000)
        assert_true(fabs(qb__range_sqnr_db(&range, &h) - 10 * log10(signal / noise)) < 0.7);
    }
  }
}

static void an_outlier_does_not_take_the_range(void **state)
{
  (void)state;
  enum { COUNT = 50000 };
  uint64_t random = random_start();
  static float values[COUNT];
  qb__histogram halves[2] = {{0}, {0}};
  for (size_t i = 0; i < COUNT; i++)
    values[i] = (float)random_normal(&random);
  qb__histogram_add(&halves[1], values, COUNT);
  values[7] = 50;
  qb__histogram_add(&halves[0], values, COUNT);
  const qb__integer_range all = qb__range_by(QB__RANGE_MIN_MAX, &halves[0]);
  const qb__integer_range range = qb__range_choose(&halves[0], &halves[1]);
  assert_true(all.scale > 0.39f);
  assert_true(range.scale < 0.1f && range.method != QB__RANGE_MIN_MAX);
  assert_true(qb__range_sqnr_db(&range, &halves[1]) > qb__range_sqnr_db(&all, &halves[1]) + 6);
}

static void scales_have_16_bits_and_are_not_less(void **state)
{
  (void)state;
  uint64_t random = random_start();
  for (int i = 0; i < 10000; i++) {
    const double value = exp(random_normal(&random) * 10);
    const float scale = qb__scale_of(value);
    assert_true((double)scale >= value && (double)scale <= value * (1 + 0x1p-15));
    const int steps = (int)random_int(&random, 0, 255);
    assert_true((double)(scale * (float)steps) == (double)scale * steps);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(histograms_count_every_value_near_its_place),
      cmocka_unit_test(the_squared_error_of_a_range_is_that_of_rounding),
      cmocka_unit_test(an_outlier_does_not_take_the_range),
      cmocka_unit_test(scales_have_16_bits_and_are_not_less),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
