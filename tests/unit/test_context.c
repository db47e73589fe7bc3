/* SPDX-License-Identifier: Apache-2.0 */
#include "core/context_impl.h"
#include "core/hooks.h"

#include "support/expect.h"
#include "support/failing_allocator.h"

#include <qosbatch/version.h>

#include <pthread.h>
#include <stdio.h>

static void defaults_work(void **state)
{
  (void)state;
  qb_context *context = NULL;
  assert_ok(qb_context_new(NULL, &context));
  const int64_t before_ns = qb__now_ns(context);
  assert_true(before_ns > 0);
  assert_true(qb__now_ns(context) >= before_ns);
  qb__message(context, QB_SEVERITY_INFO, "nobody hears %d", 1);
  qb_context_unref(context);
  qb_context_unref(NULL);
  assert_null(qb_context_ref(NULL));
}

static void only_one_of_the_allocator_hooks_is_refused(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *context = NULL;
  qb_context_params params = failing_allocator_params(&allocator);
  params.release = NULL;
  assert_status(qb_context_new(&params, &context), QB_ERROR_INVALID_ARGUMENT);
  assert_message("release is NULL");
  params = failing_allocator_params(&allocator);
  params.allocate = NULL;
  assert_status(qb_context_new(&params, &context), QB_ERROR_INVALID_ARGUMENT);
  assert_message("allocate is NULL");
  assert_null(context);
  assert_int_equal(atomic_load(&allocator.requests), 0);
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  qb_context *context = NULL;
  assert_status(qb_context_new(NULL, NULL), QB_ERROR_INVALID_ARGUMENT);
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.size = 0;
  assert_status(qb_context_new(&params, &context), QB_ERROR_INVALID_ARGUMENT);
  assert_message("qb_context_params.size");
  assert_null(context);
}

static void memory_limit_has_a_default(void **state)
{
  (void)state;
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  qb_context *context = NULL;
  params.memory_limit_bytes = 5;
  assert_ok(qb_context_new(&params, &context));
  assert_int_equal(context->params.memory_limit_bytes, 5);
  qb_context_unref(context);
  params.memory_limit_bytes = 0;
  assert_ok(qb_context_new(&params, &context));
  assert_true(context->params.memory_limit_bytes > 1 << 20);
  qb_context_unref(context);
}

static void context_lives_until_its_last_reference(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *context = failing_allocator_context(&allocator);
  assert_ptr_equal(qb_context_ref(context), context);
  qb_context_unref(context);
  assert_int_equal(atomic_load(&allocator.live), 1);
  qb_context_unref(context);
  assert_int_equal(atomic_load(&allocator.live), 0);
}

static void failed_allocation_is_reported(void **state)
{
  (void)state;
  failing_allocator allocator = {.fail_at = 1};
  const qb_context_params params = failing_allocator_params(&allocator);
  qb_context *context = NULL;
  assert_status(qb_context_new(&params, &context), QB_ERROR_NO_MEMORY);
  assert_null(context);
  assert_int_equal(atomic_load(&allocator.live), 0);
}

typedef struct heard {
  int count;
  qb_severity severity;
  char text[1024];
} heard;

static void hear(void *user, qb_severity severity, const char *text)
{
  heard *self = user;
  self->count++;
  self->severity = severity;
  snprintf(self->text, sizeof self->text, "%s", text);
}

static void messages_reach_the_hook(void **state)
{
  (void)state;
  heard last = {0, QB_SEVERITY_INFO, ""};
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.message = hear;
  params.message_user = &last;
  qb_context *context = NULL;
  assert_ok(qb_context_new(&params, &context));
  qb__message(context, QB_SEVERITY_WARNING, "%s of %d", "two", 3);
  assert_int_equal(last.count, 1);
  assert_int_equal(last.severity, QB_SEVERITY_WARNING);
  assert_string_equal(last.text, "two of 3");
  qb__message(context, QB_SEVERITY_INFO, "%2000d", 1);
  assert_in_range(strlen(last.text), 100, sizeof last.text - 2);
  qb_context_unref(context);
}

static int64_t tick(void *user)
{
  return ++*(int64_t *)user;
}

static void time_comes_from_the_hook(void **state)
{
  (void)state;
  int64_t clock_ns = 41;
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.now_ns = tick;
  params.clock_user = &clock_ns;
  qb_context *context = NULL;
  assert_ok(qb_context_new(&params, &context));
  assert_int_equal(qb__now_ns(context), 42);
  assert_int_equal(qb__now_ns(context), 43);
  qb_context_unref(context);
}

static void *take_and_give_back(void *context)
{
  for (int i = 0; i < 10000; i++)
    qb_context_unref(qb_context_ref(context));
  return NULL;
}

static void threads_may_share_references(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *context = failing_allocator_context(&allocator);
  pthread_t threads[2];
  for (int i = 0; i < 2; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, take_and_give_back, context), 0);
  for (int i = 0; i < 2; i++)
    pthread_join(threads[i], NULL);
  assert_int_equal(atomic_load(&allocator.live), 1);
  qb_context_unref(context);
  assert_int_equal(atomic_load(&allocator.live), 0);
}

static void version_of_the_library_is_that_of_the_header(void **state)
{
  (void)state;
  char expected[32];
  snprintf(expected, sizeof expected, "%d.%d.%d", QB_VERSION_MAJOR, QB_VERSION_MINOR,
           QB_VERSION_PATCH);
  assert_string_equal(qb_version(), expected);
  assert_int_equal(qb_version_number(), QB_VERSION_NUMBER);
  assert_true(QB_VERSION_AT_LEAST(0, 1, 0));
  assert_false(QB_VERSION_AT_LEAST(QB_VERSION_MAJOR + 1, 0, 0));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults_work),
      cmocka_unit_test(only_one_of_the_allocator_hooks_is_refused),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(memory_limit_has_a_default),
      cmocka_unit_test(context_lives_until_its_last_reference),
      cmocka_unit_test(failed_allocation_is_reported),
      cmocka_unit_test(messages_reach_the_hook),
      cmocka_unit_test(time_comes_from_the_hook),
      cmocka_unit_test(threads_may_share_references),
      cmocka_unit_test(version_of_the_library_is_that_of_the_header),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
