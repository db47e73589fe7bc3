/* SPDX-License-Identifier: Apache-2.0 */
/* Models and their data in files. */
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/onnx_model.h"
#include "support/scratch_folder.h"

#include <qosbatch/qosbatch.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static qb_context *context;
static scratch_folder folder;

static Onnx__StringStringEntryProto *entry(const char *key, const char *value)
{
  Onnx__StringStringEntryProto *made = calloc(1, sizeof *made);
  assert_non_null(made);
  onnx__string_string_entry_proto__init(made);
  made->key = strdup(key);
  made->value = strdup(value);
  return made;
}

/* y = x + c, with the three values of c in a file. NULL: in the model. */
static Onnx__ModelProto *model_with_data(const char *location, const char *offset)
{
  static const float values[3] = {1, 2, 3};
  Onnx__ModelProto *m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  Onnx__TensorProto *t = onnx_model_floats(m, "c", "3", values);
  if (location) {
    t->has_raw_data = 0;
    t->raw_data.len = 0;
    t->has_data_location = 1;
    t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    t->external_data = calloc(3, sizeof *t->external_data);
    assert_non_null(t->external_data);
    t->external_data[t->n_external_data++] = entry("location", location);
    t->external_data[t->n_external_data++] = entry("offset", offset);
    t->external_data[t->n_external_data++] = entry("length", "12");
  }
  onnx_model_node(m, "Add", "x c", "y", "");
  onnx_model_output(m, "y");
  return m;
}

static void write_file(const char *path, const void *data, size_t bytes)
{
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, bytes, file), bytes);
  assert_int_equal(fclose(file), 0);
}

/* Writes the model into the folder and loads it from there. */
static qb_status load(Onnx__ModelProto *proto, qb_model **model)
{
  char path[4200];
  size_t bytes;
  uint8_t *data = onnx_model_pack(proto, &bytes);
  snprintf(path, sizeof path, "%s/models/add.onnx", folder.path);
  write_file(path, data, bytes);
  free(data);
  return qb_model_load_onnx(context, path, model);
}

static void a_model_is_named_like_its_file(void **state)
{
  (void)state;
  qb_model *model = NULL;
  qb_model_info info = QB_MODEL_INFO_INIT;
  assert_ok(load(model_with_data(NULL, NULL), &model));
  assert_ok(qb_model_get_info(model, &info));
  assert_string_equal(info.name, "add.onnx");
  qb_model_unref(model);
}

static void data_may_lie_beside_the_model(void **state)
{
  (void)state;
  qb_model *model = NULL;
  assert_ok(load(model_with_data("weights.bin", "8"), &model));
  qb_model_unref(model);
  assert_ok(load(model_with_data("./weights.bin", "0"), &model));
  qb_model_unref(model);
  model = NULL;
  assert_status(load(model_with_data("weights.bin", "12"), &model), QB_ERROR_FORMAT);
  assert_message("does not have 12 bytes at offset 12");
  assert_status(load(model_with_data("weights.bin", "18446744073709551615"), &model),
                QB_ERROR_FORMAT);
  assert_status(load(model_with_data("none.bin", "0"), &model), QB_ERROR_IO);
  assert_message("none.bin");
  assert_message("No such file");
  assert_null(model);
}

static void data_must_stay_in_the_folder(void **state)
{
  (void)state;
  char outside[4200];
  snprintf(outside, sizeof outside, "%s/outside.bin", folder.path);
  const char *const locations[] = {"../outside.bin", "link.bin", "sub/../../outside.bin", outside};
  qb_model *model = NULL;
  for (size_t i = 0; i < sizeof locations / sizeof *locations; i++) {
    assert_status(load(model_with_data(locations[i], "0"), &model), QB_ERROR_FORMAT);
    assert_message("outside the model's folder");
  }
  assert_null(model);
}

static void offsets_must_be_numbers(void **state)
{
  (void)state;
  static const char *const offsets[] = {"0x4", "", "-4", " 4", "4 ", "18446744073709551616"};
  qb_model *model = NULL;
  for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
    assert_status(load(model_with_data("weights.bin", offsets[i]), &model), QB_ERROR_FORMAT);
    assert_message("the offset of its data is '");
  }
  assert_null(model);
}

static void link_to(const char *target, const char *name)
{
  assert_int_equal(symlink(target, scratch_folder_path(&folder, name).text), 0);
}

/* As stores of models have them: files by their hash, and links of readable names to them. */
static void models_and_data_may_lie_behind_links(void **state)
{
  (void)state;
  static const float values[3] = {1, 2, 3};
  size_t bytes;
  qb_model *model = NULL;
  uint8_t *data = onnx_model_pack(model_with_data("add.data", "0"), &bytes);
  scratch_folder_write(&folder, "store/blobs/a1", data, bytes);
  scratch_folder_write(&folder, "store/blobs/b2", values, sizeof values);
  scratch_folder_write(&folder, "store/names/v1/note", "", 0);
  link_to("../../blobs/a1", "store/names/v1/add.onnx");
  link_to("../../blobs/b2", "store/names/v1/add.data");
  assert_ok(qb_model_load_onnx(
      context, scratch_folder_path(&folder, "store/names/v1/add.onnx").text, &model));
  qb_model_unref(model);
  /* The model alone is linked to; its data lies beside the real file. */
  scratch_folder_write(&folder, "real/add.onnx", data, bytes);
  scratch_folder_write(&folder, "real/add.data", values, sizeof values);
  link_to("real/add.onnx", "linked.onnx");
  assert_ok(qb_model_load_onnx(context, scratch_folder_path(&folder, "linked.onnx").text, &model));
  qb_model_unref(model);
  /* Data that a link fetches from anywhere else is refused. */
  model = NULL;
  scratch_folder_write(&folder, "other/add.onnx", data, bytes);
  link_to("../real/add.data", "other/add.data");
  assert_status(
      qb_model_load_onnx(context, scratch_folder_path(&folder, "other/add.onnx").text, &model),
      QB_ERROR_FORMAT);
  assert_message("real/add.data', which is outside the model's folder");
  assert_null(model);
  free(data);
}

static void pipes_and_devices_are_refused(void **state)
{
  (void)state;
  qb_model *model = NULL;
  assert_int_equal(mkfifo(scratch_folder_path(&folder, "models/pipe").text, 0600), 0);
  assert_status(load(model_with_data("pipe", "0"), &model), QB_ERROR_FORMAT);
  assert_message("is not a regular file");
  assert_status(
      qb_model_load_onnx(context, scratch_folder_path(&folder, "models/pipe").text, &model),
      QB_ERROR_IO);
  assert_message("it is a pipe or a device");
  assert_status(qb_model_load_onnx(context, "/dev/zero", &model), QB_ERROR_IO);
  assert_null(model);
}

static void files_that_are_not_models_are_refused(void **state)
{
  (void)state;
  qb_model *model = NULL;
  char path[4200];
  snprintf(path, sizeof path, "%s/none.onnx", folder.path);
  assert_status(qb_model_load_onnx(context, path, &model), QB_ERROR_IO);
  assert_message("none.onnx");
  assert_status(qb_model_load_onnx(context, folder.path, &model), QB_ERROR_IO);
  write_file(path, "not a model", 11);
  assert_status(qb_model_load_onnx(context, path, &model), QB_ERROR_FORMAT);
  assert_message("none.onnx': byte ");
  write_file(path, "", 0);
  assert_status(qb_model_load_onnx(context, path, &model), QB_ERROR_FORMAT);
  assert_status(qb_model_load_onnx(NULL, path, &model), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_model_load_onnx(context, NULL, &model), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_model_load_onnx(context, path, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_null(model);
}

/* Every beginning of a model is refused, and none is taken for another. */
static void truncated_models_are_refused(void **state)
{
  (void)state;
  size_t bytes;
  uint8_t *data = onnx_model_pack(model_with_data(NULL, NULL), &bytes);
  char path[4200];
  snprintf(path, sizeof path, "%s/cut.onnx", folder.path);
  for (size_t n = 0; n < bytes; n++) {
    qb_model *model = NULL;
    write_file(path, data, n);
    const qb_status status = qb_model_load_onnx(context, path, &model);
    assert_true(status == QB_ERROR_FORMAT || status == QB_ERROR_UNSUPPORTED);
    assert_null(model);
  }
  free(data);
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  qb_context *whole = context;
  for (long n = 1;; n++) {
    failing_allocator allocator = {0};
    context = failing_allocator_context(&allocator);
    allocator.fail_at = atomic_load(&allocator.requests) + n;
    qb_model *model = NULL;
    const qb_status status = load(model_with_data("weights.bin", "0"), &model);
    const bool failed = atomic_load(&allocator.requests) >= allocator.fail_at;
    assert_int_equal(status, failed ? QB_ERROR_NO_MEMORY : QB_OK);
    qb_model_unref(model);
    qb_context_unref(context);
    assert_int_equal(atomic_load(&allocator.live), 0);
    if (!failed)
      break;
  }
  context = whole;
}

static int set_up(void **state)
{
  (void)state;
  static const float values[5] = {7, 8, 9, 10, 11};
  char path[4200], target[4200];
  folder = scratch_folder_make();
  snprintf(path, sizeof path, "%s/models", folder.path);
  assert_int_equal(mkdir(path, 0700), 0);
  snprintf(path, sizeof path, "%s/models/sub", folder.path);
  assert_int_equal(mkdir(path, 0700), 0);
  snprintf(path, sizeof path, "%s/models/weights.bin", folder.path);
  write_file(path, values, sizeof values);
  snprintf(target, sizeof target, "%s/outside.bin", folder.path);
  write_file(target, values, sizeof values);
  snprintf(path, sizeof path, "%s/models/link.bin", folder.path);
  assert_int_equal(symlink(target, path), 0);
  return qb_context_new(NULL, &context) ? -1 : 0;
}

static int tear_down(void **state)
{
  (void)state;
  qb_context_unref(context);
  scratch_folder_remove(&folder);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_model_is_named_like_its_file),
      cmocka_unit_test(data_may_lie_beside_the_model),
      cmocka_unit_test(data_must_stay_in_the_folder),
      cmocka_unit_test(offsets_must_be_numbers),
      cmocka_unit_test(models_and_data_may_lie_behind_links),
      cmocka_unit_test(pipes_and_devices_are_refused),
      cmocka_unit_test(files_that_are_not_models_are_refused),
      cmocka_unit_test(truncated_models_are_refused),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
