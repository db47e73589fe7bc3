/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A search for faults of oneDNN: kernels [CASES [FILE]]. Random operators in sessions, whatever
 * implementation may be the fastest, on instruction sets up to a random one, against plain loops. It
 * prints what checks pass over, what is wrong in spite of them, and crashes, each with its case.
 * FILE keeps how many cases are done, so that the same command goes on. kernels --case N repeats one.
 */
#include "engine/reference.h"
#include "model/model_impl.h"
#include "support/random_graph.h"
#include "timing.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child runs this many cases, so that a crash costs no more than a fork. */
enum { CHUNK = 32, PROCESSES = 2, MOST_BATCH = 4, CASE_SECONDS = 120 };

static const char *const isas[] = {"DEFAULT", "AVX512_CORE_VNNI", "AVX512_CORE", "AVX2", "SSE41"};

static const char *isa_of(long number)
{
  return isas[number / CHUNK % (long)(sizeof isas / sizeof *isas)];
}

/* Any way of a layer may seem the fastest. */
static int64_t random_clock(void *user)
{
  static int64_t now_ns;
  return now_ns += (int64_t)random_int(user, 1, 1000000);
}

static void hear(void *user, qb_severity severity, const char *text)
{
  (void)severity;
  const long number = *(const long *)user;
  printf("case %ld, %s: %s\n", number, isa_of(number), text);
}

/* Numbers of channels that kernels have special code for, and any. */
static int64_t random_channels(uint64_t *random)
{
  const uint64_t power = random_int(random, 0, 7);
  return random_int(random, 0, 2) ? (int64_t)random_int(random, 1, 40) : (int64_t)1 << power;
}

/* One convolution of any form, its window and groups included. */
static void add_convolution(uint64_t *random, qb__graph *graph)
{
  const uint32_t spatial = (uint32_t)random_int(random, 1, 3);
  const bool depthwise = !random_int(random, 0, 4), transposed = !random_int(random, 0, 4);
  const int64_t groups = depthwise ? random_channels(random) : (int64_t)random_int(random, 1, 2);
  const int64_t in = depthwise ? 1 : random_channels(random);
  const int64_t out = depthwise ? 1 : random_channels(random);
  int64_t dims[4] = {groups * in}, shape[5] = {groups * out, in};
  qb__window w = {{0}};
  for (uint32_t i = 0; i < spatial; i++) {
    dims[1 + i] = (int64_t)random_int(random, 1, spatial == 3 ? 8 : 20);
    w.kernel[i] = shape[2 + i] = (int64_t)random_int(random, 1, random_int(random, 0, 4) ? 3 : 7);
    w.strides[i] = random_int(random, 0, 1) ? 1 : (int64_t)random_int(random, 1, 3);
    w.dilations[i] = random_int(random, 0, 3) ? 1 : (int64_t)random_int(random, 1, 3);
    w.pad_before[i] = (int64_t)random_int(random, 0, (uint64_t)w.kernel[i] / 2);
    w.pad_after[i] = (int64_t)random_int(random, 0, (uint64_t)w.kernel[i] / 2);
  }
  int32_t x = qb__graph_input(graph, "input", 1 + spatial, dims);
  const int32_t weights = qb__graph_constant(graph, "weights", 2 + spatial, shape);
  const int32_t bias =
      random_int(random, 0, 1) ? qb__graph_constant(graph, "bias", 1, shape) : QB__NONE;
  if (graph->status)
    return;
  qb__fill(graph, weights, random_bits(random), 0, 0.2f);
  if (bias != QB__NONE)
    qb__fill(graph, bias, random_bits(random), 0, 0.2f);
  x = transposed ? qb__graph_deconvolution(graph, "layer", x, weights, bias, &w, groups)
                 : qb__graph_convolution(graph, "layer", x, weights, bias, &w, groups);
  if (random_int(random, 0, 1))
    x = qb__graph_activation(graph, "relu", x, QB__ACTIVATION_RELU, 0, 0);
  qb__graph_output(graph, x);
}

static const char *describe(const qb__graph *g, char *text, size_t room)
{
  size_t used = 0;
  *text = '\0';
  for (size_t i = 0; i < g->operator_count && used < room; i++) {
    const qb__operator *op = &g->operators[i];
    const int32_t tensors[3] = {op->input, op->weights, op->output};
    used += (size_t)snprintf(text + used, room - used, "; %s", qb__operator_kind_name(op));
    for (int t = 0; t < 3; t++)
      for (uint32_t d = 0; tensors[t] != QB__NONE && d < g->tensors[tensors[t]].rank && used < room;
           d++)
        used += (size_t)snprintf(text + used, room - used, "%c%d", d ? 'x' : ' ',
                                 (int)g->tensors[tensors[t]].dims[d]);
  }
  return text;
}

/* A round of a batch size, compared with the plain loops. */
static double round_error(qb_session *session, const qb__graph *g, uint32_t batch,
                          const float *input, const float *expected)
{
  const size_t out = g->tensors[g->outputs[0]].elements * batch;
  float *output = malloc(out * sizeof *output);
  if (!output)
    exit(1);
  const void *const inputs[1] = {input};
  void *const outputs[1] = {output};
  const qb_status status = qb_session_run(session, batch, inputs, outputs, NULL);
  const double error = status ? -1 : relative_error(output, expected, out);
  free(output);
  return error;
}

static void run_model(const qb_model *model, qb_session *session, uint64_t *random, long number)
{
  const qb__graph *g = qb__model_graph(model);
  char text[400];
  float *input = malloc(g->tensors[g->inputs[0]].elements * MOST_BATCH * sizeof *input);
  float *expected = malloc(g->tensors[g->outputs[0]].elements * MOST_BATCH * sizeof *expected);
  if (!input || !expected)
    exit(1);
  qb__fill_values(input, g->tensors[g->inputs[0]].elements * MOST_BATCH, 5, 0, 1);
  check(qb__reference_run(g, MOST_BATCH, (const float *const *)&input, &expected, NULL));
  for (int i = 0; i < 2; i++) {
    const uint32_t batch = (uint32_t)random_int(random, 1, MOST_BATCH);
    const double error = round_error(session, g, batch, input, expected);
    if (error < 0)
      printf("case %ld, %s: FAILS: %s\n", number, isa_of(number), qb_error_message());
    else if (!(error <= 1e-4))
      printf("case %ld, %s: WRONG by %g at batch %u%s\n", number, isa_of(number), error, batch,
             describe(g, text, sizeof text));
  }
  free(input);
  free(expected);
}

static void run_case(long number)
{
  uint64_t random = (uint64_t)number * 0x9e3779b97f4a7c15u + 1, noise = random;
  for (int i = 0; i < 8; i++)
    random_bits(&random);
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.message = hear;
  params.message_user = &number;
  params.now_ns = random_clock;
  params.clock_user = &noise;
  qb_context *context;
  qb_model *model = NULL;
  qb_session *session;
  qb__graph graph;
  check(qb_context_new(&params, &context));
  qb__graph_init(&graph, context);
  if (random_int(&random, 0, 2))
    add_convolution(&random, &graph);
  else
    random_network(&random, &graph, (int)random_int(&random, 1, 3), RANDOM_OWN);
  if (graph.status) { /* a window does not fit */
    qb__graph_clear(&graph);
  } else {
    const qb_configuration c = {.instances = 1, .threads = (uint32_t)random_int(&random, 1, 2)};
    check(qb__model_from_graph(&graph, "case", &model));
    check(qb_session_new(model, &c, NULL, &session));
    run_model(model, session, &random, number);
    qb_session_unref(session);
    qb_model_unref(model);
  }
  qb_context_unref(context);
}

/* Cases first..end-1 in a process of their own; *at is the one under way. */
static pid_t start(long first, long end, long *at)
{
  fflush(stdout);
  *at = first;
  const pid_t child = fork();
  if (child)
    return child;
  setenv("ONEDNN_MAX_CPU_ISA", isa_of(first), 1);
  for (; *at < end; ++*at) {
    alarm(CASE_SECONDS);
    run_case(*at);
    fflush(stdout);
  }
  _exit(0);
}

static long read_done(const char *path)
{
  long done = 0;
  FILE *file = path ? fopen(path, "r") : NULL;
  if (file && fscanf(file, "%ld", &done) != 1)
    done = 0;
  if (file)
    fclose(file);
  return done;
}

static void write_done(const char *path, long done)
{
  FILE *file = path ? fopen(path, "w") : NULL;
  if (!file)
    return;
  fprintf(file, "%ld\n", done);
  fclose(file);
}

/* Chunks in turn on each process; a crash ends one case, not its chunk. */
static int search(long cases, const char *path)
{
  long *at =
      mmap(NULL, PROCESSES * sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED)
    return 1;
  long done = read_done(path), crashes = 0;
  for (; done < cases; write_done(path, done)) {
    pid_t children[PROCESSES];
    long ends[PROCESSES];
    for (int p = 0; p < PROCESSES; p++, done = ends[p - 1]) {
      ends[p] = done + CHUNK - done % CHUNK;
      children[p] = start(done, ends[p], &at[p]);
    }
    for (int p = 0; p < PROCESSES;) {
      int status;
      if (waitpid(children[p], &status, 0) < 0 && errno != EINTR)
        return 1;
      if (WIFEXITED(status) && !WEXITSTATUS(status)) {
        p++;
        continue;
      }
      crashes++;
      printf("case %ld, %s: CRASH, %s %d\n", at[p], isa_of(at[p]),
             WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : 1);
      children[p] = start(at[p] + 1, ends[p], &at[p]);
    }
  }
  printf("%ld cases, %ld crashes\n", done, crashes);
  return 0;
}

int main(int argc, char **argv)
{
  if (argc == 3 && !strcmp(argv[1], "--case")) {
    const long number = atol(argv[2]);
    setenv("ONEDNN_MAX_CPU_ISA", isa_of(number), 1);
    run_case(number);
    return 0;
  }
  return search(argc > 1 ? atol(argv[1]) : 1000, argc > 2 ? argv[2] : NULL);
}
