/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"

#include "common/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static char speaker[64] = "qosbatch";
static bool is_quiet;

void diagnose_as(const char *name)
{
  snprintf(speaker, sizeof speaker, "%s", name);
}

const char *diagnose_speaker(void)
{
  return speaker;
}

static void say(const char *kind, const char *format, va_list args, const char *end)
{
  flockfile(stderr); /* a message is one piece, whichever threads have some */
  progress_clear();
  fprintf(stderr, "%s: %s", speaker, kind);
  vfprintf(stderr, format, args);
  fputs(end, stderr);
  funlockfile(stderr);
}

int fail(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  say("", format, args, "\n");
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
  say("", format, args, "; see '");
  va_end(args);
  fprintf(stderr, "%s --help'\n", speaker);
  exit(EXIT_USAGE);
}

void diagnose_quietly(bool quiet)
{
  is_quiet = quiet;
}

void note(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  if (!is_quiet)
    say("", format, args, "\n");
  va_end(args);
}

void warn(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  say("warning: ", format, args, "\n");
  va_end(args);
}
