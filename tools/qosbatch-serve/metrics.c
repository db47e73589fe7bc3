/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <inttypes.h>
#include <stdio.h>

static void describe(FILE *to, const char *name, const char *type, const char *help)
{
  fprintf(to, "# HELP qosbatch_%s %s\n# TYPE qosbatch_%s %s\n", name, help, name, type);
}

static void value(FILE *to, const char *name, const char *type, const char *help, double value)
{
  describe(to, name, type, help);
  fprintf(to, "qosbatch_%s %.15g\n", name, value);
}

static void write_latencies(FILE *to, const batcher_counts *c, const qb_qos *qos)
{
  describe(to, "latency_seconds", "histogram",
           "From the headers of a request to the end of its answer, by sample.");
  uint64_t sum = 0;
  for (int i = 0; i < LATENCY_BUCKETS; i++) {
    sum += c->latency[i];
    fprintf(to, "qosbatch_latency_seconds_bucket{le=\"%.9g\"} %" PRIu64 "\n",
            (double)qos->latency_ns * 1e-9 * (i + 1) / (LATENCY_BUCKETS / 2), sum);
  }
  sum += c->latency[LATENCY_BUCKETS];
  fprintf(to,
          "qosbatch_latency_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n"
          "qosbatch_latency_seconds_sum %.9g\nqosbatch_latency_seconds_count %" PRIu64 "\n",
          sum, c->latency_sum_s, sum);
}

static void write_rounds(FILE *to, const batcher_counts *c)
{
  describe(to, "rounds_total", "counter", "Rounds by the samples in them.");
  for (uint32_t n = 1; n <= c->most_batch; n++) {
    const uint64_t rounds = __atomic_load_n(&c->batches[n], __ATOMIC_RELAXED); /* they go on */
    if (rounds || n == 1)
      fprintf(to, "qosbatch_rounds_total{batch=\"%u\"} %" PRIu64 "\n", n, rounds);
  }
  describe(to, "decisions_total", "counter", "Rounds by the reason of their decision.");
  for (int i = 0; i < BATCHER_REASONS; i++)
    if (c->reasons[i] || i == QB_REASON_THROUGHPUT)
      fprintf(to, "qosbatch_decisions_total{reason=\"%s\"} %" PRIu64 "\n",
              qb_reason_name((qb_reason)i), c->reasons[i]);
}

static void write_responses(FILE *to, response_counts *responses)
{
  describe(to, "responses_total", "counter", "Answers to requests of all kinds, by HTTP status.");
  for (int i = 0; i < MOST_STATUS; i++) {
    const uint64_t count = atomic_load(&responses->by_status[i]);
    if (count || i == 200)
      fprintf(to, "qosbatch_responses_total{code=\"%d\"} %" PRIu64 "\n", i, count);
  }
}

static void write_connections(FILE *to, const door_counts *closed)
{
  value(to, "connections", "gauge", "Connections that are open.", closed->connections);
  describe(to, "connections_closed_total", "counter",
           "Connections that the service ended before their time, by reason.");
  fprintf(to,
          "qosbatch_connections_closed_total{reason=\"timeout\"} %" PRIu64 "\n"
          "qosbatch_connections_closed_total{reason=\"room\"} %" PRIu64 "\n"
          "qosbatch_connections_closed_total{reason=\"turned_away\"} %" PRIu64 "\n"
          "qosbatch_connections_closed_total{reason=\"left\"} %" PRIu64 "\n",
          closed->timed_out, closed->gave_way, closed->turned_away, closed->left);
}

char *metrics_text(batcher *b, const qb_qos *qos, response_counts *responses,
                   const door_counts *closed, size_t memory_bytes)
{
  const batcher_counts c = batcher_count(b);
  char *text = NULL;
  size_t bytes;
  FILE *to = open_memstream(&text, &bytes);
  if (!to)
    return NULL;
  write_responses(to, responses);
  value(to, "requests_total", "counter", "Infer requests seen by admission.", (double)c.requests);
  value(to, "refused_total", "counter", "Infer requests refused at once.", (double)c.refused);
  value(to, "given_up_total", "counter", "Samples given up while queued.", (double)c.given_up);
  value(to, "failed_total", "counter", "Samples whose round failed.", (double)c.failed);
  value(to, "answered_total", "counter", "Samples answered.", (double)c.samples);
  value(to, "in_time_total", "counter", "Samples answered within the target.", (double)c.in_time);
  value(to, "queue_samples", "gauge", "Samples in the queue.", c.queued);
  value(to, "request_memory_bytes", "gauge", "Memory that requests hold.", (double)memory_bytes);
  value(to, "target_seconds", "gauge", "Latency that is promised.", (double)qos->latency_ns * 1e-9);
  value(to, "predicted_p99_seconds", "gauge",
        "Latency at the 99th percentile that the plan predicts.", (double)c.plan.p99_ns * 1e-9);
  value(to, "admission_margin_seconds", "gauge",
        "Delay beyond the prediction that admission allows for.", c.margin_s);
  value(to, "round_seconds_total", "counter", "Time that rounds took.", c.round_sum_s);
  value(to, "round_predicted_seconds_total", "counter", "Time that was predicted for them.",
        c.predicted_sum_s);
  value(to, "round_interval_coverage", "gauge",
        "Share of the last 200 rounds within their predicted 95 % interval.",
        c.rounds_covered.recent);
  value(to, "round_interval_width", "gauge", "Width of these intervals over that of the profile's.",
        c.rounds_covered.width);
  value(to, "refreshes_total", "counter", "Times that tables were solved for a changed node.",
        (double)c.refreshes);
  write_latencies(to, &c, qos);
  write_rounds(to, &c);
  write_connections(to, closed);
  return fclose(to) ? NULL : text;
}
