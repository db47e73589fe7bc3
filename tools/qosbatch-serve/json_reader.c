/* SPDX-License-Identifier: Apache-2.0 */
#include "json_reader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_reader reader_of(const char *text, size_t bytes)
{
  return (json_reader){.text = text, .bytes = bytes};
}

static json_token bad(json_reader *r, const char *problem)
{
  r->problem = problem;
  return TOKEN_BAD;
}

/* The byte at the reader, 0 at the end: no token has one. */
static char here(const json_reader *r)
{
  return r->at < r->bytes ? r->text[r->at] : 0;
}

static void skip_blanks(json_reader *r)
{
  while (r->at < r->bytes) {
    const char c = r->text[r->at];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
      return;
    r->at++;
  }
}

static bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
  if (is_digit(c))
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four digits behind \u, or -1. */
static int32_t read_hex(const char *at, const char *end)
{
  int32_t code = 0;
  if (end - at < 4)
    return -1;
  for (int i = 0; i < 4; i++) {
    const int digit = hex_digit(at[i]);
    if (digit < 0)
      return -1;
    code = code * 16 + digit;
  }
  return code;
}

/* The character that an escape stands for, *at behind its backslash; -1: none. */
static int32_t read_escape(const char **at, const char *end)
{
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  if (*at == end)
    return -1;
  const char name = *(*at)++;
  if (name != 'u') {
    const char *found = name ? strchr(names, name) : NULL;
    return found ? values[found - names] : -1;
  }
  const int32_t code = read_hex(*at, end);
  if (code < 0 || (code >= 0xdc00 && code < 0xe000))
    return -1;
  *at += 4;
  if (code < 0xd800 || code >= 0xe000)
    return code;
  const int32_t low =
      end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u' ? read_hex(*at + 2, end) : -1;
  if (low < 0xdc00 || low >= 0xe000)
    return -1;
  *at += 6;
  return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

/* Bytes of the UTF-8 character at `at`, 0: it is none (RFC 3629). */
static size_t utf8_length(const unsigned char *at, size_t left)
{
  const unsigned char c = at[0];
  if (c < 0x80)
    return 1;
  const size_t length = c >= 0xc2 && c < 0xe0   ? 2
                        : c >= 0xe0 && c < 0xf0 ? 3
                        : c >= 0xf0 && c < 0xf5 ? 4
                                                : 0;
  if (!length || length > left)
    return 0;
  for (size_t i = 1; i < length; i++)
    if ((at[i] & 0xc0) != 0x80)
      return 0;
  const bool overlong = (c == 0xe0 && at[1] < 0xa0) || (c == 0xf0 && at[1] < 0x90);
  const bool outside = (c == 0xed && at[1] >= 0xa0) || (c == 0xf4 && at[1] >= 0x90);
  return overlong || outside ? 0 : length;
}

/* Behind the quote. */
static json_token read_string(json_reader *r, json_token as)
{
  const char *at = r->text + r->at, *end = r->text + r->bytes;
  r->token = at;
  while (at < end && *at != '"') {
    if ((unsigned char)*at < 0x20)
      break;
    if (*at == '\\') {
      at++;
      if (read_escape(&at, end) < 0) {
        r->at = (size_t)(at - r->text);
        return bad(r, "invalid escape in a string");
      }
      continue;
    }
    const size_t length = utf8_length((const unsigned char *)at, (size_t)(end - at));
    if (!length) {
      r->at = (size_t)(at - r->text);
      return bad(r, "a string that is not UTF-8");
    }
    at += length;
  }
  r->at = (size_t)(at - r->text);
  if (at == end || *at != '"')
    return bad(r, at == end ? "unterminated string" : "a control character in a string");
  r->token_bytes = (size_t)(at - r->token);
  r->at++;
  return as;
}

/*
 * Exact where the digits and the power of ten are exact as doubles (Clinger, PLDI 1990); else
 * strtod(), which finds a delimiter behind the number, as inside an object or array there is one.
 */
static double to_double(const char *token, uint64_t digits, int32_t exponent, bool is_negative,
                        bool is_short)
{
  static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (!is_short || digits > (UINT64_C(1) << 53) || exponent < -22 || exponent > 22)
    return strtod(token, NULL);
  const double whole = (double)digits;
  const double value = exponent < 0 ? whole / powers[-exponent] : whole * powers[exponent];
  return is_negative ? -value : value;
}

/* Digits into *value; false: there is none. *is_short: not more than it holds. */
static bool read_digits(json_reader *r, uint64_t *value, bool *is_short)
{
  const size_t first = r->at;
  for (; is_digit(here(r)); r->at++) {
    if (*value >= UINT64_C(100000000000000000))
      *is_short = false;
    else
      *value = *value * 10 + (uint64_t)(here(r) - '0');
  }
  return r->at > first;
}

static json_token read_number(json_reader *r)
{
  r->token = r->text + r->at;
  uint64_t digits = 0, power = 0;
  bool is_short = true;
  const bool is_negative = here(r) == '-';
  r->at += is_negative;
  const size_t first = r->at;
  if (!read_digits(r, &digits, &is_short) || (r->text[first] == '0' && r->at > first + 1))
    return bad(r, "not a JSON number");
  int32_t exponent = 0;
  if (here(r) == '.') {
    const size_t point = ++r->at;
    if (!read_digits(r, &digits, &is_short))
      return bad(r, "not a JSON number");
    exponent = r->at - point < 400 ? -(int32_t)(r->at - point) : -400;
  }
  if (here(r) == 'e' || here(r) == 'E') {
    r->at++;
    const bool down = here(r) == '-';
    r->at += down || here(r) == '+';
    bool is_short_power = true;
    if (!read_digits(r, &power, &is_short_power))
      return bad(r, "not a JSON number");
    const int32_t step = power < 1000 && is_short_power ? (int32_t)power : 1000;
    exponent += down ? -step : step;
  }
  if (r->at == r->bytes && r->depth)
    return bad(r, "the end of the text");
  r->token_bytes = (size_t)(r->text + r->at - r->token);
  r->number = to_double(r->token, digits, exponent, is_negative, is_short);
  return TOKEN_NUMBER;
}

static json_token read_word(json_reader *r, const char *word, json_token as)
{
  const size_t length = strlen(word);
  if (r->bytes - r->at < length || memcmp(r->text + r->at, word, length) != 0)
    return bad(r, "not a JSON value");
  r->at += length;
  return as;
}

static json_token open_value(json_reader *r, json_token as)
{
  if (r->depth == READER_MOST_DEPTH)
    return bad(r, "nested deeper than 64");
  r->at++;
  r->depth++;
  r->objects = r->objects << 1 | (as == TOKEN_OBJECT);
  r->needs = READER_NEEDS_FIRST;
  return as;
}

static json_token close_value(json_reader *r)
{
  const json_token as = r->objects & 1 ? TOKEN_OBJECT_END : TOKEN_ARRAY_END;
  if (here(r) != (as == TOKEN_OBJECT_END ? '}' : ']'))
    return bad(r, "the wrong bracket");
  r->at++;
  r->depth--;
  r->objects >>= 1;
  r->needs = READER_NEEDS_NEXT;
  return as;
}

static json_token read_value(json_reader *r)
{
  const char c = here(r);
  r->needs = READER_NEEDS_NEXT;
  switch (c) {
  case '{': return open_value(r, TOKEN_OBJECT);
  case '[': return open_value(r, TOKEN_ARRAY);
  case '"': r->at++; return read_string(r, TOKEN_STRING);
  case 't': return read_word(r, "true", TOKEN_TRUE);
  case 'f': return read_word(r, "false", TOKEN_FALSE);
  case 'n': return read_word(r, "null", TOKEN_NULL);
  default: break;
  }
  if (c == '-' || is_digit(c))
    return r->depth ? read_number(r) : bad(r, "expected an object or an array");
  return bad(r, r->at == r->bytes ? "the end of the text" : "not a JSON value");
}

static json_token read_key(json_reader *r)
{
  if (here(r) != '"')
    return bad(r, "expected a key in quotes");
  r->at++;
  const json_token token = read_string(r, TOKEN_KEY);
  if (token == TOKEN_BAD)
    return token;
  skip_blanks(r);
  if (here(r) != ':')
    return bad(r, "expected ':' after a key");
  r->at++;
  r->needs = READER_NEEDS_VALUE;
  return TOKEN_KEY;
}

json_token reader_next(json_reader *r)
{
  skip_blanks(r);
  if (r->needs == READER_NEEDS_VALUE)
    return read_value(r);
  if (!r->depth)
    return r->at == r->bytes ? TOKEN_END : bad(r, "text after the value");
  if (here(r) == '}' || here(r) == ']')
    return close_value(r);
  if (r->needs == READER_NEEDS_NEXT) {
    if (here(r) != ',')
      return bad(r,
                 r->at == r->bytes ? "the end of the text" : "expected ',' or the closing bracket");
    r->at++;
    skip_blanks(r);
  }
  return r->objects & 1 ? read_key(r) : read_value(r);
}

bool reader_skip(json_reader *r, json_token first)
{
  if (first != TOKEN_OBJECT && first != TOKEN_ARRAY)
    return first != TOKEN_BAD;
  const uint32_t outside = r->depth - 1;
  while (r->depth > outside)
    if (reader_next(r) == TOKEN_BAD)
      return false;
  return true;
}

static size_t write_utf8(char to[4], int32_t code)
{
  const uint32_t c = (uint32_t)code;
  if (c < 0x80) {
    to[0] = (char)c;
    return 1;
  }
  const size_t length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const uint32_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = 0; i < length; i++) {
    const uint32_t bits = c >> 6 * (length - 1 - i);
    to[i] = (char)(i ? 0x80 | (bits & 0x3f) : leads[length] | bits);
  }
  return length;
}

size_t reader_copy(const json_reader *r, char *to, size_t room)
{
  const char *at = r->token, *end = at + r->token_bytes;
  size_t used = 0;
  while (at < end) {
    char piece[4] = {*at++};
    const size_t length = *piece == '\\' ? write_utf8(piece, read_escape(&at, end)) : 1;
    if (used + length >= room)
      return SIZE_MAX;
    memcpy(to + used, piece, length);
    used += length;
  }
  to[used] = 0;
  return used;
}

bool reader_is(const json_reader *r, const char *text)
{
  char copy[64];
  const size_t wanted = strlen(text);
  if (!memchr(r->token, '\\', r->token_bytes))
    return r->token_bytes == wanted && !memcmp(r->token, text, wanted);
  return reader_copy(r, copy, sizeof copy) == wanted && !memcmp(copy, text, wanted);
}
