/* SPDX-License-Identifier: Apache-2.0 */
/* Small copies of /proc and /sys, as different systems show them. */
#include "node/cgroup.h"

#include "core/error.h"

#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/scratch_folder.h"

#include <stdlib.h>

#define V2_MOUNT "30 24 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNTS                                                                                  \
  "33 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"           \
  "34 32 0:31 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n"

typedef struct fixture {
  scratch_folder folder;
  qb_context *context;
} fixture;

static int set_up(void **state)
{
  static fixture one;
  one.folder = scratch_folder_make();
  assert_ok(qb_context_new(NULL, &one.context));
  *state = &one;
  return 0;
}

static int tear_down(void **state)
{
  fixture *f = *state;
  scratch_folder_remove(&f->folder);
  qb_context_unref(f->context);
  return 0;
}

static void write_file(const fixture *f, const char *name, const char *text)
{
  scratch_folder_write_text(&f->folder, name, text);
}

static void write_proc(const fixture *f, const char *groups, const char *mounts)
{
  write_file(f, "proc/self/cgroup", groups);
  write_file(f, "proc/self/mountinfo", mounts);
}

/* 0: no limit. */
static void assert_limits(const fixture *f, double cores, uint64_t memory_bytes)
{
  qb__cgroup_limits limits = {77, 77};
  assert_ok(qb__cgroup_read(f->context, f->folder.path, &limits));
  if (limits.cpu_cores != cores)
    fail_msg("%g cores, expected %g", limits.cpu_cores, cores);
  assert_int_equal(limits.memory_bytes, memory_bytes);
}

static void system_without_groups_has_no_limits(void **state)
{
  const fixture *f = *state;
  assert_limits(f, 0, 0);
  write_proc(f, "", "");
  assert_limits(f, 0, 0);
}

static void v2_limits_are_read(void **state)
{
  const fixture *f = *state;
  write_proc(f, "0::/app\n", V2_MOUNT);
  write_file(f, "sys/fs/cgroup/app/cpu.max", "150000 100000\n");
  write_file(f, "sys/fs/cgroup/app/memory.max", "1073741824\n");
  assert_limits(f, 1.5, 1 << 30);
}

static void v2_max_is_no_limit(void **state)
{
  const fixture *f = *state;
  write_proc(f, "0::/app\n", V2_MOUNT);
  write_file(f, "sys/fs/cgroup/app/cpu.max", "max 100000\n");
  write_file(f, "sys/fs/cgroup/app/memory.max", "max\n");
  assert_limits(f, 0, 0);
}

static void smallest_limit_on_the_way_up_binds(void **state)
{
  const fixture *f = *state;
  write_proc(f, "0::/pod/app/worker\n", V2_MOUNT);
  write_file(f, "sys/fs/cgroup/pod/app/worker/cpu.max", "800000 100000\n");
  write_file(f, "sys/fs/cgroup/pod/app/worker/memory.max", "1000\n");
  write_file(f, "sys/fs/cgroup/pod/app/cpu.max", "50000 200000\n");
  write_file(f, "sys/fs/cgroup/pod/app/memory.max", "max\n");
  write_file(f, "sys/fs/cgroup/pod/cpu.max", "300000 100000\n");
  write_file(f, "sys/fs/cgroup/pod/memory.max", "2000\n");
  /* A neighbour's limit is none of ours. */
  write_file(f, "sys/fs/cgroup/pod/other/cpu.max", "1000 100000\n");
  assert_limits(f, 0.25, 1000);
  write_file(f, "sys/fs/cgroup/cpu.max", "10000 100000\n");
  write_file(f, "sys/fs/cgroup/memory.max", "500\n");
  assert_limits(f, 0.1, 500);
}

static void v1_limits_are_read(void **state)
{
  const fixture *f = *state;
  write_proc(f, "5:memory:/app\n4:cpu,cpuacct:/app/\n1:name=systemd:/other\n", V1_MOUNTS);
  write_file(f, "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "250000\n");
  write_file(f, "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n");
  write_file(f, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  write_file(f, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  write_file(f, "sys/fs/cgroup/memory/app/memory.limit_in_bytes", "4096\n");
  write_file(f, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  assert_limits(f, 2.5, 4096);
}

static void v1_says_unlimited_in_its_own_way(void **state)
{
  const fixture *f = *state;
  write_proc(f, "5:memory:/\n4:cpu,cpuacct:/\n", V1_MOUNTS);
  write_file(f, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  write_file(f, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  write_file(f, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  assert_limits(f, 0, 0);
}

/* The controllers cpuset and cpuacct are not cpu. */
static void names_of_controllers_are_compared_whole(void **state)
{
  const fixture *f = *state;
  write_proc(f, "7:cpuset:/app\n6:cpuacct:/app\n4:cpu:/right\n",
             "31 32 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
             "33 32 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
  write_file(f, "sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "100000\n");
  write_file(f, "sys/fs/cgroup/cpu/app/cpu.cfs_period_us", "100000\n");
  write_file(f, "sys/fs/cgroup/cpu/right/cpu.cfs_quota_us", "200000\n");
  write_file(f, "sys/fs/cgroup/cpu/right/cpu.cfs_period_us", "100000\n");
  assert_limits(f, 2, 0);
}

/* systemd's hybrid: v1 controllers, and a unified hierarchy beside them. */
static void hybrid_takes_the_smaller_of_both(void **state)
{
  const fixture *f = *state;
  write_proc(f, "5:memory:/app\n4:cpu,cpuacct:/app\n0::/app\n",
             V1_MOUNTS "35 32 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  write_file(f, "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "300000\n");
  write_file(f, "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n");
  write_file(f, "sys/fs/cgroup/unified/app/memory.max", "8192\n");
  assert_limits(f, 3, 8192);
  write_file(f, "sys/fs/cgroup/unified/app/cpu.max", "200000 100000\n");
  write_file(f, "sys/fs/cgroup/memory/app/memory.limit_in_bytes", "4096\n");
  assert_limits(f, 2, 4096);
}

static void usual_mounts_are_tried_without_mountinfo(void **state)
{
  const fixture *f = *state;
  write_file(f, "proc/self/cgroup", "4:cpu:/a\n5:memory:/b\n0::/c\n");
  write_file(f, "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "700000\n");
  write_file(f, "sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  write_file(f, "sys/fs/cgroup/memory/b/memory.limit_in_bytes", "4096\n");
  assert_limits(f, 7, 4096);
  write_file(f, "sys/fs/cgroup/c/cpu.max", "600000 100000\n");
  assert_limits(f, 6, 4096);
}

/* A v1 container without a cgroup namespace: the host's path, but only a subtree mounted. */
static void mounted_subtree_is_cut_from_the_path(void **state)
{
  const fixture *f = *state;
  static const char mounts[] =
      "40 32 0:30 /docker/ab /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n";
  write_file(f, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
  write_file(f, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  write_file(f, "sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "100000\n");
  write_file(f, "sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000\n");

  write_proc(f, "4:cpu:/docker/ab\n", mounts);
  assert_limits(f, 4, 0);
  write_proc(f, "4:cpu:/docker/ab/inner\n", mounts);
  assert_limits(f, 1, 0);
  write_proc(f, "4:cpu:/elsewhere/inner\n", mounts);
  assert_limits(f, 4, 0);
  /* Begins like the mounted group, but is another one. */
  write_proc(f, "4:cpu:/docker/abc\n", mounts);
  assert_limits(f, 4, 0);
}

static void malformed_files_are_no_limit(void **state)
{
  const fixture *f = *state;
  static const char *const numbers[] = {"",        "\n",    "nonsense", "-5 100000", "0 100000",
                                        "100000",  "5 0",   "5 -5",     "5 x",       "0x10 0x10",
                                        "max max", " . 1 ", "nan 1"};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    write_proc(f, "0::/app\n", V2_MOUNT);
    write_file(f, "sys/fs/cgroup/app/cpu.max", numbers[i]);
    assert_limits(f, 0, 0);
  }
  write_file(f, "sys/fs/cgroup/app/memory.max", "-1");
  assert_limits(f, 0, 0);

  write_file(f, "sys/fs/cgroup/app/cpu.max", "100000 100000");
  static const char *const groups[] = {"\n\n",    "0",   "0:",  ":",
                                       "garbage", "0:x", "x:y", "0:cpux:/app"};
  for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
    write_proc(f, groups[i], V2_MOUNT);
    assert_limits(f, 0, 0);
  }
  /* Lines of mountinfo that are cut are passed over, and the good one is found. */
  write_proc(f, "\n:\n0::/app\n", "\n30\n30 24 0:27\n30 24 0:27 / /wrong - \n" V2_MOUNT);
  assert_limits(f, 1, 0);
}

static void endless_names_are_no_limit(void **state)
{
  const fixture *f = *state;
  enum { LENGTH = 20000 };
  char *text = malloc(LENGTH + 16);
  memcpy(text, "0::/", 4);
  memset(text + 4, 'a', LENGTH);
  strcpy(text + LENGTH + 4, "\n");
  write_proc(f, text, V2_MOUNT);
  assert_limits(f, 0, 0);
  write_proc(f, "0::/app\n", text);
  assert_limits(f, 0, 0);
  free(text);
}

/* Nothing failed that the host asked for. */
static void what_is_not_there_sets_no_message(void **state)
{
  const fixture *f = *state;
  (void)qb__fail(QB_ERROR_IO, "the host's last failure");
  write_proc(f, "5:memory:/app\n4:cpu:/app\n0::/app\n", V2_MOUNT);
  assert_limits(f, 0, 0);
  assert_string_equal(qb_error_message(), "the host's last failure");
}

static qb_status read_limits(qb_context *context, void *root)
{
  qb__cgroup_limits limits = {77, 77};
  const qb_status status = qb__cgroup_read(context, root, &limits);
  if (status)
    assert_true(limits.cpu_cores == 77 && limits.memory_bytes == 77);
  return status;
}

/* A limit that is overlooked for want of memory would make the node larger than it is. */
static void every_failed_allocation_is_reported(void **state)
{
  fixture *f = *state;
  write_proc(f, "0::/app\n", V2_MOUNT);
  write_file(f, "sys/fs/cgroup/app/cpu.max", "150000 100000\n");
  write_file(f, "sys/fs/cgroup/app/memory.max", "1073741824\n");
  assert_int_equal(check_every_allocation_failure(read_limits, f->folder.path), 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(system_without_groups_has_no_limits),
      TEST(v2_limits_are_read),
      TEST(v2_max_is_no_limit),
      TEST(smallest_limit_on_the_way_up_binds),
      TEST(v1_limits_are_read),
      TEST(v1_says_unlimited_in_its_own_way),
      TEST(names_of_controllers_are_compared_whole),
      TEST(hybrid_takes_the_smaller_of_both),
      TEST(usual_mounts_are_tried_without_mountinfo),
      TEST(mounted_subtree_is_cut_from_the_path),
      TEST(malformed_files_are_no_limit),
      TEST(endless_names_are_no_limit),
      TEST(what_is_not_there_sets_no_message),
      TEST(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
