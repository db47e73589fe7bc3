/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions in words. */
#include <qosbatch/optimize.h>

#include <stdio.h>
#include <string.h>

/* Longer than any sentences below with any figures. */
enum { LONGEST_TEXT = 640 };

/* A smaller change of the node is not worth a sentence. */
static const double CHANGED = 1.05;

static double ms(int64_t ns)
{
  return (double)ns * 1e-6;
}

static const char *plural(uint32_t count)
{
  return count == 1 ? "" : "s";
}

static void explain_run(const qb_decision *d, char *text)
{
  const char *why;
  switch (d->reason) {
  case QB_REASON_SLO: why = "A larger round or a longer wait could break the latency target"; break;
  case QB_REASON_FILL: why = "The longest wait for a fuller batch is over"; break;
  case QB_REASON_THROUGHPUT: why = "It is the best size for the current queue"; break;
  case QB_REASON_LATE:
    why = "That is too late for it, but keeps more of the other answers in time";
    break;
  default: why = "No reason was recorded"; break;
  }
  snprintf(
      text, LONGEST_TEXT,
      "Run %u sample%s now: the round takes %.3f ms (95 %%: %.3f to %.3f ms) and the oldest is "
      "answered %.3f ms after its arrival. %s.",
      d->batch, plural(d->batch), ms(d->latency_ns), ms(d->low_ns), ms(d->high_ns),
      ms(d->oldest_latency_ns), why);
}

static void explain_wait(const qb_decision *d, char *text)
{
  if (d->reason == QB_REASON_NONE)
    snprintf(text, LONGEST_TEXT,
             "Wait: no samples are queued or no instance is free, so there is nothing to decide.");
  else
    snprintf(
        text, LONGEST_TEXT,
        "Wait until %u sample%s are queued, for %.3f ms at most, then ask again: the oldest is "
        "answered %.3f ms after its arrival. %s.",
        d->batch, plural(d->batch), ms(d->max_wait_ns), ms(d->oldest_latency_ns),
        d->reason == QB_REASON_SLO ? "A longer wait could break its latency target"
                                   : "A fuller batch gains more than this wait costs");
}

static void explain_infeasible(const qb_decision *d, char *text)
{
  snprintf(text, LONGEST_TEXT,
           "The oldest sample will be late in any case: if %u sample%s run%s now, in %.3f ms "
           "(95 %%: %.3f to %.3f ms), it is answered %.3f ms after its arrival.",
           d->batch, plural(d->batch), d->batch == 1 ? "s" : "", ms(d->latency_ns), ms(d->low_ns),
           ms(d->high_ns), ms(d->oldest_latency_ns));
}

static void explain_given_up(const qb_decision *d, char *text)
{
  const size_t used = strlen(text);
  if (d->give_up)
    snprintf(text + used, LONGEST_TEXT - used,
             " Before that, refuse the first %u sample%s: already late, or making others late.",
             d->give_up, plural(d->give_up));
}

static void explain_node(const qb_decision *d, char *text)
{
  const size_t used = strlen(text);
  if (d->slowdown > CHANGED)
    snprintf(text + used, LONGEST_TEXT - used, " The node is %.2f times slower than profiled.",
             d->slowdown);
  else if (d->slowdown > 0 && d->slowdown < 1 / CHANGED)
    snprintf(text + used, LONGEST_TEXT - used, " The node is %.2f times faster than profiled.",
             1 / d->slowdown);
}

size_t qb_explain(const qb_decision *decision, char *text, size_t text_bytes)
{
  char ours[LONGEST_TEXT];
  if (!decision)
    snprintf(ours, sizeof ours, "There is no decision.");
  else if (decision->action == QB_ACTION_RUN)
    explain_run(decision, ours);
  else if (decision->action == QB_ACTION_WAIT)
    explain_wait(decision, ours);
  else if (decision->action == QB_ACTION_INFEASIBLE)
    explain_infeasible(decision, ours);
  else
    snprintf(ours, sizeof ours, "The decision has the unknown action %d.", (int)decision->action);
  if (decision) {
    explain_given_up(decision, ours);
    explain_node(decision, ours);
  }
  return (size_t)snprintf(text, text_bytes, "%s", ours) + 1;
}
