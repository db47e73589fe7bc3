/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables that decisions look up are solved anew beside them, when the node has become slower or
 * faster: that takes tens of milliseconds, for which no round and no request waits.
 */
#include "batcher_inside.h"

void *crew_refresh(void *user)
{
  crew *c = user;
  batcher *self = c->of;
  pthread_mutex_lock(&self->lock);
  while (!c->leaving && !self->stopping) {
    if (!c->is_refresh_due) {
      pthread_cond_wait(&self->refresh_due, &self->lock);
      continue;
    }
    pthread_mutex_unlock(&self->lock);
    const bool failed = qb_optimizer_refresh(c->optimizer);
    if (failed)
      self->params.report(qb_error_message());
    pthread_mutex_lock(&self->lock);
    c->is_refresh_due = false; /* not before, or decisions by the old tables would ask again */
    self->counts.refreshes += !failed;
  }
  pthread_mutex_unlock(&self->lock);
  return NULL;
}
