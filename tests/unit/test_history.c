/* SPDX-License-Identifier: Apache-2.0 */
/* Machines of known variances: whether a later session is where their history says. */
#include "profile/history.h"
#include "support/random.h"
#include "support/unit.h"

#include <math.h>

enum { CONFIGURATIONS = 3, SESSIONS = 2, MOST_RUNS = 8, MACHINES = 1500 };

typedef struct machine {
  double run, session; /* standard deviations */
  double speed;        /* of a thread from session to session, the same */
  double follows;      /* how rounds depend on that: 1: T is in inverse proportion */
} machine;

typedef struct story {
  qb__past_session sessions[CONFIGURATIONS * MOST_RUNS * SESSIONS];
  size_t count;
  double mean[CONFIGURATIONS]; /* level of the profile, by configuration; the machine's is 0 */
} story;

/* What `runs` profile runs saw, with levels around the mean of each configuration. */
static story draw_story(const machine *m, int runs, uint64_t *random)
{
  story s = {.count = 0};
  for (uint32_t k = 0; k < CONFIGURATIONS; k++) {
    const size_t first = s.count;
    for (int r = 0; r < runs; r++) {
      const double of_run = m->run * random_normal(random);
      for (int i = 0; i < SESSIONS; i++) {
        const double speed = m->speed * random_normal(random);
        const double level = of_run + m->session * random_normal(random) - m->follows * speed;
        s.sessions[s.count++] = (qb__past_session){
            {1, k + 1, QB_PRECISION_F32, {0}}, 1000 + r, level, 1e11 * exp(speed)};
        s.mean[k] += level / (runs * SESSIONS);
      }
    }
    for (size_t i = first; i < s.count; i++)
      s.sessions[i].level -= s.mean[k];
  }
  return s;
}

/* The share of later sessions inside the interval around the profile, and its half-width. */
static double coverage(const machine *m, int runs, uint64_t *random, double *half_width)
{
  int inside = 0;
  *half_width = 0;
  for (int i = 0; i < MACHINES; i++) {
    const story s = draw_story(m, runs, random);
    const qb__variation v = qb__variation_of(s.sessions, s.count);
    const double half = qb__variation_half_width(&v, (size_t)runs);
    *half_width += half / MACHINES;
    for (int k = 0; k < CONFIGURATIONS; k++) {
      const double later = m->run * random_normal(random) + m->session * random_normal(random);
      inside += fabs(later - s.mean[k]) <= half;
    }
  }
  return (double)inside / (MACHINES * CONFIGURATIONS);
}

static void a_later_session_is_within_the_interval(void **state)
{
  (void)state;
  static const double runs[] = {0.01, 0.03, 0.06}, sessions[] = {0.002, 0.01};
  uint64_t random = random_start();
  for (int r = 0; r < 3; r++)
    for (int s = 0; s < 2; s++) {
      const machine m = {.run = runs[r], .session = sessions[s]};
      for (int count = 1; count <= MOST_RUNS; count *= 2) {
        double half;
        const double inside = coverage(&m, count, &random, &half);
        print_message(
            "runs differ by %.0f %%, sessions by %.1f %%, %d runs: %.1f %% inside +-%.1f %%\n",
            100 * m.run, 100 * m.session, count, 100 * inside, 100 * half);
        /* One run says nothing of how runs differ: that is what is known of machines in general. */
        const double least = m.run <= 0.03 ? 0.93 : count == 1 ? 0.78 : count == 2 ? 0.86 : 0.9;
        assert_true(inside > least);
        assert_true(m.run != 0.03 || count < 4 || inside < 0.97);
        assert_true(count < MOST_RUNS || half < 2.8 * hypot(m.run, m.session) + 0.011);
      }
    }
}

/* The prior is not in the way of what a machine shows: neither a calm one nor a wild one. */
static void runs_teach_the_width(void **state)
{
  (void)state;
  uint64_t random = random_start();
  const machine calm = {.run = 0.01, .session = 0.002}, wild = {.run = 0.06, .session = 0.01};
  double first, calm_half, wild_half;
  (void)coverage(&calm, 1, &random, &first);
  (void)coverage(&calm, MOST_RUNS, &random, &calm_half);
  (void)coverage(&wild, MOST_RUNS, &random, &wild_half);
  assert_true(calm_half < 0.4 * first);
  assert_true(wild_half > first);
}

static double mean_slope(const machine *m, int runs, uint64_t *random, double *share_of_none)
{
  double sum = 0;
  int none = 0;
  for (int i = 0; i < MACHINES; i++) {
    const story s = draw_story(m, runs, random);
    const double slope = qb__variation_of(s.sessions, s.count).speed_slope;
    assert_true(slope >= 0 && slope <= 1);
    sum += slope / MACHINES;
    none += slope == 0;
  }
  *share_of_none = (double)none / MACHINES;
  return sum;
}

static void rounds_follow_the_yardstick_as_far_as_it_was_shown(void **state)
{
  (void)state;
  uint64_t random = random_start();
  const machine follows = {.run = 0.005, .session = 0.005, .speed = 0.05, .follows = 1};
  const machine half = {.run = 0.005, .session = 0.005, .speed = 0.05, .follows = 0.5};
  const machine unrelated = {.run = 0.02, .session = 0.01, .speed = 0.05, .follows = 0};
  double none;
  assert_true(mean_slope(&follows, 4, &random, &none) > 0.8);
  const double slope = mean_slope(&half, 4, &random, &none);
  assert_true(slope > 0.3 && slope < 0.5);
  assert_true(mean_slope(&unrelated, 4, &random, &none) < 0.02);
  print_message("a slope where there is none: in %.1f %% of machines\n", 100 * (1 - none));
  assert_true(none > 0.93);
  assert_true(mean_slope(&follows, 1, &random, &none) < 1e-9 || none < 1);
}

static void sessions_of_a_standing_clock_show_no_slope(void **state)
{
  (void)state;
  uint64_t random = random_start();
  const machine m = {.run = 0.02, .session = 0.01};
  story s = draw_story(&m, MOST_RUNS, &random);
  assert_true(qb__variation_of(s.sessions, s.count).speed_slope == 0);
  for (size_t i = 0; i < s.count; i++)
    s.sessions[i].thread_flops_per_s = 0;
  assert_true(qb__variation_of(s.sessions, s.count).speed_slope == 0);
  const qb__variation none = qb__variation_of(NULL, 0);
  assert_true(none.speed_slope == 0 && none.run_variance > 0 && none.freedom > 0);
}

static void runs_are_counted_by_configuration(void **state)
{
  (void)state;
  uint64_t random = random_start();
  const machine m = {.run = 0.02, .session = 0.01};
  const story s = draw_story(&m, 5, &random);
  const qb_configuration second = {1, 2, QB_PRECISION_F32, {0}},
                         other = {2, 1, QB_PRECISION_F32, {0}};
  assert_int_equal(qb__past_runs(s.sessions, s.count, &second), 5);
  assert_int_equal(qb__past_runs(s.sessions, s.count, &other), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_later_session_is_within_the_interval),
      cmocka_unit_test(runs_teach_the_width),
      cmocka_unit_test(rounds_follow_the_yardstick_as_far_as_it_was_shown),
      cmocka_unit_test(sessions_of_a_standing_clock_show_no_slope),
      cmocka_unit_test(runs_are_counted_by_configuration),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
