/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A two-sided CUSUM test (Page, Biometrika 41, 1954) of log(measured / predicted), in units of its
 * standard deviation, which is estimated from the moving range of successive rounds: a change of
 * level touches that once only.
 *
 * With an allowance k of 1 and a limit h of 9.9, noise alone crosses the limit every
 * (exp(2k(h + 1.166)) - 2k(h + 1.166) - 1) / 2k² = 2 billion rounds a side (Siegmund, Sequential
 * Analysis, 1985, approximation to normal noise), and a few times as often as that where the
 * standard deviation is itself estimated from 512 rounds. Evidence of one round is bounded: a burst
 * of one or two rounds, however long they take, is no regime; four rounds can be.
 */
#include "estimate/drift.h"

#include <math.h>
#include <string.h>

static const double ALLOWANCE = 1, LIMIT = 9.9, MOST_EVIDENCE = 2.5;

static const double DEFAULT_NOISE = 0.05, LEAST_NOISE = 0.02;

/* What the profile says counts like this many rounds at the start. */
static const double PROFILE_WEIGHT = 8;

/* Rounds that the noise is the mean of, about. */
static const double NOISE_ROUNDS = 512;

/* Mean moving range of normal noise, in standard deviations: 2 / sqrt(pi). */
static const double RANGE = 1.1283791670955126;

void qb__drift_init(qb__drift *drift, double noise)
{
  memset(drift, 0, sizeof *drift);
  drift->weight = PROFILE_WEIGHT;
  drift->noise = noise > 0 ? fmax(noise, LEAST_NOISE) : DEFAULT_NOISE;
}

/* Evidence for a level above the present one, or below it where `sign` is -1. */
static bool test(qb__cusum *side, double sign, double distance)
{
  side->evidence += fmin(sign * distance - ALLOWANCE, MOST_EVIDENCE);
  if (side->evidence <= 0) {
    memset(side, 0, sizeof *side);
    return false;
  }
  side->rounds++;
  return side->evidence > LIMIT;
}

/* Of the last `count` rounds, at most QB__DRIFT_RECENT. */
static double median_of_last(const qb__drift *drift, uint32_t count)
{
  double sorted[QB__DRIFT_RECENT];
  for (uint32_t i = 0; i < count; i++) {
    const double x = drift->recent[(drift->rounds - 1 - i) % QB__DRIFT_RECENT];
    uint32_t at = i;
    for (; at > 0 && sorted[at - 1] > x; at--)
      sorted[at] = sorted[at - 1];
    sorted[at] = x;
  }
  return 0.5 * (sorted[(count - 1) / 2] + sorted[count / 2]);
}

/*
 * The evidence may have begun with a round or two of noise before the change, which would weigh
 * much in a mean of so few.
 */
static void begin_regime(qb__drift *drift, const qb__cusum *seen)
{
  const uint32_t count = seen->rounds < QB__DRIFT_RECENT ? seen->rounds : QB__DRIFT_RECENT;
  drift->level = median_of_last(drift, count);
  drift->weight = count;
  drift->regimes++;
  memset(&drift->up, 0, sizeof drift->up);
  memset(&drift->down, 0, sizeof drift->down);
}

/*
 * `range`: between successive rounds. Bounded, so that a change of level or a burst is not taken
 * for noise.
 */
static void learn_noise(qb__drift *drift, double range)
{
  const double seen = fmin(range / RANGE, MOST_EVIDENCE * drift->noise);
  drift->noise = fmax(drift->noise + (seen - drift->noise) / NOISE_ROUNDS, LEAST_NOISE);
}

bool qb__drift_add(qb__drift *drift, double measured_ns, double predicted_ns)
{
  if (!(measured_ns > 0) || !(predicted_ns > 0) || isinf(measured_ns) || isinf(predicted_ns))
    return false;
  const double x = log(measured_ns / predicted_ns);
  const double distance = (x - drift->level) / drift->noise;
  if (drift->rounds)
    learn_noise(drift, fabs(x - drift->recent[(drift->rounds - 1) % QB__DRIFT_RECENT]));
  drift->recent[drift->rounds++ % QB__DRIFT_RECENT] = x;
  const bool rose = test(&drift->up, 1, distance), fell = test(&drift->down, -1, distance);
  if (rose || fell) {
    begin_regime(drift, rose ? &drift->up : &drift->down);
    return true;
  }
  /* Bounded for the same reason; a regime that lasts is known ever better. */
  const double step = fmax(-MOST_EVIDENCE, fmin(MOST_EVIDENCE, distance)) * drift->noise;
  drift->weight++;
  drift->level += step / drift->weight;
  return false;
}

double qb__drift_factor(const qb__drift *drift)
{
  return exp(drift->level);
}
