/* SPDX-License-Identifier: Apache-2.0 */
/* The samples of a job: an .npy file, or a folder of images. */
#ifndef TOOL_SOURCE_H
#define TOOL_SOURCE_H

#include "run/row_state.h"

#include <qosbatch/model.h>

#include <stdbool.h>

typedef struct source source;

/* How 8-bit values become floats, by channel: (value * scale - mean) / deviation. */
typedef struct conversion {
  const char *scale, *mean, *deviation; /* "0.485,0.456,0.406" or one for all; NULL: 1/255, 0, 1 */
  uint64_t most_pixels;                 /* of an image file, before it is decoded */
} conversion;

/* The options that say so; `how` is a conversion. */
#define CONVERSION_OPTIONS(how)                                                                    \
  OPTION_STRING(0, "scale", "L", &(how).scale, "8-bit values are multiplied by this (1/255)"),     \
      OPTION_STRING(0, "mean", "L", &(how).mean,                                                   \
                    "mean to subtract then, per channel: 0.485,0.456,0.406"),                      \
      OPTION_STRING(0, "std", "L", &(how).deviation, "deviation to divide by then, per channel")

/* As many as Pillow takes without a warning; a quarter of a GiB of memory. */
enum { DEFAULT_MOST_PIXELS = 89478485 };

/*
 * Opens what `path`, which is kept, names for a model's input. Bad numbers in `how` end the process
 * with EXIT_USAGE; otherwise the exit status is returned, after a message.
 */
int source_open(const char *path, const qb_tensor_info *input, const conversion *how,
                source **opened);

uint64_t source_count(const source *self);

/* The file of a sample, or NULL where samples have none. */
const char *source_name(const source *self, uint64_t index);

/* Entries of a folder that are none of its samples. */
uint64_t source_left_out(const source *self);

/*
 * A number that changes when a byte of the samples does; all of them are read. Returns the exit
 * status, after a message.
 */
int source_content(const source *self, uint64_t *hash);

/*
 * Reads samples first .. first + count - 1 into `buffer` as 32-bit floats, one behind the other. An
 * image that cannot be read is zeros and ROW_UNREADABLE in `states`, after a note on stderr the first time;
 * the others are ROW_OK. Returns the exit status: an array that cannot be read is a failure, after a
 * message. (Rounds could run on a mapped file itself. Tried: they are slower by more than the copy
 * takes, as every line of it then comes from memory when a round waits for it.)
 */
int source_read(source *self, uint64_t first, uint32_t count, float *buffer, row_state *states);

void source_close(source *self); /* NULL is allowed */

#endif
