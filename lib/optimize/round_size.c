/* SPDX-License-Identifier: Apache-2.0 */
#include "optimize/round_size.h"

#include "optimize/round_reward.h"

/* The scores of one decision's sizes, and the best so far. */
typedef struct scorer {
  const qb__round_policy *policy;
  const qb__rate_table *table;
  const qb__round_problem *problem;
  double step_per_ns; /* 1 / age step */
  uint32_t count;
  uint32_t late;     /* of the first samples: for the size that is scored */
  uint32_t survivor; /* the first sample in time for the round after it */
  qb__round_size best;
  double most;
  int64_t left_ns[QB__POLICY_LONGEST];
  int64_t sum_ns[QB__POLICY_LONGEST + 1]; /* of those before, more than the target left out */
} scorer;

/* A sum of times of this size does not overflow. */
static const int64_t MOST_NS = INT64_MAX / QB__POLICY_LONGEST;

static int64_t lesser(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

static void read_queue(scorer *s, const qb__round_queue *queue, uint32_t late)
{
  const int64_t most_ns = lesser(s->problem->target_ns, MOST_NS);
  int64_t sum_ns = 0;
  s->sum_ns[0] = 0;
  for (uint32_t i = 0; i < s->count; i++) {
    const int64_t left_ns = qb__queue_left_ns(queue, late + i);
    s->left_ns[i] = left_ns;
    sum_ns += left_ns < -most_ns ? -most_ns : lesser(left_ns, most_ns);
    s->sum_ns[i + 1] = sum_ns;
  }
}

/* Counts the samples that are too late for a round of `size`. */
static void count_late(scorer *s, uint32_t size)
{
  const int64_t need_ns = s->problem->latency_ns[size];
  while (s->late > 0 && s->left_ns[s->late - 1] >= need_ns)
    s->late--;
  while (s->late < s->count && s->left_ns[s->late] < need_ns)
    s->late++;
}

/* What a round of `size` behind the first `lost` earns by itself. */
static double earned(const scorer *s, uint32_t lost, uint32_t size)
{
  const double sum_ns = (double)(s->sum_ns[lost + size] - s->sum_ns[lost]);
  return qb__round_earned(s->problem, s->left_ns + lost, size, sum_ns);
}

/*
 * The value of what a round of the policy's i-th size leaves behind from `first` on. Samples that
 * will be too late when the instance is free again are worth nothing where they will be given up;
 * when another one of several instances will be free nobody knows.
 */
static double value_left(scorer *s, uint32_t i, uint32_t first)
{
  const qb__round_policy *p = s->policy;
  const qb__round_problem *problem = s->problem;
  const uint32_t size = p->sizes[i];
  if (problem->shed && problem->instances == 1) {
    const int64_t need_ns = problem->latency_ns[size] + problem->latency_ns[1];
    if (s->survivor < first)
      s->survivor = first;
    while (s->survivor < s->count && s->left_ns[s->survivor] < need_ns)
      s->survivor++;
    first = s->survivor;
  }
  if (first == s->count)
    return s->table->value_empty[size];
  const double age_ns =
      (double)(problem->target_ns - lesser(s->left_ns[first], problem->target_ns));
  const double age = fmin(age_ns * s->step_per_ns, QB__POLICY_AGES - 1.001);
  const uint32_t whole = (uint32_t)age;
  const size_t states = ((size_t)p->lengths + 1) * QB__POLICY_AGES;
  const float *at =
      s->table->value_left + i * states + (s->count - first) * QB__POLICY_AGES + whole;
  return at[0] + (age - whole) * (at[1] - at[0]);
}

static void consider(scorer *s, uint32_t lost, uint32_t size, double value)
{
  if (value <= s->most)
    return;
  s->most = value;
  s->best = (qb__round_size){lost, size};
}

/*
 * The youngest samples that can be in time together, and none left: a smaller round is in time for
 * more.
 */
static void consider_all(scorer *s)
{
  const bool shed = s->problem->shed;
  uint32_t size = qb__min_u32(s->count, s->policy->most);
  count_late(s, size);
  while (shed && size > 1 && s->count - s->late < size)
    count_late(s, --size);
  const uint32_t lost = s->count - size;
  /* Beyond the largest round, some in time would be given up: they are left behind instead. */
  if (lost && (!shed || (size == s->policy->most && lost > s->late)))
    return;
  consider(s, lost, size, earned(s, lost, size) + s->table->value_empty[size]);
}

bool qb__round_can_size(const qb__round_policy *policy, const qb__rate_table *table,
                        const qb__round_problem *problem, const qb__round_queue *queue,
                        uint32_t late)
{
  const uint32_t count = queue->count - late;
  if (queue->known < queue->count || !table->exact_ages || count > policy->lengths)
    return false;
  const double oldest_ns = policy->age_step_ns * (QB__POLICY_AGES - 1);
  return problem->shed ||
         (count < policy->lengths &&
          (double)problem->target_ns - (double)qb__queue_left_ns(queue, late) < oldest_ns);
}

qb__round_size qb__round_find_size(const qb__round_policy *policy, const qb__rate_table *table,
                                   const qb__round_problem *problem, const qb__round_queue *queue,
                                   uint32_t late)
{
  scorer s;
  s.policy = policy;
  s.table = table;
  s.problem = problem;
  s.step_per_ns = 1 / policy->age_step_ns;
  s.count = queue->count - late;
  s.late = s.survivor = 0;
  s.best = (qb__round_size){0, 1};
  s.most = -INFINITY;
  read_queue(&s, queue, late);
  for (uint32_t i = 0; i < policy->size_count; i++) {
    const uint32_t size = policy->sizes[i];
    count_late(&s, size);
    const uint32_t lost = problem->shed ? s.late : 0;
    if (lost + size >= s.count)
      break;
    consider(&s, lost, size, earned(&s, lost, size) + value_left(&s, i, lost + size));
  }
  consider_all(&s);
  return s.best;
}
