/* SPDX-License-Identifier: Apache-2.0 */
#include "run/resample.h"

#include "common/output.h"

#include <math.h>
#include <stdlib.h>

/* Weights are integers, so that all machines make the same pixels; sums fit in 32 bits. */
enum { WEIGHT_BITS = 22 };

/* What makes the pixels of a row, or of a column. */
typedef struct axis {
  uint32_t count, most;    /* pixels that are made; weights that one has at most */
  uint32_t *first, *taken; /* of the pixels read, by pixel made */
  int32_t *weights;        /* `most` for each pixel made */
} axis;

static double triangle(double x)
{
  return x > -1 && x < 1 ? 1 - fabs(x) : 0;
}

static void weigh(axis *a, uint32_t pixel, uint32_t size, double center, double scale)
{
  const double begin = floor(center - scale + 0.5), end = floor(center + scale + 0.5);
  const uint32_t first = begin > 0 ? (uint32_t)begin : 0;
  const uint32_t last = end < size ? (uint32_t)end : size;
  double sum = 0;
  for (uint32_t i = first; i < last; i++)
    sum += triangle((i - center + 0.5) / scale);
  int32_t *weights = a->weights + (size_t)pixel * a->most;
  for (uint32_t i = first; i < last; i++)
    weights[i - first] =
        (int32_t)lround(triangle((i - center + 0.5) / scale) / sum * (1 << WEIGHT_BITS));
  a->first[pixel] = first;
  a->taken[pixel] = last - first;
}

/* Makes `count` pixels of those from `begin` on, each `step` of the `size` there are. */
static axis make_axis(uint32_t size, double begin, double step, uint32_t count)
{
  const double scale = fmax(step, 1);
  axis a = {.count = count, .most = 2 * (uint32_t)ceil(scale) + 1};
  a.first = allocate(count, sizeof *a.first);
  a.taken = allocate(count, sizeof *a.taken);
  a.weights = allocate((size_t)count * a.most, sizeof *a.weights);
  for (uint32_t i = 0; i < count; i++)
    weigh(&a, i, size, begin + (i + 0.5) * step, scale);
  return a;
}

static void free_axis(axis *a)
{
  free(a->first);
  free(a->taken);
  free(a->weights);
}

/* A pixel's channels from others that lie `apart` bytes from each other. */
static void mean(const axis *a, uint32_t pixel, const uint8_t *from, size_t apart,
                 uint32_t channels, uint8_t *to)
{
  const int32_t *weights = a->weights + (size_t)pixel * a->most;
  from += a->first[pixel] * apart;
  for (uint32_t c = 0; c < channels; c++) {
    int32_t sum = 1 << (WEIGHT_BITS - 1);
    for (uint32_t i = 0; i < a->taken[pixel]; i++)
      sum += weights[i] * from[i * apart + c];
    sum >>= WEIGHT_BITS;
    to[c] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
  }
}

void resample(const picture *from, picture *to)
{
  const double step_x = (double)from->width / to->width;
  const double step_y = (double)from->height / to->height;
  const double step = fmin(step_x, step_y);
  axis x = make_axis(from->width, (from->width - step * to->width) / 2, step, to->width);
  axis y = make_axis(from->height, (from->height - step * to->height) / 2, step, to->height);
  const size_t channels = from->channels;
  const size_t row = from->width * channels, new_row = to->width * channels;
  const uint32_t begin = y.first[0], last = to->height - 1;
  const uint32_t rows = y.first[last] + y.taken[last] - begin;
  uint8_t *narrow = allocate(rows * new_row, 1);
  for (uint32_t r = 0; r < rows; r++)
    for (uint32_t i = 0; i < to->width; i++)
      mean(&x, i, from->pixels + (begin + r) * row, channels, from->channels,
           narrow + r * new_row + i * channels);
  for (uint32_t r = 0; r < to->height; r++)
    y.first[r] -= begin;
  for (uint32_t r = 0; r < to->height; r++)
    for (uint32_t i = 0; i < to->width; i++)
      mean(&y, r, narrow + i * channels, new_row, from->channels,
           to->pixels + r * new_row + i * channels);
  free(narrow);
  free_axis(&x);
  free_axis(&y);
}
