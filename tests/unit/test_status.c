/* SPDX-License-Identifier: Apache-2.0 */
#include "core/error.h"

#include <qosbatch/qosbatch.h>

#include "support/expect.h"

#include <limits.h>
#include <pthread.h>

/* Before every other test: this thread has not failed yet. */
static void message_is_empty_before_the_first_failure(void **state)
{
  (void)state;
  assert_string_equal(qb_error_message(), "");
}

static void names_are_those_of_the_header_and_unique(void **state)
{
  (void)state;
  assert_string_equal(qb_status_name(QB_OK), "QB_OK");
  assert_string_equal(qb_status_name(QB_ERROR_INVALID_ARGUMENT), "QB_ERROR_INVALID_ARGUMENT");
  assert_string_equal(qb_status_name(QB_ERROR_SYSTEM), "QB_ERROR_SYSTEM");
  for (int i = QB_OK; i <= QB_ERROR_SYSTEM; i++)
    for (int j = QB_OK; j < i; j++)
      assert_string_not_equal(qb_status_name((qb_status)i), qb_status_name((qb_status)j));
}

static void numbers_that_are_no_status_are_unknown(void **state)
{
  (void)state;
  const int unknown[] = {INT_MIN, -1, QB_ERROR_SYSTEM + 1, 1000, INT_MAX};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
    assert_string_equal(qb_status_name((qb_status)unknown[i]), "QB_ERROR_UNKNOWN");
}

static void enumerators_have_words_and_other_values_are_unknown(void **state)
{
  (void)state;
  assert_string_equal(qb_isa_name(QB_ISA_AVX2), "avx2");
  assert_string_equal(qb_precision_name(QB_PRECISION_INT8), "int8");
  assert_string_equal(qb_reason_name(QB_REASON_LATE), "late");
  assert_string_equal(qb_isa_name((qb_isa)99), "unknown");
  assert_string_equal(qb_enum_name("qb_nothing", 0), "unknown");
  assert_string_equal(qb_enum_name(NULL, 0), "unknown");
}

static void fail_returns_its_status_and_sets_the_message(void **state)
{
  (void)state;
  assert_status(qb__fail(QB_ERROR_FORMAT, "%s has %d", "x.json", 3), QB_ERROR_FORMAT);
  assert_string_equal(qb_error_message(), "x.json has 3");
  assert_status(qb__fail_within(QB_ERROR_IO, "loading %d", 7), QB_ERROR_IO);
  assert_string_equal(qb_error_message(), "loading 7: x.json has 3");
}

static void long_messages_are_cut(void **state)
{
  (void)state;
  char text[8192];
  memset(text, 'a', sizeof text - 1);
  text[sizeof text - 1] = 0;
  (void)qb__fail(QB_ERROR_IO, "%s", text);
  const size_t longest = strlen(qb_error_message());
  assert_in_range(longest, 1000, sizeof text - 2);
  (void)qb__fail_within(QB_ERROR_IO, "within");
  assert_int_equal(strlen(qb_error_message()), longest);
  assert_memory_equal(qb_error_message(), "within: aaa", 11);
  (void)qb__fail_within(QB_ERROR_IO, "%s", text);
  assert_int_equal(strlen(qb_error_message()), longest);
}

typedef struct other_thread {
  char before[64], after[64];
} other_thread;

static void *fail_elsewhere(void *argument)
{
  other_thread *seen = argument;
  strncpy(seen->before, qb_error_message(), sizeof seen->before - 1);
  (void)qb__fail(QB_ERROR_IO, "theirs");
  strncpy(seen->after, qb_error_message(), sizeof seen->after - 1);
  return NULL;
}

static void each_thread_has_a_message_of_its_own(void **state)
{
  (void)state;
  other_thread seen = {"", ""};
  pthread_t thread;
  (void)qb__fail(QB_ERROR_IO, "ours");
  assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &seen), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_string_equal(seen.before, "");
  assert_string_equal(seen.after, "theirs");
  assert_string_equal(qb_error_message(), "ours");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(message_is_empty_before_the_first_failure),
      cmocka_unit_test(names_are_those_of_the_header_and_unique),
      cmocka_unit_test(numbers_that_are_no_status_are_unknown),
      cmocka_unit_test(enumerators_have_words_and_other_values_are_unknown),
      cmocka_unit_test(fail_returns_its_status_and_sets_the_message),
      cmocka_unit_test(long_messages_are_cut),
      cmocka_unit_test(each_thread_has_a_message_of_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
