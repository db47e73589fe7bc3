/* SPDX-License-Identifier: Apache-2.0 */
#include <qosbatch/mitigate.h>

#include "node/node_impl.h"
#include "profile/profile_impl.h"
#include "support/expect.h"

#include <math.h>

static qb_context *context;

static qb_profile_point point(uint32_t instances, uint32_t threads, uint32_t batch, double ms)
{
  const int64_t ns = (int64_t)(1e6 * ms);
  const qb_profile_point p = {.size = sizeof p,
                              .configuration = {instances, threads},
                              .batch = batch,
                              .latency_ns = ns,
                              .low_ns = ns,
                              .high_ns = ns,
                              .p95_ns = ns,
                              .mean_ns = ns,
                              .visits = 5};
  return p;
}

static qb_profile *profile_with_weights(const qb_profile_point *points, size_t count, double quota,
                                        double flops, uint64_t weight_bytes)
{
  static const qb__sustained compute[] = {{QB_ISA_AVX2, 1, 1e11},
                                          {QB_ISA_AVX2, 2, 2e11},
                                          {QB_ISA_AVX512, 1, 2e11},
                                          {QB_ISA_AVX512, 2, 4e11}};
  static const qb__sustained memory[] = {{QB_ISA_GENERIC, 1, 1e12}};
  qb_node_info node_info = QB_NODE_INFO_INIT;
  node_info.cpu = "test";
  node_info.isa = QB_ISA_AVX512;
  node_info.hardware_threads = node_info.cores = node_info.usable_threads = 2;
  node_info.numa_nodes = 1;
  node_info.quota_cores = quota;
  qb_node *node;
  qb_profile *profile;
  assert_ok(qb__node_new(context, &node_info, compute, 4, memory, 1, &node));
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  info.model = info.engine = info.library = "test";
  info.flops_per_sample = flops;
  info.weight_bytes = weight_bytes;
  assert_ok(qb__profile_new(context, node, &info, 1, points, count, &profile));
  qb_node_unref(node);
  return profile;
}

static qb_profile *profile_of(const qb_profile_point *points, size_t count, double quota,
                              double flops)
{
  return profile_with_weights(points, count, quota, flops, 0);
}

static void set_sizes(qb_mitigation list[8])
{
  for (int i = 0; i < 8; i++)
    list[i] = (qb_mitigation)QB_MITIGATION_INIT;
}

/* The mitigation of this kind, or NULL. */
static const qb_mitigation *find(const qb_profile *profile, const qb_configuration *k,
                                 uint32_t batch, qb_mitigation_kind kind)
{
  static qb_mitigation list[8];
  set_sizes(list);
  size_t count = 0;
  assert_ok(qb_mitigations(profile, k, batch, list, 8, &count));
  assert_true(count <= 8);
  const qb_mitigation *found = NULL;
  for (size_t i = 0; i < count; i++) {
    assert_true(list[i].gain >= 0.02 && strlen(list[i].text) > 20);
    if (list[i].kind == kind)
      found = &list[i];
  }
  return found;
}

static const qb_configuration ONE = {1, 1}, WIDE = {1, 2};

/* 10 ms once and 1 ms a sample, and a cliff behind batch 16. */
static void better_batches_are_suggested(void **state)
{
  (void)state;
  const qb_profile_point points[] = {point(1, 1, 1, 11), point(1, 1, 4, 14), point(1, 1, 16, 26),
                                     point(1, 1, 32, 64)};
  qb_profile *profile = profile_of(points, 4, 2, 0);
  const qb_mitigation *m = find(profile, &ONE, 1, QB_MITIGATION_LARGER_BATCH);
  assert_non_null(m);
  assert_int_equal(m->batch, 16);
  assert_true(fabs(m->gain - (11 / (26. / 16) - 1)) < 1e-6);
  assert_null(find(profile, &ONE, 16, QB_MITIGATION_LARGER_BATCH));
  assert_null(find(profile, &ONE, 16, QB_MITIGATION_SMALLER_BATCH));
  m = find(profile, &ONE, 32, QB_MITIGATION_SMALLER_BATCH);
  assert_non_null(m);
  assert_int_equal(m->batch, 16);
  assert_true(fabs(m->gain - (64. / 32 / (26. / 16) - 1)) < 1e-6);
  qb_profile_unref(profile);
}

static void better_configurations_are_suggested(void **state)
{
  (void)state;
  const qb_profile_point points[] = {point(1, 1, 1, 10), point(1, 2, 1, 7), point(2, 1, 1, 11)};
  qb_profile *profile = profile_of(points, 3, 2, 0);
  const qb_mitigation *m = find(profile, NULL, 1, QB_MITIGATION_MORE_INSTANCES);
  assert_non_null(m);
  assert_int_equal(m->configuration.instances, 2);
  assert_true(fabs(m->gain - (2 / 11. * 7 - 1)) < 1e-6);
  m = find(profile, &ONE, 1, QB_MITIGATION_MORE_THREADS);
  assert_non_null(m);
  assert_int_equal(m->configuration.threads, 2);
  assert_true(fabs(m->gain - (10 / 7. - 1)) < 1e-6);
  qb_profile_unref(profile);
}

/* 20 % more samples a second, if the clock was right: within 5 % it is so, within 15 % it may not be. */
static void uncertain_gains_are_not_suggested(void **state)
{
  (void)state;
  for (int sure = 0; sure < 2; sure++) {
    qb_profile_point points[] = {point(1, 1, 1, 12), point(1, 1, 2, 20), point(2, 1, 1, 20)};
    for (int i = 0; i < 3; i++) {
      const double error = sure ? 0.05 : 0.15;
      points[i].low_ns = (int64_t)((double)points[i].latency_ns * (1 - error));
      points[i].high_ns = (int64_t)((double)points[i].latency_ns * (1 + error));
    }
    qb_profile *profile = profile_of(points, 3, 2, 0);
    assert_int_equal(!!find(profile, &ONE, 1, QB_MITIGATION_LARGER_BATCH), sure);
    assert_int_equal(!!find(profile, &ONE, 1, QB_MITIGATION_MORE_INSTANCES), sure);
    qb_profile_unref(profile);
  }
}

static void a_larger_quota_is_suggested(void **state)
{
  (void)state;
  const qb_profile_point points[] = {point(1, 1, 1, 10), point(1, 2, 1, 8)};
  qb_profile *profile = profile_of(points, 2, 1.5, 0);
  const qb_mitigation *m = find(profile, &WIDE, 1, QB_MITIGATION_RAISE_QUOTA);
  assert_non_null(m);
  assert_true(fabs(m->gain - 1 / 3.) < 1e-6);
  assert_null(find(profile, &ONE, 1, QB_MITIGATION_RAISE_QUOTA));
  qb_profile_unref(profile);
}

/*
 * Twice the roof of the best instruction set, right at that of the one below; and weights that explain
 * half of such a time, with no arithmetic to blame.
 */
static void a_better_instruction_set_is_suggested(void **state)
{
  (void)state;
  const qb_profile_point slow[] = {point(1, 1, 1, 11)}, fast[] = {point(1, 1, 1, 5.5)};
  qb_profile *profile = profile_of(slow, 1, 2, 1e9);
  const qb_mitigation *m = find(profile, &ONE, 1, QB_MITIGATION_BETTER_ISA);
  assert_non_null(m);
  assert_true(fabs(m->gain - 1) < 1e-6);
  qb_profile_unref(profile);
  profile = profile_of(fast, 1, 2, 1e9);
  assert_null(find(profile, &ONE, 1, QB_MITIGATION_BETTER_ISA));
  qb_profile_unref(profile);
  const qb_profile_point streaming[] = {point(1, 1, 1, 10)};
  profile = profile_with_weights(streaming, 1, 2, 1e9, 4500000000);
  assert_null(find(profile, &ONE, 1, QB_MITIGATION_BETTER_ISA));
  qb_profile_unref(profile);
}

static void single_rounds_have_their_remedies(void **state)
{
  (void)state;
  qb_profile_point points[] = {point(1, 1, 1, 10), point(1, 1, 2, 20)};
  points[0].prepare_ns = 50000000;
  points[0].p95_ns = 12000000;
  qb_profile *profile = profile_of(points, 2, 2, 0);
  const qb_mitigation *m = find(profile, &ONE, 1, QB_MITIGATION_PREPARE);
  assert_non_null(m);
  assert_int_equal(m->gain_of, QB_GAIN_OF_FIRST_ROUND);
  assert_true(fabs(m->gain - 5) < 1e-6);
  m = find(profile, &ONE, 1, QB_MITIGATION_QUIETER_NODE);
  assert_non_null(m);
  assert_int_equal(m->gain_of, QB_GAIN_OF_P95);
  assert_true(fabs(m->gain - 0.2) < 1e-6);
  assert_null(find(profile, &ONE, 2, QB_MITIGATION_PREPARE));
  qb_profile_unref(profile);
}

/* As a host with a newer header has it. */
static void the_list_is_walked_by_the_size_of_its_elements(void **state)
{
  (void)state;
  const qb_profile_point points[] = {point(1, 1, 1, 11), point(1, 1, 4, 14), point(2, 1, 1, 11)};
  qb_profile *profile = profile_of(points, 3, 2, 0);
  struct {
    qb_mitigation ours;
    uint64_t newer;
  } newer[8];
  qb_mitigation list[8];
  set_sizes(list);
  for (int i = 0; i < 8; i++) {
    newer[i].ours = (qb_mitigation)QB_MITIGATION_INIT;
    newer[i].ours.size = sizeof newer[i];
    newer[i].newer = 77;
  }
  size_t count, same;
  assert_ok(qb_mitigations(profile, &ONE, 1, list, 8, &count));
  assert_ok(qb_mitigations(profile, &ONE, 1, &newer[0].ours, 8, &same));
  assert_true(count >= 2);
  assert_int_equal(same, count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(newer[i].ours.kind, list[i].kind);
    assert_string_equal(newer[i].ours.text, list[i].text);
    assert_int_equal(newer[i].newer, 0);
  }
  assert_int_equal(newer[count].newer, 77);
  qb_profile_unref(profile);
}

/* Measured, with what is known of the answers; or by c, where the processor has the instructions. */
static void lower_precisions_are_suggested(void **state)
{
  (void)state;
  qb_profile_point points[] = {point(1, 1, 1, 100), point(1, 1, 1, 40)};
  qb_profile *f32 = profile_of(points, 1, 2, 1e9), *all, *known;
  const qb_mitigation *m = find(f32, &ONE, 1, QB_MITIGATION_LOWER_PRECISION);
  assert_non_null(m); /* without VNNI twice as fast, and no bfloat16 */
  assert_int_equal(m->configuration.precision, QB_PRECISION_INT8);
  assert_non_null(strstr(m->text, "Try int8"));
  points[1].configuration.precision = QB_PRECISION_INT8;
  all = profile_of(points, 2, 2, 1e9);
  const qb_accuracy accuracy = {
      .size = sizeof accuracy, .precision = QB_PRECISION_INT8, .samples = 300, .agreeing = 297};
  assert_ok(qb_profile_with_accuracy(all, &accuracy, 1, &known));
  m = find(known, &ONE, 1, QB_MITIGATION_LOWER_PRECISION);
  assert_non_null(m);
  assert_true(fabs(m->gain - 1.5) < 1e-6);
  assert_non_null(strstr(m->text, "297 of 300 answers are as in f32"));
  const qb_configuration in_int8 = m->configuration;
  assert_null(find(known, &in_int8, 1, QB_MITIGATION_LOWER_PRECISION));
  qb_profile_unref(f32);
  qb_profile_unref(all);
  qb_profile_unref(known);
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  const qb_profile_point points[] = {point(1, 1, 1, 10)};
  qb_profile *profile = profile_of(points, 1, 2, 0);
  qb_mitigation list[8];
  set_sizes(list);
  size_t count = 77;
  assert_status(qb_mitigations(NULL, NULL, 1, list, 8, &count), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_mitigations(profile, NULL, 0, list, 8, &count), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_mitigations(profile, NULL, 1, NULL, 8, &count), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(count, 77);
  assert_ok(qb_mitigations(profile, NULL, 1, list, 8, &count));
  assert_int_equal(count, 0);
  assert_string_equal(qb_mitigation_name(QB_MITIGATION_PREPARE), "prepare");
  assert_string_equal(qb_mitigation_name((qb_mitigation_kind)99), "unknown");
  qb_profile_unref(profile);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(better_batches_are_suggested),
      cmocka_unit_test(better_configurations_are_suggested),
      cmocka_unit_test(uncertain_gains_are_not_suggested),
      cmocka_unit_test(a_larger_quota_is_suggested),
      cmocka_unit_test(a_better_instruction_set_is_suggested),
      cmocka_unit_test(single_rounds_have_their_remedies),
      cmocka_unit_test(the_list_is_walked_by_the_size_of_its_elements),
      cmocka_unit_test(lower_precisions_are_suggested),
      cmocka_unit_test(bad_arguments_are_refused),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
