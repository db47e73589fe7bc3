/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qosbatch-serve: HTTP, the Open Inference Protocol, rounds decided by qb_optimize(), 429 instead
 * of answers that come too late. docs/service.md explains it.
 */
#include "common/diagnose.h"
#include "common/load.h"
#include "common/measure.h"
#include "common/options.h"
#include "common/output.h"
#include "server.h"
#include "setup.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct service {
  demand demand;
  double latency_ms, timeout_s, grace_s;
  uint64_t port, queue, memory_mib;
  qb_context *context;
  qb_model *model;
  batcher_rounds rounds;
  server_params web;
} service;

static void report(const char *text)
{
  note("%s", text);
}

static void print_configuration(const qb_optimizer_params *params)
{
  printf("%s, batches up to %u, planned for %s samples/s\n",
         human_configuration(&params->configuration).s, params->max_batch,
         digits(params->rate_per_s).s);
  fflush(stdout);
}

/* SIGHUP: a profile that is no good changes nothing. */
static void take_new_profile(service *self)
{
  batcher_rounds next;
  if (!self->demand.profile)
    note("no --profile to reload");
  else if (!setup_rounds(self->context, self->model, &self->demand, &next)) {
    if (!batcher_change(self->web.batcher, &next)) {
      setup_free(&next);
      return;
    }
    setup_free(&self->rounds);
    self->rounds = next;
    printf("new profile: ");
    print_configuration(&next.params);
  }
}

static void print_counts(const batcher_counts *c)
{
  printf("%llu requests, %llu refused; %llu samples answered, %llu in time; rounds took %.3f times "
         "as long as predicted\n",
         (unsigned long long)c->requests, (unsigned long long)c->refused,
         (unsigned long long)c->samples, (unsigned long long)c->in_time,
         c->predicted_sum_s > 0 ? c->round_sum_s / c->predicted_sum_s : 1);
}

static int serve(service *self, const sigset_t *signals)
{
  server_params *web = &self->web;
  const batcher_params params = {.qos = self->demand.qos,
                                 .queue_most = (uint32_t)self->queue,
                                 .input_elements = web->model.input.elements_per_sample,
                                 .output_elements = web->model.output.elements_per_sample,
                                 .report = report};
  web->batcher = batcher_start(&params, &self->rounds);
  if (!web->batcher)
    return EXIT_FAILED;
  server *http = server_start(web);
  if (http) {
    printf("%s on http://%s%s%s:%u, ", web->model.name, strchr(web->address, ':') ? "[" : "",
           web->address, strchr(web->address, ':') ? "]" : "", server_port(http));
    print_configuration(&self->rounds.params);
    int which = 0;
    while (!sigwait(signals, &which) && which == SIGHUP)
      take_new_profile(self);
    server_drain(http);
  }
  batcher_stop(web->batcher);
  if (http)
    server_stop(http);
  const batcher_counts counts = batcher_count(web->batcher);
  if (http)
    print_counts(&counts);
  batcher_free(web->batcher);
  return http ? output_finish() : EXIT_FAILED;
}

static int start(service *self)
{
  sigset_t signals; /* handled in serve(); blocked before any thread starts */
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN);
  int result;
  if ((result = load_context(&self->context)) ||
      (result = load_model(self->context, self->demand.model, &self->model)) ||
      (result = load_int8(self->context, self->demand.int8, &self->model)) ||
      (result = setup_model(self->model, &self->web.model)) ||
      (result = setup_rounds(self->context, self->model, &self->demand, &self->rounds)))
    return result;
  result = serve(self, &signals);
  setup_free(&self->rounds);
  return result;
}

static const command command_serve = {
    .name = "qosbatch-serve",
    .operand = "MODEL",
    .synopsis = "--latency MS [options]",
    .summary = "Serve a network over HTTP, with answers within a latency",
    .details =
        "MODEL is alexnet, resnet50, or a file that ends in .onnx with one input and one output. "
        "The\nOpen Inference Protocol 2 is at /v2, with JSON or binary tensors; Prometheus' "
        "metrics are\nat /metrics. A request that cannot be answered in time is refused at once "
        "with 429, one\nthat never could be with 413. The first line of output names the port. "
        "SIGHUP reloads the\nprofile; SIGTERM answers the queued requests and ends.",
};

int main(int argc, char **argv)
{
  service self = {.demand = {.qos = QB_QOS_INIT, .reserve_cores = RESERVE_USUAL},
                  .grace_s = 1,
                  .port = 8080,
                  .queue = 1024,
                  .memory_mib = 256,
                  .web.address = "127.0.0.1"};
  demand *d = &self.demand;
  const char *precision = NULL;
  d->qos.percentile = 99;
  d->qos.shed = true;
  const option options[] = {
      OPTION_NUMBER("latency", "MS", &self.latency_ms, 0, 3.6e6,
                    "latency target in milliseconds, from headers to answer (required)"),
      OPTION_NUMBER("percentile", "P", &d->qos.percentile, 0, 100,
                    "percentile of accepted requests that must meet it (99)"),
      OPTION_NUMBER("rate", "R", &d->rate_per_s, 0, 1e9,
                    "samples per second to plan for (the highest feasible)"),
      OPTION_STRING(0, "profile", "FILE", &d->profile,
                    "profile of MODEL on this node (default: a brief one is made)"),
      OPTION_STRING(0, "int8", "FILE", &d->int8, "MODEL in quantized form, for int8"),
      OPTION_STRING(0, "precision", "L", &precision,
                    "without --profile, the best of f32,bf16,int8 (f32, int8 if quantized)"),
      OPTION_RESERVE(&d->reserve_cores, "as in the profile, or 0"),
      OPTION_PERCENT("accuracy", "P", &d->qos.accuracy,
                     "use precisions that are right in P % of the answers (f32 only)"),
      OPTION_STRING(0, "address", "A", &self.web.address, "address to listen on (127.0.0.1)"),
      OPTION_INTEGER("port", "N", &self.port, 0, 65535,
                     "port to listen on; 0: any free port (8080)"),
      OPTION_INTEGER("queue", "N", &self.queue, 1, 1 << 20, "most samples in the queue (1024)"),
      OPTION_INTEGER("request-memory", "MIB", &self.memory_mib, 1, 1 << 20,
                     "most memory of all requests, in MiB (256)"),
      OPTION_NUMBER("request-timeout", "S", &self.timeout_s, 0, 3600,
                    "seconds for headers, body and reading an answer, each (10, or --latency)"),
      OPTION_NUMBER("grace", "S", &self.grace_s, 0, 3600,
                    "seconds that connections get for a last request at the end (1)"),
  };
  diagnose_as(command_serve.name);
  d->model =
      options_parse(&command_serve, options, sizeof options / sizeof *options, argc - 1, argv + 1);
  if (!(self.latency_ms > 0))
    fail_usage("expected --latency MS");
  if (d->qos.accuracy > 0 && !d->profile)
    fail_usage(
        "--accuracy needs right answers counted, and a service has no samples to count on: "
        "expected --profile FILE, made with 'qosbatch profile %s%s --precision f32,%s --input "
        "X -o FILE'",
        d->model, d->int8 ? " --int8 FILE" : "", d->int8 ? "int8" : "bf16");
  d->precisions = precisions_asked(precision, d->qos.accuracy, d->int8, d->profile);
  d->qos.latency_ns = (int64_t)(self.latency_ms * 1e6);
  if (!d->qos.latency_ns)
    fail_usage("--latency %g: expected a nanosecond or more", self.latency_ms);
  self.web.qos = d->qos;
  self.web.port = (uint16_t)self.port;
  self.web.memory_bytes = (size_t)self.memory_mib << 20;
  self.web.grace_ns = (int64_t)(self.grace_s * 1e9);
  if (!self.timeout_s) /* a body may take as long as an answer */
    self.timeout_s = self.latency_ms > 10000 ? self.latency_ms / 1000 : 10;
  self.web.timeout_ns = (int64_t)(self.timeout_s * 1e9);
  const int result = start(&self);
  qb_model_unref(self.model);
  qb_context_unref(self.context);
  return result;
}
