/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A search for faults of oneDNN: kernels [CASES [FILE]]. Random operators in sessions of a random
 * precision, whatever implementation may be the fastest, on instruction sets up to a random one,
 * against plain loops. It prints what checks pass over, what is wrong in spite of them, and crashes,
 * each with its case. FILE keeps how many cases are done, so that the same command goes on.
 * kernels --case N repeats one.
 */
#include "engine/reference.h"
#include "model/model_impl.h"
#include "support/random_graph.h"
#include "timing.h"

#include <qosbatch/quantize.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child runs CHUNK cases, so that a crash costs no more than a fork. */
enum { CHUNK = 32, MOST_PROCESSES = 64, MOST_BATCH = 4, CASE_SECONDS = 120, PRECISIONS = 3 };

/* What children share with the process that starts them. */
typedef struct worker {
  long first, end;
  _Atomic long at; /* the case under way */
  pid_t pid;       /* 0: none */
} worker;

typedef struct board {
  _Atomic long rounds[PRECISIONS]; /* compared */
  worker workers[MOST_PROCESSES];
} board;

static board *shared;

/*
 * The largest error as a share of the largest output: a step or two of 8 bits, and what bfloat16's 8
 * bits of precision may lose in sums of both signs.
 */
static const double tolerances[PRECISIONS] = {
    [QB_PRECISION_F32] = 1e-4, [QB_PRECISION_BF16] = 0.05, [QB_PRECISION_INT8] = 0.05};

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

typedef struct listener {
  long number; /* of the case */
  bool heard;
} listener;

static void hear(void *user, qb_severity severity, const char *text)
{
  (void)severity;
  listener *self = user;
  self->heard = true;
  printf("case %ld, %s: %s\n", self->number, isa_of(self->number), text);
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

/*
 * The largest difference as a share of the largest output, or of 0.001: less is what is left of sums
 * that cancel out.
 */
static double error_of(const float *found, const float *expected, size_t count)
{
  double largest = 1e-30;
  for (size_t i = 0; i < count; i++)
    largest = fmax(largest, fabs((double)expected[i]));
  return relative_error(found, expected, count) * largest / fmax(largest, 1e-3);
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
  const double error = status ? -1 : error_of(output, expected, out);
  free(output);
  return error;
}

static void compare_rounds(const qb__graph *g, qb_session *session, qb_precision precision,
                           const float *input, uint64_t *random, long number)
{
  char text[400];
  float *expected = malloc(g->tensors[g->outputs[0]].elements * MOST_BATCH * sizeof *expected);
  if (!expected)
    exit(1);
  check(qb__reference_run(g, MOST_BATCH, &input, &expected, NULL));
  for (int i = 0; i < 2; i++) {
    const uint32_t batch = (uint32_t)random_int(random, 1, MOST_BATCH);
    const double error = round_error(session, g, batch, input, expected);
    if (error < 0)
      printf("case %ld, %s: FAILS: %s\n", number, isa_of(number), qb_error_message());
    else if (!(error <= tolerances[precision]))
      printf("case %ld, %s: WRONG by %g in %s at batch %u%s\n", number, isa_of(number), error,
             qb_precision_name(precision), batch, describe(g, text, sizeof text));
    shared->rounds[precision]++;
  }
  free(expected);
}

/* The network in 8-bit integers, or NULL if it has no layers. */
static qb_model *quantized(qb_model *model, const float *input)
{
  const void *const inputs[1] = {input};
  qb_quantize_params params = QB_QUANTIZE_PARAMS_INIT;
  params.inputs = inputs;
  params.samples = MOST_BATCH;
  qb_model *made = NULL;
  const qb_status status = qb_model_quantize(model, &params, NULL, &made);
  if (status != QB_ERROR_UNSUPPORTED)
    check(status);
  return made;
}

/* The processor, or the cap on it, may lack a precision, and a network layers to quantize. */
static void run_model(qb_model *model, const qb_configuration *configuration, uint64_t *random,
                      long number)
{
  const qb__graph *g = qb__model_graph(model);
  const size_t elements = g->tensors[g->inputs[0]].elements * MOST_BATCH;
  float *input = malloc(elements * sizeof *input);
  if (!input)
    exit(1);
  qb__fill_values(input, elements, 5, 0, 1);
  qb_model *run =
      configuration->precision == QB_PRECISION_INT8 ? quantized(model, input) : qb_model_ref(model);
  qb_session *session = NULL;
  const qb_status status = run ? qb_session_new(run, configuration, NULL, &session) : QB_OK;
  if (status != QB_ERROR_UNSUPPORTED)
    check(status);
  if (session)
    compare_rounds(qb__model_graph(run), session, configuration->precision, input, random, number);
  qb_session_unref(session);
  qb_model_unref(run);
  free(input);
}

static void run_case(long number)
{
  uint64_t random = (uint64_t)number * 0x9e3779b97f4a7c15u + 1, noise = random;
  for (int i = 0; i < 8; i++)
    random_bits(&random);
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  char text[400];
  listener ear = {number, false};
  params.message = hear;
  params.message_user = &ear;
  params.now_ns = random_clock;
  params.clock_user = &noise;
  qb_context *context;
  qb_model *model = NULL;
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
    const qb_configuration c = {.instances = 1,
                                .threads = (uint32_t)random_int(&random, 1, 2),
                                .precision = (qb_precision)random_int(&random, 0, PRECISIONS - 1)};
    check(qb__model_from_graph(&graph, "case", &model));
    run_model(model, &c, &random, number);
    if (ear.heard)
      printf("case %ld is in %s on %u threads%s\n", number, qb_precision_name(c.precision),
             c.threads, describe(qb__model_graph(model), text, sizeof text));
    qb_model_unref(model);
  }
  qb_context_unref(context);
}

/* Cases from `first` to the worker's end in a process of their own. */
static void start(worker *w, long first)
{
  fflush(stdout);
  w->at = first;
  const pid_t child = fork();
  if (child) {
    w->pid = child;
    return;
  }
  setenv("ONEDNN_MAX_CPU_ISA", isa_of(first), 1);
  for (; w->at < w->end; w->at++) {
    alarm(CASE_SECONDS);
    run_case(w->at);
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

/* All cases before it are done. */
static long first_open(long next, int processes)
{
  for (const worker *w = shared->workers; w < shared->workers + processes; w++)
    if (w->pid && w->first < next)
      next = w->first;
  return next;
}

/* Waits for a child; one that crashed is followed by another, from the next case on. */
static bool end_one(int processes, long *crashes)
{
  int status;
  const pid_t pid = wait(&status);
  worker *w = shared->workers;
  while (w < shared->workers + processes && w->pid != pid)
    w++;
  if (pid < 0 || w == shared->workers + processes)
    return errno == EINTR;
  if (WIFEXITED(status) && !WEXITSTATUS(status)) {
    w->pid = 0;
    return true;
  }
  ++*crashes;
  printf("case %ld, %s: CRASH, %s %d\n", w->at, isa_of(w->at),
         WIFSIGNALED(status) ? "signal" : "exit",
         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  start(w, w->at + 1);
  return true;
}

static bool all_idle(int processes)
{
  for (int p = 0; p < processes; p++)
    if (shared->workers[p].pid)
      return false;
  return true;
}

static int search(long cases, const char *path)
{
  /* Threads of small operators wait for each other most of the time. */
  const long wanted = 2 * sysconf(_SC_NPROCESSORS_ONLN);
  const int processes = wanted < 1 ? 1 : wanted > MOST_PROCESSES ? MOST_PROCESSES : (int)wanted;
  long next = read_done(path), crashes = 0;
  while (next < cases || !all_idle(processes)) {
    for (worker *w = shared->workers; w < shared->workers + processes; w++)
      if (!w->pid && next < cases) {
        w->first = next;
        w->end = next += CHUNK - next % CHUNK;
        start(w, w->first);
      }
    if (!end_one(processes, &crashes))
      return 1;
    write_done(path, first_open(next, processes));
  }
  printf("%ld cases, %ld crashes; rounds compared now: %ld in f32, %ld in bf16, %ld in int8\n",
         next, crashes, shared->rounds[QB_PRECISION_F32], shared->rounds[QB_PRECISION_BF16],
         shared->rounds[QB_PRECISION_INT8]);
  return 0;
}

int main(int argc, char **argv)
{
  /* Threads of several children share cores, and hwloc would load its plugins for each session. */
  if (!getenv("OMP_WAIT_POLICY")) {
    setenv("OMP_WAIT_POLICY", "passive", 1);
    setenv("HWLOC_PLUGINS_PATH", "", 0);
    execv("/proc/self/exe", argv);
  }
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED)
    return 1;
  if (argc == 3 && !strcmp(argv[1], "--case")) {
    const long number = atol(argv[2]);
    setenv("ONEDNN_MAX_CPU_ISA", isa_of(number), 1);
    run_case(number);
    return 0;
  }
  return search(argc > 1 ? atol(argv[1]) : 1000, argc > 2 ? argv[2] : NULL);
}
