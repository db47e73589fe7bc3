/* SPDX-License-Identifier: Apache-2.0 */
/* New tables for the slowdown that was observed, solved beside decisions. */
#include "core/error.h"
#include "optimize/optimizer_impl.h"

/* The set of tables that no decision uses or will use; tables[1 - latest] are live after this. */
static qb__round_tables *take_spare(qb_optimizer *o)
{
  const bool untaken = atomic_exchange_explicit(&o->fresh, false, memory_order_acq_rel);
  if (!untaken)
    o->latest = 1 - o->latest;
  return &o->tables[o->latest];
}

static qb_status fill_spare(qb_optimizer *o, double slowdown, uint32_t regime)
{
  qb__round_tables *spare = take_spare(o);
  const qb__round_tables *live = &o->tables[1 - o->latest];
  qb_status status = spare->batch ? QB_OK : qb__round_tables_init(o->context, o->batch, spare);
  if (!status) {
    spare->max_wait_ns = live->max_wait_ns;
    spare->first = live->first;
    spare->problem = live->problem;
    spare->regime = regime;
    status = qb__round_tables_fill(o->context, &o->profiled, slowdown, live, spare);
  }
  if (status)
    o->latest = 1 - o->latest;
  else
    atomic_store_explicit(&o->fresh, true, memory_order_release);
  return status;
}

/* A slowdown newer than the regime it is taken for brings one refresh too many at the most. */
static qb_status refresh(qb_optimizer *o)
{
  const uint32_t regime = atomic_load_explicit(&o->regime, memory_order_acquire);
  const double slowdown = atomic_load_explicit(&o->slowdown, memory_order_relaxed);
  const qb__round_tables *latest = &o->tables[o->latest];
  return latest->slowdown == slowdown && latest->regime == regime ? QB_OK
                                                                  : fill_spare(o, slowdown, regime);
}

qb_status qb_optimizer_refresh(qb_optimizer *optimizer)
{
  if (!optimizer)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "optimizer is NULL");
  pthread_mutex_lock(&optimizer->refreshing);
  const qb_status status = refresh(optimizer);
  pthread_mutex_unlock(&optimizer->refreshing);
  return status;
}
