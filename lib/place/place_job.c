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
#include "estimate/estimate.h"
#include "place/place_nodes.h"
#include "plan/latency_table.h"
#include "profile/profile_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A configuration and batch size of a profile. */
typedef struct option {
  const qb__latency_table *table;
  uint32_t batch;
  double least_ns; /* no rounds of at most `batch` take less per sample of all instances */
} option;

/* All that a profile offers, the least time per sample first. */
typedef struct kind {
  const qb_profile *profile;
  size_t table_count;
  qb__latency_table *tables;
  size_t option_count;
  option *options;
} kind;

typedef struct search {
  const qb_place_node *nodes;
  size_t count;
  uint32_t *order;
  const kind **kind_of; /* of each node */
  size_t kind_count;
  kind *kinds;
  const qb_context *context;
} search;

static int by_least(const void *a, const void *b)
{
  const option *x = a, *y = b;
  if (x->least_ns != y->least_ns)
    return x->least_ns < y->least_ns ? -1 : 1;
  return x->batch < y->batch ? -1 : x->batch > y->batch;
}

static qb_status kind_init(kind *k, const qb_profile *profile)
{
  k->profile = profile;
  const size_t count = qb__configuration_count(profile);
  k->tables = qb__calloc(profile->context, count, sizeof *k->tables);
  if (!k->tables)
    return QB_ERROR_NO_MEMORY;
  size_t options = 0;
  for (; k->table_count < count; k->table_count++) {
    qb_configuration configuration;
    uint32_t max_batch;
    qb__configuration_at(profile, k->table_count, &configuration, &max_batch);
    const qb_status status =
        qb__latency_table_init(profile, &configuration, max_batch, &k->tables[k->table_count]);
    if (status)
      return status;
    options += max_batch;
  }
  k->options = qb__calloc(profile->context, options, sizeof *k->options);
  if (!k->options)
    return QB_ERROR_NO_MEMORY;
  for (size_t t = 0; t < k->table_count; t++) {
    const qb__latency_table *table = &k->tables[t];
    double least = INFINITY;
    for (uint32_t b = 1; b <= table->max_batch; b++) {
      least = fmin(least, (double)table->mean_ns[b] / b / table->configuration.instances);
      k->options[k->option_count++] = (option){table, b, least};
    }
  }
  qsort(k->options, k->option_count, sizeof *k->options, by_least);
  return QB_OK;
}

static void kind_free(kind *k)
{
  for (size_t t = 0; t < k->table_count; t++)
    qb__latency_table_free(k->profile, &k->tables[t]);
  qb__free(k->profile->context, k->tables);
  qb__free(k->profile->context, k->options);
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

static bool fits(const qb_place_node *node, const option *o)
{
  return !node->memory_bytes || o->table->memory_bytes[o->batch] <= node->memory_bytes;
}

/* The most samples that a node can do until `end_ns`. */
static uint64_t samples_within(const qb_place_node *node, const kind *k, int64_t end_ns)
{
  if (end_ns <= node->ready_ns)
    return 0;
  const double available = (double)(end_ns - node->ready_ns) * node->speed;
  const int64_t ns = node->speed == 1 ? end_ns - node->ready_ns : (int64_t)fmin(available, 9e18);
  uint64_t most = 0;
  for (size_t i = 0; i < k->option_count; i++) {
    const option *o = &k->options[i];
    if ((double)ns / o->least_ns * (1 + 1e-12) < (double)(most + 1))
      break;
    if (!fits(node, o))
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
  for (size_t i = 0; i < s->count; i++)
    sum += (double)samples_within(&s->nodes[i], s->kind_of[i], end_ns);
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
static void choose(const qb_place_node *node, const kind *k, uint64_t samples, qb_share *share)
{
  const option *best = NULL;
  int64_t best_ns = INT64_MAX;
  for (size_t i = 0; i < k->option_count; i++) {
    const option *o = &k->options[i];
    if ((double)samples * o->least_ns > (double)best_ns)
      break;
    const uint32_t instances = o->table->configuration.instances;
    const uint64_t each = samples / instances + (samples % instances != 0);
    if (!fits(node, o) || o->batch > each)
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
static void fill(const search *s, uint64_t samples, int64_t end_ns, qb_share *shares,
                 qb_placement *made)
{
  for (size_t i = 0; i < s->count; i++) {
    shares[i] = (qb_share)QB_SHARE_INIT;
    shares[i].samples = samples_within(&s->nodes[i], s->kind_of[i], end_ns - 1);
    samples -= shares[i].samples;
  }
  for (size_t i = 0; i < s->count; i++) {
    uint64_t mine = shares[i].samples;
    if (samples) {
      const uint64_t more = samples_within(&s->nodes[i], s->kind_of[i], end_ns) - mine;
      mine += more < samples ? more : samples;
      samples -= mine - shares[i].samples;
    }
    if (!mine)
      continue;
    choose(&s->nodes[i], s->kind_of[i], mine, &shares[i]);
    made->used++;
    made->total_ns = shares[i].total_ns > made->total_ns ? shares[i].total_ns : made->total_ns;
  }
}

static qb_status search_init(search *s)
{
  s->order = qb__calloc(s->context, s->count, sizeof *s->order);
  s->kind_of = qb__calloc(s->context, s->count, sizeof *s->kind_of);
  if (!s->order || !s->kind_of)
    return QB_ERROR_NO_MEMORY;
  qb_status status = qb__place_order(s->nodes, s->count, s->order);
  if (status)
    return status;
  size_t kinds = 0;
  for (size_t i = 0; i < s->count; i++)
    kinds += !i || s->nodes[s->order[i]].profile != s->nodes[s->order[i - 1]].profile;
  s->kinds = qb__calloc(s->context, kinds, sizeof *s->kinds);
  if (!s->kinds)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < s->count; i++) {
    const qb_profile *profile = s->nodes[s->order[i]].profile;
    if (!s->kind_count || s->kinds[s->kind_count - 1].profile != profile) {
      status = kind_init(&s->kinds[s->kind_count++], profile);
      if (status)
        return status;
    }
    s->kind_of[s->order[i]] = &s->kinds[s->kind_count - 1];
  }
  return QB_OK;
}

static void search_free(search *s)
{
  for (size_t i = 0; i < s->kind_count; i++)
    kind_free(&s->kinds[i]);
  qb__free(s->context, s->kinds);
  qb__free(s->context, s->kind_of);
  qb__free(s->context, s->order);
}

/* Samples per nanosecond of all nodes at their best, as if there were no last rounds. */
static double best_rate(const search *s)
{
  double rate = 0;
  for (size_t i = 0; i < s->count; i++) {
    const kind *k = s->kind_of[i];
    for (size_t j = 0; j < k->option_count; j++)
      if (fits(&s->nodes[i], &k->options[j])) {
        rate += s->nodes[i].speed / k->options[j].least_ns;
        break;
      }
  }
  return rate;
}

qb_status qb_place_job(const qb_place_node *nodes, size_t count, uint64_t samples, qb_share *shares,
                       qb_placement *placement)
{
  qb_status status = qb__place_check(nodes, count, shares, placement);
  if (status)
    return status;
  if (samples < 1 || samples > UINT64_C(1) << 53)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "samples is %llu; give 1..2^53",
                    (unsigned long long)samples);
  search s = {.nodes = nodes, .count = count, .context = nodes[0].profile->context};
  status = search_init(&s);
  const double rate = status ? 0 : best_rate(&s);
  if (!status && !(rate > 0))
    status = qb__fail(QB_ERROR_INFEASIBLE,
                      "none of %zu nodes has the memory for a round of one sample; raise "
                      "memory_bytes",
                      count);
  if (!status) {
    qb_placement made = QB_PLACEMENT_INIT;
    made.feasible = true;
    made.bound_ns = (int64_t)((double)samples / rate);
    const int64_t end_ns = find_end(&s, (double)samples, made.bound_ns);
    if (end_ns) {
      fill(&s, samples, end_ns, shares, &made);
      if (placement)
        qb__struct_out(placement, &made, sizeof made);
    } else {
      status = qb__fail(QB_ERROR_OVERFLOW, "%llu samples take longer than 73 years",
                        (unsigned long long)samples);
    }
  }
  search_free(&s);
  return status;
}
