/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/winograd.h"

#include <string.h>

enum { LANES = QB__WINOGRAD_LANES, IN = QB__WINOGRAD_IN, OUT = QB__WINOGRAD_OUT };
enum { POINTS = QB__WINOGRAD_POINTS };

size_t qb__winograd_scratch(const qb__winograd *w)
{
  return (size_t)(POINTS * w->scratch_rows * (w->in.channels + w->out.channels));
}

void qb__winograd_weights(const float *weights, int64_t outputs, int64_t inputs, float *transformed)
{
  static const double g[IN][3] = {{1.0 / 4, 0, 0},
                                  {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                  {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                  {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                  {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                  {0, 0, 1}};
  for (int64_t o = 0; o < outputs; o++)
    for (int64_t i = 0; i < inputs; i++) {
      const float *w = weights + (o * inputs + i) * 9;
      for (int y = 0; y < IN; y++)
        for (int x = 0; x < IN; x++) {
          double sum = 0;
          for (int k = 0; k < 9; k++)
            sum += g[y][k / 3] * (double)w[k] * g[x][k % 3];
          const int64_t panel = (y * IN + x) * (outputs / LANES) + o / LANES;
          transformed[(panel * inputs + i) * LANES + o % LANES] = (float)sum;
        }
    }
}

#ifdef __x86_64__

typedef float vector __attribute__((vector_size(4 * LANES)));
typedef int32_t mask __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
#define INLINE AVX512 static inline __attribute__((always_inline))

/* Six values, `step` apart, times the transposed matrix of the input's transform. */
INLINE void transform_six(const vector *d, int step, vector *to, int to_step)
{
  const vector a = d[4 * step] - 4 * d[2 * step], b = d[3 * step] - 4 * d[step];
  const vector c = d[4 * step] - d[2 * step], e = 2 * (d[3 * step] - d[step]);
  to[0] = 4 * d[0] - 5 * d[2 * step] + d[4 * step];
  to[to_step] = a + b;
  to[2 * to_step] = a - b;
  to[3 * to_step] = c + e;
  to[4 * to_step] = c - e;
  to[5 * to_step] = 4 * d[step] - 5 * d[3 * step] + d[5 * step];
}

/* The same for the output's: six values become four. */
INLINE void transform_to_four(const vector *m, int step, vector *to, int to_step)
{
  const vector a = m[step] + m[2 * step], b = m[step] - m[2 * step];
  const vector c = m[3 * step] + m[4 * step], e = m[3 * step] - m[4 * step];
  to[0] = m[0] + a + c;
  to[to_step] = b + 2 * e;
  to[2 * to_step] = a + 4 * c;
  to[3 * to_step] = b + 8 * e + m[5 * step];
}

typedef struct place {
  int64_t image, y, x; /* of the tile's first result */
} place;

INLINE place place_of(const qb__winograd *w, int64_t tile)
{
  const int64_t each = w->down * w->across, rest = tile % each;
  return (place){tile / each, rest / w->across * OUT, rest % w->across * OUT};
}

/* Elements outside of the image are 0. */
INLINE void load_tile(const qb__images *in, const float *from, int64_t y, int64_t x, vector *tile)
{
  const bool inner = y >= 0 && x >= 0 && y + IN <= in->height && x + IN <= in->width;
  from += y * in->row + x * in->pixel;
  for (int64_t i = 0; i < IN; i++)
    for (int64_t j = 0; j < IN; j++) {
      vector *to = &tile[i * IN + j];
      if (inner || (y + i >= 0 && y + i < in->height && x + j >= 0 && x + j < in->width))
        *to = *(const loose *)(from + i * in->row + j * in->pixel);
      else
        *to = (vector){0};
    }
}

INLINE void transform_input(const qb__winograd *w, const float *in, int64_t first, int64_t count,
                            float *to)
{
  const int64_t channels = w->in.channels, step = w->scratch_rows * channels;
  for (int64_t t = 0; t < count; t++) {
    const place at = place_of(w, first + t);
    for (int64_t c = 0; c < channels; c += LANES) {
      vector tile[POINTS], half[POINTS], points[POINTS];
      load_tile(&w->in, in + at.image * w->in.image + c / LANES * w->in.block, at.y - w->top,
                at.x - w->left, tile);
      for (int j = 0; j < IN; j++)
        transform_six(tile + j, IN, half + j, IN);
      for (int i = 0; i < IN; i++)
        transform_six(half + i * IN, 1, points + i * IN, 1);
      for (int p = 0; p < POINTS; p++)
        *(vector *)(to + p * step + t * channels + c) = points[p];
    }
  }
}

INLINE void store_tile(const qb__winograd *w, const vector *results, const place *at, bool adds,
                       float *to)
{
  const qb__images *out = &w->out;
  const int64_t rows = out->height - at->y < OUT ? out->height - at->y : OUT;
  const int64_t columns = out->width - at->x < OUT ? out->width - at->x : OUT;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) {
      loose *y = (loose *)(to + (at->y + i) * out->row + (at->x + j) * out->pixel);
      vector z = results[i * OUT + j];
      if (adds)
        z += *y;
      const mask below = z < w->low;
      z = (vector)(((mask)z & ~below) | ((mask)(w->low - (vector){0}) & below));
      const mask above = z > w->high;
      *y = (vector)(((mask)z & ~above) | ((mask)(w->high - (vector){0}) & above));
    }
}

INLINE void transform_output(const qb__winograd *w, const float *from, const float *bias,
                             int64_t first, int64_t count, bool adds, float *out)
{
  const int64_t channels = w->out.channels, step = w->scratch_rows * channels;
  for (int64_t t = 0; t < count; t++) {
    const place at = place_of(w, first + t);
    for (int64_t c = 0; c < channels; c += LANES) {
      vector points[POINTS], half[OUT * IN], results[OUT * OUT];
      for (int p = 0; p < POINTS; p++)
        points[p] = *(const vector *)(from + p * step + t * channels + c);
      for (int j = 0; j < IN; j++)
        transform_to_four(points + j, IN, half + j, IN);
      for (int i = 0; i < OUT; i++)
        transform_to_four(half + i * IN, 1, results + i * OUT, 1);
      for (int i = 0; bias && i < OUT * OUT; i++)
        results[i] += *(const loose *)(bias + c);
      store_tile(w, results, &at, adds, out + at.image * w->out.image + c / LANES * w->out.block);
    }
  }
}

enum { MOST_ROWS = 12, MOST_PANELS = 2 };

/*
 * `rows` rows of the transformed input times panels of weights. Loops over constant numbers are
 * unrolled, so that all sums are in registers.
 */
INLINE void multiply(const float *a, const float *weights, int64_t inputs, float *to,
                     int64_t outputs, int rows, int panels)
{
  vector sums[MOST_ROWS][MOST_PANELS];
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int p = 0; p < panels; p++)
      sums[r][p] = (vector){0};
  for (int64_t i = 0; i < inputs; i++) {
    vector w[MOST_PANELS];
#pragma GCC unroll 2
    for (int p = 0; p < panels; p++)
      w[p] = *(const vector *)(weights + (p * inputs + i) * LANES);
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
      for (int p = 0; p < panels; p++)
        sums[r][p] += a[r * inputs + i] * w[p];
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int p = 0; p < panels; p++)
      *(vector *)(to + r * outputs + p * LANES) = sums[r][p];
}

INLINE void multiply_rows(const float *a, const float *weights, int64_t inputs, float *to,
                          int64_t outputs, int64_t rows, int panels)
{
  switch (rows) {
  case 1: multiply(a, weights, inputs, to, outputs, 1, panels); break;
  case 2: multiply(a, weights, inputs, to, outputs, 2, panels); break;
  case 3: multiply(a, weights, inputs, to, outputs, 3, panels); break;
  case 4: multiply(a, weights, inputs, to, outputs, 4, panels); break;
  case 5: multiply(a, weights, inputs, to, outputs, 5, panels); break;
  case 6: multiply(a, weights, inputs, to, outputs, 6, panels); break;
  case 7: multiply(a, weights, inputs, to, outputs, 7, panels); break;
  case 8: multiply(a, weights, inputs, to, outputs, 8, panels); break;
  case 9: multiply(a, weights, inputs, to, outputs, 9, panels); break;
  case 10: multiply(a, weights, inputs, to, outputs, 10, panels); break;
  case 11: multiply(a, weights, inputs, to, outputs, 11, panels); break;
  default: multiply(a, weights, inputs, to, outputs, 12, panels); break;
  }
}

/* All rows, in groups as equal as can be. */
INLINE void multiply_all(const float *a, const float *weights, int64_t inputs, float *to,
                         int64_t outputs, int64_t rows, int panels)
{
  const int64_t groups = (rows + MOST_ROWS - 1) / MOST_ROWS;
  for (int64_t g = 0, from = 0; g < groups; g++) {
    const int64_t end = rows * (g + 1) / groups, count = end - from;
    multiply_rows(a + from * inputs, weights, inputs, to + from * outputs, outputs, count, panels);
    from = end;
  }
}

AVX512 void qb__winograd_run(const qb__winograd *w, const float *in, const float *weights,
                             const float *bias, int64_t first, int64_t count, bool adds,
                             float *scratch, float *out)
{
  const int64_t inputs = w->in.channels, outputs = w->out.channels;
  float *products = scratch + POINTS * w->scratch_rows * inputs;
  transform_input(w, in, first, count, scratch);
  for (int p = 0; p < POINTS; p++) {
    const float *a = scratch + p * w->scratch_rows * inputs;
    float *to = products + p * w->scratch_rows * outputs;
    for (int64_t o = 0; o < outputs; o += MOST_PANELS * LANES) {
      const float *panels = weights + (p * outputs + o) * inputs;
      if (o + LANES < outputs)
        multiply_all(a, panels, inputs, to + o, outputs, count, 2);
      else
        multiply_all(a, panels, inputs, to + o, outputs, count, 1);
    }
  }
  transform_output(w, products, bias, first, count, adds, out);
}

#else

void qb__winograd_run(const qb__winograd *w, const float *in, const float *weights,
                      const float *bias, int64_t first, int64_t count, bool adds, float *scratch,
                      float *out)
{
  (void)w, (void)in, (void)weights, (void)bias, (void)first, (void)count, (void)adds, (void)scratch;
  (void)out;
}

#endif
