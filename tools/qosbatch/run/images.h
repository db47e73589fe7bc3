/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of JPEG and PNG files, decoded by libvips; without it, an error that says so. */
#ifndef TOOL_IMAGES_H
#define TOOL_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct images images;

typedef struct image_demand {
  uint32_t channels, height, width; /* 3 channels: RGB; 1: grey */
  uint64_t most_pixels;             /* of a file, before it is decoded */
} image_demand;

/*
 * Lists the images of a folder by name, and says what else there is. Returns the exit status, after
 * a message.
 */
int images_open(const char *folder, const image_demand *demand, images **opened);

size_t images_count(const images *self);
size_t images_left_out(const images *self); /* other entries of the folder */
const char *images_name(const images *self, size_t index);

/* A number that changes when a name or a byte of a file does. */
uint64_t images_content(const images *self);

/*
 * Decodes an image: turned upright, scaled to cover the size asked for, its middle cut out, the
 * channels of a pixel side by side. If it cannot be read, false after a note, which comes once.
 */
bool images_read(const images *self, size_t index, uint8_t *pixels);

void images_close(images *self); /* NULL is allowed */

#endif
