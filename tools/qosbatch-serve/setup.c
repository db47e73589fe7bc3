/* SPDX-License-Identifier: Apache-2.0 */
#include "setup.h"

#include "common/diagnose.h"
#include "common/measure.h"
#include "common/output.h"
#include "common/precisions.h"

#include <qosbatch/inspect.h>

#include <stdio.h>

int setup_model(const qb_model *model, protocol_model *result)
{
  qb_model_info info = QB_MODEL_INFO_INIT;
  *result = (protocol_model){.input = QB_TENSOR_INFO_INIT, .output = QB_TENSOR_INFO_INIT};
  int status = check(qb_model_get_info(model, &info));
  if (!status && (info.inputs != 1 || info.outputs != 1))
    status = fail("'%s' has %u inputs and %u outputs; networks with one of each can be served",
                  info.name, info.inputs, info.outputs);
  if (status || (status = check(qb_model_get_input(model, 0, &result->input))) ||
      (status = check(qb_model_get_output(model, 0, &result->output))))
    return status;
  result->name = info.name;
  if (!result->input.name)
    result->input.name = "input";
  if (!result->output.name)
    result->output.name = "output";
  return EXIT_DONE;
}

/* For a first try; no profile of its own would keep the promise for long. */
static int profile_briefly(qb_context *context, qb_model *model, const demand *d,
                           qb_profile **profile)
{
  enum { BUDGET_S = 10, LARGEST = 16 };
  note("no --profile: measuring %s for a few seconds; 'qosbatch profile %s -o FILE' makes one to "
       "keep",
       d->model, d->model);
  qb_node *node = NULL;
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = LARGEST;
  int result = measure_node(context, reserve_of(d->reserve_cores, NULL), 0, BUDGET_S, &node,
                            &params.time_budget_ns);
  if (!result)
    result = measure_profile(model, node, &params, false, profile);
  qb_node_unref(node);
  return result;
}

static int refuse_infeasible(const demand *d, const qb_service_plan *plan)
{
  const qb_nearest *nearest = &plan->nearest;
  char latency[64] = "", rate[64] = "";
  if (nearest->latency_ns)
    snprintf(latency, sizeof latency, "--latency >= %s",
             digits_rounded((double)nearest->latency_ns * 1e-6, ROUND_UP).s);
  if (nearest->rate_per_s > 0)
    snprintf(rate, sizeof rate, "--rate <= %s", digits_rounded(nearest->rate_per_s, ROUND_DOWN).s);
  return fail("INFEASIBLE: %s samples/s within %s ms for %s %% of them; feasible with %s%s%s",
              digits(plan->rate_per_s).s, digits((double)d->qos.latency_ns * 1e-6).s,
              digits(d->qos.percentile).s, latency, *latency && *rate ? " or " : "",
              *latency || *rate ? rate : "no change of a single term");
}

/* The batches that the configuration was measured with; larger ones would be guesses. */
static uint32_t largest_batch(const qb_profile *profile, const qb_configuration *c)
{
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  uint32_t largest = 1;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &p); i++)
    if (same_configuration(&p.configuration, c) && p.batch > largest)
      largest = p.batch;
  return largest;
}

static int plan_rounds(const demand *d, batcher_rounds *r)
{
  qb_profile *profile = r->profile;
  qb_qos qos = d->qos;
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = d->rate_per_s;
  if (!d->rate_per_s)
    qos.objective = QB_OBJECTIVE_RATE;
  r->plan = (qb_service_plan)QB_SERVICE_PLAN_INIT;
  if (check(qb_plan_service(&profile, 1, &load, &qos, &r->plan, NULL)))
    return EXIT_FAILED;
  if (!r->plan.feasible)
    return refuse_infeasible(d, &r->plan);
  const int result = check(qb_optimizer_params_of_plan(&r->plan, &r->params));
  r->params.max_batch = largest_batch(profile, &r->plan.configuration);
  return result;
}

int setup_rounds(qb_context *context, qb_model *model, const demand *d, batcher_rounds *result)
{
  batcher_rounds r = {NULL, NULL, QB_SERVICE_PLAN_INIT, QB_OPTIMIZER_PARAMS_INIT};
  int status = d->profile
                   ? load_profile_here(context, d->profile, model, d->reserve_cores, &r.profile)
                   : profile_briefly(context, model, d, &r.profile);
  if (!status)
    status = plan_rounds(d, &r);
  if (!status)
    status = check(qb_session_new(model, &r.plan.configuration, r.profile, &r.session));
  for (uint32_t n = 1; !status && n <= r.params.max_batch;
       n++) /* or the first round of a size is late */
    status = check(qb_session_prepare(r.session, n, NULL));
  if (status)
    setup_free(&r);
  else
    *result = r;
  return status;
}

void setup_free(batcher_rounds *rounds)
{
  qb_session_unref(rounds->session);
  qb_profile_unref(rounds->profile);
}
