/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/belief.h"

#include "support/expect.h"

#include <math.h>

static void a_belief_is_what_gaussian_processes_say(void **state)
{
  (void)state;
  static const qb__place places[] = {{0, 0, 4, 0}, {0, 0, 4, 1}, {1, 2, 4, 0}};
  qb_context *context;
  qb__belief belief;
  assert_ok(qb_context_new(NULL, &context));
  assert_ok(qb__belief_init(&belief, context, places, 3));
  const double *k = belief.prior, v0 = k[0] + 0.01, v1 = k[4] + 0.04;
  qb__belief_observe(&belief, 0, 0.3, 0.1);
  qb__belief_observe(&belief, 1, -0.2, 0.2);
  /* The same by the inverse of the two measurements' covariance. */
  const double det = v0 * v1 - k[1] * k[1];
  const double w0 = (v1 * 0.3 + k[1] * 0.2) / det, w1 = (-k[1] * 0.3 - v0 * 0.2) / det;
  for (size_t i = 0; i < 3; i++) {
    assert_true(fabs(belief.mean[i] - (k[3 * i] * w0 + k[3 * i + 1] * w1)) < 1e-9);
    double mean = 0, square = 0;
    for (size_t d = 0; d < QB__DRAWS; d++) {
      mean += belief.draws[3 * d + i] / QB__DRAWS;
      square += pow(belief.draws[3 * d + i] - belief.mean[i], 2) / QB__DRAWS;
    }
    const double error = qb__belief_error(&belief, i);
    assert_true(fabs(mean - belief.mean[i]) < 4 * error / sqrt(QB__DRAWS));
    assert_true(sqrt(square) > 0.7 * error && sqrt(square) < 1.4 * error);
  }
  qb__belief_clear(&belief);
  qb_context_unref(context);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_belief_is_what_gaussian_processes_say)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
