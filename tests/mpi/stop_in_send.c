/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into qosbatch-mpi, stops rank 1 in the middle of sending its first rows: their message
 * is announced, and its data never comes.
 */
#include <mpi.h>
#include <signal.h>

enum { LEAST_BYTES = 8000 /* more than is sent along with an announcement */ };

int MPI_Send(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm)
{
  MPI_Request request;
  int rank;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank != 1 || to == rank || count < LEAST_BYTES)
    return PMPI_Send(data, count, type, to, tag, comm);
  PMPI_Isend(data, count, type, to, tag, comm, &request);
  raise(SIGSTOP);
  return PMPI_Wait(&request, MPI_STATUS_IGNORE);
}
