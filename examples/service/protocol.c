/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The batch, or 0 if the shape is not [batch, dims of the input]. */
static uint32_t batch_of(const json_t *shape, const qb_tensor_info *input, uint32_t most)
{
  if (!json_is_array(shape) || json_array_size(shape) != input->rank + 1u)
    return 0;
  for (uint32_t i = 0; i < input->rank; i++)
    if (json_integer_value(json_array_get(shape, i + 1)) != input->dims[i])
      return 0;
  const json_int_t batch = json_integer_value(json_array_get(shape, 0));
  return batch > 0 && batch <= most ? (uint32_t)batch : 0;
}

/* Copies the numbers of nested or flat arrays; returns how many, or more than `most`. */
static size_t copy_numbers(const json_t *data, float *to, size_t most)
{
  if (json_is_number(data)) {
    *to = (float)json_number_value(data);
    return 1;
  }
  size_t count = 0;
  for (size_t i = 0; i < json_array_size(data) && count <= most; i++) {
    const json_t *element = json_array_get(data, i);
    if (count == most || (!json_is_number(element) && !json_is_array(element)))
      return most + 1;
    count += copy_numbers(element, to + count, most - count);
  }
  return count;
}

static const char *read_tensor(const json_t *tensor, const char *binary, size_t binary_bytes,
                               const qb_tensor_info *input, uint32_t most, infer_request *r)
{
  const char *type = json_string_value(json_object_get(tensor, "datatype"));
  if (!type || strcmp(type, "FP32"))
    return "inputs[0].datatype: expected \"FP32\"";
  r->samples = batch_of(json_object_get(tensor, "shape"), input, most);
  if (!r->samples)
    return "inputs[0].shape: expected [samples, dimensions of the model's input]";
  const size_t elements = r->samples * input->elements_per_sample;
  const size_t bytes = elements * sizeof *r->numbers;
  const json_t *size = json_object_get(json_object_get(tensor, "parameters"), "binary_data_size");
  const json_t *data = json_object_get(tensor, "data");
  if (!size && !json_is_array(data))
    return "inputs[0]: expected \"data\", or \"parameters\": {\"binary_data_size\": ...}";
  if (size && (json_integer_value(size) != (json_int_t)bytes || binary_bytes != bytes))
    return "inputs[0].parameters.binary_data_size: expected 4 bytes for each element of the shape, "
           "and as many behind the JSON";
  if (size) {
    r->inputs = binary;
    return NULL;
  }
  r->inputs = r->numbers = malloc(bytes);
  if (!r->numbers)
    return "out of memory";
  return copy_numbers(data, r->numbers, elements) == elements
             ? NULL
             : "inputs[0].data: expected a number for each element of the shape";
}

/* The client may ask for a binary answer in general or for the output. */
static bool wants_binary(const json_t *root)
{
  const json_t *general =
      json_object_get(json_object_get(root, "parameters"), "binary_data_output");
  const json_t *output = json_array_get(json_object_get(root, "outputs"), 0);
  const json_t *own = json_object_get(json_object_get(output, "parameters"), "binary_data");
  return json_is_true(own ? own : general);
}

const char *protocol_read(const char *body, size_t bytes, size_t header_bytes,
                          const qb_tensor_info *input, uint32_t most_samples, infer_request *result)
{
  if (header_bytes > bytes)
    return "Inference-Header-Content-Length: longer than the body";
  const size_t json_bytes = header_bytes ? header_bytes : bytes;
  json_error_t where;
  json_t *root = json_loadb(body, json_bytes, 0, &where);
  if (!json_is_object(root)) {
    json_decref(root);
    return "the body: expected a JSON object";
  }
  infer_request r = {.binary_output = wants_binary(root)};
  const char *id = json_string_value(json_object_get(root, "id"));
  const json_t *inputs = json_object_get(root, "inputs");
  const char *problem = NULL;
  if (id && strlen(id) < sizeof r.id)
    strcpy(r.id, id);
  else if (id)
    problem = "id: expected at most 63 bytes";
  if (!problem && json_array_size(inputs) != 1)
    problem = "inputs: expected one tensor";
  if (!problem)
    problem = read_tensor(json_array_get(inputs, 0), body + json_bytes, bytes - json_bytes, input,
                          most_samples, &r);
  json_decref(root);
  if (problem)
    free(r.numbers);
  else
    *result = r;
  return problem;
}

static json_t *shape_of(int64_t batch, const qb_tensor_info *tensor)
{
  json_t *shape = json_array();
  json_array_append_new(shape, json_integer(batch));
  for (uint32_t i = 0; i < tensor->rank; i++)
    json_array_append_new(shape, json_integer(tensor->dims[i]));
  return shape;
}

static json_t *numbers_of(const float *values, size_t count)
{
  json_t *numbers = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(numbers, json_real(values[i]));
  return numbers;
}

char *protocol_write(const infer_request *request, const char *model, const qb_tensor_info *output,
                     const float *values, size_t *bytes, size_t *header_bytes)
{
  const size_t count = request->samples * output->elements_per_sample;
  const size_t binary_bytes = request->binary_output ? count * sizeof *values : 0;
  json_t *tensor = json_pack("{s:s, s:s, s:o}", "name", output->name ? output->name : "output",
                             "datatype", "FP32", "shape", shape_of(request->samples, output));
  if (request->binary_output)
    json_object_set_new(tensor, "parameters",
                        json_pack("{s:I}", "binary_data_size", (json_int_t)binary_bytes));
  else
    json_object_set_new(tensor, "data", numbers_of(values, count));
  json_t *root = json_pack("{s:s, s:[o]}", "model_name", model, "outputs", tensor);
  if (*request->id)
    json_object_set_new(root, "id", json_string(request->id));
  char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
  json_decref(root);
  if (!text || !request->binary_output) {
    *bytes = text ? strlen(text) : 0;
    *header_bytes = 0;
    return text;
  }
  *header_bytes = strlen(text);
  *bytes = *header_bytes + binary_bytes;
  char *all = malloc(*bytes);
  if (all) {
    memcpy(all, text, *header_bytes);
    memcpy(all + *header_bytes, values, binary_bytes);
  }
  free(text);
  return all;
}

char *protocol_metadata(const char *model, const qb_tensor_info *input,
                        const qb_tensor_info *output)
{
  json_t *root = json_pack(
      "{s:s, s:s, s:[{s:s, s:s, s:o}], s:[{s:s, s:s, s:o}]}", "name", model, "platform", "qosbatch",
      "inputs", "name", input->name ? input->name : "input", "datatype", "FP32", "shape",
      shape_of(-1, input), "outputs", "name", output->name ? output->name : "output", "datatype",
      "FP32", "shape", shape_of(-1, output));
  char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
  json_decref(root);
  return text;
}

char *protocol_error(const char *text)
{
  json_t *root = json_pack("{s:s}", "error", text);
  char *result = root ? json_dumps(root, JSON_COMPACT) : NULL;
  json_decref(root);
  return result;
}
