/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that refresh an optimizer as fast as they can, while another one decides and observes:
 * each decision is one that the tables of some refresh give, and no observation is lost.
 */
#include "support/crowd.h"
#include "support/expect.h"
#include "support/scripted_profile.h"

#include <qosbatch/optimize.h>

#include <math.h>

enum { MAX_BATCH = 8, OPTIMIZERS = 2, ONCE_NS = 8000000, EACH_NS = 2000000, ROUNDS = 50 };

/* Belongs to the thread that decides, all but the optimizer. */
typedef struct service {
  qb_optimizer *optimizer;
  qb_optimizer *twin; /* of the same observations, never refreshed */
  int64_t now_ns;
  uint64_t rounds, due;
} service;

static qb_optimizer *new_optimizer(qb_profile *profile)
{
  qb_optimizer_params params = QB_OPTIMIZER_PARAMS_INIT;
  params.configuration = (qb_configuration){1, 1};
  params.max_batch = MAX_BATCH;
  params.rate_per_s = 100;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 60000000;
  qb_optimizer *made;
  assert_ok(qb_optimizer_new(profile, &params, &qos, &made));
  return made;
}

static const char *observe(service *s, uint32_t batch, double slowdown)
{
  const double profiled_ns = ONCE_NS + EACH_NS * (double)batch;
  const qb_round_result result = {sizeof result, batch, (int64_t)(slowdown * profiled_ns)};
  CROWD_EXPECT(!qb_observe(s->optimizer, &result));
  CROWD_EXPECT(!qb_observe(s->twin, &result));
  return NULL;
}

static const char *decide(service *s)
{
  qb_round_state now = QB_ROUND_STATE_INIT;
  qb_decision d = QB_DECISION_INIT, alone = QB_DECISION_INIT;
  now.queued = 1 + (uint32_t)(s->rounds % MAX_BATCH);
  now.now_ns = s->now_ns += 20000000;
  now.oldest_arrival_ns = now.now_ns - (int64_t)(s->rounds % 40) * 1000000;
  /* A node that becomes half as fast again, and recovers, for 1,000 rounds each. */
  const double slowdown = s->rounds++ / 1000 % 2 ? 1.5 : 1;
  CROWD_EXPECT(!qb_optimize(s->optimizer, &now, &d));
  CROWD_EXPECT(!qb_optimize(s->twin, &now, &alone));
  CROWD_EXPECT(d.action == QB_ACTION_RUN || d.action == QB_ACTION_WAIT ||
               d.action == QB_ACTION_INFEASIBLE);
  CROWD_EXPECT(d.batch >= 1 && d.batch <= MAX_BATCH);
  /* One table alone: by half of each, a round could be predicted as shorter than it is profiled. */
  const double profiled_ns = ONCE_NS + EACH_NS * (double)d.batch;
  CROWD_EXPECT((double)d.latency_ns > 0.95 * profiled_ns);
  CROWD_EXPECT((double)d.latency_ns < 1.7 * profiled_ns);
  CROWD_EXPECT(d.low_ns <= d.latency_ns && d.latency_ns <= d.high_ns);
  CROWD_EXPECT(fabs(d.slowdown / alone.slowdown - 1) < 1e-6); /* of observations that both have */
  s->due += d.refresh_due;
  return observe(s, now.queued, slowdown);
}

static const char *serve_or_refresh(void *shared, uint32_t thread, uint64_t step)
{
  service *s = (service *)shared + thread % OPTIMIZERS;
  (void)step;
  if (thread >= OPTIMIZERS) {
    CROWD_EXPECT(!qb_optimizer_refresh(s->optimizer));
    return NULL;
  }
  const char *wrong = NULL;
  for (int i = 0; i < ROUNDS && !wrong; i++)
    wrong = decide(s);
  return wrong;
}

static void refresh_loses_no_decision_and_no_observation(void **state)
{
  (void)state;
  static const qb_configuration one = {1, 1};
  service services[OPTIMIZERS] = {0};
  qb_context *context;
  assert_ok(qb_context_new(NULL, &context));
  qb_profile *profile = scripted_profile(context, &one, MAX_BATCH, 8, 2, 1.05);
  for (int i = 0; i < OPTIMIZERS; i++) {
    services[i].optimizer = new_optimizer(profile);
    services[i].twin = new_optimizer(profile);
  }
  crowd_run(1, serve_or_refresh, services);
  for (int i = 0; i < OPTIMIZERS; i++) {
    print_message("# %llu decisions, %llu asked for a refresh\n",
                  (unsigned long long)services[i].rounds, (unsigned long long)services[i].due);
    assert_true(services[i].rounds >= ROUNDS);
    qb_optimizer_free(services[i].optimizer);
    qb_optimizer_free(services[i].twin);
  }
  qb_profile_unref(profile);
  qb_context_unref(context);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refresh_loses_no_decision_and_no_observation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
