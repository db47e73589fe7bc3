/* SPDX-License-Identifier: Apache-2.0 */
#include "common/files.h"

#include "common/diagnose.h"
#include "common/output.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that is there by itself, one that is not by its folder and its name in that. */
typedef struct identity {
  dev_t device;
  ino_t inode;
  char *name; /* NULL: it is there */
  bool known;
} identity;

typedef struct entry {
  const char *called, *path;
  file_role role;
  bool beside; /* a job's, beside the output called so */
  identity is;
} entry;

static entry *entries;
static size_t entry_count;

bool is_onnx(const char *name)
{
  const size_t length = strlen(name);
  return length > 5 && !strcasecmp(name + length - 5, ".onnx");
}

/* Where a link points that leads to nothing yet; the path itself if it is none. To be freed. */
static char *follow_links(const char *path)
{
  enum { MOST_LINKS = 40 };
  char *at = joined(path, ""), target[PATH_MAX];
  for (int i = 0; i < MOST_LINKS; i++) {
    const ssize_t bytes = readlink(at, target, sizeof target - 1);
    if (bytes < 0)
      break;
    target[bytes] = 0;
    const char *slash = strrchr(at, '/');
    const size_t folder = *target == '/' || !slash ? 0 : (size_t)(slash - at) + 1;
    char *next = allocate(folder + (size_t)bytes + 1, 1);
    memcpy(next, at, folder);
    memcpy(next + folder, target, (size_t)bytes);
    free(at);
    at = next;
  }
  return at;
}

static identity identify(const char *path)
{
  struct stat info;
  if (!stat(path, &info))
    return (identity){info.st_dev, info.st_ino, NULL, true};
  char *target = follow_links(path), *copy = joined(target, "");
  identity is = {0};
  if (!stat(dirname(copy), &info)) {
    const char *slash = strrchr(target, '/');
    is = (identity){info.st_dev, info.st_ino, joined(slash ? slash + 1 : target, ""), true};
  }
  free(copy);
  free(target);
  return is;
}

static bool is_same(const identity *a, const identity *b)
{
  if (!a->known || !b->known || a->device != b->device || a->inode != b->inode)
    return false;
  return a->name && b->name ? !strcmp(a->name, b->name) : !a->name && !b->name;
}

static bool is_written(const entry *e)
{
  return e->role == FILE_WRITTEN || e->role == FILE_JOB;
}

static void append(const char *called, const char *path, file_role role, bool beside)
{
  entry *larger = allocate(entry_count + 1, sizeof *larger);
  if (entry_count)
    memcpy(larger, entries, entry_count * sizeof *larger);
  free(entries);
  entries = larger;
  entries[entry_count++] = (entry){called, path, role, beside, identify(path)};
}

void files_add(const char *called, const char *path, file_role role)
{
  static const char *const endings[] = {JOB_PART, JOB_JOURNAL, JOB_PROFILE, JOB_TEMPORARY};
  if (role == FILE_MODEL && !is_onnx(path))
    return;
  append(called, path, role, false);
  for (size_t i = 0; role == FILE_JOB && i < sizeof endings / sizeof *endings; i++)
    append(called, joined(path, endings[i]), role, true);
}

static void refuse(const entry *written, const entry *other)
{
  if (written->beside)
    fail_usage("%s '%s' is the progress file of the job of %s; rename one of them", other->called,
               other->path, written->called);
  fail_usage("%s '%s' is also the input of %s '%s'; write to another file", written->called,
             written->path, other->called, other->path);
}

void files_check(void)
{
  for (size_t a = 0; a < entry_count; a++)
    for (size_t b = 0; b < entry_count; b++) {
      const entry *written = &entries[a], *other = &entries[b];
      if (is_written(written) && !is_written(other) && other->role != FILE_REFINED &&
          is_same(&written->is, &other->is))
        refuse(written, other);
    }
}

int files_open_scratch(const char *path)
{
  char *copy = joined(path, "");
  int fd = open(dirname(copy), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  free(copy);
  if (fd < 0)
    fd = memfd_create("qosbatch", MFD_CLOEXEC);
  return fd;
}

int files_check_new_job(const char *output)
{
  static const char *const endings[] = {JOB_PART, JOB_PROFILE, JOB_TEMPORARY};
  char *journal = joined(output, JOB_JOURNAL);
  struct stat info;
  const bool is_new = stat(journal, &info) != 0;
  int result = EXIT_DONE;
  for (size_t i = 0; is_new && !result && i < sizeof endings / sizeof *endings; i++) {
    char *path = joined(output, endings[i]);
    if (!lstat(path, &info))
      result = fail(
          "'%s' exists without the journal '%s' of its job and would be overwritten; move it away",
          path, journal);
    free(path);
  }
  free(journal);
  return result;
}
