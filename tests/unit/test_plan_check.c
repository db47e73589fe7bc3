/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Implementations that compute wrongly are found before a caller sees their results, and passed
 * over.
 */
#include "engine/session_profiling.h"

#include "support/failing_allocator.h"
#include "support/faulty_kernels.h"
#include "support/network_check.h"
#include "support/quantized_builtin.h"

#include <stdio.h>

enum { MOST_BATCH = 5 };

static const fault no_fault = {FAULTY_NOTHING}, in_first_layer = {FAULTY_IMPLEMENTATION},
                   in_all_layers = {FAULTY_LAYERS}, in_changes = {FAULTY_CHANGES};

static char said[4096]; /* the last messages */

static void hear(void *user, qb_severity severity, const char *text)
{
  (void)user, (void)severity;
  const size_t used = strlen(said);
  snprintf(said + used, sizeof said - used, "%s\n", text);
}

/* Trials of layers all take the same time, so that oneDNN's first choice stays. */
static int64_t stopped_clock(void *user)
{
  (void)user;
  return 0;
}

static qb_context *new_context(const fault *made)
{
  *said = '\0';
  faulty_kernels_are(made);
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.message = hear;
  params.now_ns = stopped_clock;
  qb_context *context;
  assert_ok(qb_context_new(&params, &context));
  return context;
}

static int32_t add_constant(qb__graph *graph, uint32_t rank, const int64_t *dims)
{
  const int32_t made = qb__graph_constant(graph, "constant", rank, dims);
  if (!graph->status)
    qb__fill(graph, made, 7, 0, 0.1f);
  return made;
}

/* Convolutions alike, a pool, and a dense layer, for which the layout changes. */
static void build(qb__graph *graph, int64_t size, int convolutions)
{
  const int64_t image[3] = {16, size, size}, matrix[2] = {8, 16 * (size / 2) * (size / 2)};
  static const int64_t weights[4] = {16, 16, 3, 3};
  static const qb__window same = {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
  static const qb__window half = {{2, 2}, {2, 2}, {1, 1}, {0, 0}, {0, 0}};
  int32_t x = qb__graph_input(graph, "input", 3, image);
  for (int i = 0; i < convolutions; i++)
    x = qb__graph_convolution(graph, i ? "second" : "first", x, add_constant(graph, 4, weights),
                              add_constant(graph, 1, weights), &same, 1);
  x = qb__graph_pool(graph, "pool", QB__OP_MAX_POOL, x, &half, false);
  x = qb__graph_flatten(graph, "flatten", x);
  x = qb__graph_dense(graph, "dense", x, add_constant(graph, 2, matrix),
                      add_constant(graph, 1, matrix));
  qb__graph_output(graph, x);
}

static network_check make_network(qb_context *context)
{
  qb__graph graph;
  qb__graph_init(&graph, context);
  build(&graph, 12, 2);
  return network_check_make(&graph, MOST_BATCH, NULL);
}

/* Findings of a session, which belong to it. */
static qb__findings findings_of(const qb_session *session)
{
  qb__layer_algorithm layers[64];
  qb__algorithms algorithms = {.layers = layers};
  assert_true(qb__session_get_algorithms(session, &algorithms));
  return algorithms.findings;
}

static void a_right_network_is_checked_once_for_each_batch_size(void **state)
{
  (void)state;
  qb_context *context = new_context(&no_fault);
  network_check c = make_network(context);
  qb_session *session = network_check_session(&c, 2, 1);
  network_check_expect(&c, session, 0, 2);
  network_check_expect(&c, session, 0, 5);
  const qb__findings findings = findings_of(session);
  assert_int_equal(findings.count, 0);
  assert_int_equal(findings.checked_count, 2);
  assert_true(qb__is_checked(&findings, 2) && qb__is_checked(&findings, 5));
  assert_string_equal(said, "");
  qb_session_unref(session);
  network_check_free(&c);
  qb_context_unref(context);
}

static void a_wrong_implementation_is_passed_over_and_told(void **state)
{
  (void)state;
  for (uint32_t threads = 1; threads <= 2; threads++) {
    qb_context *context = new_context(&in_first_layer);
    network_check c = make_network(context);
    qb_session *session = network_check_session(&c, 2, threads);
    network_check_expect(&c, session, 0, 1);
    network_check_expect(&c, session, 0, MOST_BATCH);
    const qb__findings findings = findings_of(session);
    assert_true(findings.count > 0);
    for (size_t i = 0; i < findings.count; i++)
      assert_string_equal(findings.passed_over[i].implementation, faulty_seen.implementation);
    assert_non_null(strstr(said, faulty_seen.implementation));
    assert_non_null(strstr(said, "operator 'first'"));
    qb_session_unref(session);
    network_check_free(&c);
    qb_context_unref(context);
  }
}

static void an_implementation_that_cannot_be_compiled_is_passed_over(void **state)
{
  (void)state;
  static const fault in_compiling = {FAULTY_COMPILING};
  qb_context *context = new_context(&in_compiling);
  network_check c = make_network(context);
  qb_session *session = network_check_session(&c, 1, 1);
  network_check_expect(&c, session, 0, 1);
  network_check_expect(&c, session, 0, MOST_BATCH);
  const qb__findings findings = findings_of(session);
  assert_true(findings.count > 0);
  for (size_t i = 0; i < findings.count; i++)
    assert_string_equal(findings.passed_over[i].implementation, faulty_seen.implementation);
  assert_non_null(strstr(said, "cannot compile operator"));
  qb_session_unref(session);
  network_check_free(&c);
  qb_context_unref(context);
}

/* What a session of a precision makes of sample 0; *wrong: how much was passed over. */
static void run_precision(qb_precision precision, const fault *kind, float *output, size_t *wrong)
{
  qb_context *context = new_context(kind);
  const qb_configuration configuration = {1, 1, precision};
  qb__graph real, quantized;
  qb_model *model;
  qb_session *session;
  qb__graph_init(&real, context);
  qb__graph_init(&quantized, context);
  build(&real, 12, 2);
  if (precision == QB_PRECISION_INT8) {
    quantize_graph(&real, NULL, &quantized);
    qb__graph_clear(&real);
  }
  assert_ok(
      qb__model_from_graph(precision == QB_PRECISION_INT8 ? &quantized : &real, "small", &model));
  assert_ok(qb_session_new(model, &configuration, NULL, &session));
  float input[16 * 12 * 12];
  qb__fill_values(input, sizeof input / sizeof *input, 5, 0, 1);
  const void *const inputs[1] = {input};
  void *const outputs[1] = {output};
  assert_ok(qb_session_run(session, 1, inputs, outputs, NULL));
  *wrong = findings_of(session).count;
  qb_session_unref(session);
  qb_model_unref(model);
  qb_context_unref(context);
}

/* Layers, and changes of layout, which plain loops compute instead. */
static void expect_passed_over(qb_precision precision)
{
  static const fault in_flatten = {FAULTY_CHANGES, .op = "flatten"};
  const fault *const faults[] = {&in_first_layer, &in_flatten};
  float right[8], other[8];
  size_t wrong;
  run_precision(precision, &no_fault, right, &wrong);
  assert_int_equal(wrong, 0);
  for (int i = 0; i < 2; i++) {
    run_precision(precision, faults[i], other, &wrong);
    assert_true(wrong > 0);
    assert_true(relative_error(other, right, 8) < 0.05);
  }
}

static void a_wrong_implementation_on_bytes_is_passed_over(void **state)
{
  (void)state;
  expect_passed_over(QB_PRECISION_INT8);
}

static void a_wrong_implementation_on_bfloat16_numbers_is_passed_over(void **state)
{
  (void)state;
  if (!qb__has_bf16())
    skip();
  expect_passed_over(QB_PRECISION_BF16);
}

/* As sessions of a profile do. */
static void what_was_passed_over_is_not_tried_again(void **state)
{
  (void)state;
  qb_context *context = new_context(&in_first_layer);
  network_check c = make_network(context);
  qb_session *first = network_check_session(&c, 1, 1), *second;
  network_check_expect(&c, first, 0, 3);
  qb__layer_algorithm layers[16];
  qb__algorithms algorithms = {.layers = layers};
  assert_true(qb__session_get_algorithms(first, &algorithms));
  *said = '\0';
  static const qb_configuration one = {1, 1};
  assert_ok(qb__session_new(c.model, &one, &algorithms, NULL, &second));
  network_check_expect(&c, second, 0, 3);
  network_check_expect(&c, second, 0, 1);
  assert_string_equal(said, "");
  qb_session_unref(first);
  qb_session_unref(second);
  network_check_free(&c);
  qb_context_unref(context);
}

/* The batch size that was ready before stays so. */
static void a_fault_at_one_batch_size_is_found_at_it(void **state)
{
  (void)state;
  static const fault in_larger_batches = {.target = FAULTY_IMPLEMENTATION, .least_batch = 3};
  qb_context *context = new_context(&in_larger_batches);
  network_check c = make_network(context);
  qb_session *session = network_check_session(&c, 1, 1);
  network_check_expect(&c, session, 0, 1);
  assert_int_equal(findings_of(session).count, 0);
  network_check_expect(&c, session, 0, MOST_BATCH);
  assert_int_equal(findings_of(session).count, 2);
  network_check_expect(&c, session, 0, 1);
  qb_session_unref(session);
  network_check_free(&c);
  qb_context_unref(context);
}

static void changes_of_layout_and_packed_weights_are_checked(void **state)
{
  (void)state;
  qb_context *context = new_context(&in_changes);
  network_check c = make_network(context);
  qb_session *session = network_check_session(&c, 1, 2);
  network_check_expect(&c, session, 0, 3);
  assert_true(*said != '\0');
  qb_session_unref(session);
  network_check_free(&c);
  qb_context_unref(context);
}

static void a_layer_that_is_wrong_in_each_way_fails(void **state)
{
  (void)state;
  qb_context *context = new_context(&in_all_layers);
  network_check c = make_network(context);
  qb_session *session = network_check_session(&c, 1, 1);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(qb_session_prepare(session, 2, NULL), QB_ERROR_UNSUPPORTED);
    assert_non_null(strstr(qb_error_message(), "no implementation"));
  }
  qb_session_unref(session);
  network_check_free(&c);
  qb_context_unref(context);
}

static qb_status prepare_faulty(qb_context *context, void *user)
{
  (void)user;
  static const qb_configuration one = {1, 1};
  qb__graph graph;
  qb_model *model = NULL;
  qb_session *session = NULL;
  faulty_kernels_are(&in_first_layer);
  qb__graph_init(&graph, context);
  build(&graph, 2, 0);
  qb_status status = graph.status;
  if (status)
    qb__graph_clear(&graph);
  else
    status = qb__model_from_graph(&graph, "faulty", &model);
  if (!status)
    status = qb__session_new(model, &one, NULL, NULL, &session);
  if (!status)
    status = qb_session_prepare(session, 1, NULL);
  qb_session_unref(session);
  qb_model_unref(model);
  return status;
}

static void checks_survive_failing_allocations(void **state)
{
  (void)state;
  outlive_every_allocation_failure(prepare_faulty, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_right_network_is_checked_once_for_each_batch_size),
      cmocka_unit_test(a_wrong_implementation_is_passed_over_and_told),
      cmocka_unit_test(an_implementation_that_cannot_be_compiled_is_passed_over),
      cmocka_unit_test(a_wrong_implementation_on_bytes_is_passed_over),
      cmocka_unit_test(a_wrong_implementation_on_bfloat16_numbers_is_passed_over),
      cmocka_unit_test(what_was_passed_over_is_not_tried_again),
      cmocka_unit_test(a_fault_at_one_batch_size_is_found_at_it),
      cmocka_unit_test(changes_of_layout_and_packed_weights_are_checked),
      cmocka_unit_test(a_layer_that_is_wrong_in_each_way_fails),
      cmocka_unit_test(checks_survive_failing_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
