/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions over any axes. */
#include "core/alloc.h"
#include "engine/kernel_impl.h"
#include "engine/kernel_math.h"

enum { BLOCK = 256 /* results side by side that are worked out together */ };

/* Some dimensions of the source, walked in their order. */
typedef struct walk {
  int count;
  int64_t dims[QB__ONEDNN_DIMS], strides[QB__ONEDNN_DIMS], elements;
} walk;

typedef struct reduce_kernel {
  qb__kernel base;
  qb__reduction reduction;
  walk kept, reduced;
  int64_t inner; /* elements next to each other that are */
  bool columns;  /* kept, else reduced */
} reduce_kernel;

static int64_t offset(const walk *w, int64_t index)
{
  int64_t result = 0;
  for (int d = w->count; d-- > 0;) {
    result += index % w->dims[d] * w->strides[d];
    index /= w->dims[d];
  }
  return result;
}

static float identity(qb__reduction reduction)
{
  return reduction == QB__REDUCTION_MAX       ? -INFINITY
         : reduction == QB__REDUCTION_MIN     ? INFINITY
         : reduction == QB__REDUCTION_PRODUCT ? 1
                                              : 0;
}

#define MAXIMUM(a, b) (((a) > (b)) | ((a) != (a)) ? (a) : (b))
#define MINIMUM(a, b) (((a) < (b)) | ((a) != (a)) ? (a) : (b))

static float combine(qb__reduction reduction, float a, float b)
{
  return reduction == QB__REDUCTION_MAX       ? MAXIMUM(a, b)
         : reduction == QB__REDUCTION_MIN     ? MINIMUM(a, b)
         : reduction == QB__REDUCTION_PRODUCT ? a * b
                                              : a + b;
}

#define LANES(expression)                                                                          \
  for (; i + QB__LANES <= count; i += QB__LANES)                                                   \
    _Pragma("omp simd") for (int l = 0; l < QB__LANES; l++)                                        \
    {                                                                                              \
      const float a = x[i + l], b = lanes[l];                                                      \
      lanes[l] = (expression);                                                                     \
    }                                                                                              \
  for (; i < count; i++) {                                                                         \
    const float a = x[i], b = lanes[0];                                                            \
    lanes[0] = (expression);                                                                       \
  }                                                                                                \
  break

/*
 * The reduction of elements next to each other, which for that of exponentials are less `largest`.
 */
QB__VECTORISED static float fold_run(qb__reduction reduction, const float *x, int64_t count,
                                     float largest)
{
  float lanes[QB__LANES];
  int64_t i = 0;
  for (int l = 0; l < QB__LANES; l++)
    lanes[l] = identity(reduction);
  switch (reduction) {
  case QB__REDUCTION_MAX: LANES(MAXIMUM(a, b));
  case QB__REDUCTION_MIN: LANES(MINIMUM(a, b));
  case QB__REDUCTION_PRODUCT: LANES(a * b);
  case QB__REDUCTION_L1: LANES(b + fabsf(a));
  case QB__REDUCTION_L2:
  case QB__REDUCTION_SUM_SQUARE: LANES(b + a * a);
  case QB__REDUCTION_LOG_SUM_EXP: LANES(b + qb__expf(a - largest));
  default: LANES(a + b);
  }
  float result = lanes[0];
  for (int l = 1; l < QB__LANES; l++)
    result = combine(reduction, lanes[l], result);
  return result;
}

#define COLUMNS(expression)                                                                        \
  for (int64_t i = 0; i < count; i++) {                                                            \
    const float a = x[i], b = results[i];                                                          \
    results[i] = (expression);                                                                     \
  }                                                                                                \
  break

/* Adds a row to results side by side. */
QB__VECTORISED static void fold_row(qb__reduction reduction, const float *restrict x, int64_t count,
                                    const float *restrict largest, float *restrict results)
{
  switch (reduction) {
  case QB__REDUCTION_MAX: COLUMNS(MAXIMUM(a, b));
  case QB__REDUCTION_MIN: COLUMNS(MINIMUM(a, b));
  case QB__REDUCTION_PRODUCT: COLUMNS(a * b);
  case QB__REDUCTION_L1: COLUMNS(b + fabsf(a));
  case QB__REDUCTION_L2:
  case QB__REDUCTION_SUM_SQUARE: COLUMNS(b + a * a);
  case QB__REDUCTION_LOG_SUM_EXP: COLUMNS(b + qb__expf(a - largest[i]));
  default: COLUMNS(a + b);
  }
}

/* What exponents are less by: something finite, for their sum not to be NaN. */
static float shift_of(float largest)
{
  return isinf(largest) ? 0 : largest;
}

static float finished(const reduce_kernel *self, float sum, float largest)
{
  const int64_t count = self->reduced.elements * (self->columns ? 1 : self->inner);
  switch (self->reduction) {
  case QB__REDUCTION_MEAN: return sum / (float)count;
  case QB__REDUCTION_L2: return sqrtf(sum);
  case QB__REDUCTION_LOG_SUM: return logf(sum);
  case QB__REDUCTION_LOG_SUM_EXP: return largest + logf(sum);
  default: return sum;
  }
}

static float reduce_runs(const reduce_kernel *self, qb__reduction reduction, const float *x,
                         float largest)
{
  float result = identity(reduction);
  for (int64_t r = 0; r < self->reduced.elements; r++)
    result =
        combine(reduction, fold_run(reduction, x + offset(&self->reduced, r), self->inner, largest),
                result);
  return result;
}

static void run_runs(const reduce_kernel *self, const float *x, float *y)
{
  const bool exponents = self->reduction == QB__REDUCTION_LOG_SUM_EXP;
  const int64_t work = self->kept.elements * self->reduced.elements * self->inner;
#pragma omp parallel for schedule(static) if (work > 2 * QB__GRAIN)
  for (int64_t o = 0; o < self->kept.elements; o++) {
    const float *from = x + offset(&self->kept, o);
    const float largest = exponents ? shift_of(reduce_runs(self, QB__REDUCTION_MAX, from, 0)) : 0;
    y[o] = finished(self, reduce_runs(self, self->reduction, from, largest), largest);
  }
}

static void reduce_columns(const reduce_kernel *self, qb__reduction reduction, const float *x,
                           int64_t count, const float *largest, float *results)
{
  for (int64_t i = 0; i < count; i++)
    results[i] = identity(reduction);
  for (int64_t r = 0; r < self->reduced.elements; r++)
    fold_row(reduction, x + offset(&self->reduced, r), count, largest, results);
}

static void run_columns(const reduce_kernel *self, const float *x, float *y)
{
  const bool exponents = self->reduction == QB__REDUCTION_LOG_SUM_EXP;
  const int64_t blocks = (self->inner + BLOCK - 1) / BLOCK;
  const int64_t work = self->kept.elements * self->reduced.elements * self->inner;
#pragma omp parallel for schedule(static) if (work > 2 * QB__GRAIN)
  for (int64_t o = 0; o < self->kept.elements * blocks; o++) {
    const int64_t first = o % blocks * BLOCK;
    const int64_t count = self->inner - first < BLOCK ? self->inner - first : BLOCK;
    const float *from = x + offset(&self->kept, o / blocks) + first;
    float *to = y + o / blocks * self->inner + first;
    float largest[BLOCK] = {0}, results[BLOCK];
    if (exponents)
      reduce_columns(self, QB__REDUCTION_MAX, from, count, largest, results);
    for (int64_t i = 0; exponents && i < count; i++)
      largest[i] = shift_of(results[i]);
    reduce_columns(self, self->reduction, from, count, largest, results);
    for (int64_t i = 0; i < count; i++)
      to[i] = finished(self, results[i], largest[i]);
  }
}

static void run(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const reduce_kernel *self = (const reduce_kernel *)kernel;
  (self->columns ? run_columns : run_runs)(self, arguments[QB__ARG_SOURCE],
                                           arguments[QB__ARG_DESTINATION]);
}

static void add_dimension(walk *w, int64_t size, int64_t stride)
{
  w->dims[w->count] = size;
  w->strides[w->count++] = stride;
  w->elements *= size;
}

qb_status qb__kernel_reduce(const qb_context *context, const qb__operator *op,
                            const qb__dims *source, qb__kernel **kernel)
{
  reduce_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->base.run = run;
  self->reduction = op->reduction;
  self->kept.elements = self->reduced.elements = 1;
  /* The last dimensions of one kind lie next to each other; those before are walked. */
  const uint32_t axes = op->axes << 1;
  int last = source->count - 1;
  self->columns = !(axes >> last & 1);
  while (last >= 0 && !(axes >> last & 1) == self->columns)
    last--;
  self->inner = qb__span(source, last + 1, source->count);
  for (int d = 0; d <= last; d++)
    add_dimension(axes >> d & 1 ? &self->reduced : &self->kept, source->at[d],
                  qb__span(source, d + 1, source->count));
  *kernel = &self->base;
  return QB_OK;
}
