/* SPDX-License-Identifier: Apache-2.0 */
#include "run/labels.h"

#include "common/diagnose.h"

#include <qosbatch/quantize.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int labels_read(const char *path, uint64_t count, uint32_t *labels)
{
  FILE *file = fopen(path, "r");
  char line[64];
  uint64_t read = 0;
  int result = file ? EXIT_DONE : fail("cannot read '%s': %s", path, strerror(errno));
  while (!result && fgets(line, sizeof line, file)) {
    char *end;
    errno = 0;
    const unsigned long long label = strtoull(line, &end, 10);
    if (!isdigit((unsigned char)*line) || errno || label >= QB_NO_ANSWER ||
        (*end && *end != '\n' && *end != '\r'))
      result = fail("%s:%llu: expected the number of a class, 0 or more", path,
                    (unsigned long long)read + 1);
    else if (read == count)
      result = fail("%s has more than %llu labels, one for each sample", path,
                    (unsigned long long)count);
    else
      labels[read++] = (uint32_t)label;
  }
  if (!result && ferror(file))
    result = fail("cannot read '%s': %s", path, strerror(errno));
  if (!result && read < count)
    result = fail("%s has %llu labels for %llu samples; give one for each", path,
                  (unsigned long long)read, (unsigned long long)count);
  if (file)
    fclose(file);
  return result;
}
