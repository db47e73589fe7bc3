/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate of a service over nodes. A node of speed s with target L at rate R is the profile's node
 * with target s L at rate R / s, its clock running s times as fast.
 */
#include "core/alloc.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "place/place_nodes.h"
#include "plan/demand.h"
#include "profile/profile_impl.h"

#include <qosbatch/plan.h>

#include <math.h>

typedef struct search {
  const qb_place_node *nodes;
  size_t count;
  qb_load load;
  qb_qos qos;
  uint32_t *order;
  double *rates; /* the most that each node holds */
} search;

static qb_status plan_node(const search *s, const qb_place_node *node, double rate_per_s,
                           qb_service_plan *plan)
{
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = s->qos;
  load.rate_per_s = rate_per_s / node->speed;
  qos.latency_ns = qb__clamp_i64((double)qos.latency_ns * node->speed);
  if (node->memory_bytes && (!qos.memory_bytes || node->memory_bytes < qos.memory_bytes))
    qos.memory_bytes = node->memory_bytes;
  *plan = (qb_service_plan)QB_SERVICE_PLAN_INIT;
  return qb_plan_service(&node->profile, 1, &load, &qos, plan);
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

static qb_status find_rates(search *s, double *sum)
{
  *sum = 0;
  for (size_t i = 0; i < s->count; i++) {
    const uint32_t at = s->order[i], before = i ? s->order[i - 1] : at;
    if (i && !qb__place_compare(&s->nodes[before], &s->nodes[at])) {
      s->rates[at] = s->rates[before];
    } else {
      const qb_status status = highest_rate(s, &s->nodes[at], &s->rates[at]);
      if (status)
        return status;
    }
    *sum += s->rates[at];
  }
  return QB_OK;
}

static qb_status fill(const search *s, double part, qb_share *shares, qb_placement *made)
{
  for (size_t i = 0; i < s->count; i++) {
    const uint32_t at = s->order[i], before = i ? s->order[i - 1] : at;
    const double rate_per_s = s->rates[at] * part;
    if (i && !qb__place_compare(&s->nodes[before], &s->nodes[at])) {
      shares[at] = shares[before];
    } else {
      shares[at] = (qb_share)QB_SHARE_INIT;
      if (rate_per_s > 0) {
        qb_service_plan plan;
        const qb_status status = plan_node(s, &s->nodes[at], rate_per_s, &plan);
        if (status)
          return status;
        shares[at].configuration = plan.configuration;
        shares[at].batch = plan.batch;
        shares[at].rate_per_s = rate_per_s;
        shares[at].max_wait_ns = qb__clamp_i64((double)plan.max_wait_ns / s->nodes[at].speed);
      }
    }
    made->used += shares[at].batch > 0;
  }
  return QB_OK;
}

qb_status qb_place_load(const qb_place_node *nodes, size_t count, const qb_load *load,
                        const qb_qos *qos, qb_share *shares, qb_placement *placement)
{
  search s = {.nodes = nodes, .count = count};
  qb_status status = qb__place_check(nodes, count, shares, placement);
  if (!status)
    status = qb__struct_in(&s.load, sizeof s.load, sizeof s.load, load, "load");
  if (!status)
    status = qb__qos_in(qos, &s.qos);
  if (status)
    return status;
  if (!(s.load.rate_per_s > 0) || !isfinite(s.load.rate_per_s))
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "load.rate_per_s is %g; give the samples that arrive per second, above 0",
                    s.load.rate_per_s);
  const qb_context *context = nodes[0].profile->context;
  qb_placement made = QB_PLACEMENT_INIT;
  qb_share *ours = qb__calloc(context, count, sizeof *ours);
  s.order = qb__calloc(context, count, sizeof *s.order);
  s.rates = qb__calloc(context, count, sizeof *s.rates);
  status = ours && s.order && s.rates ? qb__place_order(nodes, count, s.order) : QB_ERROR_NO_MEMORY;
  if (!status)
    status = find_rates(&s, &made.max_rate_per_s);
  if (!status && !(made.max_rate_per_s > 0))
    status = qb__fail(QB_ERROR_INFEASIBLE,
                      "none of %zu nodes holds the latency at any rate; the target is %lld ns",
                      count, (long long)s.qos.latency_ns);
  if (!status) {
    made.feasible = s.load.rate_per_s <= made.max_rate_per_s;
    status = fill(&s, made.feasible ? s.load.rate_per_s / made.max_rate_per_s : 1, ours, &made);
  }
  if (!status) {
    for (size_t i = 0; i < count; i++)
      shares[i] = ours[i];
    if (placement)
      qb__struct_out(placement, &made, sizeof made);
  }
  qb__free(context, ours);
  qb__free(context, s.order);
  qb__free(context, s.rates);
  return status;
}
