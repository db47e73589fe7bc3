/* SPDX-License-Identifier: Apache-2.0 */
#include "optimize/round_search.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "optimize/round_decide.h"
#include "optimize/round_reward.h"
#include "queue/random_stream.h"

#include <string.h>

/* Samples of the path in a first look at all rules, and in a closer one at some. */
enum { AGES = QB__POLICY_AGES, FIRST_LOOK = 1536, SAMPLES = 6144, SEED = 1, MOST_MOVES = 5 };

/* Waits that are tried, in age steps: each longer by this, up to the longest. */
enum { WAIT_STEP = 3, LONGEST_WAIT = 12 };

/* Another rule has to be better by this to replace the one that was solved for. */
static const double BETTER = 1.003;

/* Run when `batch` samples are queued, or when the oldest has waited for `wait` age steps. */
typedef struct plain_rule {
  uint32_t batch, wait;
} plain_rule;

typedef struct search {
  const qb__round_tables *tables;
  int64_t *arrived_ns;       /* [SAMPLES + 1], the last one never */
  uint64_t *sum_ns;          /* [SAMPLES + 1] of the arrivals before */
  int64_t *free_ns;          /* [instance] */
  qb__rate_table *candidate; /* that is tried */
} search;

static uint32_t first_free(const search *s)
{
  uint32_t first = 0;
  for (uint32_t i = 1; i < s->tables->problem.instances; i++)
    if (s->free_ns[i] < s->free_ns[first])
      first = i;
  return first;
}

/* By a clock that is late by the target, arrivals are deadlines. */
static int64_t deadline_clock(const search *s, int64_t now_ns)
{
  return now_ns - s->tables->problem.target_ns;
}

static qb_decision decide(const search *s, const qb__rate_table *table, uint32_t first,
                          uint32_t end, int64_t now_ns)
{
  const qb__round_queue queue = {.count = end - first,
                                 .known = end - first,
                                 .deadline_ns = s->arrived_ns,
                                 .first = first,
                                 .room = SIZE_MAX,
                                 .now_ns = deadline_clock(s, now_ns),
                                 .target_ns = s->tables->problem.target_ns,
                                 .age_ns = now_ns - s->arrived_ns[first]};
  qb_decision d = QB_DECISION_INIT;
  qb__round_decide_by(s->tables, table, &queue, &d);
  return d;
}

static int64_t later(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

/* What decisions by a table earn along the first `samples` of the path. */
static double follow(search *s, const qb__rate_table *table, uint32_t samples)
{
  memset(s->free_ns, 0, s->tables->problem.instances * sizeof *s->free_ns);
  double sum = 0;
  int64_t now_ns = 0;
  uint32_t first = 0, end = 0;
  while (first < samples) {
    const uint32_t instance = first_free(s);
    now_ns = later(now_ns, s->free_ns[instance]);
    if (first == end)
      now_ns = later(now_ns, s->arrived_ns[end]);
    while (end < samples && s->arrived_ns[end] <= now_ns)
      end++;
    const qb_decision d = decide(s, table, first, end, now_ns);
    first += d.give_up;
    if (d.action == QB_ACTION_WAIT) {
      const int64_t until_ns = now_ns + d.max_wait_ns;
      now_ns = end < samples && s->arrived_ns[end] < until_ns ? s->arrived_ns[end] : until_ns;
    } else if (d.action == QB_ACTION_RUN || !d.give_up) {
      sum += qb__round_earned(&s->tables->problem, s->arrived_ns + first, s->sum_ns + first,
                              deadline_clock(s, now_ns), d.batch);
      s->free_ns[instance] = now_ns + s->tables->latency_ns[d.batch];
      first += d.batch;
    }
  }
  return sum;
}

static void fill_path(const search *s, double rate_per_s)
{
  qb__random_stream random;
  qb__random_seed(&random, SEED);
  double time_ns = 0;
  for (uint32_t i = 0; i < SAMPLES; i++) {
    time_ns += 1e9 * qb__random_exponential(&random) / rate_per_s;
    s->arrived_ns[i] = (int64_t)time_ns;
    s->sum_ns[i + 1] = s->sum_ns[i] + (uint64_t)s->arrived_ns[i];
  }
  s->arrived_ns[SAMPLES] = INT64_MAX;
}

/* What a plain rule earns; where it is too late for the oldest, what was solved for is done. */
static double try_rule(search *s, const uint16_t *solved, plain_rule rule, uint32_t samples)
{
  const qb__round_policy *policy = &s->tables->policy;
  for (uint32_t n = 1; n <= policy->lengths; n++) {
    const uint32_t size = qb__min_u32(n, rule.batch);
    const double most_ns = (double)(s->tables->problem.target_ns - s->tables->slow_ns[size]);
    for (uint32_t age = 0; age < AGES; age++) {
      const uint32_t at = n * AGES + age;
      if (age * policy->age_step_ns > most_ns)
        s->candidate->run[at] = solved[at];
      else
        s->candidate->run[at] = n >= rule.batch || age >= rule.wait ? (uint16_t)size : 0;
    }
  }
  return follow(s, s->candidate, samples);
}

/* The best of the plain rules at a first look. */
static plain_rule probe_all(search *s, const uint16_t *solved)
{
  plain_rule best = {1, 0};
  double most = -INFINITY;
  for (uint32_t batch = 1; batch <= s->tables->policy.most; batch += 1 + batch / 3)
    for (uint32_t wait = 0; wait <= (batch > 1 ? LONGEST_WAIT : 0); wait += WAIT_STEP) {
      const plain_rule rule = {batch, wait};
      const double sum = try_rule(s, solved, rule, FIRST_LOOK);
      if (sum > most) {
        most = sum;
        best = rule;
      }
    }
  return best;
}

/* Moves to a better neighbour, by smaller and smaller steps. */
static double climb(search *s, const uint16_t *solved, plain_rule *rule)
{
  double most = try_rule(s, solved, *rule, SAMPLES);
  uint32_t batch_step = 1 + rule->batch / 6, wait_step = (WAIT_STEP + 1) / 2;
  for (int i = 0; i < MOST_MOVES; i++) {
    const plain_rule from = *rule;
    const plain_rule near[] = {
        {qb__min_u32(from.batch + batch_step, s->tables->policy.most), from.wait},
        {from.batch > batch_step ? from.batch - batch_step : 1, from.wait},
        {from.batch, from.wait + wait_step},
        {from.batch, from.wait > wait_step ? from.wait - wait_step : 0},
    };
    for (int k = 0; k < 4; k++) {
      const double sum = try_rule(s, solved, near[k], SAMPLES);
      if (sum > most) {
        most = sum;
        *rule = near[k];
      }
    }
    if (rule->batch == from.batch && rule->wait == from.wait) {
      if (batch_step == 1 && wait_step == 1)
        break;
      batch_step = (batch_step + 1) / 2;
      wait_step = 1;
    }
  }
  return most;
}

static void search_table(search *s, qb__rate_table *table)
{
  fill_path(s, table->rate_per_s);
  plain_rule rule = probe_all(s, table->run);
  const double plain = climb(s, table->run, &rule);
  const double chosen = follow(s, table, SAMPLES);
  table->exact_ages = false;
  const double tabulated = follow(s, table, SAMPLES);
  table->exact_ages = chosen >= tabulated && plain < BETTER * chosen;
  if (table->exact_ages || plain < BETTER * tabulated)
    return;
  (void)try_rule(s, table->run, rule, 0);
  memcpy(table->run, s->candidate->run, sizeof table->run);
}

qb_status qb__round_search(const qb_context *context, qb__round_tables *tables)
{
  const qb__round_problem *problem = &tables->problem;
  search s = {.tables = tables};
  s.arrived_ns = qb__calloc(context, SAMPLES + 1, sizeof *s.arrived_ns);
  s.sum_ns = qb__calloc(context, SAMPLES + 1, sizeof *s.sum_ns);
  s.free_ns = qb__calloc(context, problem->instances, sizeof *s.free_ns);
  s.candidate = qb__calloc(context, 1, sizeof *s.candidate);
  const bool made = s.arrived_ns && s.sum_ns && s.free_ns && s.candidate;
  for (int i = 0; made && i < QB__POLICY_RATES - (problem->shed ? 1 : 0); i++)
    search_table(&s, &tables->policy.table[i]);
  qb__free(context, s.candidate);
  qb__free(context, s.free_ns);
  qb__free(context, s.sum_ns);
  qb__free(context, s.arrived_ns);
  return made ? QB_OK : QB_ERROR_NO_MEMORY;
}
