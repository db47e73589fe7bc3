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
/*
 * How unevenly several instances become free, from 0 (evenly) to 1 (independently); fitted to
 * simulated queues, those of tests/unit/test_batch_queue.c.
 */
#define SPREAD 0.6
/* How far to go from the first guess of ages to what follows from it; fitted likewise. */
#define CORRECTION 0.6
/*
 * A distribution is treated as so many values of about equal probability: PARTS where it is looked
 * at once, less where it meets others.
 */
enum { PARTS = 8, SLOT_PARTS = 6, SPANS = 3, AGES = 4 };
enum { MAX_STARTS = SPANS * AGES, MAX_OUTCOMES = 4 * PARTS };

/* Poisson probabilities, from `first` on. */
typedef struct poisson {
  double mean;
  uint32_t first;
  uint32_t count;
  const double *probability;
} poisson;

/* Slots of one length that led to a queue length, and their share of all that did. */
typedef struct span {
  double share;
  double slot_s;
} span;

/* The queue as an instance becomes free: how old the oldest sample is, and may still wait. */
typedef struct start {
  double share;
  double age_s;
  double left_s;
} start;

/* What may happen between the end of a slot and the start of the next round. */
typedef struct outcome {
  double share;
  double wait_s;
  double round_s;  /* the round that starts then */
  double arrivals; /* during the wait, mean */
  bool full;       /* the last of them filled the batch and does not wait */
} outcome;

/*
 * A slot lasts from the start of a round to when the next instance is free. With one instance that
 * is the round itself; with more it is random, and each of its `parts` values for rounds of n has
 * an entry n * parts + j in `arrivals` and `slot_s`.
 */
typedef struct analysis {
  const qb_context *context;
  const qb__batch_queue *queue;
  uint32_t parts;
  uint32_t states;   /* queue lengths 0..states - 1 */
  uint32_t width;    /* of a row of `chain` */
  poisson *arrivals; /* during a slot */
  poisson *mixed;    /* during any slot of a round of n */
  double *slot_s;
  double *round_s;    /* a round of n */
  double typical_s;   /* the round that rounds tend to */
  double *chain;      /* row q: probabilities of queue lengths from base(q) on */
  double *stationary; /* of queue lengths at the ends of slots */
  span *spans;        /* SPANS for each of the queue lengths 0..batch */
  double *mix;        /* of round sizes that start with nothing left over, a share of all slots */
  double *begin;      /* scratch: round sizes that one queue length leads to */
  double idle_rounds; /* that start from an empty queue until all instances are busy, mean */
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
    const double most = rate * a->slot_s[longest * a->parts + a->parts - 1];
    const uint32_t next = poisson_first(most) + poisson_count(most);
    if (next <= longest)
      return longest + 1;
    if (next > batch)
      break;
    longest = next;
  }
  const double mean = rate * a->round_s[batch] / a->queue->instances;
  double y = fmin(2 * (batch - mean) / mean, 30);
  for (int i = 0; i < 50; i++) {
    const double step = (mean * expm1(y) - batch * y) / (mean * exp(y) - batch);
    y -= step;
    if (fabs(step) < 1e-4 * y)
      break;
  }
  return batch + 2 + (uint32_t)ceil(-log(CUT) / y);
}

/*
 * Part j of the slot of a round of n. The other instances are somewhere in their rounds; if
 * anywhere with equal probability, the next is free after x with a probability of
 * 1 - (1 - x / T)^others. Instances that serve a burst together stay in step and become free more
 * evenly (SPREAD), and those that run nothing but full batches quite so.
 */
static double slot_part_s(const analysis *a, uint32_t n, uint32_t j)
{
  const double instances = a->queue->instances, mean_s = a->round_s[n] / instances;
  if (a->parts == 1 || n == a->queue->batch)
    return mean_s;
  const double power = instances / (instances - 1);
  const double from = 1 - (double)j / a->parts, to = 1 - (j + 1.0) / a->parts;
  const double part = 1 - a->parts * (pow(from, power) - pow(to, power)) / power;
  return mean_s + SPREAD * fmin(a->round_s[n], a->typical_s) * (part - 1 / instances);
}

/* The round whose arrivals until the next one fill just that. */
static double typical_round_s(const analysis *a)
{
  const double samples_per_round_s = a->queue->rate_per_s / a->queue->instances;
  uint32_t n = 1;
  while (n < a->queue->batch && samples_per_round_s * a->round_s[n] > n)
    n++;
  return a->round_s[n];
}

/* Plans a round's slots: their lengths and the ranges of their arrivals, still without memory. */
static size_t plan_slots(analysis *a, uint32_t n)
{
  poisson *mixed = &a->mixed[n];
  uint32_t end = 0;
  size_t count = 0;
  mixed->first = UINT32_MAX;
  for (uint32_t j = 0; j < a->parts; j++) {
    const size_t kind = (size_t)n * a->parts + j;
    poisson *arrivals = &a->arrivals[kind];
    a->slot_s[kind] = slot_part_s(a, n, j);
    arrivals->mean = a->queue->rate_per_s * a->slot_s[kind];
    arrivals->first = poisson_first(arrivals->mean);
    arrivals->count = poisson_count(arrivals->mean);
    mixed->first = min_u32(mixed->first, arrivals->first);
    if (arrivals->first + arrivals->count > end)
      end = arrivals->first + arrivals->count;
    count += arrivals->count;
  }
  mixed->count = end - mixed->first;
  if (end > a->width)
    a->width = end;
  return count + mixed->count;
}

/* Fills the probabilities of a round's slots; returns where the next round's go. */
static double *fill_slots(analysis *a, uint32_t n, double *probability)
{
  poisson *mixed = &a->mixed[n];
  double *mix = probability;
  mixed->probability = mix;
  probability += mixed->count;
  for (uint32_t j = 0; j < a->parts; j++) {
    poisson *arrivals = &a->arrivals[(size_t)n * a->parts + j];
    poisson_fill(arrivals->mean, arrivals->first, arrivals->count, probability);
    for (uint32_t k = 0; k < arrivals->count; k++)
      mix[arrivals->first - mixed->first + k] += probability[k] / a->parts;
    arrivals->probability = probability;
    probability += arrivals->count;
  }
  return probability;
}

static qb_status prepare(analysis *a)
{
  const uint32_t batch = a->queue->batch;
  const size_t sizes = (size_t)batch + 1, kinds = sizes * a->parts;
  a->arrivals = qb__calloc(a->context, kinds + sizes, sizeof *a->arrivals);
  a->slot_s = qb__calloc(a->context, kinds + 3 * sizes, sizeof *a->slot_s);
  a->spans = qb__calloc(a->context, sizes * SPANS, sizeof *a->spans);
  if (!a->arrivals || !a->slot_s || !a->spans)
    return QB_ERROR_NO_MEMORY;
  a->mixed = a->arrivals + kinds;
  a->round_s = a->slot_s + kinds;
  a->mix = a->round_s + sizes;
  a->begin = a->mix + sizes;
  for (uint32_t n = 0; n <= batch; n++) {
    a->round_s[n] = (double)a->queue->latency_ns[n] * 1e-9;
    a->spans[(size_t)n * SPANS] = (span){1, a->round_s[n] / a->queue->instances};
  }
  a->typical_s = typical_round_s(a);
  size_t pool = 0;
  for (uint32_t n = 0; n <= batch; n++)
    pool += plan_slots(a, n);
  a->states = count_states(a);
  a->width = min_u32(a->width > batch ? a->width : batch + 1, a->states);
  a->pool = qb__calloc(a->context, pool, sizeof *a->pool);
  a->chain = qb__calloc(a->context, (size_t)a->states * a->width, sizeof *a->chain);
  a->stationary = qb__calloc(a->context, a->states, sizeof *a->stationary);
  if (!a->pool || !a->chain || !a->stationary)
    return QB_ERROR_NO_MEMORY;
  double *probability = a->pool;
  for (uint32_t n = 0; n <= batch; n++)
    probability = fill_slots(a, n, probability);
  return QB_OK;
}

/*
 * Lists how old the oldest of q samples (0: of the one that will come) may be. The oldest of q that
 * arrived during a slot is a share u of it old with a probability density of q u^(q-1).
 */
static size_t list_starts(const analysis *a, uint32_t q, start *starts)
{
  const double max_wait_s = (double)a->queue->max_wait_ns * 1e-9;
  if (q == 0 || q >= a->queue->batch || max_wait_s <= 0) {
    starts[0] = (start){1, 0, q < a->queue->batch ? max_wait_s : 0};
    return 1;
  }
  size_t count = 0;
  for (uint32_t i = 0; i < SPANS; i++) {
    const span *s = &a->spans[(size_t)q * SPANS + i];
    for (uint32_t j = 0; j < AGES && s->share > 0; j++) {
      const double age_s = s->slot_s * pow((j + 0.5) / AGES, 1.0 / q);
      starts[count++] = (start){s->share / AGES, age_s, fmax(0, max_wait_s - age_s)};
    }
  }
  return count;
}

/* Adds the probabilities of the round sizes that q waiting samples (1..batch) lead to. */
static void add_begin(const analysis *a, uint32_t q, const start *s, double *begin)
{
  const uint32_t batch = a->queue->batch;
  const double mean = a->queue->rate_per_s * s->left_s;
  double term = s->share * exp(-mean), full = s->share;
  for (uint32_t n = q; n < batch && full > 0; n++) {
    begin[n] += term;
    full -= term;
    term *= mean / (double)(n - q + 1);
  }
  begin[batch] += fmax(full, 0);
}

/* The same for all that may be at the end of a slot that leaves a queue of q (0..batch). */
static void fill_begin(analysis *a, uint32_t q)
{
  start starts[MAX_STARTS];
  const size_t count = list_starts(a, q, starts);
  for (uint32_t n = 0; n <= a->queue->batch; n++)
    a->begin[n] = 0;
  for (size_t i = 0; i < count; i++)
    add_begin(a, q ? q : 1, &starts[i], a->begin);
}

/* Adds `share` of a round of n that leaves some over to a row, which begins at left_over. */
static void add_arrivals(const analysis *a, uint32_t n, uint32_t left_over, double share,
                         double *row)
{
  const poisson *arrivals = &a->mixed[n];
  const uint32_t last = a->states - 1 - left_over;
  row[0] += share * CUT * CUT; /* what was cut off: every state can lead to shorter queues */
  for (uint32_t k = 0; k < arrivals->count; k++)
    row[min_u32(arrivals->first + k, last)] += share * arrivals->probability[k];
}

static void fill_chain(analysis *a)
{
  const uint32_t batch = a->queue->batch;
  for (size_t i = 0; i < (size_t)a->states * a->width; i++)
    a->chain[i] = 0;
  for (uint32_t q = 0; q < a->states; q++) {
    double *row = a->chain + (size_t)q * a->width;
    if (q >= batch) {
      add_arrivals(a, batch, q - batch, 1, row);
      continue;
    }
    fill_begin(a, q);
    for (uint32_t n = 1; n <= batch; n++)
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

/* The shares of slots whose rounds have 1..batch samples and leave none over. */
static void fill_mix(analysis *a)
{
  const uint32_t batch = a->queue->batch;
  for (uint32_t n = 0; n <= batch; n++)
    a->mix[n] = 0;
  for (uint32_t q = 0; q <= batch && q < a->states; q++) {
    fill_begin(a, q);
    for (uint32_t n = 1; n <= batch; n++)
      a->mix[n] += a->stationary[q] * a->begin[n];
  }
}

/* The probability that a slot, one of all, has that many arrivals and leaves nothing over. */
static double share_of(const analysis *a, size_t kind, uint32_t k)
{
  const poisson *arrivals = &a->arrivals[kind];
  return k - arrivals->first < arrivals->count /* wraps round below first */
             ? a->mix[kind / a->parts] / a->parts * arrivals->probability[k - arrivals->first]
             : 0;
}

/*
 * Sorts the slots that leave q samples behind, and nothing over, into at most `most` spans of about
 * equal share; returns their share of all slots.
 */
static double fill_spans(const analysis *a, uint32_t q, uint32_t most, span *spans)
{
  const size_t kinds = ((size_t)a->queue->batch + 1) * a->parts;
  double total = 0;
  for (size_t kind = a->parts; kind < kinds; kind++)
    total += share_of(a, kind, q);
  for (uint32_t i = 0; i < most; i++)
    spans[i] = (span){0};
  if (total <= 0) {
    spans[0] = (span){1, a->slot_s[(size_t)q * a->parts]};
    return 0;
  }
  double below = 0;
  for (size_t kind = a->parts; kind < kinds; kind++) {
    const double share = share_of(a, kind, q) / total;
    const uint32_t at = (uint32_t)((below + 0.5 * share) * most);
    span *into = &spans[min_u32(at, most - 1)];
    into->share += share;
    into->slot_s += share * a->slot_s[kind];
    below += share;
  }
  for (uint32_t i = 0; i < most; i++)
    if (spans[i].share > 0)
      spans[i].slot_s /= spans[i].share;
  return total;
}

static void solve_once(analysis *a)
{
  fill_chain(a);
  solve_chain(a);
  fill_mix(a);
}

/*
 * Waits depend on the ages of samples, which depend on the slots that led to them, which depend on
 * waits. The first guess is that a round leads to one of its own size. The solution then tells the
 * slots, but going all the way to them overshoots, and would again and again, ever less.
 */
static void solve(analysis *a)
{
  solve_once(a);
  if (a->queue->max_wait_ns == 0)
    return;
  for (uint32_t q = 1; q < a->queue->batch; q++) {
    span *spans = &a->spans[(size_t)q * SPANS];
    const double guess_s = spans[0].slot_s;
    (void)fill_spans(a, q, SPANS, spans);
    for (uint32_t i = 0; i < SPANS; i++)
      spans[i].slot_s += (1 - CORRECTION) * (guess_s - spans[i].slot_s);
  }
  solve_once(a);
}

/* Lists what q waiting samples (1..batch) lead to; outcomes that are alike become one. */
static size_t list_outcomes(const analysis *a, uint32_t q, const start *s, outcome *outcomes)
{
  const uint32_t batch = a->queue->batch;
  const double rate = a->queue->rate_per_s, mean = rate * s->left_s;
  if (s->left_s <= 0 || q == batch) {
    outcomes[0] = (outcome){.share = s->share, .round_s = a->round_s[q]};
    return 1;
  }
  /* The wait is used up with n samples. */
  size_t count = 0;
  double term = exp(-mean), full = 1;
  outcome part = {.wait_s = s->left_s};
  for (uint32_t n = q; n < batch; n++) {
    part.share += term;
    part.round_s += term * a->round_s[n];
    part.arrivals += term * (n - q);
    /* Parts become smaller towards the tail, which high percentiles lie in. */
    const double enough = fmax(1e-3, fmin(1.0 / PARTS, (full - term) / 3));
    full -= term;
    term *= mean / (double)(n - q + 1);
    if (part.share >= enough || (n + 1 == batch && part.share > CUT)) {
      part.round_s /= part.share;
      part.arrivals /= part.share;
      part.share *= s->share;
      outcomes[count++] = part;
      part = (outcome){.wait_s = s->left_s};
    }
  }
  if (full < CUT)
    return count;
  /* The batch is full before: the time of its last arrival has an Erlang distribution. */
  const double needed = (double)(batch - q), mean_s = needed / rate;
  const double spread_s = 4 * sqrt(needed) / rate;
  const double from_s = fmax(0, fmin(mean_s - spread_s, s->left_s / 2));
  const double to_s = fmin(mean_s + 2 * spread_s, s->left_s);
  double below = 0;
  for (int i = 1; i <= PARTS; i++) {
    const double end_s = from_s + (to_s - from_s) * i / PARTS;
    double upto = full;
    if (i < PARTS) {
      upto = 1;
      term = exp(-rate * end_s);
      for (uint32_t k = 0; k < batch - q; k++) {
        upto -= term;
        term *= rate * end_s / (k + 1);
      }
      upto = fmin(fmax(upto, below), full);
    }
    if (upto > below)
      outcomes[count++] = (outcome){.share = s->share * (upto - below),
                                    .wait_s = end_s - (to_s - from_s) / (2 * PARTS),
                                    .round_s = a->round_s[batch],
                                    .arrivals = needed,
                                    .full = true};
    below = upto;
  }
  return count;
}

/* Samples that arrive while an instance waits for its batch to fill. */
static void add_waiting(const outcome *o, double share, qb__time_histogram *histogram)
{
  const double spread = o->arrivals - o->full;
  if (spread > 0)
    qb__time_histogram_add(histogram, o->round_s, o->round_s + o->wait_s, share * spread);
  if (o->full)
    qb__time_histogram_add(histogram, o->round_s, o->round_s, share);
}

/* The queue is empty: the sample that ends that, and those that come while it waits. */
static void add_idle(analysis *a, qb__time_histogram *histogram)
{
  start s;
  outcome outcomes[MAX_OUTCOMES];
  (void)list_starts(a, 0, &s);
  const size_t count = list_outcomes(a, 1, &s, outcomes);
  double wait_s = 0, round_s = 0;
  for (size_t i = 0; i < count; i++) {
    wait_s += outcomes[i].share * outcomes[i].wait_s;
    round_s += outcomes[i].share * outcomes[i].round_s;
  }
  /*
   * All but one instance are busy when the queue runs empty. Rounds end and start until all are:
   * a step up from j busy ones takes x(j) = 1 + x(j - 1) j (time between starts) / (round).
   */
  const double ratio = (1 / a->queue->rate_per_s + wait_s) / round_s;
  a->idle_rounds = 1;
  for (uint32_t j = 1; j < a->queue->instances; j++)
    a->idle_rounds = 1 + j * ratio * a->idle_rounds;
  const double share = a->stationary[0] * a->idle_rounds;
  for (size_t i = 0; i < count; i++) {
    const outcome *o = &outcomes[i];
    const double latency_s = o->wait_s + o->round_s;
    qb__time_histogram_add(histogram, latency_s, latency_s, share * o->share);
    add_waiting(o, share * o->share, histogram);
  }
}

/* Slots that leave 1..batch samples behind, which all find place in the next round. */
static void add_residual(const analysis *a, uint32_t q, qb__time_histogram *histogram)
{
  if (q == a->queue->batch || a->queue->max_wait_ns == 0) {
    span spans[PARTS];
    const double share = fill_spans(a, q, PARTS, spans) * q;
    for (uint32_t i = 0; i < PARTS && share > CUT; i++)
      if (spans[i].share > 0)
        qb__time_histogram_add(histogram, a->round_s[q], a->round_s[q] + spans[i].slot_s,
                               share * spans[i].share);
    return;
  }
  if (a->stationary[q] * q < CUT)
    return;
  start starts[MAX_STARTS];
  const size_t start_count = list_starts(a, q, starts);
  for (size_t j = 0; j < start_count; j++) {
    outcome outcomes[MAX_OUTCOMES];
    const size_t count = list_outcomes(a, q, &starts[j], outcomes);
    for (size_t i = 0; i < count; i++) {
      const double share = a->stationary[q] * outcomes[i].share;
      const double least_s = outcomes[i].wait_s + outcomes[i].round_s;
      const double most_s = least_s + starts[j].age_s;
      qb__time_histogram_add(histogram, most_s, most_s, share); /* the oldest */
      if (q > 1)
        qb__time_histogram_add(histogram, least_s, most_s, share * (q - 1));
      add_waiting(&outcomes[i], share, histogram);
    }
  }
}

/*
 * `arrivals` samples arrive during a slot that left some over, and more than a batch wait in the
 * end. They are served in order: each full round ahead takes a slot, and the last round has those
 * behind as well. The k-th of them came after a share of the slot with a beta distribution; those
 * of one round are taken to have come evenly around their mean with their variance.
 */
static void add_overflow(const analysis *a, double slot_s, double left_over, double arrivals,
                         double share, qb__time_histogram *histogram)
{
  const uint32_t batch = a->queue->batch;
  const double end = left_over + arrivals;
  double from = left_over;
  for (uint32_t ahead = (uint32_t)(left_over / batch); from < end; ahead++) {
    const double to = fmin(end, (ahead + 1.0) * batch), count = to - from;
    const double middle = (from + to - 1) / 2 - left_over + 1; /* mean rank, from 1 */
    const double mean = middle / (arrivals + 1);
    const double square =
        (middle * middle + (count * count - 1) / 12 + middle) / ((arrivals + 1) * (arrivals + 2));
    const double half = sqrt(3 * fmax(0, square - mean * mean));
    const double wait_s = ahead * a->round_s[batch] / a->queue->instances;
    const double there = end - (double)ahead * batch + a->queue->rate_per_s * wait_s;
    const uint32_t last = there < batch ? (uint32_t)(there + 0.5) : batch;
    const double after_s = wait_s + a->round_s[last ? last : 1];
    qb__time_histogram_add(histogram, after_s + slot_s * fmax(0, 1 - mean - half),
                           after_s + slot_s * fmin(1, 1 - mean + half), share * count);
    from = to;
  }
}

/* Adds all arrivals of slots that leave `left_over` behind and end with more than a batch. */
static void add_overflows(const analysis *a, size_t kind, uint32_t left_over, double share,
                          qb__time_histogram *histogram)
{
  const poisson *arrivals = &a->arrivals[kind];
  if (share < CUT)
    return;
  double part = 0, mean = 0;
  for (uint32_t i = 0; i < arrivals->count; i++) {
    const uint32_t k = arrivals->first + i;
    if (left_over || k > a->queue->batch) {
      part += arrivals->probability[i];
      mean += arrivals->probability[i] * k;
    }
    /* Few arrivals differ much from each other: one and two are kept apart. */
    if (part < 1.0 / PARTS && mean > 4 * part && (i + 1 < arrivals->count || part * share < CUT))
      continue;
    if (mean > 0)
      add_overflow(a, a->slot_s[kind], left_over, mean / part, share * part, histogram);
    part = mean = 0;
  }
}

static void fill_histogram(analysis *a, qb__time_histogram *histogram)
{
  const uint32_t batch = a->queue->batch;
  add_idle(a, histogram);
  for (uint32_t q = 1; q <= batch && q < a->states; q++)
    add_residual(a, q, histogram);
  for (size_t kind = a->parts; kind < ((size_t)batch + 1) * a->parts; kind++)
    add_overflows(a, kind, 0, a->mix[kind / a->parts] / a->parts, histogram);
  for (uint32_t q = batch + 1; q < a->states; q++)
    for (uint32_t j = 0; j < a->parts; j++)
      add_overflows(a, (size_t)batch * a->parts + j, q - batch, a->stationary[q] / a->parts,
                    histogram);
}

static void fill_report(analysis *a, const qb__time_histogram *histogram, qb__queue_report *report)
{
  const uint32_t batch = a->queue->batch;
  double full = 1, rounds = 1, samples = 0, round_s = 0;
  for (uint32_t n = 1; n <= batch; n++) {
    full -= a->mix[n];
    samples += a->mix[n] * n;
    round_s += a->mix[n] * a->round_s[n];
  }
  samples += fmax(full, 0) * batch;
  round_s += fmax(full, 0) * a->round_s[batch];
  /* The rounds that start before all instances are busy have no slot of their own. */
  const double more = a->stationary[0] * (a->idle_rounds - 1);
  fill_begin(a, 0);
  for (uint32_t n = 1; n <= batch; n++) {
    rounds += more * a->begin[n];
    samples += more * a->begin[n] * n;
    round_s += more * a->begin[n] * a->round_s[n];
  }
  report->mean_batch = samples / rounds;
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
  analysis a = {.context = context, .queue = queue, .parts = queue->instances > 1 ? SLOT_PARTS : 1};
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
  qb__free(context, a.slot_s);
  qb__free(context, a.spans);
  qb__free(context, a.arrivals);
  qb__free(context, a.pool);
  qb__free(context, a.chain);
  qb__free(context, a.stationary);
  return status;
}
