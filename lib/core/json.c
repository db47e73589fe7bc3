/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/file.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes the path of a place, "$.points[3].batch", cut if it does not fit. */
static size_t write_path(const qb__json *at, char *text, size_t bytes)
{
  if (!at->parent)
    return (size_t)snprintf(text, bytes, "$");
  size_t n = write_path(at->parent, text, bytes);
  n = n < bytes ? n : bytes - 1;
  if (at->key)
    n += (size_t)snprintf(text + n, bytes - n, ".%s", at->key);
  else
    n += (size_t)snprintf(text + n, bytes - n, "[%zu]", at->index);
  return n;
}

void qb__json_fail(qb__json *at, const char *key, const char *format, ...)
{
  if (at->file->status)
    return;
  char place[256], text[512];
  write_path(at, place, sizeof place);
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  at->file->status = qb__fail(QB_ERROR_FORMAT, "%s: %s%s%s: %s", at->file->path, place,
                              key ? "." : "", key ? key : "", text);
}

static const char *type_name(const json_t *value)
{
  switch (json_typeof(value)) {
  case JSON_OBJECT: return "an object";
  case JSON_ARRAY: return "an array";
  case JSON_STRING: return "a string";
  case JSON_INTEGER: return "an integer";
  case JSON_REAL: return "a number";
  case JSON_TRUE:
  case JSON_FALSE: return "a boolean";
  default: return "null";
  }
}

bool qb__json_has(const qb__json *at, const char *key)
{
  return !at->file->status && json_object_get(at->value, key);
}

static const json_t *field(qb__json *at, const char *key)
{
  if (at->file->status)
    return NULL;
  const json_t *value = json_object_get(at->value, key);
  if (!value)
    qb__json_fail(at, key, "this field is missing");
  else if (at->seen_count < QB__JSON_MOST_FIELDS)
    at->seen[at->seen_count++] = key;
  return value;
}

static void child(qb__json *at, const json_t *value, const char *key, size_t index, qb__json *made)
{
  made->file = at->file;
  made->value = value;
  made->parent = at;
  made->key = key;
  made->index = index;
  made->seen_count = 0;
}

static double number(qb__json *at, const char *key, const json_t *value, double least, double most)
{
  if (!value)
    return least;
  if (!json_is_number(value)) {
    qb__json_fail(at, key, "expected a number, found %s", type_name(value));
    return least;
  }
  const double result = json_number_value(value);
  if (!(result >= least && result <= most)) {
    qb__json_fail(at, key, "%g is outside %g..%g", result, least, most);
    return least;
  }
  return result;
}

double qb__json_double(qb__json *at, const char *key, double least, double most)
{
  return number(at, key, field(at, key), least, most);
}

int64_t qb__json_int(qb__json *at, const char *key, int64_t least, int64_t most)
{
  const json_t *value = field(at, key);
  if (!value)
    return least;
  if (!json_is_integer(value)) {
    qb__json_fail(at, key, "expected an integer, found %s", type_name(value));
    return least;
  }
  const int64_t result = json_integer_value(value);
  if (result < least || result > most) {
    qb__json_fail(at, key, "%lld is outside %lld..%lld", (long long)result, (long long)least,
                  (long long)most);
    return least;
  }
  return result;
}

bool qb__json_bool(qb__json *at, const char *key)
{
  const json_t *value = field(at, key);
  if (value && !json_is_boolean(value))
    qb__json_fail(at, key, "expected true or false, found %s", type_name(value));
  return value && json_is_true(value);
}

const char *qb__json_string(qb__json *at, const char *key)
{
  const json_t *value = field(at, key);
  if (value && !json_is_string(value))
    qb__json_fail(at, key, "expected a string, found %s", type_name(value));
  return value && json_is_string(value) ? json_string_value(value) : "";
}

void qb__json_object(qb__json *at, const char *key, qb__json *object)
{
  const json_t *value = field(at, key);
  if (value && !json_is_object(value))
    qb__json_fail(at, key, "expected an object, found %s", type_name(value));
  child(at, value, key, 0, object);
}

size_t qb__json_array(qb__json *at, const char *key, size_t least, size_t most, qb__json *array)
{
  const json_t *value = field(at, key);
  child(at, value, key, 0, array);
  if (!value)
    return 0;
  if (!json_is_array(value)) {
    qb__json_fail(at, key, "expected an array, found %s", type_name(value));
    return 0;
  }
  const size_t count = json_array_size(value);
  if (count < least || count > most) {
    qb__json_fail(at, key, "%zu elements, expected %zu..%zu", count, least, most);
    return 0;
  }
  return count;
}

void qb__json_element(qb__json *array, size_t index, qb__json *element)
{
  const json_t *value = array->file->status ? NULL : json_array_get(array->value, index);
  child(array, value, NULL, index, element);
  if (value && !json_is_object(value))
    qb__json_fail(element, NULL, "expected an object, found %s", type_name(value));
}

const char *qb__json_element_string(qb__json *array, size_t index)
{
  const json_t *value = array->file->status ? NULL : json_array_get(array->value, index);
  qb__json element;
  child(array, value, NULL, index, &element);
  if (value && !json_is_string(value))
    qb__json_fail(&element, NULL, "expected a string, found %s", type_name(value));
  return value && json_is_string(value) ? json_string_value(value) : "";
}

double qb__json_element_double(qb__json *array, size_t index, double least, double most)
{
  qb__json element;
  child(array, array->file->status ? NULL : json_array_get(array->value, index), NULL, index,
        &element);
  return number(&element, NULL, element.value, least, most);
}

void qb__json_end(qb__json *at)
{
  if (at->file->status)
    return;
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)at->value, key, value)
  {
    bool seen = false;
    for (size_t i = 0; i < at->seen_count && !seen; i++)
      seen = !strcmp(at->seen[i], key);
    if (!seen) {
      qb__json_fail(at, key, "unknown field; remove it");
      return;
    }
  }
}

qb_status qb__json_parse(qb__json_file *file, const qb_context *context, const char *path,
                         const char *text, size_t bytes, const char *format, int version,
                         qb__json *root)
{
  memset(file, 0, sizeof *file);
  file->context = context;
  file->path = path;
  memset(root, 0, sizeof *root);
  root->file = file;

  json_error_t error;
  file->root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
  if (!file->root) {
    if (json_error_code(&error) == json_error_out_of_memory)
      return file->status =
                 qb__fail(QB_ERROR_NO_MEMORY, "%s: out of memory parsing the file", path);
    return file->status = qb__fail(QB_ERROR_FORMAT, "%s:%d:%d: not JSON: %s", path, error.line,
                                   error.column, error.text);
  }
  root->value = file->root;
  if (!json_is_object(file->root)) {
    qb__json_fail(root, NULL, "expected an object, found %s", type_name(file->root));
    return file->status;
  }
  const char *found = qb__json_string(root, "format");
  if (!file->status && strcmp(found, format))
    qb__json_fail(root, "format", "'%.64s' is not '%s'; pass a file of that kind", found, format);
  const int64_t number_found = qb__json_int(root, "version", 1, INT32_MAX);
  if (!file->status && number_found > version)
    file->status = qb__fail(QB_ERROR_VERSION,
                            "%s: $.version: %lld is newer than %d, the newest that libqosbatch %s "
                            "reads; update the library",
                            path, (long long)number_found, version, QB_LIBRARY_VERSION);
  return file->status;
}

qb_status qb__json_open(qb__json_file *file, const qb_context *context, const char *path,
                        size_t limit, const char *format, int version, qb__json *root)
{
  memset(file, 0, sizeof *file);
  char *text = NULL;
  size_t bytes = 0;
  qb_status status = file->status = qb__file_read(context, path, limit, &text, &bytes);
  if (!status)
    status = qb__json_parse(file, context, path, text, bytes, format, version, root);
  qb__free(context, text);
  return status;
}

void qb__json_close(qb__json_file *file)
{
  json_decref(file->root);
  file->root = NULL;
}

json_t *qb__json_with(json_t *object, const char *key, json_t *array)
{
  const bool failed = !array || (json_array_size(array) && json_object_set(object, key, array));
  json_decref(array);
  if (!failed)
    return object;
  json_decref(object);
  return NULL;
}

qb_status qb__json_save(const qb_context *context, const char *path, json_t *root)
{
  char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
  json_decref(root);
  if (!text)
    return qb__fail(QB_ERROR_NO_MEMORY, "out of memory writing '%s'", path);
  /* The terminating 0 becomes the newline that ends a text file. */
  const size_t length = strlen(text);
  text[length] = '\n';
  const qb_status status = qb__file_write(context, path, text, length + 1);
  free(text);
  return status;
}
