/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/search.h"

#include "core/alloc.h"
#include "profile/belief.h"

#include <math.h>
#include <string.h>

/* Targets asked about, over the shortest round of a sample. */
static const double targets[] = {1.5, 2, 3, 5, 8, 12, 20};
enum { TARGETS = sizeof targets / sizeof *targets };

/*
 * The highest rate within each target, the least latency at half of that rate, and the time of a
 * job.
 */
enum { QUESTIONS = 2 * TARGETS + 1, JOB = QUESTIONS - 1 };

/* How single rounds spread where nothing was visited; others' spread counts as OTHERS visits. */
static const double P95_RATIO = 1.1, MEAN_RATIO = 1.03, OTHERS = 2;

/* Of normal values: their 95th percentile, and how much less sure it is than their mean. */
static const double P95_NORMAL = 1.645, P95_LESS_SURE = 2.1;

/* What is known of the spread of rounds before any was seen, in rounds. */
static const double FEWEST_ROUNDS = 4;

/* No point. */
static const size_t NOTHING = SIZE_MAX;

/* Visits that share the cost of opening a split. */
static const double VISITS_OF_AN_OPENING = 3;

struct qb__search {
  const qb_context *context;
  size_t split_count, batch_count, count; /* count: points */
  qb_configuration *splits;
  uint32_t *batches;
  double *prior;         /* logarithm of the expected time; NAN: it cannot be visited */
  qb__search_seen *seen; /* no visits: not yet */
  qb__belief belief;
  bool stale;                     /* the belief and the ratios lag behind `seen` */
  double *p95_ratio, *mean_ratio; /* by point, of single rounds over the latency */
  double *ratio_error;            /* standard error of the logarithm of a mean */
  qb__worth_rounds *rounds;       /* of one draw, by point */
  double *lost;                   /* regret that a point would tell of */
  double *wins;                   /* by point, then question: the share of the draws */
  double target_ns[TARGETS], rate_per_s[TARGETS];
};

static qb_status take_grid(qb__search *s, const qb__search_grid *grid)
{
  qb__place *places = qb__calloc(s->context, s->count, sizeof *places);
  if (!places)
    return QB_ERROR_NO_MEMORY;
  memcpy(s->splits, grid->splits, s->split_count * sizeof *s->splits);
  memcpy(s->batches, grid->batches, s->batch_count * sizeof *s->batches);
  for (size_t k = 0; k < s->split_count; k++)
    for (size_t b = 0; b < s->batch_count; b++) {
      const qb_configuration *c = &s->splits[k];
      const size_t point = k * s->batch_count + b;
      s->rounds[point] = (qb__worth_rounds){c->instances, s->batches[b], 0, 0};
      places[point] = (qb__place){(uint32_t)k, log2(c->threads),
                                  log2((double)c->threads * c->instances), log2(s->batches[b])};
      s->prior[point] = grid->prior_ns[point] > 0 ? log(grid->prior_ns[point]) : NAN;
    }
  s->stale = true;
  const qb_status status = qb__belief_init(&s->belief, s->context, places, s->count);
  qb__free(s->context, places);
  return status;
}

qb_status qb__search_new(const qb_context *context, const qb__search_grid *grid,
                         qb__search **search)
{
  qb__search *s = qb__calloc(context, 1, sizeof *s);
  if (!s)
    return QB_ERROR_NO_MEMORY;
  s->context = context;
  s->split_count = grid->split_count;
  s->batch_count = grid->batch_count;
  s->count = s->split_count * s->batch_count;
  s->splits = qb__calloc(context, s->split_count, sizeof *s->splits);
  s->batches = qb__calloc(context, s->batch_count, sizeof *s->batches);
  s->prior = qb__calloc(context, s->count, sizeof *s->prior);
  s->seen = qb__calloc(context, s->count, sizeof *s->seen);
  s->p95_ratio = qb__calloc(context, s->count, sizeof *s->p95_ratio);
  s->mean_ratio = qb__calloc(context, s->count, sizeof *s->mean_ratio);
  s->ratio_error = qb__calloc(context, s->count, sizeof *s->ratio_error);
  s->rounds = qb__calloc(context, s->count, sizeof *s->rounds);
  s->lost = qb__calloc(context, s->count, sizeof *s->lost);
  s->wins = qb__calloc(context, s->count, QUESTIONS * sizeof *s->wins);
  s->belief.context = context;
  const bool taken = s->splits && s->batches && s->prior && s->seen && s->p95_ratio &&
                     s->mean_ratio && s->ratio_error && s->rounds && s->lost && s->wins;
  const qb_status status = taken ? take_grid(s, grid) : QB_ERROR_NO_MEMORY;
  if (status)
    qb__search_free(s);
  else
    *search = s;
  return status;
}

void qb__search_free(qb__search *search)
{
  if (!search)
    return;
  const qb_context *context = search->context;
  qb__belief_clear(&search->belief);
  qb__free(context, search->wins);
  qb__free(context, search->lost);
  qb__free(context, search->rounds);
  qb__free(context, search->ratio_error);
  qb__free(context, search->mean_ratio);
  qb__free(context, search->p95_ratio);
  qb__free(context, search->seen);
  qb__free(context, search->prior);
  qb__free(context, search->batches);
  qb__free(context, search->splits);
  qb__free(context, search);
}

/* Logarithms of ratios, each counting as often as its point was visited. */
typedef struct ratios {
  double p95, mean, weight;
} ratios;

static void add_ratios(ratios *sum, const qb__search_seen *seen)
{
  if (!seen->visits)
    return;
  sum->p95 += seen->visits * log(seen->p95_ratio);
  sum->mean += seen->visits * log(seen->mean_ratio);
  sum->weight += seen->visits;
}

/* What is known of others, as a start for what is seen of some. */
static ratios lent(const ratios *others)
{
  return (ratios){OTHERS * others->p95 / others->weight, OTHERS * others->mean / others->weight,
                  OTHERS};
}

/* A point goes by its own visits, and as far as it has few by its split's, and those by all. */
static void pool_ratios(qb__search *s)
{
  ratios all = {OTHERS * log(P95_RATIO), OTHERS * log(MEAN_RATIO), OTHERS};
  for (size_t i = 0; i < s->count; i++)
    add_ratios(&all, &s->seen[i]);
  for (size_t first = 0; first < s->count; first += s->batch_count) {
    ratios split = lent(&all);
    for (size_t i = first; i < first + s->batch_count; i++)
      add_ratios(&split, &s->seen[i]);
    for (size_t i = first; i < first + s->batch_count; i++) {
      ratios own = lent(&split);
      add_ratios(&own, &s->seen[i]);
      s->p95_ratio[i] = exp(own.p95 / own.weight);
      s->mean_ratio[i] = exp(own.mean / own.weight);
      s->ratio_error[i] =
          own.p95 / own.weight / P95_NORMAL / sqrt(FEWEST_ROUNDS + s->seen[i].rounds);
    }
  }
}

/* From the start, as a point's measurement replaces the one before; once for all that were learnt. */
static void catch_up(qb__search *s)
{
  if (!s->stale)
    return;
  s->stale = false;
  qb__belief_reset(&s->belief);
  for (size_t i = 0; i < s->count; i++)
    if (s->seen[i].visits)
      qb__belief_observe(&s->belief, i, log(s->seen[i].latency_ns) - s->prior[i], s->seen[i].error);
  pool_ratios(s);
}

void qb__search_learn(qb__search *search, size_t split, size_t batch, const qb__search_seen *seen)
{
  search->seen[split * search->batch_count + batch] = *seen;
  search->stale = true;
}

static double expected_ns(const qb__search *s, size_t point)
{
  return exp(s->prior[point] + s->belief.mean[point]);
}

double qb__search_expected_ns(qb__search *search, size_t split, size_t batch)
{
  catch_up(search);
  return expected_ns(search, split * search->batch_count + batch);
}

static bool may_be_visited(const qb__search *s, size_t point)
{
  return !isnan(s->prior[point]);
}

/* Rounds as a draw has them; with a stream of luck, also otherwise spread than was seen. */
static void imagine(qb__search *s, const double *draw, const uint64_t *stream)
{
  for (size_t i = 0; i < s->count; i++) {
    const double ns = exp(s->prior[i] + draw[i]);
    const double off = stream ? qb__belief_normal(*stream, i) * s->ratio_error[i] : 0;
    s->rounds[i].mean_ns = ns * s->mean_ratio[i] * exp(off);
    s->rounds[i].p95_ns = ns * s->p95_ratio[i] * exp(P95_LESS_SURE * off);
  }
}

/* Rounds as plans would find them in the profile: as they were measured, in however few visits. */
static void take_measured(qb__search *s)
{
  imagine(s, s->belief.mean, NULL);
  for (size_t i = 0; i < s->count; i++)
    if (s->seen[i].visits) {
      s->rounds[i].mean_ns = s->seen[i].latency_ns * s->mean_ratio[i];
      s->rounds[i].p95_ns = s->seen[i].latency_ns * s->p95_ratio[i];
    }
}

/* More is better. */
static double worth(const qb__search *s, size_t question, size_t point)
{
  if (!may_be_visited(s, point))
    return 0;
  const qb__worth_rounds *rounds = &s->rounds[point];
  return question == JOB      ? qb__worth_throughput(rounds)
         : question < TARGETS ? qb__worth_rate(rounds, s->target_ns[question])
                              : 1 / qb__worth_latency_ns(rounds, s->rate_per_s[question - TARGETS]);
}

/* What plans choose by; of jobs that is no worth, but what is sure of it. */
static double preference(const qb__search *s, size_t question, size_t point, double error)
{
  return question == JOB && may_be_visited(s, point)
             ? qb__worth_sure_throughput(&s->rounds[point], error)
             : worth(s, question, point);
}

static size_t answer(const qb__search *s, size_t question)
{
  size_t best = 0;
  double most = -1;
  for (size_t i = 0; i < s->count; i++) {
    const double value = preference(s, question, i, 0);
    if (value > most) {
      most = value;
      best = i;
    }
  }
  return best;
}

/* What plans of the profile would choose, which has each split up to its largest measured batch. */
static size_t planned_answer(const qb__search *s, size_t question)
{
  size_t best = NOTHING;
  double most = 0;
  for (size_t first = 0; first < s->count; first += s->batch_count) {
    size_t end = first + s->batch_count;
    while (end > first && !s->seen[end - 1].visits)
      end--;
    for (size_t i = first; i < end; i++) {
      const double error = s->seen[i].visits ? s->seen[i].error : qb__belief_error(&s->belief, i);
      const double value = preference(s, question, i, error);
      if (value > most) {
        most = value;
        best = i;
      }
    }
  }
  return best;
}

/* Targets and rates are made of the expected times. */
static void ask(qb__search *s)
{
  imagine(s, s->belief.mean, NULL);
  double shortest_ns = INFINITY;
  for (size_t k = 0; k < s->split_count; k++)
    if (may_be_visited(s, k * s->batch_count))
      shortest_ns = fmin(shortest_ns, expected_ns(s, k * s->batch_count));
  for (size_t t = 0; t < TARGETS; t++) {
    s->target_ns[t] = targets[t] * shortest_ns;
    s->rate_per_s[t] = worth(s, t, answer(s, t)) / 2;
  }
}

/* Fills in what today's plans are expected to lose, and how often each point is the best answer. */
static void weigh(qb__search *s, qb__search_choice *choice)
{
  size_t answers[QUESTIONS];
  double regret[QUESTIONS] = {0};
  const double each = 1.0 / QB__DRAWS;
  ask(s);
  take_measured(s);
  for (size_t q = 0; q < QUESTIONS; q++)
    answers[q] = planned_answer(s, q);
  memset(s->lost, 0, s->count * sizeof *s->lost);
  memset(s->wins, 0, s->count * QUESTIONS * sizeof *s->wins);
  for (uint64_t d = 0; d < QB__DRAWS; d++) {
    const uint64_t luck = 2 * QB__DRAWS + 1 + d;
    imagine(s, s->belief.draws + d * s->count, &luck);
    for (size_t q = 0; q < QUESTIONS; q++) {
      const size_t best = answer(s, q);
      const double most = worth(s, q, best);
      const double gained = answers[q] == NOTHING ? 0 : worth(s, q, answers[q]);
      const double missed = most > 0 ? each * fmax(1 - gained / most, 0) : 0;
      regret[q] += missed;
      s->lost[best] += missed;
      if (answers[q] != NOTHING)
        s->lost[answers[q]] += missed;
      s->wins[best * QUESTIONS + q] += each;
    }
  }
  for (size_t q = 0; q < QUESTIONS; q++) {
    if (answers[q] != NOTHING)
      s->wins[answers[q] * QUESTIONS + q] = 1; /* today's answer in any case */
    choice->mean_regret += regret[q] / QUESTIONS;
    choice->worst_regret = fmax(choice->worst_regret, regret[q]);
  }
}

/* The part of the regret that a visit would resolve. */
static double told_by(const qb__search *s, size_t point)
{
  const qb__search_seen *seen = &s->seen[point];
  const double error = fmax(QB__VISIT_ERROR, seen->error * sqrt(seen->visits));
  double told = 0;
  for (size_t i = 0; i < s->count; i++)
    if (s->lost[i] > 0)
      told += s->lost[i] * fmax(qb__belief_learnt(&s->belief, point, error, i),
                                i == point ? 1 / (1.0 + seen->visits) : 0);
  return told;
}

static double cost_of(const qb__search *s, size_t point, size_t open, const qb__search_cost *cost)
{
  return fmax(cost->visit_ns, expected_ns(s, point)) +
         (point / s->batch_count == open ? 0 : cost->opening_ns / VISITS_OF_AN_OPENING);
}

bool qb__search_next(qb__search *search, size_t open, const qb__search_cost *cost,
                     qb__search_choice *choice)
{
  catch_up(search);
  *choice = (qb__search_choice){.split = SIZE_MAX};
  weigh(search, choice);
  double most = -1;
  for (size_t i = 0; i < search->count; i++) {
    const double cost_ns = may_be_visited(search, i) ? cost_of(search, i, open, cost) : INFINITY;
    const double value = cost_ns <= cost->most_ns ? told_by(search, i) / cost_ns : -1;
    if (value > most) {
      most = value;
      choice->split = i / search->batch_count;
      choice->batch = i % search->batch_count;
      choice->cost_ns = cost_ns;
    }
  }
  return most >= 0;
}

double qb__search_hope(const qb__search *search, size_t split)
{
  double hope = 0;
  for (size_t q = 0; q < QUESTIONS; q++) {
    double wins = 0;
    for (size_t b = 0; b < search->batch_count; b++)
      wins += search->wins[(split * search->batch_count + b) * QUESTIONS + q];
    hope = fmax(hope, fmin(wins, 1));
  }
  return hope;
}

double qb__search_weight(const qb__search *search, size_t split, size_t batch)
{
  const double *wins = search->wins + (split * search->batch_count + batch) * QUESTIONS;
  double weight = 0;
  for (size_t q = 0; q < QUESTIONS; q++)
    weight += wins[q];
  return weight;
}
