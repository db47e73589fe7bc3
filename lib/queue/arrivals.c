/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/arrivals.h"

/* Share of the time in bursts, and their mean length, of a load that tells its dispersion only. */
static const double BURST_SHARE = 0.25, BURST_S = 1;

/* Fewer strata would make bursts too regular. */
enum { FEWEST_STRATA = 32, MOST_STRATA = 4096 };

double qb__arrival_mean_rate(const qb__arrival_law *law)
{
  const double leave = law->leave_per_s[0] + law->leave_per_s[1];
  const double in_burst = leave > 0 ? law->leave_per_s[0] / leave : 0;
  return law->times_ns ? 0 : (1 - in_burst) * law->rate_per_s[0] + in_burst * law->rate_per_s[1];
}

qb__arrival_law qb__arrival_bursts(double rate_per_s, double ratio, double share, double burst_s)
{
  /* share * high + (1 - share) * high / ratio = rate */
  const double high = rate_per_s / (share + (1 - share) / ratio);
  return (qb__arrival_law){.rate_per_s = {high / ratio, high},
                           .leave_per_s = {share / ((1 - share) * burst_s), 1 / burst_s}};
}

/*
 * The index of dispersion of counts over a long time is
 * 1 + 2 (high - low)^2 share (1 - share) relaxation / rate, with a relaxation time of
 * 1 / (sum of the rates of leaving) = burst (1 - share). The rates follow; when the low one would
 * be negative it is 0 and bursts are longer instead.
 */
qb__arrival_law qb__arrival_law_of(const qb_load *load)
{
  const double rate = load->rate_per_s, excess = load->dispersion - 1;
  if (!(excess > 0))
    return (qb__arrival_law){.rate_per_s = {rate, 0}};
  double burst_s = load->burst_ns ? (double)load->burst_ns * 1e-9 : BURST_S;
  const double variance = excess * rate / (2 * burst_s * (1 - BURST_SHARE));
  double apart = sqrt(variance / (BURST_SHARE * (1 - BURST_SHARE)));
  if (apart * BURST_SHARE > rate) {
    const double most = rate / BURST_SHARE;
    burst_s *= apart * apart / (most * most);
    apart = most;
  }
  const double low = fmax(rate - BURST_SHARE * apart, 0);
  return qb__arrival_bursts(rate, low > 0 ? (low + apart) / low : INFINITY, BURST_SHARE, burst_s);
}

/* A random order of 0..strata - 1: each step maps them one to one. */
static uint32_t shuffle(uint32_t x, uint32_t strata, uint64_t key)
{
  qb__random_stream keys;
  qb__random_seed(&keys, key);
  for (int i = 0; i < 4; i++) {
    const uint64_t k = keys.state[i];
    x = (x * (uint32_t)(2 * k + 1) + (uint32_t)(k >> 32)) & (strata - 1);
    x ^= x >> (2 + i);
  }
  return x;
}

/* A number in (0, 1) for the length of the phase that begins. */
static double draw_length(qb__arrivals *a)
{
  const double unit = qb__random_unit(&a->random);
  if (!a->strata)
    return unit;
  const uint32_t number = a->begun[a->phase]++, order = 2 * (number / a->strata);
  const uint64_t key = ((uint64_t)a->strata_key << 32) + order + (uint32_t)a->phase;
  return (shuffle(number & (a->strata - 1), a->strata, key) + unit) / a->strata;
}

static double phase_end_ns(qb__arrivals *arrivals)
{
  const double leave_per_s = arrivals->law.leave_per_s[arrivals->phase];
  return leave_per_s > 0 ? arrivals->now_ns - 1e9 * log(draw_length(arrivals)) / leave_per_s
                         : INFINITY;
}

void qb__arrivals_start(qb__arrivals *arrivals, const qb__arrival_law *law, uint64_t seed)
{
  qb__arrivals_start_even(arrivals, law, seed, 0);
}

double qb__arrival_burst_count(const qb__arrival_law *law, double samples)
{
  if (!(law->leave_per_s[0] > 0 && law->leave_per_s[1] > 0))
    return 0;
  const double cycle_s = 1 / law->leave_per_s[0] + 1 / law->leave_per_s[1];
  return samples / (cycle_s * qb__arrival_mean_rate(law));
}

void qb__arrivals_start_even(qb__arrivals *arrivals, const qb__arrival_law *law, uint64_t seed,
                             double bursts)
{
  *arrivals = (qb__arrivals){.law = *law, .strata_key = (uint32_t)seed};
  qb__random_seed(&arrivals->random, seed);
  if (bursts >= FEWEST_STRATA)
    arrivals->strata = FEWEST_STRATA;
  while (arrivals->strata && arrivals->strata < MOST_STRATA && 2 * arrivals->strata <= bursts)
    arrivals->strata *= 2;
  arrivals->switch_ns = phase_end_ns(arrivals);
}

static void pass(qb__arrivals *a, double until_ns)
{
  const double backlog_ns = a->backlog_ns + a->drift[a->phase] * (until_ns - a->now_ns);
  a->backlog_ns = backlog_ns > 0 ? backlog_ns : 0;
  a->now_ns = until_ns;
}

/* The next arrival of the process at its full swing. */
static double next_of_phases(qb__arrivals *a)
{
  const double swing = 1 + a->law.swing;
  for (;;) {
    const double rate_per_s = a->law.rate_per_s[a->phase] * swing;
    const double at_ns = rate_per_s > 0
                             ? a->now_ns + 1e9 * qb__random_exponential(&a->random) / rate_per_s
                             : INFINITY;
    if (at_ns <= a->switch_ns) {
      pass(a, at_ns);
      return at_ns;
    }
    pass(a, a->switch_ns);
    a->phase = !a->phase;
    a->switch_ns = phase_end_ns(a);
  }
}

int64_t qb__arrivals_next(qb__arrivals *arrivals)
{
  const qb__arrival_law *law = &arrivals->law;
  if (law->times_ns)
    return arrivals->next < law->time_count ? law->times_ns[arrivals->next++] : INT64_MAX;
  double at_ns = next_of_phases(arrivals);
  /* Thinning (P. A. W. Lewis and G. S. Shedler, Naval Res. Logist. Quart. 26, 1979). */
  while (law->swing > 0 &&
         qb__random_unit(&arrivals->random) * (1 + law->swing) >
             1 + law->swing * sin(6.283185307179586 * at_ns * 1e-9 / law->period_s))
    at_ns = next_of_phases(arrivals);
  return (int64_t)at_ns;
}
