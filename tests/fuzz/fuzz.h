/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzz targets share. A target is one file with this function, for libFuzzer or replay.c. */
#ifndef QB_TESTS_FUZZ_H
#define QB_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/*
 * Changes an input in place, to at most `most` bytes; only targets that know their format have it.
 */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t most, unsigned seed)
    __attribute__((weak));

/* As assert(), in every build. */
#define FUZZ_EXPECT(condition)                                                                     \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);                     \
      abort();                                                                                     \
    }                                                                                              \
  } while (0)

#endif
