/* SPDX-License-Identifier: Apache-2.0 */
#include "run/job_plan.h"

#include "common/clock.h"
#include "common/diagnose.h"
#include "common/measure.h"
#include "common/output.h"
#include "common/precisions.h"

#include <qosbatch/inspect.h>

#include <math.h>
#include <stdlib.h>

double job_plan_cost(const job_plan *plan, int64_t ns)
{
  return plan->price_per_hour * (double)ns / 3600e9;
}

/* What is left of a job: the parts of it that are paid, and gone by, do not come back. */
typedef struct rest {
  uint64_t samples;
  double spent;
  int64_t low_ns, high_ns;
  int64_t left_ns; /* to the deadline; 0: none */
} rest;

/* Refuses what cannot be; what is doubtful is said and tried. */
static int judge(const job_demand *demand, const job_plan *plan, const rest *r)
{
  const unsigned long long samples = r->samples;
  if (r->left_ns && r->low_ns > r->left_ns)
    return fail(
        "INFEASIBLE: %llu samples take %s to %s here, and %s are left; feasible with a deadline >= "
        "%s s",
        samples, human_time(r->low_ns).s, human_time(r->high_ns).s, human_time(r->left_ns).s,
        digits_rounded((double)(r->high_ns + demand->deadline_ns - r->left_ns) / 1e9, ROUND_UP).s);
  const double least = r->spent + job_plan_cost(plan, r->low_ns);
  const double most = r->spent + job_plan_cost(plan, r->high_ns);
  if (demand->budget > 0 && least > demand->budget)
    return fail("INFEASIBLE: %llu samples cost %s to %s here, the budget is %s; feasible with a "
                "budget >= %s",
                samples, digits(least).s, digits(most).s, digits(demand->budget).s,
                digits_rounded(most, ROUND_UP).s);
  if (r->left_ns && r->high_ns > r->left_ns)
    warn("the deadline is close: the job is predicted to take %s to %s, and %s are left",
         human_time(r->low_ns).s, human_time(r->high_ns).s, human_time(r->left_ns).s);
  return EXIT_DONE;
}

/* To the deadline; 0: there is none. */
static int64_t time_left_ns(const job_demand *demand)
{
  const int64_t left_ns = demand->deadline_ns - (clock_ns() - demand->start_ns);
  return !demand->deadline_ns ? 0 : left_ns > 1 ? left_ns : 1;
}

static int judge_price(const job_demand *demand, const job_plan *plan)
{
  return demand->budget > 0 && !(plan->price_per_hour > 0)
             ? fail(
                   "--budget needs a price: give --price-per-hour, or a profile of a node with one")
             : EXIT_DONE;
}

static double per_sample_ns(const job_plan *plan, uint32_t batch, int64_t round_ns)
{
  return ((double)round_ns + plan->around_ns) / ((double)plan->configuration.instances * batch);
}

/* The measured batch sizes of the configuration, the planned one first. */
static void list_batches(const qb_profile *profile, job_plan *plan)
{
  correction *list = &plan->batches;
  qb_latency_estimate planned = QB_LATENCY_ESTIMATE_INIT;
  if (qb_estimate(profile, &plan->configuration, plan->batch, NULL, &planned))
    return;
  list->batches[list->count++] =
      (correction_batch){plan->batch, per_sample_ns(plan, plan->batch, planned.mean_ns), 0, 0};
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &point); i++) {
    const qb_configuration *c = &point.configuration;
    if (same_configuration(c, &plan->configuration) && point.batch != plan->batch &&
        list->count < CORRECTION_MOST_BATCHES)
      list->batches[list->count++] = (correction_batch){
          point.batch, per_sample_ns(plan, point.batch, point.mean_ns), 0, point.prepare_ns};
  }
}

static double mean_round_ns(const qb_profile *profile, const job_plan *plan, uint32_t batch)
{
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  return qb_estimate(profile, &plan->configuration, batch, NULL, &e) ? 0 : (double)e.mean_ns;
}

bool job_plan_is_of_short_rounds(const qb_profile *profile, const job_plan *plan, uint64_t samples)
{
  const double short_ns = 3e6;
  const uint64_t fewest = 32;
  return mean_round_ns(profile, plan, plan->batch) < short_ns &&
         samples / plan->batch / plan->configuration.instances >= fewest;
}

/* The batch size of the list that ends first with what is done around each round. */
static uint32_t best_batch(const job_plan *plan, uint64_t samples)
{
  const correction_batch *best = &plan->batches.batches[0];
  for (uint32_t i = 1; i < plan->batches.count; i++) {
    const correction_batch *b = &plan->batches.batches[i];
    if (b->planned_ns < best->planned_ns &&
        (uint64_t)b->batch * plan->configuration.instances <= samples)
      best = b;
  }
  return best->batch;
}

static void list_again(const qb_profile *profile, job_plan *plan)
{
  plan->batches.count = 0;
  list_batches(profile, plan);
}

/* Of a job whose rounds take so long, but for the last. */
static void set_total(const qb_profile *profile, uint64_t samples, double round_ns, job_plan *plan)
{
  const double unsure = 0.1, before_ns = (double)plan->total_ns;
  const uint32_t instances = plan->configuration.instances;
  const uint64_t each = (samples + instances - 1) / instances;
  const uint32_t last = (uint32_t)(each % plan->batch);
  double total_ns = (double)(each / plan->batch) * round_ns;
  if (last)
    total_ns += mean_round_ns(profile, plan, last) + plan->around_ns;
  const double low = fmin((double)plan->low_ns / before_ns, 1 - unsure);
  const double high = fmax((double)plan->high_ns / before_ns, 1 + unsure);
  plan->total_ns = (int64_t)fmax(1, total_ns);
  plan->low_ns = (int64_t)fmax(1, low * total_ns);
  plan->high_ns = (int64_t)(high * total_ns) + 1;
}

/*
 * What is done around short rounds speaks for larger ones. It is taken for what is common, so that a
 * profile makes the same rounds, and the same bits, each time.
 */
static void choose_short_rounds(const qb_profile *profile, uint64_t samples, job_plan *plan)
{
  const double common_ns = 50e3;
  plan->around_ns = common_ns;
  list_again(profile, plan);
  if (!plan->batches.count)
    return;
  plan->batch = best_batch(plan, samples);
  list_again(profile, plan);
  set_total(profile, samples, mean_round_ns(profile, plan, plan->batch) + common_ns, plan);
}

void job_plan_set_round(const qb_profile *profile, uint64_t samples, double round_ns,
                        job_plan *plan)
{
  plan->around_ns = fmax(0, round_ns - mean_round_ns(profile, plan, plan->batch));
  list_again(profile, plan);
  set_total(profile, samples, round_ns, plan);
}

int job_plan_make(qb_context *context, qb_model *model, const job_demand *demand, job_plan *plan,
                  qb_profile **profile)
{
  qb_job job = QB_JOB_INIT;
  qb_job_plan found = QB_JOB_PLAN_INIT;
  qb_node_info node = QB_NODE_INFO_INIT;
  qb_qos qos = QB_QOS_INIT;
  profile_list list = {.count = 0};
  job.samples = demand->samples;
  qos.accuracy = demand->accuracy;
  int result = job_profile_get(context, model, demand, &list);
  if (!result)
    result = check(qb_plan_job(list.profiles, list.count, &job, &qos, &found, NULL));
  if (!result)
    *profile = qb_profile_ref(list.profiles[found.profile]);
  profile_list_free(&list);
  if (result || (result = check(qb_node_get_info(qb_profile_node(*profile), &node))))
    return result;
  const qb_precision precision = found.configuration.precision;
  precisions_explain(*profile, demand->accuracy, demand->profile && demand->int8, precision);
  if (!found.feasible)
    return fail("INFEASIBLE: %s is not known to be right in %g %% of the answers; feasible with "
                "--accuracy <= %s, or in f32",
                qb_precision_name(precision), demand->accuracy,
                digits_rounded(found.nearest.accuracy, ROUND_DOWN).s);
  *plan = (job_plan){.configuration = found.configuration,
                     .batch = found.batch,
                     .total_ns = found.total_ns,
                     .low_ns = found.low_ns,
                     .high_ns = found.high_ns,
                     .price_per_hour =
                         demand->price_per_hour > 0 ? demand->price_per_hour : node.price_per_hour};
  list_batches(*profile, plan);
  if (job_plan_is_of_short_rounds(*profile, plan, demand->samples))
    choose_short_rounds(*profile, demand->samples, plan);
  const rest all = {demand->samples, 0, plan->low_ns, plan->high_ns, time_left_ns(demand)};
  result = judge_price(demand, plan);
  return result ? result : judge(demand, plan, &all);
}

int job_plan_renew(qb_context *context, qb_model *model, const job_demand *demand, uint64_t done,
                   int64_t elapsed_ns, job_plan *plan)
{
  qb_profile *profile = NULL;
  qb_node_info node = QB_NODE_INFO_INIT;
  int result = EXIT_DONE;
  /* The kept plan stays; a profile is asked for its price, and has to be of this network. */
  if (demand->profile &&
      !(result =
            load_profile_here(context, demand->profile, model, demand->reserve_cores, &profile)) &&
      !(result = check(qb_node_get_info(qb_profile_node(profile), &node))) &&
      node.price_per_hour > 0)
    plan->price_per_hour = node.price_per_hour;
  qb_profile_unref(profile);
  if (result)
    return result;
  if (demand->price_per_hour > 0)
    plan->price_per_hour = demand->price_per_hour;
  const uint64_t samples = demand->samples - done;
  const double part = (double)samples / (double)demand->samples;
  const rest left = {.samples = samples,
                     .spent = job_plan_cost(plan, elapsed_ns),
                     .low_ns = (int64_t)((double)plan->low_ns * part),
                     .high_ns = (int64_t)((double)plan->high_ns * part),
                     .left_ns = time_left_ns(demand)};
  result = judge_price(demand, plan);
  return result || !samples ? result : judge(demand, plan, &left);
}

char *job_plan_to_text(const job_plan *plan)
{
  json_t *root = object_new();
  add_configuration(root, &plan->configuration);
  add_integer(root, "batch", plan->batch);
  add_integer(root, "total_ns", plan->total_ns);
  add_integer(root, "low_ns", plan->low_ns);
  add_integer(root, "high_ns", plan->high_ns);
  add_number(root, "price_per_hour", plan->price_per_hour);
  return json_to_line(root);
}

bool job_plan_from_text(const char *text, job_plan *plan)
{
  json_t *root = json_loads(text, 0, NULL);
  json_int_t instances, threads, batch, total, low, high;
  double price;
  const char *name = "f32"; /* journals of before have no precision */
  int precision = QB_PRECISION_F32;
  const bool good =
      root &&
      !json_unpack(root, "{s:I, s:I, s:I, s:I, s:I, s:I, s:F, s?s}", "instances", &instances,
                   "threads", &threads, "batch", &batch, "total_ns", &total, "low_ns", &low,
                   "high_ns", &high, "price_per_hour", &price, "precision", &name) &&
      qb_enum_find("qb_precision", name, &precision) && instances >= 1 && instances <= 4096 &&
      threads >= 1 && threads <= 4096 && batch >= 1 && batch <= QB_MAX_BATCH && low >= 1 &&
      low <= total && total <= high && price >= 0;
  if (good)
    *plan = (job_plan){
        .configuration = {(uint32_t)instances, (uint32_t)threads, (qb_precision)precision},
        .batch = (uint32_t)batch,
        .total_ns = total,
        .low_ns = low,
        .high_ns = high,
        .price_per_hour = price};
  json_decref(root);
  return good;
}
