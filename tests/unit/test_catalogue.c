/* SPDX-License-Identifier: Apache-2.0 */
/* Catalogues: every field is read, and refused when it is wrong. */
#include "support/failing_allocator.h"
#include "support/random_catalogue.h"
#include "support/scratch_folder.h"

#include <qosbatch/catalogue.h>

#include <math.h>
#include <string.h>

static qb_context *context;
static scratch_folder folder;

static const char GOOD[] =
    "{\"format\": \"qosbatch-catalogue\", \"version\": 1, \"note\": \"illustration\", "
    "\"currency\": \"USD\", "
    "\"types\": [{\"name\": \"a\", \"cpu\": \"Some CPU\", \"vcpus\": 4, \"threads_per_core\": 2, "
    "\"isa\": \"avx512\", \"memory_bytes\": 1024, \"compute_flops\": 1e11, "
    "\"memory_bytes_per_s\": 2e10, \"measured\": false, \"start_up_ms\": 40, "
    "\"interruptions_per_h\": 0.5, \"max_nodes\": 3, "
    "\"billing\": {\"kind\": \"time\", \"price_per_hour\": 0.1, \"granularity_ms\": 1000, "
    "\"minimum_ms\": 60000}}]}";

static void a_file_gives_all_fields(void **state)
{
  (void)state;
  const scratch_path path = scratch_folder_write_text(&folder, "good.json", GOOD);
  qb_catalogue *catalogue = NULL;
  assert_ok(qb_catalogue_load(context, path.text, &catalogue));
  qb_catalogue_info info = QB_CATALOGUE_INFO_INIT;
  assert_ok(qb_catalogue_get_info(catalogue, &info));
  assert_int_equal(info.types, 1);
  assert_string_equal(info.currency, "USD");
  assert_string_equal(info.note, "illustration");
  qb_node_type t = QB_NODE_TYPE_INIT;
  assert_ok(qb_catalogue_get_type(catalogue, 0, &t));
  assert_string_equal(t.name, "a");
  assert_string_equal(t.cpu, "Some CPU");
  assert_int_equal(t.vcpus, 4);
  assert_int_equal(t.threads_per_core, 2);
  assert_int_equal(t.isa, QB_ISA_AVX512);
  assert_int_equal(t.memory_bytes, 1024);
  assert_true(t.compute_flops_per_s == 1e11 && t.memory_bytes_per_s == 2e10);
  assert_false(t.measured);
  assert_int_equal(t.start_up_ns, 40000000);
  assert_true(t.interruptions_per_h == 0.5);
  assert_int_equal(t.max_nodes, 3);
  assert_int_equal(t.billing.kind, QB_BILLING_TIME);
  assert_true(t.billing.price_per_hour == 0.1);
  assert_int_equal(t.billing.granularity_ns, 1000000000);
  assert_int_equal(t.billing.minimum_ns, 60000000000);
  assert_status(qb_catalogue_get_type(catalogue, 1, &t), QB_ERROR_NOT_FOUND);
  assert_status(qb_catalogue_get_info(NULL, &info), QB_ERROR_INVALID_ARGUMENT);
  qb_catalogue_unref(catalogue);
}

/* GOOD with one text replaced. */
static void replace(char *text, size_t bytes, const char *from, const char *to)
{
  const char *at = strstr(GOOD, from);
  assert_non_null(at);
  snprintf(text, bytes, "%.*s%s%s", (int)(at - GOOD), GOOD, to, at + strlen(from));
}

static void a_type_may_be_billed_by_calls(void **state)
{
  (void)state;
  char text[2048];
  replace(text, sizeof text, "\"time\", \"price_per_hour\": 0.1",
          "\"calls\", \"price_per_gib_s\": 2e-5, \"price_per_call\": 3e-7");
  const scratch_path path = scratch_folder_write_text(&folder, "calls.json", text);
  qb_catalogue *catalogue = NULL;
  assert_ok(qb_catalogue_load(context, path.text, &catalogue));
  qb_node_type t = QB_NODE_TYPE_INIT;
  assert_ok(qb_catalogue_get_type(catalogue, 0, &t));
  assert_int_equal(t.billing.kind, QB_BILLING_CALLS);
  assert_true(t.billing.price_per_gib_s == 2e-5 && t.billing.price_per_call == 3e-7);
  assert_true(t.billing.price_per_hour == 0);
  assert_int_equal(t.billing.granularity_ns, 1000000000);
  assert_int_equal(t.billing.minimum_ns, 60000000000);
  qb_catalogue_unref(catalogue);
}

static void refuse(const char *text, qb_status expected, const char *message)
{
  const scratch_path path = scratch_folder_write_text(&folder, "bad.json", text);
  qb_catalogue *catalogue = NULL;
  assert_status(qb_catalogue_load(context, path.text, &catalogue), expected);
  assert_null(catalogue);
  assert_message(message);
}

static void refuse_with(const char *from, const char *to, const char *message)
{
  char text[2048];
  replace(text, sizeof text, from, to);
  refuse(text, QB_ERROR_FORMAT, message);
}

static void a_bad_field_is_refused_by_name(void **state)
{
  (void)state;
  refuse_with("\"vcpus\": 4", "\"vcpus\": 0", "$.types[0].vcpus: 0 is outside");
  refuse_with("\"vcpus\": 4, ", "", "$.types[0].vcpus: this field is missing");
  refuse_with("\"threads_per_core\": 2", "\"threads_per_core\": 9", "threads_per_core");
  refuse_with("\"memory_bytes\": 1024", "\"memory_bytes\": -1", "memory_bytes");
  refuse_with("1e11", "-1", "compute_flops");
  refuse_with("1e11", "1e300", "compute_flops");
  refuse_with("\"memory_bytes_per_s\": 2e10", "\"memory_bytes_per_s\": null", "found null");
  refuse_with("avx512", "avx1024", "unknown instruction set 'avx1024'");
  refuse_with("false", "0", "expected true or false");
  refuse_with("\"start_up_ms\": 40", "\"start_up_ms\": 1.5", "expected an integer");
  refuse_with("\"interruptions_per_h\": 0.5", "\"interruptions_per_h\": 1001",
              "interruptions_per_h");
  refuse_with("\"max_nodes\": 3", "\"max_nodes\": 100001", "max_nodes");
  refuse_with("\"time\"", "\"gift\"", "unknown kind of billing 'gift'; expected time or calls");
  refuse_with("\"time\"", "\"calls\"", "price_per_gib_s: this field is missing");
  refuse_with("\"price_per_hour\": 0.1", "\"price_per_hour\": -0.1", "price_per_hour");
  refuse_with("\"granularity_ms\": 1000", "\"granularity_ms\": 0", "granularity_ms: 0 is outside");
  refuse_with("\"minimum_ms\": 60000", "\"minimum_ms\": 0, \"x\": 1", "x: unknown field");
  refuse_with("\"name\": \"a\"", "\"name\": \"\"", "types[0] (''): name must have 1..255");
  refuse_with("\"USD\"", "\"\"", "currency");
  refuse_with("qosbatch-catalogue", "qosbatch-profile", "is not 'qosbatch-catalogue'");
  refuse("{}", QB_ERROR_FORMAT, "format: this field is missing");
  refuse("[1", QB_ERROR_FORMAT, "not JSON");
}

static void bad_types_are_refused(void **state)
{
  (void)state;
  qb_node_type types[3] = {QB_NODE_TYPE_INIT, QB_NODE_TYPE_INIT, QB_NODE_TYPE_INIT};
  types[0].name = types[2].name = "twin";
  types[1].name = "other";
  types[0].memory_bytes = types[1].memory_bytes = types[2].memory_bytes = 1;
  qb_catalogue *catalogue = NULL;
  assert_status(qb_catalogue_new(context, "USD", "", types, 3, &catalogue),
                QB_ERROR_INVALID_ARGUMENT);
  assert_message("two types are named 'twin'");
  types[2].name = "third";
  types[1].billing.price_per_hour = NAN;
  assert_status(qb_catalogue_new(context, "USD", "", types, 3, &catalogue),
                QB_ERROR_INVALID_ARGUMENT);
  assert_message("types[1] ('other')");
  types[1].billing.price_per_hour = 1;
  types[1].billing.price_per_call = 1;
  assert_status(qb_catalogue_new(context, "USD", "", types, 3, &catalogue),
                QB_ERROR_INVALID_ARGUMENT);
  assert_message("a price of the other kind");
  types[1].billing.price_per_call = 0;
  types[1].billing.reserved[3] = 1;
  assert_status(qb_catalogue_new(context, "USD", "", types, 3, &catalogue),
                QB_ERROR_INVALID_ARGUMENT);
  assert_message("billing.reserved");
  types[1].billing.reserved[3] = 0;
  assert_null(catalogue);
  const scratch_path path = scratch_folder_path(&folder, "never.json");
  assert_status(qb_catalogue_load(context, path.text, &catalogue), QB_ERROR_IO);
}

/* As a host with a newer header has them. */
static void types_are_walked_by_the_size_of_their_elements(void **state)
{
  (void)state;
  static const char *const names[3] = {"a", "b", "c"};
  struct {
    qb_node_type type;
    uint64_t newer;
  } types[3];
  for (uint32_t i = 0; i < 3; i++) {
    types[i].type = (qb_node_type)QB_NODE_TYPE_INIT;
    types[i].type.size = sizeof types[i];
    types[i].type.name = names[i];
    types[i].type.memory_bytes = 1 + i;
    types[i].newer = 0;
  }
  qb_catalogue *catalogue;
  assert_ok(qb_catalogue_new(context, "USD", "", &types[0].type, 3, &catalogue));
  for (uint32_t i = 0; i < 3; i++) {
    qb_node_type t = QB_NODE_TYPE_INIT;
    assert_ok(qb_catalogue_get_type(catalogue, i, &t));
    assert_string_equal(t.name, names[i]);
    assert_int_equal(t.memory_bytes, 1 + i);
  }
  qb_catalogue_unref(catalogue);
  types[2].newer = 1;
  assert_status(qb_catalogue_new(context, "USD", "", &types[0].type, 3, &catalogue),
                QB_ERROR_INVALID_ARGUMENT);
}

static qb_status load_with(qb_context *failing, void *user)
{
  qb_catalogue *catalogue = NULL;
  const qb_status status = qb_catalogue_load(failing, user, &catalogue);
  qb_catalogue_unref(catalogue);
  return status;
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  scratch_path path = scratch_folder_write_text(&folder, "good.json", GOOD);
  assert_true(check_every_allocation_failure(load_with, path.text) >= 6);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_gives_all_fields),
      cmocka_unit_test(a_type_may_be_billed_by_calls),
      cmocka_unit_test(a_bad_field_is_refused_by_name),
      cmocka_unit_test(bad_types_are_refused),
      cmocka_unit_test(types_are_walked_by_the_size_of_their_elements),
      cmocka_unit_test(every_allocation_may_fail),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  folder = scratch_folder_make();
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  scratch_folder_remove(&folder);
  qb_context_unref(context);
  return failed;
}
