/* SPDX-License-Identifier: Apache-2.0 */
/* Comma-separated values (RFC 4180), read record by record in place. */
#ifndef QB_PROFILE_CSV_H
#define QB_PROFILE_CSV_H

#include <stdbool.h>
#include <stddef.h>

/* A field without its quotes and the blanks around it; not terminated. */
typedef struct qb__csv_field {
  const char *text;
  size_t length;
} qb__csv_field;

enum { QB__CSV_MOST_FIELDS = 256 };

typedef struct qb__csv {
  char *at, *end;
  size_t line; /* of the last record, from 1 */
  size_t next_line;
  size_t count;
  qb__csv_field fields[QB__CSV_MOST_FIELDS]; /* of the last record */
  const char *wrong;                         /* why reading ended early; NULL at the end */
} qb__csv;

/* Begins to read `bytes` bytes, which are changed where a quoted field holds quotes. */
void qb__csv_open(qb__csv *csv, char *text, size_t bytes);

/* Reads the next record that is not an empty line. False at the end and when something is wrong. */
bool qb__csv_next(qb__csv *csv);

#endif
