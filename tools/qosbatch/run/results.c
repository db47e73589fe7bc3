/* SPDX-License-Identifier: Apache-2.0 */
#include "run/results.h"

#include "common/diagnose.h"
#include "common/files.h"
#include "common/output.h"
#include "run/content.h"
#include "run/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_RANKS = 5 };

/* In place of the first index of a row that has none; its other ranks are kept. */
static const uint32_t NO_INDEX = UINT32_MAX - ROW_NOT_FINITE;

/* A row of the part file of a CSV output has so many of these, the largest first. */
typedef struct rank {
  uint32_t index;
  float value;
} rank;

struct results {
  char *path, *part;
  int fd;
  bool is_csv;
  uint64_t rows, columns;
  uint32_t ranks; /* of a row, if CSV */
  size_t row_bytes, offset;
};

static bool ends_with(const char *text, const char *ending)
{
  const size_t length = strlen(text), n = strlen(ending);
  return length > n && !strcmp(text + length - n, ending);
}

static int fail_io(const char *doing, const char *path)
{
  return fail("cannot %s '%s': %s", doing, path, strerror(errno));
}

void results_check_path(const char *path)
{
  if (!ends_with(path, ".npy") && !ends_with(path, ".csv"))
    fail_usage("--output '%s': expected a name that ends in .npy or .csv", path);
}

bool results_in_place(const char *path, const journal *progress)
{
  char *part = joined(path, JOB_PART);
  struct stat info;
  const bool in_place = access(part, F_OK) && !stat(path, &info) &&
                        (uint64_t)info.st_ino == journal_finished(progress);
  free(part);
  return in_place;
}

static int write_at(int fd, const void *data, size_t bytes, uint64_t offset)
{
  const char *at = data;
  while (bytes) {
    const ssize_t n = pwrite(fd, at, bytes, (off_t)offset);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return EXIT_FAILED;
    at += n;
    offset += (uint64_t)n;
    bytes -= (size_t)n;
  }
  return EXIT_DONE;
}

/* Takes the space that all rows need, so that a full disk is found out before the work. */
static int make_room(results *self)
{
  uint64_t bytes;
  if (__builtin_mul_overflow(self->rows, self->row_bytes, &bytes) ||
      __builtin_add_overflow(bytes, self->offset, &bytes) || bytes > INT64_MAX)
    return fail("'%s' would be too large", self->path);
  struct stat info;
  if (fstat(self->fd, &info))
    return fail_io("open", self->part);
  if (!S_ISREG(info.st_mode))
    return fail("'%s' is not a regular file; the output is built there", self->part);
  if ((uint64_t)info.st_size != bytes && ftruncate(self->fd, (off_t)bytes))
    return fail_io("write", self->part);
  errno = posix_fallocate(self->fd, 0, (off_t)bytes);
  return errno ? fail_io("write", self->part) : EXIT_DONE;
}

static results *new_results(const char *path, uint64_t rows, uint64_t columns)
{
  results *self = allocate(1, sizeof *self);
  self->path = joined(path, "");
  self->part = joined(path, JOB_PART);
  self->is_csv = ends_with(path, ".csv");
  self->rows = rows;
  self->columns = columns;
  self->ranks = columns < MOST_RANKS ? (uint32_t)columns : MOST_RANKS;
  self->row_bytes = self->is_csv ? self->ranks * sizeof(rank) : columns * sizeof(float);
  self->offset = self->is_csv ? 0 : NPY_HEADER_BYTES;
  return self;
}

int results_open_scratch(const char *path, uint64_t rows, uint64_t columns, results **opened)
{
  results *self = new_results(path, rows, columns);
  self->fd = files_open_scratch(path);
  if (self->fd < 0) {
    const int result = fail_io("make a file beside", path);
    results_close(self);
    return result;
  }
  *opened = self;
  return EXIT_DONE;
}

int results_open(const char *path, uint64_t rows, uint64_t columns, results **opened)
{
  results *self = new_results(path, rows, columns);
  const bool is_new = access(self->part, F_OK) != 0;
  self->fd = open(self->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  int result = self->fd < 0 ? fail_io("open", self->part) : make_room(self);
  if (!result && !self->is_csv) {
    char header[NPY_HEADER_BYTES];
    npy_format_header(rows, columns, header);
    result = write_at(self->fd, header, sizeof header, 0);
    if (result)
      fail_io("write", self->part);
  }
  if (!result) {
    *opened = self;
    return EXIT_DONE;
  }
  if (is_new)
    (void)unlink(self->part);
  results_close(self);
  return result;
}

/* The largest values first, of equal ones the first; what is not a number comes last. */
static void rank_row(const results *self, const float *values, rank *ranks)
{
  uint32_t count = 0;
  for (uint64_t c = 0; c < self->columns; c++) {
    uint32_t at = count;
    while (at > 0 &&
           (values[c] > ranks[at - 1].value || (isnan(ranks[at - 1].value) && !isnan(values[c]))))
      at--;
    if (at == self->ranks)
      continue;
    count += count < self->ranks;
    memmove(&ranks[at + 1], &ranks[at], (count - at - 1) * sizeof *ranks);
    ranks[at] = (rank){(uint32_t)c, values[c]};
  }
}

int results_write(results *self, uint64_t first, uint32_t count, const float *values,
                  const row_state *states, uint64_t *checksum)
{
  const size_t bytes = count * self->row_bytes;
  char *rows = allocate(bytes, 1);
  for (uint32_t i = 0; i < count; i++) {
    char *row = rows + i * self->row_bytes;
    if (self->is_csv) {
      rank ranks[MOST_RANKS];
      rank_row(self, values + i * self->columns, ranks);
      if (states[i] != ROW_OK)
        ranks[0].index = NO_INDEX + states[i];
      memcpy(row, ranks, self->row_bytes);
    } else {
      memcpy(row, values + i * self->columns, self->row_bytes);
      for (uint64_t c = 0; states[i] == ROW_UNREADABLE && c < self->columns; c++)
        memcpy(row + c * sizeof(float), &(float){NAN}, sizeof(float));
    }
  }
  *checksum = content_of(rows, bytes);
  int result = write_at(self->fd, rows, bytes, self->offset + first * self->row_bytes);
  if (result)
    result = fail_io("write", self->part);
  free(rows);
  return result;
}

static bool read_rows(const results *self, uint64_t first, uint32_t count, char *rows)
{
  const size_t bytes = count * self->row_bytes;
  for (size_t used = 0; used < bytes;) {
    const ssize_t n = pread(self->fd, rows + used, bytes - used,
                            (off_t)(self->offset + first * self->row_bytes + used));
    if (n < 0 && errno == EINTR)
      continue;
    if (n == 0)
      errno = EIO; /* somebody has cut the file off */
    if (n <= 0)
      return false;
    used += (size_t)n;
  }
  return true;
}

bool results_checksum(results *self, uint64_t first, uint32_t count, uint64_t *checksum)
{
  const size_t bytes = count * self->row_bytes;
  char *rows = allocate(bytes, 1);
  const bool good = read_rows(self, first, count, rows);
  if (good)
    *checksum = content_of(rows, bytes);
  free(rows);
  return good;
}

static void print_name(FILE *file, const char *name)
{
  if (!strpbrk(name, ",\"\r\n")) {
    fputs(name, file);
    return;
  }
  fputc('"', file);
  for (; *name; name++)
    fprintf(file, *name == '"' ? "\"\"" : "%c", *name);
  fputc('"', file);
}

static void print_row(const results *self, FILE *file, uint64_t index, const char *name,
                      const rank *ranks)
{
  if (name)
    print_name(file, name);
  else
    fprintf(file, "%llu", (unsigned long long)index);
  static const char *const names[] = {",ok", ",unreadable", ",not_finite"};
  const uint32_t state = ranks[0].index > NO_INDEX ? ranks[0].index - NO_INDEX : ROW_OK;
  fputs(names[state], file);
  for (uint32_t r = 0; r < self->ranks; r++)
    if (state != ROW_OK)
      fputs(",,", file);
    else
      fprintf(file, ",%u,%.9g", ranks[r].index, (double)ranks[r].value);
  fputc('\n', file);
}

static void print_head(const results *self, FILE *file)
{
  fputs("sample,status", file);
  for (uint32_t r = 1; r <= self->ranks; r++)
    fprintf(file, ",class%u,score%u", r, r);
  fputc('\n', file);
}

enum { BLOCK_ROWS = 1024 };

/* The rows from `first` on, as text to be freed; the head is before the first of all. */
static int print_block(const results *self, const source *samples, uint64_t first, char **text,
                       size_t *bytes)
{
  FILE *memory = open_memstream(text, bytes);
  if (!memory)
    return fail("no memory");
  int result = EXIT_DONE;
  if (!first)
    print_head(self, memory);
  for (uint64_t i = first; !result && i < self->rows && i < first + BLOCK_ROWS; i++) {
    rank ranks[MOST_RANKS];
    if (!read_rows(self, i, 1, (char *)ranks))
      result = fail_io("read", self->part);
    else
      print_row(self, memory, i, source_name(samples, i), ranks);
  }
  return fclose(memory) && !result ? fail("no memory") : result;
}

static int write_csv(const results *self, const source *samples, int fd, const char *path)
{
  uint64_t offset = 0;
  int result = EXIT_DONE;
  for (uint64_t first = 0; first < self->rows && !result; first += BLOCK_ROWS) {
    char *text = NULL;
    size_t bytes = 0;
    result = print_block(self, samples, first, &text, &bytes);
    if (!result && write_at(fd, text, bytes, offset))
      result = fail_io("write", path);
    offset += bytes;
    free(text);
  }
  return result;
}

/* Replaces OUTPUT by a file that is complete, so that no reader ever sees half of it. */
static int put_in_place(const results *self, int fd, const char *from, journal *progress)
{
  struct stat info;
  if (fsync(fd) || fstat(fd, &info))
    return fail_io("write", self->path);
  const int result = journal_finish(progress, (uint64_t)info.st_ino);
  if (result)
    return result;
  if (rename(from, self->path))
    return fail_io("write", self->path);
  char *copy = strdup(self->path);
  const int folder = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (folder >= 0) {
    (void)fsync(folder); /* best effort: the file is complete under either name */
    close(folder);
  }
  free(copy);
  return EXIT_DONE;
}

static int finish_csv(const results *self, const source *samples, journal *progress)
{
  char *temporary = joined(self->path, JOB_TEMPORARY);
  /* Of a run that was killed; never written into, as it may have two names. */
  (void)unlink(temporary);
  const int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  int result = fd < 0 ? fail_io("open", temporary) : EXIT_DONE;
  if (fd >= 0) {
    result = write_csv(self, samples, fd, temporary);
    if (!result)
      result = put_in_place(self, fd, temporary, progress);
    close(fd);
    (void)unlink(result ? temporary : self->part);
  }
  free(temporary);
  return result;
}

int results_finish(results *self, const source *samples, journal *progress)
{
  return self->is_csv ? finish_csv(self, samples, progress)
                      : put_in_place(self, self->fd, self->part, progress);
}

void results_close(results *self)
{
  if (!self)
    return;
  if (self->fd >= 0)
    close(self->fd);
  free(self->path);
  free(self->part);
  free(self);
}
