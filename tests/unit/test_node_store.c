/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node_store.h"

#include "node/node_impl.h"

#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/scratch_folder.h"

#include <qosbatch/inspect.h>

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_BYTES = 4096 };

static const qb__sustained COMPUTE[] = {{QB_ISA_GENERIC, 1, 1e9},
                                        {QB_ISA_GENERIC, 2, 2e9 / 3},
                                        {QB_ISA_AVX2, 1, 1.0123456789012345e11}};
static const qb__sustained BANDWIDTH[] = {{QB_ISA_BEST, 1, 1e10 / 3}, {QB_ISA_BEST, 4, 2e10 / 7}};

typedef struct fixture {
  scratch_folder folder;
  failing_allocator allocator;
  qb_context *context;
  scratch_path path;
  qb_node *node;
  char text[TEXT_BYTES]; /* of the saved node */
} fixture;

static qb_node *make_node(qb_context *context)
{
  qb_node_info info = QB_NODE_INFO_INIT;
  info.cpu = "A \"quoted\" pr\xc3\xb6zessor\n\\";
  info.hardware_threads = 8;
  info.cores = 4;
  info.quota_cores = 10.0 / 3;
  info.usable_threads = 4;
  info.numa_nodes = 2;
  info.isa = QB_ISA_AVX2;
  info.l1d_bytes = 32768;
  info.l2_bytes = 524288;
  info.l3_bytes = 0;
  info.memory_bytes = UINT64_C(1) << 40;
  info.price_per_hour = 0.1;
  qb_node *node = NULL;
  assert_ok(qb__node_new(context, &info, COMPUTE, 3, BANDWIDTH, 2, &node));
  return node;
}

static int set_up(void **state)
{
  static fixture one;
  memset(&one, 0, sizeof one);
  one.folder = scratch_folder_make();
  one.path = scratch_folder_path(&one.folder, "node.json");
  one.context = failing_allocator_context(&one.allocator);
  one.node = make_node(one.context);
  assert_ok(qb_node_save(one.node, one.path.text));
  FILE *file = fopen(one.path.text, "r");
  assert_true(fread(one.text, 1, sizeof one.text, file) < sizeof one.text);
  fclose(file);
  *state = &one;
  return 0;
}

static int tear_down(void **state)
{
  fixture *f = *state;
  qb_node_unref(f->node);
  qb_context_unref(f->context);
  scratch_folder_remove(&f->folder);
  return atomic_load(&f->allocator.live) == 0 ? 0 : -1;
}

/* Loads a file with this text, which must fail in this way. */
static void assert_refused(fixture *f, const char *text, qb_status expected, const char *message)
{
  scratch_folder_write_text(&f->folder, "node.json", text);
  qb_node *node = NULL;
  const qb_status status = qb_node_load(f->context, f->path.text, &node);
  if (status != expected)
    fail_msg("%s (%s) instead of %s for %s", qb_status_name(status), qb_error_message(),
             qb_status_name(expected), text);
  assert_message(f->path.text);
  assert_message(message);
  assert_null(node);
}

/* The saved node as JSON, for the test to change. */
static json_t *saved_json(const fixture *f)
{
  json_t *root = json_loads(f->text, 0, NULL);
  assert_non_null(root);
  return root;
}

static void assert_json_refused(fixture *f, const json_t *root, const char *message)
{
  char *text = json_dumps(root, JSON_ENCODE_ANY);
  assert_refused(f, text, QB_ERROR_FORMAT, message);
  free(text);
}

static void assert_same_table(const qb__sustained *a, size_t a_count, const qb__sustained *b,
                              size_t b_count)
{
  assert_int_equal(a_count, b_count);
  for (size_t i = 0; i < a_count; i++) {
    assert_int_equal(a[i].isa, b[i].isa);
    assert_int_equal(a[i].threads, b[i].threads);
    assert_true(a[i].per_s == b[i].per_s);
  }
}

static void node_survives_a_round_trip_exactly(void **state)
{
  fixture *f = *state;
  qb_node *loaded = NULL;
  assert_ok(qb_node_load(f->context, f->path.text, &loaded));
  qb_node_info a = f->node->info, b = loaded->info;
  assert_string_equal(a.cpu, b.cpu);
  a.cpu = b.cpu = NULL;
  assert_int_equal(a.hardware_threads, b.hardware_threads);
  assert_int_equal(a.cores, b.cores);
  assert_true(a.quota_cores == b.quota_cores);
  assert_int_equal(a.usable_threads, b.usable_threads);
  assert_int_equal(a.numa_nodes, b.numa_nodes);
  assert_int_equal(a.isa, b.isa);
  assert_true(a.l1d_bytes == b.l1d_bytes && a.l2_bytes == b.l2_bytes && a.l3_bytes == b.l3_bytes);
  assert_true(a.memory_bytes == b.memory_bytes);
  assert_true(a.price_per_hour == b.price_per_hour);
  assert_true(a.compute_flops_per_s == b.compute_flops_per_s &&
              b.compute_flops_per_s == COMPUTE[2].per_s);
  assert_true(a.memory_bytes_per_s == b.memory_bytes_per_s);
  assert_same_table(loaded->compute, loaded->compute_count, COMPUTE, 3);
  assert_same_table(loaded->bandwidth, loaded->bandwidth_count, BANDWIDTH, 2);

  /* And saved again it is the same file. */
  char again[TEXT_BYTES] = "";
  assert_ok(qb_node_save(loaded, f->path.text));
  FILE *file = fopen(f->path.text, "r");
  (void)!fread(again, 1, sizeof again - 1, file);
  fclose(file);
  assert_string_equal(again, f->text);
  qb_node_unref(loaded);
}

static void node_that_was_not_measured_survives_too(void **state)
{
  fixture *f = *state;
  qb_node *node = NULL, *loaded = NULL;
  assert_ok(qb__node_new(f->context, &f->node->info, NULL, 0, NULL, 0, &node));
  assert_ok(qb_node_save(node, f->path.text));
  assert_ok(qb_node_load(f->context, f->path.text, &loaded));
  assert_int_equal(loaded->compute_count, 0);
  assert_int_equal(loaded->bandwidth_count, 0);
  assert_true(loaded->info.compute_flops_per_s == 0 && loaded->info.memory_bytes_per_s == 0);
  qb_node_unref(node);
  qb_node_unref(loaded);
}

/* Files of before have no such field: there is one only if cores are left to others. */
static void reserve_survives_and_may_be_missing(void **state)
{
  fixture *f = *state;
  qb_node_info info = f->node->info;
  qb_node *node = NULL, *loaded = NULL;
  assert_null(strstr(f->text, "reserve_cores"));
  info.usable_threads = 3;
  info.reserve_cores = 1;
  assert_ok(qb__node_new(f->context, &info, COMPUTE, 3, BANDWIDTH, 2, &node));
  assert_ok(qb_node_save(node, f->path.text));
  assert_ok(qb_node_load(f->context, f->path.text, &loaded));
  assert_int_equal(loaded->info.reserve_cores, 1);
  assert_int_equal(loaded->info.usable_threads, 3);
  qb_node_unref(node);
  qb_node_unref(loaded);
  json_t *root = saved_json(f); /* of 4 cores, which are all usable */
  json_object_set_new(root, "reserve_cores", json_integer(1));
  assert_json_refused(f, root, ": $.reserve_cores: 1 is outside");
  json_decref(root);
}

/* Files of before have no such field either. */
static void speeds_of_cores_survive_and_may_be_missing(void **state)
{
  fixture *f = *state;
  static const qb__core_speed cores[] = {{6, 1e11 / 3}, {4, 1e11 / 7}, {0, 1e11 / 3}};
  static const uint16_t fastest_first[] = {0, 6, 4};
  qb_node *loaded = NULL;
  assert_null(strstr(f->text, "core_speeds"));
  assert_ok(qb__node_set_cores(f->node, cores, 3));
  assert_ok(qb_node_save(f->node, f->path.text));
  assert_ok(qb_node_load(f->context, f->path.text, &loaded));
  assert_int_equal(loaded->core_count, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(loaded->cores[i].cpu, fastest_first[i]);
    assert_true(loaded->cores[i].flops_per_s == (i < 2 ? 1e11 / 3 : 1e11 / 7));
  }
  qb_node_unref(loaded);
  static const struct {
    const char *json, *message;
  } wrong[] = {
      {"[]", ": $.core_speeds: "},
      {"[{\"cpu\": 65536, \"flops\": 1e9}]", ": $.core_speeds[0].cpu: 65536 is outside"},
      {"[{\"cpu\": 1, \"flops\": 0.5}]", ": $.core_speeds[0].flops: 0.5 is outside"},
      {"[{\"cpu\": 1, \"flops\": 1e9, \"x\": 1}]", ": $.core_speeds[0].x"},
      {"[{\"cpu\": 1, \"flops\": 1e9}, {\"cpu\": 1, \"flops\": 1e9}]",
       ": $.core_speeds[1].cpu: CPU 1 is listed twice"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    json_t *root = saved_json(f);
    json_object_set_new(root, "core_speeds", json_loads(wrong[i].json, 0, NULL));
    assert_json_refused(f, root, wrong[i].message);
    json_decref(root);
  }
}

/* The objects of the file: the root and one entry of each table. */
static const struct {
  const char *table; /* NULL: the root */
  const char *place;
} OBJECTS[] = {{NULL, "$"}, {"compute", "$.compute[1]"}, {"bandwidth", "$.bandwidth[1]"}};
enum { OBJECT_COUNT = sizeof OBJECTS / sizeof *OBJECTS };

static json_t *object_of(json_t *root, size_t i)
{
  return OBJECTS[i].table ? json_array_get(json_object_get(root, OBJECTS[i].table), 1) : root;
}

static void every_field_is_needed(void **state)
{
  fixture *f = *state;
  json_t *root = saved_json(f);
  size_t fields = 0;
  for (size_t i = 0; i < OBJECT_COUNT; i++) {
    json_t *object = object_of(root, i);
    const char *key;
    json_t *value, *original = json_copy(object);
    json_object_foreach(original, key, value)
    {
      char message[128];
      snprintf(message, sizeof message, ": %s.%s: this field is missing", OBJECTS[i].place, key);
      json_object_del(object, key);
      assert_json_refused(f, root, message);
      json_object_set(object, key, value);
      fields++;
    }
    json_decref(original);
  }
  json_decref(root);
  assert_int_equal(fields, 16 + 3 + 2);
}

static void every_field_has_one_type(void **state)
{
  fixture *f = *state;
  json_t *root = saved_json(f);
  for (size_t i = 0; i < OBJECT_COUNT; i++) {
    json_t *object = object_of(root, i);
    const char *key;
    json_t *value, *original = json_copy(object);
    json_object_foreach(original, key, value)
    {
      json_t *const wrong[] = {json_null(),  json_true(),   json_string("wrong"), json_real(1.5),
                               json_array(), json_object(), json_integer(1)};
      for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) {
        const bool fits = json_typeof(value) == json_typeof(wrong[w]) ||
                          (json_is_number(value) && json_is_integer(wrong[w])) ||
                          (json_is_real(value) && json_is_number(wrong[w]));
        if (!fits) {
          char message[128];
          snprintf(message, sizeof message, ": %s.%s: expected a", OBJECTS[i].place, key);
          json_object_set(object, key, wrong[w]);
          assert_json_refused(f, root, message);
        }
        json_decref(wrong[w]);
      }
      json_object_set(object, key, value);
    }
    json_decref(original);
  }
  json_decref(root);
}

static void values_out_of_range_are_refused(void **state)
{
  fixture *f = *state;
  static const struct {
    size_t object;
    const char *key;
    double least, most; /* of what is allowed; the test goes beyond */
  } ranges[] = {
      {0, "hardware_threads", 1, 65536},
      {0, "cores", 1, 65536},
      {0, "usable_threads", 1, 65536},
      {0, "numa_nodes", 1, 65536},
      {0, "l1d_bytes", 0, 4503599627370496},
      {0, "l2_bytes", 0, 4503599627370496},
      {0, "l3_bytes", 0, 4503599627370496},
      {0, "memory_bytes", 0, 4503599627370496},
      {1, "threads", 1, 65536},
      {2, "threads", 1, 65536},
  };
  json_t *root = saved_json(f);
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    json_t *object = object_of(root, ranges[i].object);
    json_t *value = json_incref(json_object_get(object, ranges[i].key));
    const double beyond[] = {ranges[i].least - 1, ranges[i].most + 1};
    for (int b = 0; b < 2; b++) {
      char message[128];
      snprintf(message, sizeof message, ": %s.%s: %.0f is outside", OBJECTS[ranges[i].object].place,
               ranges[i].key, beyond[b]);
      json_object_set_new(object, ranges[i].key, json_integer((json_int_t)beyond[b]));
      assert_json_refused(f, root, message);
    }
    json_object_set_new(object, ranges[i].key, value);
  }
  static const struct {
    size_t object;
    const char *key;
    double wrong;
  } reals[] = {{0, "quota_cores", 0},       {0, "quota_cores", -1},      {0, "quota_cores", 1e6},
               {0, "price_per_hour", -0.5}, {0, "price_per_hour", 1e13}, {1, "flops", 0},
               {1, "flops", -1e9},          {1, "flops", 1e30},          {2, "bytes_per_s", 0},
               {2, "bytes_per_s", 1e30}};
  for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
    json_t *object = object_of(root, reals[i].object);
    json_t *value = json_incref(json_object_get(object, reals[i].key));
    char message[128];
    snprintf(message, sizeof message, ": %s.%s: %g is outside", OBJECTS[reals[i].object].place,
             reals[i].key, reals[i].wrong);
    json_object_set_new(object, reals[i].key, json_real(reals[i].wrong));
    assert_json_refused(f, root, message);
    json_object_set_new(object, reals[i].key, value);
  }
  json_decref(root);
}

static void unknown_fields_are_refused_at_every_level(void **state)
{
  fixture *f = *state;
  json_t *root = saved_json(f);
  for (size_t i = 0; i < OBJECT_COUNT; i++) {
    char message[128];
    snprintf(message, sizeof message, ": %s.speling: unknown field", OBJECTS[i].place);
    json_object_set_new(object_of(root, i), "speling", json_integer(1));
    assert_json_refused(f, root, message);
    json_object_del(object_of(root, i), "speling");
  }
  json_decref(root);
}

static void unknown_instruction_sets_are_refused(void **state)
{
  fixture *f = *state;
  static const char *const names[] = {"", "AVX2", "best", "unknown", "avx2 ", "sse"};
  json_t *root = saved_json(f);
  for (size_t n = 0; n < sizeof names / sizeof *names; n++)
    for (size_t i = 0; i < 2; i++) {
      json_t *object = object_of(root, i);
      json_t *value = json_incref(json_object_get(object, "isa"));
      char message[128];
      snprintf(message, sizeof message, ": %s.isa: unknown instruction set '%s'", OBJECTS[i].place,
               names[n]);
      json_object_set_new(object, "isa", json_string(names[n]));
      assert_json_refused(f, root, message);
      json_object_set_new(object, "isa", value);
    }
  json_decref(root);
}

/* The look-up between entries divides by the difference of their threads. */
static void tables_out_of_order_are_refused(void **state)
{
  fixture *f = *state;
  static const char *const tables[] = {"compute", "bandwidth"};
  for (size_t t = 0; t < 2; t++) {
    char message[128];
    snprintf(message, sizeof message, "$.%s[1].threads: entries must be in ascending order",
             tables[t]);
    json_t *root = saved_json(f);
    json_t *table = json_object_get(root, tables[t]);
    json_object_set_new(json_array_get(table, 1), "threads", json_integer(1)); /* twice */
    assert_json_refused(f, root, message);
    json_decref(root);

    root = saved_json(f);
    table = json_object_get(root, tables[t]);
    json_array_insert(table, 0, json_array_get(table, json_array_size(table) - 1));
    assert_json_refused(f, root, message);
    json_decref(root);
  }
}

static void tables_of_too_many_entries_are_refused(void **state)
{
  fixture *f = *state;
  json_t *root = saved_json(f);
  json_t *table = json_object_get(root, "bandwidth");
  for (json_int_t threads = 5; json_array_size(table) < 33; threads++)
    json_array_append_new(table, json_pack("{s:I, s:f}", "threads", threads, "bytes_per_s", 1e9));
  assert_json_refused(f, root, "$.bandwidth: 33 elements");
  json_array_remove(table, 32);
  char *text = json_dumps(root, 0);
  scratch_folder_write_text(&f->folder, "node.json", text);
  qb_node *node = NULL;
  assert_ok(qb_node_load(f->context, f->path.text, &node));
  assert_int_equal(node->bandwidth_count, 32);
  qb_node_unref(node);
  free(text);
  json_decref(root);
}

static void other_formats_and_newer_versions_are_refused(void **state)
{
  fixture *f = *state;
  json_t *root = saved_json(f);
  json_object_set_new(root, "version", json_integer(2));
  char *text = json_dumps(root, 0);
  assert_refused(f, text, QB_ERROR_VERSION, "$.version: 2 is newer");
  free(text);
  json_object_set_new(root, "version", json_integer(1));
  json_object_set_new(root, "format", json_string("qosbatch-profile"));
  assert_json_refused(f, root, "$.format: 'qosbatch-profile' is not 'qosbatch-node'");
  json_decref(root);
}

static void files_cut_anywhere_are_refused(void **state)
{
  fixture *f = *state;
  char text[TEXT_BYTES];
  strcpy(text, f->text);
  /* Without the newline at the end it is still whole. */
  for (size_t length = strlen(text) - 1; length-- > 0;) {
    text[length] = 0;
    assert_refused(f, text, QB_ERROR_FORMAT, "not JSON");
  }
}

static void full_disk_is_an_io_error(void **state)
{
  const fixture *f = *state;
  assert_status(qb_node_save(f->node, "/dev/full"), QB_ERROR_IO);
  assert_message("/dev/full");
}

static void bad_arguments_are_refused(void **state)
{
  fixture *f = *state;
  qb_node *node = NULL;
  assert_status(qb_node_load(NULL, f->path.text, &node), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_load(f->context, NULL, &node), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_load(f->context, f->path.text, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_save(NULL, f->path.text), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_save(f->node, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_node_load(f->context, "/nonexistent/node.json", &node), QB_ERROR_IO);
  assert_null(node);
}

static qb_status load(qb_context *context, void *path)
{
  qb_node *node = NULL;
  const qb_status status = qb_node_load(context, path, &node);
  qb_node_unref(node);
  return status;
}

static qb_status make_and_save(qb_context *context, void *path)
{
  qb_node *node = NULL;
  qb_node_info info = QB_NODE_INFO_INIT;
  info.cpu = "cpu";
  info.isa = QB_ISA_AVX2;
  info.hardware_threads = info.cores = info.usable_threads = info.numa_nodes = 1;
  info.quota_cores = 1;
  static const qb__core_speed core = {0, 1e9};
  qb_status status = qb__node_new(context, &info, COMPUTE, 3, BANDWIDTH, 2, &node);
  if (!status)
    status = qb__node_set_cores(node, &core, 1);
  if (!status)
    status = qb_node_save(node, path);
  qb_node_unref(node);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  fixture *f = *state;
  assert_true(check_every_allocation_failure(make_and_save, f->path.text) >= 5);
  assert_true(check_every_allocation_failure(load, f->path.text) >= 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(node_survives_a_round_trip_exactly),
      TEST(node_that_was_not_measured_survives_too),
      TEST(reserve_survives_and_may_be_missing),
      TEST(speeds_of_cores_survive_and_may_be_missing),
      TEST(every_field_is_needed),
      TEST(every_field_has_one_type),
      TEST(values_out_of_range_are_refused),
      TEST(unknown_fields_are_refused_at_every_level),
      TEST(unknown_instruction_sets_are_refused),
      TEST(tables_out_of_order_are_refused),
      TEST(tables_of_too_many_entries_are_refused),
      TEST(other_formats_and_newer_versions_are_refused),
      TEST(files_cut_anywhere_are_refused),
      TEST(full_disk_is_an_io_error),
      TEST(bad_arguments_are_refused),
      TEST(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
