/* SPDX-License-Identifier: Apache-2.0 */
#include "support/failing_allocator.h"

#include <stdbool.h>
#include <stdlib.h>

#include "support/expect.h"
#include "support/unit.h"

static void *allocate(void *user, size_t bytes, size_t alignment)
{
  failing_allocator *self = user;
  if (atomic_fetch_add(&self->requests, 1) + 1 == self->fail_at)
    return NULL;
  void *memory;
  if (posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, bytes))
    return NULL;
  atomic_fetch_add(&self->live, 1);
  return memory;
}

static void release(void *user, void *memory)
{
  failing_allocator *self = user;
  atomic_fetch_sub(&self->live, 1);
  free(memory);
}

qb_context_params failing_allocator_params(failing_allocator *allocator)
{
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.allocate = allocate;
  params.release = release;
  params.allocator_user = allocator;
  return params;
}

qb_context *failing_allocator_context(failing_allocator *allocator)
{
  const qb_context_params params = failing_allocator_params(allocator);
  qb_context *context = NULL;
  assert_ok(qb_context_new(&params, &context));
  return context;
}

static long fail_each(failing_allocator_work work, void *user, bool may_do_without)
{
  for (long n = 1;; n++) {
    failing_allocator allocator = {0};
    qb_context *context = failing_allocator_context(&allocator);
    const long own = atomic_load(&allocator.requests);
    allocator.fail_at = own + n;
    const qb_status status = work(context, user);
    const long made = atomic_load(&allocator.requests) - own;
    qb_context_unref(context);
    if (atomic_load(&allocator.live))
      fail_msg("%ld allocations are alive after allocation %ld failed",
               atomic_load(&allocator.live), n);
    if (!made)
      fail_msg("nothing is allocated, so no failure is tested");
    if (made < n) {
      if (status)
        fail_msg("with no allocation failed: %s: %s", qb_status_name(status), qb_error_message());
      return made;
    }
    if (!status && may_do_without)
      continue;
    if (status != QB_ERROR_NO_MEMORY)
      fail_msg("allocation %ld failed, but the status is %s", n, qb_status_name(status));
    assert_string_not_equal(qb_error_message(), "");
  }
}

long check_every_allocation_failure(failing_allocator_work work, void *user)
{
  return fail_each(work, user, false);
}

long outlive_every_allocation_failure(failing_allocator_work work, void *user)
{
  return fail_each(work, user, true);
}
