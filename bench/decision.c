/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long qb_optimize() takes, and what it allocates: 1,000,000 decisions of varied states on a
 * stored profile. The median is of groups of 16 calls; the tail of single calls, which contain the
 * reading of the clock (printed beside it).
 *
 * usage: decision [PROFILE.json]
 */
#include <qosbatch/qosbatch.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CALLS = 1000000, GROUP = 16, STATES = 4096 };

/* malloc is the library's default, too: every way to memory is counted. */
static size_t allocations;
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
int __real_posix_memalign(void **memory, size_t alignment, size_t bytes);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
  allocations++;
  return __real_malloc(bytes);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes)
{
  allocations++;
  return __real_posix_memalign(memory, alignment, bytes);
}

static void check(qb_status status)
{
  if (status) {
    fprintf(stderr, "decision: %s\n", qb_error_message());
    exit(1);
  }
}

static int64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
  qb_context *context;
  qb_profile *profile;
  qb_optimizer *optimizer;
  check(qb_context_new(NULL, &context));
  check(qb_profile_load(context, argc > 1 ? argv[1] : "tests/fixtures/alexnet.json", &profile));
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = 60;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 250000000;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  const qb_profile *const profiles[1] = {profile};
  check(qb_plan_service(profiles, 1, &load, &qos, &plan));
  plan.batch = 32; /* the largest tables, and waits to decide about */
  plan.max_wait_ns = 50000000;
  check(qb_optimizer_new(profile, &plan, &qos, &optimizer));

  qb_round_state *states = calloc(STATES, sizeof *states);
  int64_t *groups = calloc(CALLS / GROUP, sizeof *groups),
          *singles = calloc(CALLS, sizeof *singles);
  if (!states || !groups || !singles)
    return 1;
  srand(1);
  for (int i = 0; i < STATES; i++) {
    states[i] = (qb_round_state)QB_ROUND_STATE_INIT;
    states[i].queued = (uint32_t)(rand() % 48);
    states[i].oldest_age_ns = rand() % 260000000;
    states[i].rate_per_s = 40 + rand() % 40;
  }
  qb_decision decision = QB_DECISION_INIT;
  const size_t before = allocations;
  for (int g = 0; g < CALLS / GROUP; g++) {
    const int64_t start_ns = now_ns();
    for (int i = 0; i < GROUP; i++)
      check(qb_optimize(optimizer, &states[(g * GROUP + i) % STATES], &decision));
    groups[g] = now_ns() - start_ns;
  }
  for (int i = 0; i < CALLS; i++) {
    const int64_t start_ns = now_ns();
    check(qb_optimize(optimizer, &states[i % STATES], &decision));
    singles[i] = now_ns() - start_ns;
  }
  const size_t during = allocations - before;
  int64_t clock_ns = INT64_MAX;
  for (int i = 0; i < 1000; i++) {
    const int64_t start_ns = now_ns(), cost_ns = now_ns() - start_ns;
    clock_ns = cost_ns < clock_ns ? cost_ns : clock_ns;
  }
  qsort(groups, CALLS / GROUP, sizeof *groups, ascending);
  qsort(singles, CALLS, sizeof *singles, ascending);
  printf("qb_optimize(), %d calls: median %.0f ns\n", CALLS,
         (double)groups[CALLS / GROUP / 2] / GROUP);
  printf("single calls: p99 %lld ns, p99.9 %lld ns, of which the clock %lld ns\n",
         (long long)singles[CALLS / 100 * 99], (long long)singles[CALLS / 1000 * 999],
         (long long)clock_ns);
  printf("allocations: %zu\n", during);
  free(states);
  free(groups);
  free(singles);
  qb_optimizer_free(optimizer);
  qb_profile_unref(profile);
  qb_context_unref(context);
  return 0;
}
