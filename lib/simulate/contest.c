/* SPDX-License-Identifier: Apache-2.0 */
#include "simulate/contest.h"

#include "core/checked.h"
#include "profile/profile_data.h"
#include "simulate/optimizer_policy.h"
#include "simulate/rivals.h"

/* Defaults of the other servers, as documented. */
enum {
  FIXED_BATCH = 8, /* no server's: a usual guess */
  TENSORFLOW_BATCHES_QUEUED = 10,
  TENSORFLOW_BATCH = 1000,
  BENTOML_BATCH = 100
};
static const int64_t BENTOML_LATENCY_NS = 60000000000;

/* Settings are searched on so many samples, then the best one runs on all. */
enum { SEARCH_SAMPLES = 20000 };
/*
 * Waits that are searched: milliseconds as TensorFlow Serving's guide says, or parts of the target.
 */
static const int64_t waits_ns[] = {0, 1000000, 2000000, 5000000, 10000000};
static const double wait_parts[] = {0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8};
static const double target_parts[] = {0.6, 0.8, 1};
enum {
  WAITS = sizeof waits_ns / sizeof *waits_ns,
  WAIT_PARTS = sizeof wait_parts / sizeof *wait_parts,
  TARGET_PARTS = sizeof target_parts / sizeof *target_parts
};

static qb_status run_rival(const qb__contest *c, const qb__service *service, qb__policy_kind policy,
                           const qb__rival_settings *settings, qb__outcome *outcome)
{
  union {
    qb__policy policy;
    qb__batch_and_wait batch_and_wait;
    qb__bentoml bentoml;
    qb__clipper clipper;
  } rival;
  switch (policy) {
  case QB__POLICY_TRITON: qb__triton_init(&rival.batch_and_wait, settings); break;
  case QB__POLICY_BENTOML: qb__bentoml_init(&rival.bentoml, settings, service->latency_ns); break;
  case QB__POLICY_CLIPPER_AIMD: qb__clipper_aimd_init(&rival.clipper, settings); break;
  case QB__POLICY_CLIPPER_DEADLINE: qb__clipper_deadline_init(&rival.clipper, settings); break;
  default: qb__batch_and_wait_init(&rival.batch_and_wait, settings); break;
  }
  qb__service behind = *service;
  behind.expire_ns = settings->expire_ns;
  return qb__simulation_run(qb__profile_context(c->profile), &behind, &rival.policy, outcome);
}

static qb__rival_settings default_settings(const qb__contest *c, qb__policy_kind policy)
{
  const uint32_t most = c->service.batch;
  qb__rival_settings s = {.batch = most, .target_ns = c->service.target_ns};
  if (policy == QB__POLICY_NO_BATCHING)
    s.batch = 1;
  if (policy == QB__POLICY_FIXED_BATCH) {
    s.batch = qb__min_u32(FIXED_BATCH, most);
    s.max_wait_ns = INT64_MAX;
  }
  if (policy == QB__POLICY_TENSORFLOW_SERVING) {
    s.batch = qb__min_u32(TENSORFLOW_BATCH, most);
    s.queue_most = c->qos.shed ? (uint64_t)TENSORFLOW_BATCHES_QUEUED * s.batch : 0;
  }
  if (policy == QB__POLICY_BENTOML) {
    s.batch = qb__min_u32(BENTOML_BATCH, most);
    s.target_ns = BENTOML_LATENCY_NS;
  }
  return s;
}

/* The best settings so far, by answers within the target, then by latency. */
typedef struct search {
  const qb__contest *contest;
  qb__service service;
  qb__policy_kind policy;
  qb__rival_settings best;
  qb__outcome outcome;
  bool found;
  qb_status status;
} search;

static void try_settings(search *s, const qb__rival_settings *settings)
{
  qb__outcome outcome;
  if (s->status)
    return;
  s->status = run_rival(s->contest, &s->service, s->policy, settings, &outcome);
  if (s->status)
    return;
  const bool better = !s->found || outcome.within > s->outcome.within ||
                      (outcome.within == s->outcome.within && outcome.mean_ns < s->outcome.mean_ns);
  if (better) {
    s->found = true;
    s->best = *settings;
    s->outcome = outcome;
  }
}

static void search_waits(search *s, qb__rival_settings settings, bool by_target)
{
  const int count = by_target ? WAIT_PARTS : WAITS;
  for (int w = 0; w < count; w++) {
    settings.max_wait_ns =
        by_target ? (int64_t)(wait_parts[w] * (double)s->service.target_ns) : waits_ns[w];
    try_settings(s, &settings);
  }
}

/* Every setting that the policy's manual tells to try. */
static void search_rule(search *s, qb__rival_settings settings)
{
  switch (s->policy) {
  case QB__POLICY_EXHAUSTIVE: search_waits(s, settings, true); break;
  case QB__POLICY_TENSORFLOW_SERVING: search_waits(s, settings, false); break;
  case QB__POLICY_TRITON:
    for (int i = 0; i < (s->contest->qos.shed ? 4 : 2); i++) {
      settings.preferred = i & 1;
      settings.timeout_ns = i & 2 ? settings.target_ns : 0;
      search_waits(s, settings, false);
    }
    break;
  case QB__POLICY_BENTOML:
  case QB__POLICY_CLIPPER_AIMD:
  case QB__POLICY_CLIPPER_DEADLINE:
    for (int t = 0; t < TARGET_PARTS; t++) {
      settings.target_ns = (int64_t)(target_parts[t] * (double)s->service.target_ns);
      try_settings(s, &settings);
    }
    break;
  default: try_settings(s, &settings); break;
  }
}

/*
 * At every batch size or powers of two. If refusing is allowed, too, behind a front end that
 * refuses what cannot be in time even alone, as ours does.
 */
static void search_batch(search *s, qb__rival_settings settings)
{
  search_rule(s, settings);
  settings.expire_ns = s->service.target_ns - s->service.latency_ns[1];
  if (s->contest->qos.shed && settings.expire_ns > 0)
    search_rule(s, settings);
}

static qb_status search_settings(const qb__contest *c, qb__policy_kind policy,
                                 qb__rival_settings *settings)
{
  const uint32_t most = c->service.batch;
  search s = {.contest = c, .service = c->service, .policy = policy};
  if (s.service.samples > SEARCH_SAMPLES)
    s.service.samples = SEARCH_SAMPLES;
  qb__rival_settings start = default_settings(c, policy);
  start.target_ns = c->service.target_ns;
  for (uint32_t b = 1; b <= (policy == QB__POLICY_NO_BATCHING ? 1 : most);
       b = policy == QB__POLICY_EXHAUSTIVE || b == most ? b + 1 : qb__min_u32(2 * b, most)) {
    start.batch = b;
    search_batch(&s, start);
  }
  *settings = s.best;
  return s.status;
}

static qb_status run_own(const qb__contest *c, qb__outcome *outcome)
{
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  params.configuration = c->configuration;
  params.max_batch = c->service.batch;
  params.rate_per_s = qb__arrival_mean_rate(&c->service.arrivals);
  qb_optimizer *optimizer;
  qb_status status = qb_optimizer_new(c->profile, &params, &c->qos, &optimizer);
  if (status)
    return status;
  qb__optimizer_policy own;
  qb__optimizer_policy_init(&own, optimizer, c->qos.latency_ns);
  status = qb__simulation_run(qb__profile_context(c->profile), &c->service, &own.policy, outcome);
  qb_optimizer_free(optimizer);
  return status ? status : own.status;
}

qb_status qb__contest_run(const qb__contest *contest, qb__policy_kind policy, bool tuned,
                          qb__result *result)
{
  if (policy == QB__POLICY_QOSBATCH) {
    result->batch = contest->service.batch;
    result->max_wait_ns = 0;
    return run_own(contest, &result->outcome);
  }
  qb__rival_settings settings = default_settings(contest, policy);
  if (tuned || policy == QB__POLICY_EXHAUSTIVE) {
    const qb_status status = search_settings(contest, policy, &settings);
    if (status)
      return status;
  }
  result->batch = settings.batch;
  result->max_wait_ns = settings.max_wait_ns == INT64_MAX ? 0 : settings.max_wait_ns;
  return run_rival(contest, &contest->service, policy, &settings, &result->outcome);
}
