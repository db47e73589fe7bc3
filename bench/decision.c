/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long qb_optimize() takes, and what it allocates: 1,000,000 decisions of varied states on a
 * stored profile, in one thread and then in 8, each with its own optimizer on the shared profile.
 * The median is of groups of 16 calls; the tail of single calls, which contain the reading of the
 * clock. On fewer cores than threads the tail is when the clock ran and the thread did not, so
 * threads time their own CPU clock; interrupts and the hypervisor are in that all the same. So the
 * tail of reading the clock with nothing in between stands beside it: what is the machine's. And how
 * long a refresh takes, for 64 batch sizes.
 *
 * usage: decision [PROFILE.json]
 */
#include "support/scripted_profile.h"

#include <qosbatch/qosbatch.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CALLS = 1000000, GROUP = 16, STATES = 4096, THREADS = 8, MAX_BATCH = 64 };

/* malloc is the library's default, too: every way to memory is counted. */
static _Thread_local size_t allocations;
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

static int64_t now_ns(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

/* One thread's part. */
typedef struct part {
  qb_profile *profile;
  const qb_service_plan *plan;
  const qb_qos *qos;
  clockid_t clock;
  pthread_t thread;
  int64_t groups[CALLS / GROUP], singles[CALLS], empty[CALLS];
  size_t during;
} part;

static void *decide(void *user)
{
  part *p = user;
  static const int64_t second_ns = 1000000000;
  qb_optimizer *optimizer;
  check(qb_optimizer_new(p->profile, p->plan, p->qos, &optimizer));
  qb_round_state *states = calloc(STATES, sizeof *states);
  int64_t(*left_ns)[48] = calloc(STATES, sizeof *left_ns);
  if (!states || !left_ns)
    exit(1);
  unsigned seed = 1;
  for (int i = 0; i < STATES; i++) {
    states[i] = (qb_round_state)QB_ROUND_STATE_INIT;
    states[i].queued = states[i].left_count = (uint32_t)(rand_r(&seed) % 48);
    states[i].oldest_age_ns = rand_r(&seed) % 260000000;
    for (uint32_t k = 0; k < states[i].queued; k++)
      left_ns[i][k] =
          p->qos->latency_ns - states[i].oldest_age_ns * (states[i].queued - k) / states[i].queued;
    states[i].left_ns = left_ns[i];
    states[i].now_ns = second_ns + (int64_t)i * 1000000;
    states[i].arrived = (uint64_t)i;
  }
  qb_decision decision = QB_DECISION_INIT;
  const size_t before = allocations;
  for (int g = 0; g < CALLS / GROUP; g++) {
    const int64_t start_ns = now_ns(p->clock);
    for (int i = 0; i < GROUP; i++)
      check(qb_optimize(optimizer, &states[(g * GROUP + i) % STATES], &decision));
    p->groups[g] = now_ns(p->clock) - start_ns;
  }
  for (int i = 0; i < CALLS; i++) {
    const int64_t start_ns = now_ns(p->clock);
    check(qb_optimize(optimizer, &states[i % STATES], &decision));
    p->singles[i] = now_ns(p->clock) - start_ns;
  }
  p->during = allocations - before;
  for (int i = 0; i < CALLS; i++) {
    const int64_t start_ns = now_ns(p->clock);
    p->empty[i] = now_ns(p->clock) - start_ns;
  }
  qsort(p->groups, CALLS / GROUP, sizeof *p->groups, ascending);
  qsort(p->singles, CALLS, sizeof *p->singles, ascending);
  qsort(p->empty, CALLS, sizeof *p->empty, ascending);
  free(left_ns);
  free(states);
  qb_optimizer_free(optimizer);
  return NULL;
}

static void print(const part *p, const char *name)
{
  printf("%s: median %.0f ns; single calls p99 %lld ns, p99.9 %lld ns, the clock alone %lld and "
         "%lld ns; allocations %zu\n",
         name, (double)p->groups[CALLS / GROUP / 2] / GROUP,
         (long long)p->singles[CALLS / 100 * 99], (long long)p->singles[CALLS / 1000 * 999],
         (long long)p->empty[CALLS / 100 * 99], (long long)p->empty[CALLS / 1000 * 999], p->during);
}

/* Rounds of 8 + 2 n ms that all turn out 10 % slower: what a refresh has to solve anew. */
static void time_refresh(qb_context *context, uint32_t instances, bool shed)
{
  const qb_configuration configuration = {instances, 1};
  qb_profile *profile = scripted_profile(context, &configuration, MAX_BATCH, 8, 2, 1.03);
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  plan.configuration = configuration;
  plan.batch = MAX_BATCH;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 150000000;
  qos.shed = shed;
  qb_optimizer *optimizer;
  const int64_t start_ns = now_ns(CLOCK_MONOTONIC);
  check(qb_optimizer_new(profile, &plan, &qos, &optimizer));
  const int64_t made_ns = now_ns(CLOCK_MONOTONIC);
  const qb_round_result slow = {sizeof slow, 1, 11000000};
  for (int i = 0; i < 100; i++)
    check(qb_observe(optimizer, &slow));
  const int64_t before_ns = now_ns(CLOCK_MONOTONIC);
  check(qb_optimizer_refresh(optimizer));
  printf("%d batch sizes, %u instance%s, %s: made in %.1f ms, refreshed in %.1f ms\n", MAX_BATCH,
         instances, instances == 1 ? "" : "s", shed ? "late ones given up" : "all answered",
         (double)(made_ns - start_ns) * 1e-6, (double)(now_ns(CLOCK_MONOTONIC) - before_ns) * 1e-6);
  qb_optimizer_free(optimizer);
  qb_profile_unref(profile);
}

int main(int argc, char **argv)
{
  qb_context *context;
  qb_profile *profile;
  check(qb_context_new(NULL, &context));
  check(qb_profile_load(context, argc > 1 ? argv[1] : "tests/fixtures/alexnet.json", &profile));
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = 60;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 250000000;
  qos.shed = true;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  check(qb_plan_service((const qb_profile *const *)&profile, 1, &load, &qos, &plan));
  plan.batch = 32; /* the largest tables */
  part *parts = calloc(THREADS, sizeof *parts);
  if (!parts)
    return 1;
  parts[0] = (part){.profile = profile, .plan = &plan, .qos = &qos, .clock = CLOCK_MONOTONIC};
  decide(&parts[0]);
  print(&parts[0], "one thread");
  for (int i = 0; i < THREADS; i++) {
    parts[i].profile = profile;
    parts[i].plan = &plan;
    parts[i].qos = &qos;
    parts[i].clock = CLOCK_THREAD_CPUTIME_ID;
    if (pthread_create(&parts[i].thread, NULL, decide, &parts[i]))
      return 1;
  }
  const part *worst = &parts[0];
  for (int i = 0; i < THREADS; i++) {
    pthread_join(parts[i].thread, NULL);
    if (parts[i].singles[CALLS / 1000 * 999] > worst->singles[CALLS / 1000 * 999])
      worst = &parts[i];
  }
  print(worst, "the slowest of 8 threads");
  for (int i = 0; i < 4; i++)
    time_refresh(context, i < 2 ? 1 : 4, i % 2);
  free(parts);
  qb_profile_unref(profile);
  qb_context_unref(context);
  return 0;
}
