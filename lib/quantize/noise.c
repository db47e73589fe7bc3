/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize/noise.h"

#include <math.h>

enum { MOST_SAMPLES = 16 };

double qb__noise_sqnr_db(const qb__noise *noise)
{
  return noise->noise > 0 ? 10 * log10(noise->signal / noise->noise) : INFINITY;
}

static void add(qb__noise *to, const float *values, const float *found, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    const double value = (double)values[i], error = (double)found[i] - value;
    to->signal += value * value;
    to->noise += error * error;
  }
}

/* Of the samples that both run in one round. */
static qb_status add_round(qb__capture *a, qb__capture *b, const qb__graph *graph,
                           const int32_t *tensors, size_t count, const qb__samples *samples,
                           uint64_t first, uint32_t *ran, qb__noise *noise)
{
  uint32_t both = 0;
  const uint64_t most = samples->used < MOST_SAMPLES ? samples->used : MOST_SAMPLES;
  qb_status status = qb__capture_run(a, samples, first, most - first, ran);
  if (!status)
    status = qb__capture_run(b, samples, first, *ran, &both);
  *ran = both < *ran ? both : *ran;
  for (size_t i = 0; i < count && !status; i++)
    add(&noise[i], qb__capture_values(a, i), qb__capture_values(b, i),
        graph->tensors[tensors[i]].elements * *ran);
  return status;
}

qb_status qb__measure_noise(const qb__graph *graph, const int32_t *tensors, const qb__graph *other,
                            const int32_t *others, size_t count, const qb__samples *samples,
                            qb__noise *noise)
{
  qb__capture *a = NULL, *b = NULL;
  for (size_t i = 0; i < count; i++)
    noise[i] = (qb__noise){0, 0};
  qb_status status = qb__capture_new(graph, tensors, count, &a);
  if (!status)
    status = qb__capture_new(other, others, count, &b);
  const uint64_t most = samples->used < MOST_SAMPLES ? samples->used : MOST_SAMPLES;
  uint32_t ran = 0;
  for (uint64_t done = 0; done < most && !status; done += ran)
    status = add_round(a, b, graph, tensors, count, samples, done, &ran, noise);
  qb__capture_free(a);
  qb__capture_free(b);
  return status;
}
