/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles saved and loaded: nothing lost, nothing wrong accepted. */
#include "profile/profile_history.h"

#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/random.h"
#include "support/random_profile.h"
#include "support/scratch_folder.h"
#include "support/unit.h"

#include <qosbatch/inspect.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static qb_context *context;
static scratch_folder folder;
static char path[SCRATCH_PATH_BYTES];

static void profiles_survive_a_round_trip(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  for (int i = 0; i < 50; i++) {
    qb_profile *saved = random_profile(context, &seed, 40), *loaded = NULL;
    assert_ok(qb_profile_save(saved, path));
    assert_ok(qb_profile_load(context, path, &loaded));
    qb_profile_info a = QB_PROFILE_INFO_INIT, b = QB_PROFILE_INFO_INIT;
    assert_ok(qb_profile_get_info(saved, &a));
    assert_ok(qb_profile_get_info(loaded, &b));
    assert_string_equal(a.model, b.model);
    assert_string_equal(a.engine, b.engine);
    assert_int_equal(a.points, b.points);
    assert_true(a.flops_per_sample == b.flops_per_sample);
    assert_true(a.least_flops_per_sample == b.least_flops_per_sample);
    for (uint32_t p = 0; p < a.points; p++) {
      qb_profile_point x = QB_PROFILE_POINT_INIT, y = QB_PROFILE_POINT_INIT;
      assert_ok(qb_profile_get_point(saved, p, &x));
      assert_ok(qb_profile_get_point(loaded, p, &y));
      assert_int_equal(x.batch, y.batch);
      assert_int_equal(x.latency_ns, y.latency_ns);
      assert_int_equal(x.low_ns, y.low_ns);
      assert_int_equal(x.high_ns, y.high_ns);
      assert_int_equal(x.p95_ns, y.p95_ns);
      assert_int_equal(x.mean_ns, y.mean_ns);
      assert_int_equal(x.memory_bytes, y.memory_bytes);
    }
    for (uint32_t threads = 1; threads <= 4; threads += 3) {
      const qb_configuration k = {1, threads};
      const qb__algorithms *is = qb__profile_algorithms_of(loaded, &k);
      const qb__algorithms *was = qb__profile_algorithms_of(saved, &k);
      assert_memory_equal(is->layers, was->layers, 3 * sizeof *is->layers);
      assert_int_equal(is->microbatch, was->microbatch);
    }
    assert_null(qb__profile_algorithms_of(loaded, &(qb_configuration){1, 2}));
    assert_ok(qb_profile_check(loaded, NULL, qb_profile_node(saved)));
    qb_profile_unref(saved);
    qb_profile_unref(loaded);
  }
}

/* In the order of configurations and runs, whatever order they were given in. */
static void the_history_of_a_machine_survives(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  qb_profile *saved = random_profile(context, &seed, 8), *loaded = NULL;
  const qb_configuration k = saved->points[0].configuration;
  const qb_configuration other = {77, 1, QB_PRECISION_BF16, {0}};
  const qb__past_session sessions[] = {
      {other, 5, 2.03, 0}, {k, 9, -0.02, 1e11}, {k, 3, 0.02, 9e10}};
  assert_ok(qb__profile_set_sessions(saved, sessions, 3));
  assert_int_equal(saved->info.runs, 2);
  assert_ok(qb_profile_save(saved, path));
  assert_ok(qb_profile_load(context, path, &loaded));
  assert_int_equal(loaded->info.runs, 2);
  assert_int_equal(loaded->session_count, 3);
  static const int given[] = {2, 1, 0};
  for (int i = 0; i < 3; i++) {
    const qb__past_session *a = &loaded->sessions[i], *b = &sessions[given[i]];
    assert_int_equal(qb__configuration_compare(&a->configuration, &b->configuration), 0);
    assert_int_equal(a->run_unix_s, b->run_unix_s);
    assert_true(a->level == b->level && a->thread_flops_per_s == b->thread_flops_per_s);
  }
  assert_true(loaded->variation.run_variance == saved->variation.run_variance);
  qb_profile_unref(saved);
  qb_profile_unref(loaded);
}

static void write_text(const char *text, size_t bytes)
{
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, bytes, file), bytes);
  assert_int_equal(fclose(file), 0);
}

static json_t *valid(void)
{
  uint64_t seed = 4;
  qb_profile *profile = random_profile(context, &seed, 8);
  assert_ok(qb_profile_save(profile, path));
  qb_profile_unref(profile);
  json_t *root = json_load_file(path, 0, NULL);
  assert_non_null(root);
  json_object_del(root, "least_flops_per_sample"); /* older files have none */
  return root;
}

/* Writes `root` and expects that it cannot be loaded, with a message that names file and place. */
static void refuse(json_t *root, qb_status expected, const char *place)
{
  assert_int_equal(json_dump_file(root, path, 0), 0);
  qb_profile *profile = (qb_profile *)&context;
  const qb_status status = qb_profile_load(context, path, &profile);
  if (status != expected || !strstr(qb_error_message(), place))
    print_message("expected %s at %s, got %s: %s\n", qb_status_name(expected), place,
                  qb_status_name(status), qb_error_message());
  assert_int_equal(status, expected);
  assert_ptr_equal(profile, &context);
  assert_non_null(strstr(qb_error_message(), path));
  assert_non_null(strstr(qb_error_message(), place));
}

/* Every field of an object missing, and of a wrong type. */
static void refuse_fields(json_t *root, json_t *object, const char *prefix)
{
  /* A copy to go by, as fields that are put back come last. */
  json_t *copy = json_copy(object), *value;
  const char *key;
  json_object_foreach(copy, key, value)
  {
    char place[64];
    snprintf(place, sizeof place, "%s.%s", prefix, key);
    json_object_del(object, key);
    refuse(root, QB_ERROR_FORMAT, place);
    json_object_set_new(object, key, json_null());
    refuse(root, QB_ERROR_FORMAT, place);
    json_object_set(object, key, value);
  }
  json_decref(copy);
  json_object_set_new(object, "colour", json_integer(1));
  char place[64];
  snprintf(place, sizeof place, "%s.colour", prefix);
  refuse(root, QB_ERROR_FORMAT, place);
  json_object_del(object, "colour");
}

static void every_field_is_checked(void **state)
{
  (void)state;
  json_t *root = valid();
  json_t *points = json_object_get(root, "points");
  refuse_fields(root, root, "$");
  refuse_fields(root, json_object_get(root, "node"), "$.node");
  refuse_fields(root, json_array_get(points, 1), "$.points[1]");
  json_decref(root);
}

static void values_out_of_range_are_refused(void **state)
{
  (void)state;
  static const struct {
    const char *key;
    json_int_t value;
  } wrong[] = {{"batch", 0},         {"batch", 65537},
               {"instances", 0},     {"threads", -1},
               {"latency_ns", -5},   {"latency_ns", 0},
               {"low_ns", 0},        {"high_ns", 1},
               {"p95_ns", 1},        {"mean_ns", 1},
               {"prepare_ns", -1},   {"visits", -1},
               {"memory_bytes", -1}, {"latency_ns", (json_int_t)1 << 60}};
  json_t *root = valid();
  json_t *point = json_array_get(json_object_get(root, "points"), 0);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char place[64];
    snprintf(place, sizeof place, "$.points[0].%s", wrong[i].key);
    json_t *kept = json_incref(json_object_get(point, wrong[i].key));
    json_object_set_new(point, wrong[i].key, json_integer(wrong[i].value));
    refuse(root, QB_ERROR_FORMAT, !strcmp(wrong[i].key, "latency_ns") ? "$.points[0]" : place);
    json_object_set_new(point, wrong[i].key, kept);
  }
  json_object_set_new(root, "flops_per_sample", json_real(-1));
  refuse(root, QB_ERROR_FORMAT, "$.flops_per_sample");
  json_object_set_new(root, "flops_per_sample", json_real(1e9));
  json_object_set_new(root, "least_flops_per_sample", json_real(1.1e9));
  refuse(root, QB_ERROR_FORMAT, "$.least_flops_per_sample");
  json_object_del(root, "least_flops_per_sample");
  json_array_append(json_object_get(root, "points"), point);
  refuse(root, QB_ERROR_FORMAT, "$.points");
  json_array_remove(json_object_get(root, "points"), 1);
  json_object_set_new(root, "version", json_integer(2));
  refuse(root, QB_ERROR_VERSION, "$.version");
  json_object_set_new(root, "version", json_integer(1));
  json_object_set_new(root, "format", json_string("qosbatch-node"));
  refuse(root, QB_ERROR_FORMAT, "$.format");
  json_decref(root);
}

static void layer_algorithms_are_checked(void **state)
{
  (void)state;
  json_t *root = valid();
  json_t *all = json_object_get(root, "layer_ways"), *first = json_array_get(all, 0);
  json_object_set_new(first, "microbatch", json_integer(-1));
  refuse(root, QB_ERROR_FORMAT, "$.layer_ways[0].microbatch");
  json_object_del(first, "microbatch"); /* as older profiles are */
  json_t *wrong = json_pack("{s:i, s:s}", "operator", 1000000, "implementation", "jit:x");
  json_object_set_new(first, "passed_over", json_pack("[o]", wrong));
  refuse(root, QB_ERROR_FORMAT, "$.layer_ways[0].passed_over[0].operator");
  json_object_set_new(wrong, "operator", json_integer(0));
  refuse_fields(root, wrong, "$.layer_ways[0].passed_over[0]");
  json_array_append_new(json_object_get(first, "checked_batches"), json_integer(0));
  refuse(root, QB_ERROR_FORMAT, "$.layer_ways[0].checked_batches");
  json_object_del(first, "checked_batches"); /* of before there were checks */
  json_object_del(first, "passed_over");
  refuse_fields(root, first, "$.layer_ways[0]");
  json_object_set_new(first, "threads", json_integer(4));
  refuse(root, QB_ERROR_FORMAT, "$.layer_ways[1].threads");
  json_object_set_new(first, "threads", json_integer(0));
  refuse(root, QB_ERROR_FORMAT, "$.layer_ways[0].threads");
  json_object_set_new(first, "threads", json_integer(1));
  json_t *ways = json_object_get(first, "ways");
  json_array_set_new(ways, 1, json_string("sideways"));
  refuse(root, QB_ERROR_FORMAT, "$.layer_ways[0].ways: unknown layer algorithm 'sideways'");
  json_array_set_new(ways, 1, json_integer(1));
  refuse(root, QB_ERROR_FORMAT, "$.layer_ways[0].ways[1]");
  json_array_remove(ways, 1);
  refuse(root, QB_ERROR_FORMAT, "$.layer_ways[0].ways");
  json_decref(root);
}

static void files_cut_anywhere_are_refused(void **state)
{
  (void)state;
  json_t *root = valid();
  char *text = json_dumps(root, JSON_COMPACT);
  const size_t bytes = strlen(text);
  for (size_t n = 0; n < bytes; n += 1 + n / 300) {
    write_text(text, n);
    qb_profile *profile;
    assert_status(qb_profile_load(context, path, &profile), QB_ERROR_FORMAT);
  }
  free(text);
  json_decref(root);
}

static void unreadable_and_unwritable_files_are_io_errors(void **state)
{
  (void)state;
  uint64_t seed = 4;
  qb_profile *profile = random_profile(context, &seed, 8), *loaded;
  assert_status(qb_profile_save(profile, "/dev/full"), QB_ERROR_IO);
  assert_status(qb_profile_save(profile, "/nowhere/at/all.json"), QB_ERROR_IO);
  assert_status(qb_profile_load(context, "/nowhere/at/all.json", &loaded), QB_ERROR_IO);
  assert_status(qb_profile_load(context, folder.path, &loaded), QB_ERROR_IO);
  qb_profile_unref(profile);
}

static qb_status load_work(qb_context *each, void *user)
{
  (void)user;
  qb_profile *profile;
  const qb_status status = qb_profile_load(each, path, &profile);
  if (!status)
    qb_profile_unref(profile);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  json_decref(valid());
  assert_true(check_every_allocation_failure(load_work, NULL) > 5);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_failed_allocation_is_reported),
      cmocka_unit_test(profiles_survive_a_round_trip),
      cmocka_unit_test(the_history_of_a_machine_survives),
      cmocka_unit_test(every_field_is_checked),
      cmocka_unit_test(values_out_of_range_are_refused),
      cmocka_unit_test(layer_algorithms_are_checked),
      cmocka_unit_test(files_cut_anywhere_are_refused),
      cmocka_unit_test(unreadable_and_unwritable_files_are_io_errors),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  folder = scratch_folder_make();
  strcpy(path, scratch_folder_path(&folder, "profile.json").text);
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  scratch_folder_remove(&folder);
  qb_context_unref(context);
  return failed;
}
