/* SPDX-License-Identifier: Apache-2.0 */
#include "node/topology.h"

#include "node/cpuid_caches.h"

#include "support/expect.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static cpu_set_t own_affinity(void)
{
  cpu_set_t set;
  assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
  return set;
}

/* The last CPU of a set; the first would be found without looking. */
static int last_of(const cpu_set_t *set)
{
  int last = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, set))
      last = cpu;
  return last;
}

static int bind_to(int cpu)
{
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set);
}

static void machine_is_plausible(void **state)
{
  (void)state;
  static qb__topology topology;
  const cpu_set_t mine = own_affinity();
  assert_ok(qb__topology_read(&topology));
  assert_int_equal(topology.hardware_threads, CPU_COUNT(&mine));
  assert_in_range(topology.core_count, 1, topology.hardware_threads);
  assert_in_range(topology.numa_nodes, 1, topology.core_count);
  assert_true(topology.memory_bytes > 1 << 20);
  assert_true(!topology.l2_bytes || topology.l2_bytes >= topology.l1d_bytes);
}

static void each_core_is_one_cpu_of_the_affinity(void **state)
{
  (void)state;
  static qb__topology topology;
  const cpu_set_t mine = own_affinity();
  assert_ok(qb__topology_read(&topology));
  for (uint32_t i = 0; i < topology.core_count; i++) {
    assert_true(CPU_ISSET(topology.cpus[i], &mine));
    for (uint32_t j = 0; j < i; j++)
      assert_int_not_equal(topology.cpus[i], topology.cpus[j]);
  }
}

static void affinity_is_left_alone(void **state)
{
  (void)state;
  static qb__topology topology;
  const cpu_set_t before = own_affinity();
  assert_ok(qb__topology_read(&topology));
  const cpu_set_t after = own_affinity();
  assert_true(CPU_EQUAL(&before, &after));
}

/* In the child, which has nothing of cmocka; the result says which check failed. */
static int check_restricted(int cpu)
{
  static qb__topology topology;
  if (qb__topology_read(&topology))
    return 3;
  if (topology.hardware_threads != 1 || topology.core_count != 1 || topology.numa_nodes != 1)
    return 4;
  if (topology.cpus[0] != cpu)
    return 5;
  cpu_set_t after;
  if (sched_getaffinity(0, sizeof after, &after) || CPU_COUNT(&after) != 1)
    return 6;
  return 0;
}

static void process_bound_to_one_cpu_has_one_core(void **state)
{
  (void)state;
  const cpu_set_t before = own_affinity();
  const int cpu = last_of(&before);
  /* Bound before it forks: what runs in a sanitizer's own thread of the child is bound as well. */
  assert_int_equal(bind_to(cpu), 0);
  const pid_t child = fork();
  if (child == 0)
    _exit(check_restricted(cpu));
  assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
  assert_true(child >= 0);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  const cpu_set_t after = own_affinity();
  assert_true(CPU_EQUAL(&before, &after));
}

/* Returns NULL if all went well. */
static void *read_bound(void *topology)
{
  cpu_set_t mine;
  if (sched_getaffinity(0, sizeof mine, &mine) || bind_to(last_of(&mine)) ||
      qb__topology_read(topology))
    return topology;
  return NULL;
}

/* A host may pin its own threads; the library's may still use the other cores. */
static void thread_bound_to_one_cpu_sees_those_of_the_process(void **state)
{
  (void)state;
  static qb__topology whole, seen;
  assert_ok(qb__topology_read(&whole));
  pthread_t thread;
  void *failed;
  assert_int_equal(pthread_create(&thread, NULL, read_bound, &seen), 0);
  assert_int_equal(pthread_join(thread, &failed), 0);
  assert_null(failed);
  assert_int_equal(seen.hardware_threads, whole.hardware_threads);
  assert_int_equal(seen.core_count, whole.core_count);
}

/* In the child: an environment that tells of another machine. */
static int check_environment(const char *name, const char *value)
{
  static qb__topology topology;
  cpu_set_t mine;
  if (setenv(name, value, 1) || sched_getaffinity(0, sizeof mine, &mine))
    return 2;
  if (qb__topology_read(&topology))
    return 3;
  if ((int)topology.hardware_threads > CPU_COUNT(&mine) ||
      topology.core_count > topology.hardware_threads)
    return 4;
  for (uint32_t i = 0; i < topology.core_count; i++)
    if (!CPU_ISSET(topology.cpus[i], &mine))
      return 5;
  return 0;
}

static void other_machines_of_the_environment_are_not_ours(void **state)
{
  (void)state;
  static const char *const settings[][2] = {{"HWLOC_SYNTHETIC", "core:64 pu:1"},
                                            {"HWLOC_SYNTHETIC", "numa:2 core:8 pu:2"},
                                            {"HWLOC_XMLFILE", "/nonexistent.xml"}};
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
      _exit(check_environment(settings[i][0], settings[i][1]));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
  }
}

/* As a Core i9 of 2019 tells of its caches: instructions' are left out. */
static void registers_tell_the_sizes_of_caches_and_who_shares_them(void **state)
{
  (void)state;
  static const qb__cache_registers told[] = {{0x1c004121, 0x01c0003f, 0x3f},
                                             {0x1c004122, 0x01c0003f, 0x3f},
                                             {0x1c004143, 0x00c0003f, 0x3ff},
                                             {0x1c03c163, 0x03c0003f, 0x3fff},
                                             {0, 0, 0}};
  qb__cache_sizes sizes = {{0}, {0}};
  for (int i = 0; i < 5; i++)
    assert_int_equal(qb__cache_sizes_add(&sizes, &told[i]), i < 4);
  assert_int_equal(sizes.bytes[1], 32 << 10);
  assert_int_equal(sizes.bytes[2], 256 << 10);
  assert_int_equal(sizes.bytes[3], 16 << 20);
  assert_int_equal(sizes.threads[1], 2);
  assert_int_equal(sizes.threads[3], 16);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(registers_tell_the_sizes_of_caches_and_who_shares_them),
      cmocka_unit_test(machine_is_plausible),
      cmocka_unit_test(each_core_is_one_cpu_of_the_affinity),
      cmocka_unit_test(affinity_is_left_alone),
      cmocka_unit_test(process_bound_to_one_cpu_has_one_core),
      cmocka_unit_test(other_machines_of_the_environment_are_not_ours),
      cmocka_unit_test(thread_bound_to_one_cpu_sees_those_of_the_process),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
