/* SPDX-License-Identifier: Apache-2.0 */
#include "run/images.h"

#include "common/diagnose.h"
#include "common/output.h"
#include "run/content.h"
#include "run/picture.h"
#include "run/vips_library.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LARGEST_LIST = 160 };

struct images {
  char *folder;
  struct dirent **files;
  size_t count, left_out;
  image_demand demand;
  const vips_library *vips;
  bool *told; /* of each file: that it cannot be read */
};

static bool is_image(const char *name)
{
  static const char *const endings[] = {".jpg", ".jpeg", ".jpe", ".jfif", ".png"};
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && dot > name && i < sizeof endings / sizeof *endings; i++)
    if (!strcasecmp(dot, endings[i]))
      return true;
  return false;
}

static int is_entry(const struct dirent *entry)
{
  return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
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

/* Keeps the images of the folder's entries; the names of some others go into `list`. */
static void choose_images(images *self, char list[LARGEST_LIST])
{
  const size_t all = self->count;
  size_t used = 0;
  list[0] = 0;
  self->count = 0;
  for (size_t i = 0; i < all; i++) {
    struct dirent *entry = self->files[i];
    if (is_image(entry->d_name)) {
      self->files[self->count++] = entry;
      continue;
    }
    self->left_out++;
    const size_t room = LARGEST_LIST - used;
    const int n = snprintf(list + used, room, "%s%s", used ? ", " : "", entry->d_name);
    if (n > 0 && (size_t)n < room - sizeof ", ...")
      used += (size_t)n;
    else if (used + sizeof ", ..." <= LARGEST_LIST)
      strcpy(list + used, used ? ", ..." : "...");
    free(entry);
  }
}

static int start_vips(images *self)
{
  const int result = vips_library_load(&self->vips);
  if (result)
    return result;
  if (self->vips->vips_init("qosbatch"))
    return fail("cannot start libvips: %s", self->vips->vips_error_buffer());
  /* The cores are for the rounds, and no image is read again soon. */
  self->vips->vips_concurrency_set(1);
  self->vips->vips_cache_set_max(0);
  self->vips->vips_block_untrusted_set(TRUE);
  return EXIT_DONE;
}

int images_open(const char *folder, const image_demand *demand, images **opened)
{
  struct dirent **files;
  const int count = scandir(folder, &files, is_entry, by_name);
  if (count < 0)
    return fail("cannot read the folder '%s': %s", folder, strerror(errno));
  images *self = allocate(1, sizeof *self);
  self->files = files;
  self->count = (size_t)count;
  self->folder = joined(folder, "");
  self->told = allocate(self->count + 1, sizeof *self->told);
  self->demand = *demand;
  char others[LARGEST_LIST];
  choose_images(self, others);
  int result = EXIT_DONE;
  if (!self->count)
    result = fail("'%s' has no file that ends in .jpg, .jpeg, .jfif or .png%s%s", folder,
                  *others ? "; it has " : "", others);
  else
    result = start_vips(self);
  if (result) {
    images_close(self);
    return result;
  }
  if (self->left_out)
    warn(
        "skipped %zu of the %d entries of '%s', which do not end in .jpg, .jpeg, .jfif or .png: %s",
        self->left_out, count, folder, others);
  *opened = self;
  return EXIT_DONE;
}

size_t images_count(const images *self)
{
  return self->count;
}

size_t images_left_out(const images *self)
{
  return self->left_out;
}

const char *images_name(const images *self, size_t index)
{
  return self->files[index]->d_name;
}

uint64_t images_content(const images *self)
{
  uint64_t *hashes = allocate(2 * self->count + 1, sizeof *hashes);
  for (size_t i = 0; i < self->count; i++) {
    const char *name = self->files[i]->d_name;
    char *path = path_of(self, i);
    hashes[2 * i] = content_of(name, strlen(name));
    if (!content_of_path(path, &hashes[2 * i + 1]))
      hashes[2 * i + 1] = 0; /* its row says that it cannot be read */
    free(path);
  }
  const uint64_t hash = content_of(hashes, 2 * self->count * sizeof *hashes);
  free(hashes);
  return hash;
}

bool images_read(const images *self, size_t index, uint8_t *pixels)
{
  const image_demand *d = &self->demand;
  const picture_demand demand = {d->channels, d->width, d->height, d->most_pixels};
  char *path = path_of(self, index), reason[PICTURE_REASON_BYTES];
  picture decoded = {0}, made = {d->width, d->height, d->channels, pixels};
  const bool good = picture_decode(self->vips, path, &demand, &decoded, reason);
  if (good)
    resample(&decoded, &made);
  else if (!self->told[index])
    warn("skipped '%s': %s", path, reason);
  self->told[index] = !good;
  free(decoded.pixels);
  free(path);
  return good;
}

void images_close(images *self)
{
  if (!self)
    return;
  for (size_t i = 0; i < self->count; i++)
    free(self->files[i]);
  free(self->files);
  free(self->told);
  free(self->folder);
  free(self);
}
