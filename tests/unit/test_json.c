/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json.h"

#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/scratch_folder.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char HEAD[] = "{\"format\": \"test\", \"version\": 1";

typedef struct fixture {
  scratch_folder folder;
  qb_context *context;
  scratch_path path;
  qb__json_file file;
  qb__json root;
} fixture;

static int set_up(void **state)
{
  static fixture one;
  one.folder = scratch_folder_make();
  one.path = scratch_folder_path(&one.folder, "file.json");
  assert_ok(qb_context_new(NULL, &one.context));
  *state = &one;
  return 0;
}

static int tear_down(void **state)
{
  fixture *f = *state;
  scratch_folder_remove(&f->folder);
  qb_context_unref(f->context);
  return 0;
}

/* Opens a file that has this text. */
static qb_status open_text(fixture *f, const char *text)
{
  scratch_folder_write_text(&f->folder, "file.json", text);
  return qb__json_open(&f->file, f->context, f->path.text, 1 << 20, "test", 1, &f->root);
}

/* Opens a well formed file with these fields, "" or beginning with a comma. */
static void open_fields(fixture *f, const char *fields)
{
  char text[4096];
  assert_true(snprintf(text, sizeof text, "%s%s}", HEAD, fields) < (int)sizeof text);
  assert_ok(open_text(f, text));
}

/* The file failed with a message that begins with its path and this. */
static void assert_file_failed(fixture *f, qb_status expected, const char *message)
{
  char start[SCRATCH_PATH_BYTES + 64];
  assert_status(f->file.status, expected);
  snprintf(start, sizeof start, "%s: ", f->path.text);
  assert_memory_equal(qb_error_message(), start, strlen(start) - 2);
  assert_message(message);
  qb__json_close(&f->file);
}

static void good_fields_are_read(void **state)
{
  fixture *f = *state;
  open_fields(
      f, ", \"d\": 2.5, \"whole\": 3, \"i\": -9007199254740993, \"yes\": true, \"no\": false,"
         "\"s\": \"t\\u00e4xt\", \"o\": {\"x\": 1}, \"a\": [1.5, 2], \"points\": [{\"x\": 4}]");
  assert_true(qb__json_double(&f->root, "d", 0, 10) == 2.5);
  assert_true(qb__json_double(&f->root, "whole", 3, 3) == 3);
  assert_true(qb__json_int(&f->root, "i", INT64_MIN, INT64_MAX) == INT64_C(-9007199254740993));
  assert_true(qb__json_bool(&f->root, "yes"));
  assert_false(qb__json_bool(&f->root, "no"));
  assert_string_equal(qb__json_string(&f->root, "s"), "t\xc3\xa4xt");
  qb__json object, array, points, point;
  qb__json_object(&f->root, "o", &object);
  assert_int_equal(qb__json_int(&object, "x", 0, 1), 1);
  qb__json_end(&object);
  assert_int_equal(qb__json_array(&f->root, "a", 2, 2, &array), 2);
  assert_true(qb__json_element_double(&array, 0, 0, 10) == 1.5);
  assert_true(qb__json_element_double(&array, 1, 0, 10) == 2);
  assert_int_equal(qb__json_array(&f->root, "points", 0, 9, &points), 1);
  qb__json_element(&points, 0, &point);
  assert_int_equal(qb__json_int(&point, "x", 0, 9), 4);
  qb__json_end(&point);
  qb__json_end(&f->root);
  assert_ok(f->file.status);
  qb__json_close(&f->file);
}

/* What each getter says to fields that it cannot read; "f" is the field. */
typedef enum getter { DOUBLE, INT, BOOL, STRING, OBJECT, ARRAY } getter;

static void get(qb__json *at, getter which, const char *key)
{
  qb__json below;
  switch (which) {
  case DOUBLE: assert_true(qb__json_double(at, key, 1, 10) == 1); break;
  case INT: assert_int_equal(qb__json_int(at, key, 1, 10), 1); break;
  case BOOL: assert_false(qb__json_bool(at, key)); break;
  case STRING: assert_string_equal(qb__json_string(at, key), ""); break;
  case OBJECT:
    qb__json_object(at, key, &below);
    /* Nothing is read below what is not there. */
    assert_int_equal(qb__json_int(&below, "x", 5, 9), 5);
    break;
  case ARRAY:
    assert_int_equal(qb__json_array(at, key, 1, 2, &below), 0);
    qb__json element;
    qb__json_element(&below, 0, &element);
    assert_true(qb__json_element_double(&below, 0, 3, 4) == 3);
    break;
  }
}

static void every_getter_refuses_what_it_cannot_read(void **state)
{
  fixture *f = *state;
  static const struct {
    getter getter;
    const char *value, *message;
  } cases[] = {
      {DOUBLE, NULL, "$.f: this field is missing"},
      {DOUBLE, "\"1\"", "$.f: expected a number, found a string"},
      {DOUBLE, "null", "$.f: expected a number, found null"},
      {DOUBLE, "true", "$.f: expected a number, found a boolean"},
      {DOUBLE, "[]", "$.f: expected a number, found an array"},
      {DOUBLE, "{}", "$.f: expected a number, found an object"},
      {DOUBLE, "0.5", "$.f: 0.5 is outside 1..10"},
      {DOUBLE, "10.5", "$.f: 10.5 is outside 1..10"},
      {DOUBLE, "-1e300", "$.f: -1e+300 is outside 1..10"},
      {INT, NULL, "$.f: this field is missing"},
      {INT, "1.0", "$.f: expected an integer, found a number"},
      {INT, "\"1\"", "$.f: expected an integer, found a string"},
      {INT, "0", "$.f: 0 is outside 1..10"},
      {INT, "11", "$.f: 11 is outside 1..10"},
      {INT, "-9223372036854775808", "$.f: -9223372036854775808 is outside 1..10"},
      {BOOL, NULL, "$.f: this field is missing"},
      {BOOL, "1", "$.f: expected true or false, found an integer"},
      {STRING, NULL, "$.f: this field is missing"},
      {STRING, "1.5", "$.f: expected a string, found a number"},
      {OBJECT, NULL, "$.f: this field is missing"},
      {OBJECT, "[]", "$.f: expected an object, found an array"},
      {ARRAY, NULL, "$.f: this field is missing"},
      {ARRAY, "{}", "$.f: expected an array, found an object"},
      {ARRAY, "[]", "$.f: 0 elements, expected 1..2"},
      {ARRAY, "[1, 2, 3]", "$.f: 3 elements, expected 1..2"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char fields[128] = "";
    if (cases[i].value)
      snprintf(fields, sizeof fields, ", \"f\": %s", cases[i].value);
    open_fields(f, fields);
    get(&f->root, cases[i].getter, "f");
    assert_file_failed(f, QB_ERROR_FORMAT, cases[i].message);
  }
}

static void places_below_are_named(void **state)
{
  fixture *f = *state;
  static const char fields[] =
      ", \"a\": {\"points\": [{\"x\": 1}, {\"x\": \"y\"}, 7]}, \"n\": [1, \"2\"]";
  qb__json a, points, point, numbers;

  open_fields(f, fields);
  qb__json_object(&f->root, "a", &a);
  assert_int_equal(qb__json_array(&a, "points", 0, 9, &points), 3);
  qb__json_element(&points, 1, &point);
  (void)qb__json_double(&point, "x", 0, 1);
  assert_file_failed(f, QB_ERROR_FORMAT, "$.a.points[1].x: expected a number");

  open_fields(f, fields);
  qb__json_object(&f->root, "a", &a);
  (void)qb__json_array(&a, "points", 0, 9, &points);
  qb__json_element(&points, 2, &point);
  assert_file_failed(f, QB_ERROR_FORMAT, "$.a.points[2]: expected an object, found an integer");

  open_fields(f, fields);
  (void)qb__json_array(&f->root, "n", 0, 9, &numbers);
  assert_true(qb__json_element_double(&numbers, 0, 0, 1) == 1);
  (void)qb__json_element_double(&numbers, 1, 0, 1);
  assert_file_failed(f, QB_ERROR_FORMAT, "$.n[1]: expected a number, found a string");
}

static void first_failure_is_kept(void **state)
{
  fixture *f = *state;
  open_fields(f, ", \"f\": 0");
  (void)qb__json_int(&f->root, "f", 1, 10);
  (void)qb__json_int(&f->root, "missing", 1, 10);
  qb__json_fail(&f->root, "f", "something else");
  qb__json_end(&f->root);
  assert_file_failed(f, QB_ERROR_FORMAT, "$.f: 0 is outside 1..10");
}

static void own_failures_name_their_place(void **state)
{
  fixture *f = *state;
  open_fields(f, "");
  qb__json_fail(&f->root, NULL, "%d is odd", 3);
  assert_file_failed(f, QB_ERROR_FORMAT, "$: 3 is odd");
}

/* A path longer than the room for it is cut, not written beyond. */
static void long_paths_are_cut(void **state)
{
  fixture *f = *state;
  enum { DEPTH = 60 };
  static qb__json places[DEPTH];
  char fields[4096] = ", \"a_rather_long_name\": ";
  for (int i = 0; i < DEPTH; i++)
    strcat(fields, "{\"a_rather_long_name\": ");
  strcat(fields, "1");
  for (int i = 0; i < DEPTH; i++)
    strcat(fields, "}");
  open_fields(f, fields);
  qb__json *at = &f->root;
  for (int i = 0; i < DEPTH; at = &places[i++])
    qb__json_object(at, "a_rather_long_name", &places[i]);
  (void)qb__json_string(at, "a_rather_long_name");
  assert_file_failed(f, QB_ERROR_FORMAT, "expected a string");
}

static void unknown_fields_are_refused(void **state)
{
  fixture *f = *state;
  open_fields(f, ", \"o\": {\"x\": 1, \"speling\": 2}");
  qb__json object;
  qb__json_object(&f->root, "o", &object);
  (void)qb__json_int(&object, "x", 0, 9);
  qb__json_end(&object);
  assert_file_failed(f, QB_ERROR_FORMAT, "$.o.speling: unknown field");
}

static void text_that_is_no_json_is_refused_with_its_place(void **state)
{
  fixture *f = *state;
  static const char *const texts[] = {
      "",
      " ",
      "nonsense",
      "{",
      "{]",
      "{\"format\": \"test\", \"version\": 1,}",
      "{\"format\": \"test\", \"version\": 1} {}",
      "{\"format\": \"test\", \"version\": 1}x",
      "{\"format\": \"test\", \"version\": 1, \"version\": 1}", /* twice */
      "{\"format\": \"test\", \"version\": 1, \"o\": {\"x\": 1, \"x\": 2}}",
      "{\"format\": \"test\", \"version\": NaN}",
      "{\"format\": \"test\", \"version\": Infinity}",
      "{\"format\": \"test\", \"version\": 1e999}",
      "{\"format\": \"test\", \"version\": -1e999}",
      "{\"format\": \"test\", \"version\": 99999999999999999999}",
      "{\"format\": \"test\", \"version\": 01}",
      "{\"format\": \"te\xff\xfest\", \"version\": 1}",
      "{\"format\": \"te\\u0000st\", \"version\": 1}",
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    if (open_text(f, texts[i]) != QB_ERROR_FORMAT)
      fail_msg("not refused: %s", texts[i]);
    assert_file_failed(f, QB_ERROR_FORMAT, ": not JSON: ");
  }
  (void)open_text(f, "{\"format\": \"test\",\n \"version\": ?}");
  assert_file_failed(f, QB_ERROR_FORMAT, "file.json:2:");
}

static void roots_of_another_kind_are_refused(void **state)
{
  fixture *f = *state;
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"[]", "$: expected an object, found an array"},
      {"{}", "$.format: this field is missing"},
      {"{\"format\": 1}", "$.format: expected a string"},
      {"{\"format\": \"other\", \"version\": 1}", "$.format: 'other' is not 'test'"},
      {"{\"format\": \"test\"}", "$.version: this field is missing"},
      {"{\"format\": \"test\", \"version\": 0}", "$.version: 0 is outside"},
      {"{\"format\": \"test\", \"version\": \"1\"}", "$.version: expected an integer"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    (void)open_text(f, cases[i].text);
    assert_file_failed(f, QB_ERROR_FORMAT, cases[i].message);
  }
}

static void newer_versions_are_told_apart_from_wrong_ones(void **state)
{
  fixture *f = *state;
  assert_status(open_text(f, "{\"format\": \"test\", \"version\": 2, \"new\": []}"),
                QB_ERROR_VERSION);
  assert_file_failed(f, QB_ERROR_VERSION, "$.version: 2 is newer than 1");
  assert_status(open_text(f, "{\"format\": \"other\", \"version\": 2}"), QB_ERROR_FORMAT);
  qb__json_close(&f->file);
}

static void unreadable_files_keep_their_status(void **state)
{
  fixture *f = *state;
  scratch_path missing = scratch_folder_path(&f->folder, "missing");
  assert_status(qb__json_open(&f->file, f->context, missing.text, 100, "test", 1, &f->root),
                QB_ERROR_IO);
  qb__json_close(&f->file);
  scratch_folder_write_text(&f->folder, "file.json", "{\"format\": \"test\", \"version\": 1}");
  assert_status(qb__json_open(&f->file, f->context, f->path.text, 10, "test", 1, &f->root),
                QB_ERROR_OVERFLOW);
  qb__json_close(&f->file);
}

static void deep_nesting_is_refused(void **state)
{
  fixture *f = *state;
  enum { DEPTH = 100000 };
  static const char openings[] = "[{";
  for (int kind = 0; kind < 2; kind++) {
    char *text = malloc((size_t)DEPTH * 5 + sizeof HEAD + 16);
    char *end = text + sprintf(text, "%s, \"f\": ", HEAD);
    for (int i = 0; i < DEPTH; i++)
      end += sprintf(end, "%c%s", openings[kind], kind ? "\"a\":" : "");
    assert_status(open_text(f, text), QB_ERROR_FORMAT);
    qb__json_close(&f->file);
    free(text);
  }
}

static void files_cut_anywhere_are_refused(void **state)
{
  fixture *f = *state;
  char text[256];
  snprintf(text, sizeof text, "%s, \"a\": [1, 2.5e3, true], \"s\": \"\\u00e4\\n\"}", HEAD);
  assert_ok(open_text(f, text));
  qb__json_close(&f->file);
  for (size_t length = strlen(text); length-- > 0;) {
    text[length] = 0;
    assert_status(open_text(f, text), QB_ERROR_FORMAT);
    qb__json_close(&f->file);
  }
}

static void numbers_survive_a_round_trip(void **state)
{
  fixture *f = *state;
  static const double numbers[] = {
      0, 1.0 / 3, 1e-300, 1.7976931348623157e308, 4.9406564584124654e-324, -0.1, 123456789.125};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    assert_ok(qb__json_save(
        f->context, f->path.text,
        json_pack("{s:s, s:i, s:f}", "format", "test", "version", 1, "d", numbers[i])));
    assert_ok(qb__json_open(&f->file, f->context, f->path.text, 1 << 20, "test", 1, &f->root));
    const double found = qb__json_double(&f->root, "d", -INFINITY, INFINITY);
    assert_memory_equal(&found, &numbers[i], sizeof found);
    qb__json_end(&f->root);
    assert_ok(f->file.status);
    qb__json_close(&f->file);
  }
}

/* A host may have set a locale that writes 2,5; files must not depend on it. */
static void decimal_commas_of_the_host_do_not_matter(void **state)
{
  static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8",  "fr_FR.UTF-8",
                                        "de_DE",       "pl_PL.UTF-8", "nl_NL.UTF-8"};
  const char *found = NULL;
  for (size_t i = 0; i < sizeof locales / sizeof *locales && !found; i++)
    found = setlocale(LC_ALL, locales[i]);
  if (!found)
    skip();
  numbers_survive_a_round_trip(state);
  fixture *f = *state;
  open_fields(f, ", \"d\": 2.5");
  const double d = qb__json_double(&f->root, "d", 0, 9);
  qb__json_close(&f->file);
  setlocale(LC_ALL, "C");
  assert_true(d == 2.5);
}

static void saved_files_end_with_a_newline(void **state)
{
  fixture *f = *state;
  assert_ok(qb__json_save(f->context, f->path.text, json_pack("{s:i}", "a", 1)));
  FILE *file = fopen(f->path.text, "r");
  char text[64] = "";
  (void)!fread(text, 1, sizeof text - 1, file);
  fclose(file);
  assert_string_equal(text, "{\n  \"a\": 1\n}\n");
}

static void saving_reports_failures(void **state)
{
  fixture *f = *state;
  assert_status(qb__json_save(f->context, f->path.text, NULL), QB_ERROR_NO_MEMORY);
  assert_message(f->path.text);
  assert_status(qb__json_save(f->context, "/dev/full", json_pack("{s:i}", "a", 1)), QB_ERROR_IO);
}

static qb_status open_and_close(qb_context *context, void *path)
{
  qb__json_file file;
  qb__json root;
  const qb_status status = qb__json_open(&file, context, path, 1 << 20, "test", 1, &root);
  qb__json_close(&file);
  return status;
}

static qb_status save(qb_context *context, void *path)
{
  return qb__json_save(context, path, json_pack("{s:s, s:i}", "format", "test", "version", 1));
}

static void every_failed_allocation_is_reported(void **state)
{
  fixture *f = *state;
  assert_true(check_every_allocation_failure(save, f->path.text) > 0);
  assert_true(check_every_allocation_failure(open_and_close, f->path.text) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(good_fields_are_read),
      TEST(every_getter_refuses_what_it_cannot_read),
      TEST(places_below_are_named),
      TEST(first_failure_is_kept),
      TEST(own_failures_name_their_place),
      TEST(long_paths_are_cut),
      TEST(unknown_fields_are_refused),
      TEST(text_that_is_no_json_is_refused_with_its_place),
      TEST(roots_of_another_kind_are_refused),
      TEST(newer_versions_are_told_apart_from_wrong_ones),
      TEST(unreadable_files_keep_their_status),
      TEST(deep_nesting_is_refused),
      TEST(files_cut_anywhere_are_refused),
      TEST(numbers_survive_a_round_trip),
      TEST(decimal_commas_of_the_host_do_not_matter),
      TEST(saved_files_end_with_a_newline),
      TEST(saving_reports_failures),
      TEST(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
