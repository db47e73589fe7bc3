/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/conformal.h"

#include "estimate/normal.h"

#include <math.h>
#include <string.h>

/* What is to be outside. */
static const double TARGET = 0.05;

/*
 * How much a round moves the quantile. The share of rounds outside over n rounds is the target but
 * for the quantile's change over STEP n, by construction: within 1 % for n = 200.
 */
static const double STEP = 0.05;

/* Beyond these the rounds are no longer those that predictions are for, and debts are remitted. */
static const double LEAST_MISS = -0.2, MOST_MISS = 0.5;

/* By how much the interval exceeds the largest score where none at all is to be beyond it. */
static const double BEYOND_LARGEST = 2;

/* What the prediction counts like at the start, in rounds; and the fewest scores that are kept. */
enum { PRIOR_ROUNDS = 20, FEWEST = 8 };

/* Where the first score that is not less would be. */
static uint32_t place_of(const qb__conformal *c, double score)
{
  uint32_t low = 0, high = c->count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (c->sorted[middle] < score)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void take_out(qb__conformal *c, double score)
{
  const uint32_t at = place_of(c, score);
  memmove(&c->sorted[at], &c->sorted[at + 1], (c->count - at - 1) * sizeof *c->sorted);
  c->count--;
}

static void drop_oldest(qb__conformal *c)
{
  take_out(c, c->scores[c->first]);
  c->first = (c->first + 1) % QB__CONFORMAL_ROUNDS;
}

static void push(qb__conformal *c, double score)
{
  const uint32_t at = place_of(c, score);
  memmove(&c->sorted[at + 1], &c->sorted[at], (c->count - at) * sizeof *c->sorted);
  c->sorted[at] = score;
  c->scores[(c->first + c->count++) % QB__CONFORMAL_ROUNDS] = score;
}

/* The quantile of the kept scores and one more, which is yet to come. */
static void set_width(qb__conformal *c)
{
  const double rank = ceil((c->count + 1) * (1 - c->miss));
  c->width = c->sorted[rank < c->count ? (uint32_t)rank - 1 : c->count - 1];
  if (c->miss < 0)
    c->width *= 1 - BEYOND_LARGEST * c->miss;
}

/* Quantiles of normal errors, large and small ones mixed: they are replaced in this order. */
void qb__conformal_init(qb__conformal *conformal)
{
  memset(conformal, 0, sizeof *conformal);
  conformal->miss = TARGET;
  for (uint32_t i = 0; i < PRIOR_ROUNDS; i++) {
    const double beyond = ((i * 7) % PRIOR_ROUNDS + 0.5) / PRIOR_ROUNDS;
    push(conformal, qb__normal_quantile(beyond / 2) / QB__NORMAL_P97_5);
  }
  conformal->width = 1;
}

static void count(qb__conformal *c, bool is_inside)
{
  bool *recent = &c->is_inside[c->rounds % QB__CONFORMAL_ROUNDS];
  c->recent_inside += (uint32_t)is_inside - (uint32_t)*recent;
  *recent = is_inside;
  c->inside += is_inside;
  c->rounds++;
}

void qb__conformal_add(qb__conformal *conformal, double score)
{
  const bool is_inside = score <= conformal->width;
  const double miss = conformal->miss + STEP * (is_inside ? TARGET : TARGET - 1);
  if (conformal->count == QB__CONFORMAL_ROUNDS || conformal->rounds < PRIOR_ROUNDS)
    drop_oldest(conformal);
  push(conformal, score);
  count(conformal, is_inside);
  conformal->miss = fmax(LEAST_MISS, fmin(MOST_MISS, miss));
  set_width(conformal);
}

void qb__conformal_forget(qb__conformal *conformal, uint32_t rounds)
{
  qb__conformal *c = conformal;
  for (; rounds > 0 && c->count > FEWEST; rounds--)
    take_out(c, c->scores[(c->first + c->count - 1) % QB__CONFORMAL_ROUNDS]);
  set_width(c);
}

double qb__conformal_coverage(const qb__conformal *conformal)
{
  const uint64_t recent =
      conformal->rounds < QB__CONFORMAL_ROUNDS ? conformal->rounds : QB__CONFORMAL_ROUNDS;
  return recent ? (double)conformal->recent_inside / (double)recent : 0;
}
