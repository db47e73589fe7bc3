/* SPDX-License-Identifier: Apache-2.0 */
/* An allocator for contexts that counts what is alive and can fail the n-th request. */
#ifndef QB_SUPPORT_FAILING_ALLOCATOR_H
#define QB_SUPPORT_FAILING_ALLOCATOR_H

#include <qosbatch/context.h>

#include <stdatomic.h>

/* Zero it before use; {0} never fails. Threads may share it. */
typedef struct failing_allocator {
  atomic_long live;     /* allocations not released yet */
  atomic_long requests; /* so far, the failed one included */
  long fail_at;         /* the request that fails, from 1; 0: none */
} failing_allocator;

/* Parameters of a context, with the allocator hooks set. */
qb_context_params failing_allocator_params(failing_allocator *allocator);

/* A context over the allocator; the test fails if it cannot be made. */
qb_context *failing_allocator_context(failing_allocator *allocator);

/* Works with the context, frees all it made, and returns the first status that was not QB_OK. */
typedef qb_status (*failing_allocator_work)(qb_context *context, void *user);

/*
 * Calls `work` with the 1st, 2nd, 3rd, ... allocation after the context's own failing, until it
 * returns QB_OK with none failed. Checks that each call that met the failure returned
 * QB_ERROR_NO_MEMORY with a message, and that none left an allocation. Returns how many allocations
 * `work` makes.
 */
long check_every_allocation_failure(failing_allocator_work work, void *user);

/* The same of work that may do without some of its allocations: it then returns QB_OK. */
long outlive_every_allocation_failure(failing_allocator_work work, void *user);

#endif
