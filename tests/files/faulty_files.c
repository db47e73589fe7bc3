/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program, logs the calls that it makes on files of one folder, and fails some of
 * them. The C library is not asked: what stdio does inside it is neither seen nor failed.
 *
 *   QB_FILES_FOLDER  the folder, as the program names it
 *   QB_FILES_LOG     gets a line for each call that did something, as disk.py reads them
 *   QB_FILES_FAIL    N: the N-th of these calls fails; N+: all calls of its kind from then on
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_FILES = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool watched[MOST_FILES]; /* by file descriptor */
static unsigned long calls;
static char failing_for_ever[16]; /* the kind of call */

static bool is_below(const char *path)
{
  const char *folder = getenv("QB_FILES_FOLDER");
  return folder && *folder && !strncmp(path, folder, strlen(folder));
}

static bool is_watched(int fd)
{
  return fd >= 0 && fd < MOST_FILES && watched[fd];
}

/* Counts a call; true if it is to fail. */
static bool is_failed(const char *kind)
{
  const char *wish = getenv("QB_FILES_FAIL");
  char *end = NULL;
  calls++;
  if (wish && strtoul(wish, &end, 10) == calls) {
    if (*end == '+')
      snprintf(failing_for_ever, sizeof failing_for_ever, "%s", kind);
    return true;
  }
  return !strcmp(failing_for_ever, kind);
}

static FILE *log_file(void)
{
  static FILE *file;
  const char *path = getenv("QB_FILES_LOG");
  if (!file && path)
    file = fopen(path, "we");
  return file;
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
  const int kept = errno;
  FILE *file = log_file();
  va_list arguments;
  va_start(arguments, format);
  if (file) {
    vfprintf(file, format, arguments);
    fputc('\n', file);
    fflush(file);
  }
  va_end(arguments);
  errno = kept;
}

static void note_write(int fd, off_t offset, const unsigned char *data, ssize_t bytes)
{
  FILE *file = log_file();
  if (!file)
    return;
  fprintf(file, "write %d %lld ", fd, (long long)offset);
  for (ssize_t i = 0; i < bytes; i++)
    fprintf(file, "%02x", data[i]);
  fputc('\n', file);
  fflush(file);
}

static int fail(void)
{
  errno = EIO;
  return -1;
}

int open(const char *path, int flags, ...)
{
  mode_t mode = 0;
  if (flags & (O_CREAT | __O_TMPFILE)) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  if (!is_below(path))
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  pthread_mutex_lock(&lock);
  struct stat before;
  const bool existed = !stat(path, &before);
  const int fd = is_failed("open") ? fail() : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  if (fd >= 0 && fd < MOST_FILES)
    watched[fd] = true;
  if (fd >= 0)
    note("open %d %s %s", fd, existed ? "old" : "new", path);
  else
    note("none open");
  pthread_mutex_unlock(&lock);
  return fd;
}

int close(int fd)
{
  pthread_mutex_lock(&lock);
  const bool seen = is_watched(fd), failed = seen && is_failed("close");
  if (seen) {
    note("close %d", fd);
    watched[fd] = false;
  }
  const int result = (int)syscall(SYS_close, fd);
  pthread_mutex_unlock(&lock);
  return failed ? fail() : result;
}

ssize_t read(int fd, void *data, size_t bytes)
{
  bool failed = false;
  if (is_watched(fd)) {
    pthread_mutex_lock(&lock);
    failed = is_failed("read");
    note("none read");
    pthread_mutex_unlock(&lock);
  }
  return failed ? fail() : syscall(SYS_read, fd, data, bytes);
}

ssize_t pread(int fd, void *data, size_t bytes, off_t offset)
{
  bool failed = false;
  if (is_watched(fd)) {
    pthread_mutex_lock(&lock);
    failed = is_failed("read");
    note("none read");
    pthread_mutex_unlock(&lock);
  }
  return failed ? fail() : syscall(SYS_pread64, fd, data, bytes, offset);
}

/* One that fails has written a half, as on a disk that fills up. */
static ssize_t write_at(int fd, const void *data, size_t bytes, const off_t *where)
{
  pthread_mutex_lock(&lock);
  const bool failed = is_failed("write");
  const size_t most = failed ? bytes / 2 : bytes;
  const ssize_t n =
      where ? syscall(SYS_pwrite64, fd, data, most, *where) : syscall(SYS_write, fd, data, most);
  if (n >= 0)
    note_write(fd, where ? *where : lseek(fd, 0, SEEK_CUR) - n, data, n);
  else
    note("none write");
  pthread_mutex_unlock(&lock);
  return failed ? fail() : n;
}

ssize_t write(int fd, const void *data, size_t bytes)
{
  return is_watched(fd) ? write_at(fd, data, bytes, NULL) : syscall(SYS_write, fd, data, bytes);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
  return is_watched(fd) ? write_at(fd, data, bytes, &offset)
                        : syscall(SYS_pwrite64, fd, data, bytes, offset);
}

/* What the calls below share: `work` is done unless the call fails. */
#define UNLESS_FAILED(kind, seen, work, ...)                                                       \
  int result;                                                                                      \
  pthread_mutex_lock(&lock);                                                                       \
  if (!(seen)) {                                                                                   \
    result = (int)(work);                                                                          \
  } else if (is_failed(kind)) {                                                                    \
    result = fail();                                                                               \
    note("none " kind);                                                                            \
  } else {                                                                                         \
    result = (int)(work);                                                                          \
    if (result)                                                                                    \
      note("none " kind);                                                                          \
    else                                                                                           \
      note(__VA_ARGS__);                                                                           \
  }                                                                                                \
  pthread_mutex_unlock(&lock)

int fsync(int fd)
{
  UNLESS_FAILED("fsync", is_watched(fd), syscall(SYS_fsync, fd), "fsync %d", fd);
  return result;
}

int ftruncate(int fd, off_t bytes)
{
  UNLESS_FAILED("ftruncate", is_watched(fd), syscall(SYS_ftruncate, fd, bytes), "truncate %d %lld",
                fd, (long long)bytes);
  return result;
}

int posix_fallocate(int fd, off_t offset, off_t bytes)
{
  UNLESS_FAILED("fallocate", is_watched(fd), syscall(SYS_fallocate, fd, 0, offset, bytes),
                "allocate %d %lld", fd, (long long)(offset + bytes));
  return result ? errno : 0;
}

int fchmod(int fd, mode_t mode)
{
  UNLESS_FAILED("fchmod", is_watched(fd), syscall(SYS_fchmod, fd, mode), "none fchmod");
  return result;
}

int rename(const char *from, const char *to)
{
  UNLESS_FAILED("rename", is_below(from), syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0),
                "rename %s %s", from, to);
  return result;
}

/* Never fails: what cannot be removed has to stay. */
int unlink(const char *path)
{
  const int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  if (!result && is_below(path)) {
    pthread_mutex_lock(&lock);
    note("unlink %s", path);
    pthread_mutex_unlock(&lock);
  }
  return result;
}
