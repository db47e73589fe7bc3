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

static inline bool precisions_have(const precision_list *list, qb_precision precision)
{
  for (size_t i = 0; i < list->count; i++)
    if (list->values[i] == precision)
      return true;
  return false;
}

/* Ends the process with EXIT_USAGE if there is a quantized form, which none of these would use. */
void precisions_use_int8(const precision_list *list, const char *int8);

/*
 * precisions_named() for a command that measures only if no profile is given. With one, precisions end
 * the process with EXIT_USAGE, and so does a quantized form that would not be used.
 */
precision_list precisions_asked(const char *names, double accuracy, const char *int8,
                                const char *profile);

/*
 * Refuses precisions that were given and that the network or this processor does not allow. Where none was
 * given, they are f32, or int8 if the network is quantized; with an accuracy to choose by, all that are
 * allowed. Returns the exit status, after a message.
 */
int precisions_resolve(qb_model *model, bool by_accuracy, precision_list *list);

/* Notes why a plan at an accuracy (0: none) does not use precisions that it might have used. */
void precisions_explain(const qb_profile *profile, double accuracy, bool has_int8,
                        qb_precision chosen);

/* The precision of that name, or a profile's first one for NULL; 32-bit floats come first. */
qb_precision precision_named(const char *name, const qb_profile *profile);

static inline bool same_configuration(const qb_configuration *a, const qb_configuration *b)
{
  return a->instances == b->instances && a->threads == b->threads && a->precision == b->precision;
}

#endif
