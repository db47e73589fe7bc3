/* SPDX-License-Identifier: Apache-2.0 */
#include "run/source.h"

#include "common/diagnose.h"
#include "common/output.h"
#include "run/content.h"
#include "run/images.h"
#include "run/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEVELS = 256 };

struct source {
  const char *path;
  uint64_t count;
  size_t elements; /* of a sample */
  size_t channels;
  bool channels_last; /* those of a pixel are side by side */
  float *levels;      /* by channel and 8-bit value; NULL: samples are floats */
  images *images;     /* NULL: an array */
  int file;           /* of the array, or -1 */
  uint64_t offset;    /* of its first sample */
  uint8_t *pixels;    /* of one sample */
};

/* One number for all channels, or one for each. */
static void read_numbers(const char *option, const char *text, size_t channels, double least,
                         double *values)
{
  size_t count = 0;
  for (const char *at = text;;) {
    char *end;
    const double value = strtod(at, &end);
    if (end == at || !isfinite(value) || !(value > least) || (*end && *end != ','))
      fail_usage("--%s '%s': expected numbers%s, one for all or one for each of the %zu channels",
                 option, text, least == 0 ? " above 0" : "", channels);
    if (count < channels)
      values[count] = value;
    count++;
    if (!*end)
      break;
    at = end + 1;
  }
  if (count != 1 && count != channels)
    fail_usage("--%s '%s': %zu numbers; expected one for all or one for each of the %zu channels",
               option, text, count, channels);
  for (size_t c = 1; count == 1 && c < channels; c++)
    values[c] = values[0];
}

static void make_levels(source *self, const conversion *how)
{
  double *numbers = allocate(3 * self->channels, sizeof *numbers);
  double *scale = numbers, *mean = scale + self->channels, *deviation = mean + self->channels;
  read_numbers("scale", how->scale ? how->scale : "0.00392156862745098", self->channels, 0, scale);
  read_numbers("mean", how->mean ? how->mean : "0", self->channels, -INFINITY, mean);
  read_numbers("std", how->deviation ? how->deviation : "1", self->channels, 0, deviation);
  self->levels = allocate(self->channels * LEVELS, sizeof *self->levels);
  for (size_t c = 0; c < self->channels; c++)
    for (int v = 0; v < LEVELS; v++)
      self->levels[c * LEVELS + (size_t)v] = (float)((v * scale[c] - mean[c]) / deviation[c]);
  free(numbers);
}

/* "3 x 224 x 224" */
static void print_dims(char *text, size_t bytes, const uint64_t *dims, uint32_t rank)
{
  size_t used = 0;
  text[0] = 0;
  for (uint32_t d = 0; d < rank && used < bytes; d++)
    used += (size_t)snprintf(text + used, bytes - used, "%s%llu", d ? " x " : "",
                             (unsigned long long)dims[d]);
}

static int check_shape(const char *path, const npy_layout *layout, const qb_tensor_info *input)
{
  uint64_t wanted[QB_MAX_DIMS];
  bool same = layout->rank == input->rank + 1;
  for (uint32_t d = 0; d < input->rank; d++) {
    wanted[d] = (uint64_t)input->dims[d];
    same = same && layout->dims[d + 1] == wanted[d];
  }
  char found[200], expected[200];
  print_dims(found, sizeof found, layout->dims, layout->rank);
  print_dims(expected, sizeof expected, wanted, input->rank);
  if (!same)
    return fail("'%s': the array is %s; the model takes N x %s (samples, channels, rows, columns)",
                path, *found ? found : "a single number", expected);
  return layout->dims[0] ? EXIT_DONE : fail("'%s': the array has no samples", path);
}

static int read_header(const source *self, size_t bytes, npy_layout *layout)
{
  void *map = bytes ? mmap(NULL, bytes, PROT_READ, MAP_SHARED, self->file, 0) : NULL;
  if (map == MAP_FAILED)
    return fail("cannot map '%s': %s", self->path, strerror(errno));
  char reason[NPY_REASON_BYTES];
  const bool good = npy_parse(map, bytes, layout, reason);
  if (map)
    munmap(map, bytes);
  return good ? EXIT_DONE : fail("'%s': %s", self->path, reason);
}

static int open_array(source *self, const char *path, const qb_tensor_info *input,
                      const conversion *how)
{
  struct stat info;
  self->file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe is refused at once */
  if (self->file < 0)
    return fail("cannot open '%s': %s", path, strerror(errno));
  if (fstat(self->file, &info) || !S_ISREG(info.st_mode))
    return fail("'%s' is not a regular file; expected an .npy file or a folder of images", path);
  npy_layout layout;
  int result;
  if ((result = read_header(self, (size_t)info.st_size, &layout)) ||
      (result = check_shape(path, &layout, input)))
    return result;
  self->count = layout.dims[0];
  self->offset = layout.data_offset;
  if (layout.type == NPY_U8)
    make_levels(self, how);
  else if (how->scale || how->mean || how->deviation)
    fail_usage("--scale, --mean and --std apply to 8-bit samples; those of '%s' are floats", path);
  (void)posix_fadvise(self->file, 0, 0, POSIX_FADV_SEQUENTIAL);
  return EXIT_DONE;
}

static int open_folder(source *self, const char *path, const qb_tensor_info *input,
                       const conversion *how)
{
  if (input->rank != 3 || (self->channels != 3 && self->channels != 1))
    return fail("'%s' is a folder of images, but the model does not take images of 1 or 3 channels",
                path);
  const int64_t *image = input->dims + (self->channels_last ? 0 : 1);
  const image_demand demand = {(uint32_t)self->channels, (uint32_t)image[0], (uint32_t)image[1],
                               how->most_pixels};
  const int result = images_open(path, &demand, &self->images);
  if (result)
    return result;
  self->count = images_count(self->images);
  make_levels(self, how);
  return EXIT_DONE;
}

int source_open(const char *path, const qb_tensor_info *input, const conversion *how,
                source **opened)
{
  struct stat info;
  source *self = allocate(1, sizeof *self);
  self->path = path;
  self->file = -1;
  self->elements = input->elements_per_sample;
  self->pixels = allocate(self->elements, 1);
  self->channels_last = input->channels_last;
  self->channels = input->rank < 2        ? 1
                   : input->channels_last ? (size_t)input->dims[input->rank - 1]
                                          : (size_t)input->dims[0];
  const bool is_folder = !stat(path, &info) && S_ISDIR(info.st_mode);
  const int result =
      is_folder ? open_folder(self, path, input, how) : open_array(self, path, input, how);
  if (result)
    source_close(self);
  else
    *opened = self;
  return result;
}

uint64_t source_count(const source *self)
{
  return self->count;
}

const char *source_name(const source *self, uint64_t index)
{
  return self->images ? images_name(self->images, index) : NULL;
}

uint64_t source_left_out(const source *self)
{
  return self->images ? images_left_out(self->images) : 0;
}

int source_content(const source *self, uint64_t *hash)
{
  if (self->images)
    *hash = images_content(self->images);
  else if (!content_of_file(self->file, hash))
    return fail("cannot read '%s': %s", self->path, strerror(errno));
  return EXIT_DONE;
}

/* Images have the channels of a pixel side by side; arrays are as the network. */
static void convert(const source *self, const uint8_t *pixels, float *sample)
{
  const size_t channels = self->channels, plane = self->elements / channels;
  const bool side_by_side = self->images || self->channels_last;
  const size_t from_pixel = side_by_side ? channels : 1, from_channel = side_by_side ? 1 : plane;
  const size_t to_pixel = self->channels_last ? channels : 1;
  const size_t to_channel = self->channels_last ? 1 : plane;
  for (size_t c = 0; c < channels; c++) {
    const float *levels = self->levels + c * LEVELS;
    for (size_t i = 0; i < plane; i++)
      sample[c * to_channel + i * to_pixel] = levels[pixels[c * from_channel + i * from_pixel]];
  }
}

/* All samples of a round in one call, as for small ones the calls would take the time. */
static int read_bytes(const source *self, uint64_t first, uint32_t count, size_t each, char *to)
{
  const size_t bytes = count * each;
  for (size_t used = 0; used < bytes;) {
    const off_t at = (off_t)(self->offset + first * each + used);
    const ssize_t n = pread(self->file, to + used, bytes - used, at);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return fail("'%s': sample %llu cannot be read: %s", self->path,
                  (unsigned long long)(first + used / each),
                  n ? strerror(errno) : "the file has become shorter");
    used += (size_t)n;
  }
  return EXIT_DONE;
}

static int read_array(const source *self, uint64_t first, uint32_t count, float *buffer)
{
  const size_t elements = self->elements;
  if (!self->levels)
    return read_bytes(self, first, count, elements * sizeof *buffer, (char *)buffer);
  /* 8-bit values go to the end of the buffer, where the floats made of them come last. */
  char *values = (char *)(buffer + count * elements) - count * elements;
  const int result = read_bytes(self, first, count, elements, values);
  for (uint32_t i = 0; i < count && !result; i++) {
    memcpy(self->pixels, values + i * elements, elements);
    convert(self, self->pixels, buffer + i * elements);
  }
  return result;
}

static row_state read_image(const source *self, uint64_t index, float *sample)
{
  const bool good = images_read(self->images, index, self->pixels);
  if (good)
    convert(self, self->pixels, sample);
  else
    memset(sample, 0, self->elements * sizeof *sample);
  return good ? ROW_OK : ROW_UNREADABLE;
}

int source_read(source *self, uint64_t first, uint32_t count, float *buffer, row_state *states)
{
  for (uint32_t i = 0; i < count; i++)
    states[i] = self->images ? read_image(self, first + i, buffer + i * self->elements) : ROW_OK;
  return self->images ? EXIT_DONE : read_array(self, first, count, buffer);
}

void source_close(source *self)
{
  if (!self)
    return;
  images_close(self->images);
  if (self->file >= 0)
    close(self->file);
  free(self->levels);
  free(self->pixels);
  free(self);
}
