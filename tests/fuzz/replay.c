/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without a fuzzer: on every file of a folder, on each of its beginnings (one in
 * so many of a long one), and on seeded random changes of it, of which QB_TEST_CASES may ask for a part.
 *
 * usage: fuzz_NAME FOLDER [CHANGES]
 */
#include "fuzz/fuzz.h"
#include "support/random.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 1 << 20, BEGINNINGS = 200 };

static size_t read_file(const char *path, uint8_t *data)
{
  FILE *file = fopen(path, "rb");
  if (!file)
    return 0;
  const size_t bytes = fread(data, 1, LARGEST, file);
  fclose(file);
  return bytes;
}

/* In memory of just its size, so that a sanitizer sees a read behind its end. */
static void run(const uint8_t *data, size_t bytes)
{
  uint8_t *copy = malloc(bytes ? bytes : 1);
  FUZZ_EXPECT(copy);
  memcpy(copy, data, bytes);
  LLVMFuzzerTestOneInput(copy, bytes);
  free(copy);
}

/* One to four bytes set, copied, removed or repeated. */
static size_t change(uint8_t *data, size_t bytes, uint64_t *seed)
{
  for (uint64_t n = random_int(seed, 1, 4); n && bytes; n--) {
    const size_t at = (size_t)random_int(seed, 0, bytes - 1);
    const size_t span = (size_t)random_int(seed, 1, bytes - at < 16 ? bytes - at : 16);
    switch (random_int(seed, 0, 3)) {
    case 0: data[at] = (uint8_t)random_bits(seed); break;
    case 1: data[at] = data[random_int(seed, 0, bytes - 1)]; break;
    case 2:
      memmove(data + at, data + at + span, bytes - at - span);
      bytes -= span;
      break;
    default:
      if (bytes + span <= LARGEST) {
        memmove(data + at + span, data + at, bytes - at);
        bytes += span;
      }
    }
  }
  return bytes;
}

/* By the target where it knows how, and then again on what came of it. */
static void run_changes(const uint8_t *data, size_t bytes, uint8_t *changed, int changes,
                        uint64_t *seed)
{
  size_t length = 0;
  for (int c = 0; c < changes; c++) {
    if (!LLVMFuzzerCustomMutator || c % 8 == 0) {
      memcpy(changed, data, bytes);
      length = bytes;
    }
    length = LLVMFuzzerCustomMutator
                 ? LLVMFuzzerCustomMutator(changed, length, LARGEST, (unsigned)random_bits(seed))
                 : change(changed, length, seed);
    run(changed, length);
  }
}

int main(int argc, char **argv)
{
  if (argc < 2) {
    fprintf(stderr, "usage: %s FOLDER [CHANGES]\n", argv[0]);
    return 2;
  }
  const int changes = argc > 2 ? random_cases(atoi(argv[2])) : 0;
  uint64_t seed = random_start();
  uint8_t *data = malloc(LARGEST), *changed = malloc(LARGEST);
  DIR *folder = opendir(argv[1]);
  FUZZ_EXPECT(data && changed && folder);
  int files = 0;
  for (struct dirent *entry; (entry = readdir(folder));) {
    char path[4096];
    if (entry->d_name[0] == '.')
      continue;
    snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
    const size_t bytes = read_file(path, data);
    for (size_t n = 0; n < bytes; n += 1 + bytes / BEGINNINGS)
      run(data, n);
    run(data, bytes);
    run_changes(data, bytes, changed, changes, &seed);
    files++;
  }
  closedir(folder);
  free(changed);
  free(data);
  printf("%d files\n", files);
  return files ? 0 : 1;
}
