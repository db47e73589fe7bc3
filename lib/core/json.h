/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON files over jansson, read field by field. The first thing that is wrong is kept with its
 * file and JSON path; after it every read does nothing, so callers check once at the end.
 */
#ifndef QB_CORE_JSON_H
#define QB_CORE_JSON_H

#include <qosbatch/context.h>

#include <jansson.h>
#include <stdbool.h>

typedef struct qb__json_file {
  const qb_context *context;
  const char *path;
  json_t *root;
  qb_status status;
} qb__json_file;

enum { QB__JSON_MOST_FIELDS = 40 };

/* A place in the file. Stack objects; a parent outlives its children. */
typedef struct qb__json {
  qb__json_file *file;
  const json_t *value;
  const struct qb__json *parent;
  const char *key; /* in the parent; NULL in an array and at the root */
  size_t index;    /* in the parent, if an array */
  const char *seen[QB__JSON_MOST_FIELDS];
  size_t seen_count;
} qb__json;

/*
 * Opens a file of at most `limit` bytes whose root is an object with "format": `format` and
 * "version": at most `version`. Close it whatever is returned.
 */
qb_status qb__json_open(qb__json_file *file, const qb_context *context, const char *path,
                        size_t limit, const char *format, int version, qb__json *root);

/* The same of text that is in memory already; `path` stands in messages only. */
qb_status qb__json_parse(qb__json_file *file, const qb_context *context, const char *path,
                         const char *text, size_t bytes, const char *format, int version,
                         qb__json *root);

void qb__json_close(qb__json_file *file);

/* Whether a field is there; for those that older files lack. */
bool qb__json_has(const qb__json *at, const char *key);

/* Required fields. After a failure numbers are `least`, strings "" and objects empty. */
double qb__json_double(qb__json *at, const char *key, double least, double most);
int64_t qb__json_int(qb__json *at, const char *key, int64_t least, int64_t most);
bool qb__json_bool(qb__json *at, const char *key);
const char *qb__json_string(qb__json *at, const char *key);
void qb__json_object(qb__json *at, const char *key, qb__json *object);

/* A required array of `least`..`most` elements; returns their number, 0 after a failure. */
size_t qb__json_array(qb__json *at, const char *key, size_t least, size_t most, qb__json *array);
void qb__json_element(qb__json *array, size_t index, qb__json *element);
const char *qb__json_element_string(qb__json *array, size_t index);
double qb__json_element_double(qb__json *array, size_t index, double least, double most);

/* Fails on a field of `at` that was never asked for. */
void qb__json_end(qb__json *at);

/* Fails at this place: "FILE: PATH: text". */
__attribute__((format(printf, 3, 4))) void qb__json_fail(qb__json *at, const char *key,
                                                         const char *format, ...);

/*
 * Adds an array to an object, unless it is empty: older readers need not know of it. Takes over both,
 * each of which may be NULL after a failed allocation; NULL is then returned.
 */
json_t *qb__json_with(json_t *object, const char *key, json_t *array);

/*
 * Serialises and saves `root` atomically. Takes over `root`, which may be NULL after a failed
 * allocation by jansson.
 */
qb_status qb__json_save(const qb_context *context, const char *path, json_t *root);

#endif
