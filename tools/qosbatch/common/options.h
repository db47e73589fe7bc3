/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines, read and explained from one table of options. */
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H

#include "command.h"
#include "common/files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Different integers in the order they were given; free(values). */
typedef struct integer_list {
  uint32_t *values; /* NULL: none given */
  size_t count;
} integer_list;

typedef enum option_kind {
  OPTION_KIND_FLAG,
  OPTION_KIND_INTEGER, /* from `least` to `most` */
  OPTION_KIND_NUMBER,  /* above `least` and below `most` */
  OPTION_KIND_PERCENT, /* the same, from 1 on: less is a share by mistake */
  OPTION_KIND_LIST,    /* integers from `least` to `most`: "1,3,24", "1-8" */
  OPTION_KIND_STRING
} option_kind;

/* Targets keep what they hold when their option is not given. */
typedef struct option {
  option_kind kind;
  char letter; /* short form, or 0 */
  const char *name;
  const char *value; /* what help calls the value */
  const char *help;
  double least, most;
  union {
    bool *flag;
    uint64_t *integer;
    double *number;
    integer_list *list;
    const char **string;
  } target;
  file_role role; /* of the file that a string names */
} option;

#define OPTION_FLAG(name, to, help)                                                                \
  {                                                                                                \
    OPTION_KIND_FLAG, 0, name, NULL, help, 0, 0,                                                   \
    {                                                                                              \
      .flag = to                                                                                   \
    }                                                                                              \
  }
#define OPTION_INTEGER(name, value, to, least, most, help)                                         \
  {                                                                                                \
    OPTION_KIND_INTEGER, 0, name, value, help, least, most,                                        \
    {                                                                                              \
      .integer = to                                                                                \
    }                                                                                              \
  }
#define OPTION_NUMBER(name, value, to, least, most, help)                                          \
  {                                                                                                \
    OPTION_KIND_NUMBER, 0, name, value, help, least, most,                                         \
    {                                                                                              \
      .number = to                                                                                 \
    }                                                                                              \
  }
#define OPTION_PERCENT(name, value, to, help)                                                      \
  {                                                                                                \
    OPTION_KIND_PERCENT, 0, name, value, help, 0, 100,                                             \
    {                                                                                              \
      .number = to                                                                                 \
    }                                                                                              \
  }
#define OPTION_LIST(name, value, to, least, most, help)                                            \
  {                                                                                                \
    OPTION_KIND_LIST, 0, name, value, help, least, most,                                           \
    {                                                                                              \
      .list = to                                                                                   \
    }                                                                                              \
  }
#define OPTION_STRING(letter, name, value, to, help)                                               \
  {                                                                                                \
    OPTION_KIND_STRING, letter, name, value, help, 0, 0,                                           \
    {                                                                                              \
      .string = to                                                                                 \
    }                                                                                              \
  }

#define OPTION_FILE(letter, name, value, to, role, help)                                           \
  {                                                                                                \
    OPTION_KIND_STRING, letter, name, value, help, 0, 0,                                           \
        {                                                                                          \
            .string = to,                                                                          \
        },                                                                                         \
        role                                                                                       \
  }

/*
 * Reads the arguments behind the command's name. Returns the operand, NULL if there is none and
 * none is needed. Ends the process after --help, and with EXIT_USAGE when anything is wrong or a
 * file that is written is one that is read, too.
 */
const char *options_parse(const command *self, const option *options, size_t count, int argc,
                          char **argv);

/* The same with up to `most` operands, one or more; returns their number. */
size_t options_parse_many(const command *self, const option *options, size_t count, int argc,
                          char **argv, const char **operands, size_t most);

/* Prints what --version does. Returns the exit status. */
int options_version(void);

#endif
