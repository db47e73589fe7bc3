/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a decision takes a host, and what it allocates: all that the host does to fill the state
 * counts. A host keeps a ring of deadlines; before each of 1,000,000 decisions one sample arrives and
 * one leaves.
 *
 * - 100 samples queued, on a profile whose tables see that many: each decision finds its size by the
 *   deadlines.
 * - The same while another thread calls qb_optimizer_refresh() 100 times a second and each of them
 *   has something to solve.
 * - 0 to 47 samples of any age on a stored profile; then in 8 threads, each with an optimizer of its
 *   own on the shared profile.
 * - How long a refresh takes, for 64 batch sizes.
 *
 * The median is of groups of 16 calls; the tail is of single calls, which contain the reading of the
 * clock. On fewer cores than threads the tail is when the clock ran and the thread did not, so the 8
 * threads are timed by their own CPU clocks; interrupts and the hypervisor are in that all the same.
 * So the tail of reading the clock with nothing in between is printed, too: that is the machine's.
 *
 * usage: decision [PROFILE.json]
 */
#include "support/scripted_profile.h"

#include <qosbatch/qosbatch.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CALLS = 1000000, GROUP = 16, STATES = 4096, THREADS = 8, MAX_BATCH = 64, ROOM = 1024 };
enum { GAP_NS = 2000000, REFRESH_NS = 10000000, VARIED = 48, MANY = 100 };

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

/* A service's queue just before a decision. */
typedef struct state {
  uint32_t queued;
  int64_t age_ns;
} state;

typedef struct host {
  qb_optimizer *optimizer;
  int64_t target_ns;
  int64_t deadline_ns[ROOM];
  uint64_t first; /* sample; the k-th arrives at k gaps, and its deadline is at k % ROOM */
  state states[STATES];
  bool observes; /* rounds that are slower from time to time */
} host;

static void arrive(host *h, uint64_t sample)
{
  h->deadline_ns[sample % ROOM] = (int64_t)sample * GAP_NS + h->target_ns;
}

/* The oldest sample has left, and another one is queued. */
static qb_decision decide(host *h)
{
  const state *s = &h->states[h->first % STATES];
  h->first++;
  arrive(h, h->first + s->queued);
  qb_round_state now = QB_ROUND_STATE_INIT;
  now.queued = now.deadline_count = s->queued;
  now.now_ns = (int64_t)h->first * GAP_NS + s->age_ns;
  now.deadline_ns = h->deadline_ns;
  now.deadline_first = (uint32_t)(h->first % ROOM);
  now.deadline_room = ROOM;
  now.arrived = h->first + s->queued;
  qb_decision d = QB_DECISION_INIT;
  check(qb_optimize(h->optimizer, &now, &d));
  return d;
}

static void observe(host *h, const qb_decision *d)
{
  qb_round_result result = QB_ROUND_RESULT_INIT;
  result.batch = d->batch;
  const double profiled_ns = (double)d->latency_ns / d->slowdown;
  result.latency_ns = (int64_t)(profiled_ns * (h->first / 100000 % 2 ? 1.1 : 0.9));
  if (h->observes && d->action == QB_ACTION_RUN)
    check(qb_observe(h->optimizer, &result));
}

static host *host_new(qb_profile *profile, const qb_optimizer_params *params, const qb_qos *qos,
                      uint32_t queued)
{
  host *h = calloc(1, sizeof *h);
  if (!h)
    exit(1);
  check(qb_optimizer_new(profile, params, qos, &h->optimizer));
  h->target_ns = qos->latency_ns;
  unsigned seed = 1;
  for (int i = 0; i < STATES; i++)
    h->states[i] = queued ? (state){queued, queued * (int64_t)GAP_NS}
                          : (state){(uint32_t)(rand_r(&seed) % VARIED), rand_r(&seed) % 260000000};
  for (uint64_t k = 0; k < ROOM; k++)
    arrive(h, k);
  return h;
}

static void host_free(host *h)
{
  qb_optimizer_free(h->optimizer);
  free(h);
}

/* One thread's part. */
typedef struct part {
  host *host;
  clockid_t clock;
  pthread_t thread;
  int64_t groups[CALLS / GROUP], singles[CALLS], empty[CALLS];
  size_t during;
} part;

static void *decide_all(void *user)
{
  part *p = user;
  const size_t before = allocations;
  for (int g = 0; g < CALLS / GROUP; g++) {
    const int64_t start_ns = now_ns(p->clock);
    for (int i = 0; i < GROUP; i++)
      (void)decide(p->host);
    p->groups[g] = now_ns(p->clock) - start_ns;
  }
  for (int i = 0; i < CALLS; i++) {
    const int64_t start_ns = now_ns(p->clock);
    const qb_decision d = decide(p->host);
    p->singles[i] = now_ns(p->clock) - start_ns;
    observe(p->host, &d);
  }
  p->during = allocations - before;
  for (int i = 0; i < CALLS; i++) {
    const int64_t start_ns = now_ns(p->clock);
    p->empty[i] = now_ns(p->clock) - start_ns;
  }
  qsort(p->groups, CALLS / GROUP, sizeof *p->groups, ascending);
  qsort(p->singles, CALLS, sizeof *p->singles, ascending);
  qsort(p->empty, CALLS, sizeof *p->empty, ascending);
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

/* Rounds of 8 + 2 n ms. */
static qb_profile *plain_profile(qb_context *context, uint32_t instances,
                                 qb_optimizer_params *params)
{
  params->configuration = (qb_configuration){instances, 1};
  params->max_batch = MAX_BATCH;
  return scripted_profile(context, &params->configuration, MAX_BATCH, 8, 2, 1.03);
}

typedef struct refresher {
  qb_optimizer *optimizer;
  atomic_bool is_over;
  unsigned refreshes;
} refresher;

static void *refresh_often(void *user)
{
  refresher *r = user;
  int64_t due_ns = now_ns(CLOCK_MONOTONIC);
  for (; !atomic_load(&r->is_over); r->refreshes++) {
    check(qb_optimizer_refresh(r->optimizer));
    due_ns += REFRESH_NS;
    const struct timespec due = {due_ns / 1000000000, due_ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
  }
  return NULL;
}

static void time_many(qb_context *context, part *p, bool shed)
{
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  qb_profile *profile = plain_profile(context, 1, &params);
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 300000000;
  qos.shed = shed;
  p->host = host_new(profile, &params, &qos, MANY);
  p->clock = CLOCK_MONOTONIC;
  decide_all(p);
  print(p, shed ? "100 queued, late ones given up" : "100 queued, all answered");
  p->host->observes = true;
  refresher r = {.optimizer = p->host->optimizer};
  pthread_t thread;
  if (pthread_create(&thread, NULL, refresh_often, &r))
    exit(1);
  const int64_t start_ns = now_ns(CLOCK_MONOTONIC);
  decide_all(p);
  const double seconds = 1e-9 * (double)(now_ns(CLOCK_MONOTONIC) - start_ns);
  atomic_store(&r.is_over, true);
  pthread_join(thread, NULL);
  print(p, "    beside refreshes");
  printf("    %u refreshes in %.2f s\n", r.refreshes, seconds);
  host_free(p->host);
  qb_profile_unref(profile);
}

static void time_varied(qb_context *context, part *parts, const char *path)
{
  qb_profile *profile;
  check(qb_profile_load(context, path, &profile));
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  params.max_batch = 32; /* the largest tables */
  params.rate_per_s = 60;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  check(qb_estimate(profile, NULL, 1, NULL, &e));
  params.configuration = e.configuration;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 250000000;
  qos.shed = true;
  parts[0].host = host_new(profile, &params, &qos, 0);
  parts[0].clock = CLOCK_MONOTONIC;
  decide_all(&parts[0]);
  host_free(parts[0].host);
  print(&parts[0], "0 to 47 queued");
  for (int i = 0; i < THREADS; i++) {
    parts[i].host = host_new(profile, &params, &qos, 0);
    parts[i].clock = CLOCK_THREAD_CPUTIME_ID;
    if (pthread_create(&parts[i].thread, NULL, decide_all, &parts[i]))
      exit(1);
  }
  const part *worst = &parts[0];
  for (int i = 0; i < THREADS; i++) {
    pthread_join(parts[i].thread, NULL);
    host_free(parts[i].host);
    if (parts[i].singles[CALLS / 1000 * 999] > worst->singles[CALLS / 1000 * 999])
      worst = &parts[i];
  }
  print(worst, "    the slowest of 8 threads");
  qb_profile_unref(profile);
}

/* Rounds that all turn out 10 % slower: what a refresh has to solve anew. */
static void time_refresh(qb_context *context, uint32_t instances, bool shed)
{
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  qb_profile *profile = plain_profile(context, instances, &params);
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 150000000;
  qos.shed = shed;
  qb_optimizer *optimizer;
  const int64_t start_ns = now_ns(CLOCK_MONOTONIC);
  check(qb_optimizer_new(profile, &params, &qos, &optimizer));
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
  check(qb_context_new(NULL, &context));
  part *parts = calloc(THREADS, sizeof *parts);
  if (!parts)
    return 1;
  time_many(context, parts, true);
  time_many(context, parts, false);
  time_varied(context, parts, argc > 1 ? argv[1] : "tests/fixtures/alexnet.json");
  for (int i = 0; i < 4; i++)
    time_refresh(context, i < 2 ? 1 : 4, i % 2);
  free(parts);
  qb_context_unref(context);
  return 0;
}
