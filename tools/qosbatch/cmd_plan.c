/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "common/load.h"
#include "common/options.h"
#include "common/output.h"

#include <qosbatch/catalogue.h>
#include <qosbatch/fleet.h>
#include <qosbatch/frontier.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_PROFILES = 1024, MOST_ROWS = 12 };

/* All that a plan is made from. */
typedef struct material {
  qb_context *context;
  qb_catalogue *catalogue;
  qb_catalogue_info info; /* of the catalogue */
  qb_profile **profiles;
  size_t profile_count;
} material;

static const char *type_name(const material *m, uint32_t index)
{
  qb_node_type type = QB_NODE_TYPE_INIT;
  qb_catalogue_get_type(m->catalogue, index, &type);
  return type.name;
}

static int load_material(const char *catalogue, const char *const *paths, size_t count, material *m)
{
  int result;
  if ((result = load_context(&m->context)) ||
      (result = check(qb_catalogue_load(m->context, catalogue, &m->catalogue))) ||
      (result = check(qb_catalogue_get_info(m->catalogue, &m->info))))
    return result;
  m->profiles = allocate(count, sizeof *m->profiles);
  for (; m->profile_count < count; m->profile_count++)
    if ((result =
             load_profile(m->context, paths[m->profile_count], &m->profiles[m->profile_count])))
      return result;
  return EXIT_DONE;
}

static void free_material(material *m)
{
  for (size_t i = 0; i < m->profile_count; i++)
    qb_profile_unref(m->profiles[i]);
  free(m->profiles);
  qb_catalogue_unref(m->catalogue);
  qb_context_unref(m->context);
}

static json_t *begin_json(const material *m, bool feasible)
{
  json_t *root = object_new();
  add_text(root, "currency", m->info.currency);
  add_text(root, "note", m->info.note);
  add_bool(root, "feasible", feasible);
  return root;
}

static void print_note(const material *m)
{
  if (*m->info.note)
    printf("catalogue      %s\n", m->info.note);
}

/* Jobs. */

static void job_to_json(const material *m, const qb_job_plan *p, json_t *entry)
{
  add_text(entry, "type", type_name(m, p->type));
  add_integer(entry, "nodes", p->nodes);
  add_configuration(entry, &p->configuration);
  add_integer(entry, "batch", p->batch);
  add_integer(entry, "samples_per_instance", (int64_t)p->samples_per_instance);
  add_integer(entry, "total_ns", p->total_ns);
  add_integer(entry, "low_ns", p->low_ns);
  add_integer(entry, "total_95_ns", p->high_ns);
  add_number(entry, "cost", p->cost);
  add_number(entry, "cost_95", p->cost_high);
  add_number(entry, "cost_per_1000", p->cost_per_1000);
  add_integer(entry, "memory_bytes", (int64_t)p->memory_bytes);
  add_text(entry, "source", qb_source_name(p->source));
}

static void print_job_json(const material *m, const qb_job_plan *plan,
                           const qb_job_frontier *frontier)
{
  json_t *root = begin_json(m, plan->feasible);
  add_text(root, "reason", qb_reason_name(plan->reason));
  json_t *nearest = add_object(root, "nearest");
  if (plan->nearest.deadline_ns)
    add_integer(nearest, "deadline_ns", plan->nearest.deadline_ns);
  if (plan->nearest.budget > 0)
    add_number(nearest, "budget", plan->nearest.budget);
  if (plan->nearest.accuracy > 0)
    add_number(nearest, "accuracy", plan->nearest.accuracy);
  if (plan->nodes)
    job_to_json(m, plan, add_object(root, "choice"));
  json_t *plans = add_array(root, "frontier");
  qb_job_plan p = QB_JOB_PLAN_INIT;
  for (uint32_t i = 0; !qb_job_frontier_get(frontier, i, &p); i++)
    job_to_json(m, &p, append_object(plans));
  print_json(root);
}

static bool same_plan(const qb_job_plan *a, const qb_job_plan *b)
{
  return a->type == b->type && a->nodes == b->nodes && a->batch == b->batch &&
         a->high_ns == b->high_ns;
}

/* The frontier, thinned to a screenful; the choice is marked and never left out. */
static void print_frontier(const material *m, const qb_job_frontier *frontier,
                           const qb_job_plan *chosen)
{
  static const char *const titles[] = {
      "<",        "<type",     "nodes", "<configuration", "batch",
      "expected", "at most *", "cost",  "at most *",      "per 1,000",
  };
  const uint32_t count = qb_job_frontier_count(frontier);
  if (count < 2)
    return;
  qb_job_plan first = QB_JOB_PLAN_INIT, last = QB_JOB_PLAN_INIT;
  qb_job_frontier_get(frontier, 0, &first);
  qb_job_frontier_get(frontier, count - 1, &last);
  /* Even steps of log(time). */
  const double step =
      count <= MOST_ROWS ? 1 : pow((double)last.high_ns / (double)first.high_ns, 1.0 / MOST_ROWS);
  printf(
      "\n%u plans that no other beats in both time and cost%s (* end of the 95 %% interval):\n\n",
      count, step > 1 ? ", some of them" : "");
  double next_ns = 0;
  table *t = table_new(titles, sizeof titles / sizeof *titles);
  qb_job_plan p = QB_JOB_PLAN_INIT;
  for (uint32_t i = 0; !qb_job_frontier_get(frontier, i, &p); i++) {
    const bool is_choice = same_plan(&p, chosen);
    if ((double)p.high_ns < next_ns && i + 1 < count && !is_choice)
      continue;
    next_ns = (double)p.high_ns * step;
    table_cell(t, "%s", is_choice ? "*" : "");
    table_cell(t, "%s", type_name(m, p.type));
    table_cell(t, "%u", p.nodes);
    table_cell(t, "%s", human_configuration(&p.configuration).s);
    table_cell(t, "%u", p.batch);
    table_cell(t, "%s", human_time(p.total_ns).s);
    table_cell(t, "%s", human_time(p.high_ns).s);
    table_cell(t, "%s", digits(p.cost).s);
    table_cell(t, "%s", digits(p.cost_high).s);
    table_cell(t, "%s", digits(p.cost_per_1000).s);
  }
  table_print(t);
}

static void print_verdict(const material *m, const qb_job *job, const qb_qos *qos,
                          const qb_job_plan *plan)
{
  printf("%llu samples", (unsigned long long)job->samples);
  if (qos->deadline_ns)
    printf(" within %s", human_time(qos->deadline_ns).s);
  if (qos->budget > 0)
    printf(" for at most %s %s", digits(qos->budget).s, m->info.currency);
  if (plan->feasible) {
    printf(": feasible, bound by: %s\n\n", qb_reason_name(plan->reason));
    return;
  }
  printf(": INFEASIBLE, limited by: %s\n", qb_reason_name(plan->reason));
  if (plan->nearest.deadline_ns)
    printf("feasible with: deadline >= %s\n",
           human_time_rounded(plan->nearest.deadline_ns, ROUND_UP).s);
  if (plan->nearest.budget > 0)
    printf("feasible with: budget >= %s\n", digits_rounded(plan->nearest.budget, ROUND_UP).s);
  if (plan->nearest.accuracy > 0)
    printf("feasible with: accuracy <= %s\n", digits_rounded(plan->nearest.accuracy, ROUND_DOWN).s);
  printf("\nthe nearest plan:\n");
}

static void print_job(const material *m, const qb_job *job, const qb_qos *qos, const qb_job_plan *p,
                      const qb_job_frontier *frontier)
{
  print_verdict(m, job, qos, p);
  if (!p->nodes) {
    printf("no node type has enough memory\n");
    return;
  }
  printf("nodes          %u x %s\n", p->nodes, type_name(m, p->type));
  printf("each           %s, rounds of %u\n", human_configuration(&p->configuration).s, p->batch);
  printf("end-to-end     %s with start-up, 95 %% interval %s to %s\n", human_time(p->total_ns).s,
         human_time(p->low_ns).s, human_time(p->high_ns).s);
  printf("cost           %s %s, at the end of the interval %s\n", digits(p->cost).s,
         m->info.currency, digits(p->cost_high).s);
  printf("per 1,000      %s %s\n", digits(p->cost_per_1000).s, m->info.currency);
  printf("times          %s\n",
         p->source == QB_SOURCE_MEASURED
             ? "measured on such a node"
             : "transferred from another node, by compute power and bandwidth");
  print_note(m);
  print_frontier(m, frontier, p);
}

static int plan_job(const material *m, const qb_job *job, const qb_qos *qos, bool as_json)
{
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  qb_job_frontier *frontier = NULL;
  if (check(qb_plan_job_fleet(m->catalogue, m->profiles, m->profile_count, job, qos, &plan,
                              &frontier)))
    return EXIT_FAILED;
  if (as_json)
    print_job_json(m, &plan, frontier);
  else
    print_job(m, job, qos, &plan, frontier);
  qb_job_frontier_free(frontier);
  return EXIT_DONE;
}

/* Services. */

static void service_to_json(const material *m, const qb_service_plan *p, json_t *entry)
{
  add_text(entry, "type", type_name(m, p->type));
  add_bool(entry, "feasible", p->feasible);
  add_text(entry, "reason", qb_reason_name(p->reason));
  add_integer(entry, "nodes", p->nodes);
  add_number(entry, "rate_per_s", p->rate_per_s);
  add_configuration(entry, &p->configuration);
  add_integer(entry, "batch", p->batch);
  add_integer(entry, "max_wait_us", p->max_wait_ns / 1000);
  add_integer(entry, "p50_ns", p->p50_ns);
  add_integer(entry, "p95_ns", p->p95_ns);
  add_integer(entry, "p99_ns", p->p99_ns);
  add_integer(entry, "latency_ns", p->latency_ns);
  add_number(entry, "max_rate_per_s", p->max_rate_per_s);
  add_number(entry, "cost_per_hour", p->cost_per_hour);
  add_number(entry, "cost_per_1000", p->cost_per_1000);
  add_text(entry, "source", qb_source_name(p->source));
}

static void print_service_json(const material *m, const qb_service_plan *plan,
                               const qb_service_frontier *frontier)
{
  json_t *root = begin_json(m, plan->feasible);
  service_to_json(m, plan, add_object(root, "choice"));
  json_t *all = add_array(root, "frontier");
  qb_service_plan p = QB_SERVICE_PLAN_INIT;
  for (uint32_t i = 0; !qb_service_frontier_get(frontier, i, &p); i++)
    service_to_json(m, &p, append_object(all));
  print_json(root);
}

static void print_service(const material *m, const qb_load *load, const qb_qos *qos,
                          const qb_service_plan *plan, const qb_service_frontier *frontier)
{
  static const char *const titles[] = {
      "<type", "<",   "nodes",  "<configuration", "batch",
      "wait",  "p99", "most/s", "per hour",       "per 1,000",
  };
  printf("%s samples/s, %g %% of them within %s: %s\n", digits(load->rate_per_s).s, qos->percentile,
         human_time(qos->latency_ns).s,
         plan->feasible ? "feasible" : "INFEASIBLE with the nodes available");
  printf("prices in %s; the first is the choice\n", m->info.currency);
  print_note(m);
  printf("\n");
  table *t = table_new(titles, sizeof titles / sizeof *titles);
  qb_service_plan p = QB_SERVICE_PLAN_INIT;
  for (uint32_t i = 0; i < MOST_ROWS && !qb_service_frontier_get(frontier, i, &p); i++) {
    table_cell(t, "%s", type_name(m, p.type));
    table_cell(t, "%s", p.feasible ? "holds" : "does not");
    table_cell(t, "%u", p.nodes);
    table_cell(t, "%s", human_configuration(&p.configuration).s);
    table_cell(t, "%u", p.batch);
    table_cell(t, "%s", human_time(p.max_wait_ns).s);
    table_cell(t, "%s", p.p99_ns ? human_time(p.p99_ns).s : "-");
    table_cell(t, "%s", digits_rounded(p.max_rate_per_s, ROUND_DOWN).s);
    table_cell(t, "%s", digits(p.cost_per_hour).s);
    table_cell(t, "%s", digits(p.cost_per_1000).s);
  }
  table_print(t);
}

static int plan_service(const material *m, const qb_load *load, const qb_qos *qos, bool as_json)
{
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  qb_service_frontier *frontier = NULL;
  if (check(qb_plan_service_fleet(m->catalogue, m->profiles, m->profile_count, load, qos, &plan,
                                  &frontier)))
    return EXIT_FAILED;
  if (as_json)
    print_service_json(m, &plan, frontier);
  else
    print_service(m, load, qos, &plan, frontier);
  qb_service_frontier_free(frontier);
  return EXIT_DONE;
}

typedef struct asked {
  uint64_t samples, spare, reserve_cores;
  double deadline_s, budget, rate_per_s, latency_ms, percentile, budget_per_hour, accuracy;
} asked;

/* Refuses options that only the other kind of demand has, rather than ignore them. */
static void check_demand(const asked *a)
{
  if (a->samples) {
    if (a->rate_per_s > 0 || a->latency_ms > 0 || a->percentile > 0 || a->budget_per_hour > 0 ||
        a->spare != UINT64_MAX)
      fail_usage("--samples asks for a job: expected none of --rate, --latency, --percentile, "
                 "--budget-per-hour, --spare");
    return;
  }
  if (a->deadline_s > 0 || a->budget > 0)
    fail_usage("--deadline and --budget are for a job: expected --samples too");
  if (!(a->rate_per_s > 0))
    fail_usage("expected --samples N, or --rate R and --latency MS");
  if (!(a->latency_ms > 0))
    fail_usage("expected --latency MS, the target of the service");
}

static int plan_asked(const material *m, const asked *a, bool as_json)
{
  qb_qos qos = QB_QOS_INIT;
  qos.deadline_ns = (int64_t)ceil(a->deadline_s * 1e9);
  qos.budget = a->budget;
  qos.latency_ns = (int64_t)ceil(a->latency_ms * 1e6);
  qos.percentile = a->percentile > 0 ? a->percentile : 99;
  qos.budget_per_hour = a->budget_per_hour;
  qos.accuracy = a->accuracy;
  qos.spare_nodes = a->spare == UINT64_MAX ? 0 : (uint32_t)a->spare;
  qos.reserve_cores = (uint32_t)a->reserve_cores;
  if (a->samples) {
    qb_job job = QB_JOB_INIT;
    job.samples = a->samples;
    const bool by_time = a->budget > 0 && !(a->deadline_s > 0);
    qos.objective = by_time ? QB_OBJECTIVE_LATENCY : QB_OBJECTIVE_COST;
    return plan_job(m, &job, &qos, as_json);
  }
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = a->rate_per_s;
  return plan_service(m, &load, &qos, as_json);
}

static int run(const command *self, int argc, char **argv)
{
  asked a = {.spare = UINT64_MAX};
  const char *catalogue = NULL;
  bool as_json = false;
  const option options[] = {
      OPTION_FILE(0, "catalog", "FILE", &catalogue, FILE_READ,
                  "node types and their prices (required)"),
      OPTION_INTEGER("samples", "N", &a.samples, 1, 9007199254740992.0, "job: number of samples"),
      OPTION_NUMBER("deadline", "S", &a.deadline_s, 0, 1e9,
                    "job: deadline in seconds, from order to last answer"),
      OPTION_NUMBER("budget", "X", &a.budget, 0, 1e12, "job: highest total cost"),
      OPTION_NUMBER("rate", "R", &a.rate_per_s, 0, 1e9, "service: samples that arrive per second"),
      OPTION_NUMBER("latency", "MS", &a.latency_ms, 0, 1e9,
                    "service: latency target in milliseconds, arrival to answer"),
      OPTION_PERCENT("percentile", "P", &a.percentile,
                     "service: percentile that must meet it (99)"),
      OPTION_NUMBER("budget-per-hour", "X", &a.budget_per_hour, 0, 1e9,
                    "service: highest price of all nodes per hour"),
      OPTION_INTEGER("spare", "N", &a.spare, 0, QB_MAX_NODES - 1,
                     "service: nodes that may fail (0)"),
      OPTION_INTEGER("reserve", "N", &a.reserve_cores, 1, 65535,
                     "cores of each node to leave to others (as in the profiles)"),
      OPTION_PERCENT("accuracy", "P", &a.accuracy,
                     "use precisions that are right in P % of the answers (f32 only)"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  const char **paths = allocate(MOST_PROFILES, sizeof *paths);
  const size_t count = options_parse_many(self, options, sizeof options / sizeof *options, argc,
                                          argv, paths, MOST_PROFILES);
  check_demand(&a);
  if (!catalogue)
    fail_usage("expected --catalog FILE, the node types to choose among");
  material m = {.info = QB_CATALOGUE_INFO_INIT};
  int result = load_material(catalogue, paths, count, &m);
  if (!result)
    result = plan_asked(&m, &a, as_json);
  free_material(&m);
  free(paths);
  return result;
}

const command command_plan = {
    .name = "plan",
    .operand = "PROFILE...",
    .operand_role = FILE_READ,
    .synopsis = "--catalog FILE (--samples N | --rate R --latency MS) [options]",
    .summary = "Choose node type, number of nodes, configuration and batch by their cost",
    .details =
        "For a job, the cheapest nodes whose 95 % interval ends by the deadline; with "
        "--budget\nalone, the fastest. For a service, the fewest nodes of each type that meet the "
        "latency,\ncheapest type first. A profile of another node is transferred by c and m. An "
        "infeasible\ndemand is an answer too: it says what would be feasible.",
    .run = run,
};
