/* SPDX-License-Identifier: Apache-2.0 */
#include "run/picture.h"

#include "common/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What libvips says of an image beside its error, as some decoders do. */
static _Thread_local char said[PICTURE_REASON_BYTES];

static void listen(const char *domain, GLogLevelFlags level, const char *message, void *user)
{
  (void)domain, (void)level, (void)user;
  snprintf(said, sizeof said, "%s", message);
}

__attribute__((format(printf, 2, 3))) static bool refuse(char *reason, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  vsnprintf(reason, PICTURE_REASON_BYTES, format, args);
  va_end(args);
  return false;
}

/* The first line of what libvips has said since the decoding began. */
static bool refuse_damaged(const vips_library *vips, char *reason)
{
  const char *text = vips->vips_error_buffer();
  text += strspn(text, "\n ");
  if (!*text)
    text = *said ? said : "it is damaged";
  return refuse(reason, "%.*s", (int)strcspn(text, "\n"), text);
}

/* Neither a pipe nor a device, which could have no end. */
static bool is_file(const char *path, char *reason)
{
  struct stat info;
  if (stat(path, &info))
    return refuse(reason, "%s", strerror(errno));
  return S_ISREG(info.st_mode) || refuse(reason, "it is not a file");
}

static bool check_size(const VipsImage *image, const picture_demand *demand, char *reason)
{
  const uint64_t pixels = (uint64_t)image->Xsize * (uint64_t)image->Ysize;
  return pixels <= demand->most_pixels ||
         refuse(reason, "%d x %d pixels are more than %llu; --max-pixels allows them", image->Xsize,
                image->Ysize, (unsigned long long)demand->most_pixels);
}

/* How many times smaller a JPEG file may be decoded, which saves most of the time. */
static int shrinking(const vips_library *vips, const char *path, const VipsImage *image,
                     const picture_demand *demand)
{
  const char *loader = vips->vips_foreign_find_load(path);
  int shrink = 1;
  if (loader && strstr(loader, "Jpeg"))
    while (shrink < 8 && (uint32_t)image->Xsize / (2 * shrink) >= 2 * demand->width &&
           (uint32_t)image->Ysize / (2 * shrink) >= 2 * demand->height)
      shrink *= 2;
  return shrink;
}

static VipsImage *open_image(const vips_library *vips, const char *path, int shrink)
{
  const VipsAccess access = VIPS_ACCESS_SEQUENTIAL;
  const VipsFailOn fail_on = VIPS_FAIL_ON_ERROR;
  if (shrink > 1)
    return vips->vips_image_new_from_file(path, "access", access, "fail_on", fail_on, "shrink",
                                          shrink, NULL);
  return vips->vips_image_new_from_file(path, "access", access, "fail_on", fail_on, NULL);
}

static uint8_t scaled(unsigned value, unsigned by)
{
  return (uint8_t)((value * by + 127) / 255);
}

/* A pixel of `bands` 8-bit values as RGB. */
static void to_rgb(const uint8_t *from, int bands, bool is_cmyk, uint8_t rgb[3])
{
  if (is_cmyk) {
    for (int c = 0; c < 3; c++)
      rgb[c] = scaled(255 - from[c], 255 - from[3]);
    return;
  }
  const bool is_grey = bands < 3;
  for (int c = 0; c < 3; c++)
    rgb[c] = from[is_grey ? 0 : c];
  if (bands == 2 || bands == 4)
    for (int c = 0; c < 3; c++)
      rgb[c] = scaled(rgb[c], from[bands - 1]);
}

static uint8_t grey(const uint8_t rgb[3])
{
  return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

/* Where a pixel of the upright image lies in the file: EXIF's orientations 1 to 8. */
static size_t place_in_file(const picture *upright, int orientation, uint32_t x, uint32_t y)
{
  const bool is_turned = orientation >= 5;
  const size_t width = is_turned ? upright->height : upright->width;
  const uint32_t right = upright->width - 1 - x, below = upright->height - 1 - y;
  switch (orientation) {
  case 2: return y * width + right;
  case 3: return below * width + right;
  case 4: return below * width + x;
  case 5: return x * width + y;
  case 6: return x * width + below;
  case 7: return right * width + below;
  case 8: return right * width + y;
  default: return y * width + x;
  }
}

/* Values of 16 bits lose the lower ones. */
static void take_pixel(const VipsImage *image, const void *memory, size_t place, uint8_t *pixel)
{
  const int bands = image->Bands;
  if (image->BandFmt == VIPS_FORMAT_UCHAR)
    memcpy(pixel, (const uint8_t *)memory + place * (size_t)bands, (size_t)bands);
  else
    for (int b = 0; b < bands; b++)
      pixel[b] = (uint8_t)(((const uint16_t *)memory)[place * (size_t)bands + (size_t)b] >> 8);
}

static void take_pixels(const VipsImage *image, const void *memory, int orientation,
                        const picture *upright)
{
  const bool is_cmyk = image->Type == VIPS_INTERPRETATION_CMYK;
  const size_t channels = upright->channels;
  if (orientation <= 1 && !is_cmyk && image->BandFmt == VIPS_FORMAT_UCHAR &&
      (size_t)image->Bands == channels) {
    memcpy(upright->pixels, memory, (size_t)upright->width * upright->height * channels);
    return;
  }
  uint8_t *to = upright->pixels, pixel[4], rgb[3];
  for (uint32_t y = 0; y < upright->height; y++)
    for (uint32_t x = 0; x < upright->width; x++, to += channels) {
      take_pixel(image, memory, place_in_file(upright, orientation, x, y), pixel);
      to_rgb(pixel, image->Bands, is_cmyk, rgb);
      if (channels == 3)
        memcpy(to, rgb, sizeof rgb);
      else
        *to = grey(rgb);
    }
}

static bool take(const vips_library *vips, VipsImage *image, const picture_demand *demand,
                 picture *decoded, char *reason)
{
  if (image->Bands < 1 || image->Bands > 4 ||
      (image->BandFmt != VIPS_FORMAT_UCHAR && image->BandFmt != VIPS_FORMAT_USHORT))
    return refuse(reason, "its pixels are not RGB, CMYK or grey of 8 or 16 bits");
  size_t bytes;
  void *memory = vips->vips_image_write_to_memory(image, &bytes);
  if (!memory)
    return refuse_damaged(vips, reason);
  const int orientation = vips->vips_image_get_orientation(image);
  const bool is_turned = orientation >= 5;
  *decoded = (picture){.width = (uint32_t)(is_turned ? image->Ysize : image->Xsize),
                       .height = (uint32_t)(is_turned ? image->Xsize : image->Ysize),
                       .channels = demand->channels};
  decoded->pixels = allocate((size_t)decoded->width * decoded->height, decoded->channels);
  take_pixels(image, memory, orientation, decoded);
  vips->g_free(memory);
  return true;
}

bool picture_decode(const vips_library *vips, const char *path, const picture_demand *demand,
                    picture *decoded, char reason[PICTURE_REASON_BYTES])
{
  vips->vips_error_clear();
  *said = 0;
  if (!is_file(path, reason))
    return false;
  const unsigned handler = vips->g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING, listen, NULL);
  VipsImage *image = open_image(vips, path, 1);
  bool good = image ? check_size(image, demand, reason) : refuse_damaged(vips, reason);
  const int shrink = good ? shrinking(vips, path, image, demand) : 1;
  if (shrink > 1) {
    vips->g_object_unref(image);
    image = open_image(vips, path, shrink);
    good = image || refuse_damaged(vips, reason);
  }
  good = good && take(vips, image, demand, decoded, reason);
  if (image)
    vips->g_object_unref(image);
  vips->g_log_remove_handler("VIPS", handler);
  return good;
}
