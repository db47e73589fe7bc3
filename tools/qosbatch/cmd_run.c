/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"
#include "common/diagnose.h"
#include "common/files.h"
#include "common/interrupt.h"
#include "common/load.h"
#include "common/measure.h"
#include "common/options.h"
#include "common/output.h"
#include "common/progress.h"
#include "run/job_identity.h"
#include "run/job_plan.h"
#include "run/job_rehearsal.h"
#include "run/job_report.h"
#include "run/job_runner.h"
#include "run/journal.h"
#include "run/pace.h"
#include "run/results.h"
#include "run/source.h"

#include <qosbatch/accuracy.h>
#include <qosbatch/inspect.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct work {
  conversion how;
  job_demand demand;
  job_plan plan;
  job_report report;
  qb_context *context;
  qb_model *model;
  qb_profile *profile; /* what was planned by */
  qb_session *session;
  source *samples;
  results *output; /* NULL: in place already */
  journal *progress;
  uint64_t columns;
  bool *done;            /* by sample */
  bool is_new;           /* its files were made by this run */
  const char *precision; /* NULL: none was asked for */
  bool quiet, as_json;
} work;

static int load_samples(work *w)
{
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_tensor_info input = QB_TENSOR_INFO_INIT, output = QB_TENSOR_INFO_INIT;
  int result;
  if ((result = load_context(&w->context)) ||
      (result = load_model(w->context, w->report.model, &w->model)) ||
      (result = load_int8(w->context, w->demand.int8, &w->model)) ||
      (result = check(qb_model_get_info(w->model, &info))))
    return result;
  if (info.inputs != 1)
    return fail("'%s' has %u inputs; run takes networks with one", w->report.model, info.inputs);
  if ((result = check(qb_model_get_input(w->model, 0, &input))) ||
      (result = check(qb_model_get_output(w->model, 0, &output))) ||
      (result = source_open(w->report.input, &input, &w->how, &w->samples)))
    return result;
  w->demand.input = w->samples;
  w->columns = output.elements_per_sample;
  w->report.samples = w->demand.samples = source_count(w->samples);
  w->report.left_out = source_left_out(w->samples);
  w->done = allocate(w->report.samples, sizeof *w->done);
  return EXIT_DONE;
}

/* A round of an earlier run counts if its rows are there. */
static void take_record(void *user, const journal_record *record)
{
  work *w = user;
  job_report *r = &w->report;
  uint64_t checksum;
  if (w->output && (!results_checksum(w->output, record->first, record->count, &checksum) ||
                    checksum != record->checksum))
    return;
  r->elapsed_before_ns = record->elapsed_ns;
  for (uint32_t i = 0; i < record->count; i++) {
    bool *done = &w->done[record->first + i];
    r->done_before += !*done;
    if (!*done)
      row_count(&r->rows_before, record->states[i]);
    *done = true;
  }
}

static int open_results(work *w)
{
  return results_open(w->report.output, w->report.samples, w->columns, &w->output);
}

/* Rows are computed as the profile tells that the plan was made by. */
static void load_kept_profile(work *w)
{
  char *path = joined(w->report.output, JOB_PROFILE);
  if (qb_profile_load(w->context, path, &w->profile))
    warn("rows may differ in their last bits from earlier ones: %s", qb_error_message());
  free(path);
}

static int refuse_option(const work *w, const char *name, const char *of)
{
  return fail("'%s" JOB_JOURNAL "' is of a job %s; leave --%s out to continue it, or remove the "
              "journal, " JOB_PART " and " JOB_PROFILE " to start over",
              w->report.output, of, name);
}

/* What is asked for now, the kept plan has to be. */
static int check_kept_plan(const work *w)
{
  const job_demand *demand = &w->demand;
  const qb_precision precision = w->plan.configuration.precision;
  const char *name = qb_precision_name(precision);
  const uint32_t kept = reserve_of(RESERVE_USUAL, w->profile);
  const uint32_t asked = reserve_of(demand->reserve_cores, w->profile);
  qb_accuracy accuracy = QB_ACCURACY_INIT;
  char of[160];
  if (asked != kept) {
    snprintf(of, sizeof of, "that leaves %u core%s to others, not %u", kept, plural(kept), asked);
    return refuse_option(w, "reserve", of);
  }
  if (demand->precisions.count && !precisions_have(&demand->precisions, precision)) {
    snprintf(of, sizeof of, "in %s, not in %s", name, w->precision);
    return refuse_option(w, "precision", of);
  }
  if (demand->accuracy > 0 && precision != QB_PRECISION_F32 &&
      (!w->profile || qb_profile_get_accuracy(w->profile, precision, &accuracy) ||
       100 * accuracy.low < demand->accuracy)) {
    snprintf(of, sizeof of, "in %s, which is not known to be right in %g %% of the answers", name,
             demand->accuracy);
    return refuse_option(w, "accuracy", of);
  }
  return EXIT_DONE;
}

/* Goes on from what an earlier run has left. */
static int take_up(work *w)
{
  job_report *r = &w->report;
  int result;
  /* One that was killed at its very end has put the output in place and left no part file. */
  const bool in_place = results_in_place(r->output, w->progress);
  if ((!in_place && (result = open_results(w))) ||
      (result = journal_replay(w->progress, r->samples, take_record, w)))
    return result;
  if (in_place && r->done_before < r->samples) { /* an output of another time */
    memset(w->done, 0, r->samples * sizeof *w->done);
    r->done_before = 0;
    r->rows_before = (row_counts){0, 0};
    r->elapsed_before_ns = 0;
    if ((result = open_results(w)))
      return result;
  }
  if (r->done_before < r->samples) {
    load_kept_profile(w);
    if ((result = check_kept_plan(w)))
      return result;
  }
  result = job_plan_renew(w->context, w->model, &w->demand, r->done_before, r->elapsed_before_ns,
                          &w->plan);
  if (!result && r->done_before)
    note("continuing after %llu of %llu samples", (unsigned long long)r->done_before,
         (unsigned long long)r->samples);
  return result;
}

static int open_session(work *w)
{
  return w->session
             ? EXIT_DONE
             : check(qb_session_new(w->model, &w->plan.configuration, w->profile, &w->session));
}

/* Measures what is done around short rounds of arrays, for the prediction. */
static int rehearse(work *w)
{
  job_plan *plan = &w->plan;
  const job_params params = {.model = w->model,
                             .instances = plan->configuration.instances,
                             .batch = plan->batch,
                             .samples = w->samples};
  double round_ns = 0;
  int result;
  if (source_name(w->samples, 0) ||
      !job_plan_is_of_short_rounds(w->profile, plan, w->report.samples))
    return EXIT_DONE;
  if (!(result = open_session(w)) &&
      !(result = check(qb_session_prepare(w->session, plan->batch, NULL))))
    result = job_rehearse(&params, w->session, w->report.output, w->columns, &round_ns);
  if (!result && round_ns > 0)
    job_plan_set_round(w->profile, w->report.samples, round_ns, plan);
  return result;
}

/*
 * The profile is kept until the job is done, for rows to get the same bits after a kill. The part file
 * comes last: one that is there while the journal has no plan is not of this job.
 */
static int begin(work *w)
{
  w->is_new = true;
  int result = job_plan_make(w->context, w->model, &w->demand, &w->plan, &w->profile);
  if (result || (result = rehearse(w)))
    return result;
  char *path = joined(w->report.output, JOB_PROFILE), *text = job_plan_to_text(&w->plan);
  if (!(result = check(qb_profile_save(w->profile, path))))
    result = journal_begin(w->progress, text);
  free(text);
  free(path);
  return result ? result : open_results(w);
}

static int open_output(work *w)
{
  const char *output = w->report.output;
  int result;
  if ((result = check_output(output)) || (result = files_check_new_job(output)))
    return result;
  const int64_t start_ns = clock_ns();
  char *job = job_identity("run", w->model, w->samples, &w->how);
  if (!job)
    return EXIT_FAILED;
  w->report.hash_ns = clock_ns() - start_ns;
  char *path = joined(output, JOB_JOURNAL);
  const char *kept = "";
  interrupt_is_kept();
  result = journal_open(path, job, &w->progress, &kept);
  if (!result)
    result = job_plan_from_text(kept, &w->plan) ? take_up(w) : begin(w);
  free(job);
  free(path);
  return result;
}

/* Makes the batch sizes that the job will use ready, before the clock of the prediction runs. */
static int prepare(work *w)
{
  const uint32_t instances = w->plan.configuration.instances;
  const int64_t start_ns = clock_ns();
  uint32_t sizes[3] = {0, 0, 0};
  if (w->report.samples >= (uint64_t)instances * w->plan.batch)
    sizes[0] = w->plan.batch;
  job_last_rounds(w->report.samples, instances, w->plan.batch, &sizes[1], &sizes[2]);
  int result = open_session(w);
  for (int i = 0; i < 3 && !result; i++)
    if (sizes[i])
      result = check(qb_session_prepare(w->session, sizes[i], NULL));
  w->report.prepare_ns = clock_ns() - start_ns;
  return result;
}

/*
 * What decoding images costs, by those that were read while the session was made ready. Arrays are
 * read in no time, but their first samples are not: they wait for pages.
 */
static void note_reading(work *w, job_runner *job)
{
  const qb_configuration *c = &w->plan.configuration;
  qb_node_info node = QB_NODE_INFO_INIT;
  w->report.reading_ns = source_name(w->samples, 0) ? job_reading_ns(job) : 0;
  w->report.core_left =
      w->profile && !qb_node_get_info(qb_profile_node(w->profile), &node) &&
      (uint64_t)c->instances * c->threads < (uint64_t)node.usable_threads + node.reserve_cores;
}

/* Changes the batch size if another one is worth a try, or turned out better. */
static int correct(work *w, job_runner *job, pace *speed)
{
  correction *batches = &w->plan.batches;
  /* Rounds that wait for their samples are not slow by their size. */
  const bool waiting = w->report.state.waiting_ns > w->report.state.busy_ns / 5;
  if (!batches->count || waiting || !pace_is_known(speed))
    return EXIT_DONE;
  const uint32_t batch = correction_choose(batches, 1e9 / pace_per_s(speed), pace_left_ns(speed));
  if (batch == w->report.batch)
    return EXIT_DONE;
  note("rounds of %u are slower than planned; continuing with rounds of %u", w->report.batch,
       batch);
  w->report.batch = batch;
  const int result = check(qb_session_prepare(w->session, batch, NULL));
  job_set_batch(job, batch);
  pace_restart(speed);
  return result;
}

static int fail_as_interrupted(const work *w)
{
  const job_report *r = &w->report;
  return fail("interrupted after %llu of %llu samples; run the same command to continue",
              (unsigned long long)(r->done_before + r->state.samples),
              (unsigned long long)r->samples);
}

enum { WATCH_MS = 20 };

static int watch(work *w, job_runner *job, pace *speed)
{
  job_report *r = &w->report;
  const double budget = w->demand.budget;
  bool spent = false;
  int result = EXIT_DONE;
  while (!r->state.ended) {
    job_watch(job, WATCH_MS, &r->state);
    pace_note(speed, r->state.elapsed_ns, r->state.samples, r->state.rounds);
    if (!w->quiet)
      job_report_progress(r, speed);
    const int64_t elapsed_ns = r->elapsed_before_ns + r->state.elapsed_ns;
    spent = spent || (budget > 0 && job_plan_cost(&w->plan, elapsed_ns) > budget);
    if (!result)
      result = correct(w, job, speed);
    if (spent || result || interrupt_signal())
      job_stop(job);
  }
  progress_clear();
  const uint64_t done = r->done_before + r->state.samples;
  if (!result && interrupt_signal() && done < r->samples)
    return fail_as_interrupted(w);
  if (!result && spent && done < r->samples)
    result = fail("the budget of %s is spent after %llu of %llu samples; run the same command with "
                  "a larger budget to continue",
                  digits(budget).s, (unsigned long long)done, (unsigned long long)r->samples);
  return result;
}

static int run_rounds(work *w)
{
  job_report *r = &w->report;
  r->batch = w->plan.batch;
  const job_params params = {.model = w->model,
                             .instances = w->plan.configuration.instances,
                             .batch = w->plan.batch,
                             .samples = w->samples,
                             .output = w->output,
                             .progress = w->progress,
                             .done = w->done,
                             .elapsed_before_ns = r->elapsed_before_ns};
  job_runner *job;
  pace speed;
  int result;
  if ((result = job_start(&params, &job)))
    return result;
  result = prepare(w);
  note_reading(w, job);
  const uint64_t left = r->samples - r->done_before;
  pace_begin(&speed, left, (double)left / seconds(job_report_predicted_ns(r)), params.instances);
  if (!result && interrupt_signal())
    result = fail_as_interrupted(w);
  if (result || (result = job_run(job, w->session)))
    job_stop(job);
  else
    result = watch(w, job, &speed);
  const int ended = job_join(job);
  return result ? result : ended;
}

static void remove_beside(const work *w, const char *ending)
{
  char *path = joined(w->report.output, ending);
  (void)unlink(path);
  free(path);
}

/* A run that was killed while it saved the profile leaves what was to take its place. */
static void remove_unfinished_profiles(const work *w)
{
  static const char ending[] = ".profile.*.tmp";
  char *pattern = allocate(2 * strlen(w->report.output) + sizeof ending, 1), *to = pattern;
  for (const char *from = w->report.output; *from; from++) {
    if (strchr("*?[\\", *from))
      *to++ = '\\';
    *to++ = *from;
  }
  memcpy(to, ending, sizeof ending);
  glob_t found;
  if (!glob(pattern, 0, NULL, &found)) {
    for (size_t i = 0; i < found.gl_pathc; i++)
      (void)unlink(found.gl_pathv[i]);
    globfree(&found);
  }
  free(pattern);
}

static int finish(work *w)
{
  const int result = w->output ? results_finish(w->output, w->samples, w->progress) : EXIT_DONE;
  if (result)
    return result;
  remove_beside(w, JOB_PROFILE);
  remove_unfinished_profiles(w);
  journal_remove(w->progress);
  if (w->as_json)
    job_report_json(&w->report);
  else
    job_report_text(&w->report);
  return EXIT_DONE;
}

/* Where this run began the job and did nothing, nothing is left behind. */
static void tidy_up(const work *w)
{
  if (!w->is_new || w->report.state.rounds)
    return;
  if (w->output)
    remove_beside(w, JOB_PART);
  remove_beside(w, JOB_PROFILE);
  journal_remove(w->progress);
}

static int run(const command *self, int argc, char **argv)
{
  work w = {.demand = {.start_ns = clock_ns(), .reserve_cores = RESERVE_USUAL},
            .how.most_pixels = DEFAULT_MOST_PIXELS};
  job_report *r = &w.report;
  double deadline_s = 0;
  const option options[] = {
      OPTION_FILE('i', "input", "X", &r->input, FILE_READ,
                  "an .npy file, or a folder of JPEG and PNG images (required)"),
      OPTION_FILE('o', "output", "Y", &r->output, FILE_JOB, "an .npy or .csv file (required)"),
      OPTION_FILE(0, "profile", "FILE", &w.demand.profile, FILE_READ,
                  "profile of this model on this node (default: a brief one is made)"),
      OPTION_FILE(0, "int8", "FILE", &w.demand.int8, FILE_READ,
                  "MODEL in quantized form, for int8"),
      OPTION_STRING(0, "precision", "L", &w.precision,
                    "without --profile, the best of f32,bf16,int8 (f32, int8 if quantized)"),
      OPTION_RESERVE(&w.demand.reserve_cores, "as in the profile, or 0"),
      OPTION_PERCENT("accuracy", "P", &w.demand.accuracy,
                     "use precisions that are right in P % of the answers (f32 only)"),
      OPTION_NUMBER("deadline", "S", &deadline_s, 0, 1e9, "latest end, in seconds from now"),
      OPTION_NUMBER("budget", "B", &w.demand.budget, 0, 1e12,
                    "most the job may cost, in your currency"),
      OPTION_NUMBER("price-per-hour", "P", &w.demand.price_per_hour, 0, 1e9,
                    "price of the node (from the profile)"),
      CONVERSION_OPTIONS(w.how),
      OPTION_INTEGER("max-pixels", "N", &w.how.most_pixels, 1, 1e12,
                     "largest image to decode, in pixels (89478485)"),
      OPTION_FLAG("quiet", &w.quiet, "print no progress bar and no notes"),
      OPTION_FLAG("json", &w.as_json, "print JSON"),
  };
  r->model = options_parse(self, options, sizeof options / sizeof *options, argc, argv);
  if (!r->input || !r->output)
    fail_usage("expected --input X and --output Y");
  results_check_path(r->output);
  w.demand.precisions =
      precisions_asked(w.precision, w.demand.accuracy, w.demand.int8, w.demand.profile);
  diagnose_quietly(w.quiet);
  w.demand.model = r->model;
  w.demand.deadline_ns = (int64_t)(deadline_s * 1e9);
  w.demand.quiet = w.quiet;
  r->demand = &w.demand;
  r->plan = &w.plan;
  interrupt_ends();
  int result;
  if ((result = load_samples(&w)) || (result = open_output(&w)) ||
      (r->done_before < r->samples && (result = run_rounds(&w))))
    goto done;
  result = finish(&w);
done:
  if (result && interrupt_signal())
    result = interrupt_status();
  if (result)
    tidy_up(&w);
  journal_close(w.progress);
  results_close(w.output);
  qb_session_unref(w.session);
  qb_profile_unref(w.profile);
  source_close(w.samples);
  qb_model_unref(w.model);
  qb_context_unref(w.context);
  free(w.done);
  return result;
}

const command command_run = {
    .name = "run",
    .operand = "MODEL",
    .operand_role = FILE_MODEL,
    .synopsis = "--input X --output Y [options]",
    .summary = "Run a network over a folder or array of samples, with the best batch",
    .details = "Y.npy gets all values of the network's output, one row per sample; Y.csv the five "
               "largest\nof each sample. Uses the batch size, instances and threads with the "
               "shortest predicted job.\nIf it is killed, the same command continues where it "
               "stopped. Samples that cannot be read\nare marked and skipped.",
    .run = run,
};
