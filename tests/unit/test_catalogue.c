/* SPDX-License-Identifier: Apache-2.0 */
/* Catalogues: saved and loaded again, and every field refused when it is wrong. */
#include "support/failing_allocator.h"
#include "support/random_catalogue.h"
#include "support/scratch_folder.h"

#include <math.h>
#include <string.h>

static qb_context *context;
static scratch_folder folder;

static const char GOOD[] =
    "{\"format\": \"qosbatch-catalogue\", \"version\": 1, \"note\": \"\", \"currency\": \"USD\", "
    "\"types\": [{\"name\": \"a\", \"cpu\": \"\", \"vcpus\": 4, \"threads_per_core\": 2, "
    "\"memory_bytes\": 1024, \"compute_flops\": 1e11, \"memory_bytes_per_s\": 0, "
    "\"measured\": false, \"start_up_ms\": 0, \"interruptions_per_h\": 0, \"most_nodes\": 3, "
    "\"billing\": {\"kind\": \"time\", \"price_per_hour\": 0.1, \"granularity_ms\": 1000, "
    "\"minimum_ms\": 0}}]}";

static void assert_same(const qb_catalogue *a, const qb_catalogue *b)
{
  assert_int_equal(qb_catalogue_count(a), qb_catalogue_count(b));
  assert_string_equal(qb_catalogue_currency(a), qb_catalogue_currency(b));
  assert_string_equal(qb_catalogue_note(a), qb_catalogue_note(b));
  qb_node_type x = QB_NODE_TYPE_INIT, y = QB_NODE_TYPE_INIT;
  for (uint32_t i = 0; !qb_catalogue_get_type(a, i, &x); i++) {
    assert_ok(qb_catalogue_get_type(b, i, &y));
    assert_string_equal(x.name, y.name);
    assert_string_equal(x.cpu, y.cpu);
    x.name = y.name;
    x.cpu = y.cpu;
    assert_int_equal(x.vcpus, y.vcpus);
    assert_int_equal(x.threads_per_core, y.threads_per_core);
    assert_int_equal(x.memory_bytes, y.memory_bytes);
    assert_true(x.compute_flops == y.compute_flops);
    assert_true(x.memory_bytes_per_s == y.memory_bytes_per_s);
    assert_int_equal(x.measured, y.measured);
    assert_int_equal(x.start_up_ns, y.start_up_ns);
    assert_true(x.interruptions_per_h == y.interruptions_per_h);
    assert_int_equal(x.most_nodes, y.most_nodes);
    assert_int_equal(x.billing.kind, y.billing.kind);
    assert_true(x.billing.price_per_hour == y.billing.price_per_hour);
    assert_true(x.billing.price_per_gib_s == y.billing.price_per_gib_s);
    assert_true(x.billing.price_per_call == y.billing.price_per_call);
    assert_int_equal(x.billing.granularity_ns, y.billing.granularity_ns);
    assert_int_equal(x.billing.minimum_ns, y.billing.minimum_ns);
  }
}

static void test_round_trip(void **state)
{
  (void)state;
  uint64_t seed = 17;
  const scratch_path path = scratch_folder_path(&folder, "catalogue.json");
  for (int i = 0; i < 50; i++) {
    qb_catalogue *saved = random_catalogue(context, &seed, 20, 100), *loaded = NULL;
    assert_ok(qb_catalogue_save(saved, path.text));
    assert_ok(qb_catalogue_load(context, path.text, &loaded));
    assert_same(saved, loaded);
    qb_catalogue_unref(saved);
    qb_catalogue_unref(loaded);
  }
}

static void refuse(const char *text, qb_status expected, const char *message)
{
  const scratch_path path = scratch_folder_write_text(&folder, "bad.json", text);
  qb_catalogue *catalogue = NULL;
  assert_status(qb_catalogue_load(context, path.text, &catalogue), expected);
  assert_null(catalogue);
  assert_message(message);
}

/* GOOD with one text replaced. */
static void refuse_with(const char *from, const char *to, const char *message)
{
  char text[2048];
  const char *at = strstr(GOOD, from);
  assert_non_null(at);
  snprintf(text, sizeof text, "%.*s%s%s", (int)(at - GOOD), GOOD, to, at + strlen(from));
  refuse(text, QB_ERROR_FORMAT, message);
}

static void test_bad_files(void **state)
{
  (void)state;
  const scratch_path path = scratch_folder_write_text(&folder, "good.json", GOOD);
  qb_catalogue *catalogue = NULL;
  assert_ok(qb_catalogue_load(context, path.text, &catalogue));
  qb_node_type type = QB_NODE_TYPE_INIT;
  assert_ok(qb_catalogue_get_type(catalogue, 0, &type));
  assert_int_equal(qb_node_type_cores(&type), 2);
  assert_status(qb_catalogue_get_type(catalogue, 1, &type), QB_ERROR_NOT_FOUND);
  qb_catalogue_unref(catalogue);

  refuse_with("\"vcpus\": 4", "\"vcpus\": 0", "$.types[0].vcpus: 0 is outside");
  refuse_with("\"vcpus\": 4, ", "", "$.types[0].vcpus: this field is missing");
  refuse_with("\"threads_per_core\": 2", "\"threads_per_core\": 9", "threads_per_core");
  refuse_with("\"memory_bytes\": 1024", "\"memory_bytes\": -1", "memory_bytes");
  refuse_with("1e11", "-1", "compute_flops");
  refuse_with("1e11", "1e300", "compute_flops");
  refuse_with("\"memory_bytes_per_s\": 0", "\"memory_bytes_per_s\": null", "found null");
  refuse_with("false", "0", "expected true or false");
  refuse_with("\"start_up_ms\": 0", "\"start_up_ms\": 1.5", "expected an integer");
  refuse_with("\"interruptions_per_h\": 0", "\"interruptions_per_h\": 1001", "interruptions_per_h");
  refuse_with("\"most_nodes\": 3", "\"most_nodes\": 100001", "most_nodes");
  refuse_with("\"time\"", "\"gift\"", "'gift' is no kind of billing; expected time or calls");
  refuse_with("\"time\"", "\"calls\"", "price_per_gib_s: this field is missing");
  refuse_with("\"price_per_hour\": 0.1", "\"price_per_hour\": -0.1", "price_per_hour");
  refuse_with("\"granularity_ms\": 1000", "\"granularity_ms\": 0", "granularity_ms: 0 is outside");
  refuse_with("\"minimum_ms\": 0", "\"minimum_ms\": 0, \"x\": 1", "x: this field is not known");
  refuse_with("\"name\": \"a\"", "\"name\": \"\"", "types[0] (''): name must have 1..255");
  refuse_with("\"USD\"", "\"\"", "currency");
  refuse_with("qosbatch-catalogue", "qosbatch-profile", "is not 'qosbatch-catalogue'");
  refuse("{}", QB_ERROR_FORMAT, "format: this field is missing");
  refuse("[1", QB_ERROR_FORMAT, "not JSON");
}

static void test_names_are_different(void **state)
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
  /* A file holds whole milliseconds. */
  types[1].start_up_ns = 1;
  assert_ok(qb_catalogue_new(context, "USD", "", types, 3, &catalogue));
  const scratch_path path = scratch_folder_path(&folder, "never.json");
  assert_status(qb_catalogue_save(catalogue, path.text), QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_catalogue_load(context, path.text, &catalogue), QB_ERROR_IO);
  qb_catalogue_unref(catalogue);
}

static qb_status load_with(qb_context *failing, void *user)
{
  qb_catalogue *catalogue = NULL;
  const qb_status status = qb_catalogue_load(failing, user, &catalogue);
  qb_catalogue_unref(catalogue);
  return status;
}

static void test_no_memory(void **state)
{
  (void)state;
  scratch_path path = scratch_folder_write_text(&folder, "good.json", GOOD);
  assert_true(check_every_allocation_failure(load_with, path.text) >= 6);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_bad_files),
      cmocka_unit_test(test_names_are_different),
      cmocka_unit_test(test_no_memory),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  folder = scratch_folder_make();
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  scratch_folder_remove(&folder);
  qb_context_unref(context);
  return failed;
}
