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
                           profile_list *profiles)
{
  brief_demand brief = {.model = d->model,
                        .precisions = d->precisions,
                        .max_batch = 16,
                        .seconds = 10,
                        .reserve_cores = d->reserve_cores};
  const int result = precisions_resolve(model, false, &brief.precisions);
  return result ? result : measure_briefly(context, model, &brief, profiles);
}

static int get_profiles(qb_context *context, qb_model *model, const demand *d,
                        profile_list *profiles)
{
  if (!d->profile)
    return profile_briefly(context, model, d, profiles);
  profiles->count = 1;
  return load_profile_here(context, d->profile, model, d->reserve_cores, &profiles->profiles[0]);
}

static int refuse_infeasible(const demand *d, const qb_service_plan *plan)
{
  const qb_nearest *nearest = &plan->nearest;
  char latency[64] = "", rate[64] = "", accuracy[64] = "";
  if (nearest->latency_ns)
    snprintf(latency, sizeof latency, "--latency >= %s",
             digits_rounded((double)nearest->latency_ns * 1e-6, ROUND_UP).s);
  if (nearest->rate_per_s > 0)
    snprintf(rate, sizeof rate, "%s--rate <= %s", *latency ? " or " : "",
             digits_rounded(nearest->rate_per_s, ROUND_DOWN).s);
  if (nearest->accuracy > 0)
    snprintf(accuracy, sizeof accuracy, "%s--accuracy <= %s", *latency || *rate ? " or " : "",
             digits_rounded(nearest->accuracy, ROUND_DOWN).s);
  return fail("INFEASIBLE: %s samples/s within %s ms for %s %% of them; feasible with %s%s%s%s",
              digits(plan->rate_per_s).s, digits((double)d->qos.latency_ns * 1e-6).s,
              digits(d->qos.percentile).s, latency, rate, accuracy,
              *latency || *rate || *accuracy ? "" : "no change of a single term");
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

static int plan_rounds(const demand *d, const profile_list *profiles, batcher_rounds *r)
{
  qb_qos qos = d->qos;
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = d->rate_per_s;
  if (!d->rate_per_s)
    qos.objective = QB_OBJECTIVE_RATE;
  r->plan = (qb_service_plan)QB_SERVICE_PLAN_INIT;
  if (check(qb_plan_service(profiles->profiles, profiles->count, &load, &qos, &r->plan, NULL)))
    return EXIT_FAILED;
  r->profile = qb_profile_ref(profiles->profiles[r->plan.profile]);
  precisions_explain(r->profile, d->qos.accuracy, d->profile && d->int8,
                     r->plan.configuration.precision);
  if (!r->plan.feasible)
    return refuse_infeasible(d, &r->plan);
  const int result = check(qb_optimizer_params_of_plan(&r->plan, &r->params));
  r->params.max_batch = largest_batch(r->profile, &r->plan.configuration);
  return result;
}

int setup_rounds(qb_context *context, qb_model *model, const demand *d, batcher_rounds *result)
{
  batcher_rounds r = {NULL, NULL, QB_SERVICE_PLAN_INIT, QB_OPTIMIZER_PARAMS_INIT};
  profile_list profiles = {.count = 0};
  int status = get_profiles(context, model, d, &profiles);
  if (!status)
    status = plan_rounds(d, &profiles, &r);
  profile_list_free(&profiles);
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
