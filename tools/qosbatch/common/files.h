/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command does with the files of its command line, so that nothing that is read is ever
 * written over: two names of one file are told by device and inode, not by their spelling.
 */
#ifndef TOOL_FILES_H
#define TOOL_FILES_H

#include <stdbool.h>

typedef enum file_role {
  FILE_NONE, /* the value names no file */
  FILE_READ,
  FILE_MODEL,   /* read, unless it names a built-in network */
  FILE_REFINED, /* read as a whole before the output replaces it: may be the output */
  FILE_WRITTEN,
  FILE_JOB /* written, with the files that a job keeps beside its output */
} file_role;

/* What a job keeps beside its output while it is not done. */
#define JOB_PART      ".part"
#define JOB_JOURNAL   ".journal"
#define JOB_PROFILE   ".profile"
#define JOB_TEMPORARY ".tmp"

/* Whether a model's name is that of a file. */
bool is_onnx(const char *name);

/* Adds a file under the name that messages call it by. Both texts are kept. */
void files_add(const char *called, const char *path, file_role role);

/* Ends the process with EXIT_USAGE if a file that is written is another one of them, too. */
void files_check(void);

/*
 * A file without a name in the folder of `path`, or in memory where that has none; -1 with errno.
 */
int files_open_scratch(const char *path);

/*
 * A job without a journal is new, so what stands at the places of its files is somebody else's.
 * Returns the exit status, after a message.
 */
int files_check_new_job(const char *output);

#endif
