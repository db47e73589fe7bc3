/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/density.h"
#include "estimate/round_times.h"
#include "node/node_impl.h"
#include "profile/profile_impl.h"
#include "support/expect.h"
#include "support/random.h"
#include "support/random_profile.h"
#include "support/scripted_profile.h"
#include "support/unit.h"

#include <qosbatch/inspect.h>

#include <math.h>
#include <string.h>

static qb_context *context;

static qb_status estimate_on(const qb_profile *profile, const qb_node *node, qb_isa isa,
                             const qb_configuration *k, uint32_t batch, qb_latency_estimate *e)
{
  qb_where where = QB_WHERE_INIT;
  where.node = node;
  where.isa = isa;
  return qb_estimate(profile, k, batch, &where, e);
}

/* T = b F p / c, with c what one instance has while all run. */
static void estimates_obey_the_formula(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = 0; i < 500; i++) {
    qb_profile *profile = random_profile(context, &seed, 20);
    const size_t count = qb__configuration_count(profile);
    for (size_t c = 0; c < count; c++) {
      qb_configuration k;
      uint32_t max_batch;
      qb__configuration_at(profile, c, &k, &max_batch);
      double all_flops;
      assert_ok(qb_node_get_compute(qb_profile_node(profile), k.instances * k.threads, QB_ISA_BEST,
                                    QB_PRECISION_F32, &all_flops));
      for (uint32_t b = 1; b <= max_batch; b++) {
        qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
        assert_ok(qb_estimate(profile, &k, b, NULL, &e));
        assert_true(fabs(e.compute_flops_per_s * k.instances / all_flops - 1) < 1e-9);
        const double t = b * profile->info.flops_per_sample * e.density / e.compute_flops_per_s;
        assert_true(fabs(t * 1e9 / (double)e.latency_ns - 1) < 1e-6);
        assert_true(fabs(e.throughput_per_s * (double)e.latency_ns * 1e-9 / (k.instances * b) - 1) <
                    1e-6);
      }
    }
    qb_profile_unref(profile);
  }
}

/* Without a configuration: the one whose best point gives the most samples per second. */
static void the_best_configuration_is_the_default(void **state)
{
  (void)state;
  uint64_t seed = 8;
  for (int i = 0; i < 200; i++) {
    qb_profile *profile = random_profile(context, &seed, 20);
    double most = 0;
    qb_configuration best = {1, 1};
    qb_profile_point p = QB_PROFILE_POINT_INIT;
    for (uint32_t j = 0; !qb_profile_get_point(profile, j, &p); j++) {
      const double per_s = (double)p.configuration.instances * p.batch / (double)p.latency_ns;
      if (per_s > most) {
        most = per_s;
        best = p.configuration;
      }
    }
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    assert_ok(qb_estimate(profile, NULL, 1, NULL, &e));
    assert_memory_equal(&e.configuration, &best, sizeof best);
    qb_profile_unref(profile);
  }
}

/*
 * A configuration that was not measured: the compute power is its own, and the density is that of one
 * that was but for what teams of threads lose.
 */
static void a_configuration_that_was_not_measured_is_transferred(void **state)
{
  (void)state;
  uint64_t seed = 8;
  qb_profile *profile = random_profile(context, &seed, 20);
  qb_configuration k = {1, 1}, measured;
  uint32_t max_batch;
  qb__configuration_at(profile, 0, &measured, &max_batch);
  k.instances = 1;
  k.threads = 2;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(profile, &k, 1, NULL, &e));
  assert_int_equal(e.source, QB_SOURCE_TRANSFERRED);
  assert_true((double)e.high_ns / (double)e.latency_ns > 1.12);
  assert_true((double)e.low_ns / (double)e.latency_ns < 0.89);
  bool same_density = false;
  for (size_t c = 0; c < qb__configuration_count(profile); c++) {
    qb__configuration_at(profile, c, &measured, &max_batch);
    qb_latency_estimate from = QB_LATENCY_ESTIMATE_INIT;
    assert_ok(qb_estimate(profile, &measured, 1, NULL, &from));
    const double teams = 1.03 / (1 + 0.03 * log2(measured.threads));
    same_density |= fabs(from.density * teams / e.density - 1) < 1e-6;
  }
  assert_true(same_density);
  k.instances = k.threads = 65536; /* their product is more than 32 bits hold */
  assert_ok(qb_estimate(profile, &k, 1, NULL, &e));
  assert_true(fabs(e.compute_flops_per_s / (4e11 / 65536) - 1) < 1e-9);
  qb_profile_unref(profile);
}

/* Operators that compute follow c, those that wait for memory follow m. */
static void another_node_is_estimated_by_compute_and_memory(void **state)
{
  (void)state;
  uint64_t seed = 8;
  qb_profile *profile = random_profile(context, &seed, 20);
  static const qb__sustained halved[] = {{QB_ISA_AVX2, 1, 0.5e11}, {QB_ISA_AVX2, 4, 2e11}};
  static const qb__sustained without_fma[] = {{QB_ISA_SSE41, 1, 0.5e11}, {QB_ISA_SSE41, 4, 2e11}};
  static const qb__sustained wide[] = {{QB_ISA_AVX512, 1, 0.5e11}, {QB_ISA_AVX512, 4, 2e11}};
  static const qb__sustained memory[] = {{QB_ISA_GENERIC, 1, 1e10}};
  qb_node_info info = qb_profile_node(profile)->info;
  qb_node *slower, *plain, *many_registers, *unmeasured;
  assert_ok(qb__node_new(context, &info, halved, 2, memory, 1, &slower));
  assert_ok(qb__node_new(context, &info, without_fma, 2, memory, 1, &plain));
  info.isa = QB_ISA_AVX512;
  assert_ok(qb__node_new(context, &info, wide, 2, memory, 1, &many_registers));
  info.cpu = "another";
  assert_ok(qb__node_new(context, &info, NULL, 0, NULL, 0, &unmeasured));
  qb_configuration k;
  uint32_t max_batch;
  qb__configuration_at(profile, 0, &k, &max_batch);
  qb_latency_estimate here = QB_LATENCY_ESTIMATE_INIT, there = QB_LATENCY_ESTIMATE_INIT;
  static const qb__operator_work compute = {1e9, 0, 0};
  assert_ok(qb__profile_set_operators(profile, &compute, 1));
  for (uint32_t b = 1; b <= max_batch; b++) {
    assert_ok(qb_estimate(profile, &k, b, NULL, &here));
    assert_ok(estimate_on(profile, slower, QB_ISA_BEST, &k, b, &there));
    assert_int_equal(there.source, QB_SOURCE_TRANSFERRED);
    assert_true(fabs((double)there.latency_ns / (double)here.latency_ns - 2) < 1e-6);
    assert_true(fabs(there.density / here.density - 1) < 1e-6);
    assert_true(there.low_ns < there.latency_ns && there.latency_ns < there.high_ns);
    assert_true(there.memory_share == 0);
    assert_ok(estimate_on(profile, plain, QB_ISA_SSE41, &k, b, &there));
    assert_true(fabs((double)there.latency_ns / (double)here.latency_ns - 2) < 1e-6);
    assert_ok(estimate_on(profile, many_registers, QB_ISA_BEST, &k, b, &there));
    assert_true(fabs((double)there.latency_ns / (double)here.latency_ns - 2 * 0.85) < 1e-6);
  }
  assert_status(estimate_on(profile, unmeasured, QB_ISA_BEST, &k, 1, &there), QB_ERROR_NOT_FOUND);
  assert_status(estimate_on(profile, slower, QB_ISA_SSE41, &k, 1, &there), QB_ERROR_NOT_FOUND);
  qb_node_unref(slower);
  qb_node_unref(plain);
  qb_node_unref(many_registers);
  qb_node_unref(unmeasured);
  qb_profile_unref(profile);
}

static void a_node_like_the_profiled_one_has_the_measured_times(void **state)
{
  (void)state;
  uint64_t seed = 8;
  qb_profile *profile = random_profile(context, &seed, 20);
  static const qb__sustained a_little_less[] = {{QB_ISA_AVX2, 1, 0.9e11}, {QB_ISA_AVX2, 4, 3e11}};
  qb_node_info info = qb_profile_node(profile)->info;
  qb_node *alike, *smaller;
  assert_ok(qb__node_new(context, &info, a_little_less, 2, NULL, 0, &alike));
  info.quota_cores = 2;
  assert_ok(qb__node_new(context, &info, a_little_less, 2, NULL, 0, &smaller));
  qb_latency_estimate here = QB_LATENCY_ESTIMATE_INIT, there = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(profile, NULL, 1, NULL, &here));
  assert_ok(estimate_on(profile, alike, QB_ISA_BEST, NULL, 1, &there));
  assert_int_equal(there.source, here.source);
  assert_int_equal(there.latency_ns, here.latency_ns);
  assert_int_equal(there.low_ns, here.low_ns);
  assert_int_equal(there.high_ns, here.high_ns);
  assert_int_equal(there.p95_ns, here.p95_ns);
  assert_int_equal(there.mean_ns, here.mean_ns);
  assert_ok(estimate_on(profile, smaller, QB_ISA_BEST, NULL, 1, &there));
  assert_int_equal(there.source, QB_SOURCE_TRANSFERRED);
  qb_node_unref(alike);
  qb_node_unref(smaller);
  qb_profile_unref(profile);
}

static void memory_beside_weights_goes_with_instances(void **state)
{
  (void)state;
  const qb_configuration two = {2, 1}, six = {6, 1};
  qb_profile *profile = scripted_profile(context, &two, 1, 5, 1, 1.05);
  profile->info.weight_bytes = 1000;
  profile->points[0].memory_bytes = 1400;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(profile, &six, 1, NULL, &e));
  assert_int_equal(e.memory_bytes, 1000 + 3 * 400);
  qb_profile_unref(profile);
}

/* Beside the weights of 1000 bytes, one more instance takes 400, and one on another NUMA node its own weights. */
static void each_numa_node_may_hold_the_weights(void **state)
{
  (void)state;
  const qb_configuration one = {1, 1}, two = {2, 1}, six = {6, 1};
  qb_profile *profile = scripted_profile(context, &two, 1, 5, 1, 1.05);
  qb_node_info *node = &profile->node->info;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  node->numa_nodes = 4;
  node->memory_bytes = 48000;
  profile->info.weight_bytes = 1000;
  profile->points[0].memory_bytes = 2800;
  const char *engine = profile->info.engine; /* a host's holds them once, whatever the node */
  assert_ok(qb_estimate(profile, &six, 1, NULL, &e));
  assert_int_equal(e.memory_bytes, 1000 + 3 * 1800);
  profile->info.engine = "oneDNN 2.6.3";
  assert_ok(qb_estimate(profile, &one, 1, NULL, &e));
  assert_int_equal(e.memory_bytes, 1000 + 400);
  assert_ok(qb_estimate(profile, &six, 1, NULL, &e));
  assert_int_equal(e.memory_bytes, 4 * 1000 + 6 * 400);
  node->memory_bytes = 40000; /* too small for three copies */
  assert_ok(qb_estimate(profile, &six, 1, NULL, &e));
  assert_int_equal(e.memory_bytes, 1000 + 6 * 400);
  node->l3_bytes = 1000;
  assert_ok(qb_estimate(profile, &six, 1, NULL, &e));
  assert_int_equal(e.memory_bytes, 1000 + 3 * 1800);
  profile->info.engine = engine;
  qb_profile_unref(profile);
}

/* Layer by layer: the sum of the larger of arithmetic and traffic. */
static void the_roofline_is_summed_by_layer(void **state)
{
  (void)state;
  uint64_t seed = 8;
  qb_profile *profile = random_profile(context, &seed, 20);
  static const qb__operator_work work[] = {{100, 10, 0}, {20, 0, 1000}};
  const qb__instance_roof roof = {10, 5, 5, 1};
  assert_ok(qb__profile_set_operators(profile, work, 2));
  qb__roofline r = qb__roofline_of(profile, 3, &roof);
  assert_true(fabs(r.time_s - (30 + 200)) < 1e-9); /* 300 / 10 > 30 / 5; 1000 / 5 > 60 / 10 */
  assert_true(fabs(r.memory_s - 200) < 1e-9);
  assert_true(fabs(qb__serial_s(profile, 3, &roof) - (30 + 6 + 6 + 200)) < 1e-9);
  r = qb__roofline_of(profile, 1000, &roof);
  assert_true(r.memory_s == 0);
  qb_profile_unref(profile);
}

/* Instances share c and the traffic of activations, but each gets the weights as if it were alone. */
static void instances_share_compute_and_memory(void **state)
{
  (void)state;
  uint64_t seed = 8;
  qb_profile *profile = random_profile(context, &seed, 20);
  static const qb__sustained compute[] = {{QB_ISA_AVX2, 1, 100}, {QB_ISA_AVX2, 4, 400}};
  static const qb__sustained memory[] = {{QB_ISA_GENERIC, 1, 40}, {QB_ISA_GENERIC, 4, 60}};
  qb_node *node;
  const qb_node_info info = qb_profile_node(profile)->info;
  assert_ok(qb__node_new(context, &info, compute, 2, memory, 2, &node));
  const qb_configuration four = {4, 1}, team = {1, 4};
  const qb__instance_roof each = qb__instance_roof_of(node, QB_ISA_AVX2, &four);
  const qb__instance_roof one = qb__instance_roof_of(node, QB_ISA_AVX2, &team);
  assert_true(each.flops == 100 && each.bytes_per_s == 15 && each.weight_bytes_per_s == 40);
  assert_true(one.flops == 400 && one.bytes_per_s == 60 && one.weight_bytes_per_s == 60);
  qb_node_unref(node);
  qb_profile_unref(profile);
}

/* Rounds that a quota holds up half of the time take twice as long in the mean, there and back. */
static void a_quota_lengthens_the_mean(void **state)
{
  (void)state;
  uint64_t seed = 8;
  qb_profile *profile = random_profile(context, &seed, 20);
  static const qb__sustained compute[] = {{QB_ISA_AVX2, 1, 1e11}, {QB_ISA_AVX2, 4, 4e11}};
  qb_node_info info = qb_profile_node(profile)->info;
  qb_configuration k;
  uint32_t max_batch;
  qb__configuration_at(profile, 0, &k, &max_batch);
  const double longer = 2;
  info.quota_cores = fmin((double)k.instances * k.threads, info.usable_threads) / longer;
  qb_node *throttled;
  assert_ok(qb__node_new(context, &info, compute, 2, NULL, 0, &throttled));
  qb_latency_estimate here = QB_LATENCY_ESTIMATE_INIT, there = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(profile, &k, 1, NULL, &here));
  assert_ok(estimate_on(profile, throttled, QB_ISA_BEST, &k, 1, &there));
  assert_true(fabs((double)there.latency_ns / (double)here.latency_ns / longer - 1) < 1e-6);
  assert_true(fabs((double)there.mean_ns / (double)here.mean_ns / longer - 1) < 1e-6);

  for (size_t i = 0; i < profile->point_count; i++) /* as a profile made there has it */
    profile->points[i].mean_ns = (int64_t)(longer * (double)profile->points[i].mean_ns);
  qb_node *free_node = profile->node;
  profile->node = throttled;
  assert_ok(estimate_on(profile, free_node, QB_ISA_BEST, &k, 1, &there));
  assert_true(fabs((double)there.mean_ns / (double)here.mean_ns - 1) < 1e-6);
  assert_true(there.latency_ns >= here.latency_ns);
  profile->node = free_node;
  qb_node_unref(throttled);
  qb_profile_unref(profile);
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  uint64_t seed = 8;
  qb_profile *profile = random_profile(context, &seed, 20);
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  e.batch = 77;
  qb_configuration k = {1, 1};
  assert_status(qb_estimate(profile, NULL, 0, NULL, &e), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_estimate(profile, NULL, QB_MAX_BATCH + 1, NULL, &e), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_estimate(NULL, NULL, 1, NULL, &e), QB_ERROR_INVALID_ARGUMENT);
  k.threads = 0;
  assert_status(qb_estimate(profile, &k, 1, NULL, &e), QB_ERROR_INVALID_ARGUMENT);
  e.size = 3;
  assert_status(qb_estimate(profile, NULL, 1, NULL, &e), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(e.batch, 77);
  assert_string_equal(qb_source_name(QB_SOURCE_MEASURED), "measured");
  assert_string_equal(qb_source_name((qb_source)99), "unknown");
  assert_string_equal(qb_bound_name(QB_BOUND_MEMORY), "memory");
  qb_profile_unref(profile);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(estimates_obey_the_formula),
      cmocka_unit_test(the_best_configuration_is_the_default),
      cmocka_unit_test(a_configuration_that_was_not_measured_is_transferred),
      cmocka_unit_test(another_node_is_estimated_by_compute_and_memory),
      cmocka_unit_test(a_node_like_the_profiled_one_has_the_measured_times),
      cmocka_unit_test(memory_beside_weights_goes_with_instances),
      cmocka_unit_test(each_numa_node_may_hold_the_weights),
      cmocka_unit_test(the_roofline_is_summed_by_layer),
      cmocka_unit_test(instances_share_compute_and_memory),
      cmocka_unit_test(a_quota_lengthens_the_mean),
      cmocka_unit_test(bad_arguments_are_refused),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
