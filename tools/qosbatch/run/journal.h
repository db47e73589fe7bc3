/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job has done so far, so that it goes on where it was killed. Text, appended line by line;
 * format: docs/formats.md. A record counts only if its checksum is that of the rows in the output
 * file, so neither needs to reach the disk before the other.
 */
#ifndef TOOL_JOURNAL_H
#define TOOL_JOURNAL_H

#include "run/row_state.h"

#include <stddef.h>

typedef struct journal journal;

/* A round that is done. */
typedef struct journal_record {
  uint64_t first;
  uint32_t count;
  uint64_t checksum;       /* of the rows as they are in the output file */
  int64_t elapsed_ns;      /* of the job so far, earlier runs included */
  const row_state *states; /* by sample */
} journal_record;

/*
 * Opens the journal of a job, or makes one, and keeps other processes out. `job` is one line of
 * JSON that says all that the output depends on; a journal of another job is refused with what
 * differs. *plan is the line that was kept with journal_begin(), "" in a new one. Returns the exit
 * status, after a message.
 */
int journal_open(const char *path, const char *job, journal **opened, const char **plan);

/* One in a file without a name, which is gone with journal_close(). */
int journal_open_scratch(const char *path, journal **opened);

/* Keeps the plan of a new journal. */
int journal_begin(journal *self, const char *plan);

/*
 * Calls `each` with every record of the earlier runs, until one is damaged; from there on the
 * journal is cut off.
 */
int journal_replay(journal *self, uint64_t samples,
                   void (*each)(void *user, const journal_record *record), void *user);

int journal_append(journal *self, const journal_record *record);

/* Notes which file is about to become the output. */
int journal_finish(journal *self, uint64_t inode);

/* That file, if an earlier run has come so far; else 0. */
uint64_t journal_finished(const journal *self);

/* Removes the file: the job is done. */
void journal_remove(journal *self);

void journal_close(journal *self); /* NULL is allowed */

#endif
