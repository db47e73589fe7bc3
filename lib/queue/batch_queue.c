/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/batch_queue.h"

#include "core/alloc.h"
#include "queue/backlog.h"
#include "queue/time_histogram.h"

/* Beyond this share of the capacity the queue is so long that no prediction is worth much. */
static const double SATURATED = 0.995;
/* The queue is empty at first: this share of the path is not counted, as in the simulator. */
static const double WARM_UP = 1.0 / 20;

/* Any numbers: every analysis sees the same arrivals. */
enum { ARRIVAL_SEED = 1, SERVICE_SEED = 2 };

/*
 * Of the samples that wait only the next `room` are generated: those of an unbounded queue beyond
 * the next batch have no say in when it starts.
 */
typedef struct sample {
  int64_t arrival_ns;
  uint32_t stratum; /* by the backlog that it found */
} sample;

typedef struct path {
  const qb__batch_queue *queue;
  uint64_t samples; /* its length */
  uint64_t warm;    /* so many are not counted */
  qb__arrivals arrivals;
  qb__backlog backlog;
  qb__random_stream service;
  sample *waiting; /* a ring of `room` */
  uint32_t room;
  uint32_t first;
  uint32_t count;
  int64_t next_ns;  /* the next arrival after them */
  int64_t *free_ns; /* when each instance is free */
  uint64_t arrived, lost;
  uint64_t in_stratum[QB__BACKLOG_STRATA]; /* of those that count */
  qb__time_histogram *histograms;          /* one a stratum */
} path;

/* Queues the next arrival, or loses it. */
static void arrive(path *p)
{
  const uint32_t stratum = qb__backlog_stratum(&p->backlog, &p->arrivals);
  if (p->count < p->room) {
    uint32_t at = p->first + p->count++;
    p->waiting[at < p->room ? at : at - p->room] = (sample){p->next_ns, stratum};
  } else {
    p->lost++;
  }
  p->in_stratum[stratum] += ++p->arrived > p->warm;
  p->next_ns = qb__arrivals_next(&p->arrivals);
}

static bool may_arrive(const path *p)
{
  return p->queue->queue_most || p->count < p->room;
}

/* When the next round starts if an instance is free from `free_ns` on; its samples then wait. */
static int64_t next_start(path *p, int64_t free_ns)
{
  const qb__batch_queue *queue = p->queue;
  while (p->next_ns <= free_ns && may_arrive(p))
    arrive(p);
  int64_t start_ns = free_ns;
  if (!p->count) {
    start_ns = p->next_ns;
    arrive(p);
  }
  const int64_t due_ns = p->waiting[p->first].arrival_ns + queue->max_wait_ns;
  while (p->count < queue->batch && p->next_ns <= due_ns) {
    start_ns = p->next_ns;
    arrive(p);
  }
  return p->count < queue->batch && due_ns > start_ns ? due_ns : start_ns;
}

static int64_t round_ns(path *p, uint32_t n)
{
  const double spread = p->queue->spread ? p->queue->spread[n] : 0;
  const double median_ns = (double)p->queue->latency_ns[n];
  return spread > 0 ? (int64_t)(median_ns * exp(spread * qb__random_normal(&p->service)))
                    : p->queue->latency_ns[n];
}

static void follow(path *p, qb__queue_report *report)
{
  const qb__batch_queue *queue = p->queue;
  double busy_ns = 0, rounds = 0, served = 0;
  int64_t from_ns = 0, start_ns = 0;
  uint64_t lost_before = 0;
  while (p->arrived < p->samples) {
    uint32_t instance = 0;
    for (uint32_t i = 1; i < queue->instances; i++)
      if (p->free_ns[i] < p->free_ns[instance])
        instance = i;
    start_ns = next_start(p, p->free_ns[instance]);
    const uint32_t n = p->count < queue->batch ? p->count : queue->batch;
    const int64_t taken_ns = round_ns(p, n), end_ns = start_ns + taken_ns;
    p->free_ns[instance] = end_ns;
    const bool counts = p->arrived > p->warm;
    if (counts) {
      if (rounds == 0) {
        from_ns = start_ns;
        lost_before = p->lost;
      }
      busy_ns += (double)taken_ns;
      rounds++;
      served += n;
    }
    for (uint32_t i = 0; i < n; i++) {
      const sample *answered = &p->waiting[p->first];
      if (counts)
        qb__time_histogram_add(&p->histograms[answered->stratum], end_ns - answered->arrival_ns);
      if (++p->first == p->room)
        p->first = 0;
    }
    p->count -= n;
  }
  report->mean_batch = rounds > 0 ? served / rounds : 0;
  if (start_ns > from_ns)
    report->utilisation =
        fmin(1, busy_ns / (double)(start_ns - from_ns) / (double)queue->instances);
  const double lost = (double)(p->lost - lost_before);
  report->lost = lost > 0 ? lost / (lost + served) : 0;
}

/* Samples per second when every round is full. */
static double capacity_per_s(const qb__batch_queue *queue)
{
  const double spread = queue->spread ? queue->spread[queue->batch] : 0;
  const double mean_ns = (double)queue->latency_ns[queue->batch] * exp(spread * spread / 2);
  return 1e9 * queue->instances * queue->batch / mean_ns;
}

static uint64_t path_samples(const qb__batch_queue *queue)
{
  const qb__path_length *length = &queue->length;
  const double bursts_of_one = qb__arrival_burst_count(&queue->arrivals, 1);
  const double samples = bursts_of_one > 0 ? (double)length->bursts / bursts_of_one : 0;
  return (uint64_t)fmax((double)length->samples, fmin(samples, (double)length->most));
}

/* Arrivals, whose backlog says nothing if the path is left to chance. */
static void start(path *p)
{
  const qb__batch_queue *queue = p->queue;
  p->backlog.strata = 1;
  if (queue->seed) {
    qb__arrivals_start(&p->arrivals, &queue->arrivals, queue->seed);
  } else {
    qb__arrivals_start_even(&p->arrivals, &queue->arrivals, ARRIVAL_SEED,
                            qb__arrival_burst_count(&queue->arrivals, (double)p->samples));
    p->backlog = qb__backlog_follow(&p->arrivals, capacity_per_s(queue));
  }
  qb__random_seed(&p->service, SERVICE_SEED);
  p->next_ns = qb__arrivals_next(&p->arrivals);
}

static void read_times(path *p, qb__queue_report *report)
{
  const qb__time_histogram *all = p->histograms;
  if (p->backlog.strata > 1) {
    double weights[QB__BACKLOG_STRATA];
    qb__backlog_weights(&p->backlog, p->in_stratum, weights);
    qb__time_histogram_weigh(p->histograms, weights, p->backlog.strata);
  }
  report->p50_ns = qb__time_histogram_quantile(all, 0.50);
  report->p95_ns = qb__time_histogram_quantile(all, 0.95);
  report->p99_ns = qb__time_histogram_quantile(all, 0.99);
  report->latency_ns = qb__time_histogram_quantile(all, p->queue->percentile / 100);
  report->in_time = qb__time_histogram_share(all, p->queue->target_ns);
}

qb_status qb__batch_queue_analyse(const qb_context *context, const qb__batch_queue *queue,
                                  qb__queue_report *report)
{
  qb__queue_report ours = {0};
  if (!queue->queue_most &&
      qb__arrival_mean_rate(&queue->arrivals) >= SATURATED * capacity_per_s(queue)) {
    ours.saturated = true;
    *report = ours;
    return QB_OK;
  }
  path p = {.queue = queue,
            .samples = path_samples(queue),
            .room = queue->queue_most ? queue->queue_most : queue->batch};
  p.warm = (uint64_t)(WARM_UP * (double)p.samples);
  start(&p);
  p.histograms = qb__calloc(context, p.backlog.strata, sizeof *p.histograms);
  p.waiting = qb__calloc(context, p.room, sizeof *p.waiting);
  p.free_ns = qb__calloc(context, queue->instances, sizeof *p.free_ns);
  const bool made = p.histograms && p.waiting && p.free_ns;
  if (made) {
    follow(&p, &ours);
    read_times(&p, &ours);
    *report = ours;
  }
  qb__free(context, p.free_ns);
  qb__free(context, p.waiting);
  qb__free(context, p.histograms);
  return made ? QB_OK : QB_ERROR_NO_MEMORY;
}
