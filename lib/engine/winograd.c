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

typedef struct place {
  int64_t image, y, x; /* of a tile's first result */
} place;

#define WIDTH     16
#define MOST_ROWS 12
#define APART     (inputs * LANES)
#define TARGET    __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
#include "engine/winograd_body.h"
#undef WIDTH
#undef MOST_ROWS
#undef APART
#undef TARGET

/* With half as many registers of half the size. */
#define WIDTH     8
#define MOST_ROWS 6
#define APART     WIDTH
#define TARGET    __attribute__((target("avx2,fma")))
#include "engine/winograd_body.h"

qb__winograd_run *qb__winograd_for(bool avx512, bool avx2)
{
  return avx512 ? run_16 : avx2 ? run_8 : NULL;
}

#else

qb__winograd_run *qb__winograd_for(bool avx512, bool avx2)
{
  (void)avx512, (void)avx2;
  return NULL;
}

#endif
