/* SPDX-License-Identifier: Apache-2.0 */
/* qb_plan_job_fleet() against an exhaustive search that shares no code with it. */
#include "support/failing_allocator.h"
#include "support/random_catalogue.h"

#include "node/node_impl.h"
#include "place/catalogue_impl.h"
#include "profile/profile_impl.h"

#include <qosbatch/catalogue.h>
#include <qosbatch/fleet.h>
#include <qosbatch/frontier.h>
#include <qosbatch/inspect.h>

#include <math.h>
#include <string.h>

enum { CATALOGUES = 1000, MAX_BATCH = 8, MOST_TYPES = 5, MOST_NODES = 6, MOST_WAYS = 20000 };

static qb_context *context;

typedef struct way {
  uint32_t type, nodes, instances, threads, batch;
  double total_ns, high_ns, cost, cost_high;
} way;

typedef struct all_ways {
  size_t count;
  way ways[MOST_WAYS];
} all_ways;

/* z with P(largest of `workers` normal deviates <= z) = p, by bisection. */
static double largest_of(double workers, double p)
{
  double low = -8, high = 12;
  for (int i = 0; i < 100; i++) {
    const double z = 0.5 * (low + high);
    if (workers * log1p(-0.5 * erfc(z / sqrt(2))) < log(p))
      low = z;
    else
      high = z;
  }
  return 0.5 * (low + high);
}

static double billed(const qb_billing *b, double ns)
{
  const double used = fmax(ns, (double)b->minimum_ns);
  return ceil(used / (double)b->granularity_ns) * (double)b->granularity_ns;
}

/* A node like the type, as the catalogue describes it. */
static qb_node *node_of(const qb_node_type *type)
{
  const uint32_t cores = cores_of(type);
  const qb__sustained compute[] = {{QB_ISA_AVX2, 1, type->compute_flops_per_s / cores},
                                   {QB_ISA_AVX2, cores, type->compute_flops_per_s}};
  const qb__sustained bandwidth[] = {{QB_ISA_BEST, cores, type->memory_bytes_per_s}};
  qb_node_info info = QB_NODE_INFO_INIT;
  info.cpu = type->cpu;
  info.isa = QB_ISA_AVX2;
  info.cores = info.usable_threads = info.hardware_threads = cores;
  info.quota_cores = cores;
  qb_node *node = NULL;
  assert_ok(qb__node_new(context, &info, compute + (cores == 1), 2 - (cores == 1), bandwidth,
                         type->memory_bytes_per_s > 0, &node));
  return node;
}

/* A round of n samples there: its mean, the error of the profile, the error of the node. */
static void round_on(const qb_profile *profile, const qb_node *node, const qb_configuration *k,
                     uint32_t n, double round[3])
{
  qb_where where = QB_WHERE_INIT;
  where.node = node;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  round[0] = 0;
  for (uint32_t b = 1; b <= n; b++) { /* a larger round never takes less */
    assert_ok(qb_estimate(profile, k, b, &where, &e));
    round[0] = fmax(round[0], (double)e.mean_ns);
  }
  round[1] = (double)(e.high_ns - e.latency_ns) / 1.959963984540054;
  round[2] = fmax(0, (double)e.p95_ns - round[0]) / 1.6448536269514722;
}

static double poisson_bound(double mean, double p)
{
  for (int n = 0;; n++) {
    double sum = 0;
    for (int i = 0; i <= n; i++)
      sum += exp(i * log(mean) - mean - lgamma(i + 1));
    if (sum >= p || n > 200)
      return n;
  }
}

/* The configuration of a profile that a type runs. */
static qb_configuration configuration_on(const qb_node_type *type, bool own,
                                         const qb_configuration *from)
{
  const uint32_t cores = cores_of(type);
  qb_configuration to = *from;
  if (!own) {
    to.threads = from->threads < cores ? from->threads : cores;
    const double used = fmin(1, from->instances * from->threads / 4.0);
    to.instances = (uint32_t)floor(used * cores / to.threads + 1e-9);
  }
  if (!to.instances || type->billing.kind == QB_BILLING_CALLS)
    to.instances = 1;
  return to;
}

static void try_way(all_ways *all, const qb_node_type *type, uint32_t index,
                    const qb_profile *profile, const qb_node *node, const qb_configuration *to,
                    uint64_t samples, uint32_t nodes, uint32_t batch)
{
  const bool calls = type->billing.kind == QB_BILLING_CALLS;
  qb_where where = QB_WHERE_INIT;
  where.node = node;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(profile, to, batch, &where, &e));
  const uint64_t workers = (uint64_t)nodes * to->instances;
  const uint64_t most = (samples + workers - 1) / workers;
  if (e.memory_bytes > type->memory_bytes || batch > most)
    return;
  double time = 0, error = 0, noise = 0;
  const double start = (double)type->start_up_ns;
  for (uint64_t left = most; left;) {
    const uint32_t n = left < batch ? (uint32_t)left : batch;
    double r[3];
    round_on(profile, node, to, n, r);
    time += r[0];
    error += r[1];
    noise += r[2];
    left -= n;
  }
  double full[3];
  round_on(profile, node, to, batch, full);
  const double p = type->interruptions_per_h > 0 ? 0.9875 : 0.975;
  const double middle = largest_of(nodes, 0.5), upper = largest_of(nodes, p);
  double expected = time + middle * noise;
  double late = expected + hypot(largest_of(1, p) * error, (upper - middle) * noise);
  if (type->interruptions_per_h > 0) {
    const double per_ns = type->interruptions_per_h / 3600e9;
    late += poisson_bound(late * per_ns, pow(p, 1.0 / nodes)) * (start + full[0]);
    expected *= 1 + per_ns * (start + full[0] / 2);
  }
  way w = {index, nodes, to->instances, to->threads, batch, 0, 0, 0, 0};
  w.total_ns = round(expected + start);
  w.high_ns = round(late + start);
  if (!calls) {
    w.cost = nodes * type->billing.price_per_hour * billed(&type->billing, w.total_ns) / 3600e9;
    w.cost_high = nodes * type->billing.price_per_hour * billed(&type->billing, w.high_ns) / 3600e9;
  } else {
    const double gib_ns =
        type->billing.price_per_gib_s * (double)type->memory_bytes / 1073741824.0 / 1e9;
    double count = 0, used = nodes * start, used_high = used;
    for (uint32_t worker = 0; worker < nodes; worker++) {
      uint64_t left = samples / nodes + (worker < samples % nodes);
      while (left) {
        const uint32_t n = left < batch ? (uint32_t)left : batch;
        double r[3];
        round_on(profile, node, to, n, r);
        const double longer = r[0] * (w.high_ns - start) / time;
        count++;
        used += billed(&type->billing, ceil(r[0]));
        used_high += billed(&type->billing, ceil(longer));
        left -= n;
      }
    }
    w.cost = count * type->billing.price_per_call + used * gib_ns;
    w.cost_high = count * type->billing.price_per_call + used_high * gib_ns;
  }
  assert_true(all->count < MOST_WAYS);
  all->ways[all->count++] = w;
}

static bool is_own(const qb_profile *profile, const qb_node_type *type)
{
  qb_node_info node = QB_NODE_INFO_INIT;
  assert_ok(qb_node_get_info(qb_profile_node(profile), &node));
  return !strcmp(type->cpu, node.cpu) && cores_of(type) == node.usable_threads;
}

static void list_type(all_ways *all, const qb_node_type *type, uint32_t index,
                      const qb_profile *profile, uint64_t samples)
{
  const bool own = is_own(profile, type);
  qb_node *node = own ? NULL : node_of(type);
  qb_configuration seen[8];
  size_t seen_count = 0;
  for (uint32_t i = 0; i < profile->point_count; i++) {
    const qb_profile_point *p = &profile->points[i];
    const qb_configuration to = configuration_on(type, own, &p->configuration);
    bool again = i + 1 < profile->point_count &&
                 !memcmp(&p[1].configuration, &p->configuration, sizeof p->configuration);
    for (size_t k = 0; k < seen_count; k++)
      again |= !memcmp(&seen[k], &to, sizeof to);
    if (again)
      continue;
    seen[seen_count++] = to;
    for (uint32_t b = 1; b <= p->batch; b++)
      for (uint32_t k = 1; k <= type->max_nodes && k <= samples; k++)
        try_way(all, type, index, profile, node, &to, samples, k, b);
  }
  qb_node_unref(node);
}

static void list_all(all_ways *all, const qb_catalogue *catalogue, const qb_profile *profile,
                     uint64_t samples)
{
  all->count = 0;
  qb_node_type type = QB_NODE_TYPE_INIT;
  for (uint32_t t = 0; !qb_catalogue_get_type(catalogue, t, &type); t++)
    list_type(all, &type, t, profile, samples);
}

static bool near(double a, double b)
{
  return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)) + 1e-12;
}

/* Half a nanosecond may be rounded either way. */
static bool near_ns(double a, double b)
{
  return fabs(a - b) <= 1.5;
}

static bool less(double a, double b)
{
  return a < b && !near(a, b);
}

/* The best by time or by cost, of equal ones by the other, among those within both limits. */
static const way *best(const all_ways *all, double deadline_ns, double budget, bool by_time)
{
  const way *found = NULL;
  for (size_t i = 0; i < all->count; i++) {
    const way *w = &all->ways[i];
    if (w->high_ns > deadline_ns || w->cost_high > budget)
      continue;
    const double a = by_time ? w->high_ns : w->cost, b = by_time ? w->cost : w->high_ns;
    const double fa = !found ? 0 : by_time ? found->high_ns : found->cost;
    const double fb = !found ? 0 : by_time ? found->cost : found->high_ns;
    if (!found || less(a, fa) || (near(a, fa) && b < fb))
      found = w;
  }
  return found;
}

/* Every way of the frontier is one of all, none of all beats it, and none is missing. */
static bool frontier_is_right(const qb_job_frontier *frontier, const all_ways *all, double budget)
{
  const uint32_t count = qb_job_frontier_count(frontier);
  qb_job_plan f = QB_JOB_PLAN_INIT, before = QB_JOB_PLAN_INIT;
  for (uint32_t i = 0; i < count; i++, before = f) {
    assert_ok(qb_job_frontier_get(frontier, i, &f));
    if (i && !(f.high_ns > before.high_ns && f.cost < before.cost))
      return false;
    bool found = false;
    for (size_t j = 0; j < all->count && !found; j++) {
      const way *w = &all->ways[j];
      found = w->type == f.type && w->nodes == f.nodes && w->batch == f.batch &&
              w->instances == f.configuration.instances && w->threads == f.configuration.threads &&
              near_ns(w->high_ns, (double)f.high_ns) && near(w->cost, f.cost) &&
              near_ns(w->total_ns, (double)f.total_ns) && near(w->cost_high, f.cost_high);
    }
    if (!found)
      return false;
  }
  for (size_t j = 0; j < all->count; j++) {
    const way *w = &all->ways[j];
    bool covered = w->cost_high > budget;
    for (uint32_t i = 0; i < count && !covered; i++) {
      assert_ok(qb_job_frontier_get(frontier, i, &f));
      covered = (double)f.high_ns <= w->high_ns + 1.5 && f.cost <= w->cost + 1e-9 * w->cost;
    }
    if (!covered)
      return false;
  }
  return true;
}

static void the_best_of_all_fleets_is_chosen(void **state)
{
  (void)state;
  static all_ways all;
  uint64_t seed = random_start();
  const int catalogues = random_cases(CATALOGUES);
  int mismatches = 0, feasible = 0, demands = 0;
  for (int i = 0; i < catalogues; i++) {
    qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
    qb_catalogue *catalogue = random_catalogue(context, &seed, MOST_TYPES, MOST_NODES);
    qb_job job = QB_JOB_INIT;
    qb_qos qos = QB_QOS_INIT;
    job.samples = random_int(&seed, 0, 2) ? random_int(&seed, 1, 60) : random_int(&seed, 60, 400);
    list_all(&all, catalogue, profile, job.samples);
    const way *any = best(&all, INFINITY, INFINITY, true);
    if (random_int(&seed, 0, 2) && any)
      qos.deadline_ns = (int64_t)(any->high_ns * (0.8 + 2 * random_unit(&seed)));
    const way *cheap = best(&all, INFINITY, INFINITY, false);
    if (random_int(&seed, 0, 1) && cheap && cheap->cost > 0)
      qos.budget = cheap->cost_high * (0.8 + 2 * random_unit(&seed));
    const double deadline = qos.deadline_ns ? (double)qos.deadline_ns : INFINITY;
    const double budget = qos.budget > 0 ? qos.budget : INFINITY;
    const bool by_time = random_int(&seed, 0, 1);
    qos.objective = by_time ? QB_OBJECTIVE_LATENCY : QB_OBJECTIVE_COST;
    const way *expected = best(&all, deadline, budget, by_time);

    qb_job_plan plan = QB_JOB_PLAN_INIT;
    qb_job_frontier *frontier = NULL;
    assert_ok(qb_plan_job_fleet(catalogue, &profile, 1, &job, &qos, &plan, &frontier));
    bool same = plan.feasible == (expected != NULL);
    if (same && expected) /* of two that cost the same but for rounding, either may be cheaper */
      same = near(plan.cost, expected->cost) && (near_ns((double)plan.high_ns, expected->high_ns) ||
                                                 (!by_time && plan.cost < expected->cost));
    if (same && !expected && all.count) {
      /* What is said to be nearest is: no less would be enough. */
      const way *other = best(&all, INFINITY, budget, true);
      same = other ? near_ns((double)plan.nearest.deadline_ns, other->high_ns) || !qos.deadline_ns
                   : plan.nearest.deadline_ns == 0;
    }
    same = same && frontier_is_right(frontier, &all, budget);
    if (!same)
      print_message("catalogue %d: mismatch\n", i);
    mismatches += !same;
    feasible += plan.feasible;
    demands += qos.deadline_ns || qos.budget > 0;
    qb_job_frontier_free(frontier);
    qb_catalogue_unref(catalogue);
    qb_profile_unref(profile);
  }
  print_message("%d catalogues, %d with demands, %d feasible, %d mismatches\n", catalogues, demands,
                feasible, mismatches);
  assert_int_equal(mismatches, 0);
  assert_true((feasible > catalogues / 2 && feasible < catalogues) ||
              !random_kinds_come_up(CATALOGUES));
}

static double least(double a, double b)
{
  return a > 0 && a < b ? a : b;
}

/* With the nearest change of any one limit, and no other, the demand is met. */
static void check_nearest(const qb_catalogue *catalogue, qb_profile *profile, const qb_job *job,
                          const qb_qos *qos, const qb_nearest *nearest)
{
  const double little = 1 + 1e-12;
  qb_qos changed[5] = {*qos, *qos, *qos, *qos, *qos};
  changed[0].deadline_ns = nearest->deadline_ns;
  changed[1].latency_ns = nearest->latency_ns;
  changed[2].memory_bytes = nearest->memory_bytes;
  changed[3].budget = nearest->budget * little;
  changed[4].budget_per_hour = nearest->budget_per_hour * little;
  const bool given[5] = {nearest->deadline_ns, nearest->latency_ns, nearest->memory_bytes,
                         nearest->budget > 0, nearest->budget_per_hour > 0};
  for (int i = 0; i < 5; i++) {
    qb_job_plan plan = QB_JOB_PLAN_INIT;
    if (!given[i])
      continue;
    assert_ok(qb_plan_job_fleet(catalogue, &profile, 1, job, &changed[i], &plan, NULL));
    assert_true(plan.feasible);
  }
}

static void every_limit_is_kept_or_its_nearest_change_named(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  int feasible = 0, named = 0;
  for (int i = random_cases(300); i > 0; i--) {
    qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
    qb_catalogue *catalogue = random_catalogue(context, &seed, MOST_TYPES, MOST_NODES);
    qb_job job = QB_JOB_INIT;
    qb_qos qos = QB_QOS_INIT;
    job.samples = random_int(&seed, 1, 400);
    qos.objective = random_int(&seed, 0, 1) ? QB_OBJECTIVE_COST : QB_OBJECTIVE_LATENCY;
    qos.latency_ns = random_int(&seed, 0, 1) ? (int64_t)random_int(&seed, 1000000, 60000000) : 0;
    qos.memory_bytes = random_int(&seed, 0, 1) ? random_int(&seed, 100000, 6000000) : 0;
    qos.budget_per_hour = random_int(&seed, 0, 1) ? 0.01 + 2 * random_unit(&seed) : 0;
    qos.budget = random_int(&seed, 0, 2) ? 0 : 0.1 * random_unit(&seed);
    qos.deadline_ns = random_int(&seed, 0, 2) ? 0 : (int64_t)random_int(&seed, 1, 120) * 1000000000;
    qb_job_plan plan = QB_JOB_PLAN_INIT;
    assert_ok(qb_plan_job_fleet(catalogue, &profile, 1, &job, &qos, &plan, NULL));
    const qb_nearest *n = &plan.nearest;
    if (plan.feasible) {
      qb_node_type type = QB_NODE_TYPE_INIT;
      assert_ok(qb_catalogue_get_type(catalogue, plan.type, &type));
      const double price = plan.nodes * type.billing.price_per_hour;
      assert_true(plan.memory_bytes <= least((double)qos.memory_bytes, (double)type.memory_bytes));
      assert_true(price <= least(qos.budget_per_hour, INFINITY));
      assert_true(plan.cost_high <= least(qos.budget, INFINITY));
      assert_true((double)plan.high_ns <= least((double)qos.deadline_ns, INFINITY));
      assert_true(!n->deadline_ns && !n->latency_ns && !n->memory_bytes);
    } else {
      check_nearest(catalogue, profile, &job, &qos, n);
      named += n->deadline_ns || n->latency_ns || n->memory_bytes || n->budget > 0 ||
               n->budget_per_hour > 0;
    }
    feasible += plan.feasible;
    qb_catalogue_unref(catalogue);
    qb_profile_unref(profile);
  }
  print_message("%d feasible, %d with a nearest change\n", feasible, named);
  const int few = random_cases(300) / 10;
  assert_true((feasible > few && named > few) || !random_kinds_come_up(300));
}

static void bad_arguments_are_refused_and_leave_the_plan_alone(void **state)
{
  (void)state;
  uint64_t seed = 4;
  qb_profile *profiles[2] = {random_profile(context, &seed, MAX_BATCH), NULL};
  qb_catalogue *catalogue = random_catalogue(context, &seed, 1, 2);
  qb_job job = QB_JOB_INIT;
  qb_qos qos = QB_QOS_INIT;
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  plan.nodes = 77;
  assert_status(qb_plan_job_fleet(catalogue, profiles, 1, &job, &qos, &plan, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  assert_message("job.samples is 0");
  job.samples = 1;
  assert_status(qb_plan_job_fleet(NULL, profiles, 1, &job, &qos, &plan, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_plan_job_fleet(catalogue, profiles, 2, &job, &qos, &plan, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  qos.budget = NAN;
  assert_status(qb_plan_job_fleet(catalogue, profiles, 1, &job, &qos, &plan, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  qos.budget = 0;
  qos.deadline_ns = -1;
  assert_status(qb_plan_job_fleet(catalogue, profiles, 1, &job, &qos, &plan, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  assert_int_equal(plan.nodes, 77);
  qb_catalogue_unref(catalogue);
  qb_profile_unref(profiles[0]);
}

static void a_type_that_no_profile_tells_of_is_named(void **state)
{
  (void)state;
  uint64_t seed = 4;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  qb_catalogue *catalogue;
  qb_job job = QB_JOB_INIT;
  job.samples = 1;
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  plan.nodes = 77;
  qb_node_type type = QB_NODE_TYPE_INIT;
  type.name = "unknown";
  type.memory_bytes = 1;
  assert_ok(qb_catalogue_new(context, "EUR", "", &type, 1, &catalogue));
  assert_status(qb_plan_job_fleet(catalogue, &profile, 1, &job, NULL, &plan, NULL),
                QB_ERROR_NOT_FOUND);
  assert_message("type 'unknown'");
  assert_int_equal(plan.nodes, 77);
  qb_catalogue_unref(catalogue);

  /* Without memory for one sample there is no fleet, and that is said. */
  type.compute_flops_per_s = 1e11;
  assert_ok(qb_catalogue_new(context, "EUR", "", &type, 1, &catalogue));
  qb_job_frontier *frontier = NULL;
  assert_ok(qb_plan_job_fleet(catalogue, &profile, 1, &job, NULL, &plan, &frontier));
  assert_false(plan.feasible);
  assert_int_equal(plan.reason, QB_REASON_MEMORY);
  assert_int_equal(plan.nodes, 0);
  assert_int_equal(qb_job_frontier_count(frontier), 0);
  qb_job_frontier_free(frontier);
  qb_catalogue_unref(catalogue);
  qb_profile_unref(profile);
}

typedef struct material {
  qb_catalogue *catalogue;
  qb_profile *profile;
} material;

static qb_status plan_with(qb_context *failing, void *user)
{
  const material *m = user;
  qb_profile *profile = m->profile;
  qb_context *const before = profile->context;
  profile->context = m->catalogue->context = failing;
  qb_job job = QB_JOB_INIT;
  qb_qos qos = QB_QOS_INIT;
  job.samples = 100;
  qos.budget = 1;
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  qb_job_frontier *frontier = NULL;
  const qb_status status =
      qb_plan_job_fleet(m->catalogue, &profile, 1, &job, &qos, &plan, &frontier);
  qb_job_frontier_free(frontier);
  profile->context = m->catalogue->context = before;
  return status;
}

static void every_allocation_may_fail(void **state)
{
  (void)state;
  uint64_t seed = 4;
  material m = {random_catalogue(context, &seed, 3, 2), random_profile(context, &seed, MAX_BATCH)};
  assert_true(check_every_allocation_failure(plan_with, &m) >= 10);
  qb_catalogue_unref(m.catalogue);
  qb_profile_unref(m.profile);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_best_of_all_fleets_is_chosen),
      cmocka_unit_test(every_limit_is_kept_or_its_nearest_change_named),
      cmocka_unit_test(bad_arguments_are_refused_and_leave_the_plan_alone),
      cmocka_unit_test(a_type_that_no_profile_tells_of_is_named),
      cmocka_unit_test(every_allocation_may_fail),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
