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
  size_t states;              /* values of a size */
  uint32_t count;
  uint32_t late;     /* of the first samples: for the size that is scored */
  uint32_t survivor; /* the first sample in time for the round after it */
  qb__round_size best;
  double most;
  uint64_t sum_ns[QB__POLICY_LONGEST + 1]; /* of the deadlines before; it may wrap around */
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

/* The first sample from `from` on that is in time for a round of `size`. */
static uint32_t skip_late(const scorer *s, uint32_t from, uint32_t size)
{
  const int64_t *deadline_ns = s->deadline_ns;
  const int64_t end_ns = qb__add_ns(s->now_ns, s->problem->latency_ns[size]);
  const uint32_t count = s->count;
  while (from < count && deadline_ns[from] < end_ns)
    from++;
  return from;
}

/* No deadline counts as more than a fresh one; the last one says whether any is. */
static void add_up(scorer *s)
{
  const int64_t *deadline_ns = s->deadline_ns, fresh_ns = s->fresh_ns;
  const uint32_t count = s->count;
  uint64_t *to = s->sum_ns, sum_ns = 0;
  uint32_t i = 0;
  to[0] = 0;
  if (deadline_ns[count - 1] <= fresh_ns)
    for (; i + 4 <= count; i += 4) {
      const uint64_t one = sum_ns + (uint64_t)deadline_ns[i];
      const uint64_t pair = (uint64_t)deadline_ns[i] + (uint64_t)deadline_ns[i + 1];
      const uint64_t three = pair + (uint64_t)deadline_ns[i + 2];
      to[i + 1] = one;
      to[i + 2] = sum_ns + pair;
      to[i + 3] = sum_ns + three;
      to[i + 4] = sum_ns += three + (uint64_t)deadline_ns[i + 3];
    }
  for (; i < count; i++)
    to[i + 1] = sum_ns += (uint64_t)lesser(deadline_ns[i], fresh_ns);
}

/* What a round of `size` behind the first `lost` earns by itself. */
static double earned(const scorer *s, uint32_t lost, uint32_t size)
{
  return qb__round_earned(s->problem, s->deadline_ns + lost, s->sum_ns + lost, s->now_ns, size);
}

/*
 * The value of what a round of the policy's i-th size leaves behind from `first` on. Samples that
 * will be too late when the instance is free again are worth nothing where they will be given up;
 * when another one of several instances will be free nobody knows.
 */
static double value_left(scorer *s, uint32_t i, uint32_t first)
{
  const qb__round_problem *problem = s->problem;
  const uint32_t size = s->policy->sizes[i];
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
  const float *at =
      s->table->value_left + i * s->states + (s->count - first) * QB__POLICY_AGES + whole;
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
  uint32_t size = qb__min_u32(s->count, s->policy->most), late = skip_late(s, s->late, size);
  while (shed && size > 1 && s->count - late < size) {
    size--;
    const int64_t end_ns = qb__add_ns(s->now_ns, s->problem->latency_ns[size]);
    while (late > 0 && s->deadline_ns[late - 1] >= end_ns)
      late--;
  }
  const uint32_t lost = s->count - size;
  /* Beyond the largest round, some in time would be given up: they are left behind instead. */
  if (lost && (!shed || (size == s->policy->most && lost > late)))
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
  scorer s;
  s.policy = policy;
  s.table = table;
  s.problem = problem;
  s.deadline_ns = straight_deadlines(queue, late, scratch);
  s.now_ns = queue->now_ns;
  s.fresh_ns = qb__add_ns(queue->now_ns, problem->target_ns);
  s.step_per_ns = 1 / policy->age_step_ns;
  s.states = ((size_t)policy->lengths + 1) * QB__POLICY_AGES;
  s.count = queue->count - late;
  s.late = s.survivor = 0;
  s.best = (qb__round_size){0, 1};
  s.most = -INFINITY;
  add_up(&s);
  for (uint32_t i = 0; i < policy->size_count && policy->sizes[i] < s.count; i++) {
    const uint32_t size = policy->sizes[i];
    s.late = skip_late(&s, s.late, size);
    const uint32_t lost = problem->shed ? s.late : 0;
    if (lost + size >= s.count)
      break;
    consider(&s, lost, size, earned(&s, lost, size) + value_left(&s, i, lost + size));
  }
  consider_all(&s);
  return s.best;
}
