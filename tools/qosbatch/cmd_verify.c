/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diagnose.h"
#include "common/load.h"
#include "common/options.h"
#include "common/output.h"
#include "trace.h"

#include <qosbatch/verify.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void print_as_json(const qb_verification *v)
{
  json_t *root = object_new();
  add_text(root, "verdict", qb_verdict_name(v->verdict));
  add_integer(root, "samples", (int64_t)v->samples);
  add_integer(root, "late", (int64_t)v->late);
  add_integer(root, "needed", (int64_t)v->needed);
  add_integer(root, "more", (int64_t)v->more);
  add_integer(root, "latency_ns", v->latency_ns);
  add_integer(root, "bound_ns", v->bound_ns);
  print_json(root);
}

static const char *finding(qb_verdict verdict)
{
  switch (verdict) {
  case QB_VERDICT_PASS: return "proves";
  case QB_VERDICT_FAIL: return "disproves";
  default: return "does not prove yet";
  }
}

static void print_as_text(const qb_verification *v, const qb_qos *qos, double confidence)
{
  printf("%s: the run %s that %g %% of all samples are answered within %s, at %g %% confidence\n\n",
         qb_verdict_name(v->verdict), finding(v->verdict), qos->percentile,
         human_time(qos->latency_ns).s, confidence);
  printf("late           %llu of %llu samples\n", (unsigned long long)v->late,
         (unsigned long long)v->samples);
  if (v->verdict == QB_VERDICT_MORE)
    printf("needed         %llu more sample%s, none of them late\n", (unsigned long long)v->more,
           plural(v->more));
  printf("measured       p%g is %s\n", qos->percentile, human_time(v->latency_ns).s);
  if (v->bound_ns)
    printf("proven         p%g is at most %s\n", qos->percentile, human_time(v->bound_ns).s);
  else
    printf("proven         nothing: too few samples for p%g\n", qos->percentile);
}

static int run(const command *self, int argc, char **argv)
{
  double latency_ms = 0, percentile = 99, confidence = 99;
  bool as_json = false;
  const option options[] = {
      OPTION_NUMBER("latency", "MS", &latency_ms, 0, 1e9,
                    "latency target in milliseconds, arrival to answer (required)"),
      OPTION_PERCENT("percentile", "P", &percentile, "percentile that must meet it (99)"),
      OPTION_PERCENT("confidence", "C", &confidence, "percent (99)"),
      OPTION_FLAG("json", &as_json, "print JSON"),
  };
  const char *path = options_parse(self, options, sizeof options / sizeof *options, argc, argv);
  if (!(latency_ms > 0))
    fail_usage("expected --latency MS, the target that was promised");
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = (int64_t)ceil(latency_ms * 1e6);
  qos.percentile = percentile;
  trace latencies = {NULL, 0};
  qb_verification v = QB_VERIFICATION_INIT;
  qb_context *context = NULL;
  int result;
  if (!(result = load_context(&context)) && !(result = trace_read(path, 1e6, false, &latencies)) &&
      !(result = check(
            qb_verify(context, latencies.times_ns, latencies.count, &qos, confidence / 100, &v)))) {
    if (as_json)
      print_as_json(&v);
    else
      print_as_text(&v, &qos, confidence);
    result = v.verdict == QB_VERDICT_PASS ? EXIT_DONE : EXIT_FAILED;
  }
  free(latencies.times_ns);
  qb_context_unref(context);
  return result;
}

const command command_verify = {
    .name = "verify",
    .operand = "LATENCIES",
    .operand_role = FILE_READ,
    .synopsis = "--latency MS [options]",
    .summary = "Test whether a run proves a latency target, or how many more samples it takes",
    .details = "LATENCIES is a file with one latency per line, in milliseconds from arrival to "
               "answer. A p99\nmeasured on few samples may be luck; the test (MLPerf's early "
               "stopping) says whether the\nrun proves the target for all samples to come. At 99 % "
               "confidence p99 takes 459 samples\nwith none late, 662 with one. Exit status: 0 "
               "pass; 1 fail, or more samples are needed.",
    .run = run,
};
