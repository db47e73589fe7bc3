/* SPDX-License-Identifier: Apache-2.0 */
/* Top-1 answers of sessions, and how often they agree. */
#include "model/model_impl.h"
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/random.h"

#include <qosbatch/quantize.h>

#include <math.h>

enum { SAMPLES = 37, CLASSES = 5 };

static qb_context *context;

/* Its answers are those of the largest input; its second output is there to be written, too. */
static qb_model *largest_of(qb_context *with, int64_t classes)
{
  qb__graph g;
  qb__graph_init(&g, with);
  const int32_t x = qb__graph_input(&g, "x", 1, &classes);
  qb__graph_output(&g, qb__graph_activation(&g, "y", x, QB__ACTIVATION_LINEAR, 2, 1));
  qb__graph_output(&g, qb__graph_activation(&g, "z", x, QB__ACTIVATION_ABS, 0, 0));
  qb_model *model = NULL;
  return qb__model_from_graph(&g, "largest", &model) ? NULL : model;
}

static qb_status answer(qb_context *with, int64_t classes, const float *input, uint32_t *answers)
{
  const qb_configuration configuration = {1, 1};
  const void *const inputs[1] = {input};
  qb_model *model = largest_of(with, classes);
  qb_session *session = NULL;
  qb_status status =
      model ? qb_session_new(model, &configuration, NULL, &session) : QB_ERROR_NO_MEMORY;
  if (!status)
    status = qb_session_get_answers(session, SAMPLES, inputs, answers);
  qb_session_unref(session);
  qb_model_unref(model);
  return status;
}

/* Samples of which the largest element is known. */
static void draw(float input[SAMPLES * CLASSES], uint32_t expected[SAMPLES])
{
  uint64_t random = random_start();
  for (size_t i = 0; i < SAMPLES; i++) {
    for (size_t c = 0; c < CLASSES; c++)
      input[i * CLASSES + c] = (float)random_int(&random, 0, 3);
    expected[i] = (uint32_t)random_int(&random, 0, CLASSES - 1);
    for (size_t c = 0; c < CLASSES; c++)
      input[i * CLASSES + c] += c == expected[i] ? 5 : c > expected[i] ? 0.5f : 0;
  }
}

static void answers_are_the_largest_elements(void **state)
{
  (void)state;
  float input[SAMPLES * CLASSES];
  uint32_t expected[SAMPLES], answers[SAMPLES];
  draw(input, expected);
  for (size_t c = expected[3]; c < CLASSES; c++) /* of equals the first */
    input[3 * CLASSES + c] = input[3 * CLASSES + expected[3]];
  input[20 * CLASSES] = NAN;
  expected[20] = QB_NO_ANSWER;
  assert_ok(answer(context, CLASSES, input, answers));
  assert_memory_equal(answers, expected, sizeof answers);

  qb_agreement a = QB_AGREEMENT_INIT;
  assert_ok(qb_agreement_count(answers, expected, SAMPLES, &a));
  assert_int_equal(a.samples, SAMPLES);
  assert_int_equal(a.agreeing, SAMPLES - 1); /* no answer agrees with nothing */
}

static qb_status answer_once(qb_context *with, void *input)
{
  uint32_t answers[SAMPLES];
  return answer(with, CLASSES, input, answers);
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  float input[SAMPLES * CLASSES];
  uint32_t expected[SAMPLES];
  draw(input, expected);
  outlive_every_allocation_failure(answer_once, input);
}

static void outputs_without_a_largest_element_are_refused(void **state)
{
  (void)state;
  float input[SAMPLES] = {0};
  uint32_t answers[SAMPLES];
  assert_status(answer(context, 1, input, answers), QB_ERROR_UNSUPPORTED);
  assert_message("has 1 elements");
  assert_status(qb_session_get_answers(NULL, 1, NULL, NULL), QB_ERROR_INVALID_ARGUMENT);
}

/* The bounds are the shares that lie z deviations from what was counted. */
static void intervals_are_those_of_wilson(void **state)
{
  (void)state;
  uint64_t random = random_start();
  uint32_t answers[1000], expected[1000] = {0};
  for (int n = 0; n < 200; n++) {
    const uint64_t samples = random_int(&random, 1, 1000);
    const uint64_t agreeing = random_int(&random, 0, samples);
    for (uint64_t i = 0; i < samples; i++)
      answers[i] = i >= agreeing;
    qb_agreement a = QB_AGREEMENT_INIT;
    assert_ok(qb_agreement_count(answers, expected, samples, &a));
    const double bounds[2] = {a.low, a.high};
    for (int side = 0; side < 2; side++) {
      const double deviation = sqrt(bounds[side] * (1 - bounds[side]) / (double)samples);
      assert_true(fabs(fabs(a.share - bounds[side]) - 1.959963984540054 * deviation) < 1e-9);
    }
    assert_true(a.low <= a.share && a.share <= a.high && a.low >= 0 && a.high <= 1);
  }
  qb_agreement none = QB_AGREEMENT_INIT;
  assert_ok(qb_agreement_count(NULL, NULL, 0, &none));
  assert_true(none.share == 0 && none.low == 0 && none.high == 1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_are_the_largest_elements),
      cmocka_unit_test(every_allocation_may_fail),
      cmocka_unit_test(outputs_without_a_largest_element_are_refused),
      cmocka_unit_test(intervals_are_those_of_wilson),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
