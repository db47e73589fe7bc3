/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON (RFC 8259), token by token, where it lies: no recursion, and no memory however long it is.
 */
#ifndef SERVE_JSON_READER_H
#define SERVE_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { READER_MOST_DEPTH = 64 };

typedef enum json_token {
  TOKEN_BAD, /* reader.problem says what is wrong at reader.at */
  TOKEN_OBJECT,
  TOKEN_OBJECT_END,
  TOKEN_ARRAY,
  TOKEN_ARRAY_END,
  TOKEN_KEY, /* its value comes next */
  TOKEN_STRING,
  TOKEN_NUMBER,
  TOKEN_TRUE,
  TOKEN_FALSE,
  TOKEN_NULL,
  TOKEN_END /* of the text */
} json_token;

typedef struct json_reader {
  const char *text;
  size_t bytes, at;
  const char *problem;
  const char *token; /* of a key, string or number: its text, without quotes */
  size_t token_bytes;
  double number; /* of a number; infinite where it is beyond a double */
  uint32_t depth;
  uint64_t objects; /* a bit for each open value, the innermost lowest: an object */
  enum { READER_NEEDS_VALUE, READER_NEEDS_FIRST, READER_NEEDS_NEXT } needs;
} json_reader;

/* A reader of `bytes` of text; copies of it read on from where they were made. */
json_reader reader_of(const char *text, size_t bytes);

json_token reader_next(json_reader *r);

/* Reads on to the end of the value that began with `first`. False: it is bad. */
bool reader_skip(json_reader *r, json_token first);

/* Whether the key or string just read is `text`. */
bool reader_is(const json_reader *r, const char *text);

/*
 * Writes the key or string just read as UTF-8, with a 0 behind it; bytes without that, or SIZE_MAX
 * when it needs more than room - 1.
 */
size_t reader_copy(const json_reader *r, char *to, size_t room);

#endif
