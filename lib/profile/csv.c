/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/csv.h"

#include <string.h>

void qb__csv_open(qb__csv *csv, char *text, size_t bytes)
{
  memset(csv, 0, sizeof *csv);
  csv->at = text;
  csv->end = text + bytes;
  csv->next_line = 1;
  if (bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) /* spreadsheets begin UTF-8 with a mark */
    csv->at += 3;
}

static bool is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

static bool stop(qb__csv *csv, const char *wrong)
{
  csv->wrong = wrong;
  return false;
}

static void skip_blanks(qb__csv *csv)
{
  while (csv->at < csv->end && is_blank(*csv->at))
    csv->at++;
}

/* From behind the opening quote; doubled quotes are closed up in place. */
static bool read_quoted(qb__csv *csv, qb__csv_field *field)
{
  char *to = csv->at;
  field->text = to;
  for (; csv->at < csv->end; csv->at++) {
    if (*csv->at == '"' && (csv->at + 1 == csv->end || csv->at[1] != '"')) {
      csv->at++;
      field->length = (size_t)(to - field->text);
      skip_blanks(csv);
      return csv->at == csv->end || *csv->at == ',' || *csv->at == '\n'
                 ? true
                 : stop(csv, "text follows a closing quote");
    }
    csv->at += *csv->at == '"';
    csv->next_line += *csv->at == '\n';
    *to++ = *csv->at;
  }
  return stop(csv, "unterminated quote");
}

static bool read_plain(qb__csv *csv, qb__csv_field *field)
{
  field->text = csv->at;
  while (csv->at < csv->end && *csv->at != ',' && *csv->at != '\n')
    csv->at++;
  field->length = (size_t)(csv->at - field->text);
  while (field->length && is_blank(field->text[field->length - 1]))
    field->length--;
  return true;
}

static bool read_record(qb__csv *csv)
{
  csv->count = 0;
  csv->line = csv->next_line;
  for (;;) {
    if (csv->count == QB__CSV_MOST_FIELDS)
      return stop(csv, "more than 256 columns");
    qb__csv_field *field = &csv->fields[csv->count++];
    skip_blanks(csv);
    const bool quoted = csv->at < csv->end && *csv->at == '"';
    csv->at += quoted;
    if (!(quoted ? read_quoted(csv, field) : read_plain(csv, field)))
      return false;
    const bool more = csv->at < csv->end && *csv->at == ',';
    if (csv->at < csv->end)
      csv->at++;
    if (!more)
      break;
  }
  csv->next_line++;
  return true;
}

bool qb__csv_next(qb__csv *csv)
{
  do {
    if (csv->at == csv->end || !read_record(csv))
      return false;
  } while (csv->count == 1 && !csv->fields[0].length);
  return true;
}
