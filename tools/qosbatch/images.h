/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of JPEG and PNG files, decoded by libvips; without it, an error that says so. */
#ifndef TOOL_IMAGES_H
#define TOOL_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct images images;

/* Lists the images of a folder by name. Returns the exit status, after a message. */
int images_open(const char *folder, uint32_t channels, uint32_t height, uint32_t width,
                images **opened);

size_t images_count(const images *self);
const char *images_name(const images *self, size_t index);
uint64_t images_fingerprint(const images *self);

/*
 * Decodes an image: turned upright, scaled to cover the size asked for, its middle cut out, as sRGB
 * (or grey with one channel), channel by channel. If it cannot be read, false after a note.
 */
bool images_read(const images *self, size_t index, uint8_t *pixels);

void images_close(images *self); /* NULL is allowed */

#endif
