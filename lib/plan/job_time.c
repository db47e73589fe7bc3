/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rounds of an instance, at their means, add up to T. Their errors are of two kinds. That of
 * the profile is the same in all rounds on all nodes; its standard deviations add up to S. That of
 * a node comes from neighbours, who stay for minutes and slow all rounds they meet, so that it does
 * not average out over rounds either; its standard deviations add up to D. Nodes have different
 * neighbours: a job on N of them ends with the last one, and the largest of N normal deviates has
 * the quantile z(p^(1/N)). So, with m and q its median and its upper quantile,
 *
 * total = T + m D,   high = total + sqrt((z S)^2 + (q - m)^2 D^2),
 *
 * exact where either kind is absent, or for one node. The low end is that of undisturbed rounds.
 */
#include "plan/job_time.h"

#include "core/checked.h"
#include "estimate/normal.h"

#include <math.h>

qb__spread qb__spread_of(double nodes, const qb__purchase *purchase)
{
  /* With a second cause the union bound. */
  const double doubt = purchase->interruptions_per_h > 0 ? 0.0125 : 0.025;
  const double median = qb__normal_quantile(-expm1(log(0.5) / nodes));
  const double upper = qb__normal_quantile(-expm1(log1p(-doubt) / nodes));
  return (qb__spread){.confidence = 1 - doubt,
                      .nodes = nodes,
                      .median = median,
                      .above = upper - median,
                      .single = qb__normal_quantile(doubt)};
}

/* The least number of events that is not exceeded with probability p, of a Poisson process. */
static double poisson_quantile(double mean, double p)
{
  if (mean > 100)
    return ceil(mean + qb__normal_quantile(fmin(0.5, 1 - p)) * sqrt(mean) + 1);
  double term = exp(-mean), sum = term;
  int count = 0;
  while (sum < p && count < 1000) {
    count++;
    term *= mean / count;
    sum += term;
  }
  return count;
}

/* The standard deviation of the profile's error in a round. */
static double profile_error(const qb__round_times *t, uint32_t n)
{
  return (double)(t->high_ns[n] - t->latency_ns[n]) / QB__NORMAL_P97_5;
}

/* The standard deviation of a node's error in a round. */
static double node_error(const qb__round_times *t, uint32_t n)
{
  return fmax(0, (double)(t->p95_ns[n] - t->mean_ns[n])) / QB__NORMAL_P95;
}

double qb__round_high_ns(const qb__round_times *table, uint32_t batch, const qb__spread *spread)
{
  return (double)table->mean_ns[batch] + spread->single * profile_error(table, batch);
}

qb__job_time qb__job_time_of(const qb__round_times *t, uint64_t most, uint32_t batch,
                             const qb__spread *spread, const qb__purchase *purchase)
{
  const double full = (double)(most / batch), start = purchase->start_up_ns;
  const uint32_t rest = (uint32_t)(most % batch);
  const double time = full * (double)t->mean_ns[batch] + (double)t->mean_ns[rest];
  const double low = full * (double)t->low_ns[batch] + (double)t->low_ns[rest];
  const double shared = full * profile_error(t, batch) + profile_error(t, rest);
  const double own = full * node_error(t, batch) + node_error(t, rest);
  double total = time + spread->median * own;
  double high = total + hypot(spread->single * shared, spread->above * own);
  if (purchase->interruptions_per_h > 0) {
    const double per_ns = purchase->interruptions_per_h / 3600e9;
    const double round = (double)t->mean_ns[batch];
    const double count =
        poisson_quantile(high * per_ns, pow(spread->confidence, 1 / spread->nodes));
    high += count * (start + round);
    total += total * per_ns * (start + 0.5 * round);
  }
  return (qb__job_time){time, qb__clamp_i64(total + start), qb__clamp_i64(low + start),
                        qb__clamp_i64(high + start)};
}
