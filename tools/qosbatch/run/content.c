/* SPDX-License-Identifier: Apache-2.0 */
#include "run/content.h"

#include "common/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRIME_1 UINT64_C(0x9E3779B185EBCA87)
#define PRIME_2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define PRIME_3 UINT64_C(0x165667B19E3779F9)
#define PRIME_4 UINT64_C(0x85EBCA77C2B2AE63)
#define PRIME_5 UINT64_C(0x27D4EB2F165667C5)

/* Blocks stay in a core's own cache, so that the hash does not wait for memory. */
enum { LANES = 4, STRIPE = LANES * 8, BLOCK = 1 << 18 };

static uint64_t read_64(const uint8_t *at)
{
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static uint32_t read_32(const uint8_t *at)
{
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static uint64_t rotate(uint64_t value, int bits)
{
  return value << bits | value >> (64 - bits);
}

static uint64_t mix(uint64_t lane, uint64_t input)
{
  return rotate(lane + input * PRIME_2, 31) * PRIME_1;
}

static void begin(uint64_t lanes[LANES])
{
  const uint64_t first[LANES] = {PRIME_1 + PRIME_2, PRIME_2, 0, 0 - PRIME_1};
  memcpy(lanes, first, sizeof first);
}

/* Takes whole stripes. */
static void add(uint64_t lanes[LANES], const uint8_t *data, size_t bytes)
{
  uint64_t a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3];
  for (const uint8_t *end = data + bytes; data < end; data += STRIPE) {
    a = mix(a, read_64(data));
    b = mix(b, read_64(data + 8));
    c = mix(c, read_64(data + 16));
    d = mix(d, read_64(data + 24));
  }
  lanes[0] = a;
  lanes[1] = b;
  lanes[2] = c;
  lanes[3] = d;
}

static uint64_t merge(const uint64_t lanes[LANES])
{
  uint64_t hash =
      rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
  for (int i = 0; i < LANES; i++)
    hash = (hash ^ mix(0, lanes[i])) * PRIME_1 + PRIME_4;
  return hash;
}

/* Of `total` bytes, of which the last, less than a stripe, were not added. */
static uint64_t end(const uint64_t lanes[LANES], uint64_t total, const uint8_t *rest)
{
  uint64_t hash = (total >= STRIPE ? merge(lanes) : PRIME_5) + total;
  const uint8_t *last = rest + total % STRIPE;
  for (; last - rest >= 8; rest += 8)
    hash = rotate(hash ^ mix(0, read_64(rest)), 27) * PRIME_1 + PRIME_4;
  for (; last - rest >= 4; rest += 4)
    hash = rotate(hash ^ read_32(rest) * PRIME_1, 23) * PRIME_2 + PRIME_3;
  for (; last > rest; rest++)
    hash = rotate(hash ^ *rest * PRIME_5, 11) * PRIME_1;
  hash = (hash ^ hash >> 33) * PRIME_2;
  hash = (hash ^ hash >> 29) * PRIME_3;
  return hash ^ hash >> 32;
}

uint64_t content_of(const void *data, size_t bytes)
{
  uint64_t lanes[LANES];
  const size_t whole = bytes / STRIPE * STRIPE;
  begin(lanes);
  add(lanes, data, whole);
  return end(lanes, bytes, (const uint8_t *)data + whole);
}

/* Bytes of the next block, less than a whole one at the end of the file; -1 with errno. */
static ssize_t read_block(int fd, uint8_t *block, uint64_t offset)
{
  size_t used = 0;
  while (used < BLOCK) {
    const ssize_t n = pread(fd, block + used, BLOCK - used, (off_t)(offset + used));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -1;
    if (n == 0)
      break;
    used += (size_t)n;
  }
  return (ssize_t)used;
}

bool content_of_file(int fd, uint64_t *hash)
{
  struct stat info;
  if (fstat(fd, &info))
    return false;
  if (!S_ISREG(info.st_mode)) {
    errno = S_ISDIR(info.st_mode) ? EISDIR : ENXIO;
    return false;
  }
  uint8_t *block = allocate(BLOCK, 1);
  uint64_t lanes[LANES], total = 0;
  ssize_t bytes;
  begin(lanes);
  (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  do {
    bytes = read_block(fd, block, total);
    if (bytes > 0) {
      add(lanes, block, (size_t)bytes / STRIPE * STRIPE);
      total += (uint64_t)bytes;
    }
  } while (bytes == BLOCK);
  if (bytes >= 0)
    *hash = end(lanes, total, block + (size_t)bytes / STRIPE * STRIPE);
  free(block);
  return bytes >= 0;
}

bool content_of_path(const char *path, uint64_t *hash)
{
  const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0)
    return false;
  const bool good = content_of_file(fd, hash);
  const int reason = errno;
  close(fd);
  errno = reason;
  return good;
}
