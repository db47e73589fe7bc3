/* SPDX-License-Identifier: Apache-2.0 */
#include "core/file.h"

#include "core/alloc.h"
#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static qb_status io_error(const char *doing, const char *path)
{
  char reason[128];
  const int code = errno;
  return qb__fail(QB_ERROR_IO, "cannot %s '%s': %s", doing, path,
                  strerror_r(code, reason, sizeof reason));
}

qb_status qb__file_read(const qb_context *context, const char *path, size_t limit, char **data,
                        size_t *bytes)
{
  char *buffer = NULL;
  qb_status status = QB_OK;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return io_error("open", path);
  struct stat info;
  if (fstat(fd, &info)) {
    status = io_error("read", path);
    goto done;
  }
  if (S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    status = io_error("read", path);
    goto done;
  }
  /* Pipes and /proc files tell no size, so read until the end rather than trust st_size. */
  size_t used = 0, capacity = 0;
  for (;;) {
    if (used == capacity) {
      const size_t larger = capacity ? capacity * 2
                            : info.st_size > 0 && (size_t)info.st_size < limit
                                ? (size_t)info.st_size + 1
                                : 4096;
      char *next = qb__alloc_aligned(context, larger + 1, 64);
      if (!next) {
        status = QB_ERROR_NO_MEMORY;
        goto done;
      }
      if (used)
        memcpy(next, buffer, used);
      qb__free(context, buffer);
      buffer = next;
      capacity = larger;
    }
    const ssize_t n = read(fd, buffer + used, capacity - used);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      status = io_error("read", path);
      goto done;
    }
    if (n == 0)
      break;
    used += (size_t)n;
    if (used > limit) {
      status = qb__fail(QB_ERROR_OVERFLOW,
                        "'%s' is larger than the %zu bytes allowed for such a file", path, limit);
      goto done;
    }
  }
  buffer[used] = 0;
  *data = buffer;
  *bytes = used;
  buffer = NULL;
done:
  close(fd);
  qb__free(context, buffer);
  return status;
}

qb_status qb__file_read_optional(const qb_context *context, const char *path, size_t limit,
                                 char **data)
{
  *data = NULL;
  /* Asked first because what is no failure must not set the message of one. */
  if (access(path, R_OK))
    return QB_OK;
  size_t bytes;
  const qb_status status = qb__file_read(context, path, limit, data, &bytes);
  return status == QB_ERROR_NO_MEMORY ? status : QB_OK;
}

static qb_status write_all(int fd, const char *data, size_t bytes, const char *path)
{
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = write(fd, data + done, bytes - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return io_error("write", path);
    done += (size_t)n;
  }
  /* Where flushing is not possible (a pipe, some special files) there is nothing to lose. */
  if (fsync(fd) && errno != EINVAL && errno != EROFS)
    return io_error("flush", path);
  return QB_OK;
}

/* Best effort: a folder that cannot be opened for reading still holds the renamed file. */
static void flush_folder(const char *path, char *scratch)
{
  const char *slash = strrchr(path, '/');
  if (!slash)
    strcpy(scratch, ".");
  else if (slash == path)
    strcpy(scratch, "/");
  else {
    memcpy(scratch, path, (size_t)(slash - path));
    scratch[slash - path] = 0;
  }
  const int fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return;
  (void)fsync(fd);
  close(fd);
}

/* A device, pipe or link target that is no plain file cannot be replaced; write into it. */
static qb_status write_in_place(const char *path, const void *data, size_t bytes)
{
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return io_error("open", path);
  qb_status status = write_all(fd, data, bytes, path);
  if (close(fd) && !status)
    status = io_error("close", path);
  return status;
}

qb_status qb__file_write(const qb_context *context, const char *path, const void *data,
                         size_t bytes)
{
  struct stat old;
  const bool exists = stat(path, &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) {
    errno = EISDIR;
    return io_error("write", path);
  }
  if (exists && !S_ISREG(old.st_mode))
    return write_in_place(path, data, bytes);

  char *target = exists ? realpath(path, NULL) : NULL; /* keep a symbolic link a link */
  const char *name = target ? target : path;
  const size_t room = strlen(name) + 64;
  qb_status status = QB_OK;
  bool temporary_exists = false;
  int fd = -1;
  char *temporary = qb__calloc(context, room, 1);
  if (!temporary) {
    status = QB_ERROR_NO_MEMORY;
    goto done;
  }
  /* Not mkstemp: open() with O_CREAT applies the umask, which only a race could read. */
  do {
    static atomic_uint serial;
    snprintf(temporary, room, "%s.%ld.%u.tmp", name, (long)getpid(), atomic_fetch_add(&serial, 1));
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd < 0 && errno == EEXIST);
  if (fd < 0) {
    status = io_error("create a file beside", path);
    goto done;
  }
  temporary_exists = true;
  if (exists && fchmod(fd, old.st_mode & 07777)) {
    status = io_error("set the permissions of", path);
    goto done;
  }
  status = write_all(fd, data, bytes, path);
  if (close(fd) && !status)
    status = io_error("close", path);
  fd = -1;
  if (status)
    goto done;
  if (rename(temporary, name)) {
    status = io_error("replace", path);
    goto done;
  }
  temporary_exists = false;
  flush_folder(name, temporary);
done:
  if (fd >= 0)
    close(fd);
  if (temporary_exists)
    unlink(temporary);
  qb__free(context, temporary);
  free(target);
  return status;
}
