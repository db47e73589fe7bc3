/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/precision.h"
#include "node/node_impl.h"
#include "profile/profile_impl.h"
#include "support/expect.h"
#include "support/precise_profile.h"
#include "support/scratch_folder.h"

#include <qosbatch/inspect.h>
#include <qosbatch/planning.h>

#include <math.h>

enum { MAX_BATCH = 4, SERVICE_EACH = 4 };

static qb_context *context;

static double lower_end(const qb_profile *profile, qb_precision precision)
{
  qb_accuracy a = QB_ACCURACY_INIT;
  return qb_profile_get_accuracy(profile, precision, &a) ? 0 : 100 * a.low;
}

static qb_job_plan job_plan_of(qb_profile *profile, const qb_qos *qos)
{
  qb_job job = QB_JOB_INIT;
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  job.samples = 1000;
  assert_ok(qb_plan_job(&profile, 1, &job, qos, &plan, NULL));
  return plan;
}

static qb_service_plan service_plan_of(qb_profile *profile, const qb_qos *qos)
{
  qb_load load = QB_LOAD_INIT;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  load.rate_per_s = 20;
  assert_ok(qb_plan_service(&profile, 1, &load, qos, &plan, NULL));
  return plan;
}

/* To the nanosecond: the same bytes. */
static void without_accuracy_other_precisions_change_nothing(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = 0; i < random_cases(20); i++) {
    qb_profile *all, *f32 = precise_profile(context, &seed, MAX_BATCH, &all);
    qb_qos qos = QB_QOS_INIT;
    qos.latency_ns = (int64_t)random_int(&seed, 100000000, 400000000);
    const qb_job_plan job = job_plan_of(f32, &qos), same_job = job_plan_of(all, &qos);
    const qb_service_plan service = service_plan_of(f32, &qos);
    const qb_service_plan same_service = service_plan_of(all, &qos);
    assert_memory_equal(&job, &same_job, sizeof job);
    assert_memory_equal(&service, &same_service, sizeof service);
    qb_latency_estimate a = QB_LATENCY_ESTIMATE_INIT, b = QB_LATENCY_ESTIMATE_INIT;
    for (uint32_t n = 1; n <= 2 * MAX_BATCH; n++) {
      assert_ok(qb_estimate(f32, NULL, n, NULL, &a));
      assert_ok(qb_estimate(all, NULL, n, NULL, &b));
      assert_memory_equal(&a, &b, sizeof a);
    }
    qb_profile_unref(f32);
    qb_profile_unref(all);
  }
}

/* The best of the plans of profiles that have one precision each. */
static void a_plan_with_an_accuracy_is_the_best_of_those_that_qualify(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  int lower = 0;
  for (int i = 0; i < random_cases(40); i++) {
    qb_profile *all, *f32 = precise_profile(context, &seed, MAX_BATCH, &all);
    qb_qos qos = QB_QOS_INIT;
    qos.accuracy = 94 + 6 * random_unit(&seed);
    const qb_job_plan plan = job_plan_of(all, &qos);
    const qb_precision chosen = plan.configuration.precision;
    assert_true(chosen == QB_PRECISION_F32 || lower_end(all, chosen) >= qos.accuracy);
    int64_t least_ns = job_plan_of(f32, &qos).high_ns;
    for (qb_precision p = QB_PRECISION_BF16; p <= QB_PRECISION_INT8; p++) {
      qb_profile *alone;
      const size_t count = f32->point_count;
      assert_ok(qb__profile_new(context, all->node, &all->info, 1e6, all->points + p * count, count,
                                &alone));
      const int64_t high_ns = job_plan_of(alone, NULL).high_ns;
      if (lower_end(all, p) >= qos.accuracy && high_ns < least_ns)
        least_ns = high_ns;
      qb_profile_unref(alone);
    }
    assert_int_equal(plan.high_ns, least_ns);
    if (i % SERVICE_EACH == 0) {
      const qb_service_plan service = service_plan_of(all, &qos);
      const qb_precision running = service.configuration.precision;
      assert_true(running == QB_PRECISION_F32 || lower_end(all, running) >= qos.accuracy);
    }
    lower += chosen != QB_PRECISION_F32;
    qb_profile_unref(f32);
    qb_profile_unref(all);
  }
  assert_true(lower > 0 || !random_kinds_come_up(40));
}

/* Between what a precision reaches and all answers. */
static double more_than(double accuracy)
{
  return accuracy + (100 - accuracy) / 2;
}

/* An accuracy that keeps a faster precision out is the reason, and that of the faster plan is named. */
static void a_plan_names_the_accuracy_that_binds_it(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  int jobs = 0, services = 0;
  for (int i = 0; i < random_cases(12); i++) {
    qb_profile *all, *f32 = precise_profile(context, &seed, MAX_BATCH, &all);
    qb_qos qos = QB_QOS_INIT;
    qos.accuracy = 90;
    const qb_job_plan fast = job_plan_of(all, &qos);
    assert_int_equal(fast.reason, QB_REASON_THROUGHPUT);
    assert_true(fast.nearest.accuracy == 0);
    if (fast.configuration.precision != QB_PRECISION_F32) {
      qos.accuracy = more_than(lower_end(all, fast.configuration.precision));
      const qb_job_plan slow = job_plan_of(all, &qos);
      assert_true(slow.feasible && slow.high_ns > fast.high_ns);
      assert_int_equal(slow.reason, QB_REASON_ACCURACY);
      qos.accuracy = slow.nearest.accuracy;
      assert_int_equal(job_plan_of(all, &qos).high_ns, fast.high_ns);
      jobs++;
    }
    qos.accuracy = 90;
    const qb_service_plan soon = service_plan_of(all, &qos);
    if (soon.feasible && soon.configuration.precision != QB_PRECISION_F32) {
      qos.accuracy = more_than(lower_end(all, soon.configuration.precision));
      const qb_service_plan late = service_plan_of(all, &qos);
      if (late.feasible) {
        assert_int_equal(late.reason, QB_REASON_ACCURACY);
        qos.accuracy = late.nearest.accuracy;
        assert_int_equal(service_plan_of(all, &qos).latency_ns, soon.latency_ns);
        services++;
      }
    }
    qb_profile_unref(f32);
    qb_profile_unref(all);
  }
  assert_true((jobs > 0 && services > 0) || !random_kinds_come_up(12));
}

/* Other limits are broken sooner than the accuracy, and nearest.accuracy is the highest that will do. */
static void an_accuracy_is_missed_by_the_value_named(void **state)
{
  enum { SERVICES = 2 }; /* what is nearest to a service takes a second to find */
  (void)state;
  uint64_t seed = random_start();
  int jobs = 0, services = 0;
  for (int i = 0; i < random_cases(40); i++) {
    qb_profile *all, *f32 = precise_profile(context, &seed, MAX_BATCH, &all);
    qb_qos qos = QB_QOS_INIT;
    qos.accuracy = 90;
    const qb_job_plan fast = job_plan_of(all, &qos);
    qos.deadline_ns = fast.high_ns;
    qos.accuracy = more_than(lower_end(all, fast.configuration.precision));
    const qb_job_plan missed = job_plan_of(all, &qos);
    if (!missed.feasible) {
      assert_int_equal(missed.reason, QB_REASON_DEADLINE);
      assert_true(lower_end(all, missed.configuration.precision) >= qos.accuracy ||
                  missed.configuration.precision == QB_PRECISION_F32);
      qos.accuracy = missed.nearest.accuracy;
      assert_true(job_plan_of(all, &qos).feasible);
      qos.accuracy += 1e-6;
      assert_false(job_plan_of(all, &qos).feasible);
      jobs++;
    }
    qos = (qb_qos)QB_QOS_INIT;
    qos.accuracy = 90;
    const qb_service_plan soon =
        services < SERVICES ? service_plan_of(all, &qos) : (qb_service_plan)QB_SERVICE_PLAN_INIT;
    qos.latency_ns = soon.latency_ns;
    qos.accuracy = more_than(lower_end(all, soon.configuration.precision));
    if (soon.feasible && soon.configuration.precision != QB_PRECISION_F32) {
      const qb_service_plan late = service_plan_of(all, &qos);
      assert_false(late.feasible);
      assert_int_not_equal(late.reason, QB_REASON_ACCURACY);
      assert_true(lower_end(all, late.configuration.precision) >= qos.accuracy ||
                  late.configuration.precision == QB_PRECISION_F32);
      qos.accuracy = late.nearest.accuracy;
      assert_true(service_plan_of(all, &qos).feasible);
      qos.accuracy += 1e-6;
      assert_false(service_plan_of(all, &qos).feasible);
      services++;
    }
    qb_profile_unref(f32);
    qb_profile_unref(all);
  }
  assert_true((jobs > 0 && services > 0) || !random_kinds_come_up(40));
}

/* Where there are no 32-bit floats to fall back on. */
static void a_precision_alone_that_is_not_accurate_is_infeasible(void **state)
{
  (void)state;
  uint64_t seed = 8;
  qb_profile *all, *f32 = precise_profile(context, &seed, MAX_BATCH, &all), *alone, *known;
  const size_t count = f32->point_count;
  assert_ok(qb__profile_new(context, all->node, &all->info, 1e6,
                            all->points + QB_PRECISION_BF16 * count, count, &alone));
  qb_qos qos = QB_QOS_INIT;
  qb_job job = QB_JOB_INIT;
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  job.samples = 1000;
  qos.accuracy = 99;
  assert_status(qb_plan_job(&alone, 1, &job, &qos, &plan, NULL), QB_ERROR_NOT_FOUND);
  assert_message("does not say that its precisions are accurate");

  qb_accuracy accuracy = QB_ACCURACY_INIT;
  accuracy.precision = QB_PRECISION_BF16;
  accuracy.samples = 300;
  accuracy.agreeing = 297;
  assert_ok(qb_profile_with_accuracy(alone, &accuracy, 1, &known));
  const qb_job_plan unmet = job_plan_of(known, &qos);
  const qb_service_plan late = service_plan_of(known, &qos);
  assert_true(!unmet.feasible && !late.feasible);
  assert_int_equal(unmet.reason, QB_REASON_ACCURACY);
  assert_int_equal(late.reason, QB_REASON_ACCURACY);
  assert_true(unmet.nearest.accuracy == lower_end(known, QB_PRECISION_BF16));
  assert_true(late.nearest.accuracy == unmet.nearest.accuracy);
  qos.accuracy = unmet.nearest.accuracy;
  assert_true(job_plan_of(known, &qos).feasible && service_plan_of(known, &qos).feasible);

  qb_place_node node = QB_PLACE_NODE_INIT;
  qb_share share = QB_SHARE_INIT;
  node.profile = known;
  assert_ok(qb_place_job(&node, 1, &job, &qos, &share, NULL));
  qos.accuracy = 99;
  assert_status(qb_place_job(&node, 1, &job, &qos, &share, NULL), QB_ERROR_INFEASIBLE);
  assert_message("qos.accuracy");
  node.profile = all;
  qos.accuracy = 99.9999;
  assert_ok(qb_place_job(&node, 1, &job, &qos, &share, NULL));
  assert_int_equal(share.configuration.precision, QB_PRECISION_F32);
  qb_profile_unref(known);
  qb_profile_unref(alone);
  qb_profile_unref(f32);
  qb_profile_unref(all);
}

/* On node types with and without the instructions, and of known and unknown kinds. */
static void fleets_use_precisions_only_where_they_hold(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  int lower[2] = {0, 0};
  for (int i = 0; i < random_cases(40); i++) {
    qb_profile *all, *f32 = precise_profile(context, &seed, MAX_BATCH, &all);
    const uint32_t features = (uint32_t)random_int(&seed, 0, 3);
    qb_node_type type = QB_NODE_TYPE_INIT;
    type.name = "type";
    type.cpu = "other";
    type.vcpus = 4;
    type.isa = QB_ISA_AVX512;
    type.features = features;
    type.memory_bytes = UINT64_C(1) << 34;
    type.compute_flops_per_s = 8e11;
    type.billing.price_per_hour = 1;
    qb_catalogue *catalogue;
    assert_ok(qb_catalogue_new(context, "USD", "", &type, 1, &catalogue));
    qb_job job = QB_JOB_INIT;
    job.samples = 100000;
    qb_qos qos = QB_QOS_INIT;
    qos.objective = QB_OBJECTIVE_COST;
    qos.accuracy = 94;
    qb_job_plan plan = QB_JOB_PLAN_INIT;
    assert_ok(qb_plan_job_fleet(catalogue, &all, 1, &job, &qos, &plan, NULL));
    const qb_precision chosen = plan.configuration.precision;
    qb_accuracy a = QB_ACCURACY_INIT;
    if (chosen == QB_PRECISION_BF16)
      assert_true(features & QB_FEATURE_BF16);
    if (chosen == QB_PRECISION_INT8) {
      assert_ok(qb_profile_get_accuracy(all, chosen, &a));
      assert_true(features & QB_FEATURE_VNNI || !a.needs_vnni);
      lower[(features & QB_FEATURE_VNNI) != 0]++;
    }
    assert_true(chosen == QB_PRECISION_F32 || lower_end(all, chosen) >= qos.accuracy);
    qb_catalogue_unref(catalogue);
    qb_profile_unref(f32);
    qb_profile_unref(all);
  }
  assert_true((lower[0] > 0 && lower[1] > 0) || !random_kinds_come_up(40));
}

/* c by what instructions do, and a wider interval. */
static void a_precision_that_was_not_measured_is_transferred(void **state)
{
  (void)state;
  uint64_t seed = 8;
  qb_profile *all, *f32 = precise_profile(context, &seed, MAX_BATCH, &all);
  qb_configuration k = f32->points->configuration;
  qb_latency_estimate is = QB_LATENCY_ESTIMATE_INIT, then = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(f32, &k, 1, NULL, &is));
  k.precision = QB_PRECISION_INT8;
  assert_ok(qb_estimate(f32, &k, 1, NULL, &then));
  assert_int_equal(then.source, QB_SOURCE_TRANSFERRED);
  assert_true(fabs(4 * (double)then.latency_ns / (double)is.latency_ns - 1) < 1e-6);
  assert_true(fabs(then.compute_flops_per_s / is.compute_flops_per_s - 4) < 1e-6);
  assert_true((double)then.high_ns / (double)then.latency_ns > 1.4);
  k.precision = QB_PRECISION_BF16;
  assert_ok(qb_estimate(f32, &k, 1, NULL, &then));
  assert_true(fabs(2 * (double)then.latency_ns / (double)is.latency_ns - 1) < 1e-6);
  qb_where where = QB_WHERE_INIT;
  qb_node_info info = f32->node->info;
  qb_node *plain;
  info.features = 0;
  assert_ok(qb__node_new(context, &info, f32->node->compute, 2, NULL, 0, &plain));
  where.node = plain;
  assert_status(qb_estimate(all, &k, 1, &where, &then), QB_ERROR_UNSUPPORTED);
  assert_message("bf16");
  assert_status(qb_profile_check(all, NULL, plain), QB_ERROR_MISMATCH);
  assert_message("no vnni, bf16 here");
  qb_node_unref(plain);
  qb_profile_unref(f32);
  qb_profile_unref(all);
}

static void c_of_a_precision_follows_from_the_instructions(void **state)
{
  (void)state;
  static const struct {
    qb_isa isa;
    uint32_t features;
    qb_precision precision;
    double times; /* 0: cannot be had */
  } cases[] = {{QB_ISA_GENERIC, 0, QB_PRECISION_INT8, 0},
               {QB_ISA_SSE41, 0, QB_PRECISION_INT8, 8.0 / 3},
               {QB_ISA_AVX, 0, QB_PRECISION_INT8, 4.0 / 3},
               {QB_ISA_AVX2, 0, QB_PRECISION_INT8, 2},
               {QB_ISA_AVX2, QB_FEATURE_VNNI, QB_PRECISION_INT8, 4},
               {QB_ISA_AVX512, 0, QB_PRECISION_INT8, 2},
               {QB_ISA_AVX512, QB_FEATURE_VNNI, QB_PRECISION_INT8, 4},
               {QB_ISA_AVX512, QB_FEATURE_VNNI, QB_PRECISION_BF16, 0},
               {QB_ISA_AVX512, QB_FEATURE_BF16, QB_PRECISION_BF16, 2},
               {QB_ISA_AVX512, 0, QB_PRECISION_F32, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const qb__sustained compute = {cases[i].isa, 1, 1e11};
    qb_node_info info = QB_NODE_INFO_INIT;
    info.cpu = "processor";
    info.isa = cases[i].isa;
    info.features = cases[i].features;
    info.cores = info.hardware_threads = info.usable_threads = 1;
    qb_node *node;
    double flops = 0;
    assert_ok(qb__node_new(context, &info, &compute, 1, NULL, 0, &node));
    const qb_status status =
        qb__precision_compute(node, 1, QB_ISA_BEST, cases[i].precision, &flops);
    assert_int_equal(status, cases[i].times > 0 ? QB_OK : QB_ERROR_UNSUPPORTED);
    assert_true(fabs(flops - cases[i].times * 1e11) < 1);
    qb_node_unref(node);
  }
}

static void precisions_and_accuracies_survive_a_file(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  const scratch_folder folder = scratch_folder_make();
  const scratch_path path = scratch_folder_path(&folder, "profile.json");
  qb_profile *all, *f32 = precise_profile(context, &seed, MAX_BATCH, &all), *loaded;
  assert_ok(qb_profile_save(all, path.text));
  assert_ok(qb_profile_load(context, path.text, &loaded));
  assert_int_equal(loaded->node->info.features, QB_FEATURE_VNNI | QB_FEATURE_BF16);
  double flops;
  assert_ok(qb_node_get_compute(loaded->node, 4, QB_ISA_BEST, QB_PRECISION_INT8, &flops));
  assert_true(flops == 16e11);
  qb_profile_point is = QB_PROFILE_POINT_INIT, was = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(all, i, &was); i++) {
    assert_ok(qb_profile_get_point(loaded, i, &is));
    assert_memory_equal(&is.configuration, &was.configuration, sizeof was.configuration);
    assert_int_equal(is.latency_ns, was.latency_ns);
  }
  for (qb_precision p = QB_PRECISION_BF16; p <= QB_PRECISION_INT8; p++) {
    qb_accuracy a = QB_ACCURACY_INIT, b = QB_ACCURACY_INIT;
    assert_ok(qb_profile_get_accuracy(all, p, &a));
    assert_ok(qb_profile_get_accuracy(loaded, p, &b));
    assert_true(a.samples == b.samples && a.agreeing == b.agreeing && a.low == b.low &&
                a.high == b.high && a.needs_vnni == b.needs_vnni && a.labels == b.labels);
  }
  qb_accuracy none = QB_ACCURACY_INIT;
  assert_status(qb_profile_get_accuracy(loaded, QB_PRECISION_F32, &none), QB_ERROR_NOT_FOUND);
  qb_profile_unref(f32);
  qb_profile_unref(all);
  qb_profile_unref(loaded);
  scratch_folder_remove(&folder);
}

/* Its ends x solve (p - x)^2 = z^2 x (1 - x) / n. */
static void the_interval_is_that_of_wilson(void **state)
{
  (void)state;
  uint64_t seed = 8;
  qb_profile *all, *f32 = precise_profile(context, &seed, MAX_BATCH, &all), *made;
  qb_accuracy a = QB_ACCURACY_INIT;
  a.precision = QB_PRECISION_INT8;
  a.samples = 300;
  a.agreeing = 285;
  assert_ok(qb_profile_with_accuracy(f32, &a, 1, &made));
  assert_ok(qb_profile_get_accuracy(made, QB_PRECISION_INT8, &a));
  assert_true(fabs(a.share - 0.95) < 1e-12);
  const double ends[] = {a.low, a.high}, z = 1.959964;
  for (int i = 0; i < 2; i++)
    assert_true(fabs(pow(0.95 - ends[i], 2) - z * z * ends[i] * (1 - ends[i]) / 300) < 1e-9);
  assert_true(a.low < 0.95 && a.high > 0.95);
  qb_profile_unref(made);
  a.agreeing = 301;
  made = NULL;
  assert_status(qb_profile_with_accuracy(f32, &a, 1, &made), QB_ERROR_INVALID_ARGUMENT);
  assert_message("accuracies[0]");
  a.agreeing = a.samples = 0;
  assert_status(qb_profile_with_accuracy(f32, &a, 1, &made), QB_ERROR_INVALID_ARGUMENT);
  assert_null(made);
  qb_profile_unref(f32);
  qb_profile_unref(all);
}

static int start(void **state)
{
  (void)state;
  return qb_context_new(NULL, &context);
}

static int end(void **state)
{
  (void)state;
  qb_context_unref(context);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_accuracy_other_precisions_change_nothing),
      cmocka_unit_test(a_plan_with_an_accuracy_is_the_best_of_those_that_qualify),
      cmocka_unit_test(a_plan_names_the_accuracy_that_binds_it),
      cmocka_unit_test(an_accuracy_is_missed_by_the_value_named),
      cmocka_unit_test(a_precision_alone_that_is_not_accurate_is_infeasible),
      cmocka_unit_test(fleets_use_precisions_only_where_they_hold),
      cmocka_unit_test(a_precision_that_was_not_measured_is_transferred),
      cmocka_unit_test(c_of_a_precision_follows_from_the_instructions),
      cmocka_unit_test(precisions_and_accuracies_survive_a_file),
      cmocka_unit_test(the_interval_is_that_of_wilson),
  };
  return cmocka_run_group_tests(tests, start, end);
}
