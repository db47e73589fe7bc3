/* SPDX-License-Identifier: Apache-2.0 */
#include "images.h"

#include "diagnose.h"
#include "output.h"
#include "vips_library.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

struct images {
  char *folder;
  struct dirent **files;
  size_t count;
  uint64_t fingerprint;
  uint32_t channels, height, width;
  const vips_library *vips;
};

static int is_image(const struct dirent *entry)
{
  static const char *const endings[] = {".jpg", ".jpeg", ".png"};
  const char *dot = strrchr(entry->d_name, '.');
  for (size_t i = 0; dot && dot > entry->d_name && i < sizeof endings / sizeof *endings; i++)
    if (!strcasecmp(dot, endings[i]))
      return 1;
  return 0;
}

/* By bytes, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
  return strcmp((*a)->d_name, (*b)->d_name);
}

static char *path_of(const images *self, size_t index)
{
  const char *name = self->files[index]->d_name;
  const size_t room = strlen(self->folder) + strlen(name) + 2;
  char *path = allocate(room, 1);
  snprintf(path, room, "%s/%s", self->folder, name);
  return path;
}

static void note_file(images *self, size_t index)
{
  char *path = path_of(self, index);
  struct stat info = {0};
  (void)stat(path, &info); /* a file that is gone by now is found out when it is read */
  free(path);
  uint64_t hash = self->fingerprint;
  for (const char *c = self->files[index]->d_name; *c; c++)
    hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
  hash = (hash ^ (uint64_t)info.st_size) * UINT64_C(0x100000001b3);
  hash = (hash ^ (uint64_t)info.st_mtim.tv_sec) * UINT64_C(0x100000001b3);
  self->fingerprint = (hash ^ (uint64_t)info.st_mtim.tv_nsec) * UINT64_C(0x100000001b3);
}

static void ignore(const char *domain, GLogLevelFlags level, const char *message, void *user)
{
  (void)domain, (void)level, (void)message, (void)user;
}

int images_open(const char *folder, uint32_t channels, uint32_t height, uint32_t width,
                images **opened)
{
  struct dirent **files;
  const int count = scandir(folder, &files, is_image, by_name);
  if (count < 0)
    return fail("cannot read the folder '%s': %s", folder, strerror(errno));
  images *self = allocate(1, sizeof *self);
  self->files = files;
  self->count = (size_t)count;
  self->folder = strdup(folder);
  self->channels = channels;
  self->height = height;
  self->width = width;
  int result = EXIT_DONE;
  if (!self->folder)
    result = fail("no memory");
  else if (!count)
    result = fail("'%s' has no file that ends in .jpg, .jpeg or .png", folder);
  else if (!(result = vips_library_load(&self->vips)) && self->vips->vips_init("qosbatch"))
    result = fail("cannot start libvips: %s", self->vips->vips_error_buffer());
  if (result) {
    images_close(self);
    return result;
  }
  /* What is wrong with an image is told once, with its name. */
  self->vips->g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING, ignore, NULL);
  /* The cores are for the rounds, and no image is read twice. */
  self->vips->vips_concurrency_set(1);
  self->vips->vips_cache_set_max(0);
  self->vips->vips_block_untrusted_set(TRUE);
  for (size_t i = 0; i < self->count; i++)
    note_file(self, i);
  *opened = self;
  return EXIT_DONE;
}

size_t images_count(const images *self)
{
  return self->count;
}

const char *images_name(const images *self, size_t index)
{
  return self->files[index]->d_name;
}

uint64_t images_fingerprint(const images *self)
{
  return self->fingerprint;
}

/* The pixels of all channels interleaved, to be freed with g_free(); NULL if it cannot be read. */
static uint8_t *decode(const images *self, const char *path)
{
  VipsImage *scaled = NULL, *flat = NULL, *coloured = NULL;
  uint8_t *pixels = NULL;
  size_t bytes = 0;
  const VipsInterpretation space =
      self->channels == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
  /* libvips takes the last channel for transparency even if there is none. */
  if (!self->vips->vips_thumbnail(path, &scaled, (int)self->width, "height", (int)self->height,
                                  "crop", VIPS_INTERESTING_CENTRE, "fail_on", VIPS_FAIL_ON_ERROR,
                                  NULL) &&
      !(self->vips->vips_image_hasalpha(scaled) ? self->vips->vips_flatten(scaled, &flat, NULL)
                                                : self->vips->vips_copy(scaled, &flat, NULL)) &&
      !self->vips->vips_colourspace(flat, &coloured, space, NULL))
    pixels = self->vips->vips_image_write_to_memory(coloured, &bytes);
  if (pixels && (coloured->BandFmt != VIPS_FORMAT_UCHAR ||
                 bytes != (size_t)self->channels * self->height * self->width)) {
    self->vips->vips_error("qosbatch", "%d x %d pixels of %d bands; cannot be made %u x %u of %u",
                           coloured->Xsize, coloured->Ysize, coloured->Bands, self->width,
                           self->height, self->channels);
    self->vips->g_free(pixels);
    pixels = NULL;
  }
  VipsImage *const all[] = {coloured, flat, scaled};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i])
      self->vips->g_object_unref(all[i]);
  return pixels;
}

bool images_read(const images *self, size_t index, uint8_t *pixels)
{
  char *path = path_of(self, index);
  uint8_t *interleaved = decode(self, path);
  if (interleaved) {
    const size_t plane = (size_t)self->height * self->width;
    for (size_t i = 0; i < plane; i++)
      for (size_t c = 0; c < self->channels; c++)
        pixels[c * plane + i] = interleaved[i * self->channels + c];
    self->vips->g_free(interleaved);
  } else {
    const char *why = self->vips->vips_error_buffer();
    note("warning: skipped '%s': %.*s", path, (int)strcspn(why, "\n"), why);
    self->vips->vips_error_clear();
  }
  free(path);
  return interleaved != NULL;
}

void images_close(images *self)
{
  if (!self)
    return;
  for (size_t i = 0; i < self->count; i++)
    free(self->files[i]);
  free(self->files);
  free(self->folder);
  free(self);
}
