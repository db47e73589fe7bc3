/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node_impl.h"

#include "core/error.h"

#include "support/expect.h"
#include "support/failing_allocator.h"

#include <qosbatch/inspect.h>

#include <math.h>
#include <sched.h>
#include <stdio.h>

enum { QUICK_NS = 1 }; /* a budget that is spent at once: the fewest passes */

static qb_context *context;

static int make_context(void **state)
{
  (void)state;
  return qb_context_new(NULL, &context) ? -1 : 0;
}

static int drop_context(void **state)
{
  (void)state;
  qb_context_unref(context);
  return 0;
}

static qb_node *detect(double price_per_hour, int64_t measure_budget_ns)
{
  qb_node_params params = QB_NODE_PARAMS_INIT;
  params.price_per_hour = price_per_hour;
  params.measure_budget_ns = measure_budget_ns;
  qb_node *node = NULL;
  assert_ok(qb_node_detect(context, &params, &node));
  return node;
}

static qb_node_info info_of(const qb_node *node)
{
  qb_node_info info = QB_NODE_INFO_INIT;
  assert_ok(qb_node_get_info(node, &info));
  return info;
}

static double flops_of(const qb_node *node, uint32_t threads, qb_isa isa)
{
  double flops = -1;
  assert_ok(qb_node_get_compute(node, threads, isa, QB_PRECISION_F32, &flops));
  return flops;
}

static double bandwidth_of(const qb_node *node, uint32_t threads)
{
  double bytes_per_s = -1;
  assert_ok(qb_node_get_bandwidth(node, threads, &bytes_per_s));
  return bytes_per_s;
}

static void instruction_sets_have_names(void **state)
{
  (void)state;
  assert_string_equal(qb_isa_name(QB_ISA_AVX2), "avx2");
  assert_string_equal(qb_isa_name((qb_isa)-1), "unknown");
  assert_string_equal(qb_isa_name((qb_isa)(QB_ISA_AVX512 + 1)), "unknown");
  for (int i = QB_ISA_BEST; i <= QB_ISA_AVX512; i++)
    for (int j = QB_ISA_BEST; j < i; j++)
      assert_string_not_equal(qb_isa_name((qb_isa)i), qb_isa_name((qb_isa)j));
}

static void detected_node_is_plausible(void **state)
{
  (void)state;
  qb_node *node = detect(1.25, -1);
  const qb_node_info info = info_of(node);
  assert_true(strlen(info.cpu) > 0);
  assert_in_range(info.cores, 1, info.hardware_threads);
  assert_true(info.quota_cores > 0 && info.quota_cores <= info.hardware_threads);
  assert_in_range(info.usable_threads, 1, info.cores);
  assert_true(info.usable_threads == info.cores || info.usable_threads >= info.quota_cores);
  assert_true(info.numa_nodes >= 1);
  assert_in_range(info.isa, QB_ISA_GENERIC, QB_ISA_AVX512);
  assert_true(info.memory_bytes > 1 << 20);
  assert_true(info.price_per_hour == 1.25);
  qb_node_unref(node);
}

static void negative_budget_does_not_measure(void **state)
{
  (void)state;
  qb_node *node = detect(0, -1);
  const qb_node_info info = info_of(node);
  assert_true(info.compute_flops_per_s == 0 && info.memory_bytes_per_s == 0);
  double figure = 77;
  assert_status(qb_node_get_compute(node, 1, QB_ISA_BEST, QB_PRECISION_F32, &figure),
                QB_ERROR_NOT_FOUND);
  assert_message(info.cpu);
  assert_status(qb_node_get_bandwidth(node, 1, &figure), QB_ERROR_NOT_FOUND);
  assert_message("not measured");
  assert_true(figure == 77);
  qb_node_unref(node);
}

static void measured_figures_are_in_order(void **state)
{
  (void)state;
  qb_node *node = detect(0, QUICK_NS);
  const qb_node_info info = info_of(node);
  assert_true(info.compute_flops_per_s == flops_of(node, info.usable_threads, QB_ISA_BEST));
  assert_true(info.memory_bytes_per_s == bandwidth_of(node, info.usable_threads));
  assert_true(flops_of(node, 1, QB_ISA_BEST) == flops_of(node, 1, info.isa));
  for (uint32_t threads = 1; threads <= info.usable_threads; threads++) {
    for (qb_isa isa = QB_ISA_GENERIC; isa <= info.isa; isa++) {
      const double flops = flops_of(node, threads, isa);
      assert_true(isfinite(flops) && flops > 1e7);
      if (isa > QB_ISA_GENERIC)
        assert_true(flops >= flops_of(node, threads, isa - 1));
    }
    assert_true(bandwidth_of(node, threads) > 1e7);
  }
  const double slowest = qb__node_slowest_share(node, info.cores);
  assert_true(slowest > 0 && slowest <= 1);
  double figure;
  if (info.isa < QB_ISA_AVX512) {
    assert_status(qb_node_get_compute(node, 1, info.isa + 1, QB_PRECISION_F32, &figure),
                  QB_ERROR_NOT_FOUND);
    assert_message(qb_isa_name(info.isa + 1));
  }
  qb_node_unref(node);
}

static void state_of_the_host_is_left_alone(void **state)
{
  (void)state;
  cpu_set_t before, after;
  assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
  (void)qb__fail(QB_ERROR_IO, "the host's last failure");
  qb_node_unref(detect(0, QUICK_NS));
  assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
  assert_true(CPU_EQUAL(&before, &after));
  assert_string_equal(qb_error_message(), "the host's last failure");
}

static void prices_that_are_none_are_refused(void **state)
{
  (void)state;
  const double wrong[] = {NAN, -NAN, INFINITY, -INFINITY, -0.01};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    qb_node_params params = QB_NODE_PARAMS_INIT;
    params.price_per_hour = wrong[i];
    params.measure_budget_ns = -1;
    qb_node *node = NULL;
    assert_status(qb_node_detect(context, &params, &node), QB_ERROR_INVALID_ARGUMENT);
    assert_message("price_per_hour");
    assert_null(node);
  }
}

static void a_reserve_is_left_of_the_usable_cores(void **state)
{
  (void)state;
  qb_node *node = detect(0, -1);
  const uint32_t all = info_of(node).usable_threads, cores = info_of(node).cores;
  assert_int_equal(info_of(node).reserve_cores, 0);
  qb_node_unref(node);
  qb_node_params params = QB_NODE_PARAMS_INIT;
  params.measure_budget_ns = -1;
  for (params.reserve_cores = 0; params.reserve_cores < all; params.reserve_cores++) {
    assert_ok(qb_node_detect(context, &params, &node));
    const qb_node_info info = info_of(node);
    assert_int_equal(info.usable_threads, all - params.reserve_cores);
    assert_int_equal(info.reserve_cores, params.reserve_cores);
    assert_int_equal(info.cores, cores);
    qb_node_unref(node);
  }
  const uint32_t wrong[] = {all, all + 1, UINT32_MAX};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char message[128];
    params.reserve_cores = wrong[i];
    node = NULL;
    assert_status(qb_node_detect(context, &params, &node), QB_ERROR_INVALID_ARGUMENT);
    snprintf(message, sizeof message,
             "reserve_cores %u leaves none of this node's %u usable cores; reserve %u at most",
             wrong[i], all, all - 1);
    assert_message(message);
    assert_null(node);
  }
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  qb_node *node = NULL;
  qb_node_params params = QB_NODE_PARAMS_INIT;
  params.size = 3;
  assert_status(qb_node_detect(context, &params, &node), QB_ERROR_INVALID_ARGUMENT);
  assert_message("qb_node_params.size");
  assert_status(qb_node_detect(NULL, NULL, &node), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_detect(context, NULL, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_null(node);

  node = detect(0, -1);
  double figure = 77;
  qb_node_info info = QB_NODE_INFO_INIT;
  assert_status(qb_node_get_info(NULL, &info), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_get_info(node, NULL), QB_ERROR_INVALID_ARGUMENT);
  info.size = 8;
  assert_status(qb_node_get_info(node, &info), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_get_compute(NULL, 1, QB_ISA_BEST, QB_PRECISION_F32, &figure),
                QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_get_compute(node, 0, QB_ISA_BEST, QB_PRECISION_F32, &figure),
                QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_get_compute(node, 1, QB_ISA_BEST, QB_PRECISION_F32, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_get_bandwidth(NULL, 1, &figure), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_get_bandwidth(node, 0, &figure), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_get_bandwidth(node, 1, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_true(figure == 77);
  qb_node_unref(node);
  qb_node_unref(NULL);
  assert_null(qb_node_ref(NULL));
}

/* Measured with 1, 2, 4 and 8 threads; GENERIC with 2 only. */
static qb_status new_node_of_tables(qb_context *owner, qb_node **node)
{
  static const qb__sustained compute[] = {{QB_ISA_GENERIC, 2, 5},
                                          {QB_ISA_AVX2, 1, 100},
                                          {QB_ISA_AVX2, 2, 180},
                                          {QB_ISA_AVX2, 4, 320},
                                          {QB_ISA_AVX2, 8, 300}};
  static const qb__sustained bandwidth[] = {{QB_ISA_BEST, 1, 10}, {QB_ISA_BEST, 4, 40}};
  qb_node_info info = QB_NODE_INFO_INIT;
  char name[] = "some cpu";
  info.cpu = name;
  info.usable_threads = 3;
  info.compute_flops_per_s = info.memory_bytes_per_s = 77; /* worked out, not taken */
  const qb_status status = qb__node_new(owner, &info, compute, 5, bandwidth, 2, node);
  name[0] = 'X';
  return status;
}

static void the_slowest_core_of_many_has_a_share_of_their_mean(void **state)
{
  (void)state;
  static const qb__core_speed cores[] = {{4, 50}, {7, 100}, {2, 100}, {0, 50}};
  static const double shares[] = {1, 1, 0.6, 50.0 / 75, 50.0 / 75};
  qb_node *node = NULL;
  assert_ok(new_node_of_tables(context, &node));
  assert_true(qb__node_slowest_share(node, 2) == 1);
  assert_ok(qb__node_set_cores(node, cores, 4));
  for (uint32_t threads = 1; threads <= 5; threads++)
    assert_true(fabs(qb__node_slowest_share(node, threads) - shares[threads - 1]) < 1e-12);
  qb_node_unref(node);
}

static void figures_between_the_measured_threads_are_interpolated(void **state)
{
  (void)state;
  qb_node *node = NULL;
  assert_ok(new_node_of_tables(context, &node));
  static const struct {
    uint32_t threads;
    double flops, bytes_per_s;
  } expected[] = {{1, 100, 10}, {2, 180, 20}, {3, 250, 30}, {4, 320, 40},         {5, 315, 40},
                  {7, 305, 40}, {8, 300, 40}, {9, 300, 40}, {UINT32_MAX, 300, 40}};
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    assert_true(fabs(flops_of(node, expected[i].threads, QB_ISA_AVX2) - expected[i].flops) < 1e-9);
    assert_true(fabs(bandwidth_of(node, expected[i].threads) - expected[i].bytes_per_s) < 1e-9);
  }
  qb_node_unref(node);
}

static void best_is_the_last_instruction_set_that_was_measured(void **state)
{
  (void)state;
  qb_node *node = NULL;
  assert_ok(new_node_of_tables(context, &node));
  assert_true(flops_of(node, 4, QB_ISA_BEST) == 320);
  for (uint32_t threads = 1; threads < 5; threads++)
    assert_true(flops_of(node, threads, QB_ISA_GENERIC) == 5);
  const int missing[] = {QB_ISA_SSE41, QB_ISA_AVX, QB_ISA_AVX512, -1, 1000};
  for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
    double flops = 77;
    assert_status(qb_node_get_compute(node, 1, (qb_isa)missing[i], QB_PRECISION_F32, &flops),
                  QB_ERROR_NOT_FOUND);
    assert_true(flops == 77);
  }
  qb_node_unref(node);
}

static void description_is_a_copy_with_the_figures_worked_out(void **state)
{
  (void)state;
  qb_node *node = NULL;
  assert_ok(new_node_of_tables(context, &node));
  const qb_node_info info = info_of(node);
  assert_string_equal(info.cpu, "some cpu");
  assert_true(info.compute_flops_per_s == 250);
  assert_true(info.memory_bytes_per_s == 30);
  qb_node_unref(node);
}

static void node_keeps_its_context(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *own = failing_allocator_context(&allocator);
  qb_node *node = NULL;
  assert_ok(new_node_of_tables(own, &node));
  qb_context_unref(own);
  assert_ptr_equal(qb_node_ref(node), node);
  qb_node_unref(node);
  assert_true(flops_of(node, 1, QB_ISA_AVX2) == 100);
  qb_node_unref(node);
  assert_int_equal(atomic_load(&allocator.live), 0);
}

static qb_status make(qb_context *owner, void *user)
{
  (void)user;
  qb_node *node = NULL;
  const qb_status status = new_node_of_tables(owner, &node);
  qb_node_unref(node);
  return status;
}

static qb_status detect_only(qb_context *owner, void *user)
{
  (void)user;
  qb_node_params params = QB_NODE_PARAMS_INIT;
  params.measure_budget_ns = -1;
  qb_node *node = NULL;
  const qb_status status = qb_node_detect(owner, &params, &node);
  qb_node_unref(node);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  assert_int_equal(check_every_allocation_failure(make, NULL), 4);
  assert_true(check_every_allocation_failure(detect_only, NULL) >= 6);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(instruction_sets_have_names),
      cmocka_unit_test(detected_node_is_plausible),
      cmocka_unit_test(negative_budget_does_not_measure),
      cmocka_unit_test(measured_figures_are_in_order),
      cmocka_unit_test(state_of_the_host_is_left_alone),
      cmocka_unit_test(prices_that_are_none_are_refused),
      cmocka_unit_test(a_reserve_is_left_of_the_usable_cores),
      cmocka_unit_test(the_slowest_core_of_many_has_a_share_of_their_mean),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(figures_between_the_measured_threads_are_interpolated),
      cmocka_unit_test(best_is_the_last_instruction_set_that_was_measured),
      cmocka_unit_test(description_is_a_copy_with_the_figures_worked_out),
      cmocka_unit_test(node_keeps_its_context),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, make_context, drop_context);
}
