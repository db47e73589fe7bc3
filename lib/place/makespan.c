/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's rounds add up to T. Their errors are of two kinds: that of the profile is the same in
 * all rounds of all workers, so deviations S add up; that of single rounds is independent, so
 * variances V add up. With M workers the job ends with the last one, and the largest of M normal
 * deviates has the quantile z(p^(1/M)). So, with m and q its median and its upper quantile,
 *
 *   T50 = T + m sqrt(V),   T95 = T50 + sqrt((z S)^2 + (q - m)^2 V),
 *
 * exact when either kind is absent, or for one worker.
 */
#include "place/makespan.h"

#include "core/checked.h"

#include <math.h>

/* The normal deviate exceeded with probability `tail` <= 0.5: Newton's method on log(tail). */
static double normal_quantile(double tail)
{
  double z = sqrt(-2 * log(tail));
  for (int i = 0; i < 8; i++) {
    const double q = 0.5 * erfc(z * M_SQRT1_2);
    const double density = exp(-0.5 * z * z) * 0.3989422804014327;
    z += (log(q) - log(tail)) * q / density;
  }
  return z;
}

qb__spread qb__spread_of(double workers, double confidence)
{
  const double median = normal_quantile(-expm1(log(0.5) / workers));
  const double upper = normal_quantile(-expm1(log(confidence) / workers));
  return (qb__spread){.confidence = confidence,
                      .workers = workers,
                      .median = median,
                      .above = upper - median,
                      .single = normal_quantile(1 - confidence)};
}

/* With a second cause the union bound: 2.5 % for each. */
double qb__confidence(const qb_node_type *type)
{
  return type->interruptions_per_h > 0 ? 0.975 : 0.95;
}

/* The least number of events that is not exceeded with probability p, of a Poisson process. */
static double poisson_quantile(double mean, double p)
{
  if (mean > 100)
    return ceil(mean + normal_quantile(fmin(0.5, 1 - p)) * sqrt(mean) + 1);
  double term = exp(-mean), sum = term;
  int count = 0;
  while (sum < p && count < 1000) {
    count++;
    term *= mean / count;
    sum += term;
  }
  return count;
}

qb__makespan qb__makespan_of(const qb_node_type *type, uint32_t nodes, const qb__rounds *rounds,
                             uint64_t most, uint32_t batch, const qb__spread *spread)
{
  const double full = (double)(most / batch);
  const uint32_t rest = (uint32_t)(most % batch);
  const double time = full * rounds->time_ns[batch] + rounds->time_ns[rest];
  const double error = full * rounds->error_ns[batch] + rounds->error_ns[rest];
  const double variance = full * rounds->noise_ns[batch] * rounds->noise_ns[batch] +
                          rounds->noise_ns[rest] * rounds->noise_ns[rest];
  double expected = time + spread->median * sqrt(variance);
  const double shared = spread->single * error;
  double late = expected + sqrt(shared * shared + spread->above * spread->above * variance);
  if (type->interruptions_per_h > 0) {
    const double per_ns = type->interruptions_per_h / 3600e9, start = (double)type->start_up_ns;
    const double count = poisson_quantile(late * per_ns, pow(spread->confidence, 1.0 / nodes));
    late += count * (start + rounds->time_ns[batch]);
    expected += expected * per_ns * (start + 0.5 * rounds->time_ns[batch]);
  }
  return (qb__makespan){time, qb__clamp_i64(expected + (double)type->start_up_ns),
                        qb__clamp_i64(late + (double)type->start_up_ns)};
}
