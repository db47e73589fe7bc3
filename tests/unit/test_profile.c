/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model_impl.h"
#include "node/node_impl.h"
#include "profile/profile_impl.h"

#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/random_graph.h"

#include <qosbatch/inspect.h>

typedef struct fixture {
  failing_allocator allocator;
  qb_context *context;
  qb_node *node;
} fixture;

static qb_node_info node_info(void)
{
  qb_node_info info = QB_NODE_INFO_INIT;
  info.cpu = "Processor 7";
  info.isa = QB_ISA_AVX2;
  info.cores = 4;
  info.usable_threads = 4;
  info.quota_cores = 3.5;
  return info;
}

static qb_status new_node(qb_context *context, const qb_node_info *info, double flops,
                          qb_node **node)
{
  const qb__sustained compute = {info->isa, 1, flops};
  return qb__node_new(context, info, &compute, flops > 0, NULL, 0, node);
}

static int set_up(void **state)
{
  static fixture f;
  memset(&f, 0, sizeof f);
  *state = &f;
  f.context = failing_allocator_context(&f.allocator);
  const qb_node_info info = node_info();
  assert_ok(new_node(f.context, &info, 4e11, &f.node));
  return 0;
}

static int tear_down(void **state)
{
  fixture *f = *state;
  qb_node_unref(f->node);
  qb_context_unref(f->context);
  assert_int_equal(atomic_load(&f->allocator.live), 0);
  return 0;
}

static qb_profile_point point(uint32_t instances, uint32_t threads, uint32_t batch)
{
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  p.configuration.instances = instances;
  p.configuration.threads = threads;
  p.batch = batch;
  p.visits = 6;
  p.latency_ns = 1000 * batch;
  p.low_ns = 990 * batch;
  p.high_ns = 1010 * batch;
  p.p95_ns = 1005 * batch;
  p.mean_ns = 1001 * batch;
  return p;
}

static qb_status new_profile(qb_context *context, qb_node *node, const qb_profile_point *points,
                             size_t count, qb_profile **profile)
{
  char name[] = "network";
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  info.model = name;
  info.engine = "engine";
  info.library = "0.0";
  info.flops_per_sample = 3e9;
  info.points = 77; /* counted anew */
  const qb_status status = qb__profile_new(context, node, &info, 1e6, points, count, profile);
  name[0] = 'x';
  return status;
}

static void points_are_put_in_order(void **state)
{
  const fixture *f = *state;
  const qb_profile_point points[] = {point(2, 1, 8), point(1, 4, 2),  point(2, 1, 1),
                                     point(1, 1, 3), point(1, 4, 16), point(1, 1, 1)};
  static const uint32_t order[6][3] = {{1, 1, 1},  {1, 1, 3}, {1, 4, 2},
                                       {1, 4, 16}, {2, 1, 1}, {2, 1, 8}};
  qb_profile *profile;
  assert_ok(new_profile(f->context, f->node, points, 6, &profile));
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  assert_ok(qb_profile_get_info(profile, &info));
  assert_string_equal(info.model, "network");
  assert_int_equal(info.points, 6);
  assert_int_equal(info.configurations, 3);
  assert_int_equal(info.max_batch, 16);
  for (uint32_t i = 0; i < 6; i++) {
    qb_profile_point p = QB_PROFILE_POINT_INIT;
    assert_ok(qb_profile_get_point(profile, i, &p));
    assert_int_equal(p.configuration.instances, order[i][0]);
    assert_int_equal(p.configuration.threads, order[i][1]);
    assert_int_equal(p.batch, order[i][2]);
    assert_int_equal(p.latency_ns, 1000 * p.batch);
  }
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  assert_status(qb_profile_get_point(profile, 6, &p), QB_ERROR_NOT_FOUND);

  size_t count;
  const qb_configuration measured = {1, 4}, other = {4, 1}, lower = {1, 4, QB_PRECISION_INT8};
  const qb_profile_point *curve = qb__profile_curve(profile, &measured, &count);
  assert_int_equal(count, 2);
  assert_int_equal(curve[0].batch, 2);
  assert_int_equal(curve[1].batch, 16);
  qb__profile_curve(profile, &other, &count);
  assert_int_equal(count, 0);
  qb__profile_curve(profile, &lower, &count);
  assert_int_equal(count, 0);
  qb_profile_unref(profile);
}

/* Of layers of 3x3 windows, a 3x3 window of stride 2, and a 1x1 window, Winograd's algorithm computes the first. */
static void a_network_has_a_share_that_may_be_filtered(void **state)
{
  const fixture *f = *state;
  static const int64_t dims[3] = {8, 9, 9};
  static const qb__window windows[] = {{.kernel = {3, 3}, .strides = {1, 1}, .dilations = {1, 1}},
                                       {.kernel = {3, 3}, .strides = {2, 2}, .dilations = {1, 1}},
                                       {.kernel = {1, 1}, .strides = {1, 1}, .dilations = {1, 1}}};
  const qb_profile_point p = point(1, 1, 1);
  uint64_t random = 5;
  qb__graph graph;
  qb_model *model;
  qb_profile *profile, *copy;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  qb_operator_info first = QB_OPERATOR_INFO_INIT;
  qb__graph_init(&graph, f->context);
  int32_t x = qb__graph_input(&graph, "image", 3, dims);
  for (int i = 0; i < 3; i++)
    x = random_convolution(&random, &graph, x, 16, &windows[i]);
  qb__graph_output(&graph, x);
  assert_ok(qb__model_from_graph(&graph, "layers", &model));
  info.model = info.engine = info.library = "";
  info.flops_per_sample = qb__model_info(model)->flops_per_sample;
  assert_ok(qb__profile_new(f->context, f->node, &info, 0, &p, 1, &profile));
  assert_ok(qb_profile_get_info(profile, &info));
  assert_true(info.least_flops_per_sample == 0);
  assert_ok(qb__profile_take_operators(profile, model));
  assert_ok(qb__profile_copy(profile, &copy));
  assert_ok(qb_profile_get_info(copy, &info));
  assert_ok(qb_model_get_operator(model, 0, &first));
  assert_true(first.flops_per_sample > 0);
  assert_true(
      fabs(info.least_flops_per_sample - (info.flops_per_sample - 0.75 * first.flops_per_sample)) <
      1e-9 * info.flops_per_sample);
  qb_profile_unref(copy);
  qb_profile_unref(profile);
  qb_model_unref(model);
}

static void wrong_points_are_named(void **state)
{
  const fixture *f = *state;
  qb_profile_point wrong[11];
  for (int i = 0; i < 11; i++)
    wrong[i] = point(2, 3, 5);
  static const char *const fields[11] = {"instances",  "threads",    "batch",  "batch",
                                         "latency_ns", "low_ns",     "low_ns", "high_ns",
                                         "p95_ns",     "prepare_ns", "mean_ns"};
  wrong[0].configuration.instances = 0;
  wrong[1].configuration.threads = 0;
  wrong[2].batch = 0;
  wrong[3].batch = QB_MAX_BATCH + 1;
  wrong[4].latency_ns = 0;
  wrong[5].low_ns = 0;
  wrong[6].low_ns = wrong[6].latency_ns + 1;
  wrong[7].high_ns = wrong[7].latency_ns - 1;
  wrong[8].p95_ns = wrong[8].latency_ns - 1;
  wrong[9].prepare_ns = -1;
  wrong[10].mean_ns = wrong[10].latency_ns - 1;
  qb_profile *profile = NULL;
  for (int i = 0; i < 11; i++) {
    const qb_profile_point points[] = {point(1, 1, 1), wrong[i]};
    assert_status(new_profile(f->context, f->node, points, 2, &profile), QB_ERROR_INVALID_ARGUMENT);
    assert_message("points[1]");
    assert_message(fields[i]);
  }
  assert_status(new_profile(f->context, f->node, NULL, 0, &profile), QB_ERROR_INVALID_ARGUMENT);
  const qb_profile_point twice[] = {point(2, 3, 5), point(2, 3, 4), point(2, 3, 5)};
  assert_status(new_profile(f->context, f->node, twice, 3, &profile), QB_ERROR_INVALID_ARGUMENT);
  assert_message("2 instances of 3 threads in f32 at batch 5");
  assert_null(profile);
}

static void check_node_lists_every_difference(void **state)
{
  const fixture *f = *state;
  const qb_profile_point one = point(1, 1, 1);
  qb_profile *profile;
  assert_ok(new_profile(f->context, f->node, &one, 1, &profile));
  static const char *const parts[6] = {"'Processor 7', here 'Processor 8'",
                                       "avx2, here avx512",
                                       "4 cores, here 8",
                                       "3.5 cores, here 6",
                                       "400 GFLOP/s a thread, here 501",
                                       "a reserve of 0 cores, here 1"};
  for (int which = -1; which <= 6; which++) { /* none of them, each alone, all */
    qb_node_info info = node_info();
    double flops = 4e11;
    if (which == 0 || which == 6)
      info.cpu = "Processor 8";
    if (which == 1 || which == 6)
      info.isa = QB_ISA_AVX512;
    if (which == 2 || which == 6)
      info.cores = 8;
    if (which == 3 || which == 6)
      info.quota_cores = 6;
    if (which == 4 || which == 6)
      flops = 5.01e11;
    if (which == 5 || which == 6)
      info.reserve_cores = 1;
    qb_node *here;
    assert_ok(new_node(f->context, &info, flops, &here));
    assert_status(qb_profile_check(profile, NULL, here), which < 0 ? QB_OK : QB_ERROR_MISMATCH);
    for (int i = 0; which >= 0 && i < 6; i++)
      if (which == i || which == 6)
        assert_message(parts[i]);
      else
        assert_null(strstr(qb_error_message(), parts[i]));
    qb_node_unref(here);
  }
  qb_profile_unref(profile);
}

static void compute_power_may_differ_a_little_or_be_unknown(void **state)
{
  const fixture *f = *state;
  const qb_profile_point one = point(1, 1, 1);
  qb_profile *profile;
  assert_ok(new_profile(f->context, f->node, &one, 1, &profile));
  static const struct {
    double flops;
    qb_status expected;
  } cases[] = {{4.99e11, QB_OK},
               {3.01e11, QB_OK},
               {2.99e11, QB_ERROR_MISMATCH},
               {5.01e11, QB_ERROR_MISMATCH},
               {0, QB_OK}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const qb_node_info info = node_info();
    qb_node *here;
    assert_ok(new_node(f->context, &info, cases[i].flops, &here));
    assert_status(qb_profile_check(profile, NULL, here), cases[i].expected);
    qb_node_unref(here);
  }
  assert_ok(qb_profile_check(profile, NULL, NULL)); /* nothing to compare with */
  assert_status(qb_profile_check(NULL, NULL, f->node), QB_ERROR_INVALID_ARGUMENT);
  qb_profile_unref(profile);
}

static void a_profile_lives_until_its_last_reference(void **state)
{
  const fixture *f = *state;
  const qb_profile_point one = point(1, 1, 1);
  qb_profile *profile;
  assert_ok(new_profile(f->context, f->node, &one, 1, &profile));
  assert_ptr_equal(qb_profile_node(profile), f->node);
  assert_ptr_equal(qb_profile_ref(profile), profile);
  qb_profile_unref(profile);
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  assert_ok(qb_profile_get_info(profile, &info));
  info.size = 1;
  assert_status(qb_profile_get_info(profile, &info), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_profile_get_info(NULL, &info), QB_ERROR_INVALID_ARGUMENT);
  qb_profile_unref(profile);
  qb_profile_unref(NULL);
  assert_null(qb_profile_node(NULL));
}

static qb_status make(qb_context *context, void *user)
{
  (void)user;
  const qb_node_info info = node_info();
  const qb_profile_point points[] = {point(1, 1, 1), point(1, 1, 2)};
  qb_node *node = NULL;
  qb_profile *profile = NULL;
  qb_status status = new_node(context, &info, 4e11, &node);
  if (!status)
    status = new_profile(context, node, points, 2, &profile);
  qb_profile_unref(profile);
  qb_node_unref(node);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  check_every_allocation_failure(make, NULL);
}

int main(void)
{
#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      IN_FIXTURE(points_are_put_in_order),
      IN_FIXTURE(a_network_has_a_share_that_may_be_filtered),
      IN_FIXTURE(wrong_points_are_named),
      IN_FIXTURE(check_node_lists_every_difference),
      IN_FIXTURE(compute_power_may_differ_a_little_or_be_unknown),
      IN_FIXTURE(a_profile_lives_until_its_last_reference),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
