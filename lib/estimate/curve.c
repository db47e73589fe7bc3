/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/curve.h"

#include <math.h>

/* Another session on the same machine differs by this much, however sure one session was. */
static const double LEAST_MEASURED = 0.02;

/* What odd sizes cost more or less than their neighbours, which no curve through others shows. */
static const double LEAST_INTERPOLATED = 0.02;

/* The shape error where there are no three points to see it at. */
static const double UNKNOWN_SHAPE = 0.05;

/* How much less sure every doubling beyond the measured batches is. */
static const double PER_OCTAVE = 0.10;

typedef int64_t time_of(const qb_profile_point *point);

static int64_t latency_of(const qb_profile_point *point)
{
  return point->latency_ns;
}

static int64_t mean_of(const qb_profile_point *point)
{
  return point->mean_ns;
}

/*
 * A time of point k, with noise that contradicts the order taken out: a larger round never
 * takes less. The mean of the largest before and the smallest behind rises with k, as both do, and
 * is the measured time itself wherever the points are in order.
 */
static double in_order(const qb_profile_point *points, size_t count, size_t k, time_of *time)
{
  int64_t before = 0, behind = INT64_MAX;
  for (size_t i = 0; i <= k; i++)
    if (time(&points[i]) > before)
      before = time(&points[i]);
  for (size_t i = k; i < count; i++)
    if (time(&points[i]) < behind)
      behind = time(&points[i]);
  return 0.5 * ((double)before + (double)behind);
}

static double total(const qb_profile_point *points, size_t count, size_t k)
{
  return in_order(points, count, k, latency_of);
}

/* Half-widths of a point's interval as logarithms, below and above the total time that is used. */
static void own_width(const qb_profile_point *p, double used_ns, double *below, double *above)
{
  const double low = fmin((double)p->low_ns, used_ns), high = fmax((double)p->high_ns, used_ns);
  *below = fmax(log(used_ns / low), LEAST_MEASURED);
  *above = fmax(log(high / used_ns), LEAST_MEASURED);
}

/*
 * T is linear in b between points: what a round costs once, the weights above all, and what each of
 * its samples costs, both of which change where the engine changes its algorithm. Totals that rise
 * from point to point rise in between, too.
 */
static double between(double b0, double t0, double b1, double t1, double b)
{
  return t0 + (t1 - t0) * (b - b0) / (b1 - b0);
}

/* A trend is off by up to half as much again as it departs from the line between both points. */
static const double BEYOND_TREND = 1.5;

/* Half-widths as logarithms, below and above. */
typedef struct width {
  double below, above;
} width;

/*
 * Where the line through points i and i + 1 would put a total between points k and k + 1, which
 * both bound it; as a logarithm over `used_ns`.
 */
static double trend(const qb_profile_point *points, size_t count, size_t i, size_t k, double batch,
                    double used_ns)
{
  const double t = between(points[i].batch, total(points, count, i), points[i + 1].batch,
                           total(points, count, i + 1), batch);
  return log(fmax(fmin(t, total(points, count, k + 1)), total(points, count, k)) / used_ns);
}

/*
 * How far interpolation between points k and k + 1 may err. The truth may go on as before point k
 * and step up to point k + 1 at last, or step up at once and go on as behind point k + 1: the
 * interval holds both. A smooth curve's trends come near the line between the points, a cliff's do
 * not. Where one side alone has a trend, it may be off to either side.
 */
static width shape_error(const qb_profile_point *points, size_t count, size_t k, double batch,
                         double used_ns)
{
  const bool has_left = k > 0, has_right = k + 2 < count;
  if (!has_left && !has_right)
    return (width){UNKNOWN_SHAPE, UNKNOWN_SHAPE};
  double low = 0, high = 0;
  if (has_left) {
    const double left = trend(points, count, k - 1, k, batch, used_ns);
    low = fmin(low, left);
    high = fmax(high, left);
  }
  if (has_right) {
    const double right = trend(points, count, k + 1, k, batch, used_ns);
    low = fmin(low, right);
    high = fmax(high, right);
  }
  if (has_left != has_right)
    low = -(high = fmax(-low, high));
  return (width){-BEYOND_TREND * low, BEYOND_TREND * high};
}

static qb__curve_value at_point(const qb_profile_point *points, size_t count, size_t k)
{
  const double t = total(points, count, k);
  double below, above;
  own_width(&points[k], t, &below, &above);
  const qb__curve_value value = {.latency_ns = t,
                                 .low_ns = t * exp(-below),
                                 .high_ns = t * exp(above),
                                 .p95_ns =
                                     t * ((double)points[k].p95_ns / (double)points[k].latency_ns),
                                 .mean_ns = in_order(points, count, k, mean_of),
                                 .memory_bytes = (double)points[k].memory_bytes,
                                 .source = QB_SOURCE_MEASURED};
  return value;
}

static double memory_per_sample(const qb_profile_point *from, const qb_profile_point *to)
{
  return ((double)to->memory_bytes - (double)from->memory_bytes) / (to->batch - from->batch);
}

/*
 * Memory grows by a sample's share, as it did before the left neighbour, up to what the right one
 * takes: from some batch size on, rounds run in parts that take turns in the same memory.
 */
static double memory_between(const qb_profile_point *points, size_t k, uint32_t batch)
{
  const double left = (double)points[k].memory_bytes, right = (double)points[k + 1].memory_bytes;
  double share = memory_per_sample(&points[k], &points[k + 1]);
  if (k > 0)
    share = fmax(share, memory_per_sample(&points[k - 1], &points[k]));
  return fmin(left + share * (batch - points[k].batch), fmax(left, right));
}

/*
 * The interval has three parts, taken as independent: the neighbours' own, the least, and the shape
 * of the curve. Whatever the shape, a total lies between those of its neighbours.
 */
static qb__curve_value interpolated(const qb_profile_point *points, size_t count, size_t k,
                                    uint32_t batch)
{
  const qb__curve_value left = at_point(points, count, k), right = at_point(points, count, k + 1);
  const double b0 = points[k].batch, b1 = points[k + 1].batch;
  const double t = between(b0, left.latency_ns, b1, right.latency_ns, batch);
  const double u = (batch - b0) / (b1 - b0) * right.latency_ns / t;
  const width shape = shape_error(points, count, k, batch, t);
  const double below =
      (1 - u) * log(left.latency_ns / left.low_ns) + u * log(right.latency_ns / right.low_ns);
  const double above =
      (1 - u) * log(left.high_ns / left.latency_ns) + u * log(right.high_ns / right.latency_ns);
  qb__curve_value value;
  value.latency_ns = t;
  value.low_ns = fmax(t * exp(-hypot(hypot(below, shape.below), LEAST_INTERPOLATED)), left.low_ns);
  value.high_ns =
      fmin(t * exp(hypot(hypot(above, shape.above), LEAST_INTERPOLATED)), right.high_ns);
  value.p95_ns =
      t * pow(left.p95_ns / left.latency_ns, 1 - u) * pow(right.p95_ns / right.latency_ns, u);
  value.mean_ns = between(b0, left.mean_ns, b1, right.mean_ns, batch);
  value.memory_bytes = memory_between(points, k, batch);
  value.source = QB_SOURCE_INTERPOLATED;
  return value;
}

/* Memory grows by a sample's share; that of a single point cannot be told apart and is kept. */
static double memory_beyond(const qb_profile_point *points, size_t count, uint32_t batch)
{
  const qb_profile_point *last = &points[count - 1];
  const double share = count > 1 ? memory_per_sample(last - 1, last) : 0;
  return (double)last->memory_bytes + share * (batch - (double)last->batch);
}

static qb__curve_value above_last(const qb_profile_point *points, size_t count, uint32_t batch)
{
  const qb__curve_value last = at_point(points, count, count - 1);
  const double ratio = (double)batch / points[count - 1].batch;
  const double wider = exp(PER_OCTAVE * log2(ratio));
  const qb__curve_value value = {.latency_ns = last.latency_ns * ratio,
                                 .low_ns = fmax(last.low_ns * ratio / wider, last.low_ns),
                                 .high_ns = last.high_ns * ratio * wider,
                                 .p95_ns = last.p95_ns * ratio,
                                 .mean_ns = last.mean_ns * ratio,
                                 .memory_bytes = memory_beyond(points, count, batch),
                                 .source = QB_SOURCE_EXTRAPOLATED};
  return value;
}

/*
 * Between a proportional share of the first point's time and all of it; the middle on a log scale.
 */
static qb__curve_value below_first(const qb_profile_point *points, size_t count, uint32_t batch)
{
  const qb__curve_value first = at_point(points, count, 0);
  const double ratio = (double)batch / points[0].batch, middle = sqrt(ratio);
  const qb__curve_value value = {.latency_ns = first.latency_ns * middle,
                                 .low_ns = first.low_ns * ratio,
                                 .high_ns = first.high_ns,
                                 .p95_ns = first.p95_ns * middle,
                                 .mean_ns = first.mean_ns * middle,
                                 .memory_bytes = first.memory_bytes,
                                 .source = QB_SOURCE_EXTRAPOLATED};
  return value;
}

static qb__curve_value value_at(const qb_profile_point *points, size_t count, uint32_t batch)
{
  if (batch < points[0].batch)
    return below_first(points, count, batch);
  if (batch > points[count - 1].batch)
    return above_last(points, count, batch);
  size_t k = 0;
  while (k + 1 < count && points[k + 1].batch <= batch)
    k++;
  return points[k].batch == batch ? at_point(points, count, k)
                                  : interpolated(points, count, k, batch);
}

qb__curve_value qb__curve_at(const qb_profile_point *points, size_t count, uint32_t batch)
{
  qb__curve_value value = value_at(points, count, batch);
  value.thread_flops_per_s = points[0].thread_flops_per_s; /* the same for all of a configuration */
  return value;
}
