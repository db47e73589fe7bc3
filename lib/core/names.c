/* SPDX-License-Identifier: Apache-2.0 */
/* The words for enumerators: those that files and the tool's JSON have. */
#include <qosbatch/lab.h>
#include <qosbatch/planning.h>
#include <qosbatch/qosbatch.h>

#include <stddef.h>
#include <string.h>

typedef struct word {
  const char *type;
  int value;
  const char *text;
} word;

static const word words[] = {
    {"qb_isa", QB_ISA_BEST, "best"},
    {"qb_isa", QB_ISA_GENERIC, "generic"},
    {"qb_isa", QB_ISA_SSE41, "sse41"},
    {"qb_isa", QB_ISA_AVX, "avx"},
    {"qb_isa", QB_ISA_AVX2, "avx2"},
    {"qb_isa", QB_ISA_AVX512, "avx512"},
    {"qb_feature", QB_FEATURE_VNNI, "vnni"},
    {"qb_feature", QB_FEATURE_BF16, "bf16"},
    {"qb_precision", QB_PRECISION_F32, "f32"},
    {"qb_precision", QB_PRECISION_BF16, "bf16"},
    {"qb_precision", QB_PRECISION_INT8, "int8"},
    {"qb_source", QB_SOURCE_MEASURED, "measured"},
    {"qb_source", QB_SOURCE_INTERPOLATED, "interpolated"},
    {"qb_source", QB_SOURCE_EXTRAPOLATED, "extrapolated"},
    {"qb_source", QB_SOURCE_TRANSFERRED, "transferred"},
    {"qb_bound", QB_BOUND_COMPUTE, "compute"},
    {"qb_bound", QB_BOUND_MEMORY, "memory"},
    {"qb_bound", QB_BOUND_UNKNOWN, "unknown"},
    {"qb_objective", QB_OBJECTIVE_LATENCY, "latency"},
    {"qb_objective", QB_OBJECTIVE_RATE, "rate"},
    {"qb_objective", QB_OBJECTIVE_COST, "cost"},
    {"qb_reason", QB_REASON_NONE, "none"},
    {"qb_reason", QB_REASON_SLO, "slo"},
    {"qb_reason", QB_REASON_FILL, "fill"},
    {"qb_reason", QB_REASON_THROUGHPUT, "throughput"},
    {"qb_reason", QB_REASON_CAPACITY, "capacity"},
    {"qb_reason", QB_REASON_MEMORY, "memory"},
    {"qb_reason", QB_REASON_BUDGET, "budget"},
    {"qb_reason", QB_REASON_DEADLINE, "deadline"},
    {"qb_reason", QB_REASON_LATE, "late"},
    {"qb_reason", QB_REASON_COST, "cost"},
    {"qb_reason", QB_REASON_ACCURACY, "accuracy"},
    {"qb_action", QB_ACTION_RUN, "run"},
    {"qb_action", QB_ACTION_WAIT, "wait"},
    {"qb_action", QB_ACTION_INFEASIBLE, "infeasible"},
    {"qb_mitigation_kind", QB_MITIGATION_LARGER_BATCH, "larger batch"},
    {"qb_mitigation_kind", QB_MITIGATION_SMALLER_BATCH, "smaller batch"},
    {"qb_mitigation_kind", QB_MITIGATION_MORE_INSTANCES, "more instances"},
    {"qb_mitigation_kind", QB_MITIGATION_MORE_THREADS, "more threads"},
    {"qb_mitigation_kind", QB_MITIGATION_RAISE_QUOTA, "raise quota"},
    {"qb_mitigation_kind", QB_MITIGATION_BETTER_ISA, "better isa"},
    {"qb_mitigation_kind", QB_MITIGATION_PREPARE, "prepare"},
    {"qb_mitigation_kind", QB_MITIGATION_QUIETER_NODE, "quieter node"},
    {"qb_mitigation_kind", QB_MITIGATION_LOWER_PRECISION, "lower precision"},
    {"qb_verdict", QB_VERDICT_PASS, "pass"},
    {"qb_verdict", QB_VERDICT_FAIL, "fail"},
    {"qb_verdict", QB_VERDICT_MORE, "more"},
};

const char *qb_enum_name(const char *type, int value)
{
  for (size_t i = 0; type && i < sizeof words / sizeof *words; i++)
    if (words[i].value == value && !strcmp(words[i].type, type))
      return words[i].text;
  return "unknown";
}

bool qb_enum_find(const char *type, const char *name, int *value)
{
  for (size_t i = 0; type && name && i < sizeof words / sizeof *words; i++)
    if (!strcmp(words[i].type, type) && !strcmp(words[i].text, name)) {
      *value = words[i].value;
      return true;
    }
  return false;
}
