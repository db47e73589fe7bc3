/* SPDX-License-Identifier: Apache-2.0 */
/* Profile runs of a workload whose rounds take what a table says, on a clock of its own. */
#include "node/node_impl.h"

#include "support/expect.h"
#include "support/failing_allocator.h"

#include <qosbatch/estimate.h>
#include <qosbatch/inspect.h>
#include <qosbatch/profile.h>

#include <math.h>

enum { PREPARE_NS = 1000000 };

/* Every thread that works has a time of its own; the host sees the latest of them. */
static atomic_llong latest_ns;
static _Thread_local int64_t own_ns;
static _Thread_local bool is_host;

static int64_t now_ns(void *user)
{
  (void)user;
  if (is_host)
    return atomic_load(&latest_ns);
  if (!own_ns)
    own_ns = atomic_load(&latest_ns);
  return own_ns;
}

static void pass(int64_t ns)
{
  own_ns = now_ns(NULL) + ns;
  long long latest = atomic_load(&latest_ns);
  while (latest < own_ns && !atomic_compare_exchange_weak(&latest_ns, &latest, own_ns))
    ;
}

typedef struct script {
  qb_configuration configuration;        /* as last prepared */
  uint32_t fail_prepare_at, fail_run_at; /* batch; 0: none */
  uint32_t fail_instance;
  bool noisy;             /* rounds take up to half as long again */
  double slowdown;        /* of this session of the machine; 0: none */
  bool cold;              /* so do those behind one of a larger batch */
  uint32_t last_batch[4]; /* by instance */
  atomic_uint rounds;
} script;

/* A straight line with a step behind 2. */
static int64_t table_ns(const qb_configuration *c, uint32_t batch)
{
  return 3000000 + 7000000 * (int64_t)batch / c->threads + 500001 * (int64_t)c->instances +
         (batch > 2 ? 8000000 : 0) - (c->precision == QB_PRECISION_INT8 ? 2000000 : 0);
}

static int prepare(void *user, const qb_configuration *configuration, uint32_t instance,
                   uint32_t batch)
{
  script *s = user;
  s->configuration = *configuration;
  own_ns = atomic_load(&latest_ns); /* instances prepare one after the other */
  pass(PREPARE_NS);
  return batch == s->fail_prepare_at && instance == s->fail_instance ? 8 : 0;
}

static int run(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
               void *const *outputs)
{
  script *s = user;
  int64_t ns = table_ns(&s->configuration, batch);
  if (s->slowdown > 0)
    ns = (int64_t)((double)ns * s->slowdown);
  if (s->noisy)
    ns += ns / 2 * (atomic_fetch_add(&s->rounds, 1) * 5 % 17) / 16;
  if (s->cold && s->last_batch[instance] > batch)
    ns += ns / 2;
  s->last_batch[instance] = batch;
  pass(ns);
  const bool failed = batch == s->fail_run_at && instance == s->fail_instance;
  return inputs || outputs ? 7 : failed ? 9 : 0;
}

typedef struct fixture {
  failing_allocator allocator;
  script script;
  qb_context *context;
  qb_model *model;
  qb_node *node;
} fixture;

static int set_up(void **state)
{
  static fixture f;
  memset(&f, 0, sizeof f);
  atomic_store(&latest_ns, 1000);
  is_host = true;
  qb_context_params params = failing_allocator_params(&f.allocator);
  params.now_ns = now_ns;
  assert_ok(qb_context_new(&params, &f.context));
  qb_workload workload = QB_WORKLOAD_INIT;
  workload.name = "script";
  workload.user = &f.script;
  workload.prepare = prepare;
  workload.run = run;
  workload.flops_per_sample = 5e9;
  workload.weight_bytes = 1000;
  workload.instance_bytes = 100;
  workload.instance_sample_bytes = 10;
  assert_ok(qb_model_from_workload(f.context, &workload, &f.model));
  qb_node_info info = QB_NODE_INFO_INIT;
  info.cpu = "processor";
  info.isa = QB_ISA_AVX2;
  info.cores = info.usable_threads = 2;
  info.quota_cores = 2;
  static const qb__sustained compute[] = {{QB_ISA_AVX2, 1, 1e11}, {QB_ISA_AVX2, 2, 2e11}};
  assert_ok(qb__node_new(f.context, &info, compute, 2, NULL, 0, &f.node));
  *state = &f;
  return 0;
}

static int tear_down(void **state)
{
  fixture *f = *state;
  qb_node_unref(f->node);
  qb_model_unref(f->model);
  qb_context_unref(f->context);
  assert_int_equal(atomic_load(&f->allocator.live), 0);
  return 0;
}

static void check_point(const qb_profile_point *p)
{
  const qb_configuration *c = &p->configuration;
  assert_int_equal(p->latency_ns, table_ns(c, p->batch));
  /* One visit does not tell how they vary: +-10 %. */
  const double unknown = p->visits + p->set_aside == 1 ? 0.1 * (double)p->latency_ns : 0;
  assert_int_equal(p->low_ns, (int64_t)((double)p->latency_ns - unknown));
  assert_int_equal(p->high_ns, p->latency_ns + (int64_t)unknown);
  assert_int_equal(p->p95_ns, p->latency_ns);
  assert_int_equal(p->prepare_ns, c->instances * PREPARE_NS);
  assert_int_equal(p->memory_bytes, 1000 + c->instances * (100 + 10 * p->batch));
  /* Rounds that only keep another instance company take their time from the budget. */
  assert_true(p->visits + p->set_aside >= (c->instances == 1 ? 6 : 1));
  assert_false(p->disturbed);
}

static void check_points(const qb_profile *profile, const qb_configuration *configurations,
                         size_t configuration_count, const uint32_t *batches, size_t batch_count)
{
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  assert_ok(qb_profile_get_info(profile, &info));
  assert_int_equal(info.points, configuration_count * batch_count);
  assert_int_equal(info.configurations, configuration_count);
  assert_int_equal(info.max_batch, batches[batch_count - 1]);
  for (uint32_t i = 0; i < info.points; i++) {
    const qb_configuration *c = &configurations[i / batch_count];
    qb_profile_point p = QB_PROFILE_POINT_INIT;
    assert_ok(qb_profile_get_point(profile, i, &p));
    assert_int_equal(p.configuration.instances, c->instances);
    assert_int_equal(p.configuration.threads, c->threads);
    assert_int_equal(p.batch, batches[i % batch_count]);
    check_point(&p);
  }
}

static void profile_has_the_latencies_of_the_rounds(void **state)
{
  const fixture *f = *state;
  static const uint32_t given[] = {9, 1, 4, 1}, batches[] = {1, 4, 9};
  static const qb_configuration configurations[] = {{1, 1}, {1, 2}, {2, 1}};
  const qb_configuration unordered[] = {configurations[2], configurations[0], configurations[1],
                                        configurations[2]};
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.batches = given;
  params.batch_count = 4;
  params.configurations = unordered;
  params.configuration_count = 4;
  qb_profile *profile;
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &profile));
  check_points(profile, configurations, 3, batches, 3);
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  assert_ok(qb_profile_get_info(profile, &info));
  assert_string_equal(info.model, "script");
  assert_string_equal(info.engine, "workload");
  assert_true(info.flops_per_sample == 5e9);
  assert_int_equal(info.weight_bytes, 1000);
  assert_true(info.measure_ns > 0);
  assert_int_equal(info.prepare_ns, 2 * 3 * (1 + 1 + 2) * PREPARE_NS); /* in both sessions */
  assert_ptr_equal(qb_profile_node(profile), f->node);
  qb_profile_unref(profile);
}

/* Powers of two and the largest batch, and more where the curve bends. */
static void powers_of_two_and_the_largest_batch_are_the_default(void **state)
{
  const fixture *f = *state;
  static const qb_configuration configurations[] = {{1, 1}, {1, 2}, {2, 1}};
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = 40;
  qb_profile *profile;
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &profile));
  uint64_t seen[3] = {0, 0, 0}; /* a bit for each batch size */
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &p); i++) {
    check_point(&p);
    for (int k = 0; k < 3; k++)
      if (p.configuration.instances == configurations[k].instances &&
          p.configuration.threads == configurations[k].threads)
        seen[k] |= UINT64_C(1) << p.batch;
  }
  for (int k = 0; k < 3; k++) {
    for (uint32_t b = 1; b <= 32; b *= 2)
      assert_true(seen[k] >> b & 1);
    assert_true(seen[k] >> 40 & 1);
    if (configurations[k].instances == 1) /* others have too few visits in the time */
      assert_true(seen[k] >> 3 & 1);      /* T bends around 2, */
    assert_false(seen[k] >> 23 & 1);      /* and not around 32 */
  }
  qb_profile_unref(profile);
}

/* A second run goes on from the first: what is sure is not run again, the rest becomes surer. */
static void a_known_profile_is_extended(void **state)
{
  fixture *f = *state;
  static const qb_configuration one = {1, 1};
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = 8;
  params.configurations = &one;
  params.configuration_count = 1;
  params.time_budget_ns = 3000000000;
  params.goal = 1e-9;
  f->script.noisy = true;
  qb_profile *first, *second, *third;
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &first));
  params.known = first;
  params.max_batch = 0;
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &second));
  qb_profile_info before = QB_PROFILE_INFO_INIT, after = QB_PROFILE_INFO_INIT;
  assert_ok(qb_profile_get_info(first, &before));
  assert_ok(qb_profile_get_info(second, &after));
  assert_int_equal(after.configurations, 1);
  assert_int_equal(after.max_batch, 8);
  assert_true(after.points >= before.points && after.measure_ns > before.measure_ns);
  for (uint32_t i = 0, j = 0; i < before.points; i++, j++) {
    qb_profile_point a = QB_PROFILE_POINT_INIT, b = QB_PROFILE_POINT_INIT;
    assert_ok(qb_profile_get_point(first, i, &a));
    do
      assert_ok(qb_profile_get_point(second, j, &b));
    while (b.batch < a.batch && ++j);
    assert_int_equal(a.batch, b.batch);
    assert_true(b.visits > a.visits);
    assert_true(b.high_ns - b.low_ns <= a.high_ns - a.low_ns);
    assert_int_equal(b.memory_bytes, a.memory_bytes);
  }
  f->script.noisy = false;
  params.known = NULL;
  params.configurations = NULL;
  params.configuration_count = 0;
  params.goal = 0.5; /* everything is within that */
  qb_profile_unref(second);
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &second));
  assert_ok(qb_profile_get_info(second, &after));
  params.known = second;
  f->script.fail_run_at = 64; /* which is no anchor */
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &third));
  assert_ok(qb_profile_get_info(third, &before));
  assert_int_equal(before.points, after.points);

  qb_workload other = QB_WORKLOAD_INIT;
  qb_model *model;
  other.name = "other";
  other.user = &f->script;
  other.prepare = prepare;
  other.run = run;
  assert_ok(qb_model_from_workload(f->context, &other, &model));
  qb_profile *none = NULL;
  assert_status(qb_profile_run(model, f->node, &params, NULL, NULL, &none), QB_ERROR_MISMATCH);
  assert_non_null(strstr(qb_error_message(), "script"));
  assert_null(none);
  qb_model_unref(model);
  qb_profile_unref(third);
  qb_profile_unref(second);
  qb_profile_unref(first);
}

/* The share of the time that a point takes, of what the table says. */
static double share_of_table(const qb_profile *profile, uint32_t index)
{
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  assert_ok(qb_profile_get_point(profile, index, &p));
  return (double)p.latency_ns / (double)table_ns(&p.configuration, p.batch);
}

/* Whether all points were measured again or none: they are at the mean of all runs. */
static void check_history(fixture *f, double goal)
{
  static const double slowdowns[] = {1.05, 0.97, 1.1, 1};
  enum { RUNS = sizeof slowdowns / sizeof *slowdowns };
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = 8;
  params.goal = goal;
  qb_profile *known = NULL, *profile;
  double level = 0, width = 0;
  for (int r = 0; r < RUNS; r++) {
    f->script.slowdown = slowdowns[r];
    params.known = known;
    assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &profile));
    qb_profile_unref(known);
    known = profile;
    level += log(slowdowns[r]);
    qb_profile_info info = QB_PROFILE_INFO_INIT;
    assert_ok(qb_profile_get_info(profile, &info));
    assert_int_equal(info.runs, r + 1);
    for (uint32_t i = 0; i < info.points; i++)
      assert_true(fabs(share_of_table(profile, i) / exp(level / (r + 1)) - 1) < 1e-3);
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    assert_ok(qb_estimate(profile, NULL, 4, NULL, &e));
    const double half = log((double)e.high_ns / (double)e.latency_ns);
    assert_true(half > 0.04 && half < 0.2);
    width = half;
  }
  assert_true(width > 0.06); /* as runs that differ by 5 % teach it */
  qb_profile_unref(known);
}

static void runs_at_other_speeds_become_a_history(void **state)
{
  fixture *f = *state;
  check_history(f, 1e-9);
  check_history(f, 0.5);
}

/* Splits that nobody measured may be better ones. */
static void a_known_profile_gains_the_other_splits(void **state)
{
  const fixture *f = *state;
  static const qb_configuration one = {1, 1};
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = 4;
  params.configurations = &one;
  params.configuration_count = 1;
  qb_profile *first, *second;
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &first));
  params.known = first;
  params.configurations = NULL;
  params.configuration_count = 0;
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &second));
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  assert_ok(qb_profile_get_info(second, &info));
  assert_int_equal(info.configurations, 3);
  assert_int_equal(info.max_batch, 4);
  qb_profile_unref(second);
  qb_profile_unref(first);
}

/* Of more than three splits not all are measured, and of those that are every point was visited. */
static void candidates_are_measured_in_sessions_like_others(void **state)
{
  const fixture *f = *state;
  qb_node_info info = QB_NODE_INFO_INIT;
  info.cpu = "processor";
  info.isa = QB_ISA_AVX2;
  info.cores = info.usable_threads = info.hardware_threads = 4;
  info.quota_cores = 4;
  static const qb__sustained compute[] = {{QB_ISA_AVX2, 1, 1e11}, {QB_ISA_AVX2, 4, 4e11}};
  qb_node *node;
  qb_profile *profile;
  assert_ok(qb__node_new(f->context, &info, compute, 2, NULL, 0, &node));
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = 8;
  assert_ok(qb_profile_run(f->model, node, &params, NULL, NULL, &profile));
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  uint32_t count = 0;
  for (; !qb_profile_get_point(profile, count, &p); count++) {
    assert_true(p.configuration.instances * p.configuration.threads <= 4);
    assert_true(p.visits > 0 && p.memory_bytes > 0);
    assert_int_equal(p.latency_ns, table_ns(&p.configuration, p.batch));
  }
  assert_true(count > 0);
  qb_profile_unref(profile);
  qb_node_unref(node);
}

static qb_profile_params two_batches(void)
{
  static const uint32_t batches[] = {1, 5};
  static const qb_configuration configurations[] = {{1, 1}, {2, 1}};
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.batches = batches;
  params.batch_count = 2;
  params.configurations = configurations;
  params.configuration_count = 2;
  return params;
}

/* The callbacks get the precision; each has its points, in the profile's order. */
static void every_precision_asked_for_is_measured(void **state)
{
  const fixture *f = *state;
  static const qb_precision precisions[] = {QB_PRECISION_INT8, QB_PRECISION_F32};
  qb_profile_params params = two_batches();
  params.precisions = precisions;
  params.precision_count = 2;
  qb_profile *profile, *refined;
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &profile));
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  uint32_t count = 0;
  for (; !qb_profile_get_point(profile, count, &p); count++) {
    assert_int_equal(p.configuration.precision, count < 4 ? QB_PRECISION_F32 : QB_PRECISION_INT8);
    check_point(&p);
  }
  assert_int_equal(count, 8);
  qb_profile_params more = QB_PROFILE_PARAMS_INIT;
  more.known = profile;
  assert_ok(qb_profile_run(f->model, f->node, &more, NULL, NULL, &refined));
  uint32_t by_precision[3] = {0};
  for (count = 0; !qb_profile_get_point(refined, count, &p); count++)
    by_precision[p.configuration.precision]++;
  assert_true(by_precision[QB_PRECISION_F32] > 4 && by_precision[QB_PRECISION_INT8] > 4);
  assert_int_equal(by_precision[QB_PRECISION_BF16], 0);
  qb_profile_unref(profile);
  qb_profile_unref(refined);
}

/* Candidates of each precision are searched by themselves: the faster hides no other. */
static void a_fast_precision_hides_no_other(void **state)
{
  const fixture *f = *state;
  qb_node_info info = QB_NODE_INFO_INIT;
  info.cpu = "processor";
  info.isa = QB_ISA_AVX2;
  info.cores = info.usable_threads = info.hardware_threads = 4;
  info.quota_cores = 4;
  static const qb__sustained compute[] = {{QB_ISA_AVX2, 1, 1e11}, {QB_ISA_AVX2, 4, 4e11}};
  static const qb_precision precisions[] = {QB_PRECISION_F32, QB_PRECISION_INT8};
  qb_node *node;
  qb_profile *profile;
  assert_ok(qb__node_new(f->context, &info, compute, 2, NULL, 0, &node));
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = 8;
  params.precisions = precisions;
  params.precision_count = 2;
  assert_ok(qb_profile_run(f->model, node, &params, NULL, NULL, &profile));
  uint32_t measured[3] = {0};
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &p); i++) {
    assert_int_equal(p.latency_ns, table_ns(&p.configuration, p.batch));
    measured[p.configuration.precision] += p.visits > 0;
  }
  assert_true(measured[QB_PRECISION_F32] > 0 && measured[QB_PRECISION_INT8] > 0);
  qb_profile_unref(profile);
  qb_node_unref(node);
}

static void the_time_budget_is_kept(void **state)
{
  fixture *f = *state;
  f->script.noisy = true;
  qb_profile_params params = two_batches();
  params.goal = 1e-9; /* no point is ever sure */
  params.configuration_count = 1;
  params.time_budget_ns = 4000000000;
  qb_profile *profile;
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &profile));
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  assert_ok(qb_profile_get_info(profile, &info));
  /* Half a visit more or less in each session: 50 ms, and rounds of up to 60 ms before and behind. */
  assert_in_range(info.measure_ns, params.time_budget_ns - 2 * 100000000,
                  params.time_budget_ns + 2 * 100000000);
  qb_profile_unref(profile);

  params.time_budget_ns = 1; /* every point is visited once all the same */
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &profile));
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  assert_ok(qb_profile_get_point(profile, 1, &p));
  assert_int_equal(p.visits, 1);
  qb_profile_unref(profile);
}

/* Both take so long that a visit is of one round, and they are visited in turn. */
static void timed_rounds_are_warm(void **state)
{
  fixture *f = *state;
  static const uint32_t batches[] = {8, 9};
  qb_profile_params params = two_batches();
  params.batches = batches;
  params.configuration_count = 1;
  params.time_budget_ns = 800000000; /* too little for one of them to be sure */
  f->script.cold = true;
  qb_profile *profile;
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &profile));
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &p); i++)
    assert_int_equal(p.latency_ns, table_ns(&p.configuration, p.batch));
  qb_profile_unref(profile);
}

/* Visits of the two batch sizes take about 60 and 460 ms. */
static void short_visits_are_the_more(void **state)
{
  fixture *f = *state;
  static const uint32_t batches[] = {1, 64};
  qb_profile_params params = two_batches();
  params.batches = batches;
  params.configuration_count = 1;
  params.goal = 1e-9;
  f->script.noisy = true;
  qb_profile *profile;
  qb_profile_point small = QB_PROFILE_POINT_INIT, large = QB_PROFILE_POINT_INIT;
  assert_ok(qb_profile_run(f->model, f->node, &params, NULL, NULL, &profile));
  assert_ok(qb_profile_get_point(profile, 0, &small));
  assert_ok(qb_profile_get_point(profile, 1, &large));
  const double ratio =
      (double)(small.visits + small.set_aside) / (double)(large.visits + large.set_aside);
  print_message("%.2f visits of batch 1 for one of 64\n", ratio);
  assert_true(ratio > 2 && ratio < 4);
  qb_profile_unref(profile);
}

typedef struct watcher {
  int calls, stop_at; /* 0: never */
  double fraction;
  int64_t elapsed_ns;
  bool wrong;
} watcher;

static bool watch(void *user, const qb_progress *progress)
{
  watcher *w = user;
  w->wrong |= progress->size != sizeof *progress || !(progress->fraction >= w->fraction) ||
              progress->fraction > 1 || progress->elapsed_ns < w->elapsed_ns || !is_host ||
              (progress->phase != QB_PHASE_PREPARE && progress->phase != QB_PHASE_MEASURE) ||
              (progress->batch != 1 && progress->batch != 5);
  w->fraction = progress->fraction;
  w->elapsed_ns = progress->elapsed_ns;
  return ++w->calls != w->stop_at;
}

static void progress_rises_to_the_end(void **state)
{
  fixture *f = *state;
  static const int64_t budgets[] = {0, 1, 1000000000};
  for (int noisy = 0; noisy < 2; noisy++)
    for (int i = 0; i < 3; i++) {
      watcher w = {0};
      qb_profile_params params = two_batches();
      params.time_budget_ns = budgets[i];
      f->script.noisy = noisy;
      qb_profile *profile;
      assert_ok(qb_profile_run(f->model, f->node, &params, watch, &w, &profile));
      assert_false(w.wrong);
      assert_true(w.fraction > 0.999);
      qb_profile_unref(profile);
    }
}

static void a_sweep_may_be_cancelled_at_any_call(void **state)
{
  const fixture *f = *state;
  const qb_profile_params params = two_batches();
  const long before = atomic_load(&f->allocator.live);
  qb_profile *profile = NULL;
  for (int n = 1;; n++) {
    watcher w = {.stop_at = n};
    const qb_status status = qb_profile_run(f->model, f->node, &params, watch, &w, &profile);
    if (w.calls < n) {
      assert_ok(status);
      assert_true(n > 20);
      break;
    }
    assert_status(status, QB_ERROR_CANCELLED);
    assert_int_equal(w.calls, n);
    assert_null(profile);
    assert_int_equal(atomic_load(&f->allocator.live), before);
  }
  qb_profile_unref(profile);
}

static void a_failing_workload_ends_the_sweep(void **state)
{
  fixture *f = *state;
  const qb_profile_params params = two_batches();
  const long before = atomic_load(&f->allocator.live);
  qb_profile *profile = NULL;
  for (uint32_t instance = 0; instance < 2; instance++) {
    f->script.fail_instance = instance;
    f->script.fail_run_at = 5;
    assert_status(qb_profile_run(f->model, f->node, &params, NULL, NULL, &profile),
                  QB_ERROR_ENGINE);
    assert_message("'script': run returned 9 for batch 5");
    f->script.fail_run_at = 0;
    f->script.fail_prepare_at = 1;
    assert_status(qb_profile_run(f->model, f->node, &params, NULL, NULL, &profile),
                  QB_ERROR_ENGINE);
    assert_message("'script': prepare returned 8 for batch 1");
    f->script.fail_prepare_at = 0;
  }
  assert_null(profile);
  assert_int_equal(atomic_load(&f->allocator.live), before);
}

static void bad_arguments_are_refused(void **state)
{
  const fixture *f = *state;
  static const uint32_t zero[] = {1, 0}, large[] = {QB_MAX_BATCH + 1};
  static const qb_configuration none = {0, 1}, reserved = {1, 1, .reserved = {1}};
  qb_profile_params wrong[9];
  for (int i = 0; i < 9; i++)
    wrong[i] = two_batches();
  wrong[0].max_batch = QB_MAX_BATCH + 1;
  wrong[1].batches = zero;
  wrong[2].batches = large;
  wrong[2].batch_count = 1;
  wrong[3].configurations = &none;
  wrong[3].configuration_count = 1;
  wrong[4].configurations = &reserved;
  wrong[4].configuration_count = 1;
  wrong[5].goal = NAN;
  wrong[6].goal = 1;
  wrong[7].time_budget_ns = -1;
  wrong[8].size = 4;
  qb_profile *profile = NULL;
  for (int i = 0; i < 9; i++)
    assert_status(qb_profile_run(f->model, f->node, &wrong[i], NULL, NULL, &profile),
                  QB_ERROR_INVALID_ARGUMENT);
  static const qb_configuration unknown[] = {{1, 1}, {1, 1, (qb_precision)3}};
  static const qb_precision precisions[] = {QB_PRECISION_F32, (qb_precision)-1};
  qb_profile_params unsupported = two_batches();
  unsupported.configurations = unknown;
  unsupported.configuration_count = 2;
  assert_status(qb_profile_run(f->model, f->node, &unsupported, NULL, NULL, &profile),
                QB_ERROR_INVALID_ARGUMENT);
  assert_message("configurations[1]");
  unsupported = two_batches();
  unsupported.precisions = precisions;
  unsupported.precision_count = 2;
  assert_status(qb_profile_run(f->model, f->node, &unsupported, NULL, NULL, &profile),
                QB_ERROR_INVALID_ARGUMENT);
  assert_message("precisions[1]");
  assert_status(qb_profile_run(NULL, f->node, NULL, NULL, NULL, &profile),
                QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_profile_run(f->model, NULL, NULL, NULL, NULL, &profile),
                QB_ERROR_INVALID_ARGUMENT);
  qb_node *unmeasured;
  assert_ok(qb__node_new(f->context, &f->node->info, NULL, 0, NULL, 0, &unmeasured));
  assert_status(qb_profile_run(f->model, unmeasured, NULL, NULL, NULL, &profile),
                QB_ERROR_INVALID_ARGUMENT);
  assert_message("compute power was not measured");
  qb_node_unref(unmeasured);
  assert_null(profile);
}

int main(void)
{
#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      IN_FIXTURE(profile_has_the_latencies_of_the_rounds),
      IN_FIXTURE(powers_of_two_and_the_largest_batch_are_the_default),
      IN_FIXTURE(a_known_profile_is_extended),
      IN_FIXTURE(runs_at_other_speeds_become_a_history),
      IN_FIXTURE(a_known_profile_gains_the_other_splits),
      IN_FIXTURE(candidates_are_measured_in_sessions_like_others),
      IN_FIXTURE(every_precision_asked_for_is_measured),
      IN_FIXTURE(a_fast_precision_hides_no_other),
      IN_FIXTURE(timed_rounds_are_warm),
      IN_FIXTURE(short_visits_are_the_more),
      IN_FIXTURE(the_time_budget_is_kept),
      IN_FIXTURE(progress_rises_to_the_end),
      IN_FIXTURE(a_sweep_may_be_cancelled_at_any_call),
      IN_FIXTURE(a_failing_workload_ends_the_sweep),
      IN_FIXTURE(bad_arguments_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
