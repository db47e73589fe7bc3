/* SPDX-License-Identifier: Apache-2.0 */
/* Which layers can saturate 16 bits, against all sums that two products can have. */
#include "model/saturation.h"
#include "support/expect.h"
#include "support/random.h"

#include <math.h>

static qb_context *context;

/* Whether two products of inputs of 0 to `most` exceed 16 bits. */
static bool exceeds(int most, int a, int b)
{
  for (int x = 0; x <= most; x++)
    for (int y = 0; y <= most; y++)
      if (x * a + y * b > INT16_MAX || x * a + y * b < INT16_MIN)
        return true;
  return false;
}

typedef struct layer {
  qb__graph graph;
  int32_t weights;
  int most;
  bool convolves;
} layer;

static int steps_at(const layer *l, size_t i, float step)
{
  return (int)lrintf(l->graph.tensors[l->weights].constant[i] / step);
}

/* Neighbouring channels of a convolution, any two inputs of another layer. */
static bool by_brute_force(const layer *l, float step)
{
  const qb__tensor *w = &l->graph.tensors[l->weights];
  const size_t inputs = (size_t)w->dims[1], taps = w->elements / (size_t)(w->dims[0] * w->dims[1]);
  bool can = false;
  for (size_t o = 0; o < (size_t)w->dims[0]; o++)
    for (size_t i = 0; i < inputs * taps; i++)
      for (size_t k = i; k < inputs * taps; k++) {
        const size_t at = o * inputs * taps;
        const bool pair = l->convolves && inputs % 2 == 0
                              ? i % taps == k % taps && i / taps % 2 == 0 && k == i + taps
                              : k > i;
        can = can ||
              exceeds(l->most, steps_at(l, at + i, step), pair ? steps_at(l, at + k, step) : 0);
      }
  return can;
}

/* A layer of u8 inputs of up to `most`, with weights of up to `largest` steps, one of them 101. */
static void make_layer(uint64_t *random, layer *l, float step, int largest)
{
  const int64_t channels = (int64_t)random_int(random, 1, 5);
  const int64_t outputs = (int64_t)random_int(random, 1, 3);
  const int64_t dims[4] = {outputs, channels, l->convolves ? 2 : 1, 1};
  const int64_t image[3] = {channels, 3, 3};
  const qb__window window = {{2, 1, 0}, {1, 1, 1}, {1, 1, 1}, {0}, {0}};
  qb__graph *g = &l->graph;
  qb__graph_init(g, context);
  int32_t x = qb__graph_input(g, "x", l->convolves ? 3 : 1, image);
  x = qb__graph_quantize(g, "q", x, QB__NONE, QB__NONE, 0, 0, (float)l->most);
  x = qb__graph_dequantize(g, "d", x, QB__NONE, QB__NONE, 0, 0, (float)l->most);
  l->weights = qb__graph_constant(g, "w", l->convolves ? 4 : 2, dims);
  assert_ok(g->status);
  const size_t each = g->tensors[l->weights].elements / (size_t)outputs;
  for (size_t i = 0; i < g->tensors[l->weights].elements; i++) {
    const int steps =
        (int)random_int(random, 0, (uint64_t)largest) * (random_int(random, 0, 1) ? 1 : -1);
    g->tensors[l->weights].constant[i] = (float)(i % each == 0 ? 101 : steps) * step;
  }
  /* Of a single weight any number is a step: with 1 the least one is known. */
  for (size_t o = 0; each > 1 && o < (size_t)outputs; o++)
    g->tensors[l->weights].constant[o * each + 1] = step;
  if (l->convolves)
    qb__graph_convolution(g, "y", x, l->weights, QB__NONE, &window, 1);
  else
    qb__graph_dense(g, "y", x, l->weights, QB__NONE);
  assert_ok(g->status);
}

static void layers_can_saturate_where_two_products_can(void **state)
{
  (void)state;
  uint64_t random = random_start();
  unsigned can = 0, cannot = 0;
  for (int n = 0; n < 300; n++) {
    layer l = {.most = random_int(&random, 0, 1) ? 255 : 127 + (int)random_int(&random, 0, 40),
               .convolves = random_int(&random, 0, 1)};
    const float step = expf(-(float)random_int(&random, 0, 500) / 100);
    make_layer(&random, &l, step, random_int(&random, 0, 1) ? 127 : 27);
    const qb__tensor *w = &l.graph.tensors[l.weights];
    const bool single = w->elements == (size_t)w->dims[0]; /* its step is itself */
    const bool expected = !single && by_brute_force(&l, step);
    const qb__saturation found = qb__layer_saturation(&l.graph, &l.graph.operators[2]);
    assert_int_equal(found, expected ? QB__CAN_SATURATE : QB__CANNOT_SATURATE);
    can += expected;
    cannot += !expected;
    qb__graph_clear(&l.graph);
  }
  assert_true(can > 30 && cannot > 30);
}

static void weights_have_the_largest_step_that_fits(void **state)
{
  (void)state;
  float step;
  assert_true(qb__weight_step((const float[3]){0.1f * 127, -0.1f * 3, 0}, 3, &step));
  assert_float_equal(step, 0.1f, 1e-7);
  assert_true(qb__weight_step((const float[2]){64, -128}, 2, &step));
  assert_float_equal(step, 64, 0);
  assert_true(qb__weight_step((const float[2]){-128, 1}, 2, &step));
  assert_float_equal(step, 1, 0);
  assert_false(qb__weight_step((const float[2]){128, 1}, 2, &step));
  assert_false(qb__weight_step((const float[2]){1, 0.0123456f}, 2, &step));
  assert_false(qb__weight_step((const float[2]){0, 0}, 2, &step));
  assert_false(qb__weight_step((const float[2]){INFINITY, 1}, 2, &step));
}

static void signed_inputs_saturate_like_unsigned_and_floats_do_not(void **state)
{
  (void)state;
  const int64_t dims[2] = {1, 2};
  qb__graph g;
  qb__graph_init(&g, context);
  const int32_t x = qb__graph_input(&g, "x", 1, dims + 1);
  const int32_t w = qb__graph_constant(&g, "w", 2, dims);
  qb__graph_dense(&g, "of_floats", x, w, QB__NONE);
  const int32_t q = qb__graph_quantize(&g, "q", x, QB__NONE, QB__NONE, 0, -128, 127);
  qb__graph_dense(&g, "of_integers", q, w, QB__NONE);
  assert_ok(g.status);
  g.tensors[w].constant[0] = g.tensors[w].constant[1] = 127;
  assert_int_equal(qb__layer_saturation(&g, &g.operators[0]), QB__NOT_OF_INTEGERS);
  assert_int_equal(qb__layer_saturation(&g, &g.operators[1]), QB__NOT_OF_INTEGERS);
  qb__graph_mark_integers(&g, 2, 128, 1);
  assert_int_equal(qb__layer_saturation(&g, &g.operators[2]), QB__CAN_SATURATE);
  g.tensors[w].constant[1] = 1; /* 255 * (127 + 1) fits 16 bits */
  assert_int_equal(qb__layer_saturation(&g, &g.operators[2]), QB__CANNOT_SATURATE);
  g.tensors[w].constant[1] = 127;
  g.operators[1].alpha = 0;
  g.operators[1].beta = 255;
  assert_int_equal(qb__layer_saturation(&g, &g.operators[2]), QB__CAN_SATURATE);
  g.tensors[w].constant[1] = 1.5f;
  assert_int_equal(qb__layer_saturation(&g, &g.operators[2]), QB__NOT_OF_INTEGERS);
  qb__graph_clear(&g);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(layers_can_saturate_where_two_products_can),
      cmocka_unit_test(weights_have_the_largest_step_that_fits),
      cmocka_unit_test(signed_inputs_saturate_like_unsigned_and_floats_do_not),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
