/* SPDX-License-Identifier: Apache-2.0 */
#include "diagnose.h"

#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *speaker;

void diagnose_as(const char *command)
{
  speaker = command;
}

static void say(const char *format, va_list args, const char *end)
{
  flockfile(stderr); /* a message is one piece, whichever threads have some */
  progress_clear();
  fprintf(stderr, "qosbatch%s%s: ", speaker ? " " : "", speaker ? speaker : "");
  vfprintf(stderr, format, args);
  fputs(end, stderr);
  funlockfile(stderr);
}

int fail(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  say(format, args, "\n");
  va_end(args);
  return EXIT_FAILED;
}

int check(qb_status status)
{
  return status ? fail("%s", qb_error_message()) : EXIT_DONE;
}

void fail_usage(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  say(format, args, "; see 'qosbatch ");
  va_end(args);
  fprintf(stderr, "%s%s--help'\n", speaker ? speaker : "", speaker ? " " : "");
  exit(EXIT_USAGE);
}

void note(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  say(format, args, "\n");
  va_end(args);
}
