/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/instances.h"

#include "core/alloc.h"
#include "core/error.h"
#include "node/cgroup.h"
#include "node/core_placement.h"
#include "node/yardstick.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

typedef struct worker {
  qb__instances *pool;
  uint32_t index;
  pthread_t thread;
  pthread_cond_t wake;
  bool stop;
  bool claimed;  /* by a caller of qb__instances_run(), until it has seen the result */
  qb__task task; /* NULL: none */
  void *argument;
  bool done;
  qb_status status;
  char message[512]; /* of a failed task: messages are kept by thread */
} worker;

struct qb__instances {
  qb_context *context;
  uint32_t count, threads;
  uint32_t core_count;  /* 0: not pinned */
  uint16_t *cores;      /* count * threads CPU numbers */
  uint16_t *home_nodes; /* by instance */
  qb__homes homes;
  bool own_threads; /* of the engine: they inherit what their maker may run on */
  pthread_mutex_t lock;
  pthread_cond_t changed; /* a task ended, a worker became free, or run_all() let others in */
  bool exclusive;         /* run_all() is under way or waiting for its turn */
  uint32_t busy;
  uint32_t started;
  worker *workers;
};

static void pin_to(const uint16_t *cpus, uint32_t count)
{
  cpu_set_t set;
  CPU_ZERO(&set);
  for (uint32_t i = 0; i < count; i++)
    CPU_SET(cpus[i], &set);
  (void)sched_setaffinity(0, sizeof set, &set);
}

/* Sets the calling worker up as the master of a team; the settings are the worker's own. */
static qb_status set_up_team(const worker *self)
{
  const qb__instances *pool = self->pool;
  const uint16_t *cores = pool->core_count ? pool->cores + self->index * pool->threads : NULL;
  uint32_t team = 1;
  if (cores)
    pin_to(cores, 1);
#ifdef _OPENMP
  omp_set_dynamic(0);
  omp_set_num_threads((int)pool->threads);
  if (pool->threads > 1) {
#pragma omp parallel
    {
      if (cores)
        pin_to(&cores[omp_get_thread_num()], 1);
#pragma omp master
      team = (uint32_t)omp_get_num_threads();
    }
  }
  if (team != pool->threads)
    return qb__fail(QB_ERROR_SYSTEM,
                    "OpenMP gave an instance only %u of %u threads; raise OMP_THREAD_LIMIT", team,
                    pool->threads);
#else
  (void)team;
#endif
  if (cores && pool->own_threads)
    pin_to(cores, pool->threads);
  return QB_OK;
}

static void finish(worker *self, qb_status status)
{
  self->status = status;
  self->message[0] = 0;
  if (status)
    strncat(self->message, qb_error_message(), sizeof self->message - 1);
  self->task = NULL;
  self->done = true;
  pthread_cond_broadcast(&self->pool->changed);
}

static void *work(void *argument)
{
  worker *self = argument;
  qb__instances *pool = self->pool;
  const qb_status set_up = set_up_team(self);
  pthread_mutex_lock(&pool->lock);
  finish(self, set_up);
  for (;;) {
    while (!self->task && !self->stop)
      pthread_cond_wait(&self->wake, &pool->lock);
    if (self->stop)
      break;
    pthread_mutex_unlock(&pool->lock);
    const qb_status status = self->task(self->argument, self->index);
    pthread_mutex_lock(&pool->lock);
    finish(self, status);
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

/* The functions below are called with the lock held. */

static void begin(worker *w, qb__task task, void *argument)
{
  w->done = false;
  w->argument = argument;
  w->task = task;
  pthread_cond_signal(&w->wake);
}

static qb_status await(worker *w)
{
  while (!w->done)
    pthread_cond_wait(&w->pool->changed, &w->pool->lock);
  return w->status ? qb__fail(w->status, "%s", w->message) : QB_OK;
}

qb_status qb__instances_run(qb__instances *pool, qb__task task, void *argument)
{
  pthread_mutex_lock(&pool->lock);
  while (pool->exclusive || pool->busy == pool->count)
    pthread_cond_wait(&pool->changed, &pool->lock);
  worker *w = pool->workers;
  while (w->claimed)
    w++;
  w->claimed = true;
  pool->busy++;
  begin(w, task, argument);
  const qb_status status = await(w);
  w->claimed = false;
  pool->busy--;
  pthread_cond_broadcast(&pool->changed);
  pthread_mutex_unlock(&pool->lock);
  return status;
}

qb_status qb__instances_run_all(qb__instances *pool, bool together, qb__task task, void *argument)
{
  pthread_mutex_lock(&pool->lock);
  while (pool->exclusive)
    pthread_cond_wait(&pool->changed, &pool->lock);
  pool->exclusive = true;
  while (pool->busy)
    pthread_cond_wait(&pool->changed, &pool->lock);
  qb_status status = QB_OK;
  for (uint32_t i = 0; i < pool->count && !status; i++) {
    begin(&pool->workers[i], task, argument);
    if (!together)
      status = await(&pool->workers[i]);
  }
  for (uint32_t i = 0; together && i < pool->count; i++) {
    const qb_status each = await(&pool->workers[i]);
    status = status ? status : each;
  }
  pool->exclusive = false;
  pthread_cond_broadcast(&pool->changed);
  pthread_mutex_unlock(&pool->lock);
  return status;
}

/* Of cores that are chosen; what spans NUMA nodes is where its first thread is. */
static qb_status find_homes(qb__instances *pool, const qb__topology *topology)
{
  qb__cgroup_limits limits;
  uint16_t *nodes = qb__calloc(pool->context, pool->count, sizeof *nodes);
  pool->home_nodes = nodes;
  const qb_status status = nodes ? qb__cgroup_read(pool->context, "", &limits) : QB_ERROR_NO_MEMORY;
  if (status)
    return status;
  pool->homes.nodes = nodes;
  for (uint32_t i = 0; i < pool->count; i++)
    for (uint32_t core = 0; core < topology->core_count; core++)
      if (topology->cpus[core] == pool->cores[i * pool->threads])
        nodes[i] = topology->nodes[core];
  pool->homes.cache_bytes = topology->l3_bytes;
  pool->homes.memory_bytes = limits.memory_bytes && limits.memory_bytes < topology->memory_bytes
                                 ? limits.memory_bytes
                                 : topology->memory_bytes;
  return QB_OK;
}

static qb_status choose_cores(qb__instances *pool, const qb_node *node)
{
  qb__topology *topology = qb__calloc(pool->context, 1, sizeof *topology);
  if (!topology)
    return QB_ERROR_NO_MEMORY;
  const size_t wanted = (size_t)pool->count * pool->threads;
  qb_status status = QB_OK;
  /* Unpinned threads are slower, not wrong: a machine hwloc cannot read is no failure. */
  if (!qb__topology_read(topology) && topology->core_count >= wanted) {
    qb__rank_cores(topology, node);
    pool->cores = qb__calloc(pool->context, wanted, sizeof *pool->cores);
    status = pool->cores ? qb__place_instances(pool->context, topology, pool->count, pool->threads,
                                               pool->cores)
                         : QB_ERROR_NO_MEMORY;
    if (!status)
      status = find_homes(pool, topology);
    pool->core_count = status ? 0 : (uint32_t)wanted;
  }
  qb__free(pool->context, topology);
  return status;
}

qb_status qb__instances_start(qb_context *context, const qb_configuration *configuration,
                              const qb_node *node, bool own_threads, qb__instances **instances,
                              uint32_t *pinned)
{
  qb__instances *pool = qb__calloc(context, 1, sizeof *pool);
  if (!pool)
    return QB_ERROR_NO_MEMORY;
  pool->context = context;
  pool->count = configuration->instances;
  pool->threads = configuration->threads;
  pool->own_threads = own_threads;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->changed, NULL);
  qb_status status = choose_cores(pool, node);
  if (!status) {
    pool->workers = qb__calloc(context, pool->count, sizeof *pool->workers);
    status = pool->workers ? QB_OK : QB_ERROR_NO_MEMORY;
  }
  for (uint32_t i = 0; i < pool->count && !status; i++) {
    worker *w = &pool->workers[i];
    w->pool = pool;
    w->index = i;
    pthread_cond_init(&w->wake, NULL);
    /* Workers inherit the mask: the host's signal handlers are to run on its own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int code = pthread_create(&w->thread, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code) {
      pthread_cond_destroy(&w->wake);
      status = qb__fail(QB_ERROR_SYSTEM, "cannot start thread %u of %u: %s", i + 1, pool->count,
                        strerror(code));
      break;
    }
    pool->started++;
  }
  pthread_mutex_lock(&pool->lock);
  for (uint32_t i = 0; i < pool->started; i++) {
    const qb_status each = await(&pool->workers[i]);
    status = status ? status : each;
  }
  pthread_mutex_unlock(&pool->lock);
  if (status) {
    qb__instances_stop(pool);
    return status;
  }
  *pinned = pool->core_count;
  *instances = pool;
  return QB_OK;
}

const qb__homes *qb__instances_homes(const qb__instances *instances)
{
  return &instances->homes;
}

void qb__instances_stop(qb__instances *pool)
{
  if (!pool)
    return;
  pthread_mutex_lock(&pool->lock);
  for (uint32_t i = 0; i < pool->started; i++) {
    pool->workers[i].stop = true;
    pthread_cond_signal(&pool->workers[i].wake);
  }
  pthread_mutex_unlock(&pool->lock);
  for (uint32_t i = 0; i < pool->started; i++) {
    pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->workers[i].wake);
  }
  pthread_cond_destroy(&pool->changed);
  pthread_mutex_destroy(&pool->lock);
  qb__free(pool->context, pool->cores);
  qb__free(pool->context, pool->home_nodes);
  qb__free(pool->context, pool->workers);
  qb__free(pool->context, pool);
}

double qb__instance_yardstick(uint32_t threads, uint32_t microseconds)
{
  double slowest = 0;
#ifdef _OPENMP
  if (threads > 1) {
    slowest = 1e300;
#pragma omp parallel reduction(min : slowest)
    slowest = qb__yardstick(QB_ISA_BEST, QB_PRECISION_F32, microseconds);
    return slowest;
  }
#endif
  (void)threads;
  slowest = qb__yardstick(QB_ISA_BEST, QB_PRECISION_F32, microseconds);
  return slowest;
}
