/* SPDX-License-Identifier: Apache-2.0 */
#include "optimize/round_search.h"

#include "core/alloc.h"
#include "core/checked.h"
#include "optimize/round_choice.h"
#include "queue/random_stream.h"

#include <math.h>
#include <string.h>

/* A first look at all rules goes so far along the path, and a closer one at some further. */
enum { AGES = QB__POLICY_AGES, FIRST_LOOK = 1536, SAMPLES = 6144, SEED = 1, MOST_MOVES = 5 };

/* A wait that is tried is longer than the one before by this many age steps, and at most so long. */
enum { WAIT_STEP = 3, LONGEST_WAIT = 12 };

/* Another rule has to be better by this to replace the one that was solved for. */
static const double BETTER = 1.003;

/* Run `batch` when so many wait, or what there is when the oldest has waited for `wait` age steps. */
typedef struct plain_rule {
  uint32_t batch, wait;
} plain_rule;

typedef struct search {
  const qb__round_model *model;
  const qb__round_policy *policy;
  int64_t *arrived_ns; /* [SAMPLES + 1], the last one never */
  double *sum_ns;      /* [SAMPLES + 1] of the arrivals before */
  int64_t *free_ns;    /* [instance] */
  uint16_t *run;       /* the rule that is tried */
  int64_t left_ns[QB__POLICY_LONGEST];
} search;

static uint32_t first_free(const search *s)
{
  uint32_t first = 0;
  for (uint32_t i = 1; i < s->model->instances; i++)
    if (s->free_ns[i] < s->free_ns[first])
      first = i;
  return first;
}

/* So many of the first samples of a queue are too late for a round of `size`, or of all others. */
static uint32_t late_for(const search *s, const int64_t *arrived_ns, uint32_t n, int64_t now_ns,
                         uint32_t size)
{
  uint32_t late = 0;
  while (late < n && now_ns - arrived_ns[late] + s->model->latency_ns[qb__min_u32(size, n - late)] >
                         s->model->target_ns)
    late++;
  return late;
}

/* What a round of the samples from `first` on earns. */
static double earned(const search *s, uint32_t first, uint32_t size, int64_t now_ns)
{
  const qb__round_model *m = s->model;
  const uint32_t end = first + size;
  while (first < end && now_ns - s->arrived_ns[first] + m->slow_ns[size] > m->target_ns)
    first++;
  const double in_time = end - first, done_ns = (double)(now_ns + m->latency_ns[size]);
  const double latency_ns = in_time * done_ns - (s->sum_ns[end] - s->sum_ns[first]);
  return in_time - QB__LATENCY_WEIGHT * latency_ns / (double)m->target_ns;
}

/* How long a rule waits from now on; 0: it does not. */
static int64_t wait_ns(const search *s, const uint16_t *run, uint32_t n, int64_t age_ns)
{
  const qb__round_policy *policy = s->policy;
  const uint32_t length = qb__min_u32(n, policy->lengths);
  uint32_t age = qb__round_policy_age(policy, age_ns);
  while (age < AGES - 1 && !run[length * AGES + age])
    age++;
  const int64_t until_ns = (int64_t)((age - 0.5) * policy->age_step_ns) + 1;
  const int64_t slo_ns =
      s->model->target_ns - age_ns - s->model->slow_ns[qb__min_u32(n + 1, policy->most)];
  const int64_t rule_ns = until_ns > age_ns ? until_ns - age_ns : 1;
  return slo_ns <= 0 ? 0 : slo_ns < rule_ns ? slo_ns : rule_ns;
}

/* The size by the true ages, as in a decision; that of the rule where they are not looked at. */
static uint32_t choose(search *s, const qb__round_level *level, uint32_t *first, uint32_t end,
                       int64_t now_ns, uint32_t size)
{
  const qb__round_model *m = s->model;
  const uint32_t n = end - *first;
  if (n > s->policy->lengths)
    return size;
  for (uint32_t i = 0; i < n; i++)
    s->left_ns[i] = m->target_ns - (now_ns - s->arrived_ns[*first + i]);
  if (!qb__round_can_choose(s->policy, level, m, s->left_ns, n))
    return size;
  const qb__round_choice choice = qb__round_choose(s->policy, level, m, s->left_ns, n);
  *first += choice.give_up;
  return choice.size;
}

/* What a rule earns along the first `samples` of the path; with a level, by true ages. */
static double follow(search *s, const uint16_t *run, const qb__round_level *level, uint32_t samples)
{
  const qb__round_model *m = s->model;
  memset(s->free_ns, 0, m->instances * sizeof *s->free_ns);
  double sum = 0;
  int64_t now_ns = 0;
  uint32_t first = 0, end = 0;
  for (;;) {
    const uint32_t instance = first_free(s);
    if (s->free_ns[instance] > now_ns)
      now_ns = s->free_ns[instance];
    if (first == end && s->arrived_ns[end] > now_ns)
      now_ns = s->arrived_ns[end];
    while (end < samples && s->arrived_ns[end] <= now_ns)
      end++;
    if (m->shed)
      first += late_for(s, s->arrived_ns + first, end - first, now_ns, 1);
    if (first == samples)
      return sum;
    if (first == end)
      continue;
    const int64_t age_ns = now_ns - s->arrived_ns[first];
    const uint32_t age = qb__round_policy_age(s->policy, age_ns);
    uint32_t size = run[qb__min_u32(end - first, s->policy->lengths) * AGES + age];
    if (!size) {
      const int64_t until_ns = now_ns + wait_ns(s, run, end - first, age_ns);
      if (until_ns > now_ns) {
        now_ns = end < samples && s->arrived_ns[end] < until_ns ? s->arrived_ns[end] : until_ns;
        continue;
      }
      size = QB__POLICY_ALL;
    }
    if (level)
      size = choose(s, level, &first, end, now_ns, size);
    size = qb__min_u32(size, s->policy->most);
    if (m->shed)
      first += late_for(s, s->arrived_ns + first, end - first, now_ns, size);
    size = qb__min_u32(size, end - first);
    sum += earned(s, first, size, now_ns);
    s->free_ns[instance] = now_ns + m->latency_ns[size];
    first += size;
  }
}

static void fill_path(const search *s, double rate_per_s)
{
  qb__random_stream random;
  qb__random_seed(&random, SEED);
  double time_ns = 0;
  for (uint32_t i = 0; i < SAMPLES; i++) {
    time_ns += 1e9 * qb__random_exponential(&random) / rate_per_s;
    s->arrived_ns[i] = (int64_t)time_ns;
    s->sum_ns[i + 1] = s->sum_ns[i] + (double)s->arrived_ns[i];
  }
  s->arrived_ns[SAMPLES] = INT64_MAX;
}

/* What a plain rule earns; where it is too late for the oldest, what was solved for is done. */
static double try_rule(search *s, const uint16_t *solved, plain_rule rule, uint32_t samples)
{
  const qb__round_policy *policy = s->policy;
  for (uint32_t n = 1; n <= policy->lengths; n++) {
    const uint32_t size = qb__min_u32(n, rule.batch);
    const double most_ns = (double)(s->model->target_ns - s->model->slow_ns[size]);
    for (uint32_t age = 0; age < AGES; age++) {
      const uint32_t at = n * AGES + age;
      if (age * policy->age_step_ns > most_ns)
        s->run[at] = solved[at];
      else
        s->run[at] = n >= rule.batch || age >= rule.wait ? (uint16_t)size : 0;
    }
  }
  return follow(s, s->run, NULL, samples);
}

/* The best of the plain rules at a first look. */
static plain_rule look_at_all(search *s, const uint16_t *solved)
{
  plain_rule best = {1, 0};
  double most = -INFINITY;
  for (uint32_t batch = 1; batch <= s->policy->most; batch += 1 + batch / 3)
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
        {qb__min_u32(from.batch + batch_step, s->policy->most), from.wait},
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

static void search_level(search *s, qb__round_level *level)
{
  fill_path(s, level->rate_per_s);
  plain_rule rule = look_at_all(s, level->run);
  const double plain = climb(s, level->run, &rule);
  const double table = follow(s, level->run, NULL, SAMPLES);
  const double chosen = follow(s, level->run, level, SAMPLES);
  level->by_age = chosen >= table && plain < BETTER * chosen;
  if (level->by_age || plain < BETTER * table)
    return;
  (void)try_rule(s, level->run, rule, 0);
  memcpy(level->run, s->run, sizeof level->run);
}

qb_status qb__round_search(const qb_context *context, const qb__round_model *model,
                           qb__round_policy *policy)
{
  search s = {.model = model, .policy = policy};
  s.arrived_ns = qb__calloc(context, SAMPLES + 1, sizeof *s.arrived_ns);
  s.sum_ns = qb__calloc(context, SAMPLES + 1, sizeof *s.sum_ns);
  s.free_ns = qb__calloc(context, model->instances, sizeof *s.free_ns);
  s.run = qb__calloc(context, QB__POLICY_STATES, sizeof *s.run);
  const bool made = s.arrived_ns && s.sum_ns && s.free_ns && s.run;
  for (int i = 0; made && i < QB__POLICY_LEVELS - (model->shed ? 1 : 0); i++)
    search_level(&s, &policy->level[i]);
  qb__free(context, s.run);
  qb__free(context, s.free_ns);
  qb__free(context, s.sum_ns);
  qb__free(context, s.arrived_ns);
  return made ? QB_OK : QB_ERROR_NO_MEMORY;
}
