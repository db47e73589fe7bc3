/* SPDX-License-Identifier: Apache-2.0 */
#include "gunzip.h"

#include <stdlib.h>
#include <zlib.h>

enum { FIRST_ROOM = 1 << 16, ANY_WRAPPING = 15 + 32 };

/* A buffer that grows within a budget. */
typedef struct growing {
  char *text;
  size_t bytes, room, most;
  budget *memory;
} growing;

static bool grow(growing *g, problem *why)
{
  if (g->bytes > g->most)
    return refuse(why, 413, "the body is larger than %zu bytes when unpacked", g->most);
  const size_t wanted = g->room ? 2 * g->room : FIRST_ROOM;
  const size_t room = wanted < g->most + 2 ? wanted : g->most + 2;
  if (!budget_take(g->memory, room - g->room))
    return refuse(why, 503, "out of memory for the body");
  char *text = realloc(g->text, room);
  if (!text) {
    budget_give(g->memory, room - g->room);
    return refuse(why, 503, "out of memory for the body");
  }
  g->text = text;
  g->room = room;
  return true;
}

/* One step; *done at the end of all. Members of gzip may follow each other (RFC 1952). */
static bool step(z_stream *z, growing *g, bool *done, problem *why)
{
  if (g->bytes + 1 >= g->room && !grow(g, why))
    return false;
  z->next_out = (Bytef *)g->text + g->bytes;
  z->avail_out = (uInt)(g->room - 1 - g->bytes < UINT32_MAX ? g->room - 1 - g->bytes : UINT32_MAX);
  const int result = inflate(z, Z_NO_FLUSH);
  g->bytes = (size_t)((char *)z->next_out - g->text);
  *done = result == Z_STREAM_END && !z->avail_in;
  if (*done && g->bytes > g->most)
    return refuse(why, 413, "the body is larger than %zu bytes when unpacked", g->most);
  if (result == Z_STREAM_END)
    return *done || inflateReset(z) == Z_OK;
  if (result == Z_OK && (z->avail_in || !z->avail_out))
    return true;
  return refuse(why, 400, "the body does not match its Content-Encoding: %s",
                z->msg ? z->msg : "it ends too early");
}

char *gunzip(const char *packed, size_t packed_bytes, size_t most, budget *memory, size_t *bytes,
             size_t *room, problem *why)
{
  growing g = {.most = most, .memory = memory};
  z_stream z = {.next_in = (const Bytef *)packed, .avail_in = (uInt)packed_bytes};
  if (packed_bytes > UINT32_MAX || inflateInit2(&z, ANY_WRAPPING) != Z_OK) {
    refuse(why, 503, "out of memory for the body");
    return NULL;
  }
  bool done = false;
  while (!done && step(&z, &g, &done, why))
    ;
  inflateEnd(&z);
  if (!done || g.bytes > most) {
    free(g.text);
    budget_give(memory, g.room);
    return NULL;
  }
  g.text[g.bytes] = 0;
  *bytes = g.bytes;
  *room = g.room;
  return g.text;
}
