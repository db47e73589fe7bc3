/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate of a service over nodes. A node of speed s with target L at rate R is the profile's node
 * with target s L at rate R / s, its clock running s times as fast.
 */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "node/node_data.h"
#include "place/place_nodes.h"
#include "plan/service_search.h"
#include "profile/profile_data.h"

typedef struct search {
  qb__place place;
  qb_load load;
  qb_qos qos;
  double *rates; /* the most that each node holds */
} search;

static qb_status plan_node(const search *s, const qb_place_node *node, double rate_per_s,
                           qb_service_plan *plan)
{
  const qb__site site = {.profile = node->profile,
                         .node = node->node,
                         .price_per_hour =
                             qb__node_info(qb__profile_node(node->profile))->price_per_hour};
  qb_load load = s->load;
  qb_qos qos = s->qos;
  load.queued = 0;
  load.rate_per_s = rate_per_s / node->speed;
  load.burst_ns = qb__clamp_i64((double)load.burst_ns * node->speed);
  qos.latency_ns = qb__clamp_i64((double)qos.latency_ns * node->speed);
  qos.memory_bytes = qb__lower_limit(node->memory_bytes, qos.memory_bytes);
  return qb__plan_service(&site, 1, &load, &qos, plan, NULL);
}

/* What a rate that nothing can hold leaves: the highest that can be held. */
static qb_status highest_rate(const search *s, const qb_place_node *node, double *rate_per_s)
{
  qb_service_plan plan;
  const qb_status status = plan_node(s, node, 1e12, &plan);
  if (!status)
    *rate_per_s = plan.nearest.rate_per_s * node->speed;
  return status;
}

/* The one before in the order is equal, and so is its answer. */
static bool is_repeated(const qb__place *p, size_t i)
{
  return i && qb__place_same_node(&p->nodes[p->order[i - 1]], &p->nodes[p->order[i]]);
}

static qb_status find_rates(search *s, double *sum)
{
  const qb__place *p = &s->place;
  *sum = 0;
  for (size_t i = 0; i < p->count; i++) {
    const uint32_t at = p->order[i];
    if (is_repeated(p, i)) {
      s->rates[at] = s->rates[p->order[i - 1]];
    } else {
      const qb_status status = highest_rate(s, &p->nodes[at], &s->rates[at]);
      if (status)
        return status;
    }
    *sum += s->rates[at];
  }
  return QB_OK;
}

static qb_status fill_share(search *s, uint32_t at, double rate_per_s)
{
  qb_service_plan plan;
  qb_share *share = &s->place.shares[at];
  if (!(rate_per_s > 0))
    return QB_OK;
  const qb_status status = plan_node(s, &s->place.nodes[at], rate_per_s, &plan);
  if (status)
    return status;
  share->configuration = plan.configuration;
  share->batch = plan.batch;
  share->rate_per_s = rate_per_s;
  share->max_wait_ns = qb__clamp_i64((double)plan.max_wait_ns / s->place.nodes[at].speed);
  return QB_OK;
}

static qb_status fill(search *s, double part, qb_placement *made)
{
  qb__place *p = &s->place;
  for (size_t i = 0; i < p->count; i++) {
    const uint32_t at = p->order[i];
    qb_status status = QB_OK;
    if (is_repeated(p, i))
      p->shares[at] = p->shares[p->order[i - 1]];
    else
      status = fill_share(s, at, s->rates[at] * part);
    if (status)
      return status;
    made->used += p->shares[at].batch > 0;
  }
  return QB_OK;
}

static qb_status place(search *s, qb_placement *made)
{
  s->rates = qb__calloc(s->place.context, s->place.count, sizeof *s->rates);
  qb_status status = s->rates ? find_rates(s, &made->max_rate_per_s) : QB_ERROR_NO_MEMORY;
  if (status)
    return status;
  if (!(made->max_rate_per_s > 0))
    return qb__fail(QB_ERROR_INFEASIBLE,
                    "none of %zu nodes meets the latency target of %lld ns and the other limits at "
                    "any rate",
                    s->place.count, (long long)s->qos.latency_ns);
  made->feasible = s->load.rate_per_s <= made->max_rate_per_s;
  return fill(s, made->feasible ? s->load.rate_per_s / made->max_rate_per_s : 1, made);
}

qb_status qb_place_service(const qb_place_node *nodes, size_t count, const qb_load *load,
                           const qb_qos *qos, qb_share *shares, qb_placement *placement)
{
  search s = {.rates = NULL};
  qb_placement made = QB_PLACEMENT_INIT;
  qb_status status = qb__place_init(nodes, count, shares, placement, &s.place);
  if (!status)
    status = qb__load_in(load, false, &s.load);
  if (!status)
    status = qb__qos_in(qos, &s.qos);
  if (!status)
    status = place(&s, &made);
  if (!status)
    qb__place_out(&s.place, &made);
  if (s.place.context)
    qb__free(s.place.context, s.rates);
  qb__place_free(&s.place);
  return status;
}
