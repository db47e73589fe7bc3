/* SPDX-License-Identifier: Apache-2.0 */
/* qb_plan_job_fleet() against an exhaustive search that shares no code with it. */
#include "support/failing_allocator.h"
#include "support/random_catalogue.h"

#include "place/catalogue_impl.h"
#include "profile/profile_impl.h"

#include <qosbatch/fleet.h>

#include <math.h>
#include <string.h>

enum { CATALOGUES = 1000, MAX_BATCH = 8, MOST_TYPES = 5, MOST_NODES = 6, MOST_WAYS = 20000 };

static qb_context *context;

typedef struct way {
  uint32_t type, nodes, instances, threads, batch;
  double total_ns, total_95_ns, cost, cost_95;
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

/* A round of n samples on the type: its time, the error of the profile, the noise of rounds. */
static void round_on(const qb_profile *profile, const qb_node_type *type, bool own,
                     const qb_configuration *from, const qb_configuration *to, uint32_t n,
                     double round[3])
{
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(profile, from, n, &e));
  qb_node_info node = QB_NODE_INFO_INIT;
  assert_ok(qb_node_get_info(qb_profile_node(profile), &node));
  double factor = 1, wider = 0;
  if (!own) {
    double flops, bytes_per_s = 0;
    assert_ok(qb_node_compute_flops(qb_profile_node(profile), from->instances * from->threads,
                                    QB_ISA_BEST, &flops));
    const double here = flops / from->instances;
    const double there = type->compute_flops / qb_node_type_cores(type) * to->threads;
    double share = 0;
    if (!qb_node_bandwidth(qb_profile_node(profile), from->instances * from->threads,
                           &bytes_per_s)) {
      const double bytes = 1e6 * n; /* random_profile(): no weights, 1e6 bytes a sample */
      const double memory_s = bytes / (bytes_per_s / from->instances);
      share = memory_s / (memory_s + 1e9 * n / here);
    }
    double memory = here / there;
    if (type->memory_bytes_per_s > 0 && node.memory_bytes_per_s > 0)
      memory = node.memory_bytes_per_s / type->memory_bytes_per_s * to->instances / from->instances;
    factor = (1 - share) * here / there + share * memory;
    wider = 0.25 / 1.959964 * (double)e.mean_ns * factor;
  }
  round[0] = (double)e.mean_ns * factor;
  round[1] = (double)(e.high_ns - e.latency_ns) / 1.959964 * factor + wider;
  round[2] = (double)(e.p95_ns - e.mean_ns) / 1.644854 * factor;
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

static void try_way(all_ways *all, const qb_node_type *type, uint32_t index, bool own,
                    const qb_profile *profile, const qb_configuration *from, uint64_t samples,
                    uint32_t nodes, uint32_t batch)
{
  const uint32_t cores = qb_node_type_cores(type);
  const bool calls = type->billing.kind == QB_BILLING_CALLS;
  qb_configuration to = *from;
  if (!own) {
    to.threads = from->threads < cores ? from->threads : cores;
    const double used = fmin(1, from->instances * from->threads / 4.0);
    to.instances = (uint32_t)floor(used * cores / to.threads + 1e-9);
    if (!to.instances || calls)
      to.instances = 1;
  }
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(profile, from, batch, &e));
  const double memory = own ? (double)e.memory_bytes
                            : floor((double)e.memory_bytes * to.instances / from->instances + 1e-9);
  const uint64_t workers = (uint64_t)nodes * to.instances;
  const uint64_t most = (samples + workers - 1) / workers;
  if ((calls && to.instances > 1) || memory > (double)type->memory_bytes || batch > most)
    return;
  double time = 0, error = 0, variance = 0;
  const double start = (double)type->start_up_ns;
  for (uint64_t left = most; left;) {
    const uint32_t n = left < batch ? (uint32_t)left : batch;
    double r[3];
    round_on(profile, type, own, from, &to, n, r);
    time += r[0];
    error += r[1];
    variance += r[2] * r[2];
    left -= n;
  }
  double full[3];
  round_on(profile, type, own, from, &to, batch, full);
  const double p = type->interruptions_per_h > 0 ? 0.975 : 0.95;
  const double busy = (double)(workers < samples ? workers : samples);
  const double middle = largest_of(busy, 0.5), upper = largest_of(busy, p);
  double expected = time + middle * sqrt(variance);
  double late = expected + hypot(largest_of(1, p) * error, (upper - middle) * sqrt(variance));
  if (type->interruptions_per_h > 0) {
    const double per_ns = type->interruptions_per_h / 3600e9;
    late += poisson_bound(late * per_ns, pow(p, 1.0 / nodes)) * (start + full[0]);
    expected *= 1 + per_ns * (start + full[0] / 2);
  }
  way w = {index, nodes, to.instances, to.threads, batch, 0, 0, 0, 0};
  w.total_ns = round(expected + start);
  w.total_95_ns = round(late + start);
  if (!calls) {
    w.cost = nodes * type->billing.price_per_hour * billed(&type->billing, w.total_ns) / 3600e9;
    w.cost_95 =
        nodes * type->billing.price_per_hour * billed(&type->billing, w.total_95_ns) / 3600e9;
  } else {
    const double gib_ns =
        type->billing.price_per_gib_s * (double)type->memory_bytes / 1073741824.0 / 1e9;
    double count = 0, used = nodes * start, used_95 = used;
    for (uint32_t worker = 0; worker < nodes; worker++) {
      uint64_t left = samples / nodes + (worker < samples % nodes);
      while (left) {
        const uint32_t n = left < batch ? (uint32_t)left : batch;
        double r[3];
        round_on(profile, type, own, from, &to, n, r);
        const double longer = r[0] * (w.total_95_ns - start) / time;
        count++;
        used += billed(&type->billing, ceil(r[0]));
        used_95 += billed(&type->billing, ceil(longer));
        left -= n;
      }
    }
    w.cost = count * type->billing.price_per_call + used * gib_ns;
    w.cost_95 = count * type->billing.price_per_call + used_95 * gib_ns;
  }
  assert_true(all->count < MOST_WAYS);
  all->ways[all->count++] = w;
}

static bool is_own(const qb_profile *profile, const qb_node_type *type)
{
  qb_node_info node = QB_NODE_INFO_INIT;
  assert_ok(qb_node_get_info(qb_profile_node(profile), &node));
  return !strcmp(type->cpu, node.cpu) && qb_node_type_cores(type) == node.usable_threads;
}

static void list_all(all_ways *all, const qb_catalogue *catalogue, const qb_profile *profile,
                     uint64_t samples)
{
  all->count = 0;
  qb_node_type type = QB_NODE_TYPE_INIT;
  for (uint32_t t = 0; !qb_catalogue_get_type(catalogue, t, &type); t++)
    for (uint32_t i = 0; i < profile->point_count; i++) {
      const qb_profile_point *p = &profile->points[i];
      const bool last = i + 1 == profile->point_count ||
                        memcmp(&p[1].configuration, &p->configuration, sizeof p->configuration);
      for (uint32_t b = 1; last && b <= p->batch; b++)
        for (uint32_t k = 1; k <= type.most_nodes && k <= samples; k++)
          try_way(all, &type, t, is_own(profile, &type), profile, &p->configuration, samples, k, b);
    }
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
    if (w->total_95_ns > deadline_ns || w->cost_95 > budget)
      continue;
    const double a = by_time ? w->total_95_ns : w->cost, b = by_time ? w->cost : w->total_95_ns;
    const double fa = !found ? 0 : by_time ? found->total_95_ns : found->cost;
    const double fb = !found ? 0 : by_time ? found->cost : found->total_95_ns;
    if (!found || less(a, fa) || (near(a, fa) && b < fb))
      found = w;
  }
  return found;
}

/* Every way of the frontier is one of all, none of all beats it, and none is missing. */
static bool frontier_is_right(const qb_frontier *frontier, const all_ways *all, double budget)
{
  const uint32_t count = qb_frontier_count(frontier);
  qb_job_fleet f = QB_JOB_FLEET_INIT, before = QB_JOB_FLEET_INIT;
  for (uint32_t i = 0; i < count; i++, before = f) {
    assert_ok(qb_frontier_get(frontier, i, &f));
    if (i && !(f.total_95_ns > before.total_95_ns && f.cost < before.cost))
      return false;
    bool found = false;
    for (size_t j = 0; j < all->count && !found; j++) {
      const way *w = &all->ways[j];
      found = w->type == f.type && w->nodes == f.nodes && w->batch == f.batch &&
              w->instances == f.configuration.instances && w->threads == f.configuration.threads &&
              near_ns(w->total_95_ns, (double)f.total_95_ns) && near(w->cost, f.cost) &&
              near_ns(w->total_ns, (double)f.total_ns) && near(w->cost_95, f.cost_95);
    }
    if (!found)
      return false;
  }
  for (size_t j = 0; j < all->count; j++) {
    const way *w = &all->ways[j];
    bool covered = w->cost_95 > budget;
    for (uint32_t i = 0; i < count && !covered; i++) {
      assert_ok(qb_frontier_get(frontier, i, &f));
      covered = (double)f.total_95_ns <= w->total_95_ns + 1.5 && f.cost <= w->cost + 1e-9 * w->cost;
    }
    if (!covered)
      return false;
  }
  return true;
}

static void test_random(void **state)
{
  (void)state;
  static all_ways all;
  uint64_t seed = 20261125;
  print_message("seed %llu\n", (unsigned long long)seed);
  int mismatches = 0, feasible = 0, demands = 0;
  for (int i = 0; i < CATALOGUES; i++) {
    qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
    const qb_profile *const profiles[1] = {profile};
    qb_catalogue *catalogue = random_catalogue(context, &seed, MOST_TYPES, MOST_NODES);
    qb_job job = QB_JOB_INIT;
    job.samples = random_int(&seed, 0, 2) ? random_int(&seed, 1, 60) : random_int(&seed, 60, 400);
    list_all(&all, catalogue, profile, job.samples);
    const way *any = best(&all, INFINITY, INFINITY, true);
    if (random_int(&seed, 0, 2) && any)
      job.deadline_ns = (int64_t)(any->total_95_ns * (0.8 + 2 * random_unit(&seed)));
    const way *cheap = best(&all, INFINITY, INFINITY, false);
    if (random_int(&seed, 0, 1) && cheap && cheap->cost > 0)
      job.budget = cheap->cost_95 * (0.8 + 2 * random_unit(&seed));
    const double deadline = job.deadline_ns ? (double)job.deadline_ns : INFINITY;
    const double budget = job.budget > 0 ? job.budget : INFINITY;
    const bool by_time = job.budget > 0 && !job.deadline_ns;
    const way *expected = best(&all, deadline, budget, by_time);

    qb_job_choice choice = QB_JOB_CHOICE_INIT;
    qb_frontier *frontier = NULL;
    assert_ok(qb_plan_job_fleet(catalogue, profiles, 1, &job, &choice, &frontier));
    bool same = choice.feasible == (expected != NULL);
    if (same && expected)
      same = near(choice.fleet.cost, expected->cost) &&
             near_ns((double)choice.fleet.total_95_ns, expected->total_95_ns);
    if (same && !expected && all.count) {
      /* What is said to be nearest is: no less would do. */
      const way *other = best(&all, INFINITY, budget, true);
      same = other ? near_ns((double)choice.nearest_deadline_ns, other->total_95_ns) ||
                         !job.deadline_ns
                   : choice.nearest_deadline_ns == 0;
    }
    same = same && frontier_is_right(frontier, &all, budget);
    if (!same)
      print_message("catalogue %d: mismatch\n", i);
    mismatches += !same;
    feasible += choice.feasible;
    demands += job.deadline_ns || job.budget > 0;
    qb_frontier_free(frontier);
    qb_catalogue_unref(catalogue);
    qb_profile_unref(profile);
  }
  print_message("%d catalogues, %d with demands, %d feasible, %d mismatches\n", CATALOGUES, demands,
                feasible, mismatches);
  assert_int_equal(mismatches, 0);
  assert_true(feasible > CATALOGUES / 2 && feasible < CATALOGUES);
}

static void test_arguments(void **state)
{
  (void)state;
  uint64_t seed = 4;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  const qb_profile *const profiles[2] = {profile, NULL};
  qb_catalogue *catalogue = random_catalogue(context, &seed, 1, 2);
  qb_job job = QB_JOB_INIT;
  qb_job_choice choice = QB_JOB_CHOICE_INIT;
  choice.fleet.nodes = 77;
  assert_status(qb_plan_job_fleet(catalogue, profiles, 1, &job, &choice, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  assert_message("job.samples is 0");
  job.samples = 1;
  assert_status(qb_plan_job_fleet(NULL, profiles, 1, &job, &choice, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  assert_status(qb_plan_job_fleet(catalogue, profiles, 2, &job, &choice, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  job.budget = NAN;
  assert_status(qb_plan_job_fleet(catalogue, profiles, 1, &job, &choice, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  job.budget = 0;
  job.deadline_ns = -1;
  assert_status(qb_plan_job_fleet(catalogue, profiles, 1, &job, &choice, NULL),
                QB_ERROR_INVALID_ARGUMENT);
  qb_catalogue_unref(catalogue);
  job.deadline_ns = 0;

  qb_node_type type = QB_NODE_TYPE_INIT;
  type.name = "unknown";
  type.memory_bytes = 1;
  assert_ok(qb_catalogue_new(context, "EUR", "", &type, 1, &catalogue));
  assert_status(qb_plan_job_fleet(catalogue, profiles, 1, &job, &choice, NULL), QB_ERROR_NOT_FOUND);
  assert_message("type 'unknown'");
  assert_int_equal(choice.fleet.nodes, 77);
  qb_catalogue_unref(catalogue);

  /* Without memory for one sample there is no fleet, and that is said. */
  type.compute_flops = 1e11;
  assert_ok(qb_catalogue_new(context, "EUR", "", &type, 1, &catalogue));
  qb_frontier *frontier = NULL;
  assert_ok(qb_plan_job_fleet(catalogue, profiles, 1, &job, &choice, &frontier));
  assert_false(choice.feasible);
  assert_int_equal(choice.reason, QB_REASON_MEMORY);
  assert_int_equal(choice.fleet.nodes, 0);
  assert_int_equal(qb_frontier_count(frontier), 0);
  qb_frontier_free(frontier);
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
  const qb_profile *const profiles[1] = {m->profile};
  qb_context *const before = m->profile->context;
  m->profile->context = m->catalogue->context = failing;
  qb_job job = QB_JOB_INIT;
  job.samples = 100;
  job.budget = 1;
  qb_job_choice choice = QB_JOB_CHOICE_INIT;
  qb_frontier *frontier = NULL;
  const qb_status status = qb_plan_job_fleet(m->catalogue, profiles, 1, &job, &choice, &frontier);
  qb_frontier_free(frontier);
  m->profile->context = m->catalogue->context = before;
  return status;
}

static void test_no_memory(void **state)
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
      cmocka_unit_test(test_random),
      cmocka_unit_test(test_arguments),
      cmocka_unit_test(test_no_memory),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
