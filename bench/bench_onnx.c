/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What importing costs, and whether an imported network is as fast as the same one built in.
 *
 * Each built-in network is written as an ONNX file and loaded in a process of its own, which tells
 * time and peak memory; then rounds of both run in turn, with all cores, and medians are compared.
 */
#include "model/builtin.h"
#include "model/model_impl.h"
#include "timing.h"

#include <qosbatch/quantize.h>

#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOADS = 5, PAIRS = 25, MOST_BATCH = 16 };

static double peak_bytes(void)
{
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return 1024.0 * (double)usage.ru_maxrss;
}

/* Runs `task` in a process of its own, which sends two numbers. */
static void in_child(void (*task)(const char *, const char *, double[2]), const char *name,
                     const char *path, double result[2])
{
  int ends[2], status = 1;
  if (pipe(ends))
    exit(1);
  const pid_t child = fork();
  if (child == 0) {
    double found[2] = {0, 0};
    task(name, path, found);
    _exit(write(ends[1], found, sizeof found) != (ssize_t)sizeof found);
  }
  close(ends[1]);
  if (child < 0 || read(ends[0], result, 2 * sizeof *result) != (ssize_t)(2 * sizeof *result) ||
      waitpid(child, &status, 0) != child || status)
    exit(1);
  close(ends[0]);
}

static void write_model(const char *name, const char *path, double result[2])
{
  (void)result;
  qb_context *context;
  qb_model *model;
  check(qb_context_new(NULL, &context));
  check(qb_model_builtin(context, name, &model));
  check(qb_model_save_onnx(model, path));
  qb_model_unref(model);
  qb_context_unref(context);
}

static void load_model(const char *name, const char *path, double result[2])
{
  (void)name;
  qb_context *context;
  qb_model *model;
  check(qb_context_new(NULL, &context));
  const double before_bytes = peak_bytes(), start_ms = now_ms();
  check(qb_model_load_onnx(context, path, &model));
  result[0] = now_ms() - start_ms;
  result[1] = peak_bytes() - before_bytes;
  qb_model_unref(model);
  qb_context_unref(context);
}

/* Of the largest value. The engine may compute a layer otherwise each time: bits differ. */
static double largest_difference(const float *a, const float *b, size_t count)
{
  double largest = 0, most = 0;
  for (size_t i = 0; i < count; i++) {
    largest = fmax(largest, fabs(a[i]));
    most = fmax(most, fabs((double)a[i] - b[i]));
  }
  return most / largest;
}

static void compare_speed(qb_context *context, const char *name, const char *path)
{
  static const uint32_t batches[] = {1, 4, MOST_BATCH};
  qb_model *models[2];
  qb_session *sessions[2];
  qb_tensor_info input = QB_TENSOR_INFO_INIT, output = QB_TENSOR_INFO_INIT;
  check(qb_model_builtin(context, name, &models[0]));
  check(qb_model_load_onnx(context, path, &models[1]));
  for (int i = 0; i < 2; i++)
    check(qb_session_new(models[i], NULL, NULL, &sessions[i]));
  check(qb_model_get_input(models[0], 0, &input));
  check(qb_model_get_output(models[0], 0, &output));
  const size_t count = input.elements_per_sample * MOST_BATCH;
  float *in = malloc(count * sizeof *in);
  float *out[2];
  for (int i = 0; i < 2; i++)
    out[i] = malloc(output.elements_per_sample * MOST_BATCH * sizeof **out);
  if (!in || !out[0] || !out[1])
    exit(1);
  qb__fill_values(in, count, 1, 0, 1);
  for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
    double ms[2][PAIRS];
    for (int i = 0; i < 2; i++)
      (void)round_ms(sessions[i], batches[b], in, out[i]);
    const double difference =
        largest_difference(out[0], out[1], output.elements_per_sample * batches[b]);
    for (int pair = 0; pair < PAIRS; pair++)
      for (int i = 0; i < 2; i++)
        ms[i][pair] = round_ms(sessions[i], batches[b], in, out[i]);
    const double built_in = median(ms[0], PAIRS), imported = median(ms[1], PAIRS);
    printf("  batch %2u: built in %8.2f ms, imported %8.2f ms, ratio of speeds %.3f, "
           "outputs within %.1e\n",
           batches[b], built_in, imported, built_in / imported, difference);
  }
  free(in);
  for (int i = 0; i < 2; i++) {
    free(out[i]);
    qb_session_unref(sessions[i]);
    qb_model_unref(models[i]);
  }
}

static void measure(const char *name)
{
  char path[] = "/tmp/qosbatch-onnx-XXXXXX";
  const int fd = mkstemp(path);
  double unused[2], load[2], ms[LOADS], most_bytes = 0;
  struct stat info;
  if (fd < 0)
    exit(1);
  in_child(write_model, name, path, unused);
  if (fstat(fd, &info))
    exit(1);
  close(fd);
  for (int i = 0; i < LOADS; i++) {
    in_child(load_model, name, path, load);
    ms[i] = load[0];
    most_bytes = load[1] > most_bytes ? load[1] : most_bytes;
  }
  printf("%s: %.0f MB file imported in %.0f ms (median of %d), peak memory %.2f times the file\n",
         name, (double)info.st_size / 1e6, median(ms, LOADS), LOADS,
         most_bytes / (double)info.st_size);
  qb_context *context;
  check(qb_context_new(NULL, &context));
  compare_speed(context, name, path);
  qb_context_unref(context);
  unlink(path);
}

int main(void)
{
  setvbuf(stdout, NULL, _IOLBF, 0); /* processes are forked */
  measure("resnet50");
  measure("alexnet");
  return 0;
}
