/* SPDX-License-Identifier: Apache-2.0 */
#include "optimize/round_choice.h"

#include "core/checked.h"

#include <math.h>

typedef struct choice {
  const qb__round_policy *policy;
  const qb__round_level *level;
  const qb__round_model *model;
  const int64_t *left_ns;
  uint32_t count;
  uint32_t late; /* of the first samples: too late for the round that is looked at */
  qb__round_choice best;
  double most;
} choice;

/* What a sample has left; more than the target, which one of another class may have, earns no more. */
static double left_of(const choice *c, uint32_t i)
{
  const int64_t left_ns = c->left_ns[i], most_ns = c->model->target_ns;
  return (double)(left_ns < most_ns ? left_ns : most_ns);
}

/* Moves to those that are too late for a round of `size`, from those for another size. */
static void see_late(choice *c, uint32_t size)
{
  const int64_t need_ns = c->model->latency_ns[size];
  while (c->late > 0 && c->left_ns[c->late - 1] >= need_ns)
    c->late--;
  while (c->late < c->count && c->left_ns[c->late] < need_ns)
    c->late++;
}

/* How many answers of a round are expected to be late: one that has T left is so every other time. */
static double expected_late(const choice *c, uint32_t lost, uint32_t size)
{
  const double typical_ns = (double)c->model->latency_ns[size];
  const double slow_ns = fmax((double)c->model->slow_ns[size], typical_ns + 1);
  double late = 0;
  for (uint32_t i = lost; i < lost + size && (double)c->left_ns[i] < slow_ns; i++) {
    const double early = ((double)c->left_ns[i] - typical_ns) / (slow_ns - typical_ns);
    late += fmin(0.5 - 0.5 * early, 1);
  }
  return late;
}

/* What a round of `size` behind the first `lost` earns by itself. */
static double earned(const choice *c, uint32_t lost, uint32_t size)
{
  double left_ns = 0;
  for (uint32_t i = lost; i < lost + size; i++)
    left_ns += left_of(c, i);
  const double target_ns = (double)c->model->target_ns;
  const double latency_ns = size * (target_ns + (double)c->model->latency_ns[size]) - left_ns;
  return size - QB__LATENCY_WEIGHT * latency_ns / target_ns - expected_late(c, lost, size);
}

/*
 * Worth of what a round of the policy's i-th size leaves behind from `first` on. Those that will be too
 * late when the instance is free again are worth nothing where they will be given up; when another one of
 * several will be free nobody knows.
 */
static double worth_behind(const choice *c, uint32_t i, uint32_t first)
{
  const qb__round_policy *p = c->policy;
  const qb__round_model *m = c->model;
  const uint32_t size = p->sizes[i];
  if (m->shed && m->instances == 1)
    while (first < c->count && c->left_ns[first] < m->latency_ns[size] + m->latency_ns[1])
      first++;
  if (first == c->count)
    return c->level->none[size];
  const double age_ns = (double)m->target_ns - left_of(c, first);
  const double age = fmin(age_ns / p->age_step_ns, QB__POLICY_AGES - 1.001);
  const uint32_t whole = (uint32_t)age;
  const size_t states = ((size_t)p->lengths + 1) * QB__POLICY_AGES;
  const float *at = c->level->behind + i * states + (c->count - first) * QB__POLICY_AGES + whole;
  return at[0] + (age - whole) * (at[1] - at[0]);
}

static void consider(choice *c, uint32_t lost, uint32_t size, double worth)
{
  if (worth <= c->most)
    return;
  c->most = worth;
  c->best = (qb__round_choice){lost, size};
}

/* As many as can be in time together, the youngest, and none left: a smaller round is in time for more. */
static void consider_all(choice *c)
{
  uint32_t size = qb__min_u32(c->count, c->policy->most);
  see_late(c, size);
  while (c->model->shed && size > 1 && c->count - c->late < size)
    see_late(c, --size);
  const uint32_t lost = c->count - size;
  /* Beyond the largest round, some that are in time would be given up: they are left behind instead. */
  if (lost && (!c->model->shed || (size == c->policy->most && lost > c->late)))
    return;
  consider(c, lost, size, earned(c, lost, size) + c->level->none[size]);
}

bool qb__round_can_choose(const qb__round_policy *policy, const qb__round_level *level,
                          const qb__round_model *model, const int64_t *left_ns, uint32_t count)
{
  const double oldest_ns = policy->age_step_ns * (QB__POLICY_AGES - 1);
  return level->by_age && count <= policy->lengths &&
         (model->shed ||
          (count < policy->lengths && (double)model->target_ns - (double)left_ns[0] < oldest_ns));
}

qb__round_choice qb__round_choose(const qb__round_policy *policy, const qb__round_level *level,
                                  const qb__round_model *model, const int64_t *left_ns,
                                  uint32_t count)
{
  choice c = {.policy = policy,
              .level = level,
              .model = model,
              .left_ns = left_ns,
              .count = count,
              .best = {0, 1},
              .most = -INFINITY};
  for (uint32_t i = 0; i < policy->size_count; i++) {
    const uint32_t size = policy->sizes[i];
    see_late(&c, size);
    const uint32_t lost = model->shed ? c.late : 0;
    if (lost + size >= count)
      break;
    consider(&c, lost, size, earned(&c, lost, size) + worth_behind(&c, i, lost + size));
  }
  consider_all(&c);
  return c.best;
}
