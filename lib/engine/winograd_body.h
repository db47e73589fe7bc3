/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Minimal filtering in vectors of WIDTH floats; winograd.c includes this once for each set of
 * instructions. APART: elements between the two vectors of weights that are multiplied together.
 */
#define JOIN_NAMES(name, width) name##_##width
#define JOIN(name, width)       JOIN_NAMES(name, width)
#define NAME(name)              JOIN(name, WIDTH)
#define VECTOR                  NAME(vector)
#define LOOSE                   NAME(loose)
#define MASK                    NAME(mask)
#define INLINE                  TARGET static inline __attribute__((always_inline))

typedef float VECTOR __attribute__((vector_size(4 * WIDTH)));
typedef int32_t MASK __attribute__((vector_size(4 * WIDTH)));
typedef float LOOSE __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

/* Six values, `step` apart, times the transposed matrix of the input's transform. */
INLINE void NAME(transform_six)(const VECTOR *d, int step, VECTOR *to, int to_step)
{
  const VECTOR a = d[4 * step] - 4 * d[2 * step], b = d[3 * step] - 4 * d[step];
  const VECTOR c = d[4 * step] - d[2 * step], e = 2 * (d[3 * step] - d[step]);
  to[0] = 4 * d[0] - 5 * d[2 * step] + d[4 * step];
  to[to_step] = a + b;
  to[2 * to_step] = a - b;
  to[3 * to_step] = c + e;
  to[4 * to_step] = c - e;
  to[5 * to_step] = 4 * d[step] - 5 * d[3 * step] + d[5 * step];
}

/* The same for the output's: six values become four. */
INLINE void NAME(transform_to_four)(const VECTOR *m, int step, VECTOR *to, int to_step)
{
  const VECTOR a = m[step] + m[2 * step], b = m[step] - m[2 * step];
  const VECTOR c = m[3 * step] + m[4 * step], e = m[3 * step] - m[4 * step];
  to[0] = m[0] + a + c;
  to[to_step] = b + 2 * e;
  to[2 * to_step] = a + 4 * c;
  to[3 * to_step] = b + 8 * e + m[5 * step];
}

INLINE place NAME(place_of)(const qb__winograd *w, int64_t tile)
{
  const int64_t each = w->down * w->across, rest = tile % each;
  return (place){tile / each, rest / w->across * OUT, rest % w->across * OUT};
}

/* Elements outside of the image are 0. */
INLINE void NAME(load_tile)(const qb__images *in, const float *from, int64_t y, int64_t x,
                            VECTOR *tile)
{
  const bool inner = y >= 0 && x >= 0 && y + IN <= in->height && x + IN <= in->width;
  from += y * in->row + x * in->pixel;
  for (int64_t i = 0; i < IN; i++)
    for (int64_t j = 0; j < IN; j++) {
      VECTOR *to = &tile[i * IN + j];
      if (inner || (y + i >= 0 && y + i < in->height && x + j >= 0 && x + j < in->width))
        *to = *(const LOOSE *)(from + i * in->row + j * in->pixel);
      else
        *to = (VECTOR){0};
    }
}

INLINE void NAME(transform_input)(const qb__winograd *w, const float *in, int64_t first,
                                  int64_t count, float *to)
{
  const int64_t channels = w->in.channels, step = w->scratch_rows * channels;
  for (int64_t t = 0; t < count; t++) {
    const place at = NAME(place_of)(w, first + t);
    for (int64_t c = 0; c < channels; c += WIDTH) {
      VECTOR tile[POINTS], half[POINTS], points[POINTS];
      NAME(load_tile)
      (&w->in, in + at.image * w->in.image + c / LANES * w->in.block + c % LANES, at.y - w->top,
       at.x - w->left, tile);
      for (int j = 0; j < IN; j++)
        NAME(transform_six)(tile + j, IN, half + j, IN);
      for (int i = 0; i < IN; i++)
        NAME(transform_six)(half + i * IN, 1, points + i * IN, 1);
      for (int p = 0; p < POINTS; p++)
        *(VECTOR *)(to + p * step + t * channels + c) = points[p];
    }
  }
}

INLINE void NAME(store_tile)(const qb__winograd *w, const VECTOR *results, const place *at,
                             bool adds, float *to)
{
  const qb__images *out = &w->out;
  const int64_t rows = out->height - at->y < OUT ? out->height - at->y : OUT;
  const int64_t columns = out->width - at->x < OUT ? out->width - at->x : OUT;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) {
      LOOSE *y = (LOOSE *)(to + (at->y + i) * out->row + (at->x + j) * out->pixel);
      VECTOR z = results[i * OUT + j];
      if (adds)
        z += *y;
      const MASK below = z < w->low;
      z = (VECTOR)(((MASK)z & ~below) | ((MASK)(w->low - (VECTOR){0}) & below));
      const MASK above = z > w->high;
      *y = (VECTOR)(((MASK)z & ~above) | ((MASK)(w->high - (VECTOR){0}) & above));
    }
}

INLINE void NAME(transform_output)(const qb__winograd *w, const float *from, const float *bias,
                                   int64_t first, int64_t count, bool adds, float *out)
{
  const int64_t channels = w->out.channels, step = w->scratch_rows * channels;
  for (int64_t t = 0; t < count; t++) {
    const place at = NAME(place_of)(w, first + t);
    for (int64_t c = 0; c < channels; c += WIDTH) {
      VECTOR points[POINTS], half[OUT * IN], results[OUT * OUT];
      for (int p = 0; p < POINTS; p++)
        points[p] = *(const VECTOR *)(from + p * step + t * channels + c);
      for (int j = 0; j < IN; j++)
        NAME(transform_to_four)(points + j, IN, half + j, IN);
      for (int i = 0; i < OUT; i++)
        NAME(transform_to_four)(half + i * IN, 1, results + i * OUT, 1);
      for (int i = 0; bias && i < OUT * OUT; i++)
        results[i] += *(const LOOSE *)(bias + c);
      NAME(store_tile)
      (w, results, &at, adds, out + at.image * w->out.image + c / LANES * w->out.block + c % LANES);
    }
  }
}

/*
 * `rows` rows of the transformed input times `columns` vectors of weights, `apart` from one another.
 * Loops over constant numbers are unrolled, so that all sums are in registers.
 */
INLINE void NAME(multiply)(const float *a, const float *weights, int64_t inputs, float *to,
                           int64_t outputs, int64_t apart, int rows, int columns)
{
  VECTOR sums[MOST_ROWS][2];
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int c = 0; c < columns; c++)
      sums[r][c] = (VECTOR){0};
  for (int64_t i = 0; i < inputs; i++) {
    VECTOR w[2];
#pragma GCC unroll 2
    for (int c = 0; c < columns; c++)
      w[c] = *(const VECTOR *)(weights + c * apart + i * LANES);
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
      for (int c = 0; c < columns; c++)
        sums[r][c] += a[r * inputs + i] * w[c];
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int c = 0; c < columns; c++)
      *(VECTOR *)(to + r * outputs + c * WIDTH) = sums[r][c];
}

INLINE void NAME(multiply_rows)(const float *a, const float *weights, int64_t inputs, float *to,
                                int64_t outputs, int64_t apart, int64_t rows, int columns)
{
  switch (rows) {
  case 1: NAME(multiply)(a, weights, inputs, to, outputs, apart, 1, columns); break;
  case 2: NAME(multiply)(a, weights, inputs, to, outputs, apart, 2, columns); break;
  case 3: NAME(multiply)(a, weights, inputs, to, outputs, apart, 3, columns); break;
  case 4: NAME(multiply)(a, weights, inputs, to, outputs, apart, 4, columns); break;
  case 5: NAME(multiply)(a, weights, inputs, to, outputs, apart, 5, columns); break;
#if MOST_ROWS > 6
  case 6: NAME(multiply)(a, weights, inputs, to, outputs, apart, 6, columns); break;
  case 7: NAME(multiply)(a, weights, inputs, to, outputs, apart, 7, columns); break;
  case 8: NAME(multiply)(a, weights, inputs, to, outputs, apart, 8, columns); break;
  case 9: NAME(multiply)(a, weights, inputs, to, outputs, apart, 9, columns); break;
  case 10: NAME(multiply)(a, weights, inputs, to, outputs, apart, 10, columns); break;
  case 11: NAME(multiply)(a, weights, inputs, to, outputs, apart, 11, columns); break;
#endif
  default: NAME(multiply)(a, weights, inputs, to, outputs, apart, MOST_ROWS, columns); break;
  }
}

/* All rows, in groups as equal as can be. */
INLINE void NAME(multiply_all)(const float *a, const float *weights, int64_t inputs, float *to,
                               int64_t outputs, int64_t apart, int64_t rows, int columns)
{
  const int64_t groups = (rows + MOST_ROWS - 1) / MOST_ROWS;
  for (int64_t g = 0, from = 0; g < groups; g++) {
    const int64_t end = rows * (g + 1) / groups, count = end - from;
    NAME(multiply_rows)
    (a + from * inputs, weights, inputs, to + from * outputs, outputs, apart, count, columns);
    from = end;
  }
}

TARGET static void NAME(run)(const qb__winograd *w, const float *in, const float *weights,
                             const float *bias, int64_t first, int64_t count, bool adds,
                             float *scratch, float *out)
{
  const int64_t inputs = w->in.channels, outputs = w->out.channels;
  float *products = scratch + POINTS * w->scratch_rows * inputs;
  NAME(transform_input)(w, in, first, count, scratch);
  for (int p = 0; p < POINTS; p++) {
    const float *a = scratch + p * w->scratch_rows * inputs;
    float *to = products + p * w->scratch_rows * outputs;
    for (int64_t o = 0; o < outputs; o += 2 * WIDTH) {
      const float *panel = weights + (p * outputs + o) * inputs;
      if (o + WIDTH < outputs)
        NAME(multiply_all)(a, panel, inputs, to + o, outputs, APART, count, 2);
      else
        NAME(multiply_all)(a, panel, inputs, to + o, outputs, APART, count, 1);
    }
  }
  NAME(transform_output)(w, products, bias, first, count, adds, out);
}

#undef JOIN_NAMES
#undef JOIN
#undef NAME
#undef VECTOR
#undef LOOSE
#undef MASK
#undef INLINE
