/* SPDX-License-Identifier: Apache-2.0 */
#include "optimize/round_policy.h"

#include "core/alloc.h"

#include <math.h>
#include <string.h>

/* An answer at the very end of the target is worth this much less than one at once. */
static const double LATENCY_WEIGHT = 0.02;
/* Iteration ends when values move less than this, in answers, or after so many sweeps. */
static const double PRECISION = 1e-3;
enum { MOST_SWEEPS = 120, EVERY_SIZE = 16, PER_OCTAVE = 8, AGES = QB__POLICY_AGES };

/* Probability that is left out where a distribution is cut off. */
static const double CUT = 1e-6;
/* More arrivals in a slot than the queue has states are as good as that many. */
enum { MOST_MEAN = QB__POLICY_LONGEST, MOST_ARRIVALS = 2 * QB__POLICY_LONGEST };

/* A size of a round that may be chosen. */
typedef struct choice {
  uint32_t size;
  double slot_s; /* until an instance is free again */
  double round_s;
  double safe_s;
  uint32_t first_arrivals; /* in a slot: probabilities from here on */
  uint32_t arrival_count;
  const float *arrivals;
} choice;

typedef struct solver {
  const qb__round_model *model;
  uint32_t lengths;
  double target_s, step_s;
  uint32_t choice_count;
  choice *choices;
  float *probabilities;
  float *value; /* [length 0..lengths][age] */
  float *next;  /* the same */
  float *slot;  /* [length][age]: value when a slot ends with so many, having begun at this age */
  float *after; /* [choice][length][age]: value of leaving so many behind, the oldest so old */
  uint32_t wait_count;
  float wait[MOST_ARRIVALS]; /* probabilities of arrivals in an age step */
  double gain;
} solver;

static uint32_t next_size(uint32_t size, uint32_t most)
{
  if (size == most)
    return 0;
  uint32_t step = 1;
  for (uint32_t octave = EVERY_SIZE; octave <= size; octave *= 2)
    step = octave / PER_OCTAVE;
  return size + step < most ? size + step : most;
}

static uint32_t count_sizes(uint32_t most)
{
  uint32_t count = 0;
  for (uint32_t size = most ? 1 : 0; size; size = next_size(size, most))
    count++;
  return count;
}

qb_status qb__round_policy_init(const qb_context *context, uint32_t batch, qb__round_policy *policy)
{
  const size_t states = (QB__POLICY_LONGEST + 1) * AGES;
  *policy = (qb__round_policy){.batch = batch};
  policy->run = qb__calloc(context, states, sizeof *policy->run);
  policy->value = qb__calloc(context, states, sizeof *policy->value);
  if (policy->run && policy->value)
    return QB_OK;
  qb__round_policy_free(context, policy);
  return QB_ERROR_NO_MEMORY;
}

void qb__round_policy_free(const qb_context *context, qb__round_policy *policy)
{
  qb__free(context, policy->run);
  qb__free(context, policy->value);
  *policy = (qb__round_policy){0};
}

/* Poisson probabilities, as many as matter; returns their number and the first in *first. */
static uint32_t fill_poisson(double mean, float *probability, uint32_t *first)
{
  mean = fmin(mean, MOST_MEAN);
  const double reach = 5 * sqrt(mean) + 6;
  *first = mean > reach ? (uint32_t)(mean - reach) : 0;
  uint32_t count = 0;
  double sum = 0;
  double term = exp(*first * log(fmax(mean, 1e-300)) - mean - lgamma(*first + 1.0));
  while (*first + count < mean || term > CUT) {
    probability[count++] = (float)term;
    sum += term;
    term *= mean / (*first + count);
  }
  for (uint32_t k = 0; k < count; k++)
    probability[k] = (float)(probability[k] / sum);
  return count;
}

/* Only rounds that keep the target when they start with a fresh sample are worth looking at. */
static uint32_t largest_in_time(const qb__round_model *model, uint32_t batch)
{
  while (batch > 0 && model->safe_ns[batch] > model->target_ns)
    batch--;
  return batch;
}

static void fill_choices(solver *s, uint32_t most)
{
  float *free_room = s->probabilities;
  for (uint32_t size = 1; size; size = next_size(size, most)) {
    choice *c = &s->choices[s->choice_count++];
    c->size = size;
    c->round_s = (double)s->model->latency_ns[size] * 1e-9;
    c->safe_s = (double)s->model->safe_ns[size] * 1e-9;
    c->slot_s = c->round_s / s->model->instances;
    c->arrivals = free_room;
    c->arrival_count =
        fill_poisson(s->model->rate_per_s * c->slot_s, free_room, &c->first_arrivals);
    free_room += c->arrival_count;
  }
}

/*
 * The value of a queue of n whose oldest is age_s old. Those that are older than the last age are
 * lost; ages are spread evenly, so a share of them is.
 */
static float value_at(const solver *s, double n, double age_s)
{
  double at = age_s / s->step_s;
  if (at > AGES - 1) {
    n *= (AGES - 1) / at;
    at = AGES - 1;
  }
  n = fmin(n, s->lengths);
  const uint32_t n0 = (uint32_t)n, n1 = n0 < s->lengths ? n0 + 1 : n0;
  const uint32_t a0 = at < AGES - 2 ? (uint32_t)at : AGES - 2;
  const float fn = (float)(n - n0), fa = (float)(at - a0);
  const float *low = s->value + n0 * AGES + a0, *high = s->value + n1 * AGES + a0;
  return (1 - fn) * ((1 - fa) * low[0] + fa * low[1]) + fn * ((1 - fa) * high[0] + fa * high[1]);
}

/* Value, when a slot ends, of queues whose oldest had each of the ages when it began. */
static void fill_slot(solver *s, const choice *c)
{
  for (uint32_t n = 0; n <= s->lengths; n++)
    for (uint32_t j = 0; j < AGES; j++)
      s->slot[n * AGES + j] = value_at(s, n, j * s->step_s + c->slot_s);
}

/* Value of leaving m samples behind when a round of a choice starts. */
static void fill_after(solver *s, const choice *c, float *after)
{
  fill_slot(s, c);
  for (uint32_t m = 0; m <= s->lengths; m++) {
    float *restrict sum = after + m * AGES;
    memset(sum, 0, AGES * sizeof *sum);
    for (uint32_t k = 0; k < c->arrival_count; k++) {
      const uint32_t n = m + c->first_arrivals + k;
      const float *restrict from = s->slot + (n < s->lengths ? n : s->lengths) * AGES;
      const float probability = c->arrivals[k];
      for (uint32_t j = 0; j < AGES; j++)
        sum[j] += probability * from[j];
    }
  }
  /* With nothing left over the oldest is the first of those that arrive in the slot. */
  float empty = 0;
  for (uint32_t k = 0; k < c->arrival_count; k++) {
    const double n = c->first_arrivals + k;
    empty += c->arrivals[k] * value_at(s, n, c->slot_s * n / (n + 1));
  }
  for (uint32_t j = 0; j < AGES; j++)
    after[j] = empty;
}

/* What running a choice earns from a queue of n whose oldest is age_s old. */
static float earn(const solver *s, const choice *c, const float *after, uint32_t n, double age_s)
{
  const double oldest_s = fmin(age_s, s->target_s - c->safe_s);
  const double lost = age_s > oldest_s ? ceil(n * (1 - oldest_s / age_s) - 1e-6) : 0;
  const double left = n - lost, size = fmin(c->size, left), behind = left - size;
  if (size < 1)
    return -INFINITY;
  const double per_sample_s = age_s / n, behind_s = behind * per_sample_s;
  const double mean_s = 0.5 * (oldest_s + behind_s) + c->round_s;
  const double at = fmin(behind_s / s->step_s, AGES - 1.001);
  const uint32_t a = (uint32_t)at;
  const float fa = (float)(at - a), *from = after + (uint32_t)behind * AGES + a;
  return (float)(size * (1 - LATENCY_WEIGHT * mean_s / s->target_s) - s->gain * c->slot_s) +
         (1 - fa) * from[0] + fa * from[1];
}

/* What waiting for an age step earns. */
static float earn_waiting(const solver *s, uint32_t n, uint32_t age)
{
  float sum = (float)(-s->gain * s->step_s);
  for (uint32_t k = 0; k < s->wait_count; k++) {
    const uint32_t length = n + k < s->lengths ? n + k : s->lengths;
    sum += s->wait[k] * s->value[length * AGES + age + 1];
  }
  return sum;
}

/* The best choice in a state: 0 for waiting, else a choice's index + 1. */
static uint32_t best_choice(const solver *s, uint32_t n, uint32_t age, float *value)
{
  const size_t layer = (size_t)(s->lengths + 1) * AGES;
  uint32_t best = 0;
  *value = age + 1 < AGES ? earn_waiting(s, n, age) : -INFINITY;
  for (uint32_t i = 0; i < s->choice_count; i++) {
    /* A choice beyond the queue is all of it; one such is enough. */
    if (i > 0 && s->choices[i - 1].size >= n)
      break;
    const float candidate = earn(s, &s->choices[i], s->after + i * layer, n, age * s->step_s);
    if (candidate > *value) {
      *value = candidate;
      best = i + 1;
    }
  }
  return best;
}

static void fill_all_after(solver *s)
{
  const size_t layer = (size_t)(s->lengths + 1) * AGES;
  for (uint32_t i = 0; i < s->choice_count; i++)
    fill_after(s, &s->choices[i], s->after + i * layer);
}

/*
 * One sweep over all states; returns how far values moved against each other. The gain is moved
 * towards what the reference state says is missing; the time a step takes is at most that of the
 * largest round, so it never overshoots.
 */
static double sweep(solver *s)
{
  const size_t layer = (size_t)(s->lengths + 1) * AGES;
  fill_all_after(s);
  for (uint32_t n = 1; n <= s->lengths; n++)
    for (uint32_t j = 0; j < AGES; j++)
      (void)best_choice(s, n, j, &s->next[n * AGES + j]);
  const float reference = s->next[AGES]; /* one fresh sample */
  double least = INFINITY, most = -INFINITY;
  for (size_t i = AGES; i < layer; i++) {
    const double moved = s->next[i] - s->value[i];
    least = fmin(least, moved);
    most = fmax(most, moved);
    s->value[i] = s->next[i] - reference;
  }
  const double longest_s = s->choices[s->choice_count - 1].slot_s;
  s->gain += 0.5 * (least + most) / longest_s;
  /* Nothing waits: the next sample comes after 1 / rate. */
  const float idle = (float)(s->value[AGES] - s->gain / s->model->rate_per_s);
  for (uint32_t j = 0; j < AGES; j++)
    s->value[j] = idle;
  return fmax(most - least, fabs(most + least));
}

static void solve(solver *s, const qb__round_policy *policy)
{
  memcpy(s->value, policy->value, (size_t)(s->lengths + 1) * AGES * sizeof *s->value);
  for (int i = 0; i < MOST_SWEEPS; i++)
    if (sweep(s) < PRECISION)
      break;
}

static void store(solver *s, qb__round_policy *policy)
{
  fill_all_after(s);
  policy->lengths = s->lengths;
  policy->age_step_ns = s->step_s * 1e9;
  policy->gain_per_s = s->gain;
  memcpy(policy->value, s->value, (size_t)(s->lengths + 1) * AGES * sizeof *s->value);
  for (uint32_t n = 1; n <= s->lengths; n++)
    for (uint32_t j = 0; j < AGES; j++) {
      float ignored;
      const uint32_t best = best_choice(s, n, j, &ignored);
      const uint32_t size = best ? s->choices[best - 1].size : 0;
      policy->run[n * AGES + j] = (uint16_t)(size < n ? size : n);
    }
}

/* The queue's longest: what arrives within the target, and more than two rounds. */
static uint32_t count_lengths(const qb__round_model *model, uint32_t batch)
{
  const double mean = model->rate_per_s * (double)model->target_ns * 1e-9;
  const double longest = fmax(2.0 * batch, mean + 4 * sqrt(mean)) + 1;
  return longest < QB__POLICY_LONGEST ? (uint32_t)longest : QB__POLICY_LONGEST;
}

qb_status qb__round_policy_solve(const qb_context *context, const qb__round_model *model,
                                 qb__round_policy *policy)
{
  const uint32_t most = largest_in_time(model, policy->batch);
  if (!most) { /* no answer can be in time: there is nothing to decide */
    policy->age_step_ns = 0;
    return QB_OK;
  }
  solver s = {.model = model,
              .lengths = count_lengths(model, most),
              .target_s = (double)model->target_ns * 1e-9,
              .gain = policy->gain_per_s};
  s.step_s = fmax(s.target_s - (double)model->safe_ns[1] * 1e-9, 1e-9) / (AGES - 1);
  const size_t sizes = count_sizes(most), layer = (size_t)(s.lengths + 1) * AGES;
  s.choices = qb__calloc(context, sizes, sizeof *s.choices);
  s.probabilities = qb__calloc(context, sizes * MOST_ARRIVALS, sizeof *s.probabilities);
  s.value = qb__calloc(context, (3 + sizes) * layer, sizeof *s.value);
  const bool made = s.choices && s.probabilities && s.value;
  if (made) {
    s.next = s.value + layer;
    s.slot = s.next + layer;
    s.after = s.slot + layer;
    fill_choices(&s, most);
    uint32_t first;
    s.wait_count = fill_poisson(model->rate_per_s * s.step_s, s.wait, &first);
    memmove(s.wait + first, s.wait, s.wait_count * sizeof *s.wait);
    memset(s.wait, 0, first * sizeof *s.wait);
    s.wait_count += first;
    solve(&s, policy);
    store(&s, policy);
  }
  qb__free(context, s.value);
  qb__free(context, s.probabilities);
  qb__free(context, s.choices);
  return made ? QB_OK : QB_ERROR_NO_MEMORY;
}
