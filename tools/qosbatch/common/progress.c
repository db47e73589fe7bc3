/* SPDX-License-Identifier: Apache-2.0 */
#include "common/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 24 };

static const int64_t redraw_ns = 100000000; /* more often than 10 times a second is flicker */

/* Guarded by stderr's own lock, as messages of other threads take the bar away. */
static bool on_screen;
static int64_t next_ns;

static bool terminal_can_redraw(void)
{
  const char *kind = getenv("TERM");
  return isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb");
}

void progress_draw(int64_t now_ns, double fraction, const char *format, ...)
{
  flockfile(stderr);
  if ((!on_screen || now_ns >= next_ns) && terminal_can_redraw()) {
    char bar[BAR_WIDTH + 1];
    const int filled = (int)(fraction * BAR_WIDTH);
    for (int i = 0; i < BAR_WIDTH; i++)
      bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, "\r\033[K[%s] %3.0f %%  ", bar, 100 * fraction);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fflush(stderr);
    on_screen = true;
    next_ns = now_ns + redraw_ns;
  }
  funlockfile(stderr);
}

void progress_show(const qb_progress *progress)
{
  char left[32] = "";
  const double done = progress->fraction;
  if (done > 0.02)
    snprintf(left, sizeof left, ", %.0f s left",
             (double)progress->elapsed_ns / 1e9 * (1 - done) / done);
  progress_draw(progress->elapsed_ns, done, "%s %ux%u %s, batch %u%s",
                progress->phase == QB_PHASE_PREPARE ? "preparing" : "measuring",
                progress->configuration.instances, progress->configuration.threads,
                qb_precision_name(progress->configuration.precision), progress->batch, left);
}

void progress_clear(void)
{
  flockfile(stderr);
  if (on_screen)
    fputs("\r\033[K", stderr);
  on_screen = false;
  funlockfile(stderr);
}
