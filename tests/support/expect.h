/* SPDX-License-Identifier: Apache-2.0 */
/* Assertions on statuses and their messages. */
#ifndef QB_SUPPORT_EXPECT_H
#define QB_SUPPORT_EXPECT_H

#include <qosbatch/status.h>

#include <stdint.h>
#include <string.h>

#include "support/unit.h"

static inline void check_status(qb_status got, qb_status expected, const char *expression,
                                const char *file, int line)
{
  if (got == expected)
    return;
  print_error("%s: %s instead of %s: %s\n", expression, qb_status_name(got),
              qb_status_name(expected), qb_error_message());
  _fail(file, line);
}

static inline void check_message(const char *part, const char *file, int line)
{
  if (strstr(qb_error_message(), part))
    return;
  print_error("no \"%s\" in the message \"%s\"\n", part, qb_error_message());
  _fail(file, line);
}

/* The message is shown when the status is another one. */
#define assert_status(expression, expected)                                                        \
  check_status(expression, expected, #expression, __FILE__, __LINE__)
#define assert_ok(expression) assert_status(expression, QB_OK)

/* The last failure of this thread mentions `part`. */
#define assert_message(part) check_message(part, __FILE__, __LINE__)

#endif
