/* SPDX-License-Identifier: Apache-2.0 */
#include "run/job_rehearsal.h"

#include "common/diagnose.h"
#include "common/output.h"

#include <stdlib.h>

enum { LOOK_MS = 5, LOOKS = 20, MOST_LOOKS = 100 };

static int ascending(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

/*
 * The median of short looks, as a neighbour's burst touches few of them; the first, in which
 * threads and memory get there, is left out.
 */
static double watch(job_runner *runner, uint32_t instances)
{
  double round_ns[MOST_LOOKS];
  job_state before = {0}, state;
  size_t count = 0;
  bool warm = false;
  for (int look = 0; look < MOST_LOOKS && count < LOOKS; look++) {
    job_watch(runner, LOOK_MS, &state);
    const uint64_t rounds = state.rounds - before.rounds;
    if (state.ended)
      break;
    if (warm && rounds)
      round_ns[count++] =
          (double)instances * (double)(state.elapsed_ns - before.elapsed_ns) / (double)rounds;
    warm = warm || rounds;
    before = state;
  }
  qsort(round_ns, count, sizeof *round_ns, ascending);
  return count ? round_ns[count / 2] : 0;
}

int job_rehearse(const job_params *job, qb_session *session, const char *output, uint64_t columns,
                 double *round_ns)
{
  const uint64_t samples = source_count(job->samples);
  job_params params = *job;
  job_runner *runner;
  int result;
  params.done = allocate(samples, sizeof *params.done);
  if ((result = results_open_scratch(output, samples, columns, &params.output)) ||
      (result = journal_open_scratch(output, &params.progress)) ||
      (result = job_start(&params, &runner)))
    goto done;
  result = job_run(runner, session);
  *round_ns = result ? 0 : watch(runner, params.instances);
  job_stop(runner);
  const int ended = job_join(runner);
  result = result ? result : ended;
done:
  journal_close(params.progress);
  results_close(params.output);
  free(params.done);
  return result;
}
