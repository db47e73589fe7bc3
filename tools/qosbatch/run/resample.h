/* SPDX-License-Identifier: Apache-2.0 */
/* Images of 8-bit pixels in another size, as Pillow and torchvision make them. */
#ifndef TOOL_RESAMPLE_H
#define TOOL_RESAMPLE_H

#include <stdint.h>

/* Rows from the top, pixels from the left, channels side by side. */
typedef struct picture {
  uint32_t width, height, channels;
  uint8_t *pixels; /* to be freed */
} picture;

/*
 * Fills `to`, of the same channels, with the largest part in the middle of `from` that has its
 * proportions: Pillow's resize() with BILINEAR and that part as the box. Each pixel is the mean, by
 * a triangle around its middle, of all that it covers.
 */
void resample(const picture *from, picture *to);

#endif
