/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/belief.h"

#include "core/alloc.h"

#include <math.h>
#include <string.h>

/*
 * Standard deviations of what a time is off by, as a logarithm: by a factor that all points share;
 * by how it depends on the split, on the batch size and on both; by what a split or a point has of
 * its own. Wide enough for ResNet-50 and AlexNet on 2 and 16 cores where nothing is known of c and
 * m.
 */
static const double COMMON = 2, BY_SPLIT = 0.4, BY_BATCH = 0.4, BY_BOTH = 0.15, OF_SPLIT = 0.08,
                    OF_POINT = 0.03;

/* Over how many octaves of threads and of samples points are alike. */
static const double OCTAVES_OF_THREADS = 1.5, OCTAVES_OF_BATCH = 2;

/* A number that is the same whenever it is asked for (splitmix64; Steele, Lea and Flood, 2014). */
static uint64_t mixed(uint64_t z)
{
  z += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* Box and Muller, 1958. */
double qb__belief_normal(uint64_t stream, uint64_t index)
{
  const uint64_t first = mixed((stream << 32) + index);
  const double u = (double)((first >> 11) + 1) * 0x1p-53,
               v = (double)(mixed(first) >> 11) * 0x1p-53;
  return sqrt(-2 * log(u)) * cos(2 * acos(-1) * v);
}

static double covariance_of(const qb__place *a, const qb__place *b)
{
  const double threads =
      (pow(a->threads - b->threads, 2) + pow(a->all - b->all, 2)) / pow(OCTAVES_OF_THREADS, 2);
  const double batch = pow((a->batch - b->batch) / OCTAVES_OF_BATCH, 2);
  const double alike_split = exp(-threads / 2), alike_batch = exp(-batch / 2);
  const double own = a->split != b->split   ? 0
                     : a->batch != b->batch ? OF_SPLIT * OF_SPLIT
                                            : OF_SPLIT * OF_SPLIT + OF_POINT * OF_POINT;
  return COMMON * COMMON + BY_SPLIT * BY_SPLIT * alike_split + BY_BATCH * BY_BATCH * alike_batch +
         BY_BOTH * BY_BOTH * alike_split * alike_batch + own;
}

/* Cholesky's lower factor, in place; what is above the diagonal is left. */
static void factor(double *a, size_t n)
{
  for (size_t j = 0; j < n; j++) {
    for (size_t k = 0; k < j; k++)
      for (size_t i = j; i < n; i++)
        a[i * n + j] -= a[i * n + k] * a[j * n + k];
    const double root = sqrt(a[j * n + j]);
    for (size_t i = j; i < n; i++)
      a[i * n + j] /= root;
  }
}

static void draw_from_prior(qb__belief *b)
{
  const size_t n = b->count;
  memcpy(b->covariance, b->prior, n * n * sizeof *b->prior);
  factor(b->covariance, n);
  for (size_t d = 0; d < QB__DRAWS; d++)
    for (size_t j = 0; j < n; j++) {
      const double normal = qb__belief_normal(d + 1, j);
      for (size_t i = j; i < n; i++)
        b->prior_draws[d * n + i] += b->covariance[i * n + j] * normal;
    }
}

qb_status qb__belief_init(qb__belief *belief, const qb_context *context, const qb__place *places,
                          size_t count)
{
  qb__belief made = {.context = context, .count = count};
  made.prior = qb__calloc(context, count, count * sizeof *made.prior);
  made.covariance = qb__calloc(context, count, count * sizeof *made.covariance);
  made.prior_draws = qb__calloc(context, count, QB__DRAWS * sizeof *made.prior_draws);
  made.draws = qb__calloc(context, count, QB__DRAWS * sizeof *made.draws);
  made.mean = qb__calloc(context, count, sizeof *made.mean);
  *belief = made;
  if (!made.prior || !made.covariance || !made.prior_draws || !made.draws || !made.mean)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < count; j++)
      made.prior[i * count + j] = covariance_of(&places[i], &places[j]);
  draw_from_prior(belief);
  qb__belief_reset(belief);
  return QB_OK;
}

void qb__belief_clear(qb__belief *belief)
{
  qb__free(belief->context, belief->mean);
  qb__free(belief->context, belief->draws);
  qb__free(belief->context, belief->prior_draws);
  qb__free(belief->context, belief->covariance);
  qb__free(belief->context, belief->prior);
}

void qb__belief_reset(qb__belief *belief)
{
  const size_t n = belief->count;
  memcpy(belief->covariance, belief->prior, n * n * sizeof *belief->prior);
  memcpy(belief->draws, belief->prior_draws, QB__DRAWS * n * sizeof *belief->draws);
  memset(belief->mean, 0, n * sizeof *belief->mean);
}

void qb__belief_observe(qb__belief *belief, size_t point, double value, double error)
{
  const size_t n = belief->count;
  double *row = belief->covariance + point * n;
  const double variance = row[point] + error * error;
  for (size_t d = 0; d < QB__DRAWS; d++) {
    double *draw = belief->draws + d * n;
    const double missing =
        value + error * qb__belief_normal(QB__DRAWS + 1 + d, point) - draw[point];
    for (size_t i = 0; i < n; i++)
      draw[i] += row[i] / variance * missing;
  }
  const double missing = value - belief->mean[point];
  for (size_t i = 0; i < n; i++)
    belief->mean[i] += row[i] / variance * missing;
  /* The row itself last, as the others go by it. */
  for (size_t i = 0; i < n; i++)
    if (i != point)
      for (size_t j = 0; j < n; j++)
        belief->covariance[i * n + j] -= row[i] * row[j] / variance;
  const double left = error * error / variance;
  for (size_t j = 0; j < n; j++)
    row[j] *= left;
}

double qb__belief_error(const qb__belief *belief, size_t point)
{
  return sqrt(fmax(belief->covariance[point * belief->count + point], 0));
}

double qb__belief_learnt(const qb__belief *belief, size_t point, double error, size_t other)
{
  const size_t n = belief->count;
  const double *c = belief->covariance;
  const double own = c[other * n + other], shared = c[point * n + other];
  return own > 0 ? shared * shared / (own * (c[point * n + point] + error * error)) : 0;
}
