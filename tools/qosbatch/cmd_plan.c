/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "common/load.h"
#include "common/options.h"
#include "common/output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_PROFILES = 1024, MOST_ROWS = 12 };

/* All that a plan is made from. */
typedef struct material {
  qb_context *context;
  qb_catalogue *catalogue;
  qb_profile **profiles;
  size_t profile_count;
} material;

static const qb_profile *const *profiles_of(const material *m)
{
  return (const qb_profile *const *)m->profiles;
}

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
      (result = check(qb_catalogue_load(m->context, catalogue, &m->catalogue))))
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
  add_text(root, "currency", qb_catalogue_currency(m->catalogue));
  add_text(root, "note", qb_catalogue_note(m->catalogue));
  add_bool(root, "feasible", feasible);
  return root;
}

static void print_note(const material *m)
{
  if (*qb_catalogue_note(m->catalogue))
    printf("catalogue      %s\n", qb_catalogue_note(m->catalogue));
}

/* Jobs. */

static void job_to_json(const material *m, const qb_job_fleet *f, json_t *entry)
{
  add_text(entry, "type", type_name(m, f->type));
  add_integer(entry, "nodes", f->nodes);
  add_integer(entry, "instances", f->configuration.instances);
  add_integer(entry, "threads", f->configuration.threads);
  add_integer(entry, "batch", f->batch);
  add_integer(entry, "samples_per_instance", (int64_t)f->samples_per_instance);
  add_integer(entry, "total_ns", f->total_ns);
  add_integer(entry, "total_95_ns", f->total_95_ns);
  add_number(entry, "cost", f->cost);
  add_number(entry, "cost_95", f->cost_95);
  add_number(entry, "cost_per_1000", f->cost_per_1000);
  add_integer(entry, "memory_bytes", (int64_t)f->memory_bytes);
  add_text(entry, "source", qb_source_name(f->source));
}

static void print_job_json(const material *m, const qb_job_choice *choice,
                           const qb_frontier *frontier)
{
  json_t *root = begin_json(m, choice->feasible);
  add_text(root, "reason", qb_reason_name(choice->reason));
  json_t *nearest = add_object(root, "nearest");
  if (choice->nearest_deadline_ns)
    add_integer(nearest, "deadline_ns", choice->nearest_deadline_ns);
  if (choice->nearest_budget > 0)
    add_number(nearest, "budget", choice->nearest_budget);
  if (choice->fleet.nodes)
    job_to_json(m, &choice->fleet, add_object(root, "choice"));
  json_t *ways = add_array(root, "frontier");
  qb_job_fleet f = QB_JOB_FLEET_INIT;
  for (uint32_t i = 0; !qb_frontier_get(frontier, i, &f); i++)
    job_to_json(m, &f, append_object(ways));
  print_json(root);
}

static bool same_fleet(const qb_job_fleet *a, const qb_job_fleet *b)
{
  return a->type == b->type && a->nodes == b->nodes && a->batch == b->batch &&
         a->total_95_ns == b->total_95_ns;
}

/* The frontier, thinned to a screenful; the choice is marked and never left out. */
static void print_frontier(const material *m, const qb_frontier *frontier,
                           const qb_job_fleet *chosen)
{
  static const char *const titles[] = {
      "<",        "<type",       "nodes", "<configuration", "batch",
      "expected", "95 % within", "cost",  "95 % within",    "per 1,000",
  };
  const uint32_t count = qb_frontier_count(frontier);
  if (count < 2)
    return;
  qb_job_fleet first = QB_JOB_FLEET_INIT, last = QB_JOB_FLEET_INIT;
  qb_frontier_get(frontier, 0, &first);
  qb_frontier_get(frontier, count - 1, &last);
  /* Even steps of log(time). */
  const double step = count <= MOST_ROWS ? 1
                                         : pow((double)last.total_95_ns / (double)first.total_95_ns,
                                               1.0 / MOST_ROWS);
  printf("\n%u ways that no other beats in both time and cost%s:\n\n", count,
         step > 1 ? ", some of them" : "");
  double next_ns = 0;
  table *t = table_new(titles, sizeof titles / sizeof *titles);
  qb_job_fleet f = QB_JOB_FLEET_INIT;
  for (uint32_t i = 0; !qb_frontier_get(frontier, i, &f); i++) {
    const bool is_choice = same_fleet(&f, chosen);
    if ((double)f.total_95_ns < next_ns && i + 1 < count && !is_choice)
      continue;
    next_ns = (double)f.total_95_ns * step;
    table_cell(t, "%s", is_choice ? "*" : "");
    table_cell(t, "%s", type_name(m, f.type));
    table_cell(t, "%u", f.nodes);
    table_cell(t, "%s", human_configuration(f.configuration.instances, f.configuration.threads).s);
    table_cell(t, "%u", f.batch);
    table_cell(t, "%s", human_time(f.total_ns).s);
    table_cell(t, "%s", human_time(f.total_95_ns).s);
    table_cell(t, "%s", digits(f.cost).s);
    table_cell(t, "%s", digits(f.cost_95).s);
    table_cell(t, "%s", digits(f.cost_per_1000).s);
  }
  table_print(t);
}

static void print_verdict(const material *m, const qb_job *job, const qb_job_choice *choice)
{
  printf("%llu samples", (unsigned long long)job->samples);
  if (job->deadline_ns)
    printf(" within %s", human_time(job->deadline_ns).s);
  if (job->budget > 0)
    printf(" for at most %s %s", digits(job->budget).s, qb_catalogue_currency(m->catalogue));
  if (choice->feasible) {
    printf(": feasible, bound by: %s\n\n", qb_reason_name(choice->reason));
    return;
  }
  printf(": INFEASIBLE, because of: %s\n", qb_reason_name(choice->reason));
  if (choice->nearest_deadline_ns)
    printf("would do: deadline >= %s\n",
           human_time_rounded(choice->nearest_deadline_ns, ROUND_UP).s);
  if (choice->nearest_budget > 0)
    printf("would do: budget >= %s\n", digits_rounded(choice->nearest_budget, ROUND_UP).s);
  printf("\nthe nearest to it:\n");
}

static void print_job(const material *m, const qb_job *job, const qb_job_choice *choice,
                      const qb_frontier *frontier)
{
  const qb_job_fleet *f = &choice->fleet;
  const char *currency = qb_catalogue_currency(m->catalogue);
  print_verdict(m, job, choice);
  if (!f->nodes) {
    printf("no node type has the memory\n");
    return;
  }
  printf("nodes          %u x %s\n", f->nodes, type_name(m, f->type));
  printf("each           %s, rounds of %u\n",
         human_configuration(f->configuration.instances, f->configuration.threads).s, f->batch);
  printf("end-to-end     %s with start-up, with a chance of 95 %% within %s\n",
         human_time(f->total_ns).s, human_time(f->total_95_ns).s);
  printf("cost           %s %s, with a chance of 95 %% within %s\n", digits(f->cost).s, currency,
         digits(f->cost_95).s);
  printf("per 1,000      %s %s\n", digits(f->cost_per_1000).s, currency);
  printf("times          %s\n", f->source == QB_SOURCE_MEASURED
                                    ? "measured on such a node"
                                    : "transferred from another node by c and m");
  print_note(m);
  print_frontier(m, frontier, f);
}

static int plan_job(const material *m, const qb_job *job, bool as_json)
{
  qb_job_choice choice = QB_JOB_CHOICE_INIT;
  qb_frontier *frontier = NULL;
  if (check(qb_plan_job_fleet(m->catalogue, profiles_of(m), m->profile_count, job, &choice,
                              &frontier)))
    return EXIT_FAILED;
  if (as_json)
    print_job_json(m, &choice, frontier);
  else
    print_job(m, job, &choice, frontier);
  qb_frontier_free(frontier);
  return EXIT_DONE;
}

/* Services. */

static void service_to_json(const material *m, const qb_service_fleet *f, json_t *entry)
{
  add_text(entry, "type", type_name(m, f->type));
  add_bool(entry, "feasible", f->feasible);
  add_text(entry, "reason", qb_reason_name(f->plan.reason));
  add_integer(entry, "nodes", f->nodes);
  add_number(entry, "rate_per_s", f->rate_per_s);
  add_integer(entry, "instances", f->plan.configuration.instances);
  add_integer(entry, "threads", f->plan.configuration.threads);
  add_integer(entry, "batch", f->plan.batch);
  add_integer(entry, "max_wait_us", f->plan.max_wait_ns / 1000);
  add_integer(entry, "p50_ns", f->plan.p50_ns);
  add_integer(entry, "p95_ns", f->plan.p95_ns);
  add_integer(entry, "p99_ns", f->plan.p99_ns);
  add_integer(entry, "latency_ns", f->plan.latency_ns);
  add_number(entry, "max_rate_per_s", f->max_rate_per_s);
  add_number(entry, "cost_per_hour", f->cost_per_hour);
  add_number(entry, "cost_per_1000", f->cost_per_1000);
  add_text(entry, "source", qb_source_name(f->source));
}

static void print_service_json(const material *m, const qb_service_fleet *fleets, uint32_t count)
{
  json_t *root = begin_json(m, fleets[0].feasible);
  service_to_json(m, &fleets[0], add_object(root, "choice"));
  json_t *all = add_array(root, "frontier");
  for (uint32_t i = 0; i < count; i++)
    service_to_json(m, &fleets[i], append_object(all));
  print_json(root);
}

static void print_service(const material *m, const qb_load *load, const qb_qos *qos,
                          const qb_service_fleet *fleets, uint32_t count)
{
  static const char *const titles[] = {
      "<type", "<",   "nodes",  "<configuration", "batch",
      "wait",  "p99", "most/s", "per hour",       "per 1,000",
  };
  printf("%s samples/s, %g %% of them within %s: %s\n", digits(load->rate_per_s).s, qos->percentile,
         human_time(qos->latency_ns).s,
         fleets[0].feasible ? "feasible" : "INFEASIBLE with the nodes there are");
  printf("prices in %s; the first is the choice\n", qb_catalogue_currency(m->catalogue));
  print_note(m);
  printf("\n");
  table *t = table_new(titles, sizeof titles / sizeof *titles);
  for (uint32_t i = 0; i < count && i < MOST_ROWS; i++) {
    const qb_service_fleet *f = &fleets[i];
    const qb_configuration *c = &f->plan.configuration;
    table_cell(t, "%s", type_name(m, f->type));
    table_cell(t, "%s", f->feasible ? "holds" : "does not");
    table_cell(t, "%u", f->nodes);
    table_cell(t, "%s", human_configuration(c->instances, c->threads).s);
    table_cell(t, "%u", f->plan.batch);
    table_cell(t, "%s", human_time(f->plan.max_wait_ns).s);
    table_cell(t, "%s", f->plan.p99_ns ? human_time(f->plan.p99_ns).s : "-");
    table_cell(t, "%s", digits_rounded(f->max_rate_per_s, ROUND_DOWN).s);
    table_cell(t, "%s", digits(f->cost_per_hour).s);
    table_cell(t, "%s", digits(f->cost_per_1000).s);
  }
  table_print(t);
}

static int plan_service(const material *m, const qb_load *load, const qb_qos *qos, uint32_t spare,
                        bool as_json)
{
  const uint32_t count = qb_catalogue_count(m->catalogue);
  qb_service_fleet *fleets = allocate(count, sizeof *fleets);
  for (uint32_t i = 0; i < count; i++)
    fleets[i] = (qb_service_fleet)QB_SERVICE_FLEET_INIT;
  const int result = check(qb_plan_service_fleet(m->catalogue, profiles_of(m), m->profile_count,
                                                 load, qos, spare, fleets, count));
  if (!result && as_json)
    print_service_json(m, fleets, count);
  else if (!result)
    print_service(m, load, qos, fleets, count);
  free(fleets);
  return result;
}

typedef struct asked {
  uint64_t samples, spare;
  double deadline_s, budget, rate_per_s, latency_ms, percentile, budget_per_hour;
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
  if (a->samples) {
    qb_job job = QB_JOB_INIT;
    job.samples = a->samples;
    job.deadline_ns = (int64_t)ceil(a->deadline_s * 1e9);
    job.budget = a->budget;
    return plan_job(m, &job, as_json);
  }
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  load.rate_per_s = a->rate_per_s;
  qos.latency_ns = (int64_t)ceil(a->latency_ms * 1e6);
  qos.percentile = a->percentile > 0 ? a->percentile : 99;
  qos.budget_per_hour = a->budget_per_hour;
  return plan_service(m, &load, &qos, a->spare == UINT64_MAX ? 0 : (uint32_t)a->spare, as_json);
}

static int run(const command *self, int argc, char **argv)
{
  asked a = {.spare = UINT64_MAX};
  const char *catalogue = NULL;
  bool as_json = false;
  const option options[] = {
      OPTION_FILE(0, "catalog", "FILE", &catalogue, FILE_READ,
                  "node types and their prices (required)"),
      OPTION_INTEGER("samples", "N", &a.samples, 1, 9007199254740992.0, "job: samples to run"),
      OPTION_NUMBER("deadline", "S", &a.deadline_s, 0, 1e9,
                    "job: seconds from order to last answer, at most"),
      OPTION_NUMBER("budget", "X", &a.budget, 0, 1e12, "job: cost in all, at most"),
      OPTION_NUMBER("rate", "R", &a.rate_per_s, 0, 1e9, "service: samples that arrive per second"),
      OPTION_NUMBER("latency", "MS", &a.latency_ms, 0, 1e9,
                    "service: milliseconds from arrival to answer, at most"),
      OPTION_PERCENT("percentile", "P", &a.percentile, "service: in this many cases of 100 (99)"),
      OPTION_NUMBER("budget-per-hour", "X", &a.budget_per_hour, 0, 1e9,
                    "service: price of all nodes per hour, at most"),
      OPTION_INTEGER("spare", "N", &a.spare, 0, QB_MOST_NODES - 1,
                     "service: nodes that may fail (0)"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  const char **paths = allocate(MOST_PROFILES, sizeof *paths);
  const size_t count = options_parse_many(self, options, sizeof options / sizeof *options, argc,
                                          argv, paths, MOST_PROFILES);
  check_demand(&a);
  if (!catalogue)
    fail_usage("expected --catalog FILE, the node types to choose among");
  material m = {0};
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
        "A job costs least among the ways that end by the deadline with a chance of 95 %; with\n"
        "--budget alone it ends soonest. A service gets the fewest nodes of each type that hold\n"
        "the latency, the cheapest type first. A profile of another node is transferred by c and\n"
        "m. A demand that cannot be met is an answer too: it says what could be.",
    .run = run,
};
