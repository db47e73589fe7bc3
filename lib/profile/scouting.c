/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/scouting.h"

#include "core/alloc.h"
#include "core/hooks.h"
#include "profile/visits.h"

#include <math.h>
#include <stdint.h>

/* What first looks may take of the time, and until when candidates on fewer cores get theirs. */
static const double LOOKS = 0.7, LOOKS_AT_OTHERS = 0.4;

/* No answer that is still open would gain more than this: in the mean, and in one question. */
static const double SETTLED_MEAN = 0.005, SETTLED_WORST = 0.02;

/* Worth a word to the host, when the time is over. */
static const double WORTH_TELLING = 0.05;

/* Less likely to be the best answer to any question: not measured further. */
static const double HOPELESS = 0.1;

/* What a point counts for that answers no question, as the curve goes through it. */
static const double CURVE_WEIGHT = 0.1;

/* The most that one visit may take of the time that there is. */
static const double LARGEST_VISIT = 0.25;

/* What getting ready may take of the sessions. */
static const double GETTING_READY = 0.5;

/* Opening a configuration, before one was. */
static const double AN_OPENING_NS = 5e8;

/* Sessions differ by this much, however alike the visits of one are. */
static const double LEAST_ERROR = 0.01;

static int64_t elapsed_ns(const qb__scouting *x)
{
  return qb__now_ns(x->sweep->context) - x->start_ns;
}

static double left_ns(const qb__scouting *x)
{
  return (double)(x->share_ns - elapsed_ns(x));
}

static size_t index_of_batch(const qb__sweep *s, uint32_t batch)
{
  size_t b = 0;
  while (b + 1 < s->batch_count && s->batches[b] < batch)
    b++;
  return b;
}

static bool is_candidate(const qb__sweep *s, size_t curve, size_t b)
{
  return s->prior_ns[curve * s->batch_count + b] > 0;
}

static size_t largest_of(const qb__sweep *s, size_t curve)
{
  size_t b = s->batch_count - 1;
  while (b > 0 && !is_candidate(s, curve, b))
    b--;
  return b;
}

static size_t smallest_of(const qb__sweep *s, size_t curve)
{
  size_t b = 0;
  while (b + 1 < s->batch_count && !is_candidate(s, curve, b))
    b++;
  return b;
}

/* Tells the search of a point, if it is one of the grid's. */
static void learn(const qb__scouting *x, size_t curve, const qb__record *record)
{
  const qb_profile_point joined = qb__record_joined(record), *p = &joined;
  const qb__sweep *s = x->sweep;
  const size_t b = index_of_batch(s, p->batch);
  if (s->batches[b] != p->batch || !is_candidate(s, curve, b))
    return;
  const uint32_t visits = qb__visits_of(p);
  const double width = log((double)p->high_ns / (double)p->low_ns) / (2 * 1.96);
  const double least = visits < 3 ? QB__VISIT_ERROR / sqrt(visits) : LEAST_ERROR;
  uint32_t rounds = visits;
  for (size_t i = 0; i < record->visit_count; i++)
    rounds += (uint32_t)record->visits[i].round_count - 1;
  const qb__search_seen seen = {visits,
                                rounds,
                                (double)p->latency_ns,
                                fmax(width, least),
                                (double)p->p95_ns / (double)p->latency_ns,
                                (double)p->mean_ns / (double)p->latency_ns};
  qb__search_learn(x->search, curve, b, &seen);
}

/* All that was visited, or is known. */
static void learn_all(const qb__scouting *x)
{
  const qb__sweep *s = x->sweep;
  for (size_t k = 0; k < s->curve_count; k++)
    for (size_t i = 0; i < s->curves[k].count; i++)
      if (qb__visits_of(&s->curves[k].records[i].point))
        learn(x, k, &s->curves[k].records[i]);
}

/* The smallest batch size is made ready with it, for rounds of it to come before others. */
static qb_status open_curve(qb__scouting *x, size_t curve)
{
  qb__sweep *s = x->sweep;
  if (x->open == curve)
    return QB_OK;
  s->visitor->close(s->user);
  x->open = SIZE_MAX;
  qb__record *record;
  qb_status status =
      qb__points_find(s->context, &s->curves[curve], s->batches[smallest_of(s, curve)], &record);
  if (!status)
    status = qb__visits_tell(s, QB_PHASE_PREPARE, &record->point, x->from);
  if (!status)
    status = s->visitor->open(s->user, s->first + curve, s->batches[largest_of(s, curve)]);
  if (!status)
    status = s->visitor->prepare(s->user, &record->point);
  if (status)
    return status;
  x->open = curve;
  x->openings++;
  return QB_OK;
}

static qb_status scout_point(qb__scouting *x, size_t curve, size_t b)
{
  qb__sweep *s = x->sweep;
  qb__points *c = &s->curves[curve];
  qb__record *record;
  qb_status status = open_curve(x, curve);
  if (!status)
    status = qb__points_find(s->context, c, s->batches[b], &record);
  if (!status)
    status = qb__visits_tell(s, QB_PHASE_MEASURE, &record->point,
                             x->from + x->part * (double)elapsed_ns(x) / (double)x->share_ns);
  if (!status)
    status = s->visitor->prepare(s->user, &record->point);
  if (!status)
    status = qb__visits_add(s, record, s->batches[smallest_of(s, curve)]);
  if (!status)
    status = qb__record_finish(s->context, record, c->thread_flops_per_s);
  if (status)
    return status;
  x->visiting_ns += record->visit_ns;
  x->opening_ns = (double)(elapsed_ns(x) - x->visiting_ns) / (double)x->openings;
  learn(x, curve, record);
  return QB_OK;
}

/* The largest batch size of which a round is expected to take no longer. */
static size_t largest_within(const qb__scouting *x, size_t curve, double most_ns)
{
  size_t largest = 0;
  for (size_t b = 0; b < x->sweep->batch_count; b++)
    if (is_candidate(x->sweep, curve, b) && qb__search_expected_ns(x->search, curve, b) <= most_ns)
      largest = b;
  return largest;
}

/*
 * A first look at a candidate: a sample alone, three times if that is short, for a neighbour's burst
 * to be told from it, and in between a few and as many as there is time for.
 */
static qb_status look_at(qb__scouting *x, size_t curve)
{
  const qb__sweep *s = x->sweep;
  const double share_ns = LOOKS * (double)x->share_ns / (double)s->curve_count;
  const double most_ns = fmax(share_ns - x->opening_ns, share_ns / 2) / 2;
  const size_t one = smallest_of(s, curve), few = index_of_batch(s, 4);
  qb_status status = scout_point(x, curve, one);
  const size_t many = largest_within(x, curve, most_ns);
  const bool often = qb__search_expected_ns(x->search, curve, one) <= most_ns / 2;
  if (!status && few > one && few <= many && is_candidate(s, curve, few))
    status = scout_point(x, curve, few);
  if (!status && often)
    status = scout_point(x, curve, one);
  if (!status && many > few)
    status = scout_point(x, curve, many);
  if (!status && often)
    status = scout_point(x, curve, one);
  return status;
}

static uint32_t threads_of(const qb__points *curve)
{
  return curve->configuration.instances * curve->configuration.threads;
}

/* Candidates of which nothing is known: those on all cores first, the others while there is time. */
static qb_status look_at_all(qb__scouting *x)
{
  const qb__sweep *s = x->sweep;
  uint32_t most = 0;
  for (size_t k = 0; k < s->curve_count; k++)
    most = threads_of(&s->curves[k]) > most ? threads_of(&s->curves[k]) : most;
  qb_status status = QB_OK;
  for (int others = 0; others < 2; others++) {
    const double until_ns = (others ? LOOKS_AT_OTHERS : LOOKS) * (double)x->share_ns;
    for (size_t k = 0; k < s->curve_count && !status; k++)
      if (others == (threads_of(&s->curves[k]) < most) && !s->curves[k].count &&
          (double)elapsed_ns(x) < until_ns)
        status = look_at(x, k);
  }
  return status;
}

static bool find_next(const qb__scouting *x, double most_ns, qb__search_choice *next)
{
  const qb__search_cost cost = {QB__VISIT_NS, x->opening_ns, most_ns};
  return qb__search_next(x->search, x->open, &cost, next);
}

/* Then what may change an answer, until nothing does or the time is over. */
static qb_status settle(qb__scouting *x)
{
  const qb__sweep *s = x->sweep;
  qb__search_choice next;
  qb_status status = QB_OK;
  while (!status && find_next(x, fmin(left_ns(x), LARGEST_VISIT * (double)x->share_ns), &next) &&
         (next.mean_regret >= SETTLED_MEAN || next.worst_regret >= SETTLED_WORST))
    status = s->curves[next.split].count ? scout_point(x, next.split, next.batch)
                                         : look_at(x, next.split);
  return status;
}

/* What a point's error matters: the questions it may answer, and the curve through it. */
static double weight_of(const qb__scouting *x, size_t curve, size_t b)
{
  return CURVE_WEIGHT + qb__search_weight(x->search, curve, b);
}

/* Of all candidates that may answer a question, and have no time yet, the one that answers most. */
static size_t most_wanted(const qb__scouting *x)
{
  const qb__sweep *s = x->sweep;
  size_t best = SIZE_MAX;
  double most = 0;
  for (size_t k = 0; k < s->curve_count; k++) {
    double weight = 0;
    for (size_t b = 0; b < s->batch_count; b++)
      weight += qb__search_weight(x->search, k, b);
    if (!s->curves[k].session_ns && weight > most && qb__search_hope(x->search, k) >= HOPELESS) {
      most = weight;
      best = k;
    }
  }
  return best;
}

/* Whether a session has the time for a point: more of it for one that may answer a question. */
static bool is_worth_it(const qb__scouting *x, size_t curve, size_t b, double visits_ns)
{
  const bool answers = qb__search_weight(x->search, curve, b) >= HOPELESS;
  return is_candidate(x->sweep, curve, b) &&
         qb__search_expected_ns(x->search, curve, b) <= visits_ns * (answers ? 1 : LARGEST_VISIT);
}

/*
 * What the visits of a candidate are to take, on a scale for all, for errors to matter least (see
 * qb__points_next()).
 */
static double need_of(const qb__scouting *x, size_t curve, double visits_ns)
{
  double need = 0;
  for (size_t b = 0; b < x->sweep->batch_count; b++)
    if (is_worth_it(x, curve, b, visits_ns))
      need += sqrt(weight_of(x, curve, b) *
                   fmax(QB__VISIT_NS, qb__search_expected_ns(x->search, curve, b)));
  return need;
}

static qb_status add_points(const qb__scouting *x, size_t curve, double visits_ns)
{
  const qb__sweep *s = x->sweep;
  qb__points *c = &s->curves[curve];
  qb_status status = QB_OK;
  for (size_t b = 0; b < s->batch_count && !status; b++)
    if (is_worth_it(x, curve, b, visits_ns))
      status = qb__points_add(s->context, c, s->batches[b]);
  for (size_t i = 0; i < c->count; i++)
    c->records[i].weight = weight_of(x, curve, index_of_batch(s, c->records[i].point.batch));
  return status;
}

static qb_status new_search(qb__scouting *x)
{
  const qb__sweep *s = x->sweep;
  qb_configuration *splits = qb__calloc(s->context, s->curve_count, sizeof *splits);
  if (!splits)
    return QB_ERROR_NO_MEMORY;
  for (size_t k = 0; k < s->curve_count; k++)
    splits[k] = s->curves[k].configuration;
  const qb__search_grid grid = {s->curve_count, splits, s->batch_count, s->batches, s->prior_ns};
  const qb_status status = qb__search_new(s->context, &grid, &x->search);
  qb__free(s->context, splits);
  return status;
}

qb_status qb__scouting_run(qb__scouting *scouting)
{
  qb__scouting *x = scouting;
  qb__sweep *s = x->sweep;
  x->start_ns = qb__now_ns(s->context);
  x->open = SIZE_MAX;
  x->opening_ns = AN_OPENING_NS;
  qb_status status = new_search(x);
  if (status)
    return status;
  learn_all(x);
  status = look_at_all(x);
  if (!status)
    status = settle(x);
  s->visitor->close(s->user);
  x->open = SIZE_MAX;
  s->measure_ns += x->visiting_ns;
  return status;
}

static qb_status finish_visited(const qb__scouting *x)
{
  const qb__sweep *s = x->sweep;
  qb_status status = QB_OK;
  for (size_t k = 0; k < s->curve_count; k++)
    for (size_t i = 0; i < s->curves[k].count && !status; i++)
      status =
          qb__record_finish(s->context, &s->curves[k].records[i], s->curves[k].thread_flops_per_s);
  return status;
}

qb_status qb__scouting_share_out(qb__scouting *scouting, double round_ns)
{
  qb__scouting *x = scouting;
  const qb__sweep *s = x->sweep;
  qb_status status = finish_visited(x);
  if (status)
    return status;
  learn_all(x);
  qb__search_choice ignored;
  (void)find_next(x, INFINITY, &ignored);
  double count = 0, needs = 0;
  for (size_t k = 0; k < s->curve_count; k++)
    s->curves[k].session_ns = 0;
  for (size_t k; (k = most_wanted(x)) != SIZE_MAX; count++) {
    if (count > 0 && (count + 1) * x->opening_ns > GETTING_READY * round_ns)
      break;
    s->curves[k].session_ns = 1;
  }
  const double visits_ns = fmax(round_ns - count * x->opening_ns, GETTING_READY * round_ns);
  for (size_t k = 0; k < s->curve_count; k++)
    needs += s->curves[k].session_ns ? need_of(x, k, visits_ns / count) : 0;
  for (size_t k = 0; k < s->curve_count && !status; k++)
    if (s->curves[k].session_ns) {
      const double share = needs > 0 ? need_of(x, k, visits_ns / count) / needs : 1 / count;
      s->curves[k].session_ns = 1 + (int64_t)(x->opening_ns + visits_ns * share);
      status = add_points(x, k, visits_ns / count);
    }
  return status;
}

void qb__scouting_tell_what_is_open(const qb__scouting *scouting)
{
  const qb__scouting *x = scouting;
  const qb__sweep *s = x->sweep;
  learn_all(x);
  qb__search_choice next;
  if (!find_next(x, INFINITY, &next) || next.worst_regret < WORTH_TELLING)
    return;
  const qb_configuration *c = &s->curves[next.split].configuration;
  qb__message(
      s->context, QB_SEVERITY_WARNING,
      "measuring %ux%u in %s at batch %u further could change an answer, and gain %.0f %%; refine "
      "the profile",
      c->instances, c->threads, qb_precision_name(c->precision), s->batches[next.batch],
      100 * next.worst_regret);
}
