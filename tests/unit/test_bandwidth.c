/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bandwidth.h"

#include "support/expect.h"
#include "support/failing_allocator.h"

#include <math.h>
#include <stdlib.h>

/* The machine, said to have little memory so that the arrays are small and the tests fast. */
static qb__topology topology;
enum { SAID_BYTES = 32 << 20 };

static int read_topology(void **state)
{
  (void)state;
  const qb_status status = qb__topology_read(&topology);
  topology.memory_bytes = SAID_BYTES;
  return status ? -1 : 0;
}

static void table_is_in_order_and_plausible(void **state)
{
  (void)state;
  qb_context *context = NULL;
  assert_ok(qb_context_new(NULL, &context));
  qb__sustained table[QB__MOST_BANDWIDTH];
  size_t count = 0;
  /* With 7 threads the slices are not all of one length. */
  const uint32_t expected[] = {1, 2, 3, 4, 6, 7};
  assert_ok(qb__measure_bandwidth(context, &topology, 7, 1, table, &count));
  assert_int_equal(count, sizeof expected / sizeof *expected);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(table[i].isa, QB_ISA_BEST);
    assert_int_equal(table[i].threads, expected[i]);
    assert_true(isfinite(table[i].per_s) && table[i].per_s > 1e6);
  }
  qb_context_unref(context);
}

/* An allocator that adds up what it gave. */
typedef struct meter {
  size_t bytes;
} meter;

static void *metered_allocate(void *user, size_t bytes, size_t alignment)
{
  meter *self = user;
  self->bytes += bytes;
  void *memory = NULL;
  return posix_memalign(&memory, alignment, bytes) ? NULL : memory;
}

static void metered_release(void *user, void *memory)
{
  (void)user;
  free(memory);
}

static size_t bytes_for(const qb__topology *machine)
{
  meter used = {0};
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.allocate = metered_allocate;
  params.release = metered_release;
  params.allocator_user = &used;
  qb_context *context = NULL;
  assert_ok(qb_context_new(&params, &context));
  qb__sustained table[QB__MOST_BANDWIDTH];
  size_t count;
  assert_ok(qb__measure_bandwidth(context, machine, 1, 1, table, &count));
  qb_context_unref(context);
  return used.bytes;
}

static void arrays_exceed_the_cache_and_spare_the_memory(void **state)
{
  (void)state;
  static qb__topology machine;
  machine = topology;
  assert_in_range(bytes_for(&machine), SAID_BYTES / 10, SAID_BYTES / 7);
  machine.memory_bytes = UINT64_C(1) << 40;
  machine.l3_bytes = 40 << 20;
  assert_in_range(bytes_for(&machine), 3 * machine.l3_bytes, 5 * machine.l3_bytes);
  machine.l3_bytes = 0; /* not told */
  assert_true(bytes_for(&machine) >= 64 << 20);
}

static qb_status measure(qb_context *context, void *user)
{
  (void)user;
  qb__sustained table[QB__MOST_BANDWIDTH];
  size_t count = 99;
  const qb_status status = qb__measure_bandwidth(context, &topology, 1, 1, table, &count);
  assert_true(!status || count == 99);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  assert_true(check_every_allocation_failure(measure, NULL) >= 3);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(table_is_in_order_and_plausible),
      cmocka_unit_test(arrays_exceed_the_cache_and_spare_the_memory),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, read_topology, NULL);
}
