/* SPDX-License-Identifier: Apache-2.0 */
/* Precisions by their names on the command line. */
#ifndef TOOL_PRECISIONS_H
#define TOOL_PRECISIONS_H

#include <qosbatch/profile.h>

#include <stdbool.h>

enum { MOST_PRECISIONS = 3 };

/* Different ones, in the order they were given. */
typedef struct precision_list {
  qb_precision values[MOST_PRECISIONS];
  size_t count; /* 0: none given */
} precision_list;

/* "f32,int8"; NULL: none given. Anything else ends the process with EXIT_USAGE. */
precision_list precisions_named(const char *names);

/* The precision of that name, or a profile's first one for NULL; 32-bit floats come first. */
qb_precision precision_named(const char *name, const qb_profile *profile);

static inline bool same_configuration(const qb_configuration *a, const qb_configuration *b)
{
  return a->instances == b->instances && a->threads == b->threads && a->precision == b->precision;
}

#endif
