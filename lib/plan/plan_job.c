/* SPDX-License-Identifier: Apache-2.0 */
/* A job on one node: an exhaustive search over profiles, configurations and batch sizes. */
#include "core/error.h"
#include "core/structs.h"
#include "node/node_data.h"
#include "plan/demand.h"
#include "plan/job_frontier.h"
#include "plan/job_time.h"
#include "profile/profile_data.h"

typedef struct candidate {
  qb_job_plan plan;
  qb__needs needs;
  qb__fit fit;
} candidate;

typedef struct search {
  uint64_t samples;
  qb_qos qos;
  candidate met;    /* best of those that keep the limits */
  candidate any;    /* best without any limits */
  candidate broken; /* nearest of those that break one */
  qb_nearest nearest;
  qb_job_frontier *frontier; /* NULL: not wanted */
} search;

static const qb__purchase not_bought = {0, 0};

/* The longest of the rounds of two instances, one of which may have a sample less. */
static int64_t longest_round(const int64_t *time_ns, uint64_t most, uint64_t least, uint32_t batch)
{
  int64_t longest = time_ns[batch];
  if (time_ns[most % batch] > longest)
    longest = time_ns[most % batch];
  if (time_ns[least % batch] > longest)
    longest = time_ns[least % batch];
  return longest;
}

/* 1: a is less. */
static int compare(double a, double b)
{
  return (a < b) - (a > b);
}

static bool better(const search *s, const qb_job_plan *a, const qb_job_plan *b)
{
  if (!b->batch)
    return true;
  const qb_configuration *x = &a->configuration, *y = &b->configuration;
  const int cheaper = compare(a->cost, b->cost);
  const int earlier = compare((double)a->total_ns, (double)b->total_ns);
  const int fewer = compare((double)x->instances * x->threads, (double)y->instances * y->threads);
  if (s->qos.objective == QB_OBJECTIVE_COST && cheaper)
    return cheaper > 0;
  return earlier ? earlier > 0 : fewer ? fewer > 0 : a->batch < b->batch;
}

static qb_status consider(search *s, const candidate *c)
{
  if (better(s, &c->plan, &s->any.plan))
    s->any = *c;
  if (c->fit.met && better(s, &c->plan, &s->met.plan))
    s->met = *c;
  if (!c->fit.met) {
    qb__nearest_note(&c->fit, &s->qos, &c->needs, &s->nearest);
    if (!s->broken.plan.batch || c->fit.excess < s->broken.fit.excess ||
        (c->fit.excess == s->broken.fit.excess && better(s, &c->plan, &s->broken.plan)))
      s->broken = *c;
  }
  const bool offered = c->fit.met || (c->fit.single && c->fit.broken == QB_REASON_DEADLINE);
  if (!s->frontier || !offered ||
      qb__job_frontier_beats(s->frontier, (double)c->plan.high_ns, c->plan.cost))
    return QB_OK;
  qb__priced_plan priced = {.plan = c->plan, .price = c->plan.cost};
  priced.plan.feasible = c->fit.met;
  priced.plan.reason = c->fit.broken;
  return qb__job_frontier_add(s->frontier, &priced);
}

static qb_status search_table(search *s, const qb__round_times *table, uint32_t profile,
                              double price)
{
  const uint32_t instances = table->configuration.instances;
  const uint64_t least = s->samples / instances;
  const uint64_t most = least + (s->samples % instances != 0);
  const qb__spread one_node = qb__spread_of(1, &not_bought);
  /* A batch larger than an instance's share runs the same rounds as one of that share. */
  const uint32_t largest = most < table->max_batch ? (uint32_t)most : table->max_batch;
  qb_status status = QB_OK;
  for (uint32_t b = 1; b <= largest && !status; b++) {
    const qb__job_time time = qb__job_time_of(table, most, b, &one_node, &not_bought);
    const double cost = price * ((double)time.total_ns / 3600e9);
    candidate c = {
        .plan = {.size = sizeof c.plan,
                 .profile = profile,
                 .nodes = 1,
                 .source = table->transferred ? QB_SOURCE_TRANSFERRED : QB_SOURCE_MEASURED,
                 .configuration = table->configuration,
                 .batch = b,
                 .remainder = (uint32_t)(most % b),
                 .samples_per_instance = most,
                 .rounds_per_instance = most / b,
                 .total_ns = time.total_ns,
                 .low_ns = time.low_ns,
                 .high_ns = time.high_ns,
                 .throughput_per_s = (double)s->samples / ((double)time.total_ns * 1e-9),
                 .cost = cost,
                 .cost_high = price * ((double)time.high_ns / 3600e9),
                 .cost_per_1000 = cost / (double)s->samples * 1000,
                 .memory_bytes = table->memory_bytes[b]}};
    c.needs = (qb__needs){.latency_ns = longest_round(table->high_ns, most, least, b),
                          .deadline_ns = time.high_ns,
                          .budget = c.plan.cost_high,
                          .budget_per_hour = price,
                          .memory_bytes = c.plan.memory_bytes};
    c.fit = qb__fit_of(&s->qos, &c.needs);
    status = consider(s, &c);
  }
  return status;
}

static qb_status search_profile(search *s, const qb_profile *profile, uint32_t index)
{
  qb__round_set set;
  qb_status status = qb__round_set_init(profile, NULL, false, &set);
  for (size_t i = 0; i < set.count && !status; i++)
    status = search_table(s, &set.tables[i], index,
                          qb__node_info(qb__profile_node(profile))->price_per_hour);
  qb__round_set_free(&set);
  return status;
}

static qb_job_plan chosen_plan(const search *s)
{
  qb_job_plan chosen;
  if (s->met.plan.batch) {
    /* What bound the choice is what kept the best plan of all out. */
    chosen = s->met.plan;
    chosen.feasible = true;
    chosen.reason = !s->any.fit.met                         ? s->any.fit.broken
                    : s->qos.objective == QB_OBJECTIVE_COST ? QB_REASON_COST
                                                            : QB_REASON_THROUGHPUT;
  } else {
    chosen = s->broken.plan;
    chosen.reason = s->broken.fit.broken;
    chosen.nearest = s->nearest;
  }
  return chosen;
}

qb_status qb_plan_job(qb_profile *const *profiles, size_t profile_count, const qb_job *job,
                      const qb_qos *qos, qb_job_plan *plan, qb_job_frontier **frontier)
{
  search s = {.samples = 0};
  qb_job asked;
  qb_status status = QB__STRUCT_CHECK_OUT(qb_job_plan, plan);
  if (!status)
    status = qb__profiles_check(profiles, profile_count);
  if (!status)
    status = qb__job_in(job, &asked);
  if (!status)
    status = qb__qos_in(qos, &s.qos);
  if (!status && frontier)
    status = qb__job_frontier_new(qb__profile_context(profiles[0]), &s.frontier);
  if (status)
    return status;
  s.samples = asked.samples;
  for (size_t i = 0; i < profile_count && !status; i++)
    status = search_profile(&s, profiles[i], (uint32_t)i);
  if (status) {
    qb_job_frontier_free(s.frontier);
    return status;
  }
  const qb_job_plan chosen = chosen_plan(&s);
  qb__struct_out(plan, &chosen, sizeof chosen);
  if (frontier)
    *frontier = s.frontier;
  return QB_OK;
}
