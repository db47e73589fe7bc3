/* SPDX-License-Identifier: Apache-2.0 */
#include "model/onnx_wire.h"
#include "support/expect.h"
#include "support/onnx_model.h"

#include <stdlib.h>

static qb_status check(const uint8_t *data, size_t bytes)
{
  return qb__wire_check_depth(&onnx__model_proto__descriptor, data, bytes);
}

static void well_formed_models_pass(void **state)
{
  (void)state;
  Onnx__ModelProto *m = onnx_model_new(13);
  onnx_model_input(m, "x", "N,3");
  onnx_model_random(m, "c", "3");
  onnx_model_node(m, "Add", "x c", "y", "axis=1");
  size_t bytes;
  uint8_t *data = onnx_model_pack(m, &bytes);
  assert_ok(check(data, bytes));
  assert_ok(check(NULL, 0));
  free(data);
}

/* A graph in an attribute of a node in a graph, and so on: fields 7 (graph), 1, 5 and 6. */
static void nesting_is_limited(void **state)
{
  (void)state;
  static uint8_t data[100000];
  for (int levels = 1; levels < 5000; levels *= 3) {
    size_t at = sizeof data, length = 0;
    for (int i = levels; i-- > 0;) {
      const uint8_t tag = i == 0 ? 0x3a : i % 3 == 1 ? 0x0a : i % 3 == 2 ? 0x2a : 0x32;
      uint8_t varint[8];
      int n = 0;
      for (size_t v = length; n == 0 || v; v >>= 7)
        varint[n++] = (uint8_t)((v & 127) | (v > 127 ? 128 : 0));
      while (n > 0)
        data[--at] = varint[--n];
      data[--at] = tag;
      length = sizeof data - at;
    }
    const qb_status status = check(data + at, sizeof data - at);
    assert_int_equal(status, levels < 64 ? QB_OK : QB_ERROR_FORMAT);
    if (status)
      assert_message("nested more than 64 deep");
  }
}

static void lengths_beyond_the_end_are_refused(void **state)
{
  (void)state;
  static const uint8_t cases[][12] = {
      {2, 0x3a, 0x05}, /* a message of 5 bytes, none there */
      {2, 0x08, 0x80}, /* a number that does not end */
      {3, 0x0d, 1, 2}, /* four bytes, two there */
      {2, 0x09, 1},    /* eight bytes, one there */
      {1, 0x0b},       /* a group: proto2 had them once */
      {11, 0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, /* 2^64 - 1 bytes */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_status(check(cases[i] + 1, cases[i][0]), QB_ERROR_FORMAT);
    assert_message("this is not an ONNX model");
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(well_formed_models_pass),
      cmocka_unit_test(nesting_is_limited),
      cmocka_unit_test(lengths_beyond_the_end_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
