/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions by minimal filtering against plain loops. */
#include "core/alloc.h"
#include "engine/kernel.h"
#include "engine/winograd.h"
#include "model/graph_impl.h"
#include "support/expect.h"
#include "support/random.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

static qb_context *context;

/* A tensor of images in one of the two layouts. */
typedef struct images {
  qb__dims dims;
  qb__layout *layout;
  qb__blocking blocking;
  float *values;
} images;

typedef struct problem {
  qb__operator op;
  images in, out;
  float *weights, *bias; /* bias may be NULL */
  float *before;         /* what is added to, as `out` lies */
} problem;

static float draw(uint64_t *random)
{
  return (float)(2 * random_unit(random) - 1);
}

static float *drawn(uint64_t *random, size_t count)
{
  float *values = qb__alloc_aligned(context, count * sizeof *values, 64);
  assert_non_null(values);
  for (size_t i = 0; i < count; i++)
    values[i] = draw(random);
  return values;
}

static size_t elements(const qb__dims *dims)
{
  return (size_t)(dims->at[0] * dims->at[1] * dims->at[2] * dims->at[3]);
}

static void make_images(uint64_t *random, images *x)
{
  assert_ok(random_int(random, 0, 1)
                ? qb__layout_channels_last(context, &x->dims, &x->layout)
                : qb__layout_channel_blocks(context, &x->dims, 16, &x->layout));
  assert_true(qb__layout_blocking(x->layout, &x->blocking));
  x->values = drawn(random, elements(&x->dims));
}

static float *at(const images *x, int64_t n, int64_t c, int64_t row, int64_t column)
{
  const int64_t position[4] = {n, c, row, column};
  return &x->values[qb__blocked_offset(&x->blocking, position)];
}

static void make_window(uint64_t *random, qb__window *w)
{
  for (int i = 0; i < 2; i++) {
    w->kernel[i] = 3;
    w->strides[i] = w->dilations[i] = 1;
    w->pad_before[i] = (int64_t)random_int(random, 0, 2);
    w->pad_after[i] = (int64_t)random_int(random, 0, 2);
  }
}

/* Of an output. */
static int64_t inputs_of(const problem *p)
{
  return p->in.dims.at[1] / p->op.groups;
}

static void make_problem(uint64_t *random, problem *p)
{
  memset(p, 0, sizeof *p);
  p->op = qb__operator_blank(QB__OP_CONVOLUTION, 0);
  p->op.groups = (int64_t)random_int(random, 1, 2);
  make_window(random, &p->op.window);
  p->in.dims = p->out.dims = (qb__dims){4, {(int64_t)random_int(random, 1, 3)}, QB__TYPE_F32};
  p->in.dims.at[1] = 16 * p->op.groups * (int64_t)random_int(random, 1, 3);
  p->out.dims.at[1] = 16 * p->op.groups * (int64_t)random_int(random, 1, 5);
  for (int i = 0; i < 2; i++) {
    p->in.dims.at[2 + i] = (int64_t)random_int(random, 3, 19);
    p->out.dims.at[2 + i] =
        p->in.dims.at[2 + i] + p->op.window.pad_before[i] + p->op.window.pad_after[i] - 2;
  }
  make_images(random, &p->in);
  make_images(random, &p->out);
  p->weights = drawn(random, (size_t)(9 * inputs_of(p) * p->out.dims.at[1]));
  p->bias = random_int(random, 0, 1) ? drawn(random, (size_t)p->out.dims.at[1]) : NULL;
  p->op.addend = random_int(random, 0, 1) ? 0 : QB__NONE;
  static const qb__activation activations[] = {QB__ACTIVATION_NONE, QB__ACTIVATION_RELU,
                                               QB__ACTIVATION_CLIP};
  p->op.activation = activations[random_int(random, 0, 2)];
  p->op.alpha = p->op.activation == QB__ACTIVATION_CLIP ? -1 : 0;
  p->op.beta = 2;
  p->before = drawn(random, elements(&p->out.dims));
  memcpy(p->before, p->out.values, elements(&p->out.dims) * sizeof *p->before);
}

static void clear_problem(problem *p)
{
  qb__layout_free(context, p->in.layout);
  qb__layout_free(context, p->out.layout);
  qb__free(context, p->in.values);
  qb__free(context, p->out.values);
  qb__free(context, p->weights);
  qb__free(context, p->bias);
  qb__free(context, p->before);
}

/* Runs the kernel on a team of so many threads. */
static void compute(const problem *p, int threads)
{
  qb__kernel *kernel;
  size_t scratchpad_bytes;
  const int usual = omp_get_max_threads();
  float *transformed = qb__alloc_aligned(
      context, sizeof(float) * 36 * (size_t)(inputs_of(p) * p->out.dims.at[1]), 64);
  assert_non_null(transformed);
  omp_set_num_threads(threads);
  assert_true(qb__winograd_computes(&p->op, &p->in.dims, &p->out.dims));
  assert_ok(qb__kernel_winograd(context, &p->op, &p->in.dims, p->in.layout, &p->out.dims,
                                p->out.layout, &kernel, &scratchpad_bytes));
  float *scratchpad = qb__alloc_aligned(context, scratchpad_bytes, 64);
  assert_non_null(scratchpad);
  const int64_t outputs = p->out.dims.at[1] / p->op.groups;
  for (int64_t g = 0; g < p->op.groups; g++)
    qb__winograd_weights(p->weights + g * outputs * inputs_of(p) * 9, outputs, inputs_of(p),
                         transformed + g * outputs * inputs_of(p) * 36);
  float *const arguments[QB__ARG_COUNT] = {[QB__ARG_SOURCE] = p->in.values,
                                           [QB__ARG_WEIGHTS] = transformed,
                                           [QB__ARG_BIAS] = p->bias,
                                           [QB__ARG_DESTINATION] = p->out.values,
                                           [QB__ARG_SCRATCHPAD] = scratchpad};
  kernel->run(kernel, arguments);
  omp_set_num_threads(usual);
  qb__free(context, kernel);
  qb__free(context, scratchpad);
  qb__free(context, transformed);
}

/* The sum of products at a position, and of their magnitudes. */
static double sum_at(const problem *p, int64_t n, int64_t o, int64_t row, int64_t column,
                     double *magnitude)
{
  const int64_t inputs = inputs_of(p);
  const int64_t group = o / (p->out.dims.at[1] / p->op.groups);
  double sum = p->bias ? (double)p->bias[o] : 0;
  *magnitude = fabs(sum);
  for (int64_t c = 0; c < inputs; c++)
    for (int k = 0; k < 9; k++) {
      const int64_t y = row + k / 3 - p->op.window.pad_before[0],
                    x = column + k % 3 - p->op.window.pad_before[1];
      if (y < 0 || y >= p->in.dims.at[2] || x < 0 || x >= p->in.dims.at[3])
        continue;
      const double product = (double)p->weights[(o * inputs + c) * 9 + k] *
                             (double)*at(&p->in, n, group * inputs + c, y, x);
      sum += product;
      *magnitude += fabs(product);
    }
  return sum;
}

static double activated(const qb__operator *op, double x)
{
  switch (op->activation) {
  case QB__ACTIVATION_RELU: return x < 0 ? 0 : x;
  case QB__ACTIVATION_CLIP: return fmin(fmax(x, (double)op->alpha), (double)op->beta);
  default: return x;
  }
}

static void expect_right(const problem *p)
{
  const qb__dims *d = &p->out.dims;
  for (int64_t n = 0; n < d->at[0]; n++)
    for (int64_t o = 0; o < d->at[1]; o++)
      for (int64_t y = 0; y < d->at[2]; y++)
        for (int64_t x = 0; x < d->at[3]; x++) {
          double magnitude, sum = sum_at(p, n, o, y, x, &magnitude);
          const float *found = at(&p->out, n, o, y, x);
          if (p->op.addend != QB__NONE)
            sum += (double)p->before[found - p->out.values];
          const double expected = activated(&p->op, sum);
          if (!(fabs((double)*found - expected) <= 1e-5 * (magnitude + 1)))
            fail_msg("%g instead of %g at %d,%d,%d,%d", (double)*found, expected, (int)n, (int)o,
                     (int)y, (int)x);
        }
}

static void convolutions_agree_with_plain_loops(void **state)
{
  (void)state;
  uint64_t random = random_start();
  if (!qb__has_avx2())
    skip();
  for (int i = random_cases(40); i > 0; i--) {
    problem p;
    make_problem(&random, &p);
    compute(&p, (int)random_int(&random, 1, 4));
    expect_right(&p);
    clear_problem(&p);
  }
}

static void a_nan_reaches_all_that_it_is_a_term_of(void **state)
{
  (void)state;
  uint64_t random = random_start();
  if (!qb__has_avx2())
    skip();
  for (int i = random_cases(20); i > 0; i--) {
    problem p;
    make_problem(&random, &p);
    const qb__dims *d = &p.in.dims;
    const int64_t n = (int64_t)random_int(&random, 0, (uint64_t)d->at[0] - 1);
    const int64_t row = (int64_t)random_int(&random, 0, (uint64_t)d->at[2] - 1);
    const int64_t column = (int64_t)random_int(&random, 0, (uint64_t)d->at[3] - 1);
    *at(&p.in, n, 3, row, column) = NAN;
    compute(&p, 2);
    for (int64_t y = 0; y < p.out.dims.at[2]; y++)
      for (int64_t x = 0; x < p.out.dims.at[3]; x++) {
        const int64_t down = row + p.op.window.pad_before[0] - y;
        const int64_t across = column + p.op.window.pad_before[1] - x;
        if (down >= 0 && down < 3 && across >= 0 && across < 3)
          assert_true(isnan(*at(&p.out, n, 1, y, x)));
      }
    clear_problem(&p);
  }
}

static void other_convolutions_are_left_alone(void **state)
{
  (void)state;
  qb__operator op = qb__operator_blank(QB__OP_CONVOLUTION, 0);
  const qb__dims image = {4, {1, 16, 8, 8}, QB__TYPE_F32}, few = {4, {1, 24, 8, 8}, QB__TYPE_F32};
  const qb__dims bytes = {4, {1, 16, 8, 8}, QB__TYPE_U8};
  uint64_t random = 1;
  make_window(&random, &op.window);
  op.groups = 1;
  assert_int_equal(qb__winograd_computes(&op, &image, &image), qb__has_avx2());
  assert_false(qb__winograd_computes(&op, &few, &image));
  assert_false(qb__winograd_computes(&op, &image, &few));
  assert_false(qb__winograd_computes(&op, &bytes, &image));
  qb__operator other = op;
  other.window.strides[1] = 2;
  assert_false(qb__winograd_computes(&other, &image, &image));
  other = op;
  other.window.dilations[0] = 2;
  assert_false(qb__winograd_computes(&other, &image, &image));
  other = op;
  other.groups = 2; /* of 8 channels */
  assert_false(qb__winograd_computes(&other, &image, &image));
  other = op;
  other.activation = QB__ACTIVATION_TANH;
  assert_false(qb__winograd_computes(&other, &image, &image));
}

static int set_up(void **state)
{
  (void)state;
  return qb_context_new(NULL, &context);
}

static int tear_down(void **state)
{
  (void)state;
  qb_context_unref(context);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(convolutions_agree_with_plain_loops),
      cmocka_unit_test(a_nan_reaches_all_that_it_is_a_term_of),
      cmocka_unit_test(other_convolutions_are_left_alone),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
