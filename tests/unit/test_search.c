/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search over splits on machines that are made up: what it visits, and what its answers lose.
 */
#include "profile/search.h"

#include "profile/splits.h"
#include "profile/sweep.h"

#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>

enum { THREADS = 16, BATCHES = 6 };
static const uint32_t batches[BATCHES] = {1, 2, 4, 8, 16, 32};

/* Teams lose, instances disturb each other, and batches gain, all by as much as a seed says. */
typedef struct machine {
  qb_configuration splits[QB__MOST_SPLITS];
  size_t split_count;
  double sample_ns, once_ns, team_loss, crowding, unrest;
  double prior_ns[QB__MOST_SPLITS * BATCHES];
  uint64_t seed;
} machine;

static double true_ns(const machine *m, size_t split, size_t batch)
{
  const qb_configuration *c = &m->splits[split];
  const double all = (double)c->instances * c->threads;
  const double team = pow(c->threads, 1 - m->team_loss), crowd = 1 + m->crowding * all / THREADS;
  return (m->once_ns + m->sample_ns * batches[batch]) / team * crowd;
}

static machine random_machine(uint64_t *seed)
{
  machine m = {.seed = *seed};
  const qb_node_info node = {.cores = THREADS, .usable_threads = THREADS, .quota_cores = THREADS};
  m.split_count = qb__splits_of(&node, m.splits);
  m.sample_ns = 1e6 * pow(10, 2 * random_unit(seed));
  m.once_ns = m.sample_ns * random_unit(seed);
  m.team_loss = 0.4 * random_unit(seed);
  m.crowding = 0.8 * random_unit(seed);
  m.unrest = 0.08 * random_unit(seed);
  for (size_t k = 0; k < m.split_count; k++)
    for (size_t b = 0; b < BATCHES; b++)
      m.prior_ns[k * BATCHES + b] = 5e6 * batches[b] / m.splits[k].threads;
  return m;
}

static qb__search_grid grid_of(const machine *m)
{
  return (qb__search_grid){m->split_count, m->splits, BATCHES, batches, m->prior_ns};
}

/* What visits of one point have been, as logarithms. */
typedef struct history {
  double sum;
  uint32_t count;
} history;

static void visit(machine *m, qb__search *search, history *h, size_t split, size_t batch)
{
  h += split * BATCHES + batch;
  h->sum += log(true_ns(m, split, batch)) + m->unrest * random_normal(&m->seed);
  h->count++;
  const qb__search_seen seen = {h->count,
                                h->count * m->splits[split].instances,
                                exp(h->sum / h->count),
                                fmax(m->unrest, 0.02) / sqrt(h->count),
                                1.05,
                                1.01};
  qb__search_learn(search, split, batch, &seen);
}

static qb__worth_rounds rounds_of(const machine *m, size_t split, size_t batch)
{
  const double ns = true_ns(m, split, batch);
  return (qb__worth_rounds){m->splits[split].instances, batches[batch], 1.01 * ns, 1.05 * ns};
}

/* Of the highest rate within a target, or of a job where there is none. */
static double worth(const machine *m, double target_ns, size_t split, size_t batch)
{
  const qb__worth_rounds rounds = rounds_of(m, split, batch);
  return target_ns > 0 ? qb__worth_rate(&rounds, target_ns) : qb__worth_throughput(&rounds);
}

/* What is lost by taking the expected times for the true ones. */
static double regret(const machine *m, qb__search *search, double target_ns)
{
  double best = 0, most = -1, chosen = 0;
  for (size_t k = 0; k < m->split_count; k++)
    for (size_t b = 0; b < BATCHES; b++) {
      const double ns = qb__search_expected_ns(search, k, b), real = worth(m, target_ns, k, b);
      const qb__worth_rounds expected = {m->splits[k].instances, batches[b], 1.01 * ns, 1.05 * ns};
      const double value =
          target_ns > 0 ? qb__worth_rate(&expected, target_ns) : qb__worth_throughput(&expected);
      best = fmax(best, real);
      if (value > most) {
        most = value;
        chosen = real;
      }
    }
  return best > 0 ? 1 - chosen / best : 0;
}

static double shortest_ns(const machine *m)
{
  double shortest = INFINITY;
  for (size_t k = 0; k < m->split_count; k++)
    shortest = fmin(shortest, true_ns(m, k, 0));
  return shortest;
}

/* Searches to its end; returns what the visits took, in whole tables. */
static double run_search(machine *m, qb__search *search)
{
  history seen[QB__MOST_SPLITS * BATCHES] = {{0, 0}};
  double table_ns = 0, spent_ns = 0;
  for (size_t k = 0; k < m->split_count; k++)
    for (size_t b = 0; b < BATCHES; b++)
      table_ns += true_ns(m, k, b);
  size_t open = SIZE_MAX;
  for (int visits = 0; visits < 300; visits++) {
    const qb__search_cost cost = {0, 0.1 * shortest_ns(m), table_ns - spent_ns};
    qb__search_choice next;
    if (!qb__search_next(search, open, &cost, &next) ||
        (next.mean_regret < 0.005 && next.worst_regret < 0.02))
      break;
    assert_true(next.split < m->split_count && next.batch < BATCHES);
    visit(m, search, seen, next.split, next.batch);
    spent_ns += true_ns(m, next.split, next.batch);
    open = next.split;
  }
  return spent_ns / table_ns;
}

static void answers_lose_little_of_what_the_whole_table_would_give(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  static const double targets[] = {0, 1.5, 3, 8, 20};
  double sum = 0, spent = 0;
  enum { MACHINES = 8, TARGETS = sizeof targets / sizeof *targets };
  for (int i = 0; i < MACHINES; i++) {
    machine m = random_machine(&seed);
    const qb__search_grid grid = grid_of(&m);
    qb_context *context;
    qb__search *search;
    assert_ok(qb_context_new(NULL, &context));
    assert_ok(qb__search_new(context, &grid, &search));
    spent += run_search(&m, search) / MACHINES;
    for (size_t t = 0; t < TARGETS; t++)
      sum += regret(&m, search, targets[t] * shortest_ns(&m)) / MACHINES / TARGETS;
    qb__search_free(search);
    qb_context_unref(context);
  }
  print_message("regret %.2f %% for %.2f of a table\n", 100 * sum, spent);
  assert_true(sum < 0.03);
  assert_true(spent < 1);
}

/* A sweep over a machine, on a clock of its own. */
typedef struct field {
  machine *machine;
  int64_t now_ns;
  size_t open;
  uint32_t largest_batch;
  char warning[256];
  int64_t round_ns[QB__MOST_ROUNDS * THREADS];
} field;

enum { OPENING_NS = 500000000 };

static int64_t now_ns(void *user)
{
  return ((const field *)user)->now_ns;
}

static void warned(void *user, qb_severity severity, const char *text)
{
  field *f = user;
  assert_int_equal(severity, QB_SEVERITY_WARNING);
  snprintf(f->warning, sizeof f->warning, "%s", text);
}

static qb_status open_split(void *user, size_t index, uint32_t largest_batch)
{
  field *f = user;
  assert_int_equal(f->open, SIZE_MAX);
  f->largest_batch = largest_batch;
  f->open = index;
  f->now_ns += OPENING_NS;
  return QB_OK;
}

static qb_status prepare(void *user, qb_profile_point *point)
{
  const field *f = user;
  const qb_configuration *c = &f->machine->splits[f->open];
  assert_int_equal(point->configuration.instances, c->instances);
  assert_int_equal(point->configuration.threads, c->threads);
  assert_in_range(point->batch, 1, f->largest_batch);
  return QB_OK;
}

static qb_status visit_rounds(void *user, uint32_t batch, uint32_t rounds, uint32_t warm_up_batch,
                              qb__visit *seen)
{
  field *f = user;
  machine *m = f->machine;
  size_t b = 0;
  while (batches[b] < batch)
    b++;
  assert_int_equal(batches[b], batch);
  const double ns = true_ns(m, f->open, b) * exp(m->unrest * fabs(random_normal(&m->seed)));
  f->now_ns += (int64_t)(rounds * ns + (warm_up_batch ? true_ns(m, f->open, 0) : 0));
  seen->count = (size_t)rounds * m->splits[f->open].instances;
  for (size_t i = 0; i < seen->count; i++)
    f->round_ns[i] = (int64_t)ns;
  seen->round_ns = seen->part_ns = f->round_ns;
  seen->parts = 1;
  seen->flops = seen->most_flops = 0;
  return QB_OK;
}

static void close_split(void *user)
{
  ((field *)user)->open = SIZE_MAX;
}

static qb_status tell(void *user, qb_phase phase, const qb_profile_point *point, double fraction)
{
  (void)user, (void)phase, (void)point;
  assert_true(fraction >= 0 && fraction <= 1);
  return QB_OK;
}

static const qb__visitor visitor = {open_split, prepare, visit_rounds, close_split, tell};

/* A sweep of so long; the curves are the caller's to clear. */
static qb_context *sweep_over(field *f, qb__sweep *sweep, qb__points curves[QB__MOST_SPLITS],
                              double budget_s)
{
  const machine *m = f->machine;
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.now_ns = now_ns;
  params.clock_user = f;
  params.message = warned;
  params.message_user = f;
  qb_context *context;
  assert_ok(qb_context_new(&params, &context));
  for (size_t k = 0; k < m->split_count; k++)
    curves[k] = (qb__points){.configuration = m->splits[k]};
  *sweep = (qb__sweep){.context = context,
                       .visitor = &visitor,
                       .user = f,
                       .curve_count = m->split_count,
                       .curves = curves,
                       .prior_ns = m->prior_ns,
                       .batch_count = BATCHES,
                       .batches = batches,
                       .budget_ns = (int64_t)(1e9 * budget_s),
                       .goal = 0.01};
  assert_ok(qb__sweep_run(sweep));
  assert_int_equal(f->open, SIZE_MAX);
  assert_true(sweep->done > 0.999);
  return context;
}

static void clear(qb_context *context, qb__sweep *sweep)
{
  for (size_t k = 0; k < sweep->curve_count; k++)
    qb__points_clear(context, &sweep->curves[k]);
  qb_context_unref(context);
}

/* However slow the machine, on which the whole table would take far longer. */
static void a_sweep_looks_at_all_splits_of_all_cores_in_the_time_it_has(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = 0; i < 4; i++) {
    machine m = random_machine(&seed);
    field f = {.machine = &m, .now_ns = 1, .open = SIZE_MAX};
    qb__points curves[QB__MOST_SPLITS];
    qb__sweep sweep;
    qb_context *context = sweep_over(&f, &sweep, curves, 60);
    assert_true((double)f.now_ns < 1.3 * (double)sweep.budget_ns);
    for (size_t k = 0; k < m.split_count; k++)
      if (m.splits[k].instances * m.splits[k].threads == THREADS)
        assert_true(curves[k].count > 0);
    clear(context, &sweep);
  }
}

/* What is lost by choosing by what the sweep measured. */
static double loss_of(const machine *m, const qb__sweep *sweep, double target_ns)
{
  double best = 0, most = -1, chosen = 0;
  for (size_t k = 0; k < m->split_count; k++)
    for (size_t b = 0; b < BATCHES; b++)
      best = fmax(best, worth(m, target_ns, k, b));
  for (size_t k = 0; k < sweep->curve_count; k++)
    for (size_t i = 0; i < sweep->curves[k].count; i++) {
      const qb_profile_point *p = &sweep->curves[k].records[i].point;
      const double ns = (double)p->latency_ns;
      const qb__worth_rounds rounds = {p->configuration.instances, p->batch, 1.01 * ns, 1.05 * ns};
      const double value = !qb__visits_of(p) ? -1
                           : target_ns > 0   ? qb__worth_rate(&rounds, target_ns)
                                             : qb__worth_throughput(&rounds);
      if (value > most) {
        most = value;
        chosen = worth(m, target_ns, k, (size_t)log2(p->batch));
      }
    }
  return best > 0 ? 1 - chosen / best : 0;
}

static void a_sweep_measures_what_is_nearly_the_best(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  static const double targets[] = {0, 1.5, 3, 8, 20};
  enum { MACHINES = 8, TARGETS = sizeof targets / sizeof *targets };
  double lost = 0;
  for (int i = 0; i < MACHINES; i++) {
    machine m = random_machine(&seed);
    field f = {.machine = &m, .now_ns = 1, .open = SIZE_MAX};
    qb__points curves[QB__MOST_SPLITS];
    qb__sweep sweep;
    qb_context *context = sweep_over(&f, &sweep, curves, 60);
    for (size_t t = 0; t < TARGETS; t++)
      lost += loss_of(&m, &sweep, targets[t] * shortest_ns(&m)) / MACHINES / TARGETS;
    clear(context, &sweep);
  }
  print_message("%.2f %% lost\n", 100 * lost);
  assert_true(lost < 0.01);
}

/* With hardly any time most splits are guessed at; with plenty of it on a quiet machine none matters. */
static void answers_that_more_time_could_change_are_told(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  machine m = random_machine(&seed);
  m.sample_ns = 2e7;
  m.unrest = 0.01;
  for (int hurried = 0; hurried < 2; hurried++) {
    field f = {.machine = &m, .now_ns = 1, .open = SIZE_MAX};
    qb__points curves[QB__MOST_SPLITS];
    qb__sweep sweep;
    qb_context *context = sweep_over(&f, &sweep, curves, hurried ? 1 : 600);
    print_message("%s\n", f.warning);
    assert_int_equal(*f.warning != 0, hurried);
    clear(context, &sweep);
  }
}

static void points_that_do_not_exist_or_cost_too_much_are_not_visited(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  machine m = random_machine(&seed);
  for (size_t i = 0; i < m.split_count * BATCHES; i++)
    if (random_unit(&seed) < 0.3)
      m.prior_ns[i] = 0;
  const qb__search_grid grid = grid_of(&m);
  history seen[QB__MOST_SPLITS * BATCHES] = {{0, 0}};
  qb_context *context;
  qb__search *search;
  assert_ok(qb_context_new(NULL, &context));
  assert_ok(qb__search_new(context, &grid, &search));
  const qb__search_cost cost = {0, 0, 20 * m.sample_ns};
  qb__search_choice next;
  for (int i = 0; i < 40 && qb__search_next(search, SIZE_MAX, &cost, &next); i++) {
    assert_true(m.prior_ns[next.split * BATCHES + next.batch] > 0);
    assert_true(qb__search_expected_ns(search, next.split, next.batch) <= cost.most_ns);
    visit(&m, search, seen, next.split, next.batch);
  }
  const qb__search_cost none = {1, 0, 0};
  assert_false(qb__search_next(search, SIZE_MAX, &none, &next));
  qb__search_free(search);
  qb_context_unref(context);
}

/* What is beyond all doubt the best is hoped for, and what is beyond all doubt worse is not. */
static void hope_goes_by_what_was_seen(void **state)
{
  (void)state;
  static const qb_configuration splits[] = {{1, 4}, {2, 2}, {4, 1}};
  static const double prior_ns[] = {1e6, 2e6, 4e6};
  const uint32_t one = 1;
  const qb__search_grid grid = {3, splits, 1, &one, prior_ns};
  qb_context *context;
  qb__search *search;
  assert_ok(qb_context_new(NULL, &context));
  assert_ok(qb__search_new(context, &grid, &search));
  static const double times_ns[] = {1e6, 9e6, 3e6};
  for (size_t k = 0; k < 3; k++) {
    const qb__search_seen seen = {9, 9, times_ns[k], 0.01, 1.05, 1.01};
    qb__search_learn(search, k, 0, &seen);
  }
  const qb__search_cost cost = {0, 0, INFINITY};
  qb__search_choice next;
  assert_true(qb__search_next(search, SIZE_MAX, &cost, &next));
  assert_true(qb__search_hope(search, 0) == 1);
  assert_true(qb__search_hope(search, 1) == 0);
  assert_true(qb__search_hope(search, 2) == 1); /* 4 in 3 ms, where there is time for that */
  assert_true(next.mean_regret < 0.01);
  qb__search_free(search);
  qb_context_unref(context);
}

static void before_any_visit_regrets_are_shares(void **state)
{
  (void)state;
  static const qb_configuration splits[] = {{1, 2}, {2, 1}};
  static const double prior_ns[] = {1e6, 2e6};
  const uint32_t one = 1;
  const qb__search_grid grid = {2, splits, 1, &one, prior_ns};
  const qb__search_cost cost = {1e6, 0, INFINITY};
  qb_context *context;
  qb__search *search;
  qb__search_choice next;
  assert_ok(qb_context_new(NULL, &context));
  assert_ok(qb__search_new(context, &grid, &search));
  assert_true(qb__search_next(search, SIZE_MAX, &cost, &next));
  assert_true(next.mean_regret > 0 && next.mean_regret <= next.worst_regret);
  assert_true(next.worst_regret <= 1);
  qb__search_free(search);
  qb_context_unref(context);
}

static qb_status search_a_little(qb_context *context, void *user)
{
  machine *m = user;
  const qb__search_grid grid = grid_of(m);
  qb__search *search;
  const qb_status status = qb__search_new(context, &grid, &search);
  if (!status)
    qb__search_free(search);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  machine m = random_machine(&seed);
  check_every_allocation_failure(search_a_little, &m);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_lose_little_of_what_the_whole_table_would_give),
      cmocka_unit_test(a_sweep_looks_at_all_splits_of_all_cores_in_the_time_it_has),
      cmocka_unit_test(a_sweep_measures_what_is_nearly_the_best),
      cmocka_unit_test(answers_that_more_time_could_change_are_told),
      cmocka_unit_test(points_that_do_not_exist_or_cost_too_much_are_not_visited),
      cmocka_unit_test(hope_goes_by_what_was_seen),
      cmocka_unit_test(before_any_visit_regrets_are_shares),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
