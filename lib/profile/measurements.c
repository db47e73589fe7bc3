/* SPDX-License-Identifier: Apache-2.0 */
/* A profile of rounds that somebody else timed: rows of a CSV file, grouped into points. */
#include "profile/measurements_text.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/file.h"
#include "core/structs.h"
#include "model/configuration.h"
#include "profile/csv.h"
#include "profile/profile_given.h"
#include "profile/statistics.h"

#include <qosbatch/measurements.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LARGEST_FILE = 64 << 20 };

/* Shorter than any round: a time in seconds, milliseconds or microseconds by mistake. */
static const double LEAST_NS = 1000;
static const double MOST_NS = (double)(INT64_C(1) << 56); /* as in a stored profile: two years */

enum { INSTANCES, THREADS, BATCH, LATENCY, PRECISION, COLUMNS, REQUIRED = PRECISION };
static const char *const names[COLUMNS] = {"instances", "threads", "batch", "latency_ns",
                                           "precision"};

typedef struct row {
  uint32_t key[LATENCY]; /* instances, threads, batch */
  qb_precision precision;
  int64_t latency_ns;
} row;

typedef struct reader {
  const char *path;
  qb__csv csv;
  size_t column_count, columns[COLUMNS]; /* where each of ours stands; SIZE_MAX: nowhere */
  row *rows;
  size_t row_count, row_capacity;
} reader;

static int by_point_and_latency(const void *a, const void *b)
{
  const row *x = a, *y = b;
  for (int i = 0; i < LATENCY; i++)
    if (x->key[i] != y->key[i])
      return x->key[i] < y->key[i] ? -1 : 1;
  if (x->precision != y->precision)
    return x->precision < y->precision ? -1 : 1;
  return x->latency_ns < y->latency_ns ? -1 : x->latency_ns > y->latency_ns;
}

static bool is(const qb__csv_field *field, const char *name)
{
  return field->length == strlen(name) && !memcmp(field->text, name, field->length);
}

/* For "%.*s": enough of a field to recognise it. */
static int shown(const qb__csv_field *field)
{
  return field->length < 40 ? (int)field->length : 40;
}

/* Remedies for what people most often have instead of latency_ns. */
static const char *remedy_of_latency(const qb__csv *csv)
{
  static const struct {
    const char *ending, *remedy;
  } units[] = {{"_us", "multiply microseconds by 1000"},
               {"_ms", "multiply milliseconds by 1000000"},
               {"_s", "multiply seconds by 1000000000"}};
  for (size_t i = 0; i < csv->count; i++)
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
      const qb__csv_field *f = &csv->fields[i];
      const size_t n = strlen(units[u].ending);
      if (f->length > n && !memcmp(f->text + f->length - n, units[u].ending, n))
        return units[u].remedy;
    }
  return "name the columns in the first line";
}

static qb_status read_header(reader *r)
{
  if (!qb__csv_next(&r->csv) && !r->csv.wrong)
    return qb__fail(QB_ERROR_FORMAT, "%s: the file is empty; expected a line of column names",
                    r->path);
  if (r->csv.wrong)
    return qb__fail(QB_ERROR_FORMAT, "%s:%zu: %s", r->path, r->csv.line, r->csv.wrong);
  r->column_count = r->csv.count;
  for (int c = 0; c < COLUMNS; c++) {
    size_t found = 0;
    for (size_t i = 0; i < r->csv.count; i++)
      if (is(&r->csv.fields[i], names[c])) {
        r->columns[c] = i;
        found++;
      }
    if (found > 1)
      return qb__fail(QB_ERROR_FORMAT, "%s:%zu: column '%s' appears %zu times; keep one", r->path,
                      r->csv.line, names[c], found);
    if (!found && c >= REQUIRED)
      r->columns[c] = SIZE_MAX;
    else if (!found)
      return qb__fail(
          QB_ERROR_FORMAT,
          "%s:%zu: column '%s' is missing; expected instances, threads, batch and latency_ns; %s",
          r->path, r->csv.line, names[c],
          c == LATENCY ? remedy_of_latency(&r->csv) : "name the columns in the first line");
  }
  return QB_OK;
}

/* Reads digits on from `value`; returns how many there are. */
static size_t read_digits(const char **at, const char *end, double *value)
{
  size_t count = 0;
  for (; *at < end && **at >= '0' && **at <= '9'; (*at)++, count++)
    *value = 10 * *value + (**at - '0');
  return count;
}

/*
 * A number without a sign, such as 12345678, 12345678.0 or 1.2e+07; negative if it is none. Not
 * strtod(), which goes by the host's locale and takes "nan", blanks and hexadecimal digits.
 */
static double number_of(const qb__csv_field *field)
{
  const char *at = field->text, *end = at + field->length;
  double value = 0, exponent = 0;
  size_t digits = read_digits(&at, end, &value), behind_point = 0;
  if (at < end && *at == '.') {
    at++;
    behind_point = read_digits(&at, end, &value);
  }
  if (digits + behind_point == 0)
    return -1;
  if (at < end && (*at == 'e' || *at == 'E')) {
    at++;
    const bool negative = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    if (!read_digits(&at, end, &exponent))
      return -1;
    exponent = negative ? -exponent : exponent;
  }
  return at == end ? value * pow(10, exponent - (double)behind_point) : -1;
}

static qb_status refuse(const reader *r, int column, const char *expected)
{
  const qb__csv_field *field = &r->csv.fields[r->columns[column]];
  return qb__fail(QB_ERROR_FORMAT, "%s:%zu: %s '%.*s': expected %s", r->path, r->csv.line,
                  names[column], shown(field), field->text, expected);
}

/* Floats where there is no such column. */
static bool read_precision(const reader *r, qb_precision *precision)
{
  *precision = QB_PRECISION_F32;
  if (r->columns[PRECISION] == SIZE_MAX)
    return true;
  for (int p = 0; p < QB__PRECISIONS; p++)
    if (is(&r->csv.fields[r->columns[PRECISION]], qb_precision_name((qb_precision)p))) {
      *precision = (qb_precision)p;
      return true;
    }
  return false;
}

static qb_status read_row(reader *r, row *made)
{
  static const double most[LATENCY] = {QB__MAX_GIVEN_CORES, QB__MAX_GIVEN_CORES, QB_MAX_BATCH};
  if (r->csv.count != r->column_count)
    return qb__fail(QB_ERROR_FORMAT, "%s:%zu: %zu field%s, expected %zu as in the first line",
                    r->path, r->csv.line, r->csv.count, r->csv.count == 1 ? "" : "s",
                    r->column_count);
  for (int c = 0; c < LATENCY; c++) {
    const double value = number_of(&r->csv.fields[r->columns[c]]);
    if (!(value >= 1 && value <= most[c]) || value != floor(value))
      return refuse(r, c, "a whole number from 1 to 65536");
    made->key[c] = (uint32_t)value;
  }
  if (!read_precision(r, &made->precision))
    return refuse(r, PRECISION, "f32, bf16 or int8");
  const double latency_ns = number_of(&r->csv.fields[r->columns[LATENCY]]);
  if (!(latency_ns > 0))
    return refuse(r, LATENCY, "a time in nanoseconds above 0");
  if (latency_ns < LEAST_NS)
    return refuse(r, LATENCY,
                  "nanoseconds, and no round takes less than 1000; multiply milliseconds by "
                  "1000000");
  if (latency_ns > MOST_NS)
    return refuse(r, LATENCY, "nanoseconds, and no round takes two years");
  made->latency_ns = qb__clamp_i64(latency_ns);
  return QB_OK;
}

static qb_status read_rows(qb_context *context, reader *r)
{
  qb_status status = read_header(r);
  while (!status && qb__csv_next(&r->csv)) {
    if (!qb__grow(context, &r->rows, r->row_count, &r->row_capacity, sizeof *r->rows))
      return QB_ERROR_NO_MEMORY;
    status = read_row(r, &r->rows[r->row_count]);
    r->row_count += !status;
  }
  if (status)
    return status;
  if (r->csv.wrong)
    return qb__fail(QB_ERROR_FORMAT, "%s:%zu: %s", r->path, r->csv.line, r->csv.wrong);
  if (!r->row_count)
    return qb__fail(QB_ERROR_FORMAT, "%s: no rows after the column names", r->path);
  qsort(r->rows, r->row_count, sizeof *r->rows, by_point_and_latency);
  return QB_OK;
}

static bool same_point(const row *a, const row *b)
{
  return !memcmp(a->key, b->key, sizeof a->key) && a->precision == b->precision;
}

/* The times of the rows that are alike from `first` on; returns how many there are. */
static size_t take_rows(const reader *r, size_t first, int64_t *samples)
{
  const row *head = &r->rows[first];
  size_t count = 0;
  for (; first + count < r->row_count && same_point(&head[count], head); count++)
    samples[count] = head[count].latency_ns;
  return count;
}

/* Makes a point of the rows that are alike from `first` on; returns where they end. */
static size_t make_point(const reader *r, size_t first, const qb__spread *spread, int64_t *samples,
                         qb_profile_point *p)
{
  const row *head = &r->rows[first];
  const size_t count = take_rows(r, first, samples);
  *p = (qb_profile_point)QB_PROFILE_POINT_INIT;
  p->configuration.instances = head->key[INSTANCES];
  p->configuration.threads = head->key[THREADS];
  p->configuration.precision = head->precision;
  p->batch = head->key[BATCH];
  p->visits = (uint32_t)count;
  p->latency_ns = qb__quantile_ns(samples, count, 0.5);
  if (count < QB__FEWEST_RANKED)
    qb__few_interval_ns(spread, samples, count, &p->low_ns, &p->high_ns);
  else
    qb__median_interval_ns(samples, count, &p->low_ns, &p->high_ns);
  if (p->high_ns > (int64_t)MOST_NS)
    p->high_ns = (int64_t)MOST_NS;
  p->p95_ns = qb__quantile_ns(samples, count, 0.95);
  p->mean_ns = qb__mean_ns(samples, count);
  if (p->mean_ns < p->latency_ns)
    p->mean_ns = p->latency_ns;
  return first + count;
}

static qb_status make_points(qb_context *context, const reader *r, qb_profile_point **points,
                             size_t *count)
{
  *count = 0;
  for (size_t i = 0; i < r->row_count; i++)
    *count += !i || !same_point(&r->rows[i - 1], &r->rows[i]);
  if (*count > QB__MAX_GIVEN_POINTS)
    return qb__fail(QB_ERROR_OVERFLOW, "%s: %zu different points; a profile has at most %d",
                    r->path, *count, QB__MAX_GIVEN_POINTS);
  *points = qb__calloc(context, *count, sizeof **points);
  int64_t *samples = qb__calloc(context, r->row_count, sizeof *samples);
  if (*points && samples) {
    qb__spread spread = {0, 0};
    for (size_t at = 0, rows; at < r->row_count; at += rows) {
      rows = take_rows(r, at, samples);
      qb__spread_add(&spread, samples, rows);
    }
    for (size_t i = 0, at = 0; i < *count; i++)
      at = make_point(r, at, &spread, samples, &(*points)[i]);
  }
  qb__free(context, samples);
  return *points && samples ? QB_OK : QB_ERROR_NO_MEMORY;
}

/* The file's name without folders and ending, as text that any file can hold. */
static void name_of_file(const char *path, char name[64])
{
  const char *slash = strrchr(path, '/');
  const char *first = slash ? slash + 1 : path;
  const char *dot = strrchr(first, '.');
  const size_t length = dot && dot > first ? (size_t)(dot - first) : strlen(first);
  snprintf(name, 64, "%.*s", length < 63 ? (int)length : 63, first);
  for (char *c = name; *c; c++)
    *c = *c < ' ' || *c > '~' ? '_' : *c;
}

static qb_status make_profile(qb_context *context, const reader *r,
                              const qb_measurements_params *params, qb_profile **profile)
{
  char name[64];
  name_of_file(r->path, name);
  struct stat file;
  qb__points_origin origin = {.engine = "measurements", .name = name};
  origin.created_unix_s = stat(r->path, &file) || file.st_mtime < 0 ? 0 : (int64_t)file.st_mtime;
  for (size_t i = 0; i < r->row_count; i++)
    if (__builtin_add_overflow(origin.measure_ns, r->rows[i].latency_ns, &origin.measure_ns) ||
        origin.measure_ns > (int64_t)MOST_NS)
      origin.measure_ns = (int64_t)MOST_NS;
  qb_profile_point *points = NULL;
  size_t count;
  qb_status status = make_points(context, r, &points, &count);
  if (!status)
    status = qb__profile_of_given(context, &origin, params, points, count, profile);
  qb__free(context, points);
  return status;
}

qb_status qb__measurements_parse(qb_context *context, const char *path, char *text, size_t bytes,
                                 const qb_measurements_params *params, qb_profile **profile)
{
  reader *r = qb__calloc(context, 1, sizeof *r);
  if (!r)
    return QB_ERROR_NO_MEMORY;
  r->path = path;
  qb__csv_open(&r->csv, text, bytes);
  qb_status status = read_rows(context, r);
  if (!status)
    status = make_profile(context, r, params, profile);
  qb__free(context, r->rows);
  qb__free(context, r);
  return status;
}

qb_status qb_profile_from_measurements(qb_context *context, const char *path,
                                       const qb_measurements_params *params, qb_profile **profile)
{
  if (!context || !path || !profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !context ? "context"
                    : !path  ? "path"
                             : "profile");
  qb_measurements_params use = QB_MEASUREMENTS_PARAMS_INIT;
  qb_status status = QB_OK;
  if (params)
    status = QB__STRUCT_IN(qb_measurements_params, &use, params);
  char *text = NULL;
  size_t bytes = 0;
  if (!status)
    status = qb__file_read(context, path, LARGEST_FILE, &text, &bytes);
  if (!status)
    status = qb__measurements_parse(context, path, text, bytes, &use, profile);
  qb__free(context, text);
  return status;
}
