/* SPDX-License-Identifier: Apache-2.0 */
/* One image file, decoded by libvips into RGB or grey. */
#ifndef TOOL_PICTURE_H
#define TOOL_PICTURE_H

#include "run/resample.h"
#include "run/vips_library.h"

#include <stdbool.h>
#include <stddef.h>

enum { PICTURE_REASON_BYTES = 256 };

/* What is asked of a decoder before it begins. */
typedef struct picture_demand {
  uint32_t channels;      /* 3: RGB; 1: grey */
  uint32_t width, height; /* more than twice that is not needed of a JPEG file */
  uint64_t most_pixels;   /* of the file */
} picture_demand;

/*
 * Decodes a file and turns it upright. Colours are those that Pillow's convert() makes: grey is
 * (299 R + 587 G + 114 B) / 1000, CMYK is taken without a colour profile; but what is transparent
 * lies over black. False, with the reason, if it cannot be read.
 */
bool picture_decode(const vips_library *vips, const char *path, const picture_demand *demand,
                    picture *decoded, char reason[PICTURE_REASON_BYTES]);

#endif
