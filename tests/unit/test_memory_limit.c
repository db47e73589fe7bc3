/* SPDX-License-Identifier: Apache-2.0 */
#include "core/memory_limit.h"

#include "core/alloc.h"
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/random.h"

enum { BLOCKS = 5000, LIMIT_BYTES = 1000000 };

static qb_context *limited_context(failing_allocator *allocator)
{
  qb_context_params params = failing_allocator_params(allocator);
  qb_context *context = NULL;
  params.memory_limit_bytes = LIMIT_BYTES;
  assert_ok(qb_context_new(&params, &context));
  return context;
}

/* Blocks come and go at random; each is refused exactly when it goes beyond the limit. */
static void what_is_held_is_counted(void **state)
{
  (void)state;
  static void *blocks[BLOCKS];
  static size_t sizes[BLOCKS];
  failing_allocator allocator = {0};
  qb_context *host = limited_context(&allocator);
  qb__memory_limit limit;
  uint64_t random = random_start(), held = 0;
  int refused = 0;
  qb__memory_limit_begin(&limit, host, "testing");
  for (int i = 0; i < 20 * BLOCKS; i++) {
    const int at = (int)random_int(&random, 0, BLOCKS - 1);
    if (blocks[at]) {
      qb__free(&limit.context, blocks[at]);
      held -= sizes[at];
      blocks[at] = NULL;
    } else {
      sizes[at] = (size_t)random_int(&random, 0, 900);
      blocks[at] = qb__alloc_aligned(&limit.context, sizes[at], 64);
      assert_int_equal(!blocks[at], held + sizes[at] > LIMIT_BYTES);
      held += blocks[at] ? sizes[at] : 0;
      refused += !blocks[at];
    }
    assert_int_equal(limit.held_bytes, held);
  }
  assert_true(refused > 0);
  qb__memory_limit_end(&limit);
  for (int i = 0; i < BLOCKS; i++) /* they outlive the limit */
    qb__free(host, blocks[i]);
  qb_context_unref(host);
  assert_int_equal(atomic_load(&allocator.live), 0);
}

static void refusal_names_limit_and_request(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *host = limited_context(&allocator);
  qb__memory_limit limit;
  qb__memory_limit_begin(&limit, host, "testing this");
  void *block = qb__alloc_aligned(&limit.context, 999000, 64);
  const long requests = atomic_load(&allocator.requests);
  assert_null(qb__alloc_aligned(&limit.context, SIZE_MAX, 64));
  assert_null(qb__calloc(&limit.context, 1001, 1));
  assert_int_equal(atomic_load(&allocator.requests), requests); /* the host was not asked */
  assert_message("testing this takes more memory than the 1000000 bytes");
  assert_message("memory_limit_bytes");
  assert_message("it holds 999000 and needs 1001 more");
  void *before = qb__alloc_aligned(host, 2000000, 64); /* not counted, whoever frees it */
  qb__free(&limit.context, before);
  qb__free(&limit.context, block);
  assert_int_equal(limit.held_bytes, 0);
  qb__memory_limit_end(&limit);
  qb_context_unref(host);
  assert_int_equal(atomic_load(&allocator.live), 0);
}

static qb_status hold_some(qb_context *host, void *user)
{
  (void)user;
  void *blocks[600] = {NULL}; /* the books grow */
  qb_status status = QB_OK;
  qb__memory_limit limit;
  qb__memory_limit_begin(&limit, host, "testing");
  for (int i = 0; i < 600 && !status; i++)
    if (!(blocks[i] = qb__alloc_aligned(&limit.context, 1, 64)))
      status = QB_ERROR_NO_MEMORY;
  for (int i = 0; i < 600; i++)
    qb__free(&limit.context, blocks[i]);
  qb__memory_limit_end(&limit);
  return status;
}

static void books_that_cannot_be_kept(void **state)
{
  (void)state;
  check_every_allocation_failure(hold_some, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_held_is_counted),
      cmocka_unit_test(refusal_names_limit_and_request),
      cmocka_unit_test(books_that_cannot_be_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
