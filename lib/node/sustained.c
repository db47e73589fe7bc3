/* SPDX-License-Identifier: Apache-2.0 */
#include "node/sustained.h"

#include "core/alloc.h"
#include "core/hooks.h"

#include <math.h>

enum { FEWEST_PASSES = 3, MOST_PASSES = 25 };

/* Passes that are this close together, or closer, saw the same machine. */
static const double NOISE = 0.10;

static qb_status measure_all(qb__pass measure, void *user, uint32_t pass, qb__sustained *table,
                             double *second, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    double per_s;
    const qb_status status = measure(user, &table[i], pass, &per_s);
    if (status)
      return status;
    second[i] = fmax(second[i], fmin(per_s, table[i].per_s));
    table[i].per_s = fmax(table[i].per_s, per_s);
  }
  return QB_OK;
}

/* The entry whose best pass is farthest from all others, if it is too far. */
static const qb__sustained *unconfirmed(const qb__sustained *table, const double *second,
                                        size_t count, double *other_per_s)
{
  const qb__sustained *found = NULL;
  double least = 1 - NOISE;
  for (size_t i = 0; i < count; i++)
    if (second[i] < least * table[i].per_s) {
      least = second[i] / table[i].per_s;
      *other_per_s = second[i];
      found = &table[i];
    }
  return found;
}

/*
 * Raises shares to those of more threads; returns the entry that had to be raised by most beyond
 * noise.
 */
static const qb__sustained *make_shares_fall(qb__sustained *table, size_t count, double *was_per_s)
{
  const qb__sustained *found = NULL;
  double most = 1 + NOISE;
  for (size_t i = count; i-- > 1;) {
    qb__sustained *few = &table[i - 1];
    const double share = table[i].per_s / table[i].threads * few->threads;
    if (few->isa != table[i].isa || few->precision != table[i].precision || share <= few->per_s)
      continue;
    if (share > most * few->per_s) {
      most = share / few->per_s;
      *was_per_s = few->per_s;
      found = few;
    }
    few->per_s = share;
  }
  return found;
}

static void warn(const qb_context *context, const char *what, const qb__sustained *entry,
                 double other_per_s, const char *told)
{
  qb__message(
      context, QB_SEVERITY_WARNING,
      "the node is too busy for a sure measurement of its %s: %u thread%s sustained %.3g G/s, "
      "%s %.3g; measure it again when it is quiet",
      what, entry->threads, entry->threads == 1 ? "" : "s", entry->per_s * 1e-9, told,
      other_per_s * 1e-9);
}

qb_status qb__measure_passes(const qb_context *context, const char *what, qb__pass measure,
                             void *user, int64_t budget_ns, qb__sustained *table, size_t count)
{
  double *second = qb__calloc(context, count, sizeof *second);
  if (!second)
    return QB_ERROR_NO_MEMORY;
  const int64_t start_ns = qb__now_ns(context);
  const qb__sustained *doubtful = NULL;
  double other_per_s = 0;
  qb_status status = QB_OK;
  for (uint32_t pass = 0; pass < MOST_PASSES && !status; pass++) {
    const int64_t elapsed_ns = qb__now_ns(context) - start_ns;
    doubtful = unconfirmed(table, second, count, &other_per_s);
    if (pass >= FEWEST_PASSES && elapsed_ns >= budget_ns &&
        (!doubtful || elapsed_ns / 2 >= budget_ns))
      break;
    status = measure_all(measure, user, pass, table, second, count);
  }
  if (!status) {
    doubtful = unconfirmed(table, second, count, &other_per_s);
    if (doubtful)
      warn(context, what, doubtful, other_per_s, "but no other pass more than");
    const qb__sustained *raised = make_shares_fall(table, count, &other_per_s);
    if (raised && !doubtful)
      warn(context, what, raised, other_per_s, "as parts of more threads, but alone");
  }
  qb__free(context, second);
  return status;
}
