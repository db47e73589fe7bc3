/* SPDX-License-Identifier: Apache-2.0 */
/* The algorithms of layers that a profile keeps, and sessions that take them. */
#include "core/alloc.h"
#include "core/error.h"
#include "engine/session_profiling.h"
#include "model/configuration.h"
#include "model/model_data.h"
#include "node/node_data.h"
#include "node/yardstick.h"
#include "profile/profile_impl.h"

#include <qosbatch/inspect.h>
#include <qosbatch/version.h>

#include <math.h>
#include <string.h>

qb_status qb__profile_add_algorithms(qb_profile *profile, const qb_configuration *k,
                                     const qb__algorithms *algorithms, size_t count)
{
  if (!qb__grow(profile->context, &profile->algorithms, profile->algorithms_count,
                &profile->algorithms_capacity, sizeof *profile->algorithms))
    return QB_ERROR_NO_MEMORY;
  qb__layer_algorithm *copy = qb__calloc(profile->context, count, sizeof *copy);
  if (!copy)
    return QB_ERROR_NO_MEMORY;
  if (count)
    memcpy(copy, algorithms->layers, count * sizeof *copy);
  qb__profile_algorithms made = {
      k->threads, k->precision, count, {copy, algorithms->microbatch, UINT32_MAX, {0}}};
  const qb_status status =
      qb__findings_copy(profile->context, &algorithms->findings, &made.algorithms.findings);
  if (status)
    qb__free(profile->context, copy);
  else
    profile->algorithms[profile->algorithms_count++] = made;
  return status;
}

static const qb__profile_algorithms *find(const qb_profile *profile, const qb_configuration *k)
{
  for (size_t i = 0; i < profile->algorithms_count; i++)
    if (profile->algorithms[i].threads == k->threads &&
        profile->algorithms[i].precision == k->precision)
      return &profile->algorithms[i];
  return NULL;
}

const qb__algorithms *qb__profile_algorithms_of(const qb_profile *profile,
                                                const qb_configuration *k)
{
  const qb__profile_algorithms *found = find(profile, k);
  return found ? &found->algorithms : NULL;
}

/* By the work of its operators. */
static bool is_same_network(const qb_profile *profile, const qb_model *model)
{
  bool same = !qb__model_is_workload(model) &&
              profile->operator_count == qb__model_graph(model)->operator_count;
  for (uint32_t i = 0; same && i < profile->operator_count; i++) {
    const qb__operator_work *then = &profile->operators[i];
    qb_operator_info now = QB_OPERATOR_INFO_INIT;
    same = !qb_model_get_operator(model, i, &now) &&
           then->flops_per_sample == now.flops_per_sample &&
           then->bytes_per_sample == (double)now.bytes_per_sample &&
           then->weight_bytes == (double)now.weight_bytes;
  }
  return same;
}

/* By the best that is known of both. */
static bool speaks_of(const qb_profile *profile, const qb_model *model)
{
  if (profile->info.network && qb__model_network(model))
    return profile->info.network == qb__model_network(model);
  if (profile->operator_count && !qb__model_is_workload(model) && is_same_network(profile, model))
    return true;
  /* Operators are fused otherwise from version to version, which moves the work by very little. */
  const double then = profile->info.flops_per_sample, now = qb__model_info(model)->flops_per_sample;
  const bool same_work = !(then > 0) || !(now > 0) || fabs(then / now - 1) < 0.01;
  return same_work && !strcmp(profile->info.model, qb__model_info(model)->name);
}

qb_status qb__profile_check_model(const qb_profile *profile, const qb_model *model)
{
  const char *theirs = profile->info.model, *own = qb__model_info(model)->name;
  if (speaks_of(profile, model))
    return QB_OK;
  if (!strcmp(theirs, own))
    return qb__fail(
        QB_ERROR_MISMATCH,
        "the profile is of a different network that is also named '%.64s'; profile this one", own);
  return qb__fail(QB_ERROR_MISMATCH, "the profile is of '%.64s', not of '%.64s'; profile that one",
                  theirs, own);
}

/* What was the fastest then is known to be here only on the same engine and instructions. */
static bool algorithms_hold(const qb_profile *profile, const qb_model *model)
{
  qb_node_info node = QB_NODE_INFO_INIT;
  return is_same_network(profile, model) && !strcmp(profile->info.engine, qb_engine_version()) &&
         !qb_node_get_info(profile->node, &node) && node.isa == qb__best_isa();
}

const qb__algorithms *qb__profile_algorithms_for(const qb_profile *profile, const qb_model *model,
                                                 const qb_configuration *k)
{
  const qb__profile_algorithms *found = find(profile, k);
  const qb__graph *graph = qb__model_graph(qb__model_in(model, k->precision));
  return found && found->layer_count == graph->operator_count && algorithms_hold(profile, model)
             ? &found->algorithms
             : NULL;
}

qb_status qb_session_new(qb_model *model, const qb_configuration *configuration,
                         const qb_profile *profile, qb_session **session)
{
  if (!model || !session)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL", model ? "session" : "model");
  qb_configuration use;
  const uint32_t reserve_cores = profile ? qb__node_info(profile->node)->reserve_cores : 0;
  qb_status status = qb__session_choose_configuration(model, configuration, reserve_cores, &use);
  if (!status && profile)
    status = qb__profile_check_model(profile, model);
  if (status)
    return status;
  return profile ? qb__session_new(model, &use, qb__profile_algorithms_for(profile, model, &use),
                                   profile->node, session)
                 : qb__session_new(model, &use, NULL, NULL, session);
}
