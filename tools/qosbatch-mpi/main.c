/* SPDX-License-Identifier: Apache-2.0 */
/* qosbatch-mpi: a job on all nodes that mpirun starts it on. */
#include "cluster.h"
#include "common/diagnose.h"
#include "common/files.h"
#include "common/load.h"
#include "common/measure.h"
#include "common/options.h"
#include "common/output.h"
#include "common/progress.h"
#include "crew_session.h"
#include "link.h"
#include "profiles.h"
#include "run/job_identity.h"
#include "run/journal.h"
#include "run/results.h"
#include "run/source.h"

#include <qosbatch/place.h>

#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct request {
  const char *model, *int8, *input, *output, *profile;
  conversion how;
  double price_per_hour, profile_s, accuracy;
  integer_list threads;
  uint64_t max_batch, reserve_cores;
  bool quiet, as_json;
} request;

/* What every rank has. */
typedef struct rank {
  const request *request;
  int index, count;
  qb_context *context;
  qb_model *model;
  source *samples;
  qb_profile *profile;
  char *profile_text;
  size_t profile_bytes;
  size_t row_elements;
  crew *crew;
} rank;

/* What rank 0 has beside that. */
typedef struct job {
  const rank *rank;
  uint64_t samples, done_before;
  int64_t elapsed_before_ns;
  bool *done;
  results *output;
  journal *journal;
  double price_per_hour; /* of all nodes */
  int64_t begin_ns;
  row_counts rows;
} job;

/* Every rank. */

static int measure(rank *self)
{
  const request *r = self->request;
  qb_node *node = NULL;
  qb_node_info info = QB_NODE_INFO_INIT;
  qb_profile_params params = QB_PROFILE_PARAMS_INIT;
  qb_configuration configuration = {1, 1};
  params.max_batch = (uint32_t)r->max_batch;
  int result = measure_node(self->context, reserve_of(r->reserve_cores, NULL), r->price_per_hour,
                            r->profile_s, &node, &params.time_budget_ns);
  if (!result && r->threads.count) {
    configuration.threads = r->threads.values[(size_t)self->index % r->threads.count];
    params.configurations = &configuration;
    params.configuration_count = 1;
    if ((result = check(qb_node_get_info(node, &info))) == EXIT_DONE &&
        configuration.threads > info.usable_threads)
      result = fail("rank %d: %u threads requested, the node has %u", self->index,
                    configuration.threads, info.usable_threads);
  }
  if (!result)
    result = measure_profile(self->model, node, &params, true, &self->profile);
  qb_node_unref(node);
  return result;
}

static int open_rank(rank *self)
{
  const request *r = self->request;
  qb_tensor_info input = QB_TENSOR_INFO_INIT, output = QB_TENSOR_INFO_INIT;
  int result;
  if ((result = load_context(&self->context)) ||
      (result = load_model(self->context, r->model, &self->model)) ||
      (result = load_int8(self->context, r->int8, &self->model)) ||
      (result = check(qb_model_get_input(self->model, 0, &input))) ||
      (result = check(qb_model_get_output(self->model, 0, &output))) ||
      (result = source_open(r->input, &input, &r->how, &self->samples)))
    return result;
  self->row_elements = output.elements_per_sample;
  /* All at the same time: ranks of one machine find out what they leave each other. */
  MPI_Barrier(MPI_COMM_WORLD);
  result = r->profile ? load_profile_here(self->context, r->profile, self->model, r->reserve_cores,
                                          &self->profile)
                      : measure(self);
  if (!result) {
    self->profile_text = profile_to_text(self->profile, &self->profile_bytes);
    result = self->profile_text ? EXIT_DONE : EXIT_FAILED;
  }
  return result;
}

static void close_rank(rank *self)
{
  crew_stop(self->crew);
  source_close(self->samples);
  qb_profile_unref(self->profile);
  qb_model_unref(self->model);
  qb_context_unref(self->context);
  free(self->profile_text);
}

static crew *prepare(void *user, const qb_share *share, char failure[256])
{
  rank *self = user;
  self->crew = crew_start(self->model, self->profile, self->samples, share, failure);
  return self->crew;
}

static void work(rank *self)
{
  const cluster_worker worker = {.user = self,
                                 .profile = self->profile_text,
                                 .profile_bytes = self->profile_bytes,
                                 .row_elements = self->row_elements,
                                 .prepare = prepare};
  cluster_work(&worker);
}

static void *work_beside(void *user)
{
  work(user);
  return NULL;
}

/* Rank 0. */

static void take_record(void *user, const journal_record *record)
{
  job *j = user;
  uint64_t checksum;
  if (!results_checksum(j->output, record->first, record->count, &checksum) ||
      checksum != record->checksum)
    return;
  j->elapsed_before_ns = record->elapsed_ns;
  for (uint32_t i = 0; i < record->count; i++) {
    j->done_before += !j->done[record->first + i];
    if (!j->done[record->first + i])
      row_count(&j->rows, record->states[i]);
    j->done[record->first + i] = true;
  }
}

static int open_job(job *j)
{
  const request *r = j->rank->request;
  j->samples = source_count(j->rank->samples);
  j->done = allocate(j->samples, sizeof *j->done);
  int result;
  if ((result = check_output(r->output)) || (result = files_check_new_job(r->output)))
    return result;
  char *text = job_identity("mpi", j->rank->model, j->rank->samples, &r->how);
  if (!text)
    return EXIT_FAILED;
  char *path = joined(r->output, JOB_JOURNAL);
  const char *kept = "";
  bool is_new = false;
  result = journal_open(path, text, &j->journal, &kept);
  if (!result && (is_new = !*kept))
    result = journal_begin(j->journal, "{}");
  if (!result)
    result = results_open(r->output, j->samples, j->rank->row_elements, &j->output);
  if (!result && !is_new)
    result = journal_replay(j->journal, j->samples, take_record, j);
  if (!result && j->done_before)
    note("continuing after %llu of %llu samples", (unsigned long long)j->done_before,
         (unsigned long long)j->samples);
  free(path);
  free(text);
  return result;
}

static int begin(void *user, const dispatch *work)
{
  job *j = user;
  (void)work;
  j->begin_ns = link_now_ns();
  return EXIT_DONE;
}

static int take(void *user, const crew_round *round)
{
  job *j = user;
  const dispatch_round *s = &round->samples;
  journal_record record = {.first = s->first,
                           .count = s->count,
                           .elapsed_ns = j->elapsed_before_ns + link_now_ns() - j->begin_ns,
                           .states = round->states};
  for (uint32_t i = 0; i < s->count; i++)
    row_count(&j->rows, round->states[i]);
  const int result =
      results_write(j->output, s->first, s->count, round->rows, round->states, &record.checksum);
  return result ? result : journal_append(j->journal, &record);
}

static double cost_of(const job *j, int64_t ns)
{
  return j->price_per_hour * (double)ns / 3600e9;
}

static void show(void *user, const dispatch *work, int64_t elapsed_ns)
{
  const job *j = user;
  if (j->rank->request->quiet)
    return;
  const uint64_t done = dispatch_samples_done(work);
  const double rate_per_s =
      (double)(done - j->done_before) / ((double)(elapsed_ns > 0 ? elapsed_ns : 1) / 1e9);
  const double left_ns = rate_per_s > 0 ? (double)(j->samples - done) / rate_per_s * 1e9 : 0;
  char cost[64] = "";
  if (j->price_per_hour > 0)
    snprintf(cost, sizeof cost, ", cost %s", digits(cost_of(j, elapsed_ns)).s);
  progress_draw(link_now_ns(), (double)done / (double)j->samples, "%s samples/s, %s left%s",
                digits(rate_per_s).s, human_time((int64_t)left_ns).s, cost);
}

typedef struct host {
  char name[64];
  double price_per_hour;
} host;

static void print_result(const job *j, const cluster_result *result, const host *hosts)
{
  const rank *self = j->rank;
  const double elapsed_s = (double)result->elapsed_ns / 1e9;
  const uint64_t samples = j->samples - j->done_before;
  const qb_placement *placement = dispatch_placement(result->work);
  json_t *root = object_new();
  add_integer(root, "samples", (int64_t)j->samples);
  add_integer(root, "done_before", (int64_t)j->done_before);
  add_integer(root, "warnings", (int64_t)(j->rows.unreadable + j->rows.not_finite));
  add_integer(root, "unreadable", (int64_t)j->rows.unreadable);
  add_integer(root, "not_finite", (int64_t)j->rows.not_finite);
  add_integer(root, "predicted_ns", placement->total_ns);
  add_integer(root, "measured_ns", result->elapsed_ns);
  add_number(root, "throughput_per_s", elapsed_s > 0 ? (double)samples / elapsed_s : 0);
  add_number(root, "cost", cost_of(j, j->elapsed_before_ns + result->elapsed_ns));
  json_t *ranks = add_array(root, "ranks");
  static const char *const titles[] = {"rank",    "<host",  "<configuration", "batch",
                                       "samples", "rounds", "profiled/s",     "speed"};
  table *t = table_new(titles, sizeof titles / sizeof *titles);
  for (int i = 0; i < self->count; i++) {
    const qb_share *share = dispatch_share(result->work, (size_t)i);
    const dispatch_report report = dispatch_report_of(result->work, (size_t)i);
    const qb_configuration *c = &share->configuration;
    json_t *entry = append_object(ranks);
    add_text(entry, "host", hosts[i].name);
    add_configuration(entry, c);
    add_integer(entry, "batch", share->batch);
    add_integer(entry, "samples", (int64_t)report.samples);
    add_integer(entry, "rounds", (int64_t)report.rounds);
    add_number(entry, "profiled_per_s", report.best_rate_per_s);
    add_number(entry, "speed", report.speed);
    table_cell(t, "%d", i);
    table_cell(t, "%s", hosts[i].name);
    table_cell(t, "%s", human_configuration(c).s);
    table_cell(t, "%u", share->batch);
    table_cell(t, "%llu", (unsigned long long)report.samples);
    table_cell(t, "%llu", (unsigned long long)report.rounds);
    table_cell(t, "%s", digits(report.best_rate_per_s).s);
    table_cell(t, "%.2f", report.speed);
  }
  if (self->request->as_json) {
    print_json(root);
    return;
  }
  json_decref(root);
  printf("%s, %llu samples on %d ranks\n\n", self->request->model, (unsigned long long)j->samples,
         self->count);
  table_print(t);
  printf("\npredicted   %s\nmeasured    %s\nthroughput  %s samples/s\n",
         human_time(placement->total_ns).s, human_time(result->elapsed_ns).s,
         digits(elapsed_s > 0 ? (double)samples / elapsed_s : 0).s);
  if (j->price_per_hour > 0)
    printf("cost        %s\n", digits(cost_of(j, j->elapsed_before_ns + result->elapsed_ns)).s);
  if (j->rows.unreadable || j->rows.not_finite)
    printf("warnings    %llu unreadable, %llu not finite\n", (unsigned long long)j->rows.unreadable,
           (unsigned long long)j->rows.not_finite);
  printf("saved to    %s\n", self->request->output);
}

static int dispatch_job(rank *self, const host *hosts)
{
  job j = {.rank = self};
  for (int i = 0; i < self->count; i++)
    j.price_per_hour += hosts[i].price_per_hour;
  pthread_t worker;
  cluster_result ended = {NULL, 0};
  int result = open_job(&j);
  if (!result && pthread_create(&worker, NULL, work_beside, self))
    result = fail("cannot start a thread");
  if (!result) {
    const cluster_job what = {.samples = j.samples,
                              .done = j.done,
                              .workers = self->count,
                              .accuracy = self->request->accuracy};
    const cluster_sink sink = {.user = &j,
                               .row_elements = self->row_elements,
                               .begin = begin,
                               .take = take,
                               .progress = show};
    result = cluster_dispatch(self->context, &what, &sink, &ended);
    progress_clear();
  }
  if (!result) {
    pthread_join(worker, NULL);
    result = results_finish(j.output, self->samples, j.journal);
  }
  if (!result) {
    journal_remove(j.journal);
    print_result(&j, &ended, hosts);
    result = output_finish();
  }
  /* The job is done; ranks that are stopped would keep the others from ending. */
  if (!result && ended.given_up)
    MPI_Abort(MPI_COMM_WORLD, EXIT_DONE);
  journal_close(j.journal);
  results_close(j.output);
  /* After a failure the worker's thread may still hold what is freed here: the ranks are ended. */
  if (!result) {
    dispatch_free(ended.work);
    free(j.done);
  }
  return result;
}

static int run_ranks(const request *r)
{
  rank self = {.request = r};
  host mine = {.price_per_hour = r->price_per_hour};
  MPI_Comm_rank(MPI_COMM_WORLD, &self.index);
  MPI_Comm_size(MPI_COMM_WORLD, &self.count);
  (void)gethostname(mine.name, sizeof mine.name - 1);
  host *hosts = allocate((size_t)self.count, sizeof *hosts);
  int result = open_rank(&self);
  if (result)
    return result;
  MPI_Gather(&mine, sizeof mine, MPI_BYTE, hosts, sizeof mine, MPI_BYTE, 0, MPI_COMM_WORLD);
  link_open();
  if (self.index)
    work(&self);
  else
    result = dispatch_job(&self, hosts);
  if (result)
    return result;
  link_close();
  close_rank(&self);
  free(hosts);
  return EXIT_DONE;
}

static const command command_mpi = {
    .name = "qosbatch-mpi",
    .operand = "MODEL",
    .operand_role = FILE_MODEL,
    .synopsis = "--input X --output Y [options]",
    .summary = "Run a network over an array of samples on all ranks of mpirun",
    .details = "mpirun -np K qosbatch-mpi MODEL --input X.npy --output Y.npy\nEvery rank reads X, "
               "which must be on a shared file system; rank 0 writes Y. Each rank\nprofiles its "
               "node, rank 0 places the job, and ranks run rounds of their own best batch\nsize. A "
               "rank that slows down gives work away. If a rank is lost, finished samples "
               "are\nkept: run the same command to continue.",
};

int main(int argc, char **argv)
{
  request r = {.profile_s = 6,
               .max_batch = 32,
               .how.most_pixels = DEFAULT_MOST_PIXELS,
               .reserve_cores = RESERVE_USUAL};
  const option options[] = {
      OPTION_FILE('i', "input", "X", &r.input, FILE_READ,
                  "samples: an .npy file, or a folder (required)"),
      OPTION_FILE('o', "output", "Y", &r.output, FILE_JOB, "an .npy or .csv file (required)"),
      OPTION_FILE(0, "profile", "FILE", &r.profile, FILE_READ,
                  "profile of every rank's node (default: brief ones in f32 are made)"),
      OPTION_FILE(0, "int8", "FILE", &r.int8, FILE_READ, "MODEL in quantized form, for int8"),
      OPTION_PERCENT("accuracy", "P", &r.accuracy,
                     "use precisions that are right in P % of the answers (f32 only)"),
      OPTION_NUMBER("profile-time", "S", &r.profile_s, 0, 3600,
                    "seconds to spend on a brief profile (6)"),
      OPTION_INTEGER("max-batch", "N", &r.max_batch, 1, QB_MAX_BATCH,
                     "largest batch to profile (32)"),
      OPTION_LIST("threads", "L", &r.threads, 1, 4096, "threads of rank 0, 1, ... in turn (all)"),
      OPTION_RESERVE(&r.reserve_cores, "as in the profile, or 0"),
      OPTION_NUMBER("price-per-hour", "P", &r.price_per_hour, 0, 1e9, "price of each node"),
      CONVERSION_OPTIONS(r.how),
      OPTION_FLAG("quiet", &r.quiet, "print no progress bar and no notes"),
      OPTION_FLAG("json", &r.as_json, "print JSON"),
  };
  diagnose_as(command_mpi.name);
  /* Before MPI: --help and bad usage need none. */
  r.model =
      options_parse(&command_mpi, options, sizeof options / sizeof *options, argc - 1, argv + 1);
  if (!r.input || !r.output)
    fail_usage("expected --input X and --output Y");
  if (r.profile && r.threads.count)
    fail_usage("--threads selects what to measure, but --profile was measured already");
  if ((r.accuracy > 0 || r.int8) && !r.profile)
    fail_usage("--%s is for the precisions of a profile: expected --profile FILE, made with "
               "'qosbatch profile --precision L --input X'",
               r.accuracy > 0 ? "accuracy" : "int8");
  results_check_path(r.output);
  diagnose_quietly(r.quiet);
  int provided;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  int result = provided < MPI_THREAD_MULTIPLE
                   ? fail("this MPI does not support several threads per rank "
                          "(MPI_THREAD_MULTIPLE); use one that does")
                   : run_ranks(&r);
  if (result)
    MPI_Abort(MPI_COMM_WORLD, result);
  free(r.threads.values);
  MPI_Finalize();
  return EXIT_DONE;
}
