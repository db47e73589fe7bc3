/* SPDX-License-Identifier: Apache-2.0 */
#include "optimize/round_tables.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "optimize/round_search.h"

qb_status qb__round_tables_init(const qb_context *context, uint32_t batch, qb__round_tables *tables)
{
  const size_t count = (size_t)batch + 1;
  int64_t *times_ns = qb__calloc(context, 2 * count, sizeof *times_ns);
  if (!times_ns)
    return QB_ERROR_NO_MEMORY;
  tables->batch = batch;
  tables->latency_ns = times_ns;
  tables->slow_ns = times_ns + count;
  return QB_OK;
}

void qb__round_tables_free(const qb_context *context, qb__round_tables *tables)
{
  qb__round_policy_free(context, &tables->policy);
  qb__free(context, tables->latency_ns);
  *tables = (qb__round_tables){0};
}

static void scale(const int64_t *profiled_ns, uint32_t count, double factor, int64_t *times_ns)
{
  for (uint32_t n = 1; n <= count; n++) {
    const int64_t scaled_ns = qb__clamp_i64((double)profiled_ns[n] * factor);
    times_ns[n] = scaled_ns > 1 ? scaled_ns : 1;
  }
}

/*
 * Rounds that all take longer by one factor mean that c changed, not p: the best splits stay what
 * they are.
 */
static void scale_times(const qb__round_times *profiled, double slowdown, qb__round_tables *t)
{
  scale(profiled->latency_ns, t->batch, slowdown, t->latency_ns);
  scale(profiled->slow_ns, t->batch, slowdown, t->slow_ns);
  t->slowdown = slowdown;
}

static qb_status solve(const qb_context *context, const qb__round_tables *before,
                       qb__round_tables *t)
{
  qb_status status = t->policy.table ? QB_OK : qb__round_policy_init(context, t->batch, &t->policy);
  if (status)
    return status;
  if (before)
    qb__round_policy_begin_at(&before->policy, &t->policy);
  status = qb__round_policy_solve(context, &t->problem, &t->policy);
  /* One instance is what the process describes; several get in step. */
  if (!status && t->policy.age_step_ns > 0 && t->problem.instances > 1)
    status = qb__round_search(context, t);
  return status;
}

qb_status qb__round_tables_fill(const qb_context *context, const qb__round_times *profiled,
                                double slowdown, const qb__round_tables *before,
                                qb__round_tables *tables)
{
  scale_times(profiled, slowdown, tables);
  tables->problem.latency_ns = tables->latency_ns;
  tables->problem.slow_ns = tables->slow_ns;
  return tables->problem.target_ns ? solve(context, before, tables) : QB_OK;
}
