/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The output of a job. Rows are written in any order into OUTPUT.part, which becomes OUTPUT when
 * all are there: an .npy array of all values, or a CSV file of each sample's five largest.
 */
#ifndef TOOL_RESULTS_H
#define TOOL_RESULTS_H

#include "run/journal.h"
#include "run/source.h"

typedef struct results results;

/* Ends the process with EXIT_USAGE unless the path's ending says what is to be made. */
void results_check_path(const char *path);

/*
 * Is the output in place, the file that journal_finished() says, and no part file left: was an
 * earlier run killed at its very end?
 */
bool results_in_place(const char *path, const journal *progress);

/* Opens the part file, with what an earlier run left in it. Returns the exit status. */
int results_open(const char *path, uint64_t rows, uint64_t columns, results **opened);

/* The same in a file without a name, which is gone with results_close(). */
int results_open_scratch(const char *path, uint64_t rows, uint64_t columns, results **opened);

/*
 * Writes `count` rows, NaN where they are unreadable; *checksum is that of the bytes written.
 * Returns the exit status. Thread-safe for different rows.
 */
int results_write(results *self, uint64_t first, uint32_t count, const float *values,
                  const row_state *states, uint64_t *checksum);

/* The checksum of rows as they are in the part file; false if they cannot be read. */
bool results_checksum(results *self, uint64_t first, uint32_t count, uint64_t *checksum);

/* Puts OUTPUT in place, after noting it in the journal. */
int results_finish(results *self, const source *samples, journal *progress);

void results_close(results *self); /* NULL is allowed */

#endif
