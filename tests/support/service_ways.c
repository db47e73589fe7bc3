/* SPDX-License-Identifier: Apache-2.0 */
#include "support/service_ways.h"

#include "estimate/round_times.h"
#include "queue/batch_queue.h"
#include "support/expect.h"
#include "support/random.h"
#include "support/random_profile.h"

#include <qosbatch/inspect.h>

#include <math.h>

void make_service_case(qb_context *context, uint64_t *seed, service_case *c)
{
  *c = (service_case){.load = QB_LOAD_INIT, .qos = QB_QOS_INIT};
  for (int i = 0; i < WAY_NODES; i++)
    c->profiles[i] = random_profile(context, seed, WAY_MAX_BATCH);
  c->load.rate_per_s = 1 + 200 * random_unit(seed);
  if (random_int(seed, 0, 3) == 0)
    c->load.queued = (uint32_t)random_int(seed, 0, 20);
  c->qos.latency_ns = (int64_t)random_int(seed, 5000000, 200000000);
  c->qos.percentile = 50 + 49 * random_unit(seed);
  if (random_int(seed, 0, 2) == 0)
    c->qos.memory_bytes = random_int(seed, 100000, 5000000);
  if (random_int(seed, 0, 2) == 0)
    c->qos.budget_per_hour = 0.05 + 0.5 * random_unit(seed);
}

void free_service_case(service_case *c)
{
  for (int i = 0; i < WAY_NODES; i++)
    qb_profile_unref(c->profiles[i]);
}

void plan_case(const service_case *c, qb_service_plan *plan)
{
  *plan = (qb_service_plan)QB_SERVICE_PLAN_INIT;
  assert_ok(qb_plan_service(c->profiles, WAY_NODES, &c->load, &c->qos, plan, NULL));
}

static bool holds_target(const qb_context *context, const service_case *c,
                         const qb__round_times *table, const qb_service_plan *p, double rate_per_s,
                         qb__queue_report *report)
{
  const qb__batch_queue queue = {.arrivals = {.rate_per_s = {rate_per_s, 0}},
                                 .instances = p->configuration.instances,
                                 .batch = p->batch,
                                 .max_wait_ns = p->max_wait_ns,
                                 .latency_ns = table->median_ns,
                                 .spread = table->spread,
                                 .percentile = c->qos.percentile,
                                 .length = QB__PATH_QUICK};
  assert_ok(qb__batch_queue_analyse(context, &queue, report));
  return !report->saturated && report->latency_ns <= c->qos.latency_ns;
}

/* Down from the capacity in steps of the ladder exp(0.01 k) to the first rate that is held. */
static double highest_rate(const qb_context *context, const service_case *c,
                           const qb__round_times *table, const qb_service_plan *p)
{
  const double capacity =
      1e9 * p->configuration.instances * p->batch / (double)table->mean_ns[p->batch];
  qb__queue_report report;
  for (int k = (int)ceil(100 * log(capacity)); exp(0.01 * k) > c->load.rate_per_s; k--)
    if (holds_target(context, c, table, p, exp(0.01 * k), &report))
      return exp(0.01 * k);
  return c->load.rate_per_s;
}

static void judge_way(const qb_context *context, const service_case *c,
                      const qb__round_times *table, service_way *way)
{
  qb_service_plan *p = &way->plan;
  const double rounds =
      ceil((double)c->load.queued / (p->configuration.instances * (double)p->batch));
  const int64_t drained_ns = (int64_t)rounds * table->mean_ns[p->batch];
  qb__queue_report report;
  p->feasible = holds_target(context, c, table, p, c->load.rate_per_s, &report) &&
                drained_ns <= c->qos.latency_ns &&
                !(c->qos.memory_bytes && p->memory_bytes > c->qos.memory_bytes) &&
                !(c->qos.budget_per_hour > 0 && p->cost_per_hour > c->qos.budget_per_hour);
  p->latency_ns = report.latency_ns > drained_ns ? report.latency_ns : drained_ns;
  if (p->feasible)
    p->max_rate_per_s = highest_rate(context, c, table, p);
}

size_t list_ways(const qb_context *context, const service_case *c, service_way *ways)
{
  static const double parts[] = {0, 0.125, 0.25, 0.5, 1};
  size_t count = 0;
  for (uint32_t node = 0; node < WAY_NODES; node++) {
    const qb_profile *profile = c->profiles[node];
    qb_node_info info = QB_NODE_INFO_INIT;
    assert_ok(qb_node_get_info(qb_profile_node(profile), &info));
    for (size_t i = 0; i < qb__configuration_count(profile); i++) {
      qb_configuration configuration;
      uint32_t max_batch;
      qb__configuration_at(profile, i, &configuration, &max_batch);
      qb__round_times table;
      assert_ok(qb__round_times_init(profile, NULL, &configuration, max_batch, &table));
      for (uint32_t b = 1; b <= max_batch; b++)
        for (int w = 0; w < (b > 1 ? 5 : 1); w++) {
          service_way *way = &ways[count++];
          *way = (service_way){QB_SERVICE_PLAN_INIT,
                               (double)configuration.instances * configuration.threads};
          way->plan.profile = node;
          way->plan.configuration = configuration;
          way->plan.batch = b;
          way->plan.max_wait_ns = (int64_t)(parts[w] * (double)table.mean_ns[b]);
          way->plan.cost_per_hour = info.price_per_hour;
          way->plan.memory_bytes = table.memory_bytes[b];
          judge_way(context, c, &table, way);
        }
      qb__round_times_free(profile, &table);
    }
  }
  return count;
}

/* 1: a is better, -1: b is. */
static int compare_less(double a, double b)
{
  return a < b ? 1 : a > b ? -1 : 0;
}

/* Whether a is the better of two feasible ways. */
static bool better_way(qb_objective objective, const service_way *a, const service_way *b)
{
  const int latency = compare_less((double)a->plan.latency_ns, (double)b->plan.latency_ns);
  const int rate = compare_less(b->plan.max_rate_per_s, a->plan.max_rate_per_s);
  const int cost = compare_less(a->plan.cost_per_hour, b->plan.cost_per_hour);
  const int orders[][3] = {{latency, cost, rate}, {rate, cost, latency}, {cost, latency, rate}};
  for (int i = 0; i < 3; i++)
    if (orders[objective][i])
      return orders[objective][i] > 0;
  if (a->threads != b->threads)
    return a->threads < b->threads;
  if (a->plan.batch != b->plan.batch)
    return a->plan.batch < b->plan.batch;
  return a->plan.max_wait_ns < b->plan.max_wait_ns;
}

const service_way *best_way(const service_way *ways, size_t count, qb_objective objective)
{
  const service_way *best = NULL;
  for (size_t i = 0; i < count; i++)
    if (ways[i].plan.feasible && (!best || better_way(objective, &ways[i], best)))
      best = &ways[i];
  return best;
}

bool same_way(const qb_service_plan *a, const qb_service_plan *b)
{
  return a->profile == b->profile && a->configuration.instances == b->configuration.instances &&
         a->configuration.threads == b->configuration.threads && a->batch == b->batch &&
         a->max_wait_ns == b->max_wait_ns && a->latency_ns == b->latency_ns &&
         a->cost_per_hour == b->cost_per_hour && a->memory_bytes == b->memory_bytes &&
         fabs(a->max_rate_per_s / b->max_rate_per_s - 1) < 1e-9;
}
