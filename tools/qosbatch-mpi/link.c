/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include "common/output.h"

#include <mpi.h>
#include <time.h>

static MPI_Comm ways[2];

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
}

void link_send(link_way way, link_kind kind, int rank, const void *data, size_t bytes)
{
  MPI_Send(data, (int)bytes, MPI_BYTE, rank, kind, ways[way]);
}

static void receive(link_way way, const MPI_Status *status, link_message *message)
{
  int bytes;
  MPI_Get_count(status, MPI_BYTE, &bytes);
  *message = (link_message){(link_kind)status->MPI_TAG, status->MPI_SOURCE, (size_t)bytes,
                            bytes ? allocate((size_t)bytes, 1) : NULL};
  MPI_Recv(message->data, bytes, MPI_BYTE, status->MPI_SOURCE, status->MPI_TAG, ways[way],
           MPI_STATUS_IGNORE);
}

bool link_take(link_way way, link_message *message)
{
  MPI_Status status;
  int there = 0;
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, ways[way], &there, &status);
  if (there)
    receive(way, &status, message);
  return there;
}

#ifdef QOSBATCH_SIMULATED

bool link_wait(link_way way, int64_t most_ns, link_message *message)
{
  (void)most_ns;
  MPI_Status status;
  MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, ways[way], &status);
  receive(way, &status, message);
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
