/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "trace.h"

#include "common/diagnose.h"
#include "common/output.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(trace *t, size_t *room, int64_t time_ns)
{
  if (t->count == *room) {
    *room = *room ? 2 * *room : 1024;
    int64_t *larger = allocate(*room, sizeof *larger);
    if (t->count)
      memcpy(larger, t->times_ns, t->count * sizeof *larger);
    free(t->times_ns);
    t->times_ns = larger;
  }
  t->times_ns[t->count++] = time_ns;
}

/* Returns 1 for a number, 0 for a line without one, -1 for anything else. */
static int read_line(char *line, double unit_ns, double *time_ns)
{
  line[strcspn(line, "#\r\n")] = 0;
  char *start = line;
  while (isspace((unsigned char)*start))
    start++;
  if (!*start)
    return 0;
  char *end;
  *time_ns = strtod(start, &end) * unit_ns;
  while (isspace((unsigned char)*end))
    end++;
  return *end == 0 && end != start && *time_ns >= 0 && *time_ns < 9e18 ? 1 : -1;
}

int trace_read(const char *path, double unit_ns, bool rising, trace *result)
{
  FILE *file = fopen(path, "r");
  if (!file)
    return fail("cannot read '%s': %s", path, strerror(errno));
  trace t = {NULL, 0};
  size_t room = 0, line_room = 0, number = 0;
  char *line = NULL;
  int status = EXIT_DONE;
  while (!status && getline(&line, &line_room, file) >= 0) {
    double time_ns;
    number++;
    const int kind = read_line(line, unit_ns, &time_ns);
    if (kind > 0 && rising && t.count && (int64_t)time_ns < t.times_ns[t.count - 1])
      status = fail("%s:%zu: '%.40s' is less than the previous time; sort the file by time", path,
                    number, line);
    else if (kind > 0)
      append(&t, &room, (int64_t)time_ns);
    else if (kind < 0)
      status = fail("%s:%zu: '%.40s' is not a time; expected one number per line, 0 or more", path,
                    number, line);
  }
  if (!status && ferror(file))
    status = fail("cannot read '%s': %s", path, strerror(errno));
  if (!status && !t.count)
    status = fail("%s: no times; expected one number per line", path);
  free(line);
  fclose(file);
  if (status)
    free(t.times_ns);
  else
    *result = t;
  return status;
}
