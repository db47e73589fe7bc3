/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the service under load over loopback and compares it with what was predicted: at 70 % of its
 * capacity, at saturation, and at three times its capacity.
 *
 * usage: load MODEL PROFILE RATE_PER_S LATENCY_MS PORT [SECONDS [OVERLOAD_SECONDS]]
 * RATE_PER_S and LATENCY_MS are those that the service was started with; MODEL is as it names it.
 */
#include "client.h"

#include <qosbatch/lab.h>
#include <qosbatch/simulate.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS = 512 };

#define CHECK(good)                                                                                \
  ((good) ? (void)0 : (fprintf(stderr, "%s: %s\n", #good, qb_error_message()), exit(EXIT_FAILURE)))

static qb_profile *profile;
static qb_qos qos = QB_QOS_INIT;
static qb_service_plan plan = QB_SERVICE_PLAN_INIT;

/* The tensor that a model takes, in JSON, for one sample; *elements of it. free() it. */
static char *describe_input(uint16_t port, const char *model, size_t *elements)
{
  char path[160];
  snprintf(path, sizeof path, "/v2/models/%s", model);
  char *text = client_get(port, path);
  CHECK(text);
  json_t *root = json_loads(text, 0, NULL);
  json_t *input = json_array_get(json_object_get(root, "inputs"), 0);
  json_t *shape = json_object_get(input, "shape");
  CHECK(json_array_size(shape));
  json_array_set_new(shape, 0, json_integer(1));
  *elements = 1;
  for (size_t i = 0; i < json_array_size(shape); i++)
    *elements *= (size_t)json_integer_value(json_array_get(shape, i));
  json_object_set_new(
      input, "parameters",
      json_pack("{s:I}", "binary_data_size", (json_int_t)(*elements * sizeof(float))));
  char *tensor = json_dumps(input, JSON_COMPACT);
  json_decref(root);
  free(text);
  return tensor;
}

/* An infer request of one sample, its input in binary. */
static char *make_request(uint16_t port, const char *model, size_t *head_bytes, size_t *bytes)
{
  size_t elements;
  char *tensor = describe_input(port, model, &elements);
  const size_t data_bytes = elements * sizeof(float);
  char json[1024], header[512];
  const int json_bytes = snprintf(
      json, sizeof json, "{\"inputs\":[%s],\"parameters\":{\"binary_data_output\":true}}", tensor);
  const int header_bytes = snprintf(header, sizeof header,
                                    "POST /v2/models/%s/infer HTTP/1.1\r\nHost: localhost\r\n"
                                    "Content-Type: application/octet-stream\r\n"
                                    "Inference-Header-Content-Length: %d\r\n"
                                    "Content-Length: %zu\r\nExpect: 100-continue\r\n\r\n",
                                    model, json_bytes, (size_t)json_bytes + data_bytes);
  free(tensor);
  *head_bytes = (size_t)header_bytes;
  *bytes = (size_t)(header_bytes + json_bytes) + data_bytes;
  char *text = malloc(*bytes);
  float *const data = (float *)calloc(elements, sizeof *data);
  CHECK(text && data);
  memcpy(text, header, (size_t)header_bytes);
  memcpy(text + header_bytes, json, (size_t)json_bytes);
  for (size_t i = 0; i < elements; i++)
    data[i] = (float)((double)rand() / RAND_MAX - 0.5);
  memcpy(text + header_bytes + json_bytes, data, data_bytes);
  free(data);
  return text;
}

static int ascending(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

typedef struct result {
  size_t answered, refused, failed, in_time;
  double p50_ms, p99_ms, refusal_p99_ms;
} result;

static double quantile(double *values, size_t count, double q)
{
  qsort(values, count, sizeof *values, ascending);
  return count ? values[(size_t)(q * (double)(count - 1))] : 0;
}

static result judge(const reply *replies, size_t count, int64_t from_ns)
{
  result r = {0};
  double *answers = calloc(count, sizeof *answers), *refusals = calloc(count, sizeof *refusals);
  CHECK(answers && refusals);
  for (size_t i = 0; i < count; i++) {
    const double ms = (double)replies[i].latency_ns * 1e-6;
    if (replies[i].due_ns < from_ns)
      continue;
    if (replies[i].status == 200) {
      answers[r.answered++] = ms;
      r.in_time += replies[i].latency_ns <= qos.latency_ns;
    } else if (replies[i].status == 429) {
      refusals[r.refused++] = ms;
    } else {
      r.failed++;
    }
  }
  r.p50_ms = quantile(answers, r.answered, 0.5);
  r.p99_ms = quantile(answers, r.answered, 0.99);
  r.refusal_p99_ms = quantile(refusals, r.refused, 0.99);
  free(answers);
  free(refusals);
  return r;
}

/* Poisson arrivals for so long. */
static reply *schedule(double rate_per_s, double seconds, size_t *count)
{
  const size_t room = (size_t)(rate_per_s * seconds * 1.5) + 100;
  reply *replies = calloc(room, sizeof *replies);
  CHECK(replies);
  double at_s = 0;
  for (*count = 0; *count < room; (*count)++) {
    at_s -= log((rand() + 1.0) / (RAND_MAX + 2.0)) / rate_per_s;
    if (at_s >= seconds)
      break;
    replies[*count].due_ns = (int64_t)(at_s * 1e9);
  }
  return replies;
}

/* What the simulator makes of the same arrivals. */
static qb_simulation_report predict(const reply *replies, size_t count)
{
  int64_t *times_ns = calloc(count, sizeof *times_ns);
  CHECK(times_ns);
  for (size_t i = 0; i < count; i++)
    times_ns[i] = replies[i].due_ns;
  qb_traffic traffic = QB_TRAFFIC_INIT;
  traffic.arrivals = QB_ARRIVALS_TRACE;
  traffic.times_ns = times_ns;
  traffic.time_count = count;
  qb_simulation_report report = QB_SIMULATION_REPORT_INIT;
  CHECK(!qb_simulate(profile, &plan.configuration, &traffic, &qos, NULL, &report));
  free(times_ns);
  return report;
}

/* What the service says of its rounds. */
typedef struct rounds {
  double count, samples, took_s, predicted_s;
} rounds;

static double number_behind(const char *line, const char *name)
{
  const size_t length = strlen(name);
  return strncmp(line, name, length) ? 0 : strtod(line + length, NULL);
}

static rounds read_rounds(uint16_t port)
{
  rounds r = {0, 0, 0, 0};
  char *text = client_get(port, "/metrics");
  CHECK(text);
  static const char batch[] = "qosbatch_rounds_total{batch=\"";
  for (char *next, *line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
    r.took_s += number_behind(line, "qosbatch_round_seconds_total ");
    r.predicted_s += number_behind(line, "qosbatch_round_predicted_seconds_total ");
    const char *count = strncmp(line, batch, sizeof batch - 1) ? NULL : strchr(line, ' ');
    if (count) {
      r.count += strtod(count, NULL);
      r.samples += strtod(count, NULL) * number_behind(line, batch);
    }
  }
  free(text);
  return r;
}

/* Where a throughput goes: gaps between rounds, rounds that are slow, rounds that are small. */
static void print_rounds(const rounds *before, const rounds *after, double took_s)
{
  const double round_s = after->took_s - before->took_s;
  printf(
      "  rounds ran for %.3f of the time and took %.3f times what was predicted, with %.1f samples "
      "in the mean\n",
      round_s / (took_s * plan.configuration.instances),
      round_s / (after->predicted_s - before->predicted_s),
      (after->samples - before->samples) / (after->count - before->count));
}

/* *predicted may be NULL. */
static result run_open(client *c, double rate_per_s, double seconds, double from_s,
                       qb_simulation_report *predicted)
{
  size_t count;
  reply *replies = schedule(rate_per_s, seconds, &count);
  if (predicted)
    *predicted = predict(replies, count);
  client_run(c, replies, count, 0, 0);
  const result r = judge(replies, count, (int64_t)(from_s * 1e9));
  free(replies);
  return r;
}

/* The most samples per second that rounds within the target can do, and the batch for it. */
static double find_capacity(uint32_t *batch)
{
  double most = 0;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  CHECK(!qb_profile_get_info(profile, &info));
  for (uint32_t n = 1; n <= info.max_batch; n++) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    CHECK(!qb_estimate(profile, &plan.configuration, n, NULL, &e));
    if (e.latency_ns <= qos.latency_ns / 2 && e.throughput_per_s > most) {
      most = e.throughput_per_s;
      *batch = n;
    }
  }
  return most;
}

int main(int argc, char **argv)
{
  if (argc < 6) {
    fprintf(stderr, "usage: load MODEL PROFILE RATE_PER_S LATENCY_MS PORT [SECONDS "
                    "[OVERLOAD_SECONDS]]\n");
    return 2;
  }
  const double seconds = argc > 6 ? strtod(argv[6], NULL) : 20;
  const double overload_s = argc > 7 ? strtod(argv[7], NULL) : 60;
  setvbuf(stdout, NULL, _IOLBF, 0);
  qb_context *context;
  CHECK(!qb_context_new(NULL, &context));
  CHECK(!qb_profile_load(context, argv[2], &profile));
  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = strtod(argv[3], NULL);
  qos.latency_ns = (int64_t)(strtod(argv[4], NULL) * 1e6);
  qos.percentile = 99;
  qos.shed = true;
  CHECK(!qb_plan_service(&profile, 1, &load, &qos, &plan, NULL));
  uint32_t batch = 1;
  const double capacity_per_s = find_capacity(&batch);
  size_t head_bytes, bytes;
  const uint16_t port = (uint16_t)strtoul(argv[5], NULL, 10);
  char *text = make_request(port, argv[1], &head_bytes, &bytes);
  client *c = client_new(port, text, head_bytes, bytes, CONNECTIONS);
  if (!c)
    return EXIT_FAILURE;

  const double rate_per_s = 0.7 * capacity_per_s;
  qb_simulation_report predicted;
  (void)run_open(c, rate_per_s, 2, 0, NULL); /* warm up */
  result r = run_open(c, rate_per_s, seconds, 1, &predicted);
  printf("70 %% of capacity, %.1f/s: %zu answered, %zu refused, %zu failed\n", rate_per_s,
         r.answered, r.refused, r.failed);
  printf("  p50 %.1f ms, predicted %.1f (%+.1f %%); p99 %.1f ms, predicted %.1f (%+.1f %%)\n",
         r.p50_ms, (double)predicted.p50_ns * 1e-6,
         100 * (r.p50_ms / ((double)predicted.p50_ns * 1e-6) - 1), r.p99_ms,
         (double)predicted.p99_ns * 1e-6, 100 * (r.p99_ms / ((double)predicted.p99_ns * 1e-6) - 1));

  const size_t most = (size_t)(4 * capacity_per_s * seconds) + 1000;
  reply *replies = calloc(most, sizeof *replies);
  CHECK(replies);
  const rounds before = read_rounds(port);
  const int64_t start_ns = client_now_ns();
  const size_t count = client_run(c, replies, most, 2 * batch * plan.configuration.instances,
                                  (int64_t)(seconds * 1e9));
  const double took_s = (double)(client_now_ns() - start_ns) * 1e-9;
  r = judge(replies, count, 0);
  printf(
      "saturated: %.1f/s over HTTP, %.3f of the profile's %.1f/s with batches of %u; %zu refused, "
      "%zu failed\n",
      (double)r.answered / took_s, (double)r.answered / took_s / capacity_per_s, capacity_per_s,
      batch, r.refused, r.failed);
  const rounds after = read_rounds(port);
  print_rounds(&before, &after, took_s);
  free(replies);

  r = run_open(c, 3 * capacity_per_s, overload_s, 1, NULL);
  printf("3x capacity for %.0f s: %zu answered (%.4f of them in time, p99 %.1f ms), %zu refused "
         "(p99 after %.1f ms), %zu failed\n",
         overload_s, r.answered, r.answered ? (double)r.in_time / (double)r.answered : 0, r.p99_ms,
         r.refused, r.refusal_p99_ms, r.failed);
  r = run_open(c, rate_per_s, 6, 2, NULL);
  printf("2 s after that, at 70 %% again: %zu answered (%.4f in time), %zu refused; p50 %.1f ms, "
         "p99 %.1f ms\n",
         r.answered, r.answered ? (double)r.in_time / (double)r.answered : 0, r.refused, r.p50_ms,
         r.p99_ms);
  client_free(c);
  free(text);
  qb_profile_unref(profile);
  qb_context_unref(context);
  return 0;
}
