/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of an infer request: its JSON has as many bytes as the first byte says, all if that is 0. What
 * is accepted lies within the body and is answered with valid JSON.
 */
#include "fuzz/fuzz.h"
#include "protocol.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { MOST_SAMPLES = 8, OUTPUTS = 2 };

static const protocol_model model = {
    .name = "a \"model\"",
    .input = {.size = sizeof(qb_tensor_info),
              .name = "x",
              .rank = 2,
              .dims = {2, 2},
              .elements_per_sample = 4},
    .output = {.size = sizeof(qb_tensor_info),
               .name = "y",
               .rank = 1,
               .dims = {OUTPUTS},
               .elements_per_sample = OUTPUTS},
};

static void check_answer(const infer_request *r)
{
  const float values[MOST_SAMPLES * OUTPUTS] = {0.5F, -1e-30F, 3e38F};
  size_t bytes = 0, header_bytes = 0;
  problem why;
  char *text = protocol_write(&model, r, values, &bytes, &header_bytes, &why);
  FUZZ_EXPECT(text && (header_bytes != 0) == r->binary_output);
  json_t *root = json_loadb(text, header_bytes ? header_bytes : bytes, JSON_ALLOW_NUL, NULL);
  const json_t *id = json_object_get(root, "id");
  FUZZ_EXPECT(root && (id != NULL) == r->has_id);
  FUZZ_EXPECT(!id || (json_string_length(id) == r->id_bytes &&
                      !memcmp(json_string_value(id), r->id, r->id_bytes)));
  json_decref(root);
  free(text);
}

static void check_elements(const char *body, size_t bytes, const infer_request *r)
{
  const size_t needed = r->samples * model.input.elements_per_sample * sizeof(float);
  problem why;
  if (r->binary) {
    const size_t before = (size_t)((const char *)r->binary - body);
    FUZZ_EXPECT(before <= bytes && bytes - before == needed);
    return;
  }
  float *numbers = malloc(needed);
  FUZZ_EXPECT(numbers);
  if (protocol_read_numbers(&model, r, numbers, &why))
    for (size_t i = 0; i < needed / sizeof *numbers; i++)
      FUZZ_EXPECT(isfinite(numbers[i]));
  else
    FUZZ_EXPECT(why.status == 400 && *why.text);
  free(numbers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
  if (!bytes)
    return 0;
  /* Its end is that of its memory. */
  char *body = malloc(bytes - 1 ? bytes - 1 : 1);
  FUZZ_EXPECT(body);
  memcpy(body, data + 1, bytes - 1);
  infer_request r = {0};
  problem why = {0};
  if (!protocol_read(&model, body, bytes - 1, data[0], &r, &why)) {
    FUZZ_EXPECT(why.status == 400 && *why.text);
  } else if (r.samples <= MOST_SAMPLES) {
    check_elements(body, bytes - 1, &r);
    check_answer(&r);
  }
  free(body);
  return 0;
}
