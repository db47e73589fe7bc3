/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/memory_plan.h"

#include "support/expect.h"
#include "support/unit.h"

#include "support/failing_allocator.h"
#include "support/random.h"

#include <math.h>

enum { MOST_REGIONS = 60, STEPS = 40 };

static size_t rounded(size_t bytes)
{
  return (bytes + QB__REGION_ALIGNMENT - 1) / QB__REGION_ALIGNMENT * QB__REGION_ALIGNMENT;
}

static int alive_together(const qb__region *a, const qb__region *b)
{
  return a->first <= b->last && b->first <= a->last;
}

/* The most bytes alive at one step: no arena can be smaller. */
static size_t lower_bound(const qb__region *regions, size_t count)
{
  size_t most = 0;
  for (uint32_t step = 0; step < STEPS; step++) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
      if (regions[i].first <= step && step <= regions[i].last)
        bytes += rounded(regions[i].bytes);
    most = bytes > most ? bytes : most;
  }
  return most;
}

static void check_plan(const qb__region *regions, size_t count, size_t arena_bytes)
{
  size_t sum = 0;
  for (size_t i = 0; i < count; i++) {
    const qb__region *a = &regions[i];
    sum += rounded(a->bytes);
    assert_int_equal(a->offset % QB__REGION_ALIGNMENT, 0);
    assert_true(a->offset + a->bytes <= arena_bytes);
    for (size_t j = 0; j < i; j++)
      if (alive_together(a, &regions[j]))
        assert_true(a->offset + a->bytes <= regions[j].offset ||
                    regions[j].offset + regions[j].bytes <= a->offset);
  }
  assert_true(arena_bytes <= sum);
}

static void regions_in_use_together_do_not_overlap(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *context = failing_allocator_context(&allocator);
  const long before = allocator.live;
  uint64_t random = random_start();
  double ratios = 0;
  enum { PLANS = 2000 };
  for (int plan = 0; plan < PLANS; plan++) {
    qb__region regions[MOST_REGIONS];
    const size_t count = (size_t)random_int(&random, 1, MOST_REGIONS);
    for (size_t i = 0; i < count; i++) {
      regions[i].bytes = (size_t)exp(20 * random_unit(&random));
      regions[i].first = (uint32_t)random_int(&random, 0, STEPS - 1);
      regions[i].last = (uint32_t)random_int(&random, regions[i].first, STEPS - 1);
      if (random_unit(&random) < 0.7 && regions[i].last > regions[i].first + 2)
        regions[i].last = regions[i].first + 2;
    }
    size_t arena_bytes;
    assert_ok(qb__memory_plan(context, regions, count, &arena_bytes));
    check_plan(regions, count, arena_bytes);
    ratios += (double)arena_bytes / (double)lower_bound(regions, count);
  }
  assert_true(ratios / PLANS <= 1.3);
  assert_int_equal(allocator.live, before);
  qb_context_unref(context);
}

static void a_chain_needs_two_at_a_time(void **state)
{
  (void)state;
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  qb__region chain[10];
  for (uint32_t i = 0; i < 10; i++)
    chain[i] = (qb__region){.bytes = 8192, .first = i, .last = i + 1};
  size_t arena_bytes = 1;
  assert_ok(qb__memory_plan(context, chain, 10, &arena_bytes));
  assert_int_equal(arena_bytes, 2 * 8192);
  assert_ok(qb__memory_plan(context, chain, 0, &arena_bytes));
  assert_int_equal(arena_bytes, 0);
  qb_context_unref(context);
}

static void sizes_that_overflow_are_refused(void **state)
{
  (void)state;
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  size_t arena_bytes = 1;
  qb__region regions[5] = {{.bytes = SIZE_MAX}};
  assert_status(qb__memory_plan(context, regions, 1, &arena_bytes), QB_ERROR_OVERFLOW);
  for (int i = 0; i < 5; i++)
    regions[i].bytes = SIZE_MAX / 8;
  assert_status(qb__memory_plan(context, regions, 5, &arena_bytes), QB_ERROR_OVERFLOW);
  assert_int_equal(arena_bytes, 1);
  qb_context_unref(context);
}

static qb_status plan_five(qb_context *context, void *user)
{
  (void)user;
  qb__region regions[5] = {{.bytes = 1}, {.bytes = 2}, {.bytes = 3}, {.bytes = 4}, {.bytes = 5}};
  size_t arena_bytes;
  return qb__memory_plan(context, regions, 5, &arena_bytes);
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  assert_int_equal(check_every_allocation_failure(plan_five, NULL), 2);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(regions_in_use_together_do_not_overlap),
      cmocka_unit_test(a_chain_needs_two_at_a_time),
      cmocka_unit_test(sizes_that_overflow_are_refused),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
