/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data of tensors in files of their own. They lie in the folder of the model: where its path says,
 * or, where that is a symbolic link, beside the file it leads to. Stores of models link both the
 * model and its data to files of other names, so links are followed first and judged by where they
 * lead.
 */
#include "core/alloc.h"
#include "core/error.h"
#include "model/onnx_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct place {
  const char *tensor, *location;
  uint64_t offset, length;
  bool has_length;
} place;

static const char *entry(const Onnx__TensorProto *t, const char *key)
{
  for (size_t i = 0; i < t->n_external_data; i++)
    if (t->external_data[i]->key && t->external_data[i]->value &&
        !strcmp(t->external_data[i]->key, key))
      return t->external_data[i]->value;
  return NULL;
}

/* A number of bytes in decimal digits and nothing else. */
static bool read_number(qb__onnx *im, const place *p, const char *key, const char *text,
                        uint64_t *number)
{
  char *end = NULL;
  errno = 0;
  *number = strtoull(text, &end, 10);
  if (*text >= '0' && *text <= '9' && !*end && !errno)
    return true;
  im->status = qb__fail(QB_ERROR_FORMAT,
                        "tensor '%.64s': the %s of its data is '%.32s'; expected decimal digits",
                        p->tensor, key, text);
  return false;
}

static bool read_place(qb__onnx *im, const Onnx__TensorProto *t, place *p)
{
  const char *offset = entry(t, "offset"), *length = entry(t, "length");
  p->tensor = t->name && *t->name ? t->name : "(unnamed)";
  p->location = entry(t, "location");
  if (!p->location || !im->folder) {
    im->status = qb__fail(QB_ERROR_FORMAT, "tensor '%.64s': its data is in a file %s", p->tensor,
                          p->location ? "and the model in none" : "that is not named");
    return false;
  }
  p->offset = p->length = 0;
  p->has_length = length != NULL;
  return (!offset || read_number(im, p, "offset", offset, &p->offset)) &&
         (!length || read_number(im, p, "length", length, &p->length));
}

static void fail_io(qb__onnx *im, const place *p, const char *what)
{
  char reason[128];
  const int code = errno;
  im->status = qb__fail(QB_ERROR_IO, "tensor '%.64s': cannot %s '%.256s': %s", p->tensor, what,
                        p->location, strerror_r(code, reason, sizeof reason));
}

/* Where links lead to from a folder; false where nothing is there. */
static bool resolve(const char *folder, const char *location, char target[PATH_MAX])
{
  char path[PATH_MAX];
  const int length = snprintf(path, sizeof path, "%s/%s", folder, location);
  if (length < 0 || (size_t)length >= sizeof path) {
    errno = ENAMETOOLONG;
    return false;
  }
  return realpath(path, target) != NULL;
}

static bool lies_in(const char *target, const char *folder)
{
  char whole[PATH_MAX];
  if (!folder || !realpath(folder, whole))
    return false;
  const size_t inside = strlen(whole);
  return !strncmp(target, whole, inside) && (target[inside] == '/' || inside == 1);
}

/* Where the data of a tensor really lies; false where that is not with the model. */
static bool find(qb__onnx *im, const place *p, char target[PATH_MAX])
{
  const bool absolute = *p->location == '/';
  if (!absolute && !resolve(im->folder, p->location, target) &&
      (!im->real_folder || !resolve(im->real_folder, p->location, target))) {
    fail_io(im, p, "find its data in");
    return false;
  }
  if (!absolute && (lies_in(target, im->folder) || lies_in(target, im->real_folder)))
    return true;
  im->status = qb__fail(QB_ERROR_FORMAT,
                        "tensor '%.64s': its data is in '%.256s', which is outside the model's "
                        "folder; put it beside the model",
                        p->tensor, absolute ? p->location : target);
  return false;
}

/* Opens a regular file: a pipe would wait for a writer, and a device may never end. */
static int open_regular(qb__onnx *im, const place *p, const char *target, struct stat *info)
{
  const int fd = open(target, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 || fstat(fd, info))
    fail_io(im, p, "open");
  else if (!S_ISREG(info->st_mode))
    im->status = qb__fail(QB_ERROR_FORMAT,
                          "tensor '%.64s': its data is in '%.256s', which is not a regular file",
                          p->tensor, p->location);
  if (!im->status)
    return fd;
  if (fd >= 0)
    close(fd);
  return -1;
}

static bool read_all(int fd, uint8_t *data, size_t bytes, uint64_t offset)
{
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = pread(fd, data + done, bytes - done, (off_t)(offset + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    done += (size_t)n;
  }
  return true;
}

uint8_t *qb__onnx_read_external(qb__onnx *im, const Onnx__TensorProto *t, size_t bytes)
{
  char target[PATH_MAX];
  place p;
  struct stat info;
  uint8_t *data = NULL;
  if (!read_place(im, t, &p))
    return NULL;
  if (p.has_length && p.length != bytes) {
    im->status = qb__fail(QB_ERROR_FORMAT,
                          "tensor '%.64s' has %llu bytes of data and its dimensions need %zu",
                          p.tensor, (unsigned long long)p.length, bytes);
    return NULL;
  }
  const int fd = find(im, &p, target) ? open_regular(im, &p, target, &info) : -1;
  if (fd < 0)
    return NULL;
  qb__graph_note_file(im->graph, target);
  if (info.st_size < 0 || p.offset > (uint64_t)info.st_size ||
      bytes > (uint64_t)info.st_size - p.offset)
    im->status =
        qb__fail(QB_ERROR_FORMAT, "tensor '%.64s': '%.256s' does not have %zu bytes at offset %llu",
                 p.tensor, p.location, bytes, (unsigned long long)p.offset);
  else if (!(data = qb__alloc_aligned(im->context, bytes, 64)))
    im->status = QB_ERROR_NO_MEMORY;
  else if (!read_all(fd, data, bytes, p.offset))
    im->status =
        qb__fail(QB_ERROR_IO, "tensor '%.64s': cannot read all of '%.256s'", p.tensor, p.location);
  close(fd);
  if (im->status) {
    qb__free(im->context, data);
    return NULL;
  }
  return data;
}
