/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include "common/output.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static MPI_Comm ways[2];

/* Messages that are on their way, in the order in which they were sent. */
typedef struct arrival {
  MPI_Request request;
  link_message message;
} arrival;

static struct arrivals {
  arrival *items;
  size_t count, capacity;
} arriving[2]; /* by link_way */

/* Whoever waits in MPI itself takes a core all the time; this long is nothing to a round. */
enum { NAP_NS = 1000000 };

void link_open(void)
{
  MPI_Comm_dup(MPI_COMM_WORLD, &ways[LINK_UP]);
  MPI_Comm_dup(MPI_COMM_WORLD, &ways[LINK_DOWN]);
}

void link_close(void)
{
  MPI_Comm_free(&ways[LINK_UP]);
  MPI_Comm_free(&ways[LINK_DOWN]);
  free(arriving[LINK_UP].items);
  free(arriving[LINK_DOWN].items);
}

void link_send(link_way way, link_kind kind, int rank, const void *data, size_t bytes)
{
  MPI_Send(data, (int)bytes, MPI_BYTE, rank, kind, ways[way]);
}

/* Begins to receive; a rank that is stopped in the middle of sending keeps nobody waiting. */
static void begin(link_way way, const MPI_Status *status)
{
  struct arrivals *a = &arriving[way];
  if (a->count == a->capacity) {
    a->capacity = a->capacity ? 2 * a->capacity : 8;
    arrival *larger = allocate(a->capacity, sizeof *larger);
    if (a->count)
      memcpy(larger, a->items, a->count * sizeof *larger);
    free(a->items);
    a->items = larger;
  }
  int bytes;
  MPI_Get_count(status, MPI_BYTE, &bytes);
  arrival *next = &a->items[a->count++];
  next->message = (link_message){(link_kind)status->MPI_TAG, status->MPI_SOURCE, (size_t)bytes,
                                 bytes ? allocate((size_t)bytes, 1) : NULL};
  MPI_Irecv(next->message.data, bytes, MPI_BYTE, status->MPI_SOURCE, status->MPI_TAG, ways[way],
            &next->request);
}

/* A rank's messages are taken in their order. */
static bool is_behind_another(const struct arrivals *a, size_t index)
{
  for (size_t i = 0; i < index; i++)
    if (a->items[i].message.rank == a->items[index].message.rank)
      return true;
  return false;
}

static void take_out(struct arrivals *a, size_t index, link_message *message)
{
  *message = a->items[index].message;
  a->count--;
  memmove(&a->items[index], &a->items[index + 1], (a->count - index) * sizeof *a->items);
}

bool link_take(link_way way, link_message *message)
{
  struct arrivals *a = &arriving[way];
  MPI_Status status;
  int there = 0, whole = 0;
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, ways[way], &there, &status);
  if (there)
    begin(way, &status);
  for (size_t i = 0; i < a->count; i++) {
    if (!is_behind_another(a, i))
      MPI_Test(&a->items[i].request, &whole, MPI_STATUS_IGNORE);
    if (!whole)
      continue;
    take_out(a, i, message);
    return true;
  }
  return false;
}

#ifdef QOSBATCH_SIMULATED

bool link_wait(link_way way, int64_t most_ns, link_message *message)
{
  (void)most_ns;
  struct arrivals *a = &arriving[way];
  if (!a->count) {
    MPI_Status status;
    MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, ways[way], &status);
    begin(way, &status);
  }
  MPI_Wait(&a->items[0].request, MPI_STATUS_IGNORE);
  take_out(a, 0, message);
  return true;
}

#else

bool link_wait(link_way way, int64_t most_ns, link_message *message)
{
  const struct timespec nap = {0, NAP_NS};
  const int64_t end_ns = link_now_ns() + most_ns;
  while (!link_take(way, message)) {
    if (link_now_ns() >= end_ns)
      return false;
    nanosleep(&nap, NULL);
  }
  return true;
}

#endif

int64_t link_now_ns(void)
{
  return (int64_t)(MPI_Wtime() * 1e9);
}
