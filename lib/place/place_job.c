/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Least makespan of a job: the least time C at which the most samples that each node can do by
 * then add up to the job. That sum never falls with C, so C is found by bracketing: by
 * interpolation, as the sum is almost a line, and by halving, so that it is never slow. What is
 * too much is taken from nodes whose last step ends exactly at C.
 */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "estimate/round_times.h"
#include "place/place_nodes.h"
#include "plan/demand.h"
#include "profile/profile_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A configuration and batch size of a profile. */
typedef struct option {
  const qb__round_times *table;
  uint32_t batch;
  double least_ns; /* no rounds of at most `batch` take less per sample of all instances */
} option;

/* All that a profile offers on a node, the least time per sample first. */
typedef struct kind {
  const qb_place_node *node; /* of those alike */
  qb__round_set set;
  size_t option_count;
  option *options;
} kind;

typedef struct search {
  qb__place place;
  qb_qos qos;
  const kind **kind_of; /* of each node */
  size_t kind_count;
  kind *kinds;
} search;

static int by_least(const void *a, const void *b)
{
  const option *x = a, *y = b;
  if (x->least_ns != y->least_ns)
    return x->least_ns < y->least_ns ? -1 : 1;
  return x->batch < y->batch ? -1 : x->batch > y->batch;
}

static qb_status kind_init(kind *k, const qb_place_node *node, double accuracy)
{
  const qb_context *context = qb__profile_context(node->profile);
  k->node = node;
  const qb_status status =
      qb__round_set_init(node->profile, node->node, false, accuracy > 0, false, &k->set);
  if (status)
    return status;
  size_t options = 0;
  for (size_t t = 0; t < k->set.count; t++)
    options += k->set.tables[t].max_batch;
  k->options = qb__calloc(context, options, sizeof *k->options);
  if (!k->options)
    return QB_ERROR_NO_MEMORY;
  for (size_t t = 0; t < k->set.count; t++) {
    const qb__round_times *table = &k->set.tables[t];
    double least = INFINITY;
    for (uint32_t b = 1; b <= table->max_batch && table->accuracy >= accuracy; b++) {
      least = fmin(least, (double)table->mean_ns[b] / b / table->configuration.instances);
      k->options[k->option_count++] = (option){table, b, least};
    }
  }
  qsort(k->options, k->option_count, sizeof *k->options, by_least);
  return QB_OK;
}

static void kind_free(kind *k)
{
  qb__free(qb__profile_context(k->node->profile), k->options);
  qb__round_set_free(&k->set);
}

/* The most samples of a round that takes up to `ns`, below `batch`. */
static uint32_t remainder_within(const int64_t *time_ns, uint32_t batch, int64_t ns)
{
  uint32_t low = 0, high = batch;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    if (time_ns[middle] <= ns)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* Within the limits of a node. Rounds of fewer samples are no longer, but for noise. */
static bool fits(const search *s, const qb_place_node *node, const option *o)
{
  const uint64_t memory_bytes = qb__lower_limit(node->memory_bytes, s->qos.memory_bytes);
  const double round_ns = (double)o->table->high_ns[o->batch] / node->speed;
  return (!memory_bytes || o->table->memory_bytes[o->batch] <= memory_bytes) &&
         (!s->qos.latency_ns || round_ns <= (double)s->qos.latency_ns);
}

/* The most samples that a node can do until `end_ns`. */
static uint64_t samples_within(const search *s, size_t index, int64_t end_ns)
{
  const qb_place_node *node = &s->place.nodes[index];
  const kind *k = s->kind_of[index];
  if (end_ns <= node->ready_ns)
    return 0;
  const double available = (double)(end_ns - node->ready_ns) * node->speed;
  const int64_t ns = node->speed == 1 ? end_ns - node->ready_ns : (int64_t)fmin(available, 9e18);
  uint64_t most = 0;
  for (size_t i = 0; i < k->option_count; i++) {
    const option *o = &k->options[i];
    if ((double)ns / o->least_ns * (1 + 1e-12) < (double)(most + 1))
      break;
    if (!fits(s, node, o))
      continue;
    const int64_t *time_ns = o->table->mean_ns;
    const int64_t full = ns / time_ns[o->batch];
    const uint32_t rest = remainder_within(time_ns, o->batch, ns - full * time_ns[o->batch]);
    const uint64_t each = (uint64_t)full * o->batch + rest;
    const uint64_t samples = each * o->table->configuration.instances;
    most = samples > most ? samples : most;
  }
  return most;
}

static double sum_within(const search *s, int64_t end_ns)
{
  double sum = 0;
  for (size_t i = 0; i < s->place.count; i++)
    sum += (double)samples_within(s, i, end_ns);
  return sum;
}

/* The least time in which the nodes can do `samples` together, or 0 if they never can. */
static int64_t find_end(const search *s, double samples, int64_t bound_ns)
{
  int64_t low = 0, high = bound_ns > 1 ? bound_ns : 1;
  int64_t step = high / 64 + 1000;
  double low_sum = 0, high_sum = sum_within(s, high);
  while (high_sum < samples) {
    if (high > INT64_MAX / 4)
      return 0;
    low = high;
    low_sum = high_sum;
    high += step;
    step *= 2;
    high_sum = sum_within(s, high);
  }
  for (int turn = 0; high - low > 1; turn++) {
    int64_t middle = low + (high - low) / 2;
    if (turn % 3 != 2) {
      const double share = (samples - low_sum) / (high_sum - low_sum);
      const int64_t guess = low + (int64_t)((double)(high - low) * share);
      middle = guess <= low ? low + 1 : guess >= high ? high - 1 : guess;
    }
    const double sum = sum_within(s, middle);
    if (sum >= samples) {
      high = middle;
      high_sum = sum;
    } else {
      low = middle;
      low_sum = sum;
    }
  }
  return high;
}

/* The option with which a node does its samples soonest. */
static void choose(const search *s, size_t index, uint64_t samples, qb_share *share)
{
  const qb_place_node *node = &s->place.nodes[index];
  const kind *k = s->kind_of[index];
  const option *best = NULL;
  int64_t best_ns = INT64_MAX;
  for (size_t i = 0; i < k->option_count; i++) {
    const option *o = &k->options[i];
    if ((double)samples * o->least_ns > (double)best_ns)
      break;
    const uint32_t instances = o->table->configuration.instances;
    const uint64_t each = samples / instances + (samples % instances != 0);
    if (!fits(s, node, o) || o->batch > each)
      continue;
    const int64_t *time_ns = o->table->mean_ns;
    const int64_t ns = (int64_t)(each / o->batch) * time_ns[o->batch] + time_ns[each % o->batch];
    if (ns < best_ns) {
      best_ns = ns;
      best = o;
    }
  }
  if (!best)
    return;
  share->configuration = best->table->configuration;
  share->batch = best->batch;
  share->samples = samples;
  share->total_ns =
      node->ready_ns +
      (node->speed == 1 ? best_ns : qb__clamp_i64(ceil((double)best_ns / node->speed)));
}

/*
 * Each node what it can do just before the end, and the rest to those that can do more until it.
 */
static void fill(search *s, uint64_t samples, int64_t end_ns, qb_placement *made)
{
  qb_share *shares = s->place.shares;
  for (size_t i = 0; i < s->place.count; i++) {
    shares[i].samples = samples_within(s, i, end_ns - 1);
    samples -= shares[i].samples;
  }
  for (size_t i = 0; i < s->place.count; i++) {
    uint64_t mine = shares[i].samples;
    if (samples) {
      const uint64_t more = samples_within(s, i, end_ns) - mine;
      mine += more < samples ? more : samples;
      samples -= mine - shares[i].samples;
    }
    if (!mine)
      continue;
    choose(s, i, mine, &shares[i]);
    made->used++;
    made->total_ns = shares[i].total_ns > made->total_ns ? shares[i].total_ns : made->total_ns;
  }
}

/* Nodes in order: those of equal times stand beside each other. */
static qb_status make_kinds(search *s)
{
  const qb__place *p = &s->place;
  s->kind_of = qb__calloc(p->context, p->count, sizeof *s->kind_of);
  if (!s->kind_of)
    return QB_ERROR_NO_MEMORY;
  size_t kinds = 1;
  for (size_t i = 1; i < p->count; i++)
    kinds += !qb__place_same_times(&p->nodes[p->order[i]], &p->nodes[p->order[i - 1]]);
  s->kinds = qb__calloc(p->context, kinds, sizeof *s->kinds);
  if (!s->kinds)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < p->count; i++) {
    const qb_place_node *node = &p->nodes[p->order[i]];
    if (!i || !qb__place_same_times(node, s->kinds[s->kind_count - 1].node)) {
      const qb_status status = kind_init(&s->kinds[s->kind_count++], node, s->qos.accuracy);
      if (status)
        return status;
    }
    s->kind_of[p->order[i]] = &s->kinds[s->kind_count - 1];
  }
  return QB_OK;
}

static void search_free(search *s)
{
  for (size_t i = 0; i < s->kind_count; i++)
    kind_free(&s->kinds[i]);
  if (s->place.context) {
    qb__free(s->place.context, s->kinds);
    qb__free(s->place.context, s->kind_of);
  }
  qb__place_free(&s->place);
}

/* Samples per nanosecond of all nodes at their best, as if there were no last rounds. */
static double best_rate(const search *s)
{
  double rate = 0;
  for (size_t i = 0; i < s->place.count; i++) {
    const qb_place_node *node = &s->place.nodes[i];
    const kind *k = s->kind_of[i];
    for (size_t j = 0; j < k->option_count; j++)
      if (fits(s, node, &k->options[j])) {
        rate += node->speed / k->options[j].least_ns;
        break;
      }
  }
  return rate;
}

static qb_status place(search *s, uint64_t samples, qb_placement *made)
{
  const double rate = best_rate(s);
  if (!(rate > 0))
    return qb__fail(QB_ERROR_INFEASIBLE,
                    "none of %zu nodes can run a round of one sample within its limits; raise "
                    "memory_bytes or qos.latency_ns, or lower qos.accuracy",
                    s->place.count);
  made->bound_ns = (int64_t)((double)samples / rate);
  const int64_t end_ns = find_end(s, (double)samples, made->bound_ns);
  if (!end_ns)
    return qb__fail(QB_ERROR_OVERFLOW, "%llu samples take longer than 73 years",
                    (unsigned long long)samples);
  fill(s, samples, end_ns, made);
  made->feasible = !s->qos.deadline_ns || made->total_ns <= s->qos.deadline_ns;
  return QB_OK;
}

qb_status qb_place_job(const qb_place_node *nodes, size_t count, const qb_job *job,
                       const qb_qos *qos, qb_share *shares, qb_placement *placement)
{
  search s = {.kind_count = 0};
  qb_job asked;
  qb_placement made = QB_PLACEMENT_INIT;
  qb_status status = qb__place_init(nodes, count, shares, placement, &s.place);
  if (!status)
    status = qb__job_in(job, &asked);
  if (!status)
    status = qb__qos_in(qos, &s.qos);
  if (!status)
    status = make_kinds(&s);
  if (!status)
    status = place(&s, asked.samples, &made);
  if (!status)
    qb__place_out(&s.place, &made);
  search_free(&s);
  return status;
}
