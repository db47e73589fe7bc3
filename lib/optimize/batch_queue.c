/* SPDX-License-Identifier: Apache-2.0 */
#include "optimize/batch_queue.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "optimize/time_histogram.h"

#include <math.h>

/* Beyond this share of the capacity the queue is so long that no prediction is worth much. */
#define SATURATED 0.995
/* Probability that is left out where a distribution is cut off. */
#define CUT 1e-8
/* Mass of a distribution that is treated as one value: parts of 1 / PARTS. */
enum { PARTS = 8, AGE_PASSES = 3, MAX_OUTCOMES = 2 * PARTS + 4 };

/* Poisson probabilities, from `first` on. */
typedef struct poisson {
  double mean;
  uint32_t first;
  uint32_t count;
  const double *probability;
} poisson;

/* What may happen between the end of a round and the start of the next. */
typedef struct outcome {
  double probability;
  double wait_s;   /* of the samples that were there */
  double round_s;  /* the round that starts then */
  double arrivals; /* during the wait, mean */
} outcome;

typedef struct analysis {
  const qb_context *context;
  const qb__batch_queue *queue;
  uint32_t states;    /* queue lengths 0..states - 1 */
  uint32_t width;     /* of a row of `chain` */
  poisson *arrivals;  /* while rounds of 0..batch samples are under way, until the next starts */
  double *round_s;    /* a round of n */
  double *slot_s;     /* from its start to when the next may start */
  double *chain;      /* row q: probabilities of queue lengths from base(q) on */
  double *stationary; /* of queue lengths at the ends of rounds */
  double *age_s;      /* mean age of the oldest, by queue length */
  double *mix;        /* of round sizes that start with nothing left over, a share of all rounds */
  double *begin;      /* scratch: round sizes that one queue length leads to */
  double *row;        /* scratch, of `states` */
  double *pool;       /* holds the Poisson probabilities */
} analysis;

static uint32_t min_u32(uint32_t a, uint32_t b)
{
  return a < b ? a : b;
}

/* How far from its mean a Poisson variable of that mean strays with a probability of CUT. */
static double reach(double mean)
{
  return 6 * sqrt(mean) + 12;
}

static uint32_t poisson_first(double mean)
{
  return mean > reach(mean) ? (uint32_t)(mean - reach(mean)) : 0;
}

static uint32_t poisson_count(double mean)
{
  return (uint32_t)(mean + reach(mean)) - poisson_first(mean) + 1;
}

static void poisson_fill(double mean, uint32_t first, uint32_t count, double *probability)
{
  double sum = 0;
  double term = mean > 0 ? exp((double)first * log(mean) - mean - lgamma((double)first + 1))
                         : (double)(first == 0);
  for (uint32_t k = 0; k < count; k++) {
    probability[k] = term;
    sum += term;
    term *= mean / ((double)first + k + 1);
  }
  for (uint32_t k = 0; k < count; k++)
    probability[k] /= sum;
}

/* The first queue length that a round started at queue length q can lead to. */
static uint32_t base(const analysis *a, uint32_t q)
{
  return q > a->queue->batch ? q - a->queue->batch : 0;
}

/*
 * Queue lengths worth looking at. If the longest queue that rounds leave behind, taken again and
 * again, stays below the batch, that is the end of it. Otherwise, beyond the batch, the tail falls
 * as exp(-y q) with the root y > 0 of mean (exp(y) - 1) = batch y, found by Newton's method from
 * the right.
 */
static uint32_t count_states(const analysis *a)
{
  const uint32_t batch = a->queue->batch;
  const double rate = a->queue->rate_per_s;
  uint32_t longest = 1;
  for (;;) {
    const double mean = rate * a->slot_s[longest];
    const uint32_t next = poisson_first(mean) + poisson_count(mean);
    if (next <= longest)
      return longest + 1;
    if (next > batch)
      break;
    longest = next;
  }
  const double mean = rate * a->slot_s[batch];
  double y = fmin(2 * (batch - mean) / mean, 30);
  for (int i = 0; i < 50; i++) {
    const double step = (mean * expm1(y) - batch * y) / (mean * exp(y) - batch);
    y -= step;
    if (fabs(step) < 1e-4 * y)
      break;
  }
  return batch + 2 + (uint32_t)ceil(-log(CUT) / y);
}

static qb_status prepare(analysis *a)
{
  const uint32_t batch = a->queue->batch;
  a->round_s = qb__calloc(a->context, 4 * ((size_t)batch + 1), sizeof *a->round_s);
  a->arrivals = qb__calloc(a->context, (size_t)batch + 1, sizeof *a->arrivals);
  if (!a->round_s || !a->arrivals)
    return QB_ERROR_NO_MEMORY;
  a->slot_s = a->round_s + batch + 1;
  a->mix = a->slot_s + batch + 1;
  a->begin = a->mix + batch + 1;
  size_t pool = 0;
  for (uint32_t n = 0; n <= batch; n++) {
    a->round_s[n] = (double)a->queue->latency_ns[n] * 1e-9;
    a->slot_s[n] = a->round_s[n] / a->queue->instances;
    poisson *arrivals = &a->arrivals[n];
    arrivals->mean = a->queue->rate_per_s * a->slot_s[n];
    arrivals->first = poisson_first(arrivals->mean);
    arrivals->count = poisson_count(arrivals->mean);
    pool += arrivals->count;
    const uint32_t width = arrivals->first + arrivals->count;
    if (width > a->width)
      a->width = width;
  }
  a->states = count_states(a);
  a->width = min_u32(a->width, a->states);
  if (a->width < a->queue->batch + 1)
    a->width = min_u32(a->queue->batch + 1, a->states);
  a->pool = qb__calloc(a->context, pool, sizeof *a->pool);
  a->chain = qb__calloc(a->context, (size_t)a->states * a->width, sizeof *a->chain);
  a->stationary = qb__calloc(a->context, 3 * (size_t)a->states, sizeof *a->stationary);
  if (!a->pool || !a->chain || !a->stationary)
    return QB_ERROR_NO_MEMORY;
  a->age_s = a->stationary + a->states;
  a->row = a->age_s + a->states;
  double *probability = a->pool;
  for (uint32_t n = 0; n <= batch; n++) {
    poisson *arrivals = &a->arrivals[n];
    poisson_fill(arrivals->mean, arrivals->first, arrivals->count, probability);
    arrivals->probability = probability;
    probability += arrivals->count;
  }
  return QB_OK;
}

static double wait_left_s(const analysis *a, uint32_t q, double age_s)
{
  const double left_s = (double)a->queue->max_wait_ns * 1e-9 - age_s;
  return q < a->queue->batch && left_s > 0 ? left_s : 0;
}

/* Probabilities of the round sizes that q waiting samples (1..batch) lead to. */
static void fill_begin(analysis *a, uint32_t q, double left_s, double *begin)
{
  const uint32_t batch = a->queue->batch;
  const double mean = a->queue->rate_per_s * left_s;
  double term = exp(-mean), full = 1;
  for (uint32_t n = q; n < batch; n++) {
    begin[n] = term;
    full -= term;
    term *= mean / (double)(n - q + 1);
  }
  begin[batch] = q == batch ? 1 : fmax(full, 0);
}

/* Adds `share` of a round of n that leaves some over to a row, which begins at left_over. */
static void add_arrivals(const analysis *a, uint32_t n, uint32_t left_over, double share,
                         double *row)
{
  const poisson *arrivals = &a->arrivals[n];
  const uint32_t last = a->states - 1;
  row[0] += share * CUT * CUT; /* what was cut off: every state can lead to shorter queues */
  for (uint32_t k = 0; k < arrivals->count; k++)
    row[min_u32(left_over + arrivals->first + k, last) - left_over] +=
        share * arrivals->probability[k];
}

static void fill_chain(analysis *a)
{
  const uint32_t batch = a->queue->batch;
  for (size_t i = 0; i < (size_t)a->states * a->width; i++)
    a->chain[i] = 0;
  for (uint32_t q = 0; q < a->states; q++) {
    double *row = a->chain + (size_t)q * a->width;
    const uint32_t waiting = q ? q : 1;
    const double left_s = wait_left_s(a, waiting, q ? a->age_s[q] : 0);
    if (q >= batch || left_s <= 0) {
      add_arrivals(a, min_u32(waiting, batch), base(a, q), 1, row);
      continue;
    }
    fill_begin(a, waiting, left_s, a->begin);
    for (uint32_t n = waiting; n <= batch; n++)
      if (a->begin[n] > CUT)
        add_arrivals(a, n, 0, a->begin[n], row);
  }
}

/*
 * The stationary distribution by state reduction (W. K. Grassmann, M. I. Taksar and D. P. Heyman,
 * "Regenerative analysis and steady state distributions for Markov chains", Oper. Res. 33, 1985):
 * no subtractions, hence no cancellation. A round shortens the queue by at most a batch, so rows
 * are bands and stay bands.
 */
static void solve_chain(analysis *a)
{
  for (uint32_t n = a->states - 1; n > 0; n--) {
    const double *from = a->chain + (size_t)n * a->width;
    const uint32_t first = base(a, n);
    double sum = 0;
    for (uint32_t j = first; j < n; j++)
      sum += from[j - first];
    for (uint32_t i = 0; i < n; i++) {
      const uint32_t i_first = base(a, i);
      if (n - i_first >= a->width)
        continue;
      double *into = a->chain + (size_t)i * a->width;
      double *via = &into[n - i_first];
      if (*via < 1e-15) {
        *via = 0;
        continue;
      }
      *via /= sum;
      const double factor = *via;
      double *restrict to = into + (first - i_first);
      for (uint32_t j = 0; j < n - first; j++)
        to[j] += factor * from[j];
    }
  }
  double total = a->stationary[0] = 1;
  for (uint32_t n = 1; n < a->states; n++) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
      if (n - base(a, i) < a->width)
        sum += a->stationary[i] * a->chain[(size_t)i * a->width + (n - base(a, i))];
    a->stationary[n] = sum;
    total += sum;
  }
  for (uint32_t n = 0; n < a->states; n++)
    a->stationary[n] /= total;
}

/* The shares of rounds that start with 1..batch samples and leave none over. */
static void fill_mix(analysis *a)
{
  const uint32_t batch = a->queue->batch;
  for (uint32_t n = 0; n <= batch; n++)
    a->mix[n] = 0;
  for (uint32_t q = 0; q <= batch && q < a->states; q++) {
    const uint32_t waiting = q ? q : 1;
    const double left_s = wait_left_s(a, waiting, q ? a->age_s[q] : 0);
    if (left_s <= 0) {
      a->mix[waiting] += a->stationary[q];
      continue;
    }
    fill_begin(a, waiting, left_s, a->begin);
    for (uint32_t n = waiting; n <= batch; n++)
      a->mix[n] += a->stationary[q] * a->begin[n];
  }
}

/*
 * The oldest of k samples that arrived during a slot is k / (k + 1) of it old on average; the slot
 * is the mean one that leads to k. The oldest of those left over by a full round is a slot older
 * than its share of the queue was.
 */
static void fill_ages(analysis *a)
{
  const uint32_t batch = a->queue->batch;
  for (uint32_t q = 0; q < a->states; q++)
    a->row[q] = 0; /* probability; age_s becomes probability times age */
  double *const age_s = a->age_s;
  for (uint32_t q = 0; q < a->states; q++)
    age_s[q] = 0;
  for (uint32_t n = 1; n <= batch; n++)
    for (uint32_t k = 0; k < a->arrivals[n].count; k++) {
      const uint32_t q = min_u32(a->arrivals[n].first + k, a->states - 1);
      const double share = a->mix[n] * a->arrivals[n].probability[k];
      a->row[q] += share;
      age_s[q] += share * a->slot_s[n] * q / (q + 1);
    }
  for (uint32_t from = batch + 1; from < a->states; from++)
    for (uint32_t k = 0; k < a->arrivals[batch].count; k++) {
      const uint32_t q = from - batch + a->arrivals[batch].first + k;
      if (q >= batch)
        break; /* a full queue does not wait, whatever its age */
      const double share = a->stationary[from] * a->arrivals[batch].probability[k];
      a->row[q] += share;
      age_s[q] += share * a->slot_s[batch] * (1 + (double)(from - batch) / from);
    }
  for (uint32_t q = 0; q < a->states; q++)
    age_s[q] = a->row[q] > 0 ? age_s[q] / a->row[q] : a->slot_s[min_u32(q, batch)];
}

static void solve(analysis *a)
{
  for (uint32_t q = 0; q < a->states; q++)
    a->age_s[q] = a->slot_s[min_u32(q, a->queue->batch)] * q / (q + 1);
  const int passes = a->queue->max_wait_ns > 0 ? AGE_PASSES : 1;
  for (int pass = 0; pass < passes; pass++) {
    if (pass)
      fill_ages(a);
    fill_chain(a);
    solve_chain(a);
    fill_mix(a);
  }
}

/* Lists what q waiting samples (1..batch) lead to; likely outcomes that are alike become one. */
static size_t list_outcomes(analysis *a, uint32_t q, double left_s, outcome *outcomes)
{
  const uint32_t batch = a->queue->batch;
  const double rate = a->queue->rate_per_s;
  if (left_s <= 0) {
    outcomes[0] = (outcome){.probability = 1, .round_s = a->round_s[q]};
    return 1;
  }
  size_t count = 0;
  fill_begin(a, q, left_s, a->begin);
  /* The wait is used up. */
  double share = 0, round_s = 0, arrivals = 0;
  for (uint32_t n = q; n < batch; n++) {
    share += a->begin[n];
    round_s += a->begin[n] * a->round_s[n];
    arrivals += a->begin[n] * (n - q);
    if (share >= 1.0 / PARTS || (n + 1 == batch && share > 0)) {
      outcomes[count++] = (outcome){share, left_s, round_s / share, arrivals / share};
      share = round_s = arrivals = 0;
    }
  }
  /* The batch is full before: the time of its last arrival has an Erlang distribution. */
  const double full = a->begin[batch];
  if (full < CUT)
    return count;
  const double needed = (double)(batch - q), mean_s = needed / rate;
  const double spread_s = 4 * sqrt(needed) / rate;
  const double from_s = fmax(0, fmin(mean_s - spread_s, left_s / 2));
  const double to_s = fmin(mean_s + 2 * spread_s, left_s);
  double below = 0;
  for (int i = 1; i <= PARTS; i++) {
    const double end_s = from_s + (to_s - from_s) * i / PARTS;
    double upto = full;
    if (i < PARTS) {
      double term = exp(-rate * end_s);
      upto = 1;
      for (uint32_t k = 0; k < batch - q; k++) {
        upto -= term;
        term *= rate * end_s / (k + 1);
      }
      upto = fmin(fmax(upto, below), full);
    }
    if (upto > below)
      outcomes[count++] =
          (outcome){upto - below, end_s - (to_s - from_s) / (2 * PARTS), a->round_s[batch], needed};
    below = upto;
  }
  return count;
}

/* Samples that arrive while an instance waits for its batch to fill, and the one that ends idling.
 */
static void add_waiting(const outcome *outcomes, size_t count, double share, bool idle,
                        qb__time_histogram *histogram)
{
  for (size_t i = 0; i < count; i++) {
    const outcome *o = &outcomes[i];
    const double weight = share * o->probability;
    if (o->arrivals > 0)
      qb__time_histogram_add(histogram, o->round_s, o->round_s + o->wait_s, weight * o->arrivals);
    if (idle)
      qb__time_histogram_add(histogram, o->wait_s + o->round_s, o->wait_s + o->round_s, weight);
  }
}

/* Samples that arrive during a round and find place in the next one: q of them end up waiting. */
static void add_residual(const analysis *a, uint32_t q, const outcome *outcomes, size_t count,
                         qb__time_histogram *histogram)
{
  double total = 0;
  for (uint32_t n = 1; n <= a->queue->batch; n++)
    if (q - a->arrivals[n].first < a->arrivals[n].count) /* wraps round below first */
      total += a->mix[n] * a->arrivals[n].probability[q - a->arrivals[n].first];
  if (total * q < CUT)
    return;
  double share = 0, slot_s = 0;
  for (uint32_t n = 1; n <= a->queue->batch; n++) {
    if (q - a->arrivals[n].first < a->arrivals[n].count) {
      const double p = a->mix[n] * a->arrivals[n].probability[q - a->arrivals[n].first];
      share += p;
      slot_s += p * a->slot_s[n];
    }
    if (share < total / PARTS && (n < a->queue->batch || share <= 0))
      continue;
    for (size_t i = 0; i < count; i++) {
      const double least_s = outcomes[i].wait_s + outcomes[i].round_s;
      qb__time_histogram_add(histogram, least_s, least_s + slot_s / share,
                             share * outcomes[i].probability * q);
    }
    share = slot_s = 0;
  }
}

/*
 * `arrivals` samples arrive during the slot of a round of n that left some over, and more than a
 * batch wait in the end. They are served in order: each full round ahead takes a slot, and the last
 * round has those behind as well.
 */
static void add_overflow(const analysis *a, uint32_t n, double left_over, double arrivals,
                         double share, qb__time_histogram *histogram)
{
  const uint32_t batch = a->queue->batch;
  const double slot_s = a->slot_s[n], end = left_over + arrivals;
  double from = left_over;
  for (uint32_t ahead = (uint32_t)(left_over / batch); from < end; ahead++) {
    const double to = fmin(end, (double)(ahead + 1) * batch);
    const double wait_s = ahead * a->slot_s[batch];
    const double there = end - (double)ahead * batch + a->queue->rate_per_s * wait_s;
    const uint32_t last = there < batch ? (uint32_t)(there + 0.5) : batch;
    const double after_s = wait_s + a->round_s[last ? last : 1];
    qb__time_histogram_add(histogram, after_s + slot_s * (end - to) / arrivals,
                           after_s + slot_s * (end - from) / arrivals, share * (to - from));
    from = to;
  }
}

/* Adds all arrivals of rounds of n that leave `left_over` behind and end with more than a batch. */
static void add_overflows(const analysis *a, uint32_t n, uint32_t left_over, double share,
                          qb__time_histogram *histogram)
{
  const poisson *arrivals = &a->arrivals[n];
  if (share < CUT)
    return;
  double part = 0, mean = 0;
  for (uint32_t i = 0; i < arrivals->count; i++) {
    const uint32_t k = arrivals->first + i;
    if (left_over + k > a->queue->batch || left_over) {
      part += arrivals->probability[i];
      mean += arrivals->probability[i] * k;
    }
    if (part < 1.0 / PARTS && (i + 1 < arrivals->count || part * share < CUT))
      continue;
    if (mean > 0)
      add_overflow(a, n, left_over, mean / part, share * part, histogram);
    part = mean = 0;
  }
}

static void fill_histogram(analysis *a, qb__time_histogram *histogram)
{
  const uint32_t batch = a->queue->batch;
  for (uint32_t q = 0; q <= batch && q < a->states; q++) {
    outcome outcomes[MAX_OUTCOMES];
    const uint32_t waiting = q ? q : 1;
    const double left_s = wait_left_s(a, waiting, q ? a->age_s[q] : 0);
    const size_t count = list_outcomes(a, waiting, left_s, outcomes);
    add_waiting(outcomes, count, a->stationary[q], q == 0, histogram);
    if (q)
      add_residual(a, q, outcomes, count, histogram);
  }
  for (uint32_t n = 1; n <= batch; n++)
    add_overflows(a, n, 0, a->mix[n], histogram);
  for (uint32_t q = batch + 1; q < a->states; q++)
    add_overflows(a, batch, q - batch, a->stationary[q], histogram);
}

static void fill_report(const analysis *a, const qb__time_histogram *histogram,
                        qb__queue_report *report)
{
  const uint32_t batch = a->queue->batch;
  double full = 1, samples = 0, round_s = 0;
  for (uint32_t n = 1; n <= batch; n++) {
    full -= a->mix[n];
    samples += a->mix[n] * n;
    round_s += a->mix[n] * a->round_s[n];
  }
  samples += fmax(full, 0) * batch;
  round_s += fmax(full, 0) * a->round_s[batch];
  report->mean_batch = samples;
  report->utilisation = fmin(1, a->queue->rate_per_s * round_s / samples / a->queue->instances);
  report->p50_ns = qb__clamp_i64(qb__time_histogram_quantile(histogram, 0.50) * 1e9);
  report->p95_ns = qb__clamp_i64(qb__time_histogram_quantile(histogram, 0.95) * 1e9);
  report->p99_ns = qb__clamp_i64(qb__time_histogram_quantile(histogram, 0.99) * 1e9);
  report->latency_ns =
      qb__clamp_i64(qb__time_histogram_quantile(histogram, a->queue->percentile / 100) * 1e9);
}

qb_status qb__batch_queue_analyse(const qb_context *context, const qb__batch_queue *queue,
                                  qb__queue_report *report)
{
  qb__queue_report ours = {0};
  const double capacity_per_s =
      (double)queue->instances * queue->batch / ((double)queue->latency_ns[queue->batch] * 1e-9);
  if (queue->rate_per_s >= SATURATED * capacity_per_s) {
    ours.saturated = true;
    *report = ours;
    return QB_OK;
  }
  analysis a = {.context = context, .queue = queue};
  qb__time_histogram *histogram = qb__calloc(context, 1, sizeof *histogram);
  qb_status status = histogram ? prepare(&a) : QB_ERROR_NO_MEMORY;
  if (!status) {
    solve(&a);
    qb__time_histogram_init(histogram, a.round_s[1]);
    fill_histogram(&a, histogram);
    qb__time_histogram_finish(histogram);
    fill_report(&a, histogram, &ours);
    *report = ours;
  }
  qb__free(context, histogram);
  qb__free(context, a.round_s);
  qb__free(context, a.arrivals);
  qb__free(context, a.pool);
  qb__free(context, a.chain);
  qb__free(context, a.stationary);
  return status;
}
