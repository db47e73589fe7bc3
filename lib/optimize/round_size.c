/* SPDX-License-Identifier: Apache-2.0 */
#include "optimize/round_size.h"

#include "optimize/round_reward.h"

#include <string.h>

/* The scores of one decision's sizes, and the best so far. */
typedef struct scorer {
  const qb__round_policy *policy;
  const qb__rate_table *table;
  const qb__round_problem *problem;
  const int64_t *deadline_ns; /* of `count` samples */
  int64_t now_ns, fresh_ns;   /* fresh: the deadline of a sample that arrives now */
  double step_per_ns;         /* 1 / age step */
  uint32_t count;
  uint32_t late;       /* of the first samples: for the size that is scored */
  uint32_t survivor;   /* the first sample in time for the round after it */
  uint32_t first, end; /* samples whose deadlines are in the sum */
  uint64_t sum_ns;     /* none counts as more than a fresh one; it may wrap around */
  qb__round_size best;
  double most;
} scorer;

static int64_t lesser(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

/* Deadlines behind `late` others: where the host keeps them, unless they go around its ring. */
static const int64_t *straight_deadlines(const qb__round_queue *queue, uint32_t late,
                                         int64_t *scratch)
{
  const size_t count = queue->count - late, at = queue->first + late;
  const size_t start = at < queue->room ? at : at - queue->room, tail = queue->room - start;
  const int64_t *deadline_ns = queue->deadline_ns;
  if (count <= tail)
    return deadline_ns + start;
  memcpy(scratch, deadline_ns + start, tail * sizeof *scratch);
  memcpy(scratch + tail, deadline_ns, (count - tail) * sizeof *scratch);
  return scratch;
}

/* Counts the samples that are too late for a round of `size`. */
static void count_late(scorer *s, uint32_t size)
{
  const int64_t end_ns = qb__add_ns(s->now_ns, s->problem->latency_ns[size]);
  uint32_t late = s->late;
  while (late > 0 && s->deadline_ns[late - 1] >= end_ns)
    late--;
  while (late < s->count && s->deadline_ns[late] < end_ns)
    late++;
  s->late = late;
}

static uint64_t sum_of(const scorer *s, uint32_t first, uint32_t end)
{
  const int64_t *deadline_ns = s->deadline_ns, fresh_ns = s->fresh_ns;
  uint64_t sum_ns = 0;
  for (uint32_t i = first; i < end; i++)
    sum_ns += (uint64_t)lesser(deadline_ns[i], fresh_ns);
  return sum_ns;
}

/* Moves the sum to samples further back, and says how long they have left together. */
static double sum_left_ns(scorer *s, uint32_t first, uint32_t size)
{
  s->sum_ns += sum_of(s, s->end, first + size) - sum_of(s, s->first, first);
  s->first = first;
  s->end = first + size;
  return (double)(int64_t)(s->sum_ns - size * (uint64_t)s->now_ns);
}

/* What a round of `size` behind the first `lost` earns by itself. */
static double earned(scorer *s, uint32_t lost, uint32_t size)
{
  return qb__round_earned(s->problem, s->deadline_ns + lost, s->now_ns, size,
                          sum_left_ns(s, lost, size));
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
    const int64_t next_ns =
        qb__add_ns(s->now_ns, problem->latency_ns[size] + problem->latency_ns[1]);
    if (first < s->survivor)
      first = s->survivor;
    while (first < s->count && s->deadline_ns[first] < next_ns)
      first++;
    s->survivor = first;
  }
  if (first == s->count)
    return s->table->value_empty[size];
  const int64_t deadline_ns = lesser(s->deadline_ns[first], s->fresh_ns);
  const double steps = (double)qb__subtract_ns(s->fresh_ns, deadline_ns) * s->step_per_ns;
  const double last = QB__POLICY_AGES - 1.001, age = steps < last ? steps : last;
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
  int64_t scratch[QB__POLICY_LONGEST];
  scorer s = {.policy = policy,
              .table = table,
              .problem = problem,
              .deadline_ns = straight_deadlines(queue, late, scratch),
              .now_ns = queue->now_ns,
              .fresh_ns = qb__add_ns(queue->now_ns, problem->target_ns),
              .step_per_ns = 1 / policy->age_step_ns,
              .count = queue->count - late,
              .best = {0, 1},
              .most = -INFINITY};
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
