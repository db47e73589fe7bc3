/* SPDX-License-Identifier: Apache-2.0 */
/* AlexNet and ResNet-50 at full size: outputs against plain loops, and the range of every layer. */
#include "support/networks.h"

#include <string.h>

static qb_context *context;

static void check_ranges(const qb__graph *graph, const qb__range *ranges)
{
  double least = 1e9, most = 0;
  for (size_t i = 0; i < graph->operator_count; i++) {
    const qb__operator *op = &graph->operators[i];
    const qb__range *r = &ranges[op->output];
    assert_int_equal(r->denormals, 0);
    assert_int_equal(r->not_finite, 0);
    if (op->kind == QB__OP_SOFTMAX)
      continue;
    if (r->deviation < 0.05 || r->deviation > 20)
      print_message("%s: deviation %g\n", op->name, r->deviation);
    assert_true(r->deviation >= 0.05 && r->deviation <= 20);
    least = fmin(least, r->deviation);
    most = fmax(most, r->deviation);
  }
  print_message("deviation of activations %.2f..%.2f\n", least, most);
}

static void compare(const char *name)
{
  qb_model *model;
  qb_session *session;
  assert_ok(qb_model_builtin(context, name, &model));
  qb__range *ranges = calloc(model->graph.tensor_count, sizeof *ranges);
  assert_non_null(ranges);
  expected e = expect(&model->graph, 3, ranges);
  check_ranges(&model->graph, ranges);
  assert_ok(qb_session_new(model, NULL, NULL, &session));
  run_and_compare(session, &e, 1);
  run_and_compare(session, &e, 3);
  qb_session_unref(session);
  forget(&e);
  free(ranges);
  qb_model_unref(model);
}

static void alexnet_computes_what_the_reference_does(void **state)
{
  (void)state;
  compare("alexnet");
}

static void resnet50_computes_what_the_reference_does(void **state)
{
  (void)state;
  compare("resnet50");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(alexnet_computes_what_the_reference_does),
      cmocka_unit_test(resnet50_computes_what_the_reference_does),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
