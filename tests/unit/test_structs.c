/* SPDX-License-Identifier: Apache-2.0 */
#include "core/structs.h"

#include "support/expect.h"

#include <qosbatch/catalogue.h>

#include <string.h>

/* The struct of three versions of a header; the first version ends behind `first`. */
typedef struct old_params {
  size_t size;
  int64_t first;
} old_params;

typedef struct our_params {
  size_t size;
  int64_t first, second;
} our_params;

typedef struct new_params {
  size_t size;
  int64_t first, second, third;
} new_params;

static qb_status take(our_params *ours, const void *theirs)
{
  return qb__struct_in(ours, sizeof *ours, sizeof(old_params), theirs, "our_params");
}

static void struct_of_the_same_version_is_copied(void **state)
{
  (void)state;
  const our_params theirs = {sizeof theirs, 1, 2};
  our_params ours;
  assert_ok(take(&ours, &theirs));
  assert_memory_equal(&ours, &theirs, sizeof ours);
}

static void fields_that_an_older_struct_lacks_are_zero(void **state)
{
  (void)state;
  /* The host's memory behind the struct must not be read. */
  const our_params theirs = {sizeof(old_params), 1, 99};
  our_params ours = {7, 7, 7};
  assert_ok(take(&ours, &theirs));
  assert_int_equal(ours.size, sizeof ours);
  assert_int_equal(ours.first, 1);
  assert_int_equal(ours.second, 0);
}

static void newer_struct_with_unknown_fields_zero_is_accepted(void **state)
{
  (void)state;
  const new_params theirs = {sizeof theirs, 1, 2, 0};
  our_params ours;
  assert_ok(take(&ours, &theirs));
  assert_int_equal(ours.size, sizeof ours);
  assert_int_equal(ours.second, 2);
}

static void newer_struct_that_sets_an_unknown_field_is_refused(void **state)
{
  (void)state;
  new_params theirs = {sizeof theirs, 1, 2, 0};
  unsigned char *bytes = (unsigned char *)&theirs;
  for (size_t i = sizeof(our_params); i < sizeof theirs; i++) {
    our_params ours = {7, 7, 7};
    const our_params before = ours;
    bytes[i] = 1;
    assert_status(take(&ours, &theirs), QB_ERROR_INVALID_ARGUMENT);
    assert_message("our_params sets a field");
    assert_memory_equal(&ours, &before, sizeof ours);
    bytes[i] = 0;
  }
}

static void wrong_sizes_and_null_are_refused(void **state)
{
  (void)state;
  const size_t wrong[] = {0, 1, sizeof(old_params) - 1, 100000, SIZE_MAX};
  our_params ours = {7, 7, 7};
  const our_params before = ours;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const our_params theirs = {wrong[i], 1, 2};
    assert_status(take(&ours, &theirs), QB_ERROR_INVALID_ARGUMENT);
    assert_message("our_params.size");
    assert_message("_INIT");
    assert_status(qb__struct_check_out(&theirs, sizeof(old_params), "info"),
                  QB_ERROR_INVALID_ARGUMENT);
    assert_message("info.size");
  }
  assert_status(take(&ours, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_message("our_params is NULL");
  assert_status(qb__struct_check_out(NULL, sizeof(old_params), "info"), QB_ERROR_INVALID_ARGUMENT);
  assert_memory_equal(&ours, &before, sizeof ours);
}

static void filling_stays_within_the_callers_struct(void **state)
{
  (void)state;
  const our_params ours = {sizeof ours, 1, 2};

  our_params older = {sizeof(old_params), 7, 7};
  assert_ok(qb__struct_check_out(&older, sizeof(old_params), "info"));
  qb__struct_out_at(&older, 0, &ours, sizeof ours);
  assert_int_equal(older.size, sizeof(old_params));
  assert_int_equal(older.first, 1);
  assert_int_equal(older.second, 7); /* behind the end of what the caller has */

  new_params newer = {sizeof newer, 7, 7, 7};
  assert_ok(qb__struct_check_out(&newer, sizeof(old_params), "info"));
  qb__struct_out_at(&newer, 0, &ours, sizeof ours);
  assert_int_equal(newer.size, sizeof newer);
  assert_int_equal(newer.second, 2);
  assert_int_equal(newer.third, 0);
}

/* Of a compiler that knows where they are. */
static void bytes_between_members_do_not_reach_the_host(void **state)
{
  (void)state;
#ifdef __clang__
  skip();
#else
  qb_catalogue_info ours, theirs = QB_CATALOGUE_INFO_INIT;
  memset(&ours, 0xff, sizeof ours);
  ours.types = 0;
  ours.currency = ours.note = NULL;
  QB__STRUCT_OUT(qb_catalogue_info, &theirs, &ours);
  const unsigned char *bytes = (const unsigned char *)&theirs;
  for (size_t i = sizeof theirs.size; i < sizeof theirs; i++)
    assert_int_equal(bytes[i], 0);
#endif
}

static void elements_of_an_array_are_as_far_apart_as_the_host_made_them(void **state)
{
  (void)state;
  new_params newer[3] = {
      {sizeof *newer, 1, 2, 0}, {sizeof *newer, 3, 4, 0}, {sizeof *newer, 5, 6, 0}};
  old_params older[3] = {{sizeof *older, 1}, {sizeof *older, 3}, {sizeof *older, 5}};
  assert_ok(qb__structs_check(newer, 3, sizeof(old_params), "params"));
  assert_ok(qb__structs_check(older, 3, sizeof(old_params), "params"));
  for (size_t i = 0; i < 3; i++) {
    our_params ours;
    assert_ok(take(&ours, qb__struct_at(newer, i)));
    assert_int_equal(ours.first, newer[i].first);
    assert_int_equal(ours.second, newer[i].second);
    assert_ok(take(&ours, qb__struct_at(older, i)));
    assert_int_equal(ours.first, older[i].first);
    assert_int_equal(ours.second, 0);
    ours.first = 10 + (int64_t)i;
    qb__struct_out_at(newer, i, &ours, sizeof ours);
    qb__struct_out_at(older, i, &ours, sizeof ours);
  }
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(newer[i].first, 10 + i);
    assert_int_equal(older[i].first, 10 + i);
  }
}

static void array_whose_elements_differ_in_size_is_refused(void **state)
{
  (void)state;
  our_params params[3] = {{sizeof *params, 1, 2}, {sizeof *params, 1, 2}, {sizeof *params, 1, 2}};
  assert_ok(qb__structs_check(NULL, 0, sizeof(old_params), "params"));
  assert_status(qb__structs_check(NULL, 3, sizeof(old_params), "params"),
                QB_ERROR_INVALID_ARGUMENT);
  params[2].size = sizeof(old_params);
  assert_status(qb__structs_check(params, 3, sizeof(old_params), "params"),
                QB_ERROR_INVALID_ARGUMENT);
  assert_message("element 2");
  params[0].size = sizeof *params + 1;
  assert_status(qb__structs_check(params, 1, sizeof(old_params), "params"),
                QB_ERROR_INVALID_ARGUMENT);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(struct_of_the_same_version_is_copied),
      cmocka_unit_test(fields_that_an_older_struct_lacks_are_zero),
      cmocka_unit_test(newer_struct_with_unknown_fields_zero_is_accepted),
      cmocka_unit_test(newer_struct_that_sets_an_unknown_field_is_refused),
      cmocka_unit_test(wrong_sizes_and_null_are_refused),
      cmocka_unit_test(filling_stays_within_the_callers_struct),
      cmocka_unit_test(bytes_between_members_do_not_reach_the_host),
      cmocka_unit_test(elements_of_an_array_are_as_far_apart_as_the_host_made_them),
      cmocka_unit_test(array_whose_elements_differ_in_size_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
