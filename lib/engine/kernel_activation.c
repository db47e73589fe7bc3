/* SPDX-License-Identifier: Apache-2.0 */
/* Activations that oneDNN does not have. */
#include "core/alloc.h"
#include "core/error.h"
#include "engine/kernel_impl.h"
#include "engine/kernel_math.h"

typedef struct activation_kernel {
  qb__kernel base;
  qb__activation activation;
  int64_t count;
} activation_kernel;

#define EACH(expression)                                                                           \
  for (int64_t i = 0; i < count; i++) {                                                            \
    const float a = x[i];                                                                          \
    y[i] = (expression);                                                                           \
  }                                                                                                \
  break

QB__VECTORISED static void activate(qb__activation activation, const float *restrict x,
                                    int64_t count, float *restrict y)
{
  switch (activation) {
  case QB__ACTIVATION_EXP: EACH(qb__expf(a));
  case QB__ACTIVATION_LOG: EACH(qb__logf(a));
  case QB__ACTIVATION_SQRT: EACH(sqrtf(a));
  case QB__ACTIVATION_ABS: EACH(fabsf(a));
  case QB__ACTIVATION_ERF: EACH(qb__erff(a));
  case QB__ACTIVATION_FLOOR: EACH(floorf(a));
  case QB__ACTIVATION_CEIL: EACH(ceilf(a));
  case QB__ACTIVATION_ROUND: EACH(nearbyintf(a));
  case QB__ACTIVATION_SIGN: EACH(a > 0 ? 1 : a < 0 ? -1 : a);
  case QB__ACTIVATION_SIN: EACH(sinf(a));
  case QB__ACTIVATION_COS: EACH(cosf(a));
  default: break;
  }
}

static void run(const qb__kernel *kernel, float *const arguments[QB__ARG_COUNT])
{
  const activation_kernel *self = (const activation_kernel *)kernel;
  const float *x = arguments[QB__ARG_SOURCE];
  float *y = arguments[QB__ARG_DESTINATION];
#pragma omp parallel for schedule(static) if (self->count > 2 * QB__GRAIN)
  for (int64_t i = 0; i < self->count; i += QB__GRAIN)
    activate(self->activation, x + i, self->count - i < QB__GRAIN ? self->count - i : QB__GRAIN,
             y + i);
}

qb_status qb__kernel_activation(const qb_context *context, const qb__operator *op, size_t count,
                                qb__kernel **kernel)
{
  if (op->activation < QB__ACTIVATION_EXP)
    return qb__fail(QB_ERROR_UNSUPPORTED, "no kernel computes this activation");
  activation_kernel *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  *self = (activation_kernel){{run}, op->activation, (int64_t)count};
  *kernel = &self->base;
  return QB_OK;
}
