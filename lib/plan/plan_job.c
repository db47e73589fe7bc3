/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job: an exhaustive search over configurations and batch sizes, by the mean of single rounds, of
 * which there are many. Rounds of equal size are one estimate repeated, and neighbours that slow one
 * slow those after it, so that neither averages out: at best all of them are as short as an
 * undisturbed round may be, at worst all are as long as one in twenty is.
 */
#include "core/error.h"
#include "core/structs.h"
#include "estimate/estimate.h"
#include "node/node_impl.h"
#include "plan/demand.h"
#include "plan/latency_table.h"
#include "profile/profile_impl.h"

typedef struct candidate {
  qb_job_plan plan;
  qb__needs needs;
  qb__fit fit;
} candidate;

typedef struct search {
  uint64_t samples;
  qb_qos qos;
  candidate met;    /* best of those that meet the demand */
  candidate any;    /* best without any demand */
  candidate broken; /* nearest of those that do not meet it */
  qb_nearest nearest;
} search;

/* rounds * a + rest, at most INT64_MAX. */
static int64_t time_of(uint64_t rounds, int64_t a, int64_t rest)
{
  int64_t product, sum;
  if (__builtin_mul_overflow(rounds, a, &product) || __builtin_add_overflow(product, rest, &sum))
    return INT64_MAX;
  return sum;
}

/* Time of the slower of an instance with `most` samples and one with `least`. */
static int64_t end_to_end(const int64_t *time_ns, uint64_t most, uint64_t least, uint32_t batch)
{
  const int64_t a = time_of(most / batch, time_ns[batch], time_ns[most % batch]);
  const int64_t b = time_of(least / batch, time_ns[batch], time_ns[least % batch]);
  return a > b ? a : b;
}

static int64_t longest_round(const int64_t *time_ns, uint64_t most, uint64_t least, uint32_t batch)
{
  int64_t longest = time_ns[batch];
  if (time_ns[most % batch] > longest)
    longest = time_ns[most % batch];
  if (time_ns[least % batch] > longest)
    longest = time_ns[least % batch];
  return longest;
}

static bool better(const qb_job_plan *a, const qb_job_plan *b)
{
  if (!b->batch || a->total_ns != b->total_ns)
    return !b->batch || a->total_ns < b->total_ns;
  const uint64_t a_threads = (uint64_t)a->configuration.instances * a->configuration.threads;
  const uint64_t b_threads = (uint64_t)b->configuration.instances * b->configuration.threads;
  return a_threads != b_threads ? a_threads < b_threads : a->batch < b->batch;
}

static void consider(search *s, const candidate *c)
{
  if (better(&c->plan, &s->any.plan))
    s->any = *c;
  if (c->fit.met) {
    if (better(&c->plan, &s->met.plan))
      s->met = *c;
    return;
  }
  qb__nearest_note(&c->fit, &c->needs, &s->nearest);
  if (!s->broken.plan.batch || c->fit.excess < s->broken.fit.excess ||
      (c->fit.excess == s->broken.fit.excess && better(&c->plan, &s->broken.plan)))
    s->broken = *c;
}

static void search_table(search *s, const qb__latency_table *table, uint32_t profile, double price)
{
  const uint32_t instances = table->configuration.instances;
  const uint64_t least = s->samples / instances;
  const uint64_t most = least + (s->samples % instances != 0);
  /* A batch larger than an instance's share runs the same rounds as one of that share. */
  const uint32_t largest = most < table->max_batch ? (uint32_t)most : table->max_batch;
  for (uint32_t b = 1; b <= largest; b++) {
    candidate c = {.plan = QB_JOB_PLAN_INIT};
    qb_job_plan *plan = &c.plan;
    plan->profile = profile;
    plan->configuration = table->configuration;
    plan->batch = b;
    plan->samples_per_instance = most;
    plan->rounds_per_instance = most / b;
    plan->remainder = (uint32_t)(most % b);
    plan->total_ns = end_to_end(table->mean_ns, most, least, b);
    plan->low_ns = end_to_end(table->low_ns, most, least, b);
    plan->high_ns = end_to_end(table->slow_ns, most, least, b);
    plan->throughput_per_s = (double)s->samples / ((double)plan->total_ns * 1e-9);
    plan->cost = price * ((double)plan->total_ns / 3600e9);
    plan->memory_bytes = table->memory_bytes[b];
    c.needs = (qb__needs){.latency_ns = longest_round(table->high_ns, most, least, b),
                          .deadline_ns = plan->high_ns,
                          .budget_per_hour = price,
                          .memory_bytes = plan->memory_bytes};
    c.fit = qb__fit_of(&s->qos, &c.needs);
    consider(s, &c);
  }
}

static qb_status search_profile(search *s, const qb_profile *profile, uint32_t index)
{
  const size_t count = qb__configuration_count(profile);
  for (size_t i = 0; i < count; i++) {
    qb_configuration configuration;
    uint32_t max_batch;
    qb__configuration_at(profile, i, &configuration, &max_batch);
    qb__latency_table table;
    const qb_status status = qb__latency_table_init(profile, &configuration, max_batch, &table);
    if (status)
      return status;
    search_table(s, &table, index, profile->node->info.price_per_hour);
    qb__latency_table_free(profile, &table);
  }
  return QB_OK;
}

qb_status qb_plan_job(const qb_profile *const *profiles, size_t profile_count, uint64_t samples,
                      const qb_qos *qos, qb_job_plan *plan)
{
  search s = {.samples = samples};
  qb_status status = qb__struct_check_out(plan, sizeof *plan, "plan");
  if (!status)
    status = qb__profiles_check(profiles, profile_count);
  if (!status)
    status = qb__qos_in(qos, &s.qos);
  if (status)
    return status;
  if (!samples)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "samples is 0; a job has at least one");
  for (size_t i = 0; i < profile_count && !status; i++)
    status = search_profile(&s, profiles[i], (uint32_t)i);
  if (status)
    return status;

  qb_job_plan chosen;
  if (s.met.plan.batch) {
    /* What bound the choice is what kept the fastest plan of all out. */
    chosen = s.met.plan;
    chosen.feasible = true;
    chosen.reason = s.any.fit.met ? QB_REASON_THROUGHPUT : s.any.fit.broken;
  } else {
    chosen = s.broken.plan;
    chosen.reason = s.broken.fit.broken;
    chosen.nearest = s.nearest;
  }
  qb__struct_out(plan, &chosen, sizeof chosen);
  return QB_OK;
}
