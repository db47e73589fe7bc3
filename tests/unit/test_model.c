/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model_impl.h"

#include "support/expect.h"
#include "support/failing_allocator.h"

#include <qosbatch/inspect.h>

#include <math.h>

static int set_up(void **state)
{
  qb_context *context;
  if (qb_context_new(NULL, &context))
    return -1;
  *state = context;
  return 0;
}

static int tear_down(void **state)
{
  qb_context_unref(*state);
  return 0;
}

static void check_builtin(qb_context *context, const char *name, double flops, uint64_t least,
                          uint64_t most, int64_t image)
{
  qb_model *model;
  assert_ok(qb_model_builtin(context, name, &model));
  qb_model_info info = QB_MODEL_INFO_INIT;
  assert_ok(qb_model_get_info(model, &info));
  assert_string_equal(info.name, name);
  assert_true(fabs(info.flops_per_sample / flops - 1) <= 0.01);
  assert_in_range(info.weight_bytes, least * 4, most * 4);
  assert_int_equal(info.inputs, 1);
  assert_int_equal(info.outputs, 1);

  qb_tensor_info tensor = QB_TENSOR_INFO_INIT;
  assert_ok(qb_model_get_input(model, 0, &tensor));
  assert_int_equal(tensor.rank, 3);
  assert_int_equal(tensor.dims[0], 3);
  assert_int_equal(tensor.dims[1], image);
  assert_int_equal(tensor.dims[2], image);
  assert_int_equal(tensor.elements_per_sample, 3 * image * image);
  assert_ok(qb_model_get_output(model, 0, &tensor));
  assert_int_equal(tensor.rank, 1);
  assert_int_equal(tensor.dims[0], 1000);
  assert_status(qb_model_get_input(model, 1, &tensor), QB_ERROR_NOT_FOUND);
  assert_status(qb_model_get_output(model, 1, &tensor), QB_ERROR_NOT_FOUND);

  double sum = 0;
  uint64_t weight_bytes = 0;
  qb_operator_info op = QB_OPERATOR_INFO_INIT;
  for (uint32_t i = 0; i < info.operators; i++) {
    assert_ok(qb_model_get_operator(model, i, &op));
    assert_string_not_equal(op.kind, "batch_norm");
    sum += op.flops_per_sample;
    weight_bytes += op.weight_bytes;
  }
  assert_true(fabs(sum / info.flops_per_sample - 1) < 1e-9);
  assert_int_equal(weight_bytes, info.weight_bytes);
  assert_status(qb_model_get_operator(model, info.operators, &op), QB_ERROR_NOT_FOUND);
  qb_model_unref(model);
}

static void alexnet_has_its_parameters_and_flops(void **state)
{
  check_builtin(*state, "alexnet", 1.45e9, 60900000, 61100000, 227);
}

static void resnet50_has_its_parameters_and_flops(void **state)
{
  check_builtin(*state, "resnet50", 8.2e9, 25500000, 25600000, 224);
}

static void unknown_name_lists_the_names(void **state)
{
  qb_model *model = NULL;
  assert_status(qb_model_builtin(*state, "vgg16", &model), QB_ERROR_NOT_FOUND);
  assert_message("'vgg16'");
  assert_message("'alexnet'");
  assert_message("'resnet50'");
  assert_status(qb_model_builtin(*state, NULL, &model), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_model_builtin(NULL, "alexnet", &model), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_model_builtin(*state, "alexnet", NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_null(model);
}

static int run(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
               void *const *outputs)
{
  (void)user, (void)instance, (void)batch, (void)inputs, (void)outputs;
  return 0;
}

static qb_workload valid_workload(void)
{
  qb_workload workload = QB_WORKLOAD_INIT;
  workload.name = "mine";
  workload.run = run;
  workload.flops_per_sample = 5e9;
  workload.bytes_per_sample = 7;
  workload.weight_bytes = 9;
  return workload;
}

static void a_workload_is_copied(void **state)
{
  char name[] = "mine";
  qb_workload workload = valid_workload();
  workload.name = name;
  qb_model *model;
  assert_ok(qb_model_from_workload(*state, &workload, &model));
  name[0] = 'x'; /* it was copied */
  qb_model_info info = QB_MODEL_INFO_INIT;
  assert_ok(qb_model_get_info(model, &info));
  assert_string_equal(info.name, "mine");
  assert_true(info.flops_per_sample == 5e9);
  assert_int_equal(info.weight_bytes, 9);
  assert_int_equal(info.inputs, 0);
  assert_int_equal(info.outputs, 0);
  assert_int_equal(info.operators, 0);
  qb_tensor_info tensor = QB_TENSOR_INFO_INIT;
  assert_status(qb_model_get_input(model, 0, &tensor), QB_ERROR_NOT_FOUND);
  assert_status(qb_model_get_output(model, 0, &tensor), QB_ERROR_NOT_FOUND);
  qb_model_unref(model);
}

static void wrong_workloads_are_refused(void **state)
{
  qb_workload wrong[7];
  for (int i = 0; i < 7; i++)
    wrong[i] = valid_workload();
  wrong[0].name = NULL;
  wrong[1].name = "";
  wrong[2].run = NULL;
  wrong[3].flops_per_sample = -1;
  wrong[4].flops_per_sample = NAN;
  wrong[5].bytes_per_sample = INFINITY;
  wrong[6].size = 8;
  qb_model *model = NULL;
  for (int i = 0; i < 7; i++)
    assert_status(qb_model_from_workload(*state, &wrong[i], &model), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_model_from_workload(*state, NULL, &model), QB_ERROR_INVALID_ARGUMENT);
  assert_null(model);
}

static void structs_of_a_wrong_size_are_not_filled(void **state)
{
  const qb_workload workload = valid_workload();
  qb_model *model;
  assert_ok(qb_model_from_workload(*state, &workload, &model));
  qb_model_info info = {.size = 3, .inputs = 77};
  assert_status(qb_model_get_info(model, &info), QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(info.inputs, 77);
  assert_status(qb_model_get_info(model, NULL), QB_ERROR_INVALID_ARGUMENT);
  info.size = sizeof info;
  assert_status(qb_model_get_info(NULL, &info), QB_ERROR_INVALID_ARGUMENT);
  qb_model_unref(model);
}

static void a_model_lives_until_its_last_reference(void **state)
{
  (void)state;
  failing_allocator allocator = {0};
  qb_context *context = failing_allocator_context(&allocator);
  const qb_workload workload = valid_workload();
  qb_model *model;
  assert_ok(qb_model_from_workload(context, &workload, &model));
  qb_context_unref(context); /* the model has its own */
  assert_ptr_equal(qb_model_ref(model), model);
  qb_model_unref(model);
  qb_model_info info = QB_MODEL_INFO_INIT;
  assert_ok(qb_model_get_info(model, &info));
  qb_model_unref(model);
  assert_int_equal(atomic_load(&allocator.live), 0);
  qb_model_unref(NULL);
  assert_null(qb_model_ref(NULL));
}

static qb_status make_workload(qb_context *context, void *user)
{
  (void)user;
  const qb_workload workload = valid_workload();
  qb_model *model = NULL;
  const qb_status status = qb_model_from_workload(context, &workload, &model);
  qb_model_unref(model);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  assert_int_equal(check_every_allocation_failure(make_workload, NULL), 2);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(alexnet_has_its_parameters_and_flops, set_up, tear_down),
      cmocka_unit_test_setup_teardown(resnet50_has_its_parameters_and_flops, set_up, tear_down),
      cmocka_unit_test_setup_teardown(unknown_name_lists_the_names, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_workload_is_copied, set_up, tear_down),
      cmocka_unit_test_setup_teardown(wrong_workloads_are_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(structs_of_a_wrong_size_are_not_filled, set_up, tear_down),
      cmocka_unit_test(a_model_lives_until_its_last_reference),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
