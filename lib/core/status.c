/* SPDX-License-Identifier: Apache-2.0 */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  const char *remedy;
} statuses[] = {
    [QB_OK] = {"QB_OK", "Nothing to do."},
    [QB_ERROR_INVALID_ARGUMENT] = {"QB_ERROR_INVALID_ARGUMENT",
                                   "Pass a value in the range that the header documents."},
    [QB_ERROR_NO_MEMORY] = {"QB_ERROR_NO_MEMORY",
                            "Free memory, or ask for smaller batches or fewer instances."},
    [QB_ERROR_OVERFLOW] = {"QB_ERROR_OVERFLOW", "Use smaller shapes, batches or files."},
    [QB_ERROR_IO] = {"QB_ERROR_IO", "Check the path, its permissions and the free disk space."},
    [QB_ERROR_FORMAT] = {"QB_ERROR_FORMAT",
                         "Correct the file at the place named, or make it again."},
    [QB_ERROR_VERSION] = {"QB_ERROR_VERSION",
                          "Update libqosbatch, or make the file again with this version."},
    [QB_ERROR_UNSUPPORTED] = {"QB_ERROR_UNSUPPORTED",
                              "Use a build of the library with this feature, or another model."},
    [QB_ERROR_NOT_FOUND] = {"QB_ERROR_NOT_FOUND", "Use one of the names or numbers that exist."},
    [QB_ERROR_MISMATCH] = {"QB_ERROR_MISMATCH",
                           "Profile the model again on this node with this engine."},
    [QB_ERROR_INFEASIBLE] = {"QB_ERROR_INFEASIBLE",
                             "Relax the latency, the rate or the limit that the answer names."},
    [QB_ERROR_ENGINE] = {"QB_ERROR_ENGINE",
                         "See the message for the operator that failed; report it if built in."},
    [QB_ERROR_CANCELLED] = {"QB_ERROR_CANCELLED", "Nothing to do: the callback asked to stop."},
    [QB_ERROR_SYSTEM] = {"QB_ERROR_SYSTEM",
                         "Check the limits on threads and CPUs that the process runs under."},
};

static _Thread_local char message[2048];

const char *qb_status_name(qb_status status)
{
  const size_t i = (size_t)status;
  return i < sizeof statuses / sizeof *statuses ? statuses[i].name : "QB_ERROR_UNKNOWN";
}

const char *qb_status_remedy(qb_status status)
{
  const size_t i = (size_t)status;
  return i < sizeof statuses / sizeof *statuses ? statuses[i].remedy
                                                : "Use a status that a call returned.";
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
