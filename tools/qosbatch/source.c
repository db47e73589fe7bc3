/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include "diagnose.h"
#include "images.h"
#include "npy.h"
#include "output.h"

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
  uint64_t count, fingerprint;
  size_t elements; /* of a sample */
  size_t channels;
  float *levels;  /* by channel and 8-bit value; NULL: samples are floats */
  images *images; /* NULL: the mapped file */
  uint8_t *pixels;
  uint8_t *map;
  size_t map_bytes, data_offset;
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
      fail_usage("--%s '%s': expected numbers%s, one or one for each of the %zu channels", option,
                 text, least == 0 ? " above 0" : "", channels);
    if (count < channels)
      values[count] = value;
    count++;
    if (!*end)
      break;
    at = end + 1;
  }
  if (count != 1 && count != channels)
    fail_usage("--%s '%s': %zu numbers; expected one or one for each of the %zu channels", option,
               text, count, channels);
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

static int open_array(source *self, const char *path, const qb_tensor_info *input,
                      const conversion *how)
{
  struct stat info;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail("cannot open '%s': %s", path, strerror(errno));
  if (fstat(fd, &info) || !S_ISREG(info.st_mode)) {
    close(fd);
    return fail("'%s' is no file; expected an .npy file or a folder of images", path);
  }
  self->map_bytes = (size_t)info.st_size;
  void *map = self->map_bytes ? mmap(NULL, self->map_bytes, PROT_READ, MAP_SHARED, fd, 0) : NULL;
  const int reason_code = errno;
  close(fd);
  if (map == MAP_FAILED)
    return fail("cannot map '%s': %s", path, strerror(reason_code));
  self->map = map;
  npy_layout layout;
  char reason[NPY_REASON_BYTES];
  if (!npy_parse(self->map, self->map_bytes, &layout, reason))
    return fail("'%s': %s", path, reason);
  const int result = check_shape(path, &layout, input);
  if (result)
    return result;
  self->count = layout.dims[0];
  self->data_offset = layout.data_offset;
  self->fingerprint = (uint64_t)info.st_size * 31 + (uint64_t)info.st_mtim.tv_sec * 1000003 +
                      (uint64_t)info.st_mtim.tv_nsec;
  if (layout.type == NPY_U8)
    make_levels(self, how);
  else if (how->scale || how->mean || how->deviation)
    fail_usage("--scale, --mean and --std are for 8-bit samples; those of '%s' are floats", path);
  (void)madvise(self->map, self->map_bytes, MADV_SEQUENTIAL);
  return EXIT_DONE;
}

static int open_folder(source *self, const char *path, const qb_tensor_info *input,
                       const conversion *how)
{
  if (input->rank != 3 || (input->dims[0] != 3 && input->dims[0] != 1))
    return fail("'%s' is a folder of images, but the model takes no image of 3 channels or 1",
                path);
  const int result = images_open(path, (uint32_t)input->dims[0], (uint32_t)input->dims[1],
                                 (uint32_t)input->dims[2], &self->images);
  if (result)
    return result;
  self->count = images_count(self->images);
  self->fingerprint = images_fingerprint(self->images);
  self->pixels = allocate(self->elements, 1);
  make_levels(self, how);
  return EXIT_DONE;
}

int source_open(const char *path, const qb_tensor_info *input, const conversion *how,
                source **opened)
{
  struct stat info;
  source *self = allocate(1, sizeof *self);
  self->elements = input->elements_per_sample;
  self->channels = input->rank > 1 ? (size_t)input->dims[0] : 1;
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

uint64_t source_fingerprint(const source *self)
{
  return self->fingerprint;
}

static void convert(const source *self, const uint8_t *pixels, float *sample)
{
  const size_t plane = self->elements / self->channels;
  for (size_t c = 0; c < self->channels; c++) {
    const float *levels = self->levels + c * LEVELS;
    for (size_t i = 0; i < plane; i++)
      sample[c * plane + i] = levels[pixels[c * plane + i]];
  }
}

void source_read(source *self, uint64_t first, uint32_t count, float *buffer, bool *bad)
{
  const size_t elements = self->elements;
  const uint8_t *data = self->map ? self->map + self->data_offset : NULL;
  memset(bad, 0, count * sizeof *bad);
  if (data && !self->levels) {
    const size_t bytes = elements * sizeof *buffer;
    memcpy(buffer, data + first * bytes, count * bytes);
    return;
  }
  for (uint32_t i = 0; i < count; i++) {
    float *sample = buffer + i * elements;
    if (data)
      convert(self, data + (first + i) * elements, sample);
    else if (images_read(self->images, first + i, self->pixels))
      convert(self, self->pixels, sample);
    else {
      memset(sample, 0, elements * sizeof *sample);
      bad[i] = true;
    }
  }
}

void source_close(source *self)
{
  if (!self)
    return;
  images_close(self->images);
  if (self->map)
    munmap(self->map, self->map_bytes);
  free(self->levels);
  free(self->pixels);
  free(self);
}
