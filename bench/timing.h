/* SPDX-License-Identifier: Apache-2.0 */
/* What benchmarks share. */
#ifndef QB_BENCH_TIMING_H
#define QB_BENCH_TIMING_H

#include <qosbatch/qosbatch.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline void check(qb_status status)
{
  if (status) {
    fprintf(stderr, "%s\n", qb_error_message());
    exit(1);
  }
}

static inline double now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static inline int ascending(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static inline double median(double *values, size_t count)
{
  qsort(values, count, sizeof *values, ascending);
  return values[count / 2];
}

/* A whole round, timed from outside. */
static inline double round_ms(qb_session *session, uint32_t batch, const float *in, float *out)
{
  const void *const inputs[1] = {in};
  void *const outputs[1] = {out};
  const double start_ms = now_ms();
  check(qb_session_run(session, batch, inputs, outputs, NULL));
  return now_ms() - start_ms;
}

#endif
