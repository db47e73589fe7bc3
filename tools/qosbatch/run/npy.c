/* SPDX-License-Identifier: Apache-2.0 */
#include "run/npy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char MAGIC[] = "\x93NUMPY";
enum { MAGIC_BYTES = sizeof MAGIC - 1, LONGEST_HEADER = 65536 };

/* The header is a Python dictionary in one line. */
typedef struct cursor {
  const char *at, *end;
  char *reason;
} cursor;

__attribute__((format(printf, 2, 3))) static bool refuse(char *reason, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  vsnprintf(reason, NPY_REASON_BYTES, format, args);
  va_end(args);
  return false;
}

static void skip_blanks(cursor *c)
{
  while (c->at < c->end && strchr(" \t\r\n", *c->at) && *c->at)
    c->at++;
}

static bool accept(cursor *c, const char *word)
{
  const size_t length = strlen(word);
  skip_blanks(c);
  if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
    return false;
  c->at += length;
  return true;
}

static bool expect(cursor *c, const char *word)
{
  if (accept(c, word))
    return true;
  const size_t left = (size_t)(c->end - c->at);
  return refuse(c->reason, "the header lacks '%s' before '%.*s'", word, left < 20 ? (int)left : 20,
                c->at);
}

/* A quoted word of at most 31 characters. */
static bool read_word(cursor *c, char word[32])
{
  skip_blanks(c);
  const char quote = c->at < c->end ? *c->at : 0;
  const char *first = c->at + 1;
  size_t length = 0;
  if (quote != '\'' && quote != '"')
    return refuse(c->reason, "the header lacks a quoted name");
  while (first + length < c->end && first[length] != quote)
    length++;
  if (first + length == c->end || length > 31)
    return refuse(c->reason, "the header has an unterminated quoted name");
  memcpy(word, first, length);
  word[length] = 0;
  c->at = first + length + 1;
  return true;
}

static bool read_type(cursor *c, npy_layout *layout)
{
  char word[32];
  skip_blanks(c);
  if (c->at < c->end && *c->at == '[')
    return refuse(c->reason, "the array has named fields; save an array of f32 or u8");
  if (!read_word(c, word))
    return false;
  if (!strcmp(word, "<f4"))
    layout->type = NPY_F32;
  else if (!strcmp(word, "|u1"))
    layout->type = NPY_U8;
  else
    return refuse(c->reason,
                  "the elements are '%s'; expected '<f4' or '|u1': save x.astype('<f4') instead",
                  word);
  return true;
}

static bool read_number(cursor *c, uint64_t *number)
{
  skip_blanks(c);
  const char *first = c->at;
  for (*number = 0; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
    if (__builtin_mul_overflow(*number, 10, number) ||
        __builtin_add_overflow(*number, (uint64_t)(*c->at - '0'), number))
      return refuse(c->reason, "a dimension is too large");
  if (c->at > first && c->at < c->end && *c->at == 'L')
    c->at++; /* as Python 2 wrote long integers */
  return c->at > first || refuse(c->reason, "the header's shape is not a list of integers");
}

static bool read_shape(cursor *c, npy_layout *layout)
{
  layout->rank = 0;
  layout->elements = 1;
  if (!expect(c, "("))
    return false;
  while (!accept(c, ")")) {
    if (layout->rank == NPY_MOST_DIMS)
      return refuse(c->reason, "the array has more than %d dimensions", NPY_MOST_DIMS);
    uint64_t *dim = &layout->dims[layout->rank];
    if (!read_number(c, dim))
      return false;
    layout->rank++;
    if (__builtin_mul_overflow(layout->elements, *dim, &layout->elements))
      return refuse(c->reason, "the shape is too large");
    if (!accept(c, ",")) {
      if (!expect(c, ")"))
        return false;
      break;
    }
  }
  return true;
}

static bool read_order(cursor *c)
{
  if (accept(c, "True"))
    return refuse(c->reason,
                  "the array is in Fortran order; save numpy.ascontiguousarray(x) instead");
  return expect(c, "False");
}

static bool read_dictionary(cursor *c, npy_layout *layout)
{
  bool type = false, order = false, shape = false;
  if (!expect(c, "{"))
    return false;
  while (!accept(c, "}")) {
    char key[32];
    if (!read_word(c, key) || !expect(c, ":"))
      return false;
    bool *seen = !strcmp(key, "descr")           ? &type
                 : !strcmp(key, "fortran_order") ? &order
                 : !strcmp(key, "shape")         ? &shape
                                                 : NULL;
    if (!seen || *seen)
      return refuse(c->reason, "the header has %s '%s'", seen ? "twice" : "an unknown key", key);
    *seen = true;
    if (!(seen == &type    ? read_type(c, layout)
          : seen == &order ? read_order(c)
                           : read_shape(c, layout)))
      return false;
    if (!accept(c, ",")) {
      if (!expect(c, "}"))
        return false;
      break;
    }
  }
  skip_blanks(c);
  if (c->at != c->end)
    return refuse(c->reason, "the header has text after its dictionary");
  return (type && order && shape) || refuse(c->reason, "the header lacks '%s'",
                                            !type    ? "descr"
                                            : !order ? "fortran_order"
                                                     : "shape");
}

bool npy_parse(const void *file, size_t bytes, npy_layout *layout, char reason[NPY_REASON_BYTES])
{
  const unsigned char *b = file;
  if (bytes < MAGIC_BYTES + 4 || memcmp(b, MAGIC, MAGIC_BYTES) != 0)
    return refuse(reason, "this is not an .npy file; write one with numpy.save()");
  const int version = b[MAGIC_BYTES];
  if (version < 1 || version > 3)
    return refuse(reason, "unknown format version %d.%d; expected 1 to 3", version,
                  b[MAGIC_BYTES + 1]);
  const size_t prefix = MAGIC_BYTES + (version == 1 ? 4 : 6);
  size_t length = b[8] | (size_t)b[9] << 8;
  if (version > 1)
    length = bytes < prefix ? SIZE_MAX : length | (size_t)b[10] << 16 | (size_t)b[11] << 24;
  if (length > LONGEST_HEADER || length > bytes - prefix)
    return refuse(reason, "the file ends within its header, or the header is too long");

  npy_layout found = {0};
  cursor c = {(const char *)b + prefix, (const char *)b + prefix + length, reason};
  if (!read_dictionary(&c, &found))
    return false;
  found.data_offset = prefix + length;
  const size_t data_bytes = bytes - found.data_offset;
  if (found.elements > data_bytes / npy_element_bytes(found.type))
    return refuse(reason,
                  "the data end after %zu bytes; the header announces %llu elements of %zu bytes",
                  data_bytes, (unsigned long long)found.elements, npy_element_bytes(found.type));
  const size_t array_bytes = (size_t)found.elements * npy_element_bytes(found.type);
  if (array_bytes < data_bytes)
    return refuse(reason, "%zu bytes follow the array%s; save one array per file",
                  data_bytes - array_bytes,
                  data_bytes - array_bytes >= MAGIC_BYTES &&
                          !memcmp(b + found.data_offset + array_bytes, MAGIC, MAGIC_BYTES)
                      ? ", a second one"
                      : "");
  *layout = found;
  return true;
}

void npy_format_header(uint64_t rows, uint64_t columns, char header[NPY_HEADER_BYTES])
{
  enum { PREFIX = MAGIC_BYTES + 4, LENGTH = NPY_HEADER_BYTES - PREFIX };
  memset(header, ' ', NPY_HEADER_BYTES);
  memcpy(header, MAGIC, MAGIC_BYTES);
  memcpy(header + MAGIC_BYTES, "\1\0", 2);
  header[MAGIC_BYTES + 2] = (char)(LENGTH & 0xff);
  header[MAGIC_BYTES + 3] = (char)(LENGTH >> 8);
  const int n = snprintf(header + PREFIX, LENGTH,
                         "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %llu), }",
                         (unsigned long long)rows, (unsigned long long)columns);
  header[PREFIX + n] = ' ';
  header[NPY_HEADER_BYTES - 1] = '\n';
}
