/* SPDX-License-Identifier: Apache-2.0 */
#include <qosbatch/inspect.h>
#include <qosbatch/lab.h>
#include <qosbatch/measurements.h>

#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/random.h"
#include "support/scratch_folder.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static qb_context *context;
static scratch_folder folder;

static qb_status load(const char *text, qb_profile **profile)
{
  const scratch_path path = scratch_folder_write_text(&folder, "rounds.csv", text);
  return qb_profile_from_measurements(context, path.text, NULL, profile);
}

static qb_profile_point point_at(const qb_profile *profile, uint32_t index)
{
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  assert_ok(qb_profile_get_point(profile, index, &point));
  return point;
}

static void each_row_is_one_measured_round(void **state)
{
  (void)state;
  qb_profile *profile;
  assert_ok(load("threads,instances,batch,latency_ns\n"
                 "2,1,4,50000\n2,1,1,10000\n2,1,1,36000\n1,2,4,90000\n2,1,1,20000\n",
                 &profile));
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  assert_ok(qb_profile_get_info(profile, &info));
  assert_string_equal(info.model, "rounds");
  assert_string_equal(info.engine, "measurements");
  assert_int_equal(info.points, 3);
  assert_int_equal(info.configurations, 2);
  assert_int_equal(info.measure_ns, 206000);
  const qb_profile_point first = point_at(profile, 0), last = point_at(profile, 2);
  assert_int_equal(first.batch, 1);
  assert_int_equal(first.visits, 3);
  assert_int_equal(first.latency_ns, 20000);
  assert_true(first.low_ns <= 10000 && first.high_ns >= 36000); /* three rows: 75 %, not 95 */
  assert_int_equal(first.mean_ns, 22000);
  assert_int_equal(last.configuration.instances, 2);
  assert_int_equal(last.configuration.threads, 1);
  assert_int_equal(last.latency_ns, 90000);
  qb_profile_unref(profile);
}

/* F is not known: 1 is taken, and c is 1 FLOP/s an instance, so that p is the seconds a sample. */
static void without_flops_the_density_is_seconds_per_sample(void **state)
{
  (void)state;
  qb_profile *profile;
  assert_ok(load("instances,threads,batch,latency_ns\n2,2,4,80000000\n", &profile));
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(profile, NULL, 4, NULL, &e));
  assert_int_equal(e.latency_ns, 80000000);
  assert_true(fabs(e.density - 0.02) < 1e-12);
  assert_int_equal(e.bound, QB_BOUND_UNKNOWN);
  assert_true(fabs(e.throughput_per_s - 100) < 1e-9);
  qb_profile_unref(profile);
}

static void model_and_node_may_be_given_beside_the_rows(void **state)
{
  (void)state;
  const scratch_path path = scratch_folder_write_text(
      &folder, "r.csv", "instances,threads,batch,latency_ns\n1,1,4,80000000\n");
  qb_measurements_params params = QB_MEASUREMENTS_PARAMS_INIT;
  qb_node_params node_params = QB_NODE_PARAMS_INIT;
  node_params.measure_budget_ns = 20000000;
  assert_ok(qb_model_builtin(context, "alexnet", &params.model));
  assert_ok(qb_node_detect(context, &node_params, &params.node));
  qb_profile *profile;
  assert_ok(qb_profile_from_measurements(context, path.text, &params, &profile));
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  assert_ok(qb_profile_get_info(profile, &info));
  assert_string_equal(info.model, "alexnet");
  assert_true(info.flops_per_sample > 1e9);
  assert_ok(qb_profile_check(profile, NULL, params.node));
  double flops;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_node_get_compute(params.node, 1, QB_ISA_BEST, QB_PRECISION_F32, &flops));
  assert_ok(qb_estimate(profile, NULL, 4, NULL, &e));
  assert_true(fabs(e.density / (0.08 * flops / (4 * info.flops_per_sample)) - 1) < 1e-9);
  qb_profile_unref(profile);
  qb_model_unref(params.model);
  qb_node_unref(params.node);
}

/* What spreadsheets and data frames make of the same four numbers. */
static void every_dialect_of_csv_gives_the_same_point(void **state)
{
  (void)state;
  static const char *const same[] = {
      "instances,threads,batch,latency_ns\n1,2,8,120000000",
      "\xef\xbb\xbfinstances,threads,batch,latency_ns\r\n1,2,8,120000000\r\n\r\n",
      "\"instances\",\"threads\",\"batch\",\"latency_ns\"\n\"1\",\"2\",\"8\",\"120000000\"\n",
      " instances , threads\t, batch,latency_ns \n 1 , 2 ,8.0, 1.2e+08\n",
      "host,latency_ns,batch,note,threads,instances\na,120000000.25,8,\"b, \"\"c\"\"\nd\",2,1\n",
  };
  const char *before = setlocale(LC_NUMERIC, NULL);
  (void)setlocale(LC_NUMERIC, "de_DE.UTF-8"); /* where it is installed: a comma in numbers */
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    qb_profile *profile;
    assert_ok(load(same[i], &profile));
    const qb_profile_point point = point_at(profile, 0);
    assert_int_equal(point.configuration.instances, 1);
    assert_int_equal(point.configuration.threads, 2);
    assert_int_equal(point.batch, 8);
    assert_int_equal(point.latency_ns, 120000000);
    qb_profile_unref(profile);
  }
  (void)setlocale(LC_NUMERIC, before);
}

static void refuse(const char *text, const char *place, const char *words)
{
  qb_profile *profile = (qb_profile *)&context;
  assert_status(load(text, &profile), QB_ERROR_FORMAT);
  assert_ptr_equal(profile, &context);
  assert_message(place);
  assert_message(words);
}

static void wrong_headers_are_refused_by_line(void **state)
{
  (void)state;
  refuse("", "rounds.csv", "empty");
  refuse("\n\n", "rounds.csv", "empty");
  refuse("1,2,8,120000000\n", "rounds.csv:1", "column 'instances' is missing");
  refuse("instances,threads,batch\n1,2,8\n", "rounds.csv:1", "column 'latency_ns' is missing");
  refuse("instances,threads,batch,latency_ms\n1,2,8,1\n", ":1:", "multiply milliseconds");
  refuse("instances,threads,batch,t_us\n1,2,8,1\n", ":1:", "multiply microseconds");
  refuse("instances,threads,batch,batch,latency_ns\n", ":1:", "'batch' appears 2 times");
  refuse("instances,threads,batch,latency_ns\n", "rounds.csv", "no row");
  refuse("instances,threads,batch,\"latency_ns\n1,1,1,5000\n", ":1:", "quote");
}

/* Line 3 of each file is wrong. */
static void wrong_rows_are_refused_by_line_and_field(void **state)
{
  (void)state;
  static const char *const wrong[][2] = {
      {"1,2,8", "3 fields, expected 4"},
      {"1,2,8,120000000,7", "5 fields, expected 4"},
      {"0,2,8,120000000", "instances '0'"},
      {"-1,2,8,120000000", "instances '-1'"},
      {"1,two,8,120000000", "threads 'two'"},
      {"1,2.5,8,120000000", "threads '2.5'"},
      {"1,2,,120000000", "batch ''"},
      {"1,2,65537,120000000", "batch '65537'"},
      {"1,2,99999999999999999999,120000000", "batch '99999999999999999999'"},
      {"1,2,8,nan", "latency_ns 'nan'"},
      {"1,2,8,inf", "latency_ns 'inf'"},
      {"1,2,8,0", "latency_ns '0'"},
      {"1,2,8,-120000000", "latency_ns '-120000000'"},
      {"1,2,8,0x100000", "latency_ns '0x100000'"},
      {"1,2,8,120000000ns", "latency_ns '120000000ns'"},
      {"1,2,8,1e400", "latency_ns '1e400'"},
      {"1,2,8,1e", "latency_ns '1e'"},
      {"1,2,8,.", "latency_ns '.'"},
      {"1,2,8,57.25", "multiply milliseconds by 1000000"},
      {"1,2,8,\"120\"000000", "closing quote"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char text[256];
    snprintf(text, sizeof text, "instances,threads,batch,latency_ns\n1,2,4,60000000\n%s\n1,2,16,9",
             wrong[i][0]);
    refuse(text, "rounds.csv:3: ", wrong[i][1]);
  }
}

/* Whatever the rows and their order: the profile saves, loads, and holds their medians. */
static void profiles_of_measurements_survive_a_round_trip(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = 0; i < 50; i++) {
    char text[8192] = "instances,threads,batch,latency_ns\n";
    const int rows = (int)random_int(&seed, 1, 100);
    for (int r = 0; r < rows; r++) {
      const size_t used = strlen(text);
      snprintf(text + used, sizeof text - used, "%d,%d,%d,%" PRIu64 "\n",
               (int)random_int(&seed, 1, 2), (int)random_int(&seed, 1, 3),
               (int)random_int(&seed, 1, 5), random_int(&seed, 1000, UINT64_C(1) << 40));
    }
    qb_profile *profile, *again;
    assert_ok(load(text, &profile));
    const scratch_path path = scratch_folder_path(&folder, "profile.json");
    assert_ok(qb_profile_save(profile, path.text));
    assert_ok(qb_profile_load(context, path.text, &again));
    qb_profile_info info = QB_PROFILE_INFO_INIT;
    assert_ok(qb_profile_get_info(again, &info));
    uint32_t samples = 0;
    for (uint32_t p = 0; p < info.points; p++) {
      const qb_profile_point a = point_at(profile, p), b = point_at(again, p);
      assert_int_equal(a.latency_ns, b.latency_ns);
      assert_true(a.low_ns <= a.latency_ns && a.latency_ns <= a.high_ns);
      samples += b.visits;
    }
    assert_int_equal(samples, rows);
    qb_profile_unref(profile);
    qb_profile_unref(again);
  }
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  const scratch_path path = scratch_folder_write_text(
      &folder, "r.csv", "instances,threads,batch,latency_ns\n1,1,4,80000000\n");
  qb_profile *profile;
  qb_measurements_params params = QB_MEASUREMENTS_PARAMS_INIT;
  assert_status(qb_profile_from_measurements(NULL, path.text, NULL, &profile),
                QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_profile_from_measurements(context, NULL, NULL, &profile),
                QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_profile_from_measurements(context, path.text, NULL, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  params.price_per_hour = -1;
  assert_status(qb_profile_from_measurements(context, path.text, &params, &profile),
                QB_ERROR_INVALID_ARGUMENT);
  params.size = 3;
  assert_status(qb_profile_from_measurements(context, path.text, &params, &profile),
                QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_profile_from_measurements(context, folder.path, NULL, &profile), QB_ERROR_IO);
}

static qb_status load_work(qb_context *each, void *user)
{
  qb_profile *profile;
  const qb_status status = qb_profile_from_measurements(each, user, NULL, &profile);
  if (!status)
    qb_profile_unref(profile);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  scratch_path path = scratch_folder_write_text(
      &folder, "r.csv", "instances,threads,batch,latency_ns\n1,1,4,80000000\n1,1,8,160000000\n");
  assert_true(check_every_allocation_failure(load_work, path.text) > 5);
}

static void points_of_the_host_make_a_profile(void **state)
{
  (void)state;
  qb_context *own;
  qb_profile *made = NULL;
  assert_ok(qb_context_new(NULL, &own));
  qb_profile_point points[2] = {QB_PROFILE_POINT_INIT, QB_PROFILE_POINT_INIT};
  for (uint32_t i = 0; i < 2; i++) {
    points[i].configuration = (qb_configuration){1, 2};
    points[i].batch = 2 - i;
    points[i].latency_ns = 20000000 - 5000000 * (int64_t)i;
  }
  assert_ok(qb_profile_from_points(own, points, 2, NULL, &made));
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(made, NULL, 1, NULL, &e));
  assert_int_equal(e.latency_ns, 15000000);
  qb_profile_unref(made);
  made = NULL;
  points[1].batch = 2;
  assert_status(qb_profile_from_points(own, points, 2, NULL, &made), QB_ERROR_INVALID_ARGUMENT);
  points[1].configuration.precision = (qb_precision)3;
  assert_status(qb_profile_from_points(own, points, 2, NULL, &made), QB_ERROR_INVALID_ARGUMENT);
  assert_message("points[1]");
  assert_status(qb_profile_parse(own, "{}", 2, &made), QB_ERROR_FORMAT);
  assert_null(made);
  qb_context_unref(own);
}

/* As a host with a newer header has them. */
static void points_are_walked_by_the_size_of_their_elements(void **state)
{
  (void)state;
  struct {
    qb_profile_point point;
    uint64_t newer;
  } points[3];
  for (uint32_t i = 0; i < 3; i++) {
    points[i].point = (qb_profile_point)QB_PROFILE_POINT_INIT;
    points[i].point.size = sizeof points[i];
    points[i].point.configuration = (qb_configuration){1, 1};
    points[i].point.batch = 1 + i;
    points[i].point.latency_ns = 10000000 * (1 + (int64_t)i);
    points[i].newer = 0;
  }
  qb_profile *profile;
  assert_ok(qb_profile_from_points(context, &points[0].point, 3, NULL, &profile));
  for (uint32_t i = 0; i < 3; i++) {
    qb_profile_point p = QB_PROFILE_POINT_INIT;
    assert_ok(qb_profile_get_point(profile, i, &p));
    assert_int_equal(p.batch, points[i].point.batch);
    assert_int_equal(p.latency_ns, points[i].point.latency_ns);
  }
  qb_profile_unref(profile);
  points[2].newer = 1;
  assert_status(qb_profile_from_points(context, &points[0].point, 3, NULL, &profile),
                QB_ERROR_INVALID_ARGUMENT);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(points_of_the_host_make_a_profile),
      cmocka_unit_test(points_are_walked_by_the_size_of_their_elements),
      cmocka_unit_test(each_row_is_one_measured_round),
      cmocka_unit_test(without_flops_the_density_is_seconds_per_sample),
      cmocka_unit_test(model_and_node_may_be_given_beside_the_rows),
      cmocka_unit_test(every_dialect_of_csv_gives_the_same_point),
      cmocka_unit_test(wrong_headers_are_refused_by_line),
      cmocka_unit_test(wrong_rows_are_refused_by_line_and_field),
      cmocka_unit_test(profiles_of_measurements_survive_a_round_trip),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  folder = scratch_folder_make();
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  scratch_folder_remove(&folder);
  qb_context_unref(context);
  return failed;
}
