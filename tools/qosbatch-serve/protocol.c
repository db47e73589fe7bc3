/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_KEYS = 8, MOST_INTEGER_DIGITS = 15 };

typedef struct parser {
  json_reader r;
  const protocol_model *model;
  infer_request *request;
  problem *problem;
  size_t binary_bytes; /* behind the JSON */
  /* Of the input's tensor. */
  bool has_data, has_binary_size;
  uint64_t binary_size;
  int64_t shape[QB_MAX_DIMS + 1];
  bool binary_by_default, has_own_binary, own_binary;
} parser;

bool refuse(problem *p, unsigned status, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  p->status = status;
  const int bytes = vsnprintf(p->text, sizeof p->text, format, args);
  va_end(args);
  if (bytes >= (int)sizeof p->text) /* not in the middle of a character */
    for (size_t last = sizeof p->text - 2; p->text[last] & 0x80; last--)
      p->text[last] = 0;
  return false;
}

static bool broken(parser *p)
{
  return refuse(p->problem, 400, "the body, byte %zu: %s", p->r.at, p->r.problem);
}

/*
 * Goes on to the next of `keys` in an object and returns its index; others are skipped. -1: the end
 * of the object; -2: refused. `where` is the object's place for messages.
 */
static int next_key(parser *p, const char *where, const char *const *keys, uint32_t *seen)
{
  for (;;) {
    json_token token = reader_next(&p->r);
    if (token == TOKEN_OBJECT_END)
      return -1;
    if (token != TOKEN_KEY)
      return broken(p), -2;
    int found = 0;
    while (keys[found] && !reader_is(&p->r, keys[found]))
      found++;
    if (keys[found] && *seen & 1u << found)
      return refuse(p->problem, 400, "%s%s: given twice", where, keys[found]), -2;
    if (keys[found]) {
      *seen |= 1u << found;
      return found;
    }
    if (!reader_skip(&p->r, reader_next(&p->r)))
      return broken(p), -2;
  }
}

/* The next value has this type. */
static bool expect(parser *p, json_token type, const char *where, const char *what)
{
  const json_token token = reader_next(&p->r);
  if (token == TOKEN_BAD)
    return broken(p);
  return token == type || refuse(p->problem, 400, "%s: expected %s", where, what);
}

static bool read_bool(parser *p, bool *value, const char *where)
{
  const json_token token = reader_next(&p->r);
  if (token == TOKEN_BAD)
    return broken(p);
  *value = token == TOKEN_TRUE;
  return token == TOKEN_TRUE || token == TOKEN_FALSE ||
         refuse(p->problem, 400, "%s: expected true or false", where);
}

/* Digits only: what the protocol counts is not negative. */
static bool read_integer(parser *p, uint64_t *value, const char *where)
{
  if (!expect(p, TOKEN_NUMBER, where, "an integer"))
    return false;
  const bool is_plain = p->r.token_bytes <= MOST_INTEGER_DIGITS &&
                        strspn(p->r.token, "0123456789") >= p->r.token_bytes;
  *value = is_plain ? (uint64_t)p->r.number : 0;
  return is_plain ||
         refuse(p->problem, 400, "%s: expected an integer from 0 to 10^15, found %.*s", where,
                (int)(p->r.token_bytes < 40 ? p->r.token_bytes : 40), p->r.token);
}

static bool read_id(parser *p)
{
  if (!expect(p, TOKEN_STRING, "id", "a string"))
    return false;
  infer_request *r = p->request;
  r->has_id = true;
  r->id_bytes = reader_copy(&p->r, r->id, sizeof r->id);
  return r->id_bytes != SIZE_MAX ||
         refuse(p->problem, 400, "id: expected at most %d bytes", PROTOCOL_ID_MOST);
}

/* The name of a tensor, which has to be `name`. */
static bool read_name(parser *p, const char *where, const char *name)
{
  if (!expect(p, TOKEN_STRING, where, "a string"))
    return false;
  char found[1024];
  const size_t wanted = strlen(name), bytes = reader_copy(&p->r, found, sizeof found);
  if (p->r.token_bytes == wanted ? !memcmp(p->r.token, name, wanted)
                                 : bytes == wanted && !memcmp(found, name, wanted))
    return true;
  return refuse(p->problem, 400, "%s: the model has '%s', found '%s'", where, name,
                bytes == SIZE_MAX ? "a longer name" : found);
}

static bool read_type(parser *p)
{
  if (!expect(p, TOKEN_STRING, "inputs[0].datatype", "a string"))
    return false;
  return reader_is(&p->r, "FP32") ||
         refuse(p->problem, 400, "inputs[0].datatype: expected \"FP32\"");
}

/* "[samples,3,227,227]" */
static void write_shape(const qb_tensor_info *input, char *to, size_t room)
{
  size_t used = (size_t)snprintf(to, room, "[samples");
  for (uint32_t i = 0; i < input->rank && used < room; i++)
    used += (size_t)snprintf(to + used, room - used, ",%lld", (long long)input->dims[i]);
  if (used < room)
    snprintf(to + used, room - used, "]");
}

static bool wrong_shape(parser *p)
{
  char expected[160];
  write_shape(&p->model->input, expected, sizeof expected);
  return refuse(p->problem, 400, "inputs[0].shape: expected %s", expected);
}

static bool read_shape(parser *p)
{
  const qb_tensor_info *input = &p->model->input;
  if (!expect(p, TOKEN_ARRAY, "inputs[0].shape", "an array"))
    return false;
  for (uint32_t i = 0; i <= input->rank; i++) {
    uint64_t size = 0;
    if (!read_integer(p, &size, "inputs[0].shape"))
      return false;
    if (i ? size != (uint64_t)input->dims[i - 1] : !size || size > UINT32_MAX)
      return wrong_shape(p);
    p->shape[i] = (int64_t)size;
  }
  const json_token token = reader_next(&p->r);
  if (token == TOKEN_BAD)
    return broken(p);
  return token == TOKEN_ARRAY_END || wrong_shape(p);
}

static bool keep_data(parser *p)
{
  p->request->data = p->r;
  if (!expect(p, TOKEN_ARRAY, "inputs[0].data", "an array"))
    return false;
  return reader_skip(&p->r, TOKEN_ARRAY) || broken(p);
}

static bool read_tensor_parameters(parser *p)
{
  static const char *const keys[] = {"binary_data_size", NULL};
  uint32_t seen = 0;
  if (!expect(p, TOKEN_OBJECT, "inputs[0].parameters", "an object"))
    return false;
  int key;
  while ((key = next_key(p, "inputs[0].parameters.", keys, &seen)) >= 0) {
    p->has_binary_size = true;
    if (!read_integer(p, &p->binary_size, "inputs[0].parameters.binary_data_size"))
      return false;
  }
  return key == -1;
}

static bool read_tensor(parser *p)
{
  static const char *const keys[] = {"name", "datatype", "shape", "data", "parameters", NULL};
  uint32_t seen = 0;
  int key;
  while ((key = next_key(p, "inputs[0].", keys, &seen)) >= 0) {
    const bool good = key == 0   ? read_name(p, "inputs[0].name", p->model->input.name)
                      : key == 1 ? read_type(p)
                      : key == 2 ? read_shape(p)
                      : key == 3 ? keep_data(p)
                                 : read_tensor_parameters(p);
    if (!good)
      return false;
  }
  for (int i = 0; key == -1 && i < 3; i++)
    if (!(seen & 1u << i))
      return refuse(p->problem, 400, "inputs[0].%s: missing", keys[i]);
  p->has_data = seen & 1u << 3;
  return key == -1;
}

static bool read_inputs(parser *p)
{
  if (!expect(p, TOKEN_ARRAY, "inputs", "an array") ||
      !expect(p, TOKEN_OBJECT, "inputs", "one tensor") || !read_tensor(p))
    return false;
  return expect(p, TOKEN_ARRAY_END, "inputs", "one tensor");
}

static bool read_output_parameters(parser *p)
{
  static const char *const keys[] = {"binary_data", NULL};
  uint32_t seen = 0;
  if (!expect(p, TOKEN_OBJECT, "outputs[0].parameters", "an object"))
    return false;
  int key;
  while ((key = next_key(p, "outputs[0].parameters.", keys, &seen)) >= 0) {
    p->has_own_binary = true;
    if (!read_bool(p, &p->own_binary, "outputs[0].parameters.binary_data"))
      return false;
  }
  return key == -1;
}

static bool read_output(parser *p)
{
  static const char *const keys[] = {"name", "parameters", NULL};
  uint32_t seen = 0;
  int key;
  while ((key = next_key(p, "outputs[0].", keys, &seen)) >= 0)
    if (!(key == 0 ? read_name(p, "outputs[0].name", p->model->output.name)
                   : read_output_parameters(p)))
      return false;
  if (key == -1 && !(seen & 1))
    return refuse(p->problem, 400, "outputs[0].name: missing");
  return key == -1;
}

/* None asked for: all, which is one. */
static bool read_outputs(parser *p)
{
  if (!expect(p, TOKEN_ARRAY, "outputs", "an array"))
    return false;
  json_token token = reader_next(&p->r);
  if (token == TOKEN_OBJECT) {
    if (!read_output(p))
      return false;
    token = reader_next(&p->r);
  }
  if (token == TOKEN_BAD)
    return broken(p);
  return token == TOKEN_ARRAY_END ||
         refuse(p->problem, 400, "outputs: expected at most one, '%s'", p->model->output.name);
}

static bool read_parameters(parser *p)
{
  static const char *const keys[] = {"binary_data_output", NULL};
  uint32_t seen = 0;
  if (!expect(p, TOKEN_OBJECT, "parameters", "an object"))
    return false;
  int key;
  while ((key = next_key(p, "parameters.", keys, &seen)) >= 0)
    if (!read_bool(p, &p->binary_by_default, "parameters.binary_data_output"))
      return false;
  return key == -1;
}

static bool read_root(parser *p)
{
  static const char *const keys[] = {"id", "inputs", "outputs", "parameters", NULL};
  uint32_t seen = 0;
  if (!expect(p, TOKEN_OBJECT, "the body", "a JSON object"))
    return false;
  int key;
  while ((key = next_key(p, "", keys, &seen)) >= 0) {
    const bool good = key == 0   ? read_id(p)
                      : key == 1 ? read_inputs(p)
                      : key == 2 ? read_outputs(p)
                                 : read_parameters(p);
    if (!good)
      return false;
  }
  if (key != -1)
    return false;
  if (reader_next(&p->r) != TOKEN_END)
    return broken(p);
  return seen & 1u << 1 || refuse(p->problem, 400, "inputs: missing");
}

/* Where the input's elements are: behind the JSON, or in it. */
static bool find_elements(parser *p, const char *binary)
{
  const uint64_t bytes =
      (uint64_t)p->shape[0] * p->model->input.elements_per_sample * sizeof(float);
  if (p->has_binary_size == p->has_data)
    return refuse(
        p->problem, 400,
        "inputs[0]: expected either \"data\" or \"parameters\": {\"binary_data_size\": ...}");
  if (p->has_data && p->binary_bytes)
    return refuse(p->problem, 400, "%zu bytes after the JSON belong to no tensor", p->binary_bytes);
  if (p->has_binary_size && (p->binary_size != bytes || p->binary_bytes != bytes))
    return refuse(p->problem, 400,
                  "inputs[0].parameters.binary_data_size: the shape takes %llu bytes, found %llu, "
                  "and %zu bytes after the JSON",
                  (unsigned long long)bytes, (unsigned long long)p->binary_size, p->binary_bytes);
  p->request->binary = p->has_binary_size ? binary : NULL;
  return true;
}

bool protocol_read(const protocol_model *model, const char *body, size_t bytes, size_t header_bytes,
                   infer_request *r, problem *why)
{
  if (header_bytes > bytes)
    return refuse(why, 400,
                  "Inference-Header-Content-Length: %zu is more than the %zu bytes of the body",
                  header_bytes, bytes);
  const size_t json_bytes = header_bytes ? header_bytes : bytes;
  parser p = {.r = reader_of(body, json_bytes),
              .model = model,
              .request = r,
              .problem = why,
              .binary_bytes = bytes - json_bytes};
  if (!read_root(&p) || !find_elements(&p, body + json_bytes))
    return false;
  r->samples = (uint32_t)p.shape[0];
  r->binary_output = p.has_own_binary ? p.own_binary : p.binary_by_default;
  return true;
}

/* Where in nested arrays the reader is; level 1 is the outermost. */
typedef struct nesting {
  uint32_t levels, level;
  bool is_flat;
  uint64_t sizes[QB_MAX_DIMS + 2], counts[QB_MAX_DIMS + 2]; /* by level */
} nesting;

static nesting nesting_of(const qb_tensor_info *input, uint32_t samples)
{
  nesting n = {.levels = input->rank + 1};
  n.sizes[1] = samples;
  for (uint32_t i = 0; i < input->rank; i++)
    n.sizes[i + 2] = (uint64_t)input->dims[i];
  return n;
}

/* One more element at this level; false: it has no place there. */
static bool count_element(nesting *n, bool is_number)
{
  if (is_number && n->level == 1 && n->levels > 1 && !n->counts[1] && !n->is_flat) {
    n->is_flat = true;
    for (uint32_t i = 2; i <= n->levels; i++)
      n->sizes[1] *= n->sizes[i];
  }
  const bool is_innermost = n->is_flat || n->level == n->levels;
  return is_number == is_innermost && n->counts[n->level]++ < n->sizes[n->level];
}

static bool wrong_nesting(const nesting *n, problem *p)
{
  return refuse(p, 400,
                "inputs[0].data: expected a flat list of numbers or one nested as the shape; level "
                "%u has %s than %llu elements, or elements of another kind",
                n->level, n->counts[n->level] < n->sizes[n->level] ? "fewer" : "more",
                (unsigned long long)n->sizes[n->level]);
}

bool protocol_read_numbers(const protocol_model *model, const infer_request *request, float *to,
                           problem *p)
{
  json_reader r = request->data;
  nesting n = nesting_of(&model->input, request->samples);
  size_t count = 0;
  do {
    const json_token token = reader_next(&r);
    if (token == TOKEN_ARRAY) {
      if (n.level && !count_element(&n, false))
        return wrong_nesting(&n, p);
      n.counts[++n.level] = 0;
    } else if (token == TOKEN_NUMBER) {
      if (!count_element(&n, true))
        return wrong_nesting(&n, p);
      const float value = (float)r.number;
      if (!isfinite(value))
        return refuse(p, 400, "inputs[0].data: number %zu, %.*s, is outside 32-bit floats", count,
                      (int)(r.token_bytes < 40 ? r.token_bytes : 40), r.token);
      to[count++] = value;
    } else if (token == TOKEN_ARRAY_END) {
      if (n.counts[n.level] != n.sizes[n.level])
        return wrong_nesting(&n, p);
      n.level--;
    } else {
      return refuse(p, 400, "inputs[0].data: expected only numbers, found something else after %zu",
                    count);
    }
  } while (n.level);
  return true;
}
