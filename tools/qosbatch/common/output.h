/* SPDX-License-Identifier: Apache-2.0 */
/* What goes to stdout: JSON for programs, aligned text with units for people. */
#ifndef TOOL_OUTPUT_H
#define TOOL_OUTPUT_H

#include <jansson.h>
#include <qosbatch/model.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory for free(); ends the process when there is none. */
void *allocate(size_t count, size_t bytes);

/* Two texts as one, to be freed. */
char *joined(const char *first, const char *second);

/* Until print_json() what anybody prints on stdout goes to stderr. */
void output_hold(void);

/* Flushes stdout. Returns the exit status: a full disk or a closed stdout is a failure. */
int output_finish(void);

/* JSON. Numbers that JSON cannot hold (an infinite density) become null. */
json_t *object_new(void);
void add_text(json_t *object, const char *key, const char *value);
void add_integer(json_t *object, const char *key, int64_t value);
void add_number(json_t *object, const char *key, double value);
void add_bool(json_t *object, const char *key, bool value);
json_t *add_object(json_t *object, const char *key); /* belongs to `object` */
json_t *add_array(json_t *object, const char *key);
json_t *append_object(json_t *array);
void append_text(json_t *array, const char *value);
void print_json(json_t *root);    /* and frees it */
char *json_to_line(json_t *root); /* compact, keys in order, to be freed; frees root */

/* Short texts by value, for use inside a printf() argument. */
typedef struct short_text {
  char s[40];
} short_text;

/* Up and down keep a bound true: "at least 118 ms" must not have been 118.4 ms. */
typedef enum rounding { ROUND_NEAREST, ROUND_UP, ROUND_DOWN } rounding;

/* Three significant digits, no exponent. */
short_text digits(double value);
short_text digits_rounded(double value, rounding how);

/* With a unit that keeps the number between 1 and 1000. */
short_text human_time(int64_t ns);
short_text human_time_rounded(int64_t ns, rounding how);
short_text human_bytes(double bytes);                    /* KiB, MiB, ... */
short_text human_amount(double value, const char *unit); /* "203 GFLOP/s": powers of 1000 */

/* "1 instance x 2 threads", "2 instances x 1 thread, int8" */
short_text human_configuration(const qb_configuration *k);

/* Its fields: instances, threads, precision. */
void add_configuration(json_t *object, const qb_configuration *k);

/* Date and time, UTC. */
short_text human_date(int64_t unix_s);

static inline const char *plural(uint64_t count)
{
  return count == 1 ? "" : "s";
}

static inline double milliseconds(int64_t ns)
{
  return (double)ns / 1e6;
}

static inline double mebibytes(double bytes)
{
  return bytes / (1 << 20);
}

/* A table; cells are given row by row. */
typedef struct table table;

/* Titles that begin with '<' are of columns aligned left, without that sign. */
table *table_new(const char *const *titles, size_t columns);
__attribute__((format(printf, 2, 3))) void table_cell(table *self, const char *format, ...);
void table_print(table *self); /* and frees it */

#endif
