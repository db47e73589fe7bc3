/* SPDX-License-Identifier: Apache-2.0 */
/* Stands for images.c in a build without libvips. */
#include "common/diagnose.h"
#include "run/images.h"

int images_open(const char *folder, const image_demand *demand, images **opened)
{
  (void)demand, (void)opened;
  return fail(
      "'%s' is a folder: this qosbatch was built without libvips and reads no images; use a "
      "build with -Dvips=enabled, or an .npy file",
      folder);
}

size_t images_count(const images *self)
{
  (void)self;
  return 0;
}

const char *images_name(const images *self, size_t index)
{
  (void)self, (void)index;
  return NULL;
}

size_t images_left_out(const images *self)
{
  (void)self;
  return 0;
}

uint64_t images_content(const images *self)
{
  (void)self;
  return 0;
}

bool images_read(const images *self, size_t index, uint8_t *pixels)
{
  (void)self, (void)index, (void)pixels;
  return false;
}

void images_close(images *self)
{
  (void)self;
}
