/* SPDX-License-Identifier: Apache-2.0 */
#include "common/measure.h"

#include "common/clock.h"
#include "common/diagnose.h"
#include "common/interrupt.h"
#include "common/load.h"
#include "common/progress.h"

#include <stdio.h>

uint32_t reserve_of(uint64_t asked, const qb_profile *profile)
{
  qb_node_info node = QB_NODE_INFO_INIT;
  if (asked != RESERVE_USUAL)
    return (uint32_t)asked;
  return profile && !qb_node_get_info(qb_profile_node(profile), &node) ? node.reserve_cores : 0;
}

static int check_reserve(const char *path, const qb_profile *profile, uint64_t asked)
{
  const uint32_t its = reserve_of(RESERVE_USUAL, profile);
  return reserve_of(asked, profile) == its
             ? EXIT_DONE
             : fail("%s leaves %u cores to others, --reserve asks for %u; give --reserve %u, or "
                    "profile again",
                    path, its, (uint32_t)asked, its);
}

int load_profile_here(qb_context *context, const char *path, const qb_model *model,
                      uint64_t reserve_cores, qb_profile **profile)
{
  qb_node_params params = QB_NODE_PARAMS_INIT;
  qb_node *node = NULL;
  int result = load_profile_of(context, path, model, profile);
  if (result || (result = check_reserve(path, *profile, reserve_cores)))
    return result;
  params.measure_budget_ns = -1;
  params.reserve_cores = reserve_of(RESERVE_USUAL, *profile);
  if (qb_node_detect(context, &params, &node))
    return fail("%s: %s", path, qb_error_message());
  if (qb_profile_check(*profile, NULL, node))
    warn("%s: %s", path, qb_error_message());
  qb_node_unref(node);
  return EXIT_DONE;
}

int measure_node(qb_context *context, uint32_t reserve_cores, double price_per_hour,
                 double budget_s, qb_node **node, int64_t *left_ns)
{
  /* Longer than the library's own time would gain nothing. */
  const int64_t longest_ns = 1500000000;
  const int64_t budget_ns = (int64_t)(budget_s * 1e9);
  qb_node_params params = QB_NODE_PARAMS_INIT;
  params.reserve_cores = reserve_cores;
  params.price_per_hour = price_per_hour;
  params.measure_budget_ns = budget_ns / 4 < longest_ns ? budget_ns / 4 : longest_ns;
  const int64_t start_ns = clock_ns();
  if (check(qb_node_detect(context, &params, node)))
    return EXIT_FAILED;
  const int64_t rest_ns = budget_ns - (clock_ns() - start_ns);
  *left_ns = rest_ns > budget_ns / 2 ? rest_ns : budget_ns / 2;
  return EXIT_DONE;
}

/* Measuring ends when the command is to. */
static bool show(void *user, const qb_progress *progress)
{
  const bool *quiet = user;
  if (!*quiet)
    progress_show(progress);
  return !interrupt_signal();
}

int measure_profile(qb_model *model, qb_node *node, const qb_profile_params *params, bool quiet,
                    qb_profile **profile)
{
  const qb_status status = qb_profile_run(model, node, params, show, &quiet, profile);
  progress_clear();
  return status == QB_ERROR_CANCELLED ? fail("interrupted while it was measured") : check(status);
}

/* As --precision takes them: "f32,int8". */
static void name_precisions(const precision_list *list, char names[24])
{
  size_t used = 0;
  for (size_t i = 0; i < list->count; i++)
    used += (size_t)snprintf(names + used, 24 - used, "%s%s", i ? "," : "",
                             qb_precision_name(list->values[i]));
}

int measure_briefly(qb_context *context, qb_model *model, const brief_demand *demand,
                    profile_list *made)
{
  const precision_list *list = &demand->precisions;
  const size_t each = demand->by_accuracy ? list->count : 1; /* precisions of a profile */
  const double seconds = demand->seconds * (double)list->count;
  char names[24] = "";
  name_precisions(list, names);
  note("no --profile: measuring %s in %s for about %.0f s; 'qosbatch profile %s --precision %s -o "
       "FILE' makes one to keep",
       demand->model, names, seconds, demand->model, names);
  qb_node *node = NULL;
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = demand->max_batch;
  params.precision_count = each;
  int result = measure_node(context, reserve_of(demand->reserve_cores, NULL),
                            demand->price_per_hour, seconds, &node, &params.time_budget_ns);
  params.time_budget_ns = params.time_budget_ns / (int64_t)list->count * (int64_t)each;
  while (made->count < list->count / each && !result) {
    params.precisions = list->values + made->count;
    result = measure_profile(model, node, &params, demand->quiet, &made->profiles[made->count]);
    made->count++;
  }
  qb_node_unref(node);
  return result;
}

void profile_list_free(profile_list *list)
{
  for (size_t i = 0; i < list->count; i++)
    qb_profile_unref(list->profiles[i]);
}
