/* SPDX-License-Identifier: Apache-2.0 */
#include "core/context_impl.h"
#include "core/error.h"
#include "core/hooks.h"
#include "core/structs.h"

#include <qosbatch/version.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void *default_allocate(void *user, size_t bytes, size_t alignment)
{
  (void)user;
  void *memory;
  return posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, bytes)
             ? NULL
             : memory;
}

static void default_release(void *user, void *memory)
{
  (void)user;
  free(memory);
}

static int64_t default_now_ns(void *user)
{
  (void)user;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Half of the machine's memory; where that is not known, of what can be addressed. */
static uint64_t default_memory_limit_bytes(void)
{
  const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes / 2 : SIZE_MAX / 2;
}

uint32_t qb_version_number(void)
{
  return QB_VERSION_NUMBER;
}

const char *qb_version(void)
{
  return QB_LIBRARY_VERSION;
}

qb_status qb_context_new(const qb_context_params *params, qb_context **context)
{
  if (!context)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "context is NULL; pass the address of a pointer");
  struct qb_context made;
  memset(&made, 0, sizeof made);
  const qb_context_params defaults = QB_CONTEXT_PARAMS_INIT;
  const qb_status status =
      QB__STRUCT_IN(qb_context_params, &made.params, params ? params : &defaults);
  if (status)
    return status;
  if (!made.params.allocate != !made.params.release)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "qb_context_params.%s is NULL but its partner is set; set both or neither",
                    made.params.allocate ? "release" : "allocate");
  if (!made.params.allocate) {
    made.params.allocate = default_allocate;
    made.params.release = default_release;
  }
  if (!made.params.now_ns)
    made.params.now_ns = default_now_ns;
  if (!made.params.memory_limit_bytes)
    made.params.memory_limit_bytes = default_memory_limit_bytes();

  struct qb_context *self = qb__host_allocate(&made, sizeof *self, QB__DEFAULT_ALIGNMENT);
  if (!self)
    return qb__fail(QB_ERROR_NO_MEMORY, "out of memory allocating a context");
  memset(self, 0, sizeof *self);
  self->params = made.params;
  qb__refcount_init(&self->references);
  *context = self;
  return QB_OK;
}

qb_context *qb_context_ref(qb_context *context)
{
  if (context)
    qb__refcount_take(&context->references);
  return context;
}

void qb_context_unref(qb_context *context)
{
  if (!context || !qb__refcount_drop(&context->references))
    return;
  const struct qb_context last = {.params = context->params};
  qb__host_release(&last, context);
}

int64_t qb__now_ns(const qb_context *context)
{
  return context->params.now_ns(context->params.clock_user);
}

void qb__message(const qb_context *context, qb_severity severity, const char *format, ...)
{
  if (!context->params.message)
    return;
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  context->params.message(context->params.message_user, severity, text);
}
