/* SPDX-License-Identifier: Apache-2.0 */
/* The thread of an instance: it asks qb_optimize() what to do, and runs rounds. */
#include "batcher_inside.h"

#include <math.h>
#include <string.h>

/* What is slower by less than this changes nothing. */
static const double SLOWER = 0.05;

/* When all would be late one runs all the same so often, or nobody would see that it is over. */
static const int64_t PROBE_NS = 1000000000;

/* A sample of a request is done with; the last one tells the owner. Called without the lock. */
static void finish(sample s, outcome how)
{
  request *r = s.of;
  if (how != OUTCOME_ANSWERED)
    __atomic_store_n(&r->outcome, how, __ATOMIC_RELAXED);
  if (__atomic_sub_fetch(&r->left, 1, __ATOMIC_ACQ_REL) == 0)
    r->over(r);
}

/* Asks what to do. Called with the lock. */
static qb_decision decide(batcher *self, int64_t now_ns)
{
  qb_optimizer *optimizer = self->crew->optimizer;
  qb_round_state state = QB_ROUND_STATE_INIT;
  state.queued = self->queued;
  state.now_ns = now_ns;
  state.deadline_ns = self->deadline_ns;
  state.deadline_count = self->queued;
  state.deadline_first = self->first;
  state.deadline_room = self->params.queue_most;
  state.arrived = self->arrived;
  qb_decision d = QB_DECISION_INIT;
  if (qb_optimize(optimizer, &state, &d))
    self->params.report(qb_error_message());
  if (d.slowdown > 0 && fabs(fmax(d.slowdown, 1) / self->crew->slowdown - 1) > SLOWER)
    admission_adapt(self->crew, fmax(d.slowdown, 1));
  if (d.refresh_due && !self->crew->is_refresh_due) {
    self->crew->is_refresh_due = true;
    pthread_cond_broadcast(&self->refresh_due);
  }
  return d;
}

/*
 * Refuses samples that would be late, at most as many as a round has. All are taken before the lock
 * is given up: other instances change the queue then.
 */
static void give_up(worker *w, uint32_t count)
{
  batcher *self = w->of->of;
  const uint32_t room = w->of->rounds.params.max_batch, n = count < room ? count : room;
  for (uint32_t i = 0; i < n; i++) {
    const sample s = w->round[i] = batcher_take(self);
    self->counts.given_up++;
    const outcome before = __atomic_exchange_n(&s.of->outcome, OUTCOME_LATE, __ATOMIC_RELAXED);
    if (before == OUTCOME_ANSWERED) /* once a request */
      admission_learn(self, true);
  }
  pthread_mutex_unlock(&self->lock);
  for (uint32_t i = 0; i < n; i++)
    finish(w->round[i], OUTCOME_LATE);
  pthread_mutex_lock(&self->lock);
}

static bool has_nan(const float *values, size_t count)
{
  float sum = 0; /* NaN if any is, and for infinities of both signs */
  for (size_t i = 0; i < count; i++)
    sum += values[i] - values[i];
  if (sum == 0)
    return false;
  for (size_t i = 0; i < count; i++)
    if (isnan(values[i]))
      return true;
  return false;
}

/* The samples of a round, from their requests and back. */
static void gather(worker *w, uint32_t n)
{
  const size_t elements = w->of->of->params.input_elements, bytes = elements * sizeof *w->inputs;
  for (uint32_t i = 0; i < n; i++)
    memcpy(w->inputs + i * elements,
           (const char *)w->round[i].of->inputs + w->round[i].index * bytes, bytes);
}

static void hand_out(worker *w, uint32_t n, bool good)
{
  const size_t elements = w->of->of->params.output_elements;
  for (uint32_t i = 0; i < n; i++) {
    const float *row = w->outputs + i * elements;
    /* One sample's NaN is no fault of those that shared its round. */
    const bool finite = !w->flags[i] && !has_nan(row, elements);
    const outcome how = !good ? OUTCOME_FAILED : !finite ? OUTCOME_NOT_FINITE : OUTCOME_ANSWERED;
    if (good)
      memcpy(w->round[i].of->outputs + w->round[i].index * elements, row, elements * sizeof *row);
    finish(w->round[i], how);
  }
}

/* A host's own engine tells no flags. */
static qb_status run_samples(worker *w, uint32_t n)
{
  qb_session *session = w->of->rounds.session;
  const void *const inputs[] = {w->inputs};
  void *const outputs[] = {w->outputs};
  const qb_status status = qb_session_run(session, n, inputs, outputs, w->flags);
  return status == QB_ERROR_UNSUPPORTED ? qb_session_run(session, n, inputs, outputs, NULL)
                                        : status;
}

/* Runs a round. Gives up the lock meanwhile. */
static void run_round(worker *w, const qb_decision *d)
{
  batcher *self = w->of->of;
  const uint32_t n = d->batch;
  for (uint32_t i = 0; i < n; i++)
    w->round[i] = batcher_take(self);
  if (self->queued) /* a request of many samples woke one instance */
    pthread_cond_signal(&self->changed);
  const int64_t start_ns = batcher_now_ns();
  w->until_ns = start_ns + d->latency_ns;
  self->counts.reasons[(uint32_t)d->reason < BATCHER_REASONS ? d->reason : 0]++;
  pthread_mutex_unlock(&self->lock);

  gather(w, n);
  const qb_status status = run_samples(w, n);
  const int64_t end_ns = batcher_now_ns();
  if (status)
    self->params.report(qb_error_message());

  pthread_mutex_lock(&self->lock);
  w->until_ns = 0;
  self->last_round_ns = end_ns;
  self->counts.failed += status ? n : 0;
  self->counts.rounds++;
  __atomic_fetch_add(&self->batches[n], 1, __ATOMIC_RELAXED);
  self->counts.round_sum_s += (double)(end_ns - start_ns) * 1e-9;
  self->counts.predicted_sum_s += (double)d->latency_ns * 1e-9;
  const qb_round_result result = {sizeof result, n, end_ns - start_ns};
  if (!status && qb_observe(w->of->optimizer, &result))
    self->params.report(qb_error_message());
  pthread_mutex_unlock(&self->lock);
  hand_out(w, n, !status);
  pthread_mutex_lock(&self->lock);
}

void *crew_work(void *user)
{
  worker *w = user;
  batcher *self = w->of->of;
  pthread_mutex_lock(&self->lock);
  while (!w->of->leaving && (!self->stopping || self->queued)) {
    if (self->crew != w->of) { /* another crew ends its rounds */
      batcher_wait(self, 0, 0);
      continue;
    }
    const int64_t now_ns = batcher_now_ns();
    qb_decision d = decide(self, now_ns);
    if (d.give_up && now_ns - self->last_round_ns > PROBE_NS) {
      d.batch = 1;
      run_round(w, &d);
    } else if (d.give_up)
      give_up(w, d.give_up); /* and ask again */
    else if (d.action == QB_ACTION_RUN || d.action == QB_ACTION_INFEASIBLE)
      run_round(w, &d);
    else
      batcher_wait(self, now_ns, d.max_wait_ns);
  }
  pthread_mutex_unlock(&self->lock);
  return NULL;
}
