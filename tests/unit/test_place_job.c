/* SPDX-License-Identifier: Apache-2.0 */
/* qb_place_job() against all ways to split a small job. */
#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/random.h"
#include "support/random_profile.h"

#include "node/node_data.h"
#include "profile/profile_impl.h"

#include <qosbatch/estimate.h>
#include <qosbatch/inspect.h>
#include <qosbatch/place.h>

#include <math.h>
#include <stdlib.h>

enum { CASES = 2000, MOST_NODES = 4, MOST_SAMPLES = 14, MAX_BATCH = 6 };

static qb_context *context;

static qb_status place(const qb_place_node *nodes, size_t count, uint64_t samples, qb_share *shares,
                       qb_placement *placement)
{
  qb_job job = QB_JOB_INIT;
  job.samples = samples;
  return qb_place_job(nodes, count, &job, NULL, shares, placement);
}

static bool fits(const qb_place_node *node, const qb_latency_estimate *e)
{
  return !node->memory_bytes || e->memory_bytes <= node->memory_bytes;
}

/* When a node is done with its samples, in rounds of at most one configuration and batch size. */
static double done_ns(const qb_place_node *node, uint64_t samples)
{
  double best = INFINITY;
  if (!samples)
    return 0;
  for (uint32_t i = 0; i < node->profile->point_count; i++) {
    const qb_profile_point *p = &node->profile->points[i];
    const uint64_t each = (samples + p->configuration.instances - 1) / p->configuration.instances;
    for (uint32_t b = 1; b <= p->batch && b <= each; b++) {
      double ns = 0;
      qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
      bool good = true;
      for (uint64_t left = each; left;) {
        const uint32_t n = left < b ? (uint32_t)left : b;
        assert_ok(qb_estimate(node->profile, &p->configuration, n, NULL, &e));
        good = good && fits(node, &e);
        ns += (double)e.mean_ns;
        left -= n;
      }
      if (good)
        best = fmin(best, (double)node->ready_ns + ceil(ns / node->speed));
    }
  }
  return best;
}

/* The least time by which the last of the nodes from `first` on is done. */
static double least_ns(double done[MOST_NODES][MOST_SAMPLES + 1], uint32_t nodes, uint32_t first,
                       uint64_t samples)
{
  if (first + 1 == nodes)
    return done[first][samples];
  double best = INFINITY;
  for (uint64_t n = 0; n <= samples; n++)
    best = fmin(best, fmax(done[first][n], least_ns(done, nodes, first + 1, samples - n)));
  return best;
}

static qb_place_node random_node(uint64_t *seed, const qb_profile *profile)
{
  qb_place_node node = QB_PLACE_NODE_INIT;
  node.profile = profile;
  if (random_int(seed, 0, 1))
    node.speed = 0.3 + random_unit(seed);
  if (random_int(seed, 0, 2) == 0)
    node.memory_bytes = random_int(seed, 90000, 3000000);
  if (random_int(seed, 0, 2) == 0)
    node.ready_ns = (int64_t)random_int(seed, 0, 100000000);
  return node;
}

static void shares_are_those_of_an_exhaustive_search(void **state)
{
  (void)state;
  uint64_t seed = random_start();
  int mismatches = 0, infeasible = 0;
  for (int c = 0; c < CASES; c++) {
    qb_profile *profiles[2] = {random_profile(context, &seed, MAX_BATCH),
                               random_profile(context, &seed, MAX_BATCH)};
    const uint32_t count = (uint32_t)random_int(&seed, 1, MOST_NODES);
    const uint64_t samples = random_int(&seed, 1, MOST_SAMPLES);
    qb_place_node nodes[MOST_NODES];
    qb_share shares[MOST_NODES];
    double done[MOST_NODES][MOST_SAMPLES + 1];
    for (uint32_t i = 0; i < count; i++) {
      nodes[i] = random_node(&seed, profiles[random_int(&seed, 0, 1)]);
      shares[i] = (qb_share)QB_SHARE_INIT;
      for (uint64_t n = 0; n <= samples; n++)
        done[i][n] = done_ns(&nodes[i], n);
    }
    const double expected = least_ns(done, count, 0, samples);
    qb_placement placement = QB_PLACEMENT_INIT;
    const qb_status status = place(nodes, count, samples, shares, &placement);
    if (isinf(expected)) {
      assert_status(status, QB_ERROR_INFEASIBLE);
      infeasible++;
    } else {
      assert_ok(status);
      uint64_t placed = 0;
      uint32_t used = 0;
      for (uint32_t i = 0; i < count; i++) {
        placed += shares[i].samples;
        used += shares[i].batch > 0;
        assert_true(fabs((double)shares[i].total_ns - done[i][shares[i].samples]) <= 1);
      }
      assert_int_equal(placed, samples);
      assert_int_equal(used, placement.used);
      assert_true((double)placement.bound_ns <= expected);
      if (fabs((double)placement.total_ns - expected) > 1) {
        print_message("case %d: %lld ns, expected %.0f\n", c, (long long)placement.total_ns,
                      expected);
        mismatches++;
      }
    }
    qb_profile_unref(profiles[0]);
    qb_profile_unref(profiles[1]);
  }
  print_message("%d cases, %d infeasible, %d mismatches\n", CASES, infeasible, mismatches);
  assert_int_equal(mismatches, 0);
  assert_true(infeasible > 0 && infeasible < CASES / 4);
}

/* Of a job far longer than a round, all end together, close to the bound. */
static void long_jobs_end_together_on_all_nodes(void **state)
{
  (void)state;
  enum { NODES = 300 };
  static qb_place_node nodes[NODES];
  static qb_share shares[NODES];
  uint64_t seed = 5;
  qb_profile *profiles[4];
  for (int i = 0; i < 4; i++)
    profiles[i] = random_profile(context, &seed, MAX_BATCH);
  for (int i = 0; i < NODES; i++) {
    nodes[i] = (qb_place_node)QB_PLACE_NODE_INIT;
    nodes[i].profile = profiles[i % 4];
    nodes[i].speed = 0.5 + random_unit(&seed);
    shares[i] = (qb_share)QB_SHARE_INIT;
  }
  qb_placement placement = QB_PLACEMENT_INIT;
  assert_ok(place(nodes, NODES, 100000000, shares, &placement));
  uint64_t placed = 0;
  int64_t first = INT64_MAX;
  for (int i = 0; i < NODES; i++) {
    placed += shares[i].samples;
    first = shares[i].total_ns < first ? shares[i].total_ns : first;
  }
  assert_int_equal(placed, 100000000);
  assert_true((double)placement.total_ns <= 1.0001 * (double)placement.bound_ns);
  assert_true((double)first >= 0.9999 * (double)placement.total_ns);
  for (int i = 0; i < 4; i++)
    qb_profile_unref(profiles[i]);
}

static void bad_arguments_are_refused(void **state)
{
  (void)state;
  uint64_t seed = 3;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  qb_place_node nodes[2] = {QB_PLACE_NODE_INIT, QB_PLACE_NODE_INIT};
  qb_share shares[2] = {QB_SHARE_INIT, QB_SHARE_INIT};
  nodes[0].profile = nodes[1].profile = profile;
  shares[0].batch = 77;
  assert_status(place(nodes, 0, 1, shares, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(place(nodes, 2, 0, shares, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(place(NULL, 2, 1, shares, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_status(place(nodes, 2, 1, NULL, NULL), QB_ERROR_INVALID_ARGUMENT);
  nodes[1].speed = NAN;
  assert_status(place(nodes, 2, 1, shares, NULL), QB_ERROR_INVALID_ARGUMENT);
  assert_message("nodes[1]: speed");
  nodes[1].speed = 1;
  nodes[1].ready_ns = -1;
  assert_status(place(nodes, 2, 1, shares, NULL), QB_ERROR_INVALID_ARGUMENT);
  nodes[1].ready_ns = 0;
  nodes[1].profile = NULL;
  assert_status(place(nodes, 2, 1, shares, NULL), QB_ERROR_INVALID_ARGUMENT);
  nodes[1].profile = profile;
  nodes[0].memory_bytes = nodes[1].memory_bytes = 1;
  assert_status(place(nodes, 2, 1, shares, NULL), QB_ERROR_INFEASIBLE);
  assert_int_equal(shares[0].batch, 77);
  nodes[0].memory_bytes = 0;
  assert_status(place(nodes, 2, UINT64_C(1) << 53, shares, NULL), QB_ERROR_OVERFLOW);
  assert_int_equal(shares[0].batch, 77);
  assert_ok(place(nodes, 2, UINT64_C(1) << 38, shares, NULL));
  assert_int_equal(shares[0].samples, UINT64_C(1) << 38);
  assert_int_equal(shares[1].batch, 0);
  qb_profile_unref(profile);
}

static void a_node_that_was_not_profiled_has_the_times_of_its_estimate(void **state)
{
  (void)state;
  uint64_t seed = 6;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  const qb__sustained compute[] = {{QB_ISA_AVX2, 1, 0.3e11}, {QB_ISA_AVX2, 2, 0.6e11}};
  qb_node_info info = *qb__node_info(qb_profile_node(profile));
  info.cpu = "another";
  info.cores = info.usable_threads = info.hardware_threads = 2;
  info.quota_cores = 2;
  qb_node *node = NULL;
  assert_ok(qb__node_new(context, &info, compute, 2, NULL, 0, &node));
  qb_place_node nodes[2] = {QB_PLACE_NODE_INIT, QB_PLACE_NODE_INIT};
  qb_share shares[2] = {QB_SHARE_INIT, QB_SHARE_INIT};
  nodes[0].profile = nodes[1].profile = profile;
  nodes[1].node = node;
  assert_ok(place(nodes, 2, 1000, shares, NULL));
  assert_true(shares[0].samples > shares[1].samples && shares[1].samples > 0);
  qb_where where = QB_WHERE_INIT;
  where.node = node;
  const qb_configuration *k = &shares[1].configuration;
  const uint64_t each = (shares[1].samples + k->instances - 1) / k->instances;
  qb_latency_estimate full = QB_LATENCY_ESTIMATE_INIT, rest = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(profile, k, shares[1].batch, &where, &full));
  int64_t expected_ns = (int64_t)(each / shares[1].batch) * full.mean_ns;
  if (each % shares[1].batch) {
    assert_ok(qb_estimate(profile, k, (uint32_t)(each % shares[1].batch), &where, &rest));
    expected_ns += rest.mean_ns;
  }
  assert_int_equal(shares[1].total_ns, expected_ns);
  qb_node_unref(node);
  qb_profile_unref(profile);
}

static void limits_of_the_qos_are_kept(void **state)
{
  (void)state;
  uint64_t seed = 6;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  qb_place_node node = QB_PLACE_NODE_INIT;
  qb_share share = QB_SHARE_INIT;
  qb_placement placement = QB_PLACEMENT_INIT;
  qb_job job = QB_JOB_INIT;
  qb_qos qos = QB_QOS_INIT;
  node.profile = profile;
  job.samples = 100;
  assert_ok(qb_place_job(&node, 1, &job, NULL, &share, &placement));
  qos.deadline_ns = placement.total_ns;
  assert_ok(qb_place_job(&node, 1, &job, &qos, &share, &placement));
  assert_true(placement.feasible);
  qos.deadline_ns--;
  assert_ok(qb_place_job(&node, 1, &job, &qos, &share, &placement));
  assert_false(placement.feasible);
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  assert_ok(qb_estimate(profile, &share.configuration, share.batch, NULL, &e));
  qos.latency_ns = e.high_ns - 1;
  assert_ok(qb_place_job(&node, 1, &job, &qos, &share, &placement));
  assert_ok(qb_estimate(profile, &share.configuration, share.batch, NULL, &e));
  assert_true(e.high_ns <= qos.latency_ns);
  qos.memory_bytes = 1;
  assert_status(qb_place_job(&node, 1, &job, &qos, &share, &placement), QB_ERROR_INFEASIBLE);
  qb_profile_unref(profile);
}

/* As a host with a newer header has them. */
static void arrays_are_walked_by_the_size_of_their_elements(void **state)
{
  (void)state;
  uint64_t seed = 6;
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  struct {
    qb_place_node node;
    uint64_t newer;
  } nodes[3];
  struct {
    qb_share share;
    uint64_t newer;
  } shares[3];
  uint64_t placed = 0;
  for (int i = 0; i < 3; i++) {
    nodes[i].node = (qb_place_node)QB_PLACE_NODE_INIT;
    shares[i].share = (qb_share)QB_SHARE_INIT;
    nodes[i].node.size = sizeof nodes[i];
    shares[i].share.size = sizeof shares[i];
    nodes[i].node.profile = profile;
    nodes[i].newer = 0;
    shares[i].newer = 77;
  }
  assert_ok(place(&nodes[0].node, 3, 300, &shares[0].share, NULL));
  for (int i = 0; i < 3; i++) {
    placed += shares[i].share.samples;
    assert_int_equal(shares[i].newer, 0);
  }
  assert_int_equal(placed, 300);
  nodes[2].newer = 1;
  assert_status(place(&nodes[0].node, 3, 300, &shares[0].share, NULL), QB_ERROR_INVALID_ARGUMENT);
  qb_profile_unref(profile);
}

static qb_status place_with(qb_context *failing, void *user)
{
  (void)user;
  uint64_t seed = 11;
  /* The profile's own allocations are not what is tested. */
  qb_profile *profile = random_profile(context, &seed, MAX_BATCH);
  qb_context *before = profile->context;
  profile->context = failing;
  qb_place_node nodes[2] = {QB_PLACE_NODE_INIT, QB_PLACE_NODE_INIT};
  qb_share shares[2] = {QB_SHARE_INIT, QB_SHARE_INIT};
  nodes[0].profile = nodes[1].profile = profile;
  const qb_status status = place(nodes, 2, 100, shares, NULL);
  profile->context = before;
  qb_profile_unref(profile);
  return status;
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  assert_true(check_every_allocation_failure(place_with, NULL) >= 4);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shares_are_those_of_an_exhaustive_search),
      cmocka_unit_test(long_jobs_end_together_on_all_nodes),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(a_node_that_was_not_profiled_has_the_times_of_its_estimate),
      cmocka_unit_test(limits_of_the_qos_are_kept),
      cmocka_unit_test(arrays_are_walked_by_the_size_of_their_elements),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  if (qb_context_new(NULL, &context))
    return 1;
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  qb_context_unref(context);
  return failed;
}
