/* SPDX-License-Identifier: Apache-2.0 */
#include "common/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

enum { FIRST_STATUS = 128 };

static volatile sig_atomic_t kept;

static void end(int number)
{
  _exit(FIRST_STATUS + number);
}

static void keep(int number)
{
  if (kept)
    end(number);
  kept = number;
}

static void handle_with(void (*handler)(int))
{
  static const int numbers[] = {SIGINT, SIGTERM};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct sigaction before, action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (!sigaction(numbers[i], NULL, &before) && before.sa_handler != SIG_IGN)
      (void)sigaction(numbers[i], &action, NULL);
  }
}

void interrupt_ends(void)
{
  handle_with(end);
}

void interrupt_is_kept(void)
{
  handle_with(keep);
}

int interrupt_signal(void)
{
  return kept;
}

int interrupt_status(void)
{
  return FIRST_STATUS + kept;
}
