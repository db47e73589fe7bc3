/* SPDX-License-Identifier: Apache-2.0 */
#include "common/output.h"

#include "common/diagnose.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void *allocate(size_t count, size_t bytes)
{
  void *memory = calloc(count ? count : 1, bytes);
  if (!memory)
    exit(fail("no memory"));
  return memory;
}

char *joined(const char *first, const char *second)
{
  const size_t bytes = strlen(first), more = strlen(second) + 1;
  char *text = allocate(bytes + more, 1);
  memcpy(text, first, bytes);
  memcpy(text + bytes, second, more);
  return text;
}

static int held = -1; /* where stdout led before output_hold() */

void output_hold(void)
{
  held = dup(STDOUT_FILENO);
  if (held >= 0 && (fcntl(held, F_SETFD, FD_CLOEXEC) || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)) {
    close(held);
    held = -1;
  }
}

static void release(void)
{
  if (held < 0)
    return;
  (void)fflush(stdout);
  (void)dup2(held, STDOUT_FILENO);
  close(held);
  held = -1;
}

int output_finish(void)
{
  const bool failed_before = ferror(stdout);
  if (!fflush(stdout) && !failed_before)
    return EXIT_DONE;
  return fail("cannot write to standard output: %s", strerror(errno ? errno : EIO));
}

/* jansson's own `new` functions tell a failure by NULL, which its setters pass on as -1. */
static void check_json(bool good)
{
  if (!good)
    exit(fail("out of memory for the JSON output"));
}

json_t *object_new(void)
{
  json_t *object = json_object();
  check_json(object);
  return object;
}

void add_text(json_t *object, const char *key, const char *value)
{
  /* A name from a file is UTF-8 already; one from the processor may be anything. */
  json_t *string = json_string(value);
  check_json(!json_object_set_new(object, key, string ? string : json_string("?")));
}

void add_integer(json_t *object, const char *key, int64_t value)
{
  check_json(!json_object_set_new(object, key, json_integer(value)));
}

void add_number(json_t *object, const char *key, double value)
{
  json_t *number = isfinite(value) ? json_real(value) : json_null();
  check_json(!json_object_set_new(object, key, number));
}

void add_bool(json_t *object, const char *key, bool value)
{
  check_json(!json_object_set_new(object, key, json_boolean(value)));
}

json_t *add_object(json_t *object, const char *key)
{
  check_json(!json_object_set_new(object, key, json_object()));
  return json_object_get(object, key);
}

json_t *add_array(json_t *object, const char *key)
{
  check_json(!json_object_set_new(object, key, json_array()));
  return json_object_get(object, key);
}

json_t *append_object(json_t *array)
{
  check_json(!json_array_append_new(array, json_object()));
  return json_array_get(array, json_array_size(array) - 1);
}

void append_text(json_t *array, const char *value)
{
  check_json(!json_array_append_new(array, json_string(value)));
}

void print_json(json_t *root)
{
  release();
  json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
  putchar('\n');
  json_decref(root);
}

char *json_to_line(json_t *root)
{
  char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
  json_decref(root);
  check_json(text != NULL);
  return text;
}

static double round_to_3_digits(double value, rounding how)
{
  const double scale = pow(10, 2 - floor(log10(value)));
  /* 118 * 1.0 must not become 119 because of the last bit. */
  const double slack = 1e-9;
  const double scaled = value * scale;
  const double whole = how == ROUND_UP     ? ceil(scaled - slack)
                       : how == ROUND_DOWN ? floor(scaled + slack)
                                           : round(scaled);
  return whole / scale;
}

short_text digits_rounded(double value, rounding how)
{
  short_text t;
  if (!(value >= 1e-4 && value < 1e15)) {
    snprintf(t.s, sizeof t.s, "%.3g", value);
    return t;
  }
  const double rounded = round_to_3_digits(value, how);
  const int decimals = 2 - (int)floor(log10(rounded) + 1e-9);
  snprintf(t.s, sizeof t.s, "%.*f", decimals > 0 ? decimals : 0, rounded);
  return t;
}

short_text digits(double value)
{
  return digits_rounded(value, ROUND_NEAREST);
}

/* `value` in the largest of the units, each `step` times the one before, that leaves 1 or more. */
static short_text in_unit(double value, double step, const char *const *units, size_t count,
                          rounding how)
{
  size_t i = 0;
  /* 999.6 is shown as 1.00 of the next unit, not as 1000 of this one. */
  while (i + 1 < count && value >= step * 0.9995) {
    value /= step;
    i++;
  }
  short_text t;
  snprintf(t.s, sizeof t.s, "%.32s %s", digits_rounded(value, how).s, units[i]);
  return t;
}

short_text human_time_rounded(int64_t ns, rounding how)
{
  static const char *const units[] = {"ns", "us", "ms", "s"};
  return in_unit((double)ns, 1000, units, sizeof units / sizeof *units, how);
}

short_text human_time(int64_t ns)
{
  return human_time_rounded(ns, ROUND_NEAREST);
}

short_text human_bytes(double bytes)
{
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  return in_unit(bytes, 1024, units, sizeof units / sizeof *units, ROUND_NEAREST);
}

short_text human_amount(double value, const char *unit)
{
  static const char *const prefixes[] = {"", "k", "M", "G", "T", "P"};
  short_text t = in_unit(value, 1000, prefixes, sizeof prefixes / sizeof *prefixes, ROUND_NEAREST);
  const size_t used = strlen(t.s);
  snprintf(t.s + used, sizeof t.s - used, "%s", unit);
  return t;
}

short_text human_configuration(const qb_configuration *k)
{
  short_text t;
  const bool is_f32 = k->precision == QB_PRECISION_F32;
  snprintf(t.s, sizeof t.s, "%u instance%s x %u thread%s%s%s", k->instances, plural(k->instances),
           k->threads, plural(k->threads), is_f32 ? "" : ", ",
           is_f32 ? "" : qb_precision_name(k->precision));
  return t;
}

void add_configuration(json_t *object, const qb_configuration *k)
{
  add_integer(object, "instances", k->instances);
  add_integer(object, "threads", k->threads);
  add_text(object, "precision", qb_precision_name(k->precision));
}

short_text human_date(int64_t unix_s)
{
  short_text t;
  struct tm parts;
  const time_t when = (time_t)unix_s;
  if (!gmtime_r(&when, &parts) || !strftime(t.s, sizeof t.s, "%Y-%m-%d %H:%M UTC", &parts))
    snprintf(t.s, sizeof t.s, "%lld s after 1970", (long long)unix_s);
  return t;
}

struct table {
  const char *const *titles;
  size_t columns;
  char **cells; /* row after row */
  size_t count, capacity;
};

table *table_new(const char *const *titles, size_t columns)
{
  table *self = allocate(1, sizeof *self);
  self->titles = titles;
  self->columns = columns;
  return self;
}

void table_cell(table *self, const char *format, ...)
{
  if (self->count == self->capacity) {
    const size_t larger = self->capacity ? 2 * self->capacity : 64;
    char **cells = allocate(larger, sizeof *cells);
    if (self->count)
      memcpy(cells, self->cells, self->count * sizeof *cells);
    free(self->cells);
    self->cells = cells;
    self->capacity = larger;
  }
  va_list args;
  va_start(args, format);
  if (vasprintf(&self->cells[self->count], format, args) < 0)
    exit(fail("no memory"));
  va_end(args);
  self->count++;
}

static bool is_left(const char *title)
{
  return title[0] == '<';
}

static void print_cell(const char *cell, bool left, size_t width, bool last)
{
  if (left)
    printf("%-*s", last ? 0 : (int)width, cell);
  else
    printf("%*s", (int)width, cell);
  fputs(last ? "\n" : "  ", stdout);
}

void table_print(table *self)
{
  size_t *widths = allocate(self->columns, sizeof *widths);
  for (size_t c = 0; c < self->columns; c++)
    widths[c] = strlen(self->titles[c]) - is_left(self->titles[c]);
  for (size_t i = 0; i < self->count; i++) {
    const size_t width = strlen(self->cells[i]);
    if (width > widths[i % self->columns])
      widths[i % self->columns] = width;
  }
  for (size_t c = 0; c < self->columns; c++) {
    const bool left = is_left(self->titles[c]);
    print_cell(self->titles[c] + left, left, widths[c], c + 1 == self->columns);
  }
  for (size_t i = 0; i < self->count; i++) {
    const size_t c = i % self->columns;
    print_cell(self->cells[i], is_left(self->titles[c]), widths[c], c + 1 == self->columns);
    free(self->cells[i]);
  }
  free(widths);
  free(self->cells);
  free(self);
}
