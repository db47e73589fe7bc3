/* SPDX-License-Identifier: Apache-2.0 */
/* Rules with fixed settings. */
#include "simulate/rivals.h"

static int64_t oldest_ns(const qb__view *view)
{
  return qb__waiting_at(view->waiting, 0);
}

static uint32_t at_hand(const qb__view *view, uint32_t most)
{
  const uint64_t count = qb__waiting_count(view->waiting);
  return count < most ? (uint32_t)count : most;
}

/*
 * TensorFlow Serving (tensorflow/core/kernels/batching_util/shared_batch_scheduler.h): a batch is
 * scheduled when it is full or batch_timeout_micros after its first task.
 */
static void decide_batch_and_wait(qb__policy *policy, const qb__view *view, qb__move *move)
{
  const qb__rival_settings *s = &((const qb__batch_and_wait *)policy)->settings;
  const uint32_t n = at_hand(view, s->batch);
  const int64_t waited_ns = view->now_ns - oldest_ns(view);
  if (n == s->batch || waited_ns >= s->max_wait_ns)
    move->run = n;
  else if (s->max_wait_ns < INT64_MAX)
    move->ask_ns = oldest_ns(view) + s->max_wait_ns;
}

void qb__batch_and_wait_init(qb__batch_and_wait *self, const qb__rival_settings *settings)
{
  *self = (qb__batch_and_wait){
      .policy = {.decide = decide_batch_and_wait, .queue_most = settings->queue_most},
      .settings = *settings};
}

static uint32_t power_of_two_within(uint32_t n)
{
  uint32_t power = 1;
  while (power <= n / 2)
    power *= 2;
  return power;
}

/*
 * The largest preferred size that can be formed runs at once (without preferred sizes, the largest
 * batch is the only one); else what there is once the delay is used up.
 */
static void decide_triton(qb__policy *policy, const qb__view *view, qb__move *move)
{
  const qb__rival_settings *s = &((const qb__batch_and_wait *)policy)->settings;
  const uint64_t count = qb__waiting_count(view->waiting);
  while (s->timeout_ns && move->refuse < count &&
         view->now_ns - qb__waiting_at(view->waiting, move->refuse) > s->timeout_ns)
    move->refuse++;
  if (move->refuse)
    return;
  const uint32_t n = at_hand(view, s->batch);
  const uint32_t largest = s->preferred ? power_of_two_within(s->batch) : s->batch;
  const uint32_t best = s->preferred ? power_of_two_within(n < largest ? n : largest) : 0;
  const bool delayed = s->max_wait_ns && view->now_ns - oldest_ns(view) >= s->max_wait_ns;
  if (best > 1 && !delayed)
    move->run = best;
  else if (delayed || !s->max_wait_ns || n >= largest)
    move->run = n;
  else
    move->ask_ns = oldest_ns(view) + s->max_wait_ns;
}

void qb__triton_init(qb__batch_and_wait *self, const qb__rival_settings *settings)
{
  *self = (qb__batch_and_wait){.policy = {.decide = decide_triton}, .settings = *settings};
}
