/* SPDX-License-Identifier: Apache-2.0 */
/* LRN and average pools between bytes, which sessions in int8 compute in one pass. */
#include "engine/lowering.h"
#include "engine/reference.h"
#include "model/model_data.h"
#include "support/expect.h"
#include "support/random.h"

#include <qosbatch/session.h>

#include <math.h>
#include <stdlib.h>

static qb_context *context;

/* How reals become integers of 8 bits. */
typedef struct rounding {
  float scale, zero_point, low;
} rounding;

typedef struct subject {
  uint32_t batch;
  bool is_lrn;
  uint32_t rank;
  int64_t dims[4];
  qb__window window;
  bool include_padding;
  int64_t size; /* of an LRN, with what follows */
  float alpha, beta, k;
  rounding from, to;
} subject;

static int64_t pick(uint64_t *seed, int64_t least, int64_t most)
{
  return least + (int64_t)random_int(seed, 0, (uint64_t)(most - least));
}

static float between(uint64_t *seed, float least, float most)
{
  return least + (most - least) * (float)random_unit(seed);
}

/* With a zero point in the middle, bytes are signed. */
static rounding random_rounding(uint64_t *seed, float scale)
{
  const float low = random_int(seed, 0, 1) ? -128 : 0;
  const float zero = random_int(seed, 0, 1) ? (float)pick(seed, 0, 255) : 128;
  return (rounding){scale, random_int(seed, 0, 3) ? low + zero : low, low};
}

/* Some have more channels than are computed at a time, some more elements than one thread takes. */
static subject random_subject(uint64_t *seed)
{
  subject s = {.batch = (uint32_t)pick(seed, 1, 3),
               .is_lrn = random_int(seed, 0, 1),
               .include_padding = random_int(seed, 0, 1)};
  const bool wide = !random_int(seed, 0, 3);
  s.rank = s.is_lrn ? 3 : (uint32_t)pick(seed, 2, 4);
  s.dims[0] = wide ? pick(seed, 250, 530) : pick(seed, 1, 40);
  for (uint32_t i = 1; i < s.rank; i++) {
    const int64_t kernel = pick(seed, 1, 4), dilation = random_int(seed, 0, 3) ? 1 : 2;
    const int64_t reach = (kernel - 1) * dilation;
    s.window.kernel[i - 1] = kernel;
    s.window.strides[i - 1] = pick(seed, 1, 3);
    s.window.dilations[i - 1] = dilation;
    s.window.pad_before[i - 1] = pick(seed, 0, kernel - 1);
    s.window.pad_after[i - 1] = pick(seed, 0, kernel - 1);
    s.dims[i] = pick(seed, reach + 1, reach + 8);
  }
  s.size = 1 + 2 * pick(seed, 0, random_int(seed, 0, 7) ? 4 : 300);
  s.alpha = between(seed, 0, 2);
  s.beta = random_int(seed, 0, 1) ? 0.75f : between(seed, 0, 1.5f);
  s.k = between(seed, 0.5f, 3);
  const float scale = ldexpf(between(seed, 1, 2), (int)pick(seed, -20, 10));
  s.from = random_rounding(seed, scale);
  if (s.is_lrn) /* results are as large as inputs if the squares count for nothing */
    s.alpha /= scale * scale * 1e4f;
  s.to = random_rounding(seed,
                         scale * between(seed, 0.2f, 1.2f) * (s.is_lrn ? powf(s.k, -s.beta) : 1));
  return s;
}

static int32_t number(qb__graph *g, float value)
{
  const int64_t one = 1;
  const int32_t constant = qb__graph_constant(g, "number", 1, &one);
  g->tensors[constant].constant[0] = value;
  return constant;
}

static int32_t rounded(qb__graph *g, int32_t x, const rounding *r)
{
  const int32_t scale = number(g, r->scale), zero = number(g, r->zero_point);
  x = qb__graph_quantize(g, "quantize", x, scale, zero, 0, r->low, r->low + 255);
  return qb__graph_dequantize(g, "dequantize", x, scale, zero, 0, r->low, r->low + 255);
}

static int32_t computed(qb__graph *g, int32_t x, const subject *s)
{
  return s->is_lrn
             ? qb__graph_lrn(g, "subject", x, s->size, s->alpha, s->beta, s->k)
             : qb__graph_pool(g, "subject", QB__OP_AVERAGE_POOL, x, &s->window, s->include_padding);
}

static qb_model *model_of(const subject *s)
{
  qb__graph g;
  qb_model *model;
  qb__graph_init(&g, context);
  int32_t x = qb__graph_input(&g, "x", s->rank, s->dims);
  x = computed(&g, rounded(&g, x, &s->from), s);
  qb__graph_output(&g, rounded(&g, x, &s->to));
  assert_ok(g.status);
  assert_ok(qb__model_from_graph(&g, "subject", &model));
  return model;
}

/* Operators of a network's form in bytes. */
static size_t lowered_operators(const qb__graph *graph)
{
  qb__graph lowered;
  assert_ok(qb__graph_copy(graph, &lowered));
  qb__lower_bytes(&lowered);
  assert_ok(lowered.status);
  const size_t count = lowered.operator_count;
  qb__graph_clear(&lowered);
  return count;
}

static void run_bytes(qb_model *model, uint32_t batch, const float *x, float *y, uint32_t *flags)
{
  const qb_configuration configuration = {1, 2, QB_PRECISION_INT8};
  const void *const inputs[1] = {x};
  void *const outputs[1] = {y};
  qb_session *session = NULL;
  assert_ok(qb_session_new(model, &configuration, NULL, &session));
  assert_ok(qb_session_run(session, batch, inputs, outputs, flags));
  qb_session_unref(session);
}

typedef struct counts {
  size_t elements, moved;
} counts;

/* Plain loops over the exact form; a result between two steps may become either. */
static void expect_plain_loops(uint64_t *seed, const subject *s, counts *c)
{
  qb_model *model = model_of(s);
  const qb__graph *g = qb__model_graph(model);
  const size_t in = s->batch * g->tensors[g->inputs[0]].elements;
  const size_t out = s->batch * g->tensors[g->outputs[0]].elements;
  float *x = calloc(in, sizeof *x), *y = calloc(out, sizeof *y);
  float *expected = calloc(out, sizeof *expected);
  const float *const inputs[1] = {x};
  assert_true(x && y && expected);
  const float reals = s->from.low - s->from.zero_point;
  for (size_t i = 0; i < in; i++)
    x[i] = (reals + (float)pick(seed, 0, 255)) * s->from.scale;
  assert_ok(qb__reference_run(g, s->batch, inputs, &expected, NULL));
  run_bytes(model, s->batch, x, y, NULL);
  for (size_t i = 0; i < out; i++) {
    const float steps = fabsf(y[i] - expected[i]) / s->to.scale;
    if (!(steps < 1.01f))
      fail_msg("%s of %lld channels, rank %u, zero points %g and %g: %g instead of %g at %zu",
               s->is_lrn ? "LRN" : "pool", (long long)s->dims[0], s->rank,
               (double)s->from.zero_point, (double)s->to.zero_point, (double)y[i],
               (double)expected[i], i);
    c->moved += steps > 0.5f;
  }
  c->elements += out;
  assert_int_equal(lowered_operators(g), 3); /* bytes in, what is between, bytes out */
  free(x);
  free(y);
  free(expected);
  qb_model_unref(model);
}

static void random_operators_between_bytes_give_the_steps_of_plain_loops(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  counts c = {0, 0};
  for (int i = random_cases(60); i > 0; i--) {
    const subject s = random_subject(&seed);
    expect_plain_loops(&seed, &s, &c);
  }
  print_message("# %zu elements, %zu one step off\n", c.elements, c.moved);
  assert_true(c.moved * 1000 <= c.elements);
}

static const subject small_lrn = {.batch = 2,
                                  .is_lrn = true,
                                  .rank = 3,
                                  .dims = {3, 2, 2},
                                  .size = 3,
                                  .alpha = 0.1f,
                                  .beta = 0.75f,
                                  .k = 1,
                                  .from = {0.125f, 128, 0},
                                  .to = {0.0625f, 128, 0}};

static void bytes_hide_no_value_that_is_not_finite(void **state)
{
  (void)state;
  qb_model *model = model_of(&small_lrn);
  float x[2 * 12], y[2 * 12];
  uint32_t flags[2];
  for (int i = 0; i < 24; i++)
    x[i] = (float)i / 8;
  x[12 + 5] = NAN;
  run_bytes(model, 2, x, y, flags);
  assert_int_equal(flags[0], 0);
  assert_int_equal(flags[1], QB_SAMPLE_NOT_FINITE);
  for (int i = 0; i < 12; i++) {
    assert_false(isnan(y[i]));
    assert_true(isnan(y[12 + i]));
  }
  qb_model_unref(model);
}

/* What is read as reals, too, and what may be infinite, is computed as it was. */
static void reals_that_are_needed_stay_reals(void **state)
{
  (void)state;
  qb__graph g;
  qb__graph_init(&g, context);
  int32_t x = qb__graph_input(&g, "x", small_lrn.rank, small_lrn.dims);
  x = computed(&g, rounded(&g, x, &small_lrn.from), &small_lrn);
  qb__graph_output(&g, x);
  qb__graph_output(&g, rounded(&g, x, &small_lrn.to));
  assert_int_equal(lowered_operators(&g), 5);
  qb__graph_clear(&g);
  subject endless = small_lrn;
  endless.k = 0;
  qb_model *model = model_of(&endless);
  assert_int_equal(lowered_operators(qb__model_graph(model)), 5);
  qb_model_unref(model);
}

static int set_up(void **state)
{
  (void)state;
  return qb_context_new(NULL, &context) ? -1 : 0;
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
      cmocka_unit_test(random_operators_between_bytes_give_the_steps_of_plain_loops),
      cmocka_unit_test(bytes_hide_no_value_that_is_not_finite),
      cmocka_unit_test(reals_that_are_needed_stay_reals),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
