/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "common/load.h"
#include "common/options.h"
#include "common/output.h"
#include "optimize_demand.h"

#include <qosbatch/inspect.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PROFILES = 1024 };

/* What the options hold; NULL, 0 or UINT64_MAX: not given. */
typedef struct asked {
  double latency_ms, percentile, rate_per_s, deadline_s, budget_per_hour, accuracy;
  uint64_t queued, samples, memory_mib;
  const char *objective;
  bool frontier;
} asked;

/* Refuses options that only the other kind of demand has, rather than ignore them. */
static void check_asked(const asked *a)
{
  if (a->samples) {
    if (a->latency_ms > 0 || a->percentile > 0 || a->rate_per_s > 0 || a->queued != UINT64_MAX ||
        a->objective || a->frontier)
      fail_usage("--samples asks for a job: expected none of --latency, --percentile, --rate, "
                 "--queue, --objective, --frontier");
    return;
  }
  if (a->deadline_s > 0)
    fail_usage("--deadline is for a job: expected --samples too");
  if (!(a->rate_per_s > 0) && a->frontier)
    fail_usage("--frontier compares the plans for one rate: expected --rate R");
  if (!(a->rate_per_s > 0) && !(a->objective && !strcmp(a->objective, "rate")))
    fail_usage("expected --rate R and --latency MS, or --samples N, or --objective rate");
  if (!(a->latency_ms > 0))
    fail_usage("expected --latency MS, the target of the service");
}

static qb_objective objective_named(const char *name)
{
  for (qb_objective o = QB_OBJECTIVE_LATENCY; o <= QB_OBJECTIVE_COST; o++)
    if (!name || !strcmp(name, qb_objective_name(o)))
      return o;
  fail_usage("--objective '%s': expected latency, rate or cost", name);
}

static demand demand_of(const asked *a)
{
  demand d = {QB_QOS_INIT, a->rate_per_s, a->queued == UINT64_MAX ? 1 : a->queued, a->samples,
              a->frontier};
  d.qos.latency_ns = (int64_t)ceil(a->latency_ms * 1e6);
  d.qos.percentile = a->percentile > 0 ? a->percentile : 99;
  d.qos.deadline_ns = (int64_t)ceil(a->deadline_s * 1e9);
  d.qos.budget_per_hour = a->budget_per_hour;
  d.qos.memory_bytes = a->memory_mib << 20;
  d.qos.accuracy = a->accuracy;
  d.qos.objective = objective_named(a->objective);
  return d;
}

static int load_nodes(qb_context *context, size_t count, nodes *all)
{
  all->profiles = allocate(count, sizeof *all->profiles);
  for (; all->count < count; all->count++) {
    qb_profile_info info = QB_PROFILE_INFO_INIT, first = QB_PROFILE_INFO_INIT;
    const char *path = all->paths[all->count];
    int result = load_profile(context, path, &all->profiles[all->count]);
    if (!result)
      result = check(qb_profile_get_info(all->profiles[all->count], &info));
    if (result)
      return result;
    qb_profile_get_info(all->profiles[0], &first);
    const bool same = info.network && first.network ? info.network == first.network
                                                    : !strcmp(info.model, first.model);
    if (!same) {
      result = fail("%s: model %s, but %s has %s: expected profiles of one model", path, info.model,
                    all->paths[0], all->model);
      qb_profile_unref(all->profiles[all->count]);
      return result;
    }
    if (!all->model)
      all->model = info.model;
  }
  return EXIT_DONE;
}

/* A budget decides nothing where no price is known. */
static int check_prices(const nodes *all, const demand *d)
{
  for (size_t i = 0; i < all->count && d->qos.budget_per_hour > 0; i++) {
    qb_node_info info = QB_NODE_INFO_INIT;
    if (!qb_node_get_info(qb_profile_node(all->profiles[i]), &info) && !(info.price_per_hour > 0))
      return fail("--budget-per-hour needs a price, and '%s' has none; set one with 'qosbatch "
                  "profile --price-per-hour'",
                  all->paths[i]);
  }
  return EXIT_DONE;
}

static int run(const command *self, int argc, char **argv)
{
  asked a = {.queued = UINT64_MAX};
  bool as_json = false;
  const option options[] = {
      OPTION_NUMBER("rate", "R", &a.rate_per_s, 0, 1e9, "service: samples that arrive per second"),
      OPTION_NUMBER("latency", "MS", &a.latency_ms, 0, 1e9,
                    "service: latency target in milliseconds, arrival to answer"),
      OPTION_PERCENT("percentile", "P", &a.percentile,
                     "service: percentile that must meet it (99)"),
      OPTION_STRING(0, "objective", "NAME", &a.objective,
                    "service: optimize for latency, rate or cost (latency)"),
      OPTION_FLAG("frontier", &a.frontier,
                  "service: list all plans on the Pareto frontier of the three"),
      OPTION_INTEGER("queue", "N", &a.queued, 0, 1000000000,
                     "service: samples queued now, for the decision (1)"),
      OPTION_INTEGER("samples", "N", &a.samples, 1, 9007199254740992.0, "job: number of samples"),
      OPTION_NUMBER("deadline", "S", &a.deadline_s, 0, 1e9,
                    "job: deadline in seconds, from start to end"),
      OPTION_NUMBER("budget-per-hour", "X", &a.budget_per_hour, 0, 1e9,
                    "highest price of the node per hour"),
      OPTION_INTEGER("memory-limit", "MIB", &a.memory_mib, 1, 1 << 30,
                     "most MiB of weights and activations"),
      OPTION_PERCENT("accuracy", "P", &a.accuracy,
                     "use precisions that are right in P % of the answers (f32 only)"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  nodes all = {.paths = allocate(MOST_PROFILES, sizeof *all.paths)};
  const size_t count = options_parse_many(self, options, sizeof options / sizeof *options, argc,
                                          argv, all.paths, MOST_PROFILES);
  check_asked(&a);
  const demand d = demand_of(&a);
  qb_context *context = NULL;
  int result;
  if (!(result = load_context(&context)) && !(result = load_nodes(context, count, &all)) &&
      !(result = check_prices(&all, &d)))
    result = d.samples ? optimize_job(&all, &d, as_json) : optimize_service(&all, &d, as_json);
  for (size_t i = 0; i < all.count; i++)
    qb_profile_unref(all.profiles[i]);
  free(all.profiles);
  free(all.paths);
  qb_context_unref(context);
  return result;
}

const command command_optimize = {
    .name = "optimize",
    .operand = "PROFILE...",
    .operand_role = FILE_READ,
    .synopsis = "--rate R --latency MS [options] | --samples N [options]",
    .summary = "Choose batch, wait, instances, threads and precision for a service or a job",
    .details = "A service answers samples as they arrive; a job runs samples that are all "
               "available at the\nstart. Given several profiles of a model, one per node, the "
               "command chooses a node.\n--objective rate without --rate finds the highest rate. "
               "An infeasible demand is an answer\ntoo: it names the limit that binds and, for "
               "each limit, the value that alone is enough.",
    .run = run,
};
