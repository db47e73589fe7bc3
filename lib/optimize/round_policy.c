/* SPDX-License-Identifier: Apache-2.0 */
#include "optimize/round_policy.h"

#include "core/alloc.h"
#include "optimize/round_reward.h"
#include "queue/poisson.h"
#include "queue/size_ladder.h"

#include <math.h>
#include <string.h>

/* Where late samples run, too, ages are told apart up to this, in targets. */
static const double OLDEST = 1.5;
/* Rates that are solved for, as shares of the most that can be answered in time. */
static const double shares[QB__POLICY_RATES] = {0.1, 0.35, 0.65, 1, 1.5};
/* Where all is answered, only as long as there is a long run. */
static const double kept_shares[QB__POLICY_RATES] = {0.1, 0.4, 0.7, 0.87, 0.95};
/*
 * Iteration ends when values move less than this, in answers, or after so many sweeps. A refresh
 * begins near the solution and has to be quick: it ends after so many choices, but not before so
 * many sweeps.
 */
static const float PRECISION = 2e-3f;
enum { MOST_SWEEPS = 400, WARM_SWEEPS = 16, WARM_CHOICES = 1000000, AGES = QB__POLICY_AGES };

/* A size of a round that leaves samples behind, and what it is from each length and age. */
typedef struct size_of_round {
  uint32_t size;
  float *earned; /* [length][age]: by the round itself; -INFINITY: impossible */
  float *behind_age;
  uint16_t *behind; /* samples that are left */
  float *after;     /* value of [samples left][their oldest's age when the round starts] */
} size_of_round;

typedef struct solver {
  const qb__round_problem *problem;
  uint32_t batch, lengths;
  size_t states;
  double rate_per_s, capacity_per_s, most_per_s, target_s, step_s;
  uint32_t size_count;
  size_of_round sizes[QB__POLICY_SIZES];
  float *all_earned;       /* [length][age]: by a round of all that can be in time */
  uint16_t *all_size;      /* how many those are */
  float *slot_s;           /* [size]: until an instance is free again */
  float *value_after_all;  /* [size]: of having left none behind */
  float *value, *improved; /* [length][age] */
  float *next_value; /* [length][age]: when some time ends with that length, begun at this age */
  float *waited;     /* [length][age]: of waiting for an age step */
  qb__poisson wait;  /* arrivals in an age step */
  qb__poisson scratch;
  size_t reference; /* the state whose value stays 0 */
  float gain;
  float tail_cost; /* what each sample beyond the longest queue costs */
} solver;

qb_status qb__round_policy_init(const qb_context *context, uint32_t batch, qb__round_policy *policy)
{
  *policy = (qb__round_policy){.batch = batch};
  size_t sizes = 0;
  for (uint32_t size = 1; size; size = qb__next_size(size, batch, QB__POLICY_PER_OCTAVE))
    sizes++;
  const size_t left = sizes * QB__POLICY_STATES, count = left + batch + 1;
  policy->table = qb__calloc(context, QB__POLICY_RATES, sizeof *policy->table);
  policy->values = qb__calloc(context, QB__POLICY_RATES * count, sizeof *policy->values);
  if (!policy->table || !policy->values) {
    qb__round_policy_free(context, policy);
    return QB_ERROR_NO_MEMORY;
  }
  for (int i = 0; i < QB__POLICY_RATES; i++) {
    policy->table[i].value_left = policy->values + (size_t)i * count;
    policy->table[i].value_empty = policy->table[i].value_left + left;
  }
  return QB_OK;
}

void qb__round_policy_begin_at(const qb__round_policy *solved, qb__round_policy *policy)
{
  policy->lengths = solved->lengths;
  for (int i = 0; i < QB__POLICY_RATES; i++) {
    const qb__rate_table *from = &solved->table[i];
    qb__rate_table *to = &policy->table[i];
    to->rate_per_s = from->rate_per_s;
    to->gain_per_s = from->gain_per_s;
    memcpy(to->value, from->value, sizeof to->value);
  }
}

void qb__round_policy_free(const qb_context *context, qb__round_policy *policy)
{
  qb__free(context, policy->values);
  qb__free(context, policy->table);
  *policy = (qb__round_policy){0};
}

static double seconds(int64_t ns)
{
  return (double)ns * 1e-9;
}

/* Only rounds that keep the target when they start with a fresh sample are worth looking at. */
static uint32_t largest_in_time(const qb__round_problem *problem, uint32_t batch)
{
  while (batch > 0 && problem->latency_ns[batch] > problem->target_ns)
    batch--;
  return batch;
}

/* Samples per second of rounds of n. */
static double throughput_per_s(const qb__round_problem *problem, uint32_t n)
{
  return problem->instances * n / seconds(problem->latency_ns[n]);
}

/* Of rounds of 1..most the one that answers most samples per second. */
static uint32_t fastest(const qb__round_problem *problem, uint32_t most)
{
  uint32_t best = 1;
  for (uint32_t n = 2; n <= most; n++)
    if (throughput_per_s(problem, n) > throughput_per_s(problem, best))
      best = n;
  return best;
}

/* How many of n samples, their ages spread evenly, are too late for a round of `size`. */
static double too_late(const solver *s, double n, double age_s, uint32_t size)
{
  return qb__even_late(n, age_s, s->target_s - seconds(s->problem->latency_ns[size]));
}

/* How many of n samples are given up before a round of `size`. */
static double given_up(const solver *s, double n, double age_s, uint32_t size)
{
  return s->problem->shed ? too_late(s, n, age_s, size) : 0;
}

/* What a round that starts `lost` behind the oldest earns by itself. */
static float earned(const solver *s, double n, double age_s, double lost, uint32_t size)
{
  const double mean_age_s = age_s * (1 - (lost + 0.5 * (size - 1)) / n);
  const double latency_s = mean_age_s + seconds(s->problem->latency_ns[size]);
  const double late = fmin(too_late(s, n, age_s, size) - lost, size);
  return (float)qb__reward(size, late, size * latency_s / s->target_s);
}

static void fill_size(const solver *s, size_of_round *r)
{
  for (uint32_t n = 1; n <= s->lengths; n++)
    for (uint32_t j = 0; j < AGES; j++) {
      const uint32_t at = n * AGES + j;
      const double age_s = j * s->step_s, lost = given_up(s, n, age_s, r->size);
      const double behind = n - lost - r->size;
      r->earned[at] = behind > 0 ? earned(s, n, age_s, lost, r->size) : -INFINITY;
      r->behind[at] = behind > 0 ? (uint16_t)behind : 0;
      r->behind_age[at] = behind > 0 ? (float)fmin(j * behind / n, AGES - 1.001) : 0;
    }
}

static void fill_all(const solver *s)
{
  for (uint32_t n = 1; n <= s->lengths; n++)
    for (uint32_t j = 0; j < AGES; j++) {
      const double age_s = j * s->step_s;
      uint32_t size = n < s->batch ? n : s->batch;
      double lost = given_up(s, n, age_s, size);
      while (size > 1 && n - lost < size) /* a smaller round is in time for more */
        lost = given_up(s, n, age_s, --size);
      /* Beyond the batch, some would be left: that is another choice. */
      const bool last = s->problem->shed && n == s->lengths;
      const bool possible = n - lost >= 1 && (n - lost <= size || last);
      s->all_earned[n * AGES + j] = possible ? earned(s, n, age_s, lost, size) : -INFINITY;
      s->all_size[n * AGES + j] = (uint16_t)size;
    }
}

/*
 * The value of a queue of n whose oldest has this age (in steps). With shedding
 * those older than the last age are lost; ages are spread evenly, so a share of them is.
 */
static float value_at(const solver *s, float n, float age)
{
  if (age > AGES - 1) {
    if (s->problem->shed)
      n *= (AGES - 1) / age;
    age = AGES - 1;
  }
  float beyond = 0;
  if (n > (float)s->lengths) {
    beyond = s->tail_cost * (n - (float)s->lengths);
    n = (float)s->lengths;
  }
  const uint32_t n0 = (uint32_t)n, n1 = n0 < s->lengths ? n0 + 1 : n0;
  const uint32_t a0 = age < AGES - 2 ? (uint32_t)age : AGES - 2;
  const float fn = n - (float)n0, fa = age - (float)a0;
  const float *low = s->value + n0 * AGES + a0, *high = s->value + n1 * AGES + a0;
  return (1 - fn) * (low[0] + fa * (low[1] - low[0])) + fn * (high[0] + fa * (high[1] - high[0])) -
         beyond;
}

/* The expected next_value of a queue that grows by these arrivals meanwhile. */
static void expect_arrivals(const solver *s, const qb__poisson *arrivals, float *value)
{
  const float *last = s->next_value + s->lengths * AGES;
  for (uint32_t m = 1; m <= s->lengths; m++) {
    float sum[AGES] = {0};
    const uint32_t first = m + arrivals->first;
    const uint32_t room = first <= s->lengths ? s->lengths - first + 1 : 0;
    const uint32_t within = room < arrivals->count ? room : arrivals->count;
    const float *from = s->next_value + (size_t)first * AGES;
    for (uint32_t k = 0; k < within; k++, from += AGES) {
      const float probability = arrivals->probability[k];
      for (uint32_t j = 0; j < AGES; j++)
        sum[j] += probability * from[j];
    }
    float left = 0, beyond = 0;
    for (uint32_t k = within; k < arrivals->count; k++) {
      left += arrivals->probability[k];
      beyond += arrivals->probability[k] * (float)(first + k - s->lengths);
    }
    float *to = value + m * AGES;
    for (uint32_t j = 0; j < AGES; j++)
      to[j] = sum[j] + left * last[j] - s->tail_cost * beyond;
  }
}

/* The value of leaving m samples behind when a round starts. */
static void fill_after(solver *s, size_of_round *r)
{
  const float slot = s->slot_s[r->size] / (float)s->step_s;
  /* Ages that stay within the known ones need no look at the length. */
  const uint32_t whole = (uint32_t)fminf(slot, AGES),
                 within = whole < AGES - 1 ? AGES - 1 - whole : 0;
  const float part = slot - (float)whole;
  for (uint32_t n = 0; n <= s->lengths; n++) {
    float *restrict to = s->next_value + n * AGES;
    const float *restrict from = s->value + n * AGES + whole;
    for (uint32_t j = 0; j < within; j++)
      to[j] = from[j] + part * (from[j + 1] - from[j]);
    for (uint32_t j = within; j < AGES; j++)
      to[j] = value_at(s, (float)n, (float)j + slot);
  }
  qb__poisson_fill(s->rate_per_s * s->slot_s[r->size], &s->scratch);
  expect_arrivals(s, &s->scratch, r->after);
  for (size_t i = AGES; i < s->states; i++)
    r->after[i] -= s->gain * s->slot_s[r->size];
}

/* With nothing left behind the oldest is the first of those that arrive in the slot. */
static void fill_value_after_all(solver *s)
{
  for (uint32_t size = 1; size <= s->batch; size++) {
    const float slot = s->slot_s[size] / (float)s->step_s;
    qb__poisson_fill(s->rate_per_s * s->slot_s[size], &s->scratch);
    float sum = 0;
    for (uint32_t k = 0; k < s->scratch.count; k++) {
      const float n = (float)(s->scratch.first + k);
      sum += s->scratch.probability[k] * value_at(s, n, slot * n / (n + 1));
    }
    s->value_after_all[size] = sum - s->gain * s->slot_s[size];
  }
}

static void fill_waiting(solver *s)
{
  for (uint32_t n = 0; n <= s->lengths; n++)
    memcpy(s->next_value + n * AGES, s->value + n * AGES + 1, (AGES - 1) * sizeof *s->next_value);
  expect_arrivals(s, &s->wait, s->waited);
}

static void fill_values(solver *s)
{
  for (uint32_t i = 0; i < s->size_count; i++)
    fill_after(s, &s->sizes[i]);
  fill_value_after_all(s);
  fill_waiting(s);
}

/* The best choice in a state. */
static uint32_t best_choice(const solver *s, uint32_t n, uint32_t age, float *value)
{
  const uint32_t at = n * AGES + age;
  uint32_t best = QB__POLICY_ALL, first = 0;
  *value = s->all_earned[at] + s->value_after_all[s->all_size[at]];
  /* The problem sees no further than this: a queue that may be longer has to become shorter. */
  if (!s->problem->shed && (n == s->lengths || age == AGES - 1))
    first = s->size_count - 1;
  for (uint32_t i = first; i < s->size_count && s->sizes[i].size < n; i++) {
    const size_of_round *r = &s->sizes[i];
    const uint32_t a = (uint32_t)r->behind_age[at];
    const float *after = r->after + r->behind[at] * AGES + a;
    const float fa = r->behind_age[at] - (float)a;
    const float candidate = r->earned[at] + after[0] + fa * (after[1] - after[0]);
    if (candidate > *value) {
      *value = candidate;
      best = r->size;
    }
  }
  if (first || age + 1 == AGES)
    return best;
  const float waiting = s->waited[at] - s->gain * (float)s->step_s;
  if (waiting > *value) {
    *value = waiting;
    best = 0;
  }
  return best;
}

/*
 * One sweep over all states; returns how far values moved against each other. The reference, whose
 * value is 0, moves by what the gain is off by, for the time until it comes again: at least a round
 * and the wait for the next sample, so that the gain does not overshoot.
 */
static float sweep(solver *s)
{
  fill_values(s);
  for (uint32_t n = 1; n <= s->lengths; n++)
    for (uint32_t j = 0; j < AGES; j++)
      (void)best_choice(s, n, j, &s->improved[n * AGES + j]);
  const float reference = s->improved[s->reference], off = reference - s->value[s->reference];
  float least = INFINITY, most = -INFINITY;
  for (size_t i = AGES; i < s->states; i++) {
    const float moved = s->improved[i] - s->value[i];
    least = moved < least ? moved : least;
    most = moved > most ? moved : most;
    s->value[i] = s->improved[i] - reference;
  }
  s->gain += off / (s->slot_s[s->batch] + 1 / (float)s->rate_per_s);
  /* Nothing waits: the next sample comes after 1 / rate. */
  const float idle = s->value[AGES] - s->gain / (float)s->rate_per_s;
  for (uint32_t j = 0; j < AGES; j++)
    s->value[j] = idle;
  return fmaxf(most - least, fabsf(off));
}

/*
 * A state that comes again and again: what arrives while a round of as many runs. One that is
 * seldom seen would be slow to tell what the gain is.
 */
static size_t usual_state(const solver *s)
{
  uint32_t size = 1;
  while (size < s->batch && s->rate_per_s * s->slot_s[size] > size)
    size++;
  const double arriving = s->rate_per_s * s->slot_s[size];
  const double length = fmin(fmax(arriving, size), s->lengths);
  const double age = arriving > 1 ? fmin(s->slot_s[size] / s->step_s, AGES - 1) : 0;
  return (size_t)length * AGES + (size_t)age;
}

static void solve_table(solver *s, uint32_t known, qb__rate_table *table)
{
  const size_t bytes = s->states * sizeof *s->value;
  /* A solution for other times, of queues up to `known`, is near already: rates and gains scale
   * with the capacity. */
  int most_sweeps = MOST_SWEEPS;
  if (table->gain_per_s > 0) {
    const double sweeps = WARM_CHOICES / ((double)s->states * (s->size_count + 2));
    most_sweeps = (int)fmin(fmax(sweeps, WARM_SWEEPS), MOST_SWEEPS);
    for (uint32_t n = 0; n <= s->lengths; n++)
      memcpy(s->value + n * AGES, table->value + (n < known ? n : known) * AGES,
             AGES * sizeof *s->value);
    s->gain = (float)(table->gain_per_s * s->rate_per_s / table->rate_per_s);
  } else { /* values are what the table before ended with */
    const double latency = 2 * seconds(s->problem->latency_ns[1]) / s->target_s;
    const bool light = s->gain == 0 || s->rate_per_s < 0.7 * s->capacity_per_s;
    s->gain = light ? (float)(s->rate_per_s * (1 - QB__LATENCY_WEIGHT * latency)) : 1.2f * s->gain;
  }
  qb__poisson_fill(s->rate_per_s * s->step_s, &s->wait);
  s->reference = usual_state(s);
  for (int i = 0; i < most_sweeps; i++) {
    /* The longest queues only become shorter, and that takes each sample's part of the difference.
     */
    s->tail_cost = s->problem->shed ? 0 : s->gain / (float)(s->most_per_s - s->rate_per_s);
    if (sweep(s) < PRECISION)
      break;
  }
  table->rate_per_s = s->rate_per_s;
  table->gain_per_s = s->gain;
  memcpy(table->value, s->value, bytes);
  fill_values(s);
  for (uint32_t n = 1; n <= s->lengths; n++)
    for (uint32_t j = 0; j < AGES; j++) {
      float ignored;
      table->run[n * AGES + j] = (uint16_t)best_choice(s, n, j, &ignored);
    }
  for (uint32_t i = 0; i < s->size_count; i++)
    memcpy(table->value_left + i * s->states, s->sizes[i].after, bytes);
  memcpy(table->value_empty, s->value_after_all,
         ((size_t)s->batch + 1) * sizeof *table->value_empty);
  table->exact_ages = true;
}

/* Points everything into one block of floats and one of counts; both NULL: only counts them. */
static void place(solver *s, float *floats, uint16_t *counts, size_t *float_count,
                  size_t *count_count)
{
  size_t f = 0, c = 0;
  s->size_count = 0;
  for (uint32_t size = 1; size; size = qb__next_size(size, s->batch, QB__POLICY_PER_OCTAVE)) {
    size_of_round *r = &s->sizes[s->size_count++];
    r->size = size;
    if (floats) {
      r->earned = floats + f;
      r->behind_age = r->earned + s->states;
      r->after = r->behind_age + s->states;
      r->behind = counts + c;
    }
    f += 3 * s->states;
    c += s->states;
  }
  if (floats) {
    s->all_earned = floats + f;
    s->next_value = s->all_earned + s->states;
    s->waited = s->next_value + s->states;
    s->value = s->waited + s->states;
    s->improved = s->value + s->states;
    s->slot_s = s->improved + s->states;
    s->value_after_all = s->slot_s + s->batch + 1;
    s->all_size = counts + c;
  }
  *float_count = f + 5 * s->states + 2 * ((size_t)s->batch + 1);
  *count_count = c + s->states;
}

static void fill_tables(solver *s)
{
  for (uint32_t n = 1; n <= s->batch; n++)
    s->slot_s[n] = (float)(seconds(s->problem->latency_ns[n]) / s->problem->instances);
  for (uint32_t i = 0; i < s->size_count; i++)
    fill_size(s, &s->sizes[i]);
  fill_all(s);
}

qb_status qb__round_policy_solve(const qb_context *context, const qb__round_problem *problem,
                                 qb__round_policy *policy)
{
  const uint32_t most = largest_in_time(problem, policy->batch);
  if (!most) { /* no answer can be in time: there is nothing to decide */
    policy->age_step_ns = 0;
    return QB_OK;
  }
  solver *s = qb__calloc(context, 1, sizeof *s);
  if (!s)
    return QB_ERROR_NO_MEMORY;
  const double capacity = throughput_per_s(problem, fastest(problem, most));
  const double longest = fmax(2.0 * most, 1.5 * capacity * seconds(problem->target_ns)) + 2;
  s->problem = problem;
  s->capacity_per_s = capacity;
  s->batch = problem->shed ? most : fastest(problem, policy->batch);
  s->most_per_s = throughput_per_s(problem, s->batch);
  s->lengths = longest < QB__POLICY_LONGEST ? (uint32_t)longest : QB__POLICY_LONGEST;
  s->states = (size_t)(s->lengths + 1) * AGES;
  s->target_s = seconds(problem->target_ns);
  const double oldest_s =
      problem->shed ? s->target_s - seconds(problem->latency_ns[1]) : OLDEST * s->target_s;
  s->step_s = fmax(oldest_s, 1e-9) / (AGES - 1);
  size_t float_count, count_count;
  place(s, NULL, NULL, &float_count, &count_count);
  float *floats = qb__calloc(context, float_count, sizeof *floats);
  uint16_t *counts = qb__calloc(context, count_count, sizeof *counts);
  const bool made = floats && counts;
  if (made) {
    place(s, floats, counts, &float_count, &count_count);
    fill_tables(s);
    const uint32_t known = policy->lengths;
    policy->most = s->batch;
    policy->lengths = s->lengths;
    policy->age_step_ns = s->step_s * 1e9;
    policy->size_count = s->size_count;
    for (uint32_t i = 0; i < s->size_count; i++)
      policy->sizes[i] = s->sizes[i].size;
    for (int i = 0; i < QB__POLICY_RATES; i++) {
      s->rate_per_s = (problem->shed ? shares : kept_shares)[i] * capacity;
      solve_table(s, known, &policy->table[i]);
    }
  }
  qb__free(context, counts);
  qb__free(context, floats);
  qb__free(context, s);
  return made ? QB_OK : QB_ERROR_NO_MEMORY;
}
