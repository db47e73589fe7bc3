/* SPDX-License-Identifier: Apache-2.0 */
/* The measured c, the threads that measure it, and the yardstick that they run. */
#include "node/compute_power.h"

#include "node/measuring.h"
#include "node/tiles.h"
#include "node/yardstick.h"

#include "support/expect.h"
#include "support/failing_allocator.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static qb__topology topology;

static int read_topology(void **state)
{
  (void)state;
  return qb__topology_read(&topology) ? -1 : 0;
}

/* True once the best figure of one is half that of the other; a busy machine needs more tries. */
static bool reaches_half_of(qb_isa isa, qb_isa other)
{
  double best = 0, best_of_other = 0;
  for (int i = 0; i < 100; i++) {
    best = fmax(best, qb__yardstick(isa, QB_PRECISION_F32, 2000));
    best_of_other = fmax(best_of_other, qb__yardstick(other, QB_PRECISION_F32, 2000));
    if (i >= 4 && best >= 0.5 * best_of_other)
      return true;
  }
  return false;
}

static void yardstick_measures_every_isa(void **state)
{
  (void)state;
  for (qb_isa isa = QB_ISA_GENERIC; isa <= qb__best_isa(); isa++) {
    const double flops = qb__yardstick(isa, QB_PRECISION_F32, 2000);
    assert_true(isfinite(flops) && flops > 1e7);
    assert_true(reaches_half_of(isa, QB_ISA_GENERIC));
  }
  assert_true(reaches_half_of(QB_ISA_BEST, qb__best_isa()));
}

static void yardstick_takes_at_least_its_time(void **state)
{
  (void)state;
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  (void)qb__yardstick(QB_ISA_BEST, QB_PRECISION_F32, 5000);
  clock_gettime(CLOCK_MONOTONIC, &after);
  assert_true((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >=
              5000000);
  /* And ends though it was given none. */
  assert_true(qb__yardstick(QB_ISA_BEST, QB_PRECISION_F32, 0) > 0);
}

static void thread_counts_rise_to_the_most(void **state)
{
  (void)state;
  const uint32_t expected[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 100};
  uint32_t counts[QB__MOST_THREAD_COUNTS];
  assert_int_equal(qb__thread_counts(100, counts), sizeof expected / sizeof *expected);
  assert_memory_equal(counts, expected, sizeof expected);
  const uint32_t most[] = {1, 2, 3, 5, 64, 1024, 65536, UINT32_MAX};
  for (size_t m = 0; m < sizeof most / sizeof *most; m++) {
    const size_t count = qb__thread_counts(most[m], counts);
    assert_in_range(count, 1, QB__MOST_THREAD_COUNTS);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[count - 1], most[m]);
    for (size_t i = 1; i < count; i++)
      assert_true(counts[i] > counts[i - 1]);
  }
}

typedef struct gathering {
  atomic_uint indices; /* a bit for each index seen */
  atomic_int unpinned, wrong_threads;
} gathering;

static double gather(void *argument, uint32_t index, uint32_t threads)
{
  gathering *seen = argument;
  cpu_set_t set;
  atomic_fetch_or(&seen->indices, 1u << index);
  if (threads != 3)
    atomic_fetch_add(&seen->wrong_threads, 1);
  if (sched_getaffinity(0, sizeof set, &set) || CPU_COUNT(&set) != 1 ||
      !CPU_ISSET(topology.cpus[index % topology.core_count], &set))
    atomic_fetch_add(&seen->unpinned, 1);
  return 1;
}

static void threads_measure_together_on_a_core_each(void **state)
{
  (void)state;
  qb_context *context = NULL;
  assert_ok(qb_context_new(NULL, &context));
  gathering seen = {0};
  double per_s = -1;
  assert_ok(qb__measure_together(context, &topology, 0, 3, gather, &seen, &per_s));
  assert_int_equal(atomic_load(&seen.indices), 7);
  assert_int_equal(atomic_load(&seen.wrong_threads), 0);
  assert_int_equal(atomic_load(&seen.unpinned), 0);
  assert_true(per_s > 0);
  qb_context_unref(context);
}

/* Work that lasts until all threads are at it, and for a millisecond more. */
enum { AT_ONCE = 3, WORK_NS = 1000000 };

static double meet(void *argument, uint32_t index, uint32_t threads)
{
  (void)threads;
  const struct timespec pause = {0, WORK_NS};
  pthread_barrier_wait(argument);
  nanosleep(&pause, NULL);
  return 100 * (index + 1);
}

static double now_s(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* One after the other they would wait for ever; the time is at least theirs, at most that of the call. */
static void work_of_threads_that_run_at_once_is_summed(void **state)
{
  (void)state;
  qb_context *context = NULL;
  pthread_barrier_t meeting;
  double per_s = 0;
  assert_ok(qb_context_new(NULL, &context));
  assert_int_equal(pthread_barrier_init(&meeting, NULL, AT_ONCE), 0);
  const double start_s = now_s();
  assert_ok(qb__measure_together(context, &topology, 0, AT_ONCE, meet, &meeting, &per_s));
  const double took_s = now_s() - start_s;
  assert_true(per_s >= (100 + 200 + 300) / took_s);
  assert_true(per_s <= (100 + 200 + 300) / (1e-9 * WORK_NS));
  pthread_barrier_destroy(&meeting);
  qb_context_unref(context);
}

static double never(void *argument, uint32_t index, uint32_t threads)
{
  (void)index, (void)threads;
  *(bool *)argument = true;
  return 1;
}

/* No machine has the memory for stacks of this size. */
static void threads_that_are_refused_are_a_system_error(void **state)
{
  (void)state;
  qb_context *context = NULL;
  assert_ok(qb_context_new(NULL, &context));
  pthread_attr_t before, huge;
  assert_int_equal(pthread_getattr_default_np(&before), 0);
  pthread_attr_init(&huge);
  assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 50), 0);
  assert_int_equal(pthread_setattr_default_np(&huge), 0);
  bool worked = false;
  double per_s = -1;
  const qb_status status = qb__measure_together(context, &topology, 0, 2, never, &worked, &per_s);
  pthread_setattr_default_np(&before);
  pthread_attr_destroy(&huge);
  pthread_attr_destroy(&before);
  assert_status(status, QB_ERROR_SYSTEM);
  assert_message("thread 1 of 2");
  assert_false(worked);
  assert_true(per_s == -1);
  qb_context_unref(context);
}

/* Four bytes take the room of a float, and two bfloat16 numbers. */
static void lower_precisions_sustain_more_where_there_are_instructions(void **state)
{
  (void)state;
  static const struct {
    qb_precision precision;
    uint32_t feature;
  } kinds[] = {{QB_PRECISION_BF16, QB_FEATURE_BF16}, {QB_PRECISION_INT8, QB_FEATURE_VNNI}};
  for (size_t k = 0; k < 2; k++) {
    if (!(qb__features() & kinds[k].feature))
      continue;
    double floats = 0, best = 0;
    /* A busy machine may leave neither a whole turn for long. */
    for (int i = 0; i < 20 || (i < 1000 && !(best > 1.2 * floats)); i++) {
      floats = fmax(floats, qb__yardstick(QB_ISA_BEST, QB_PRECISION_F32, 2000));
      best = fmax(best, qb__yardstick(QB_ISA_BEST, kinds[k].precision, 2000));
    }
    assert_true(best > 1.2 * floats);
  }
}

/* Vectors of 8-bit integers do 4 times as much as those of floats, and of bfloat16 numbers twice. */
static void tiles_sustain_more_than_vectors_could(void **state)
{
  (void)state;
  qb__ask_for_tiles();
  if (!qb__may_use_tiles()) {
    print_message("# skipped: %s\n",
                  qb__has_tiles() ? "Linux does not permit AMX here" : "the processor has no AMX");
    skip();
  }
  double floats = 0, halves = 0, bytes = 0;
  for (int i = 0; i < 20; i++) {
    floats = fmax(floats, qb__yardstick(QB_ISA_BEST, QB_PRECISION_F32, 2000));
    halves = fmax(halves, qb__yardstick(QB_ISA_BEST, QB_PRECISION_BF16, 2000));
    bytes = fmax(bytes, qb__yardstick(QB_ISA_BEST, QB_PRECISION_INT8, 2000));
  }
  assert_true(halves > 3 * floats);
  assert_true(bytes > 6 * floats);
  assert_true(bytes > 1.2 * halves);
}

static void a_precision_without_instructions_sustains_nothing(void **state)
{
  (void)state;
  assert_false(qb__yardstick_has(QB_ISA_GENERIC, QB_PRECISION_INT8));
  assert_false(qb__yardstick_has(QB_ISA_AVX, QB_PRECISION_INT8));
  assert_false(qb__yardstick_has(QB_ISA_SSE41, QB_PRECISION_BF16));
  assert_true(qb__yardstick(QB_ISA_GENERIC, QB_PRECISION_INT8, 100) == 0);
}

static void table_is_in_order_and_plausible(void **state)
{
  (void)state;
  qb_context *context = NULL;
  assert_ok(qb_context_new(NULL, &context));
  qb__sustained table[QB__MOST_COMPUTE];
  size_t count = 0;
  static double core_flops[QB__MOST_CORES];
  assert_ok(qb__measure_compute(context, &topology, 2, 1, table, &count, core_flops));
  size_t in_f32 = 0;
  for (size_t i = 0; i < count; i++) {
    in_f32 += table[i].precision == QB_PRECISION_F32;
    assert_true(qb__yardstick_has(table[i].isa, table[i].precision));
    assert_int_equal(table[i].threads, 1 + i % 2);
    if (i >= 2)
      assert_true(
          table[i].precision > table[i - 2].precision ||
          (table[i].precision == table[i - 2].precision && table[i].isa > table[i - 2].isa));
    assert_true(isfinite(table[i].per_s) && table[i].per_s > 1e7);
    /* Two threads together have no less than one, and no more than twice as much. */
    if (i % 2) {
      assert_true(table[i].per_s >= table[i - 1].per_s);
      assert_true(table[i].per_s <= 2 * table[i - 1].per_s * (1 + 1e-9));
    }
    /* Each instruction set contains the ones before it. */
    if (i >= 2 && table[i].precision == table[i - 2].precision)
      assert_true(table[i].per_s >= table[i - 2].per_s);
  }
  assert_int_equal(in_f32, 2 * (size_t)qb__best_isa());
  qb_context_unref(context);
}

/* Also those that a quota or a reserve leaves out, on a machine of more cores than there are passes. */
static void every_core_is_measured(void **state)
{
  (void)state;
  static qb__topology many;
  static double core_flops[QB__MOST_CORES];
  qb_context *context = NULL;
  qb__sustained table[QB__MOST_COMPUTE];
  size_t count = 0;
  assert_ok(qb_context_new(NULL, &context));
  many = topology;
  many.core_count = 30;
  for (uint32_t core = 0; core < many.core_count; core++)
    many.cpus[core] = topology.cpus[core % topology.core_count];
  assert_ok(qb__measure_compute(context, &many, 1, 1, table, &count, core_flops));
  for (uint32_t core = 0; core < many.core_count; core++)
    assert_true(isfinite(core_flops[core]) && core_flops[core] > 1e7);
  assert_true(core_flops[many.core_count] == 0);
  qb_context_unref(context);
}

static int64_t stopped(void *user)
{
  (void)user;
  return 0;
}

/* A host that simulates time must not make us measure for ever. */
static void measuring_ends_though_the_clock_stands(void **state)
{
  (void)state;
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.now_ns = stopped;
  qb_context *context = NULL;
  assert_ok(qb_context_new(&params, &context));
  qb__sustained table[QB__MOST_COMPUTE];
  size_t count = 0;
  static double core_flops[QB__MOST_CORES];
  assert_ok(qb__measure_compute(context, &topology, 1, INT64_MAX, table, &count, core_flops));
  assert_true(count >= (size_t)qb__best_isa());
  qb_context_unref(context);
}

static qb_status measure(qb_context *context, void *user)
{
  (void)user;
  double per_s;
  bool worked;
  return qb__measure_together(context, &topology, 0, 1, never, &worked, &per_s);
}

static void every_failed_allocation_is_reported(void **state)
{
  (void)state;
  assert_int_equal(check_every_allocation_failure(measure, NULL), 1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(yardstick_measures_every_isa),
      cmocka_unit_test(yardstick_takes_at_least_its_time),
      cmocka_unit_test(thread_counts_rise_to_the_most),
      cmocka_unit_test(threads_measure_together_on_a_core_each),
      cmocka_unit_test(threads_that_are_refused_are_a_system_error),
      cmocka_unit_test(lower_precisions_sustain_more_where_there_are_instructions),
      cmocka_unit_test(tiles_sustain_more_than_vectors_could),
      cmocka_unit_test(a_precision_without_instructions_sustains_nothing),
      cmocka_unit_test(table_is_in_order_and_plausible),
      cmocka_unit_test(every_core_is_measured),
      cmocka_unit_test(work_of_threads_that_run_at_once_is_summed),
      cmocka_unit_test(measuring_ends_though_the_clock_stands),
      cmocka_unit_test(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, read_topology, NULL);
}
