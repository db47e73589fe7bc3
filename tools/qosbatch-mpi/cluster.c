/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster.h"

#include "common/diagnose.h"
#include "common/output.h"
#include "link.h"
#include "profiles.h"

#include <qosbatch/place.h>

#include <stdlib.h>
#include <string.h>

enum { PROGRESS_NS = 200000000, ROOT = 0 };
static const int64_t LONG_NS = 30000000000;

typedef struct link_plan {
  uint32_t instances, threads, batch, precision;
} link_plan;

typedef struct link_done {
  dispatch_round samples;
  int64_t took_ns;
} link_done;

/* The dispatcher. */

typedef struct dispatcher {
  const cluster_job *job;
  const cluster_sink *sink;
  profiles *profiles;
  qb_place_node *nodes;
  dispatch *work;
  int64_t start_ns, shown_ns;
} dispatcher;

static int fail_of(const link_message *m)
{
  return fail("rank %d: %.*s", m->rank, (int)m->bytes, m->data ? m->data : "");
}

/* A message of each worker, of one kind. */
static int collect(dispatcher *d, link_kind kind)
{
  int result = EXIT_DONE;
  int64_t asked_ns = link_now_ns();
  for (int got = 0; got < d->job->workers && !result;) {
    link_message m;
    if (!link_wait(LINK_UP, PROGRESS_NS, &m)) {
      if (link_now_ns() - asked_ns > LONG_NS) {
        note("waiting for %d of %d ranks", d->job->workers - got, d->job->workers);
        asked_ns = link_now_ns();
      }
      continue;
    }
    if (m.kind == LINK_FAILED) {
      result = fail_of(&m);
    } else if (kind == LINK_PROFILE) {
      qb_place_node *node = &d->nodes[m.rank - d->job->first_worker];
      node->profile = profiles_add(d->profiles, m.data, m.bytes);
      result = node->profile ? EXIT_DONE : EXIT_FAILED;
    }
    free(m.data);
    got++;
  }
  return result;
}

static int place(dispatcher *d)
{
  const dispatch_params params = {.nodes = d->nodes,
                                  .node_count = (size_t)d->job->workers,
                                  .samples = d->job->samples,
                                  .done = d->job->done,
                                  .fixed_batch = d->job->fixed_batch,
                                  .accuracy = d->job->accuracy};
  const int result = check(dispatch_new(&params, &d->work));
  for (int i = 0; i < d->job->workers && !result; i++) {
    const qb_share *share = dispatch_share(d->work, (size_t)i);
    const link_plan plan = {share->configuration.instances, share->configuration.threads,
                            share->batch, (uint32_t)share->configuration.precision};
    link_send(LINK_DOWN, LINK_PLAN, d->job->first_worker + i, &plan, sizeof plan);
  }
  return result;
}

static void serve(dispatcher *d, size_t node)
{
  dispatch_round round;
  while (dispatch_next(d->work, node, link_now_ns(), &round))
    link_send(LINK_DOWN, LINK_WORK, d->job->first_worker + (int)node, &round, sizeof round);
}

static void serve_all(dispatcher *d)
{
  for (int i = 0; i < d->job->workers; i++)
    if (dispatch_has_room(d->work, (size_t)i))
      serve(d, (size_t)i);
}

static int take_round(dispatcher *d, const link_message *m)
{
  link_done done;
  memcpy(&done, m->data, sizeof done);
  const size_t row_bytes = d->sink->row_elements * sizeof(float);
  crew_round round = {.samples = done.samples, .took_ns = done.took_ns};
  if (row_bytes) {
    const size_t bytes = done.samples.count * row_bytes;
    round.rows = (float *)(void *)(m->data + sizeof done);
    round.states = (row_state *)(m->data + sizeof done + bytes);
  }
  const size_t node = (size_t)(m->rank - d->job->first_worker);
  const bool is_new = dispatch_done(d->work, node, &done.samples, link_now_ns(), done.took_ns);
  const int result = is_new ? d->sink->take(d->sink->user, &round) : EXIT_DONE;
  if (dispatch_is_last(d->work))
    serve_all(d);
  else
    serve(d, node);
  return result;
}

/* The rounds of ranks that are stopped are for others; whoever goes on again is welcome. */
static void give_up_silent(dispatcher *d)
{
  for (int i = 0; i < d->job->workers; i++) {
    const int64_t silence_ns = dispatch_silence_ns(d->work, (size_t)i, link_now_ns());
    if (!silence_ns)
      continue;
    warn("rank %d has not answered for %s; its rounds go to other ranks", d->job->first_worker + i,
         human_time(silence_ns).s);
    dispatch_give_up(d->work, (size_t)i);
    serve_all(d);
  }
}

static int deal(dispatcher *d)
{
  int result = EXIT_DONE;
  serve_all(d);
  while (!result && !dispatch_complete(d->work)) {
    link_message m;
    if (link_wait(LINK_UP, PROGRESS_NS, &m)) {
      result = m.kind == LINK_FAILED ? fail_of(&m) : take_round(d, &m);
      free(m.data);
    }
    if (d->job->workers > 1)
      give_up_silent(d);
    const int64_t now_ns = link_now_ns();
    if (d->sink->progress && now_ns - d->shown_ns > PROGRESS_NS) {
      d->sink->progress(d->sink->user, d->work, now_ns - d->start_ns);
      d->shown_ns = now_ns;
    }
  }
  return result;
}

/*
 * Ends the workers. Until one says that it has ended it may be sending a round that another rank was
 * quicker with, and would wait for ever if nobody took it. Returns how many are stopped.
 */
static int end_all(const dispatcher *d)
{
  const cluster_job *job = d->job;
  bool *ended = allocate((size_t)job->workers, sizeof *ended);
  int going = job->workers;
  for (int i = 0; i < job->workers; i++) {
    ended[i] = dispatch_is_given_up(d->work, (size_t)i);
    going -= ended[i];
    link_send(LINK_DOWN, LINK_END, job->first_worker + i, NULL, 0);
  }
  int stopped = job->workers - going;
  int64_t heard_ns = link_now_ns();
  while (going && link_now_ns() - heard_ns < LONG_NS) {
    link_message m;
    if (!link_wait(LINK_UP, PROGRESS_NS, &m))
      continue;
    heard_ns = link_now_ns();
    const int i = m.rank - job->first_worker;
    if (m.kind == LINK_ENDED && ended[i])
      stopped--; /* it goes on again */
    else if (m.kind == LINK_ENDED)
      going--;
    free(m.data);
  }
  free(ended);
  return stopped + going;
}

int cluster_dispatch(qb_context *context, const cluster_job *job, const cluster_sink *sink,
                     cluster_result *result)
{
  dispatcher d = {.job = job, .sink = sink, .profiles = profiles_new(context)};
  d.nodes = allocate((size_t)job->workers, sizeof *d.nodes);
  for (int i = 0; i < job->workers; i++)
    d.nodes[i] = (qb_place_node)QB_PLACE_NODE_INIT;
  int status;
  if (!(status = collect(&d, LINK_PROFILE)) && !(status = place(&d)) &&
      !(status = collect(&d, LINK_READY)) && !(status = sink->begin(sink->user, d.work))) {
    d.start_ns = link_now_ns();
    status = deal(&d);
    result->elapsed_ns = link_now_ns() - d.start_ns;
  }
  if (!status)
    result->given_up = end_all(&d);
  result->work = d.work;
  profiles_free(d.profiles);
  free(d.nodes);
  return status;
}

/* A worker. */

static void send_round(const cluster_worker *worker, crew_round *round)
{
  const link_done done = {round->samples, round->took_ns};
  const size_t rows = round->samples.count * worker->row_elements * sizeof(float);
  const size_t states = rows ? round->samples.count * sizeof *round->states : 0;
  char *data = allocate(sizeof done + rows + states, 1);
  memcpy(data, &done, sizeof done);
  if (rows) {
    memcpy(data + sizeof done, round->rows, rows);
    memcpy(data + sizeof done + rows, round->states, states);
  }
  link_send(LINK_UP, LINK_DONE, ROOT, data, sizeof done + rows + states);
  free(data);
}

static crew *prepare(const cluster_worker *worker, const link_message *m)
{
  link_plan plan;
  memcpy(&plan, m->data, sizeof plan);
  qb_share share = QB_SHARE_INIT;
  share.configuration.instances = plan.instances;
  share.configuration.threads = plan.threads;
  share.configuration.precision = (qb_precision)plan.precision;
  share.batch = plan.batch;
  char failure[256] = "";
  crew *made = worker->prepare(worker->user, &share, failure);
  if (made)
    link_send(LINK_UP, LINK_READY, ROOT, NULL, 0);
  else
    link_send(LINK_UP, LINK_FAILED, ROOT, failure, strlen(failure));
  return made;
}

void cluster_work(const cluster_worker *worker)
{
  const int64_t moment_ns = 1000000000;
  crew *all = NULL;
  bool failed = false;
  link_send(LINK_UP, LINK_PROFILE, ROOT, worker->profile, worker->profile_bytes);
  for (;;) {
    crew_round round;
    const bool is_done = all && !failed && crew_take(all, &round);
    /* Asked for behind a round: the failure of one is told before it counts as done. */
    const char *failure = all ? crew_failure(all) : NULL;
    if (failure && !failed) {
      link_send(LINK_UP, LINK_FAILED, ROOT, failure, strlen(failure));
      failed = true;
    }
    if (is_done && !failed)
      send_round(worker, &round);
    if (is_done) {
      free(round.rows);
      free(round.states);
    }
    link_message m;
    const bool busy = all && !failed && !crew_idle(all);
    if (busy ? !link_take(LINK_DOWN, &m) : !link_wait(LINK_DOWN, moment_ns, &m)) {
      if (busy)
        crew_pause(all);
      continue;
    }
    const link_kind kind = m.kind;
    if (kind == LINK_PLAN) {
      all = prepare(worker, &m);
      failed = !all;
    } else if (kind == LINK_WORK && all) {
      dispatch_round samples;
      memcpy(&samples, m.data, sizeof samples);
      crew_push(all, &samples);
    }
    free(m.data);
    if (kind == LINK_END)
      break;
  }
  link_send(LINK_UP, LINK_ENDED, ROOT, NULL, 0);
}
