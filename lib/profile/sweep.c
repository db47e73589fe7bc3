/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/sweep.h"

#include "core/alloc.h"
#include "core/hooks.h"
#include "model/configuration.h"
#include "profile/levels.h"
#include "profile/search.h"

#include <math.h>
#include <stdint.h>

/* Long enough for a few short rounds, short against a neighbour's bursts. */
static const int64_t VISIT_NS = 50000000;

/* Fewer visits say too little of how they vary, so no point is sure before. */
enum { FEWEST_SURE_VISITS = 6 };

/* The share of a session's progress that preparation stands for. */
static const double PREPARATION = 0.2;

/* What a search may take of the time: the rest makes what it found certain. */
static const double SEARCH = 0.6;

/* What first looks may take of a search. */
static const double SCOUTS = 0.7;

/* No answer that a search could still find would gain more than this: in the mean, and in one question. */
static const double SETTLED_MEAN = 0.005, SETTLED_WORST = 0.02;

/* Worth a word to the host, when the time is over. */
static const double WORTH_TELLING = 0.05;

/* Less likely to be the best answer to any question: not measured further. */
static const double HOPELESS = 0.1;

/* The most that one visit may take of the time that there is. */
static const double LARGEST_VISIT = 0.25;

/* Opening a configuration, before one was. */
static const double AN_OPENING_NS = 5e8;

/* Sessions differ by this much, however alike the visits of one are. */
static const double LEAST_ERROR = 0.01;

static qb_status tell(qb__sweep *s, qb_phase phase, const qb_profile_point *point, double done)
{
  s->done = fmax(s->done, fmin(done, 1));
  return s->visitor->tell(s->user, phase, point, s->done);
}

static qb_status visit(const qb__sweep *s, qb__record *record, uint32_t warm_up_batch)
{
  const int64_t start_ns = qb__now_ns(s->context), last_ns = record->last_ns;
  int64_t rounds = last_ns > 0 ? VISIT_NS / last_ns : 1;
  rounds = rounds < 1 ? 1 : rounds > QB__MOST_ROUNDS ? QB__MOST_ROUNDS : rounds;
  qb__visit seen;
  qb_status status =
      s->visitor->visit(s->user, record->point.batch, (uint32_t)rounds, warm_up_batch, &seen);
  if (!status)
    status = qb__record_add(s->context, record, &seen);
  if (!status) {
    record->visits[record->visit_count - 1].session = s->session;
    record->session_visits++;
  }
  record->visit_ns = qb__now_ns(s->context) - start_ns;
  return status;
}

/* A configuration being measured, over a part of the progress. */
typedef struct stint {
  qb__points *points;
  bool first;
  int64_t share_ns;
  double from, part; /* of all progress */
} stint;

static double progress_of(const stint *t, double done)
{
  return t->from + t->part * fmin(done, 1);
}

/* The largest comes first, for memory to be taken once. */
static qb_status prepare_all(qb__sweep *s, const stint *t)
{
  qb__points *c = t->points;
  qb_status status = QB_OK;
  for (size_t i = c->count; i-- > 0 && !status;) {
    qb_profile_point *point = &c->records[i].point;
    if (c->records[i].settled && !c->records[i].anchor)
      continue;
    const double done = (double)(c->count - 1 - i) / (double)c->count;
    status = tell(s, QB_PHASE_PREPARE, point, progress_of(t, PREPARATION * done));
    if (!status)
      status = s->visitor->prepare(s->user, point);
  }
  return status;
}

static qb_status visit_until_sure(const qb__sweep *s, const qb__points *c, qb__record *record)
{
  qb_status status = visit(s, record, qb__points_smallest_open(c));
  if (status || (!record->known && record->visit_count < FEWEST_SURE_VISITS))
    return status;
  status = qb__record_finish(s->context, record, c->thread_flops_per_s);
  const qb_profile_point joined = qb__record_joined(record);
  record->sure = !status && qb__point_is_sure(&joined, s->goal);
  return status;
}

/*
 * Visits the batch sizes of a session, interleaved, until most of another visit would be beyond its
 * share of the time, or all points are sure. Every point is visited at least once, whatever that takes,
 * unless it is settled.
 */
static qb_status measure(qb__sweep *s, const stint *t, int64_t budget_ns)
{
  const qb__points *c = t->points;
  const int64_t start_ns = qb__now_ns(s->context);
  int64_t elapsed_ns = 0;
  qb__record *next;
  while ((next = qb__points_next(c, t->first)) &&
         (elapsed_ns + next->visit_ns / 2 < budget_ns || !next->visit_count)) {
    const double done = PREPARATION + (1 - PREPARATION) * (double)elapsed_ns / (double)budget_ns;
    qb_status status = tell(s, QB_PHASE_MEASURE, &next->point, progress_of(t, done));
    if (!status)
      status = visit_until_sure(s, c, next);
    if (status)
      return status;
    elapsed_ns = qb__now_ns(s->context) - start_ns;
  }
  s->measure_ns += elapsed_ns;
  return tell(s, QB_PHASE_MEASURE, &c->records[c->count - 1].point, progress_of(t, 1));
}

/* What getting ready has left of a session's share; at least half, or little would be measured. */
static int64_t time_left(const qb__sweep *s, int64_t start_ns, int64_t share_ns)
{
  const int64_t left_ns = share_ns - (qb__now_ns(s->context) - start_ns);
  return left_ns > share_ns / 2 ? left_ns : share_ns / 2;
}

static qb_status run_session(qb__sweep *s, size_t index, const stint *t)
{
  const int64_t start_ns = qb__now_ns(s->context);
  qb__points_begin_session(t->points);
  qb_status status =
      s->visitor->open(s->user, s->first + index, qb__points_largest_open(t->points));
  if (!status)
    status = prepare_all(s, t);
  if (!status)
    status = measure(s, t, time_left(s, start_ns, t->share_ns));
  if (!status && t->first && s->adaptive)
    status = qb__points_add_where_it_bends(s->context, t->points);
  s->visitor->close(s->user);
  return status;
}

/* Measures those chosen for so long in all. */
static qb_status run_sessions(qb__sweep *s, const bool *chosen, int64_t budget_ns)
{
  size_t count = 0;
  for (size_t k = 0; k < s->curve_count; k++)
    count += chosen[k];
  const double from = s->done, part = (1 - from) / (double)(QB__SESSIONS * count);
  size_t sessions = 0;
  for (s->session = 1; s->session <= QB__SESSIONS; s->session++)
    for (size_t k = 0; k < s->curve_count; k++) {
      if (!chosen[k])
        continue;
      const stint t = {&s->curves[k], s->session == 1, budget_ns / (int64_t)(QB__SESSIONS * count),
                       from + part * (double)sessions++, part};
      const qb_status status = qb__points_largest_open(t.points) ? run_session(s, k, &t) : QB_OK;
      if (status)
        return status;
    }
  return QB_OK;
}

/* Finding out what the candidates of a precision are worth. */
typedef struct scouting {
  qb__sweep *sweep; /* of them alone */
  qb__search *search;
  int64_t start_ns, share_ns;
  double from, part; /* of all progress */
  size_t open;       /* curve; SIZE_MAX: none */
  double opening_ns;
  size_t openings;
} scouting;

static int64_t elapsed_ns(const scouting *x)
{
  return qb__now_ns(x->sweep->context) - x->start_ns;
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

static uint32_t largest_candidate(const qb__sweep *s, size_t curve)
{
  uint32_t largest = 0;
  for (size_t b = 0; b < s->batch_count; b++)
    if (is_candidate(s, curve, b))
      largest = s->batches[b];
  return largest;
}

static uint32_t smallest_candidate(const qb__sweep *s, size_t curve)
{
  for (size_t b = 0; b < s->batch_count; b++)
    if (is_candidate(s, curve, b))
      return s->batches[b];
  return 0;
}

/* Tells the search of a point, if it is one of the grid's. */
static void learn(const scouting *x, size_t curve, const qb__record *record)
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

static void learn_known(const scouting *x)
{
  const qb__sweep *s = x->sweep;
  for (size_t k = 0; k < s->curve_count; k++)
    for (size_t i = 0; i < s->curves[k].count; i++)
      if (s->curves[k].records[i].known)
        learn(x, k, &s->curves[k].records[i]);
}

/* The smallest batch size is made ready with it, for rounds of it to come before others. */
static qb_status open_curve(scouting *x, size_t curve)
{
  qb__sweep *s = x->sweep;
  if (x->open == curve)
    return QB_OK;
  s->visitor->close(s->user);
  x->open = SIZE_MAX;
  const int64_t start_ns = qb__now_ns(s->context);
  qb__record *record;
  qb_status status =
      qb__points_find(s->context, &s->curves[curve], smallest_candidate(s, curve), &record);
  if (!status)
    status = tell(s, QB_PHASE_PREPARE, &record->point, x->from);
  if (!status)
    status = s->visitor->open(s->user, s->first + curve, largest_candidate(s, curve));
  if (!status)
    status = s->visitor->prepare(s->user, &record->point);
  if (status)
    return status;
  x->open = curve;
  const double took_ns = (double)(qb__now_ns(s->context) - start_ns);
  x->opening_ns = (x->opening_ns * (double)x->openings + took_ns) / (double)(x->openings + 1);
  x->openings++;
  return QB_OK;
}

static qb_status scout_point(scouting *x, size_t curve, size_t b)
{
  qb__sweep *s = x->sweep;
  qb__points *c = &s->curves[curve];
  qb__record *record;
  qb_status status = open_curve(x, curve);
  if (!status)
    status = qb__points_find(s->context, c, s->batches[b], &record);
  if (!status)
    status = tell(s, QB_PHASE_MEASURE, &record->point,
                  x->from + x->part * (double)elapsed_ns(x) / (double)x->share_ns);
  if (!status)
    status = s->visitor->prepare(s->user, &record->point);
  const int64_t start_ns = qb__now_ns(s->context);
  if (!status)
    status = visit(s, record, smallest_candidate(s, curve));
  s->measure_ns += qb__now_ns(s->context) - start_ns;
  if (!status)
    status = qb__record_finish(s->context, record, c->thread_flops_per_s);
  if (!status)
    learn(x, curve, record);
  return status;
}

static double left_ns(const scouting *x)
{
  return (double)(x->share_ns - elapsed_ns(x));
}

/*
 * A first look at a candidate: a sample alone, three times if they are short, for a neighbour's burst to
 * be told from it, and in between a few and as many as it has the time for.
 */
static qb_status scout_curve(scouting *x, size_t curve)
{
  const qb__sweep *s = x->sweep;
  const double share_ns = SCOUTS * (double)x->share_ns / (double)s->curve_count;
  const double most_ns = (share_ns - x->opening_ns) / 2;
  const size_t few = index_of_batch(s, 4);
  size_t first = s->batch_count, last = 0;
  for (size_t b = s->batch_count; b-- > 0;)
    if (is_candidate(s, curve, b)) {
      first = b;
      if (!last && qb__search_expected_ns(x->search, curve, b) <= most_ns)
        last = b;
    }
  const bool often = qb__search_expected_ns(x->search, curve, first) <= most_ns / 2;
  qb_status status = scout_point(x, curve, first);
  if (!status && few > first && few <= last && is_candidate(s, curve, few))
    status = scout_point(x, curve, few);
  if (!status && often)
    status = scout_point(x, curve, first);
  if (!status && last > few)
    status = scout_point(x, curve, last);
  if (!status && often)
    status = scout_point(x, curve, first);
  return status;
}

/* Candidates of which nothing is known, while there is time for others' first look. */
static qb_status scout_all(scouting *x)
{
  const qb__sweep *s = x->sweep;
  qb_status status = QB_OK;
  for (size_t k = 0; k < s->curve_count && !status; k++)
    if (!s->curves[k].count && left_ns(x) > (1 - SCOUTS) * (double)x->share_ns)
      status = scout_curve(x, k);
  return status;
}

/* Then what may change an answer, until nothing does or the time is over. */
static qb_status settle(scouting *x)
{
  qb_status status = QB_OK;
  while (!status) {
    const qb__search_cost cost = {(double)VISIT_NS, x->opening_ns,
                                  fmin(left_ns(x), LARGEST_VISIT * (double)x->share_ns)};
    qb__search_choice next;
    if (!qb__search_next(x->search, x->open, &cost, &next) ||
        (next.mean_regret < SETTLED_MEAN && next.worst_regret < SETTLED_WORST))
      break;
    status = scout_point(x, next.split, next.batch);
  }
  return status;
}

/* Of those that may be the best answer to a question, batch sizes that a session has the time for. */
static qb_status choose(const scouting *x, int64_t budget_ns, bool *chosen)
{
  const qb__sweep *s = x->sweep;
  size_t count = 0;
  for (size_t k = 0; k < s->curve_count; k++)
    count += chosen[k] = qb__search_hope(x->search, k) >= HOPELESS;
  const double most_ns = LARGEST_VISIT * (double)budget_ns / (double)(QB__SESSIONS * count);
  qb_status status = QB_OK;
  for (size_t k = 0; k < s->curve_count; k++)
    for (size_t b = 0; b < s->batch_count && chosen[k] && !status; b++)
      if (is_candidate(s, k, b) && qb__search_expected_ns(x->search, k, b) <= most_ns)
        status = qb__points_add(s->context, &s->curves[k], s->batches[b]);
  return status;
}

static qb_status new_search(const qb__sweep *s, qb__search **search)
{
  qb_configuration *splits = qb__calloc(s->context, s->curve_count, sizeof *splits);
  if (!splits)
    return QB_ERROR_NO_MEMORY;
  for (size_t k = 0; k < s->curve_count; k++)
    splits[k] = s->curves[k].configuration;
  const qb__search_grid grid = {s->curve_count, splits, s->batch_count, s->batches, s->prior_ns};
  const qb_status status = qb__search_new(s->context, &grid, search);
  qb__free(s->context, splits);
  return status;
}

/* Finds the candidates to measure, and what of them; *left_ns of the budget is for that. */
static qb_status search(scouting *x, bool *chosen, int64_t *left_ns)
{
  qb__sweep *s = x->sweep;
  qb_status status = new_search(s, &x->search);
  if (status)
    return status;
  learn_known(x);
  status = scout_all(x);
  if (!status)
    status = settle(x);
  s->visitor->close(s->user);
  *left_ns = s->budget_ns - elapsed_ns(x);
  *left_ns = *left_ns > 1 ? *left_ns : 1;
  return status ? status : choose(x, *left_ns, chosen);
}

/* The search of each precision. */
typedef struct searches {
  size_t count;
  qb__sweep sweeps[QB__PRECISIONS];
  scouting scouts[QB__PRECISIONS];
} searches;

/* The curves from `first` on that have its precision, with their share of the time. */
static qb__sweep part_of(const qb__sweep *all, size_t first)
{
  qb__sweep part = *all;
  part.first = all->first + first;
  part.curves = all->curves + first;
  part.prior_ns = all->prior_ns + first * all->batch_count;
  part.curve_count = 0;
  for (size_t k = first; k < all->curve_count && all->curves[k].configuration.precision ==
                                                     part.curves->configuration.precision;
       k++)
    part.curve_count++;
  const double share = (double)part.curve_count / (double)all->curve_count;
  part.budget_ns = (int64_t)(share * (double)all->budget_ns);
  return part;
}

/* One precision after the other: a search over all would measure the fastest one alone. */
static qb_status search_all(qb__sweep *all, searches *made, bool *chosen, int64_t *left_ns)
{
  qb_status status = QB_OK;
  *left_ns = 0;
  for (size_t first = 0; first < all->curve_count && !status;) {
    qb__sweep *part = &made->sweeps[made->count];
    scouting *x = &made->scouts[made->count++];
    *part = part_of(all, first);
    const double share = SEARCH / (double)all->curve_count;
    *x = (scouting){.sweep = part,
                    .start_ns = qb__now_ns(all->context),
                    .share_ns = (int64_t)(SEARCH * (double)part->budget_ns),
                    .from = share * (double)first,
                    .part = share * (double)part->curve_count,
                    .open = SIZE_MAX,
                    .opening_ns = AN_OPENING_NS};
    int64_t rest_ns = 0;
    status = search(x, chosen + first, &rest_ns);
    *left_ns += rest_ns;
    all->measure_ns = part->measure_ns;
    all->done = part->done;
    first += part->curve_count;
  }
  return status;
}

/* Says where more time could change an answer. */
static void tell_what_is_open(const scouting *x)
{
  const qb__sweep *s = x->sweep;
  for (size_t k = 0; k < s->curve_count; k++)
    for (size_t i = 0; i < s->curves[k].count; i++)
      if (qb__visits_of(&s->curves[k].records[i].point))
        learn(x, k, &s->curves[k].records[i]);
  const qb__search_cost cost = {(double)VISIT_NS, x->opening_ns, INFINITY};
  qb__search_choice next;
  if (!qb__search_next(x->search, SIZE_MAX, &cost, &next) || next.worst_regret < WORTH_TELLING)
    return;
  const qb_configuration *c = &s->curves[next.split].configuration;
  qb__message(
      s->context, QB_SEVERITY_WARNING,
      "measuring %ux%u in %s at batch %u further could change an answer, and gain %.0f %%; refine "
      "the profile",
      c->instances, c->threads, qb_precision_name(c->precision), s->batches[next.batch],
      100 * next.worst_regret);
}

static qb_status finish(const qb__sweep *s)
{
  for (size_t k = 0; k < s->curve_count; k++)
    for (size_t i = 0; i < s->curves[k].count; i++) {
      const qb_status status =
          qb__record_finish(s->context, &s->curves[k].records[i], s->curves[k].thread_flops_per_s);
      if (status)
        return status;
    }
  qb__points_lend_spread(s->curves, s->curve_count);
  for (size_t k = 0; k < s->curve_count; k++)
    qb__levels_join(&s->curves[k]);
  return QB_OK;
}

qb_status qb__sweep_run(qb__sweep *sweep)
{
  bool *chosen = qb__calloc(sweep->context, sweep->curve_count, sizeof *chosen);
  searches *made = qb__calloc(sweep->context, 1, sizeof *made);
  int64_t left_ns = sweep->budget_ns;
  qb_status status = chosen && made ? QB_OK : QB_ERROR_NO_MEMORY;
  for (size_t k = 0; k < sweep->curve_count && !status; k++)
    chosen[k] = true;
  if (!status && sweep->prior_ns)
    status = search_all(sweep, made, chosen, &left_ns);
  if (!status)
    status = run_sessions(sweep, chosen, left_ns);
  if (!status)
    status = finish(sweep);
  for (size_t i = 0; made && i < made->count; i++) {
    if (!status)
      tell_what_is_open(&made->scouts[i]);
    qb__search_free(made->scouts[i].search);
  }
  qb__free(sweep->context, made);
  qb__free(sweep->context, chosen);
  return status;
}
