/* SPDX-License-Identifier: Apache-2.0 */
#include "node/core_placement.h"

#include "node/usable_threads.h"
#include "profile/splits.h"
#include "support/expect.h"
#include "support/random.h"

#include <hwloc.h>
#include <math.h>
#include <string.h>

/* A machine as hwloc describes it; `allowed` as a list of CPUs, NULL: all of them. */
static void make(const char *description, const char *allowed, qb__topology *topology)
{
  hwloc_topology_t hwloc;
  hwloc_bitmap_t set = hwloc_bitmap_alloc();
  memset(topology, 0, sizeof *topology);
  assert_int_equal(hwloc_topology_init(&hwloc), 0);
  assert_int_equal(hwloc_topology_set_synthetic(hwloc, description), 0);
  assert_int_equal(hwloc_topology_load(hwloc), 0);
  if (allowed)
    assert_int_equal(hwloc_bitmap_list_sscanf(set, allowed), 0);
  else
    hwloc_bitmap_copy(set, hwloc_topology_get_topology_cpuset(hwloc));
  qb__topology_of(hwloc, set, topology);
  hwloc_bitmap_free(set);
  hwloc_topology_destroy(hwloc);
}

static uint32_t core_of(const qb__topology *t, uint16_t cpu)
{
  uint32_t core = 0;
  while (core < t->core_count && t->cpus[core] != cpu)
    core++;
  assert_true(core < t->core_count);
  return core;
}

/* Each thread has a core of its own; returns how many instances span NUMA nodes. */
static uint32_t check(const qb__topology *t, uint32_t instances, uint32_t threads,
                      uint32_t per_node[QB__MOST_CORES])
{
  static uint16_t cpus[QB__MOST_CORES];
  static bool taken[QB__MOST_CORES];
  uint32_t straddling = 0;
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  assert_ok(qb__place_instances(context, t, instances, threads, cpus));
  qb_context_unref(context);
  memset(taken, 0, sizeof taken);
  memset(per_node, 0, t->numa_nodes * sizeof *per_node);
  for (uint32_t i = 0; i < instances; i++) {
    const uint16_t *own = cpus + i * threads;
    bool spans = false;
    for (uint32_t n = 0; n < threads; n++) {
      const uint32_t core = core_of(t, own[n]);
      assert_false(taken[core]);
      taken[core] = true;
      per_node[t->nodes[core]]++;
      spans |= t->nodes[core] != t->nodes[core_of(t, own[0])];
    }
    straddling += spans;
  }
  return straddling;
}

static void two_sockets_have_their_cores_and_not_their_siblings(void **state)
{
  (void)state;
  static qb__topology t;
  make("numa:2 core:48 pu:2", NULL, &t);
  assert_int_equal(t.hardware_threads, 192);
  assert_int_equal(t.core_count, 96);
  assert_int_equal(t.numa_nodes, 2);
  for (uint32_t core = 0; core < 96; core++)
    assert_int_equal(t.nodes[core], core / 48);
}

/* As a container gets that is bound to the second hardware threads of all cores. */
static void a_sibling_alone_stands_for_its_core(void **state)
{
  (void)state;
  static qb__topology t;
  make("numa:2 core:4 pu:2", "1,3,5,7-8,10", &t);
  assert_int_equal(t.hardware_threads, 6);
  assert_int_equal(t.core_count, 6);
  assert_int_equal(t.nodes[3], 0);
  assert_int_equal(t.nodes[4], 1);
}

static void no_split_of_a_node_has_an_instance_on_two(void **state)
{
  (void)state;
  static const char *const machines[] = {"numa:2 core:48 pu:2", "numa:2 core:48 pu:1",
                                         "numa:4 core:6 pu:2",  "numa:8 core:16 pu:2",
                                         "numa:1 core:24 pu:1", "pack:2 numa:2 core:12 pu:1"};
  static qb__topology t;
  uint32_t per_node[QB__MOST_CORES];
  for (size_t m = 0; m < sizeof machines / sizeof *machines; m++) {
    make(machines[m], NULL, &t);
    const qb_node_info node = {.cores = t.core_count,
                               .usable_threads = t.core_count,
                               .quota_cores = t.core_count,
                               .numa_nodes = t.numa_nodes};
    qb_configuration splits[QB__MOST_SPLITS];
    const size_t count = qb__splits_of(&node, splits);
    for (size_t k = 0; k < count; k++)
      assert_int_equal(check(&t, splits[k].instances, splits[k].threads, per_node), 0);
  }
}

static void instances_share_the_bandwidth_of_all_nodes(void **state)
{
  (void)state;
  static qb__topology t;
  uint32_t per_node[QB__MOST_CORES];
  make("numa:4 core:8 pu:1", NULL, &t);
  assert_int_equal(check(&t, 4, 4, per_node), 0);
  for (uint32_t node = 0; node < 4; node++)
    assert_int_equal(per_node[node], 4);
}

/* 3 cores of one node and 5 of another have no room for 2 instances of 4 threads side by side. */
static void what_does_not_fit_spans_nodes_and_the_rest_does_not(void **state)
{
  (void)state;
  static qb__topology t;
  uint32_t per_node[QB__MOST_CORES];
  make("numa:2 core:8 pu:1", "0-2,8-12", &t);
  assert_int_equal(check(&t, 2, 4, per_node), 1);
  assert_int_equal(check(&t, 2, 3, per_node), 0);
  assert_int_equal(check(&t, 8, 1, per_node), 0);
}

/* Kinds as on a processor of fast and slow cores, the slow ones first. */
static void fast_cores_are_taken_first_and_not_mixed_with_slow_ones(void **state)
{
  (void)state;
  static qb__topology t;
  uint16_t cpus[12];
  qb_context *context;
  make("core:12 pu:1", NULL, &t);
  for (uint32_t core = 0; core < 12; core++)
    t.kinds[core] = core < 6;
  assert_ok(qb_context_new(NULL, &context));
  assert_ok(qb__place_instances(context, &t, 2, 4, cpus));
  for (uint32_t i = 0; i < 4; i++) {
    assert_true(cpus[i] >= 6);
    assert_true(cpus[4 + i] < 6);
  }
  assert_ok(qb__place_instances(context, &t, 1, 8, cpus));
  for (uint32_t i = 0; i < 6; i++)
    assert_true(cpus[i] >= 6);
  qb_context_unref(context);
}

/* A node on which the cores of a topology were measured, in the order of their CPUs or against it. */
static qb_node *measured(qb_context *context, const qb__topology *t, const double *flops,
                         uint32_t count, bool backwards)
{
  static qb__core_speed cores[QB__MOST_CORES];
  const qb_node_info info = {.cpu = "unequal", .usable_threads = t->core_count};
  qb_node *node = NULL;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t core = backwards ? count - 1 - i : i;
    cores[i] = (qb__core_speed){t->cpus[core], flops[core]};
  }
  assert_ok(qb__node_new(context, &info, NULL, 0, NULL, 0, &node));
  assert_ok(qb__node_set_cores(node, cores, count));
  return node;
}

/* Of 6 cores, 2 as fast as can be measured, 3 slower ones, and one that is slower than these. */
static void kinds_are_what_was_measured(void **state)
{
  (void)state;
  static qb__topology t, told;
  static const double flops[] = {61e9, 100e9, 30e9, 93e9, 66e9, 64e9};
  static const uint8_t kinds[] = {1, 0, 2, 0, 1, 1};
  uint16_t cpus[6];
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  make("core:6 pu:2", NULL, &t);
  qb_node *node = measured(context, &t, flops, 6, false);
  t.kinds[0] = 7; /* whatever the system tells */
  qb__rank_cores(&t, node);
  for (uint32_t core = 0; core < 6; core++)
    assert_int_equal(t.kinds[core], kinds[core]);
  assert_ok(qb__place_instances(context, &t, 2, 2, cpus));
  static const uint32_t pairs[] = {1, 3, 0, 4};
  for (uint32_t i = 0; i < 4; i++)
    assert_int_equal(core_of(&t, cpus[i]), pairs[i]);
  assert_ok(qb__place_instances(context, &t, 5, 1, cpus)); /* a reserve of 1 */
  for (uint32_t i = 0; i < 5; i++)
    assert_int_not_equal(core_of(&t, cpus[i]), 2);
  qb_node_unref(node);

  node = measured(context, &t, flops, 5, false); /* one was not there then */
  make("core:6 pu:2", NULL, &t);
  t.kinds[3] = 1;
  told = t;
  qb__rank_cores(&t, node);
  qb__rank_cores(&t, NULL);
  assert_memory_equal(t.kinds, told.kinds, sizeof t.kinds);
  qb_node_unref(node);
  qb_context_unref(context);
}

/* Cores of up to a kind are enough for all instances, none of which spans NUMA nodes. */
static bool is_enough(const qb__topology *t, uint32_t instances, uint32_t threads, int kind)
{
  uint32_t room = 0;
  for (uint32_t node = 0; node < t->numa_nodes; node++) {
    uint32_t cores = 0;
    for (uint32_t core = 0; core < t->core_count; core++)
      cores += t->nodes[core] == node && t->kinds[core] <= kind;
    room += cores / threads;
  }
  return room >= instances;
}

/* The slowest core that an instance waits for, and how many instances span nodes. */
typedef struct outcome {
  int kind;
  double flops;
  uint32_t straddling;
} outcome;

static outcome outcome_of(const qb__topology *t, const double *flops, const uint16_t *cpus,
                          uint32_t instances, uint32_t threads)
{
  outcome o = {0, INFINITY, 0};
  for (uint32_t i = 0; i < instances; i++) {
    bool spans = false;
    for (uint32_t n = 0; n < threads; n++) {
      const uint32_t core = core_of(t, cpus[i * threads + n]);
      o.kind = t->kinds[core] > o.kind ? t->kinds[core] : o.kind;
      o.flops = fmin(o.flops, flops[core]);
      spans |= t->nodes[core] != t->nodes[core_of(t, cpus[i * threads])];
    }
    o.straddling += spans;
  }
  return o;
}

static void compare_with_naive_order(qb_context *context, const qb__topology *machine,
                                     const double *flops)
{
  static qb__topology t;
  static uint16_t cpus[QB__MOST_CORES], again[QB__MOST_CORES];
  for (uint32_t threads = 1; threads <= machine->core_count; threads++)
    for (uint32_t instances = 1; instances * threads <= machine->core_count; instances++) {
      for (int backwards = 0; backwards < 2; backwards++) {
        t = *machine;
        qb_node *node = measured(context, &t, flops, t.core_count, backwards);
        qb__rank_cores(&t, node);
        assert_ok(qb__place_instances(context, &t, instances, threads, backwards ? again : cpus));
        qb_node_unref(node);
      }
      assert_memory_equal(cpus, again, instances * threads * sizeof *cpus);
      const outcome ours = outcome_of(&t, flops, cpus, instances, threads);
      const outcome naive = outcome_of(&t, flops, t.cpus, instances, threads);
      int least = 0;
      while (least < UINT8_MAX && !is_enough(&t, instances, threads, least))
        least++;
      assert_int_equal(ours.straddling == 0, is_enough(&t, instances, threads, least));
      assert_true(ours.straddling <= naive.straddling);
      if (!ours.straddling)
        assert_int_equal(ours.kind, least);
      if (!naive.straddling)
        assert_true(ours.kind <= naive.kind && ours.flops >= 0.9 * naive.flops);
    }
}

static void no_instance_waits_longer_than_it_has_to(void **state)
{
  (void)state;
  static const char *const machines[] = {"core:7 pu:2", "core:12 pu:1", "numa:2 core:6 pu:2",
                                         "numa:3 core:4 pu:1"};
  static qb__topology t;
  qb_context *context;
  double flops[16];
  uint64_t random = random_start();
  const int trials = random_cases(60);
  assert_ok(qb_context_new(NULL, &context));
  for (int trial = 0; trial < trials; trial++) {
    make(machines[trial % 4], NULL, &t);
    /* Kinds that differ by noise alone or clearly, and cores of which no two are alike. */
    for (uint32_t core = 0; core < t.core_count; core++) {
      const double any = random_unit(&random);
      flops[core] = trial % 3 == 0   ? 1e11 * (1 - 0.05 * any)
                    : trial % 3 == 1 ? 1e11 * (any < 0.4 ? 0.5 : 1) * (1 - 0.05 * any)
                                     : 1e10 * (1 + 9 * any);
    }
    compare_with_naive_order(context, &t, flops);
  }
  qb_context_unref(context);
}

static void a_reserve_leaves_whole_cores_free(void **state)
{
  (void)state;
  static const char *const machines[] = {"core:16 pu:2", "numa:2 core:8 pu:2",
                                         "numa:4 core:6 pu:2"};
  static qb__topology t;
  uint32_t per_node[QB__MOST_CORES];
  const qb__cgroup_limits none = {0};
  for (size_t m = 0; m < sizeof machines / sizeof *machines; m++)
    for (uint32_t reserve = 1; reserve <= 3; reserve++) {
      make(machines[m], NULL, &t);
      const qb_node_info node = {.cores = t.core_count,
                                 .usable_threads = qb__usable_threads(&t, &none, reserve),
                                 .reserve_cores = reserve,
                                 .quota_cores = qb__quota_cores(&t, &none),
                                 .numa_nodes = t.numa_nodes};
      qb_configuration splits[QB__MOST_SPLITS];
      const size_t count = qb__splits_of(&node, splits);
      for (size_t k = 0; k < count; k++) {
        uint32_t taken = 0;
        assert_int_equal(check(&t, splits[k].instances, splits[k].threads, per_node), 0);
        for (uint32_t n = 0; n < t.numa_nodes; n++)
          taken += per_node[n];
        assert_true(taken + reserve <= t.core_count);
      }
      assert_int_equal(splits[0].instances, t.core_count - reserve); /* and no more than that */
    }
}

static void a_reserve_is_taken_of_what_a_quota_leaves(void **state)
{
  (void)state;
  static qb__topology t;
  const qb__cgroup_limits limits = {.cpu_cores = 6.5};
  make("core:16 pu:2", NULL, &t);
  assert_int_equal(qb__usable_threads(&t, &limits, 0), 7);
  assert_int_equal(qb__usable_threads(&t, &limits, 2), 5);
  assert_int_equal(qb__usable_threads(&t, &limits, 6), 1);
  assert_int_equal(qb__usable_threads(&t, &limits, 7), 0);
  assert_int_equal(qb__usable_threads(&t, &limits, UINT32_MAX), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_sockets_have_their_cores_and_not_their_siblings),
      cmocka_unit_test(a_sibling_alone_stands_for_its_core),
      cmocka_unit_test(no_split_of_a_node_has_an_instance_on_two),
      cmocka_unit_test(instances_share_the_bandwidth_of_all_nodes),
      cmocka_unit_test(what_does_not_fit_spans_nodes_and_the_rest_does_not),
      cmocka_unit_test(fast_cores_are_taken_first_and_not_mixed_with_slow_ones),
      cmocka_unit_test(kinds_are_what_was_measured),
      cmocka_unit_test(no_instance_waits_longer_than_it_has_to),
      cmocka_unit_test(a_reserve_leaves_whole_cores_free),
      cmocka_unit_test(a_reserve_is_taken_of_what_a_quota_leaves),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
