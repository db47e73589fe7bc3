/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that learn from the rounds they see. */
#include "simulate/rivals.h"

#include <math.h>

static const double BENTOML_TICK_NS = 1e6, BENTOML_DECAY = 0.95, BENTOML_REFRESH_NS = 5e9;
static const double CLIPPER_BACK_OFF = 0.9;

/* Least squares of duration = a n + b, as the dispatcher does; of one batch size alone b is 0. */
static void fit(qb__bentoml *self)
{
  double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, wait_ns = 0;
  for (uint32_t i = 0; i < self->kept; i++) {
    const double x = self->batch[i], y = self->duration_ns[i];
    n++;
    sx += x;
    sy += y;
    sxx += x * x;
    sxy += x * y;
    wait_ns += self->waited_ns[i];
  }
  const double determinant = n * sxx - sx * sx;
  double a, b;
  if (determinant > 1e-9 * n * sxx) {
    a = (n * sxy - sx * sy) / determinant;
    b = (sy - a * sx) / n;
  } else { /* numpy.linalg.lstsq() then gives the shortest of all solutions */
    const double x = sx / n, y = sy / n;
    a = x * y / (x * x + 1);
    b = y / (x * x + 1);
  }
  self->a_ns = fmax(a, 1000);
  self->b_ns = fmax(b, 0);
  self->wait_ns = fmax(wait_ns / n, 0);
}

static void keep(qb__bentoml *self, double batch, double duration_ns, double waited_ns)
{
  self->batch[self->at] = batch;
  self->duration_ns[self->at] = duration_ns;
  self->waited_ns[self->at] = waited_ns;
  self->at = (self->at + 1) % QB__BENTOML_KEPT;
  if (self->kept < QB__BENTOML_KEPT)
    self->kept++;
}

static void observe_bentoml(qb__policy *policy, uint32_t batch, int64_t latency_ns, int64_t now_ns)
{
  qb__bentoml *self = (qb__bentoml *)policy;
  const uint32_t room = sizeof self->pending_wait_ns / sizeof *self->pending_wait_ns;
  keep(self, batch, (double)latency_ns, self->pending_wait_ns[self->pending_first]);
  self->pending_first = (self->pending_first + 1) % room;
  self->pending_count--;
  if ((double)(now_ns - self->refreshed_ns) >= BENTOML_REFRESH_NS) {
    self->refreshed_ns = now_ns;
    fit(self);
  }
}

static void decide_bentoml(qb__policy *policy, const qb__view *view, qb__move *move)
{
  qb__bentoml *self = (qb__bentoml *)policy;
  const uint64_t count = qb__waiting_count(view->waiting);
  const double n = (double)count;
  const double oldest_ns = (double)(view->now_ns - qb__waiting_at(view->waiting, 0));
  const double newest_ns = (double)(view->now_ns - qb__waiting_at(view->waiting, count - 1));
  const double expected_ns = oldest_ns + self->a_ns * n + self->b_ns;
  const double most_ns = (double)self->settings.target_ns;
  if ((count > 1 && expected_ns >= most_ns) || (!view->free_instances && oldest_ns >= most_ns)) {
    move->refuse = 1;
    return;
  }
  const bool worth_waiting =
      count < self->settings.batch &&
      n * (newest_ns + BENTOML_TICK_NS + self->a_ns) <= self->wait_ns * BENTOML_DECAY;
  if (!view->free_instances || worth_waiting) {
    move->ask_ns = view->now_ns + (int64_t)BENTOML_TICK_NS;
    return;
  }
  const uint32_t room = sizeof self->pending_wait_ns / sizeof *self->pending_wait_ns;
  move->run = count < self->settings.batch ? (uint32_t)count : self->settings.batch;
  move->newest = true; /* it takes them from the end of its queue */
  const double waited_ns =
      (double)(view->now_ns - qb__waiting_at(view->waiting, count - move->run));
  self->pending_wait_ns[(self->pending_first + self->pending_count++) % room] = waited_ns;
}

void qb__bentoml_init(qb__bentoml *self, const qb__rival_settings *settings,
                      const int64_t *trained_ns)
{
  *self = (qb__bentoml){
      .policy = {.decide = decide_bentoml, .observe = observe_bentoml, .while_busy = true},
      .settings = *settings};
  for (uint32_t n = 1; n <= 3 && n <= settings->batch; n++)
    keep(self, n, (double)trained_ns[n], 0);
  fit(self);
}

static bool give_up_late(const qb__clipper *self, const qb__view *view, qb__move *move)
{
  const uint64_t count = qb__waiting_count(view->waiting);
  while (move->refuse < count &&
         view->now_ns - qb__waiting_at(view->waiting, move->refuse) > self->settings.target_ns)
    move->refuse++;
  return move->refuse > 0;
}

static void observe_aimd(qb__policy *policy, uint32_t batch, int64_t latency_ns, int64_t now_ns)
{
  qb__clipper *self = (qb__clipper *)policy;
  (void)now_ns;
  if (latency_ns > self->settings.target_ns)
    self->batch = fmax(1, self->batch * CLIPPER_BACK_OFF);
  else if (batch >= (uint32_t)self->batch) /* a smaller round tells nothing of this batch size */
    self->batch = fmin(self->batch + 1, self->settings.batch);
}

static void decide_aimd(qb__policy *policy, const qb__view *view, qb__move *move)
{
  const qb__clipper *self = (const qb__clipper *)policy;
  if (give_up_late(self, view, move))
    return;
  const uint64_t count = qb__waiting_count(view->waiting);
  const uint32_t most = (uint32_t)self->batch;
  const int64_t due_ns = qb__waiting_at(view->waiting, 0) + self->settings.max_wait_ns;
  if (count >= most || view->now_ns >= due_ns)
    move->run = count < most ? (uint32_t)count : most;
  else
    move->ask_ns = due_ns;
}

void qb__clipper_aimd_init(qb__clipper *self, const qb__rival_settings *settings)
{
  *self = (qb__clipper){.policy = {.decide = decide_aimd, .observe = observe_aimd},
                        .settings = *settings,
                        .batch = 1};
}

static void observe_deadline(qb__policy *policy, uint32_t batch, int64_t latency_ns, int64_t now_ns)
{
  qb__clipper *self = (qb__clipper *)policy;
  (void)now_ns;
  const double throughput = batch / (double)latency_ns;
  if (self->kept == QB__CLIPPER_KEPT)
    self->throughput_sum -= self->throughput[self->at];
  else
    self->kept++;
  self->throughput_sum += self->throughput[self->at] = throughput;
  self->at = (self->at + 1) % QB__CLIPPER_KEPT;
}

static void decide_deadline(qb__policy *policy, const qb__view *view, qb__move *move)
{
  const qb__clipper *self = (const qb__clipper *)policy;
  if (give_up_late(self, view, move))
    return;
  const uint64_t count = qb__waiting_count(view->waiting);
  const double left_ns =
      (double)(qb__waiting_at(view->waiting, 0) + self->settings.target_ns - view->now_ns);
  const double fits = self->kept ? self->throughput_sum / self->kept * left_ns : 1;
  const double most = fmin(fmax(1, floor(fits)), self->settings.batch);
  move->run = (double)count < most ? (uint32_t)count : (uint32_t)most;
}

void qb__clipper_deadline_init(qb__clipper *self, const qb__rival_settings *settings)
{
  *self = (qb__clipper){.policy = {.decide = decide_deadline, .observe = observe_deadline},
                        .settings = *settings};
}
