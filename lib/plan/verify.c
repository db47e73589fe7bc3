/* SPDX-License-Identifier: Apache-2.0 */
/* The binomial test behind MLPerf's early stopping. */
#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "plan/demand.h"

#include <qosbatch/verify.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * Parts of a percentile: more decimals than these are rounded. Percentiles are the decimal numbers
 * that people write: in binary, 99.9 % of 1000 would be a little more than 999.
 */
#define PERCENTILE_PARTS UINT64_C(10000000)

static uint64_t percentile_parts(double percentile)
{
  return (uint64_t)llround(percentile * (double)PERCENTILE_PARTS);
}

/* The share of samples beyond it, which may be late. */
static double percentile_beyond(double percentile)
{
  const uint64_t all = 100 * PERCENTILE_PARTS;
  return (double)(all - percentile_parts(percentile)) / (double)all;
}

/* The least rank, from 1 on, that so many percent of `count` ascending values do not exceed. */
static uint64_t percentile_rank(double percentile, uint64_t count)
{
  const uint64_t all = 100 * PERCENTILE_PARTS, parts = percentile_parts(percentile);
  const uint64_t whole = count / all * parts, rest = count % all;
  const uint64_t rank = whole + (rest * parts + all - 1) / all;
  return rank ? rank : 1;
}

/* ln n!; lgamma() would write a sign to a global that other threads share. */
static double log_factorial(double n)
{
  int sign;
  return lgamma_r(n + 1, &sign);
}

/* The probability of at most `late` of `samples`, each late with this probability. */
static double at_most_late(uint64_t late, uint64_t samples, double probability)
{
  const double n = (double)samples, odds = log(probability) - log1p(-probability);
  double sum = 0;
  for (uint64_t k = late + 1; k-- > 0;) {
    const double term =
        exp(log_factorial(n) - log_factorial((double)k) - log_factorial(n - (double)k) +
            (double)k * odds + n * log1p(-probability));
    sum += term;
    if (term < 1e-18 * sum) /* those before are less still, on this side of the mean */
      break;
  }
  return sum;
}

/* The least number of samples of which so many may be late. */
static uint64_t needed_samples(uint64_t late, double allowed, double doubt)
{
  uint64_t low = late, high = late + 1; /* low is too few */
  while (at_most_late(late, high, allowed) > doubt) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    if (at_most_late(late, middle, allowed) > doubt)
      low = middle;
    else
      high = middle;
  }
  return high;
}

/* The most samples that may be late of so many; -1: even none is too many. */
static int64_t most_late(uint64_t samples, double allowed, double doubt)
{
  if (at_most_late(0, samples, allowed) > doubt)
    return -1;
  uint64_t low = 0, high = samples; /* low passes */
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    if (at_most_late(middle, samples, allowed) <= doubt)
      low = middle;
    else
      high = middle;
  }
  return (int64_t)low;
}

static int ascending(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

static qb_verdict judge(const qb_verification *v, double allowed, double doubt)
{
  if (v->samples >= v->needed)
    return QB_VERDICT_PASS;
  /* Broken for good: were the promise kept, so many late ones would be as unlikely. */
  if (v->late > 0 && 1 - at_most_late(v->late - 1, v->samples, allowed) <= doubt)
    return QB_VERDICT_FAIL;
  return QB_VERDICT_MORE;
}

static qb_status check_latencies(const int64_t *latencies_ns, size_t count, double confidence)
{
  if (!latencies_ns || !count)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%zu latencies at %p; give one or more", count,
                    (const void *)latencies_ns);
  for (size_t i = 0; i < count; i++)
    if (latencies_ns[i] < 0)
      return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                      "latencies_ns[%zu] is %lld; give times of 0 or more", i,
                      (long long)latencies_ns[i]);
  if (!(confidence > 0 && confidence < 1))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "confidence is %g; give a number between 0 and 1",
                    confidence);
  return QB_OK;
}

qb_status qb_verify(qb_context *context, const int64_t *latencies_ns, size_t count,
                    const qb_qos *qos, double confidence, qb_verification *verification)
{
  qb_qos asked;
  if (!context)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "context is NULL");
  qb_status status = QB__STRUCT_CHECK_OUT(qb_verification, verification);
  if (!status)
    status = check_latencies(latencies_ns, count, confidence);
  if (!status)
    status = qb__qos_in(qos, &asked);
  if (!status && !asked.latency_ns)
    status = qb__fail(QB_ERROR_INVALID_ARGUMENT,
                      "qos.latency_ns is 0; give the target that was promised");
  if (status)
    return status;
  int64_t *sorted = qb__calloc(context, count, sizeof *sorted);
  if (!sorted)
    return QB_ERROR_NO_MEMORY;
  memcpy(sorted, latencies_ns, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, ascending);

  const double allowed = percentile_beyond(asked.percentile), doubt = 1 - confidence;
  qb_verification v = QB_VERIFICATION_INIT;
  v.samples = count;
  while (v.late < count && sorted[count - 1 - v.late] > asked.latency_ns)
    v.late++;
  v.needed = needed_samples(v.late, allowed, doubt);
  v.verdict = judge(&v, allowed, doubt);
  v.more = v.verdict == QB_VERDICT_MORE ? v.needed - v.samples : 0;
  v.latency_ns = sorted[percentile_rank(asked.percentile, count) - 1];
  const int64_t most = most_late(count, allowed, doubt);
  v.bound_ns = most >= 0 ? sorted[count - 1 - (size_t)most] : 0;
  qb__free(context, sorted);
  QB__STRUCT_OUT(qb_verification, verification, &v);
  return QB_OK;
}
