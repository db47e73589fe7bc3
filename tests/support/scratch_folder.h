/* SPDX-License-Identifier: Apache-2.0 */
/* A temporary folder of a test. */
#ifndef QB_SUPPORT_SCRATCH_FOLDER_H
#define QB_SUPPORT_SCRATCH_FOLDER_H

#include <stddef.h>

enum { SCRATCH_PATH_BYTES = 512 };

typedef struct scratch_folder {
  char path[SCRATCH_PATH_BYTES / 2];
} scratch_folder;

/* A path below a scratch folder, by value so that two can be used in one call. */
typedef struct scratch_path {
  char text[SCRATCH_PATH_BYTES];
} scratch_path;

/* Makes an empty folder below $TMPDIR or /tmp; the test fails if it cannot be made. */
scratch_folder scratch_folder_make(void);

/* Removes the folder and all that is in it; symbolic links are removed, not followed. */
void scratch_folder_remove(const scratch_folder *folder);

/* The path of a name in the folder. */
scratch_path scratch_folder_path(const scratch_folder *folder, const char *name);

/* Writes a file below the folder, making the folders on the way; returns its path. */
scratch_path scratch_folder_write(const scratch_folder *folder, const char *name, const void *data,
                                  size_t bytes);
scratch_path scratch_folder_write_text(const scratch_folder *folder, const char *name,
                                       const char *text);

/* The number of entries in the folder itself. */
size_t scratch_folder_count(const scratch_folder *folder);

#endif
