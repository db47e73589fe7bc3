/* SPDX-License-Identifier: Apache-2.0 */
#include "simulate/simulation.h"

#include "core/alloc.h"
#include "queue/time_histogram.h"

static const double WARM_UP = 1.0 / 20;
enum { FIRST_ROOM = 1024 };

/* Rounds draw from a stream of their own: whatever is decided, the arrivals are the same. */
static const uint64_t SERVICE_SEED = UINT64_C(0x5e2f1ce5);

/* A round under way. */
typedef struct busy {
  int64_t start_ns;
  int64_t end_ns;
  uint32_t batch; /* 0: the instance is free */
} busy;

typedef struct simulation {
  const qb_context *context;
  const qb__service *service;
  qb__policy *policy;
  qb__arrivals arrivals;
  qb__random_stream random;
  qb__waiting waiting;
  busy *rounds;
  uint32_t free_instances;
  uint32_t next_end; /* the instance whose round ends first */
  int64_t next_end_ns;
  int64_t next_arrival_ns;
  int64_t ask_ns;
  int64_t now_ns;
  uint64_t arrived;
  int64_t counted_from_ns; /* samples that arrive before are not counted; INT64_MAX: warming up */
  int64_t last_arrival_ns;
  qb__time_histogram *histogram;
  qb__outcome outcome;
} simulation;

static bool make_room(simulation *s)
{
  const uint64_t room = s->waiting.mask + 1;
  int64_t *larger = qb__calloc(s->context, 2 * room, sizeof *larger);
  if (!larger)
    return false;
  for (uint64_t i = s->waiting.first; i < s->waiting.end; i++)
    larger[i & (2 * room - 1)] = s->waiting.times_ns[i & s->waiting.mask];
  qb__free(s->context, s->waiting.times_ns);
  s->waiting.times_ns = larger;
  s->waiting.mask = 2 * room - 1;
  return true;
}

static void next_arrival(simulation *s)
{
  s->next_arrival_ns =
      s->arrived < s->service->samples ? qb__arrivals_next(&s->arrivals) : INT64_MAX;
}

static bool arrive(simulation *s)
{
  const uint64_t count = qb__waiting_count(&s->waiting);
  const bool refused = (s->service->queue_most && count >= s->service->queue_most) ||
                       (s->policy->queue_most && count >= s->policy->queue_most);
  if (!refused && count > s->waiting.mask && !make_room(s))
    return false;
  if (!refused)
    s->waiting.times_ns[s->waiting.end++ & s->waiting.mask] = s->now_ns;
  if ((double)s->arrived >= WARM_UP * (double)s->service->samples) {
    if (s->counted_from_ns == INT64_MAX)
      s->counted_from_ns = s->now_ns;
    s->outcome.arrived++;
  }
  s->arrived++;
  s->last_arrival_ns = s->now_ns;
  next_arrival(s);
  return true;
}

static void find_next_end(simulation *s)
{
  s->next_end_ns = INT64_MAX;
  for (uint32_t i = 0; i < s->service->instances; i++)
    if (s->rounds[i].batch && s->rounds[i].end_ns < s->next_end_ns) {
      s->next_end_ns = s->rounds[i].end_ns;
      s->next_end = i;
    }
}

static void end_round(simulation *s)
{
  busy *round = &s->rounds[s->next_end];
  if (s->policy->observe)
    s->policy->observe(s->policy, round->batch, round->end_ns - round->start_ns, s->now_ns);
  round->batch = 0;
  s->free_instances++;
  find_next_end(s);
}

static int64_t draw_round_ns(simulation *s, uint32_t n)
{
  const qb__service *service = s->service;
  if (!service->spread || !(service->spread[n] > 0))
    return service->latency_ns[n];
  const double factor = exp(service->spread[n] * qb__random_normal(&s->random));
  return (int64_t)((double)service->latency_ns[n] * factor) + 1;
}

static void count_answer(simulation *s, int64_t arrived_ns, int64_t answered_ns)
{
  if (arrived_ns < s->counted_from_ns)
    return;
  qb__time_histogram_add(s->histogram, answered_ns - arrived_ns);
  s->outcome.within += answered_ns - arrived_ns <= s->service->target_ns;
}

/* How a round ends is known when it starts; its answers are counted at once. */
static void start_round(simulation *s, uint32_t n, bool newest)
{
  uint32_t instance = 0;
  while (s->rounds[instance].batch)
    instance++;
  const int64_t taken_ns = draw_round_ns(s, n), end_ns = s->now_ns + taken_ns;
  s->rounds[instance] = (busy){s->now_ns, end_ns, n};
  s->free_instances--;
  if (end_ns < s->next_end_ns) {
    s->next_end_ns = end_ns;
    s->next_end = instance;
  }
  qb__waiting *waiting = &s->waiting;
  const uint64_t from = newest ? waiting->end - n : waiting->first;
  for (uint64_t i = from; i < from + n; i++)
    count_answer(s, waiting->times_ns[i & waiting->mask], end_ns);
  if (newest)
    waiting->end -= n;
  else
    waiting->first += n;
  if (s->now_ns >= s->counted_from_ns && s->next_arrival_ns < INT64_MAX) {
    s->outcome.busy_ns += (double)taken_ns;
    s->outcome.rounds++;
    s->outcome.run += n;
  }
}

static void expire(simulation *s)
{
  if (s->service->expire_ns > 0)
    while (qb__waiting_count(&s->waiting) &&
           s->now_ns - qb__waiting_at(&s->waiting, 0) > s->service->expire_ns)
      s->waiting.first++;
}

/* Asks the policy until it does nothing more. */
static void decide(simulation *s)
{
  s->ask_ns = INT64_MAX;
  if (s->free_instances || s->policy->while_busy)
    expire(s);
  while (qb__waiting_count(&s->waiting) && (s->free_instances || s->policy->while_busy)) {
    const qb__view view = {s->now_ns, s->free_instances, &s->waiting};
    qb__move move = {.ask_ns = INT64_MAX};
    s->policy->decide(s->policy, &view, &move);
    s->waiting.first += move.refuse;
    if (move.run && s->free_instances)
      start_round(s, move.run, move.newest);
    else if (!move.refuse) {
      s->ask_ns = move.ask_ns > s->now_ns ? move.ask_ns : s->now_ns + 1;
      return;
    }
  }
}

/* A policy may leave samples waiting for ever: nothing will happen once all else has. */
static bool step(simulation *s, bool *out_of_memory)
{
  const int64_t end_ns = s->next_end_ns, arrival_ns = s->next_arrival_ns;
  if (end_ns <= arrival_ns && end_ns <= s->ask_ns) {
    if (end_ns == INT64_MAX)
      return false;
    s->now_ns = end_ns;
    end_round(s);
  } else if (arrival_ns <= s->ask_ns) {
    s->now_ns = arrival_ns;
    *out_of_memory = !arrive(s);
  } else {
    s->now_ns = s->ask_ns;
  }
  s->outcome.events++;
  decide(s);
  return !*out_of_memory;
}

static void finish(simulation *s, qb__outcome *outcome)
{
  *outcome = s->outcome;
  const qb__time_histogram *histogram = s->histogram;
  outcome->answered = histogram->total;
  outcome->mean_ns = histogram->total ? histogram->sum_ns / (double)histogram->total : 0;
  outcome->p50_ns = qb__time_histogram_quantile(histogram, 0.50);
  outcome->p95_ns = qb__time_histogram_quantile(histogram, 0.95);
  outcome->p99_ns = qb__time_histogram_quantile(histogram, 0.99);
  outcome->latency_ns = qb__time_histogram_quantile(histogram, s->service->percentile / 100);
  outcome->span_ns = s->counted_from_ns < s->last_arrival_ns
                         ? (double)(s->last_arrival_ns - s->counted_from_ns)
                         : 0;
}

qb_status qb__simulation_run(const qb_context *context, const qb__service *service,
                             qb__policy *policy, qb__outcome *outcome)
{
  simulation s = {.context = context,
                  .service = service,
                  .policy = policy,
                  .waiting = {.mask = FIRST_ROOM - 1},
                  .free_instances = service->instances,
                  .next_end_ns = INT64_MAX,
                  .ask_ns = INT64_MAX,
                  .counted_from_ns = INT64_MAX};
  s.waiting.times_ns = qb__calloc(context, FIRST_ROOM, sizeof *s.waiting.times_ns);
  s.rounds = qb__calloc(context, service->instances, sizeof *s.rounds);
  s.histogram = qb__calloc(context, 1, sizeof *s.histogram);
  bool out_of_memory = !s.waiting.times_ns || !s.rounds || !s.histogram;
  if (!out_of_memory) {
    qb__arrivals_start(&s.arrivals, &service->arrivals, service->seed);
    qb__random_seed(&s.random, service->seed ^ SERVICE_SEED);
    next_arrival(&s);
    while (step(&s, &out_of_memory))
      ;
    if (!out_of_memory)
      finish(&s, outcome);
  }
  qb__free(context, s.histogram);
  qb__free(context, s.rounds);
  qb__free(context, s.waiting.times_ns);
  return out_of_memory ? QB_ERROR_NO_MEMORY : QB_OK;
}
