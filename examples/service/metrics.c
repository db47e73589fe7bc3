/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "metrics.h"

#include <inttypes.h>
#include <stdio.h>

static void counter(FILE *to, const char *name, const char *help, uint64_t value)
{
  fprintf(to, "# HELP qosbatch_%s %s\n# TYPE qosbatch_%s counter\nqosbatch_%s %" PRIu64 "\n", name,
          help, name, name, value);
}

static void gauge(FILE *to, const char *name, const char *help, double value)
{
  fprintf(to, "# HELP qosbatch_%s %s\n# TYPE qosbatch_%s gauge\nqosbatch_%s %.9g\n", name, help,
          name, name, value);
}

static void write_latencies(FILE *to, const batcher_counts *c, const qb_qos *qos)
{
  fputs("# HELP qosbatch_latency_seconds From the headers of a request to the end of its answer, "
        "by sample.\n"
        "# TYPE qosbatch_latency_seconds histogram\n",
        to);
  uint64_t sum = 0;
  for (int i = 0; i < LATENCY_BUCKETS; i++) {
    sum += c->latency[i];
    fprintf(to, "qosbatch_latency_seconds_bucket{le=\"%.9g\"} %" PRIu64 "\n",
            (double)qos->latency_ns * 1e-9 * (i + 1) / (LATENCY_BUCKETS / 2), sum);
  }
  fprintf(to,
          "qosbatch_latency_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n"
          "qosbatch_latency_seconds_sum %.9g\nqosbatch_latency_seconds_count %" PRIu64 "\n",
          sum + c->latency[LATENCY_BUCKETS], c->latency_sum_s, sum + c->latency[LATENCY_BUCKETS]);
}

static void write_rounds(FILE *to, const batcher_counts *c, uint32_t max_batch)
{
  fputs("# HELP qosbatch_rounds_total Rounds by samples in them.\n"
        "# TYPE qosbatch_rounds_total counter\n",
        to);
  for (uint32_t n = 1; n <= max_batch; n++)
    fprintf(to, "qosbatch_rounds_total{batch=\"%u\"} %" PRIu64 "\n", n, c->batches[n]);
  fputs("# HELP qosbatch_decisions_total Rounds by what decided them.\n"
        "# TYPE qosbatch_decisions_total counter\n",
        to);
  for (int i = 0; i < REASONS; i++)
    if (c->reasons[i])
      fprintf(to, "qosbatch_decisions_total{reason=\"%s\"} %" PRIu64 "\n",
              qb_reason_name((qb_reason)i), c->reasons[i]);
}

char *metrics_text(batcher *b, const qb_service_plan *plan, const qb_qos *qos)
{
  const batcher_counts c = batcher_count(b);
  char *text = NULL;
  size_t bytes;
  FILE *to = open_memstream(&text, &bytes);
  if (!to)
    return NULL;
  counter(to, "requests_total", "Requests that arrived.", c.requests);
  counter(to, "refused_total", "Requests refused at once.", c.refused);
  counter(to, "given_up_total", "Samples given up after a wait.", c.given_up);
  counter(to, "failed_total", "Samples whose round failed.", c.failed);
  counter(to, "answered_total", "Samples answered.", c.samples);
  counter(to, "in_time_total", "Samples answered within the target.", c.in_time);
  gauge(to, "queue_samples", "Samples that wait.", c.queued);
  gauge(to, "target_seconds", "Latency that is promised.", (double)qos->latency_ns * 1e-9);
  gauge(to, "predicted_p99_seconds", "Predicted by the plan.", (double)plan->p99_ns * 1e-9);
  gauge(to, "round_seconds_sum", "Time rounds took.", c.round_sum_s);
  gauge(to, "round_predicted_seconds_sum", "Time that was predicted for them.", c.predicted_sum_s);
  write_latencies(to, &c, qos);
  write_rounds(to, &c, plan->batch);
  return fclose(to) ? NULL : text;
}
