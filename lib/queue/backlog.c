/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/backlog.h"

#include <math.h>

/* What fewer samples tell of a stratum is mostly chance. */
enum { FEW = 200 };

static const double HALF_OCTAVE = 0.34657359027997264; /* log(2) / 2 */

qb__backlog qb__backlog_follow(qb__arrivals *arrivals, double capacity_per_s)
{
  const qb__arrival_law *law = &arrivals->law;
  const double *leave_per_s = law->leave_per_s;
  const double falls = 1 - law->rate_per_s[0] / capacity_per_s;
  const double grows = law->rate_per_s[1] / capacity_per_s - 1;
  const double decay_per_s = leave_per_s[1] / grows - leave_per_s[0] / falls;
  if (!(leave_per_s[0] > 0 && falls > 0 && grows > 0 && decay_per_s > 0))
    return (qb__backlog){.strata = 1};
  const double in_burst = leave_per_s[0] / (leave_per_s[0] + leave_per_s[1]);
  const double rate_over = law->rate_per_s[1] + law->rate_per_s[0] * grows / falls;
  arrivals->drift[0] = -falls;
  arrivals->drift[1] = grows;
  return (qb__backlog){.strata = QB__BACKLOG_STRATA,
                       .steps_per_ns = 1e-9 * decay_per_s / HALF_OCTAVE,
                       .over = in_burst * rate_over / qb__arrival_mean_rate(law)};
}

/* The share of all samples that stratum k has. */
static double share(const qb__backlog *backlog, uint32_t k)
{
  if (backlog->strata == 1)
    return 1;
  if (k == 0)
    return 1 - backlog->over;
  const double deeper = k + 1 < backlog->strata ? exp(-HALF_OCTAVE * k) : 0;
  return backlog->over * (exp(-HALF_OCTAVE * (k - 1)) - deeper);
}

void qb__backlog_weights(const qb__backlog *backlog, const uint64_t *arrived, double *weights)
{
  for (uint32_t end = backlog->strata, first = end; end; end = first) {
    uint64_t seen = 0;
    double expected = 0;
    while (first && seen < FEW) {
      first--;
      seen += arrived[first];
      expected += share(backlog, first);
    }
    for (uint32_t k = first; k < end; k++)
      weights[k] = seen ? expected / (double)seen : 0;
  }
}
