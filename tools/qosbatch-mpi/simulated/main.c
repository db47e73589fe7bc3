/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster runner under SimGrid's SMPI: the same dispatcher and workers, rounds stood in for by
 * the times of profiles. Rank 0 dispatches only. Prints one line of JSON.
 *
 * usage: smpirun ... simulated POLICY SAMPLES SLOW_FROM_S PROFILE...
 *
 * POLICY is qosbatch, equal, or a batch size that all nodes run. Ranks have the profiles in turn,
 * shuffled. From SLOW_FROM_S (0: never) on one node in 20, and rank 1, takes twice as long.
 */
#include "cluster.h"
#include "common/diagnose.h"
#include "common/load.h"
#include "common/output.h"
#include "crew_simulated.h"
#include "link.h"
#include "profiles.h"

#include <qosbatch/place.h>

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct setting {
  const char *policy;
  uint64_t samples;
  double slow_from_s;
  int profile_count;
  char **profiles;
} setting;

/* The same on every rank, without messages. */
static uint64_t mix(uint64_t value)
{
  value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
  return value ^ (value >> 31);
}

static const char *profile_of(const setting *s, int rank)
{
  return s->profiles[mix((uint64_t)rank) % (uint64_t)s->profile_count];
}

static bool slows(const setting *s, int rank)
{
  return s->slow_from_s > 0 && (rank == 1 || mix((uint64_t)rank + 1000003) % 20 == 0);
}

typedef struct worker_state {
  crew_model model;
  crew *crew;
} worker_state;

static crew *prepare(void *user, const qb_share *share, char failure[256])
{
  worker_state *state = user;
  state->crew = crew_simulate(&state->model, share);
  if (!state->crew)
    snprintf(failure, 256, "%s", qb_error_message());
  return state->crew;
}

static int begin(void *user, const dispatch *work)
{
  (void)user;
  (void)work;
  return EXIT_DONE;
}

static int take(void *user, const crew_round *round)
{
  (void)user;
  (void)round;
  return EXIT_DONE;
}

/* Best rate of a node, samples/s. */
static double best_rate(const qb_profile *profile)
{
  qb_place_node node = QB_PLACE_NODE_INIT;
  qb_share share = QB_SHARE_INIT;
  qb_placement placement = QB_PLACEMENT_INIT;
  node.profile = profile;
  qb_job job = QB_JOB_INIT;
  job.samples = 1000000000;
  return check(qb_place_job(&node, 1, &job, NULL, &share, &placement))
             ? 0
             : (double)job.samples / ((double)placement.bound_ns / 1e9);
}

/* All work over all rates, those of slowed nodes halved from then on. */
static double bound_s(qb_context *context, const setting *s, int ranks)
{
  double rate = 0, slowed = 0;
  double *rates = allocate((size_t)s->profile_count, sizeof *rates);
  for (int i = 0; i < s->profile_count; i++) {
    qb_profile *profile = NULL;
    if (!load_profile(context, s->profiles[i], &profile))
      rates[i] = best_rate(profile);
    qb_profile_unref(profile);
  }
  for (int i = 1; i < ranks; i++) {
    const double mine = rates[mix((uint64_t)i) % (uint64_t)s->profile_count];
    rate += mine;
    slowed += slows(s, i) ? 0.5 * mine : mine;
  }
  free(rates);
  const double undisturbed = (double)s->samples / rate;
  if (!(s->slow_from_s > 0) || undisturbed < s->slow_from_s)
    return undisturbed;
  return s->slow_from_s + ((double)s->samples - s->slow_from_s * rate) / slowed;
}

static void print_line(const setting *s, int ranks, double bound, double elapsed_s)
{
  printf("{\"policy\": \"%s\", \"nodes\": %d, \"samples\": %llu, \"slow_from_s\": %g, "
         "\"bound_s\": %.6f, \"elapsed_s\": %.6f}\n",
         s->policy, ranks - 1, (unsigned long long)s->samples, s->slow_from_s, bound, elapsed_s);
}

static int dispatch_all(qb_context *context, const setting *s, int ranks)
{
  const cluster_job job = {.samples = s->samples,
                           .fixed_batch = (uint32_t)strtoul(s->policy, NULL, 10),
                           .first_worker = 1,
                           .workers = ranks - 1};
  const cluster_sink sink = {.begin = begin, .take = take};
  cluster_result result = {NULL, 0};
  const int status = cluster_dispatch(context, &job, &sink, &result);
  if (!status)
    print_line(s, ranks, bound_s(context, s, ranks), (double)result.elapsed_ns / 1e9);
  dispatch_free(result.work);
  return status;
}

static int work(const qb_profile *profile, worker_state *state)
{
  cluster_worker worker = {.user = state, .prepare = prepare};
  char *text = profile_to_text(profile, &worker.profile_bytes);
  worker.profile = text;
  if (!text)
    return EXIT_FAILED;
  cluster_work(&worker);
  free(text);
  return EXIT_DONE;
}

/* A node's equal share in its own best configuration and batch, without anybody else. */
static int work_alone(const setting *s, int rank, int ranks, worker_state *state)
{
  const uint64_t workers = (uint64_t)ranks - 1;
  qb_place_node node = QB_PLACE_NODE_INIT;
  qb_share share = QB_SHARE_INIT;
  node.profile = state->model.profile;
  uint64_t left = s->samples / workers + ((uint64_t)(rank - 1) < s->samples % workers);
  qb_job job = QB_JOB_INIT;
  job.samples = left;
  if (check(qb_place_job(&node, 1, &job, NULL, &share, NULL)) ||
      !(state->crew = crew_simulate(&state->model, &share)))
    return EXIT_FAILED;
  crew_round round;
  uint32_t waiting = 0;
  while (left || waiting) {
    for (; left && waiting < share.configuration.instances; waiting++) {
      const dispatch_round next = {0, left < share.batch ? (uint32_t)left : share.batch};
      crew_push(state->crew, &next);
      left -= next.count;
    }
    if (crew_take(state->crew, &round))
      waiting--;
    else
      crew_pause(state->crew);
  }
  return EXIT_DONE;
}

static int run_equal(qb_context *context, const setting *s, int rank, int ranks,
                     worker_state *state)
{
  MPI_Barrier(MPI_COMM_WORLD);
  const int64_t start_ns = link_now_ns();
  int result = rank ? work_alone(s, rank, ranks, state) : EXIT_DONE;
  MPI_Barrier(MPI_COMM_WORLD);
  if (!rank)
    print_line(s, ranks, bound_s(context, s, ranks), (double)(link_now_ns() - start_ns) / 1e9);
  return result;
}

static int run(const setting *s)
{
  int rank, ranks, result;
  qb_context *context = NULL;
  qb_profile *profile = NULL;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if ((result = load_context(&context)) ||
      (result = load_profile(context, profile_of(s, rank), &profile)))
    goto done;
  worker_state state = {
      .model = {.profile = profile,
                .slow_from_ns = slows(s, rank) ? (int64_t)(s->slow_from_s * 1e9) : INT64_MAX,
                .seed = mix((uint64_t)rank) | 1}};
  link_open();
  if (!strcmp(s->policy, "equal"))
    result = run_equal(context, s, rank, ranks, &state);
  else
    result = rank ? work(profile, &state) : dispatch_all(context, s, ranks);
  link_close();
  crew_free(state.crew);
done:
  qb_profile_unref(profile);
  qb_context_unref(context);
  return result;
}

int main(int argc, char **argv)
{
  diagnose_as("simulated");
  MPI_Init(&argc, &argv);
  if (argc < 5)
    fail_usage("expected POLICY SAMPLES SLOW_FROM_S PROFILE...");
  const setting s = {.policy = argv[1],
                     .samples = strtoull(argv[2], NULL, 10),
                     .slow_from_s = strtod(argv[3], NULL),
                     .profile_count = argc - 4,
                     .profiles = argv + 4};
  const int result = run(&s);
  if (result)
    MPI_Abort(MPI_COMM_WORLD, result);
  MPI_Finalize();
  return output_finish();
}
