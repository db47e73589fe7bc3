/* SPDX-License-Identifier: Apache-2.0 */
#include "diagnose.h"
#include "job_runner.h"
#include "journal.h"
#include "load.h"
#include "measure.h"
#include "options.h"
#include "output.h"
#include "pace.h"
#include "progress.h"
#include "results.h"
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct request {
  const char *model, *input, *output, *profile;
  conversion how;
  double deadline_s, budget, price_per_hour;
  bool quiet, as_json;
} request;

/* What is decided before the first round, kept in the journal. */
typedef struct decision {
  qb_configuration configuration;
  uint32_t batch;
  int64_t total_ns, low_ns, high_ns; /* of all samples of the job */
} decision;

typedef struct work {
  const request *request;
  int64_t start_ns; /* of the command: a deadline counts from here */
  qb_context *context;
  qb_model *model;
  qb_session *session;
  source *samples;
  results *output;
  journal *journal;
  double price_per_hour;
  uint64_t count, count_before; /* samples of the job; done by earlier runs */
  uint64_t bad_before;
  int64_t elapsed_before_ns; /* of earlier runs */
  bool *done;                /* by sample */
  bool recorded;             /* the journal has rounds to go on from */
  decision plan;
  int64_t prepare_ns;
  double slowdown; /* at the end */
  job_state state;
} work;

static int64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static double seconds(int64_t ns)
{
  return (double)ns / 1e9;
}

static double cost_of(const work *w, int64_t ns)
{
  return w->price_per_hour * (double)ns / 3600e9;
}

/* Of the job's predicted time the share that is left to this run. */
static int64_t share_left(const work *w, int64_t ns)
{
  return (int64_t)((double)ns * (double)(w->count - w->count_before) / (double)w->count);
}

static int load_samples(work *w)
{
  const request *r = w->request;
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_tensor_info input = QB_TENSOR_INFO_INIT;
  int result;
  if ((result = load_context(&w->context)) ||
      (result = load_model(w->context, r->model, &w->model)) ||
      (result = check(qb_model_get_info(w->model, &info))))
    return result;
  if (info.inputs != 1)
    return fail("'%s' has %u inputs; run takes networks with one", r->model, info.inputs);
  if ((result = check(qb_model_get_input(w->model, 0, &input))) ||
      (result = source_open(r->input, &input, &r->how, &w->samples)))
    return result;
  w->count = source_count(w->samples);
  w->done = allocate(w->count, sizeof *w->done);
  return EXIT_DONE;
}

/* All that the output depends on, so that a run goes on only with its own job. */
static char *describe_job(const work *w)
{
  const request *r = w->request;
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_model_get_info(w->model, &info);
  json_t *job = object_new();
  char fingerprint[32];
  snprintf(fingerprint, sizeof fingerprint, "%016llx",
           (unsigned long long)source_fingerprint(w->samples));
  add_text(job, "model", info.name);
  add_number(job, "flops_per_sample", info.flops_per_sample);
  add_integer(job, "weight_bytes", (int64_t)info.weight_bytes);
  add_integer(job, "samples", (int64_t)w->count);
  add_text(job, "input", fingerprint);
  add_text(job, "scale", r->how.scale ? r->how.scale : "");
  add_text(job, "mean", r->how.mean ? r->how.mean : "");
  add_text(job, "std", r->how.deviation ? r->how.deviation : "");
  char *text = json_dumps(job, JSON_COMPACT | JSON_SORT_KEYS);
  json_decref(job);
  if (!text)
    exit(fail("no memory"));
  return text;
}

static char *beside_output(const work *w, const char *ending)
{
  const size_t room = strlen(w->request->output) + strlen(ending) + 1;
  char *path = allocate(room, 1);
  snprintf(path, room, "%s%s", w->request->output, ending);
  return path;
}

static bool decision_from_text(const char *text, decision *plan)
{
  json_t *root = json_loads(text, 0, NULL);
  json_int_t instances, threads, batch, total, low, high;
  const bool good = root &&
                    !json_unpack(root, "{s:I, s:I, s:I, s:I, s:I, s:I}", "instances", &instances,
                                 "threads", &threads, "batch", &batch, "total_ns", &total, "low_ns",
                                 &low, "high_ns", &high) &&
                    instances >= 1 && instances <= 4096 && threads >= 1 && threads <= 4096 &&
                    batch >= 1 && batch <= QB_MAX_BATCH && low >= 1 && low <= total &&
                    total <= high;
  json_decref(root);
  if (!good)
    return false;
  *plan = (decision){{sizeof plan->configuration, (uint32_t)instances, (uint32_t)threads},
                     (uint32_t)batch,
                     total,
                     low,
                     high};
  return true;
}

static int keep_decision(work *w)
{
  const decision *plan = &w->plan;
  json_t *root = object_new();
  add_integer(root, "instances", plan->configuration.instances);
  add_integer(root, "threads", plan->configuration.threads);
  add_integer(root, "batch", plan->batch);
  add_integer(root, "total_ns", plan->total_ns);
  add_integer(root, "low_ns", plan->low_ns);
  add_integer(root, "high_ns", plan->high_ns);
  char *text = json_dumps(root, JSON_COMPACT);
  json_decref(root);
  const int result = text ? journal_begin(w->journal, text) : fail("no memory");
  free(text);
  return result;
}

/* A profile for this job alone: it may be less exact, as the plan is corrected as the job goes. */
static int profile_briefly(work *w, qb_profile **profile)
{
  const double budget_s = 6;
  note("no --profile: measuring %s for a few seconds; 'qosbatch profile %s -o FILE' makes one to "
       "keep",
       w->request->model, w->request->model);
  qb_node *node = NULL;
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  params.max_batch = w->count < 32 ? (uint32_t)w->count : 32;
  int result =
      measure_node(w->context, w->request->price_per_hour, budget_s, &node, &params.time_budget_ns);
  if (!result)
    result = measure_profile(w->model, node, &params, w->request->quiet, profile);
  qb_node_unref(node);
  return result;
}

static int load_own_profile(work *w, qb_profile **profile)
{
  const char *path = w->request->profile;
  qb_node_params params = QB_NODE_PARAMS_INIT;
  params.measure_budget_ns = -1;
  qb_node *node = NULL;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  qb_model_info model = QB_MODEL_INFO_INIT;
  int result;
  if ((result = load_profile(w->context, path, profile)) ||
      (result = check(qb_profile_get_info(*profile, &info))) ||
      (result = check(qb_model_get_info(w->model, &model))) ||
      (result = check(qb_node_detect(w->context, &params, &node))))
    goto done;
  if (strcmp(info.model, model.name))
    result = fail("%s: a profile of '%s', not of '%s'", path, info.model, model.name);
  else if (qb_profile_check_node(*profile, node))
    note("warning: %s: %s", path, qb_error_message());
done:
  qb_node_unref(node);
  return result;
}

/* Refuses what cannot be; what is doubtful is said and tried. */
static int judge(const work *w, const qb_job_plan *plan, int64_t deadline_ns)
{
  const request *r = w->request;
  if (deadline_ns && plan->low_ns > deadline_ns)
    return fail("INFEASIBLE: %llu samples take %s to %s here and %s of the deadline are left; a "
                "deadline >= %.1f s would do",
                (unsigned long long)w->count, human_time(plan->low_ns).s,
                human_time(plan->high_ns).s, human_time(deadline_ns).s,
                seconds(plan->high_ns) + seconds(now_ns() - w->start_ns) + 0.05);
  if (r->budget > 0 && cost_of(w, plan->low_ns) > r->budget)
    return fail("INFEASIBLE: %llu samples cost %s to %s here, the budget is %s; a budget >= %s "
                "would do",
                (unsigned long long)w->count, digits(cost_of(w, plan->low_ns)).s,
                digits(cost_of(w, plan->high_ns)).s, digits(r->budget).s,
                digits_rounded(cost_of(w, plan->high_ns), ROUND_UP).s);
  if (deadline_ns && plan->high_ns > deadline_ns)
    note("warning: the deadline is close: predicted are %s to %s", human_time(plan->low_ns).s,
         human_time(plan->high_ns).s);
  return EXIT_DONE;
}

static int make_plan(work *w)
{
  const request *r = w->request;
  qb_profile *profile = NULL;
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  qb_node_info node = QB_NODE_INFO_INIT;
  qb_qos qos = QB_QOS_INIT;
  int result = r->profile ? load_own_profile(w, &profile) : profile_briefly(w, &profile);
  if (result)
    goto done;
  if (r->deadline_s > 0) {
    const int64_t left_ns = (int64_t)(r->deadline_s * 1e9) - (now_ns() - w->start_ns);
    qos.deadline_ns = left_ns > 1 ? left_ns : 1;
  }
  qb_node_get_info(qb_profile_node(profile), &node);
  if (!w->price_per_hour)
    w->price_per_hour = node.price_per_hour;
  if (r->budget > 0 && !(w->price_per_hour > 0)) {
    result = fail("--budget needs a price: give --price-per-hour, or a profile of a node with one");
    goto done;
  }
  if ((result =
           check(qb_plan_job((const qb_profile *const *)&profile, 1, w->count, &qos, &plan))) ||
      (result = judge(w, &plan, qos.deadline_ns)))
    goto done;
  w->plan = (decision){plan.configuration, plan.batch, plan.total_ns, plan.low_ns, plan.high_ns};
done:
  qb_profile_unref(profile);
  return result;
}

static void take_record(void *user, const journal_record *record)
{
  work *w = user;
  uint64_t checksum;
  w->recorded = true;
  if (w->output && (!results_checksum(w->output, record->first, record->count, &checksum) ||
                    checksum != record->checksum))
    return;
  w->elapsed_before_ns = record->elapsed_ns;
  for (uint32_t i = 0; i < record->count; i++) {
    w->count_before += !w->done[record->first + i];
    w->bad_before += !w->done[record->first + i] && record->bad[i];
    w->done[record->first + i] = true;
  }
}

/* Opens the output and finds what an earlier run has done. */
static int open_output(work *w)
{
  const request *r = w->request;
  qb_tensor_info output = QB_TENSOR_INFO_INIT;
  char *path = beside_output(w, ".journal");
  char *job = describe_job(w);
  const char *kept = "";
  int result;
  if ((result = check_output(r->output)) ||
      (result = check(qb_model_get_output(w->model, 0, &output))) ||
      (result = journal_open(path, job, &w->journal, &kept)))
    goto done;
  const bool resumed = decision_from_text(kept, &w->plan);
  /* With the output in place, records are taken as they are: there is no part file to check. */
  if (!(resumed && results_in_place(r->output)) &&
      (result = results_open(r->output, w->count, output.elements_per_sample, &w->output)))
    goto done;
  if (resumed && (result = journal_replay(w->journal, w->count, take_record, w)))
    goto done;
  if (!w->output && w->count_before < w->count) {
    /* An older output, whose part file is gone: all is to be done again. */
    memset(w->done, 0, w->count * sizeof *w->done);
    w->count_before = w->bad_before = 0;
    if ((result = results_open(r->output, w->count, output.elements_per_sample, &w->output)))
      goto done;
  }
  if (!resumed && !(result = make_plan(w)))
    result = keep_decision(w);
  else if (w->count_before && !r->quiet)
    note("going on after %llu of %llu samples", (unsigned long long)w->count_before,
         (unsigned long long)w->count);
done:
  free(job);
  free(path);
  return result;
}

/* Every batch size is made ready before the clock of the prediction runs. */
static int prepare(work *w)
{
  const decision *plan = &w->plan;
  const uint64_t left = w->count - w->count_before;
  const int64_t start_ns = now_ns();
  uint32_t sizes[3] = {0, 0, 0};
  job_last_rounds(left, plan->configuration.instances, plan->batch, &sizes[1], &sizes[2]);
  if (left >= (uint64_t)plan->configuration.instances * plan->batch)
    sizes[0] = plan->batch;
  int result = check(qb_session_new(w->model, &plan->configuration, &w->session));
  for (int i = 0; i < 3 && !result; i++)
    if (sizes[i])
      result = check(qb_session_prepare(w->session, sizes[i], NULL));
  w->prepare_ns = now_ns() - start_ns;
  return result;
}

static void draw(const work *w, const pace *speed)
{
  const request *r = w->request;
  const int64_t left_ns = pace_left_ns(speed);
  char deadline[80] = "", cost[80] = "";
  if (r->deadline_s > 0)
    snprintf(
        deadline, sizeof deadline, ", ends %s %s the deadline",
        human_time(llabs((int64_t)(r->deadline_s * 1e9) - (now_ns() - w->start_ns) - left_ns)).s,
        r->deadline_s * 1e9 < (double)(now_ns() - w->start_ns + left_ns) ? "after" : "before");
  if (w->price_per_hour > 0)
    snprintf(cost, sizeof cost, ", cost %s",
             digits(cost_of(w, w->elapsed_before_ns + w->state.elapsed_ns)).s);
  progress_draw(w->state.elapsed_ns,
                (double)(w->count_before + w->state.samples) / (double)w->count,
                "%s samples/s, %s left%s%s", digits(pace_per_s(speed)).s, human_time(left_ns).s,
                deadline, cost);
}

/* Says once what the plan did not foresee. */
static void warn(const work *w, const pace *speed, bool *slow_told, bool *late_told)
{
  const request *r = w->request;
  const double slowdown = pace_slowdown(speed);
  const double waiting =
      (double)w->state.waiting_ns / (double)(w->state.waiting_ns + w->state.busy_ns + 1);
  const int64_t left_ns = pace_left_ns(speed);
  if (!*slow_told && slowdown > 1.1) {
    note("a sample takes %.2f times as long as planned%s; %s left", slowdown,
         waiting > 0.2 ? ", as rounds wait for samples to be read" : "", human_time(left_ns).s);
    *slow_told = true;
  }
  const double late_s = seconds(now_ns() - w->start_ns + left_ns) - r->deadline_s;
  if (!*late_told && r->deadline_s > 0 && slowdown != 1 && late_s > 0) {
    note("warning: the deadline will be missed by %s", human_time((int64_t)(late_s * 1e9)).s);
    *late_told = true;
  }
}

static int watch(work *w, job_runner *job, pace *speed)
{
  const request *r = w->request;
  bool slow_told = false, late_told = false;
  const int64_t longest_ns =
      r->budget > 0 ? (int64_t)(r->budget / w->price_per_hour * 3600e9) : INT64_MAX;
  bool spent = false;
  while (!w->state.ended) {
    job_watch(job, 100, &w->state);
    pace_note(speed, w->state.elapsed_ns, w->state.samples, w->state.rounds);
    if (!r->quiet) {
      draw(w, speed);
      warn(w, speed, &slow_told, &late_told);
    }
    if (!spent && w->elapsed_before_ns + w->state.elapsed_ns > longest_ns) {
      spent = true;
      job_stop(job);
    }
  }
  progress_clear();
  const uint64_t done = w->count_before + w->state.samples;
  return spent && done < w->count
             ? fail("the budget of %s is spent: %llu of %llu samples are done; the same command "
                    "with a larger budget goes on",
                    digits(r->budget).s, (unsigned long long)done, (unsigned long long)w->count)
             : EXIT_DONE;
}

static int run_rounds(work *w)
{
  const uint64_t left = w->count - w->count_before;
  int result = prepare(w);
  if (result)
    return result;
  const job_params params = {.model = w->model,
                             .session = w->session,
                             .instances = w->plan.configuration.instances,
                             .batch = w->plan.batch,
                             .samples = w->samples,
                             .output = w->output,
                             .progress = w->journal,
                             .done = w->done,
                             .elapsed_before_ns = w->elapsed_before_ns};
  job_runner *job;
  pace speed;
  if ((result = job_start(&params, &job)))
    return result;
  pace_begin(&speed, left, (double)w->count / seconds(w->plan.total_ns), params.instances);
  result = watch(w, job, &speed);
  const int ended = job_join(job);
  w->slowdown = (double)w->state.elapsed_ns / (double)share_left(w, w->plan.total_ns);
  return ended ? ended : result;
}

static void print_as_json(const work *w)
{
  const request *r = w->request;
  const decision *plan = &w->plan;
  const int64_t measured_ns = w->state.elapsed_ns;
  json_t *root = object_new();
  add_text(root, "model", r->model);
  add_text(root, "input", r->input);
  add_text(root, "output", r->output);
  add_integer(root, "samples", (int64_t)w->count);
  add_integer(root, "done_before", (int64_t)w->count_before);
  add_integer(root, "warnings", (int64_t)(w->bad_before + w->state.bad));
  add_integer(root, "instances", plan->configuration.instances);
  add_integer(root, "threads", plan->configuration.threads);
  add_integer(root, "batch", plan->batch);
  add_integer(root, "rounds", (int64_t)w->state.rounds);
  add_integer(root, "predicted_ns", share_left(w, plan->total_ns));
  add_integer(root, "predicted_low_ns", share_left(w, plan->low_ns));
  add_integer(root, "predicted_high_ns", share_left(w, plan->high_ns));
  add_integer(root, "measured_ns", measured_ns);
  add_integer(root, "prepare_ns", w->prepare_ns);
  add_integer(root, "elapsed_ns", now_ns() - w->start_ns);
  add_number(root, "throughput_per_s",
             measured_ns ? (double)w->state.samples / seconds(measured_ns) : 0);
  add_number(root, "waiting",
             measured_ns ? (double)w->state.waiting_ns /
                               (double)(measured_ns * plan->configuration.instances)
                         : 0);
  add_number(root, "cost", cost_of(w, w->elapsed_before_ns + measured_ns));
  if (r->deadline_s > 0)
    add_bool(root, "deadline_met", seconds(now_ns() - w->start_ns) <= r->deadline_s);
  print_json(root);
}

static void print_as_text(const work *w)
{
  const request *r = w->request;
  const decision *plan = &w->plan;
  const int64_t measured_ns = w->state.elapsed_ns, predicted_ns = share_left(w, plan->total_ns);
  printf("%s, %llu samples on %s, rounds of %u\n\n", r->model, (unsigned long long)w->count,
         human_configuration(plan->configuration.instances, plan->configuration.threads).s,
         plan->batch);
  if (w->count_before)
    printf("before      %llu samples were done by an earlier run\n",
           (unsigned long long)w->count_before);
  if (w->state.samples) {
    printf("predicted   %s, 95 %% interval %s to %s\n", human_time(predicted_ns).s,
           human_time(share_left(w, plan->low_ns)).s, human_time(share_left(w, plan->high_ns)).s);
    printf("measured    %s (%+.1f %%), after %s to make batches ready\n", human_time(measured_ns).s,
           100 * (double)(measured_ns - predicted_ns) / (double)predicted_ns,
           human_time(w->prepare_ns).s);
    printf("throughput  %s samples/s\n", digits((double)w->state.samples / seconds(measured_ns)).s);
  }
  if (w->price_per_hour > 0)
    printf("cost        %s\n", digits(cost_of(w, w->elapsed_before_ns + measured_ns)).s);
  if (r->deadline_s > 0)
    printf("deadline    %s\n", seconds(now_ns() - w->start_ns) <= r->deadline_s ? "met" : "missed");
  if (w->bad_before + w->state.bad)
    printf("warnings    %llu samples could not be read; their rows are marked\n",
           (unsigned long long)(w->bad_before + w->state.bad));
  printf("saved to    %s\n", r->output);
}

static int finish(work *w)
{
  if (w->output) {
    const int result = results_finish(w->output, w->samples);
    if (result)
      return result;
  }
  journal_remove(w->journal);
  if (w->request->as_json)
    print_as_json(w);
  else
    print_as_text(w);
  return EXIT_DONE;
}

/* Nothing was done: nothing is left behind. */
static void tidy_up(const work *w)
{
  if (!w->journal || w->recorded || w->state.rounds)
    return;
  char *part = beside_output(w, ".part");
  if (w->output)
    (void)unlink(part);
  free(part);
  journal_remove(w->journal);
}

static int run(const command *self, int argc, char **argv)
{
  request r = {0};
  const option options[] = {
      OPTION_STRING('i', "input", "X", &r.input,
                    "an .npy file, or a folder of JPEG and PNG images (required)"),
      OPTION_STRING('o', "output", "Y", &r.output, "an .npy or .csv file (required)"),
      OPTION_STRING(0, "profile", "FILE", &r.profile, "of this model on this node (made briefly)"),
      OPTION_NUMBER("deadline", "S", &r.deadline_s, 0, 1e9, "seconds from now"),
      OPTION_NUMBER("budget", "B", &r.budget, 0, 1e12, "what the job may cost, in your currency"),
      OPTION_NUMBER("price-per-hour", "P", &r.price_per_hour, 0, 1e9,
                    "what the node costs (the profile's)"),
      OPTION_STRING(0, "scale", "L", &r.how.scale, "8-bit values are multiplied by this (1/255)"),
      OPTION_STRING(0, "mean", "L", &r.how.mean, "subtracted then, by channel: 0.485,0.456,0.406"),
      OPTION_STRING(0, "std", "L", &r.how.deviation, "divided by then, by channel"),
      OPTION_FLAG("quiet", &r.quiet, "no progress bar and no notes"),
      OPTION_FLAG("json", &r.as_json, "print JSON"),
  };
  work w = {.request = &r, .start_ns = now_ns()};
  r.model = options_parse(self, options, sizeof options / sizeof *options, argc, argv);
  if (!r.input || !r.output)
    fail_usage("expected --input X and --output Y");
  results_check_path(r.output);
  w.price_per_hour = r.price_per_hour;
  int result;
  if ((result = load_samples(&w)) || (result = open_output(&w)))
    goto done;
  if (w.count_before < w.count)
    result = run_rounds(&w);
  if (!result)
    result = finish(&w);
done:
  if (result)
    tidy_up(&w);
  journal_close(w.journal);
  results_close(w.output);
  qb_session_unref(w.session);
  source_close(w.samples);
  qb_model_unref(w.model);
  qb_context_unref(w.context);
  free(w.done);
  return result;
}

const command command_run = {
    .name = "run",
    .operand = "MODEL",
    .synopsis = "--input X --output Y [options]",
    .summary = "Run a network over a folder or array of samples, with the best batch",
    .details =
        "Y.npy gets all values of the network's output, a row a sample; Y.csv each sample's five\n"
        "largest. Batch, instances and threads are those that end first by the profile. Killed at\n"
        "any moment, the same command goes on where it was. Samples that cannot be read are\n"
        "marked and skipped.",
    .run = run,
};
