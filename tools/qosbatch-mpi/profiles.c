/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles.h"

#include "common/diagnose.h"
#include "common/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct entry {
  char *text;
  size_t bytes;
  qb_profile *profile;
} entry;

struct profiles {
  qb_context *context;
  entry *entries;
  size_t count;
};

enum { PATH_BYTES = 512 };

/* A new file in $TMPDIR or /tmp, or -1 after a message. */
static int open_temporary(char path[PATH_BYTES])
{
  const char *folder = getenv("TMPDIR");
  snprintf(path, PATH_BYTES, "%s/qosbatch-mpi-XXXXXX", folder && *folder ? folder : "/tmp");
  const int fd = mkstemp(path);
  if (fd < 0)
    fail("cannot make '%s': %s", path, strerror(errno));
  return fd;
}

static char *read_file(const char *path, size_t *bytes)
{
  FILE *file = fopen(path, "re");
  char *text = NULL;
  if (file && !fseek(file, 0, SEEK_END)) {
    const long size = ftell(file);
    rewind(file);
    text = size > 0 ? allocate((size_t)size, 1) : NULL;
    if (text && fread(text, 1, (size_t)size, file) != (size_t)size) {
      free(text);
      text = NULL;
    }
    *bytes = (size_t)size;
  }
  if (!text)
    fail("cannot read '%s': %s", path, strerror(errno));
  if (file)
    fclose(file);
  return text;
}

char *profile_to_text(const qb_profile *profile, size_t *bytes)
{
  char path[PATH_BYTES];
  const int fd = open_temporary(path);
  if (fd < 0)
    return NULL;
  close(fd);
  char *text = check(qb_profile_save(profile, path)) ? NULL : read_file(path, bytes);
  (void)unlink(path);
  return text;
}

profiles *profiles_new(qb_context *context)
{
  profiles *self = allocate(1, sizeof *self);
  self->context = qb_context_ref(context);
  return self;
}

static qb_profile *load_text(qb_context *context, const char *text, size_t bytes)
{
  char path[PATH_BYTES];
  const int fd = open_temporary(path);
  if (fd < 0)
    return NULL;
  qb_profile *profile = NULL;
  if (write(fd, text, bytes) != (ssize_t)bytes)
    fail("cannot write '%s': %s", path, strerror(errno));
  else if (check(qb_profile_load(context, path, &profile)))
    profile = NULL;
  close(fd);
  (void)unlink(path);
  return profile;
}

const qb_profile *profiles_add(profiles *self, const char *text, size_t bytes)
{
  for (size_t i = 0; i < self->count; i++)
    if (self->entries[i].bytes == bytes && !memcmp(self->entries[i].text, text, bytes))
      return self->entries[i].profile;
  qb_profile *profile = load_text(self->context, text, bytes);
  if (!profile)
    return NULL;
  entry *entries = allocate(self->count + 1, sizeof *entries);
  if (self->count)
    memcpy(entries, self->entries, self->count * sizeof *entries);
  free(self->entries);
  self->entries = entries;
  entries[self->count] = (entry){allocate(bytes, 1), bytes, profile};
  memcpy(entries[self->count].text, text, bytes);
  return entries[self->count++].profile;
}

void profiles_free(profiles *self)
{
  if (!self)
    return;
  for (size_t i = 0; i < self->count; i++) {
    free(self->entries[i].text);
    qb_profile_unref(self->entries[i].profile);
  }
  free(self->entries);
  qb_context_unref(self->context);
  free(self);
}
