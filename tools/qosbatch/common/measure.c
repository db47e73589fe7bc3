/* SPDX-License-Identifier: Apache-2.0 */
#include "common/measure.h"

#include "common/clock.h"
#include "common/diagnose.h"
#include "common/interrupt.h"
#include "common/progress.h"

int measure_node(qb_context *context, double price_per_hour, double budget_s, qb_node **node,
                 int64_t *left_ns)
{
  /* Longer than the library's own time would gain nothing. */
  const int64_t longest_ns = 1500000000;
  const int64_t budget_ns = (int64_t)(budget_s * 1e9);
  qb_node_params params = QB_NODE_PARAMS_INIT;
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
