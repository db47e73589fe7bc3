/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 24 };

static const int64_t redraw_ns = 100000000; /* more often than 10 times a second is flicker */

static bool on_screen;
static int64_t next_ns;

static bool terminal_can_redraw(void)
{
  const char *kind = getenv("TERM");
  return isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb");
}

bool progress_show(void *user, const qb_progress *progress)
{
  (void)user;
  if ((on_screen && progress->elapsed_ns < next_ns) || !terminal_can_redraw())
    return true;
  char bar[BAR_WIDTH + 1];
  const int filled = (int)(progress->fraction * BAR_WIDTH);
  for (int i = 0; i < BAR_WIDTH; i++)
    bar[i] = i < filled ? '#' : '.';
  bar[BAR_WIDTH] = 0;
  fprintf(stderr, "\r\033[K%s %ux%u, batch %u  [%s] %3.0f %%",
          progress->phase == QB_PHASE_PREPARE ? "preparing" : "measuring",
          progress->configuration.instances, progress->configuration.threads, progress->batch, bar,
          100 * progress->fraction);
  if (progress->fraction > 0.02) {
    const double done = progress->fraction;
    const double left_ns = (double)progress->elapsed_ns * (1 - done) / done;
    fprintf(stderr, ", %.0f s left", left_ns / 1e9);
  }
  fflush(stderr);
  on_screen = true;
  next_ns = progress->elapsed_ns + redraw_ns;
  return true;
}

void progress_clear(void)
{
  if (on_screen)
    fputs("\r\033[K", stderr);
  on_screen = false;
}
