/* SPDX-License-Identifier: Apache-2.0 */
/* The samples of a job: an .npy file, or a folder of images. */
#ifndef TOOL_SOURCE_H
#define TOOL_SOURCE_H

#include <qosbatch/model.h>

#include <stdbool.h>

typedef struct source source;

/* How 8-bit values become floats, by channel: (value * scale - mean) / deviation. */
typedef struct conversion {
  const char *scale, *mean, *deviation; /* "0.485,0.456,0.406" or one for all; NULL: 1/255, 0, 1 */
} conversion;

/*
 * Opens what `path`, which is kept, names for a model's input. Bad numbers in `how` end the process with
 * EXIT_USAGE; otherwise the exit status is returned, after a message.
 */
int source_open(const char *path, const qb_tensor_info *input, const conversion *how,
                source **opened);

uint64_t source_count(const source *self);

/* The file of a sample, or NULL where samples have none. */
const char *source_name(const source *self, uint64_t index);

/* Changes when the samples do: counts, sizes and times of change. */
uint64_t source_fingerprint(const source *self);

/*
 * Reads samples first .. first + count - 1 into `buffer` as 32-bit floats, one behind the other. A
 * sample that cannot be read is zeros and sets its place in `bad`, after a note on stderr; the others
 * are false. (Rounds could run on a mapped file itself. Tried: they are slower by more than the copy
 * takes, as every line of it then comes from memory when a round waits for it.)
 */
void source_read(source *self, uint64_t first, uint32_t count, float *buffer, bool *bad);

void source_close(source *self); /* NULL is allowed */

#endif
