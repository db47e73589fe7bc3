/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch.h"

#include "common/output.h"

#include <qosbatch/estimate.h>
#include <qosbatch/place.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a round says about the speed counts as much as all rounds before it, this much less. */
static const double MEMORY = 0.7;

/*
 * What remains is placed when it is so many rounds of the slowest node away: it has one running and
 * one waiting, and may have become slower than anybody knows.
 */
enum { LAST_ROUNDS = 6 };

/* So much longer than expected, a node that is silent is stopped rather than slow. */
enum { PATIENCE = 10 };
static const int64_t LEAST_SILENCE_NS = 3000000000;

/* Rounds that somebody has, or that come back from somebody who was given up. */
typedef struct rounds {
  dispatch_round *items;
  size_t count, capacity;
} rounds;

typedef struct node {
  qb_share share;
  double *time_ns;    /* of rounds of 0..batch samples, by the profile */
  double rate_per_ns; /* samples, of all instances, by the profile */
  double speed;
  uint64_t outstanding; /* samples it was given and has not done */
  uint32_t rounds_out;
  int64_t free_ns;  /* when it will have done them */
  uint64_t granted; /* of the last placement, not given yet */
  uint64_t grain;   /* samples of a round of it */
  uint64_t samples, rounds;
  rounds out;
  int64_t heard_ns; /* when it was last given a round while it had none, or has done one */
  bool given_up;
} node;

struct dispatch {
  dispatch_params params;
  qb_place_node *nodes; /* with speeds and what they still have to do */
  qb_share *shares;
  node *all;
  qb_placement placement;
  bool *is_done; /* by sample, earlier runs included */
  rounds back;
  size_t given_up;
  uint64_t next, unassigned, done;
  uint64_t last_samples; /* so many left: place them */
  bool placed;
  size_t since_placed; /* rounds that were done */
};

static qb_status find_times(dispatch *self, size_t i)
{
  node *n = &self->all[i];
  const qb_place_node *given = &self->params.nodes[i];
  n->time_ns = calloc((size_t)n->share.batch + 1, sizeof *n->time_ns);
  if (!n->time_ns)
    return QB_ERROR_NO_MEMORY;
  for (uint32_t b = 1; b <= n->share.batch; b++) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    const qb_status status = qb_estimate(given->profile, &n->share.configuration, b, NULL, &e);
    if (status)
      return status;
    n->time_ns[b] = (double)e.mean_ns / given->speed;
  }
  n->rate_per_ns =
      n->share.configuration.instances * (double)n->share.batch / n->time_ns[n->share.batch];
  n->speed = 1;
  return QB_OK;
}

static qb_status place_first(dispatch *self)
{
  const size_t count = self->params.node_count;
  for (size_t i = 0; i < count; i++)
    self->shares[i] = (qb_share)QB_SHARE_INIT;
  self->placement = (qb_placement)QB_PLACEMENT_INIT;
  qb_job job = QB_JOB_INIT;
  job.samples = self->unassigned;
  qb_qos qos = QB_QOS_INIT;
  qos.accuracy = self->params.accuracy;
  qb_status status =
      qb_place_job(self->params.nodes, count, &job, &qos, self->shares, &self->placement);
  double slowest_ns = 0, rate_per_ns = 0;
  for (size_t i = 0; i < count && !status; i++) {
    node *n = &self->all[i];
    n->share = self->shares[i];
    if (self->params.fixed_batch)
      n->share.batch = self->params.fixed_batch;
    if (n->share.batch)
      status = find_times(self, i);
    if (n->time_ns) {
      slowest_ns = fmax(slowest_ns, n->time_ns[n->share.batch]);
      rate_per_ns += n->rate_per_ns;
    }
  }
  self->last_samples = (uint64_t)(LAST_ROUNDS * slowest_ns * rate_per_ns);
  return status;
}

qb_status dispatch_new(const dispatch_params *params, dispatch **made)
{
  dispatch *self = calloc(1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  self->params = *params;
  const size_t count = params->node_count;
  self->nodes = calloc(count, sizeof *self->nodes);
  self->shares = calloc(count, sizeof *self->shares);
  self->all = calloc(count, sizeof *self->all);
  self->is_done = calloc(params->samples, sizeof *self->is_done);
  qb_status status =
      self->nodes && self->shares && self->all && self->is_done ? QB_OK : QB_ERROR_NO_MEMORY;
  if (!status) {
    memcpy(self->nodes, params->nodes, count * sizeof *self->nodes);
    for (uint64_t i = 0; i < params->samples; i++)
      self->done += self->is_done[i] = params->done && params->done[i];
    self->unassigned = params->samples - self->done;
    status = self->unassigned ? place_first(self) : QB_OK;
  }
  if (status)
    dispatch_free(self);
  else
    *made = self;
  return status;
}

void dispatch_free(dispatch *self)
{
  if (!self)
    return;
  for (size_t i = 0; self->all && i < self->params.node_count; i++) {
    free(self->all[i].time_ns);
    free(self->all[i].out.items);
  }
  free(self->all);
  free(self->back.items);
  free(self->is_done);
  free(self->nodes);
  free(self->shares);
  free(self);
}

const qb_share *dispatch_share(const dispatch *self, size_t i)
{
  return &self->all[i].share;
}

const qb_placement *dispatch_placement(const dispatch *self)
{
  return &self->placement;
}

bool dispatch_has_room(const dispatch *self, size_t i)
{
  const node *n = &self->all[i];
  const uint32_t instances = n->share.configuration.instances;
  return n->share.batch && !n->given_up && n->rounds_out < instances + 1 + instances / 4;
}

bool dispatch_is_last(const dispatch *self)
{
  return self->unassigned <= self->last_samples;
}

/* Time to do `samples` more, all instances at work. */
static double time_for(const node *n, double samples)
{
  return samples / (n->rate_per_ns * n->speed);
}

/*
 * Each instance an even part of what the node is to do, if that is less than a round; but no
 * crumbs, which take nearly as long as a quarter of a round.
 */
static void grant(node *n, uint64_t samples)
{
  const uint64_t instances = n->share.configuration.instances, batch = n->share.batch;
  const uint64_t each = (samples + instances - 1) / instances;
  const uint64_t least = (batch + 3) / 4;
  n->granted = samples;
  n->grain = each > batch ? batch : each < least ? least : each;
}

/*
 * Places what is left on nodes that are busy until they have done what they have. The last
 * placement stands if there can be none.
 */
static void place_rest(dispatch *self, int64_t now_ns)
{
  const size_t count = self->params.node_count;
  for (size_t i = 0; i < count; i++) {
    node *n = &self->all[i];
    self->nodes[i].speed = self->params.nodes[i].speed * n->speed;
    self->nodes[i].ready_ns = n->free_ns > now_ns ? n->free_ns - now_ns : 0;
    self->shares[i] = (qb_share)QB_SHARE_INIT;
  }
  qb_job job = QB_JOB_INIT;
  job.samples = self->unassigned;
  qb_qos qos = QB_QOS_INIT;
  qos.accuracy = self->params.accuracy;
  if (!qb_place_job(self->nodes, count, &job, &qos, self->shares, NULL))
    for (size_t i = 0; i < count; i++)
      grant(&self->all[i], self->all[i].share.batch ? self->shares[i].samples : 0);
  self->placed = true;
  self->since_placed = 0;
}

static void add_round(rounds *list, const dispatch_round *round)
{
  if (list->count == list->capacity) {
    list->capacity = list->capacity ? 2 * list->capacity : 8;
    dispatch_round *larger = allocate(list->capacity, sizeof *larger);
    if (list->count)
      memcpy(larger, list->items, list->count * sizeof *larger);
    free(list->items);
    list->items = larger;
  }
  list->items[list->count++] = *round;
}

static bool drop_round(rounds *list, uint64_t first)
{
  for (size_t i = 0; i < list->count; i++)
    if (list->items[i].first == first) {
      list->items[i] = list->items[--list->count];
      return true;
    }
  return false;
}

/* Those from `next` to `end`, `most` or fewer, one behind the other, that are not done. */
static dispatch_round take_from(const dispatch *self, uint64_t *next, uint64_t end, uint32_t most)
{
  while (*next < end && self->is_done[*next])
    ++*next;
  dispatch_round round = {*next, 0};
  while (round.count < most && *next < end && !self->is_done[*next]) {
    round.count++;
    ++*next;
  }
  return round;
}

/* The next `most` or fewer samples one behind the other that nobody has; what came back is first. */
static dispatch_round take(dispatch *self, uint32_t most)
{
  dispatch_round round = {0, 0};
  while (self->back.count && !round.count) {
    dispatch_round *last = &self->back.items[self->back.count - 1];
    uint64_t next = last->first;
    const uint64_t end = last->first + last->count;
    round = take_from(self, &next, end, most);
    *last = (dispatch_round){next, (uint32_t)(end - next)};
    self->back.count -= next == end;
  }
  if (!round.count)
    round = take_from(self, &self->next, self->params.samples, most);
  self->unassigned -= round.count;
  return round;
}

/* How many samples a node should run next; 0: none just now. */
static uint32_t samples_next(dispatch *self, size_t i, int64_t now_ns)
{
  node *n = &self->all[i];
  const uint64_t batch = n->share.batch;
  if (self->params.fixed_batch || self->given_up || !dispatch_is_last(self))
    return (uint32_t)(batch < self->unassigned ? batch : self->unassigned);
  if (!self->placed || self->since_placed > self->params.node_count / 16)
    place_rest(self, now_ns);
  if (!n->granted)
    return 0;
  const uint64_t count = n->granted < n->grain ? n->granted : n->grain;
  return (uint32_t)(count < self->unassigned ? count : self->unassigned);
}

bool dispatch_next(dispatch *self, size_t i, int64_t now_ns, dispatch_round *round)
{
  node *n = &self->all[i];
  if (!dispatch_has_room(self, i) || !self->unassigned)
    return false;
  const uint32_t count = samples_next(self, i, now_ns);
  if (!count)
    return false;
  *round = take(self, count);
  if (!n->rounds_out)
    n->heard_ns = now_ns;
  add_round(&n->out, round);
  n->granted -= n->granted < round->count ? n->granted : round->count;
  n->outstanding += round->count;
  n->rounds_out++;
  if (n->free_ns < now_ns)
    n->free_ns = now_ns;
  n->free_ns += (int64_t)(n->time_ns[round->count] / n->share.configuration.instances / n->speed);
  return true;
}

/* How many samples of a round were not done; they are from now on. */
static uint32_t mark_done(dispatch *self, const dispatch_round *round)
{
  uint32_t fresh = 0;
  for (uint32_t i = 0; i < round->count; i++) {
    fresh += !self->is_done[round->first + i];
    self->is_done[round->first + i] = true;
  }
  return fresh;
}

/* Samples that came back and were then done by the one who had them are not for others any more. */
static void recount(dispatch *self)
{
  uint64_t count = 0;
  for (uint64_t i = self->next; i < self->params.samples; i++)
    count += !self->is_done[i];
  for (size_t b = 0; b < self->back.count; b++)
    for (uint32_t i = 0; i < self->back.items[b].count; i++)
      count += !self->is_done[self->back.items[b].first + i];
  self->unassigned = count;
}

static void come_back(dispatch *self, node *n)
{
  n->given_up = false;
  self->given_up--;
  n->outstanding = 0;
  n->rounds_out = 0;
}

bool dispatch_done(dispatch *self, size_t i, const dispatch_round *round, int64_t now_ns,
                   int64_t took_ns)
{
  node *n = &self->all[i];
  const double speed = n->time_ns[round->count] / (double)(took_ns > 0 ? took_ns : 1);
  const uint32_t fresh = mark_done(self, round);
  n->heard_ns = now_ns;
  self->done += fresh;
  n->samples += fresh;
  n->rounds += fresh > 0;
  const bool was_waited_for = drop_round(&n->out, round->first);
  if (n->given_up)
    come_back(self, n);
  if (!was_waited_for)
    recount(self);
  /* In logarithms, so that a round half and one twice as fast cancel out. */
  n->speed = exp(MEMORY * log(n->speed) + (1 - MEMORY) * log(fmin(fmax(speed, 1e-3), 1e3)));
  if (was_waited_for) {
    n->outstanding -= round->count;
    n->rounds_out--;
  }
  self->since_placed++;
  /* The other instances are in the middle of a round, on average. */
  const uint32_t instances = n->share.configuration.instances;
  const double running = n->rounds_out < instances - 1 ? n->rounds_out : instances - 1;
  const double left = (double)n->outstanding - 0.5 * running * n->share.batch;
  n->free_ns = now_ns + (int64_t)time_for(n, left > 0 ? left : 0);
  return fresh > 0;
}

int64_t dispatch_silence_ns(const dispatch *self, size_t i, int64_t now_ns)
{
  const node *n = &self->all[i];
  if (!n->rounds_out || n->given_up)
    return 0;
  const double rounds_each = 1 + (double)n->rounds_out / n->share.configuration.instances;
  const double expected_ns = rounds_each * n->time_ns[n->share.batch] / n->speed;
  const int64_t silence_ns = now_ns - n->heard_ns;
  return silence_ns > LEAST_SILENCE_NS + (int64_t)(PATIENCE * expected_ns) ? silence_ns : 0;
}

void dispatch_give_up(dispatch *self, size_t i)
{
  node *n = &self->all[i];
  for (size_t r = 0; r < n->out.count; r++)
    add_round(&self->back, &n->out.items[r]);
  n->out.count = 0;
  n->given_up = true;
  self->given_up++;
  recount(self);
}

bool dispatch_is_given_up(const dispatch *self, size_t i)
{
  return self->all[i].given_up;
}

bool dispatch_complete(const dispatch *self)
{
  return self->done == self->params.samples;
}

uint64_t dispatch_samples_done(const dispatch *self)
{
  return self->done;
}

dispatch_report dispatch_report_of(const dispatch *self, size_t i)
{
  const node *n = &self->all[i];
  return (dispatch_report){n->samples, n->rounds, n->speed, n->rate_per_ns * 1e9};
}
