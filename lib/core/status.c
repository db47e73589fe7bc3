/* SPDX-License-Identifier: Apache-2.0 */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [QB_OK] = "QB_OK",
    [QB_ERROR_INVALID_ARGUMENT] = "QB_ERROR_INVALID_ARGUMENT",
    [QB_ERROR_NO_MEMORY] = "QB_ERROR_NO_MEMORY",
    [QB_ERROR_OVERFLOW] = "QB_ERROR_OVERFLOW",
    [QB_ERROR_IO] = "QB_ERROR_IO",
    [QB_ERROR_FORMAT] = "QB_ERROR_FORMAT",
    [QB_ERROR_VERSION] = "QB_ERROR_VERSION",
    [QB_ERROR_UNSUPPORTED] = "QB_ERROR_UNSUPPORTED",
    [QB_ERROR_NOT_FOUND] = "QB_ERROR_NOT_FOUND",
    [QB_ERROR_MISMATCH] = "QB_ERROR_MISMATCH",
    [QB_ERROR_INFEASIBLE] = "QB_ERROR_INFEASIBLE",
    [QB_ERROR_ENGINE] = "QB_ERROR_ENGINE",
    [QB_ERROR_CANCELLED] = "QB_ERROR_CANCELLED",
    [QB_ERROR_SYSTEM] = "QB_ERROR_SYSTEM",
};

static _Thread_local char message[2048];

const char *qb_status_name(qb_status status)
{
  const size_t i = (size_t)status;
  return i < sizeof names / sizeof *names ? names[i] : "QB_ERROR_UNKNOWN";
}

const char *qb_error_message(void)
{
  return message;
}

qb_status qb__fail(qb_status status, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  return status;
}

qb_status qb__fail_within(qb_status status, const char *format, ...)
{
  char inner[sizeof message];
  memcpy(inner, message, sizeof inner);
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  strncat(message, ": ", sizeof message - strlen(message) - 1);
  strncat(message, inner, sizeof message - strlen(message) - 1);
  return status;
}
