/* SPDX-License-Identifier: Apache-2.0 */
#include "core/alloc.h"

#include "support/expect.h"
#include "support/failing_allocator.h"

#include <stdlib.h>

/* Remembers what it was asked for and hands out memory full of ones. */
typedef struct dirty_allocator {
  size_t bytes, alignment;
} dirty_allocator;

static void *dirty_allocate(void *user, size_t bytes, size_t alignment)
{
  dirty_allocator *self = user;
  self->bytes = bytes;
  self->alignment = alignment;
  void *memory = NULL;
  if (!posix_memalign(&memory, alignment, bytes))
    memset(memory, 0xff, bytes);
  return memory;
}

static void dirty_release(void *user, void *memory)
{
  (void)user;
  free(memory);
}

static qb_context *dirty_context(dirty_allocator *allocator)
{
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.allocate = dirty_allocate;
  params.release = dirty_release;
  params.allocator_user = allocator;
  qb_context *context = NULL;
  assert_ok(qb_context_new(&params, &context));
  return context;
}

static void calloc_zeroes_what_the_host_gives(void **state)
{
  (void)state;
  dirty_allocator allocator = {0, 0};
  qb_context *context = dirty_context(&allocator);
  const unsigned char zero[24] = {0};
  void *memory = qb__calloc(context, 3, 8);
  assert_non_null(memory);
  assert_int_equal(allocator.bytes, 24);
  assert_memory_equal(memory, zero, sizeof zero);
  qb__free(context, memory);
  qb_context_unref(context);
}

static void zero_elements_are_a_valid_pointer(void **state)
{
  (void)state;
  dirty_allocator allocator = {0, 0};
  qb_context *context = dirty_context(&allocator);
  void *none = qb__calloc(context, 0, 8);
  assert_non_null(none);
  assert_true(allocator.bytes > 0); /* the hook is promised more than 0 */
  void *nothing = qb__alloc_aligned(context, 0, 64);
  assert_non_null(nothing);
  assert_true(allocator.bytes > 0);
  qb__free(context, nothing);
  qb__free(context, none);
  qb__free(context, NULL);
  qb_context_unref(context);
}

static void alignment_reaches_the_hook_and_the_default_keeps_it(void **state)
{
  (void)state;
  dirty_allocator allocator = {0, 0};
  qb_context *context = dirty_context(&allocator);
  qb__free(context, qb__alloc_aligned(context, 100, 4096));
  assert_int_equal(allocator.bytes, 100);
  assert_int_equal(allocator.alignment, 4096);
  qb_context_unref(context);

  assert_ok(qb_context_new(NULL, &context));
  for (size_t alignment = 1; alignment <= 2u << 20; alignment *= 2) {
    void *memory = qb__alloc_aligned(context, 100, alignment);
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % alignment, 0);
    qb__free(context, memory);
  }
  qb_context_unref(context);
}

static void sizes_that_overflow_never_reach_the_hook(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *context = failing_allocator_context(&allocator);
  const long before = atomic_load(&allocator.requests);
  assert_null(qb__calloc(context, SIZE_MAX / 2, 3));
  assert_message("3 bytes");
  assert_int_equal(atomic_load(&allocator.requests), before);
  qb_context_unref(context);
}

static void failure_names_the_bytes(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *context = failing_allocator_context(&allocator);
  allocator.fail_at = atomic_load(&allocator.requests) + 1;
  assert_null(qb__calloc(context, 7, 1000));
  assert_message("7000 bytes");
  qb_context_unref(context);
}

static void strdup_copies(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *context = failing_allocator_context(&allocator);
  const char text[] = "a text";
  char *copy = qb__strdup(context, text), *empty = qb__strdup(context, "");
  assert_string_equal(copy, text);
  assert_ptr_not_equal(copy, text);
  assert_string_equal(empty, "");
  qb__free(context, copy);
  qb__free(context, empty);
  qb_context_unref(context);
  assert_int_equal(atomic_load(&allocator.live), 0);
}

static void grow_keeps_the_elements(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *context = failing_allocator_context(&allocator);
  int *numbers = NULL;
  size_t capacity = 0;
  for (size_t count = 0; count < 1000; count++) {
    assert_true(qb__grow(context, &numbers, count, &capacity, sizeof *numbers));
    assert_true(capacity > count);
    numbers[count] = (int)count;
  }
  for (int i = 0; i < 1000; i++)
    assert_int_equal(numbers[i], i);
  /* Growing by a factor, not one by one. */
  assert_true(atomic_load(&allocator.requests) < 12);
  qb__free(context, numbers);
  qb_context_unref(context);
  assert_int_equal(atomic_load(&allocator.live), 0);
}

static void grow_that_fails_changes_nothing(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *context = failing_allocator_context(&allocator);
  int *numbers = NULL;
  size_t capacity = 0;
  assert_true(qb__grow(context, &numbers, 0, &capacity, sizeof *numbers));
  const int *before = numbers;
  const size_t capacity_before = capacity;
  numbers[0] = 42;
  allocator.fail_at = atomic_load(&allocator.requests) + 1;
  assert_false(qb__grow(context, &numbers, capacity, &capacity, sizeof *numbers));
  assert_ptr_equal(numbers, before);
  assert_int_equal(capacity, capacity_before);
  assert_int_equal(numbers[0], 42);
  qb__free(context, numbers);
  qb_context_unref(context);
  assert_int_equal(atomic_load(&allocator.live), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(calloc_zeroes_what_the_host_gives),
      cmocka_unit_test(zero_elements_are_a_valid_pointer),
      cmocka_unit_test(alignment_reaches_the_hook_and_the_default_keeps_it),
      cmocka_unit_test(sizes_that_overflow_never_reach_the_hook),
      cmocka_unit_test(failure_names_the_bytes),
      cmocka_unit_test(strdup_copies),
      cmocka_unit_test(grow_keeps_the_elements),
      cmocka_unit_test(grow_that_fails_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
