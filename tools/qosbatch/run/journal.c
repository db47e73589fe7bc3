/* SPDX-License-Identifier: Apache-2.0 */
#include "run/journal.h"

#include "common/diagnose.h"
#include "common/files.h"
#include "common/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char HEADER[] = "qosbatch-journal 2";

struct journal {
  char *path;
  int fd;
  char *text;     /* of earlier runs, NUL-terminated */
  size_t records; /* where the records begin in it */
};

static int fail_io(const char *doing, const char *path)
{
  return fail("cannot %s '%s': %s", doing, path, strerror(errno));
}

static int write_all(const journal *self, const char *text, size_t bytes)
{
  /* One call for a record: a kill leaves all of it or, on a full disk, a part that is cut off. */
  while (bytes) {
    const ssize_t n = write(self->fd, text, bytes);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail_io("write", self->path);
    text += n;
    bytes -= (size_t)n;
  }
  return EXIT_DONE;
}

static int read_all(journal *self)
{
  struct stat info;
  if (fstat(self->fd, &info))
    return fail_io("read", self->path);
  if (!S_ISREG(info.st_mode))
    return fail("'%s' is not a regular file; a job keeps its progress there", self->path);
  const size_t bytes = (size_t)info.st_size;
  self->text = allocate(bytes + 1, 1);
  for (size_t used = 0; used < bytes;) {
    const ssize_t n = pread(self->fd, self->text + used, bytes - used, (off_t)used);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail_io("read", self->path);
    if (n == 0)
      break;
    used += (size_t)n;
  }
  return EXIT_DONE;
}

/* Cuts the next whole line off; NULL if there is none. */
static char *next_line(char **at)
{
  char *line = *at, *end = strchr(line, '\n');
  if (!end)
    return NULL;
  *end = 0;
  *at = end + 1;
  return line;
}

static int fail_as_other(const char *path, const char *kept, const char *job)
{
  json_t *theirs = json_loads(kept, 0, NULL), *ours = json_loads(job, 0, NULL), *value;
  char list[128] = "";
  const char *key;
  json_object_foreach(ours, key, value)
  {
    const size_t used = strlen(list);
    if (!json_equal(value, json_object_get(theirs, key)))
      snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", key);
  }
  json_decref(theirs);
  json_decref(ours);
  return fail("'%s' belongs to another job, with another %s; finish that job, or remove the file "
              "to start over",
              path, list);
}

int journal_open(const char *path, const char *job, journal **opened, const char **plan)
{
  journal *self = allocate(1, sizeof *self);
  self->path = strdup(path);
  self->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  int result = EXIT_DONE;
  if (!self->path)
    result = fail("no memory");
  else if (self->fd < 0)
    result = fail_io("open", path);
  else if (flock(self->fd, LOCK_EX | LOCK_NB))
    result = fail("'%s' is in use: another run of this job is under way", path);
  else
    result = read_all(self);
  if (!result) {
    char *at = self->text;
    const char *header = next_line(&at), *kept = next_line(&at), *kept_plan = next_line(&at);
    *plan = kept_plan ? kept_plan : "";
    self->records = (size_t)(at - self->text);
    if (strncmp(header ? header : at, HEADER, strlen(header ? header : at)) != 0) {
      result =
          fail("'%s' is not the journal of a job; move it away, as progress is kept there", path);
    } else if (!kept_plan) { /* killed before there was anything to go on with, or new */
      char head[4096];
      const int n = snprintf(head, sizeof head, "%s\n%s\n", HEADER, job);
      self->records = 0;
      if (n < 0 || (size_t)n >= sizeof head)
        result = fail("'%s': the job's paths are too long", path);
      else if (ftruncate(self->fd, 0))
        result = fail_io("write", path);
      else
        result = write_all(self, head, (size_t)n);
      *self->text = 0;
    } else if (strcmp(kept, job) != 0)
      result = fail_as_other(path, kept, job);
  }
  if (result)
    journal_close(self);
  else
    *opened = self;
  return result;
}

int journal_open_scratch(const char *path, journal **opened)
{
  journal *self = allocate(1, sizeof *self);
  self->path = joined(path, JOB_JOURNAL);
  self->fd = files_open_scratch(path);
  if (self->fd < 0) {
    const int result = fail_io("make a file beside", path);
    journal_close(self);
    return result;
  }
  *opened = self;
  return EXIT_DONE;
}

int journal_begin(journal *self, const char *plan)
{
  return write_all(self, plan, strlen(plan)) || write_all(self, "\n", 1) ? EXIT_FAILED : EXIT_DONE;
}

/*
 * "done FIRST COUNT CHECKSUM ELAPSED_NS [STATE ...]", a state being the number of a sample in the
 * round that could not be read, or that and an n of one that is not finite. `states` has room for
 * `most`.
 */
static bool read_record(const char *line, uint64_t samples, row_state *states, uint32_t most,
                        journal_record *record)
{
  int used = 0;
  if (sscanf(line, "done %" SCNu64 " %" SCNu32 " %" SCNx64 " %" SCNd64 "%n", &record->first,
             &record->count, &record->checksum, &record->elapsed_ns, &used) != 4)
    return false;
  if (!record->count || record->count > most || record->count > samples ||
      record->first > samples - record->count)
    return false;
  memset(states, ROW_OK, record->count * sizeof *states);
  for (line += used; *line; line += used) {
    uint32_t index;
    if (sscanf(line, " %" SCNu32 "%n", &index, &used) != 1 || index >= record->count)
      return false;
    const bool not_finite = line[used] == 'n';
    states[index] = not_finite ? ROW_NOT_FINITE : ROW_UNREADABLE;
    used += not_finite;
  }
  record->states = states;
  return true;
}

enum { MOST_SAMPLES = 65536 }; /* in a record: the largest batch */

static const char FINISH[] = "\noutput ";

int journal_replay(journal *self, uint64_t samples,
                   void (*each)(void *user, const journal_record *record), void *user)
{
  char *at = self->text + self->records;
  row_state *states = allocate(MOST_SAMPLES, sizeof *states);
  size_t good = self->records;
  for (char *line; (line = next_line(&at)) != NULL; good = (size_t)(at - self->text)) {
    journal_record record;
    if (!strncmp(line, FINISH + 1, strlen(FINISH + 1)))
      continue;
    if (!read_record(line, samples, states, MOST_SAMPLES, &record))
      break;
    each(user, &record);
  }
  free(states);
  return !good || !ftruncate(self->fd, (off_t)good) ? EXIT_DONE : fail_io("write", self->path);
}

int journal_append(journal *self, const journal_record *record)
{
  enum { FIXED = 128, DIGITS = 8 };
  const size_t room = FIXED + (size_t)record->count * DIGITS;
  char *line = allocate(room, 1);
  int n = snprintf(line, room, "done %" PRIu64 " %" PRIu32 " %016" PRIx64 " %" PRId64,
                   record->first, record->count, record->checksum, record->elapsed_ns);
  for (uint32_t i = 0; i < record->count; i++)
    if (record->states[i] != ROW_OK)
      n += snprintf(line + n, room - (size_t)n, " %" PRIu32 "%s", i,
                    record->states[i] == ROW_NOT_FINITE ? "n" : "");
  line[n++] = '\n';
  const int result = write_all(self, line, (size_t)n);
  free(line);
  return result;
}

int journal_finish(journal *self, uint64_t inode)
{
  char line[64];
  const int n = snprintf(line, sizeof line, "%s%" PRIu64 "\n", FINISH + 1, inode);
  return write_all(self, line, (size_t)n);
}

uint64_t journal_finished(const journal *self)
{
  uint64_t inode = 0;
  for (const char *at = self->text + self->records; (at = strstr(at, FINISH)); at++)
    inode = strtoull(at + strlen(FINISH), NULL, 10);
  return inode;
}

void journal_remove(journal *self)
{
  (void)unlink(self->path);
}

void journal_close(journal *self)
{
  if (!self)
    return;
  if (self->fd >= 0)
    close(self->fd);
  free(self->text);
  free(self->path);
  free(self);
}
