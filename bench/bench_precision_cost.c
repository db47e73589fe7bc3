/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the choice of precision saves: the price of 1,000 answers on node types with and without the
 * instructions for it, planned in 32-bit floats alone and with a floor of accuracy.
 *
 *     ./dev bench precision_cost [PROFILE CATALOGUE]
 *
 * PROFILE has to be of several precisions and know their accuracy. Without it, rounds take what ResNet-50's
 * convolutions took on two cores of a Zen 5, at every batch size (docs/precision.md), and accuracies and
 * prices are made up.
 */
#include <qosbatch/lab.h>
#include <qosbatch/planning.h>

#include <stdio.h>
#include <stdlib.h>

static const double FLOOR = 99; /* percent */

static void check(qb_status status)
{
  if (status) {
    fprintf(stderr, "precision_cost: %s\n", qb_error_message());
    exit(1);
  }
}

/* Two instances of a thread each; samples/s of a thread by precision. */
static qb_profile *known_profile(qb_context *context)
{
  static const double per_s[] = {23.9, 47.9, 92.7};
  enum { LARGEST = 32, PRECISIONS = 3 };
  qb_profile_point points[PRECISIONS * LARGEST];
  size_t count = 0;
  for (int p = 0; p < PRECISIONS; p++)
    for (uint32_t batch = 1; batch <= LARGEST; batch++) {
      qb_profile_point *point = &points[count++];
      *point = (qb_profile_point)QB_PROFILE_POINT_INIT;
      point->configuration = (qb_configuration){2, 1, (qb_precision)p};
      point->batch = batch;
      point->latency_ns = (int64_t)(1e9 * batch / per_s[p]);
      point->low_ns = (int64_t)(0.98 * (double)point->latency_ns);
      point->high_ns = (int64_t)(1.02 * (double)point->latency_ns);
    }
  qb_node *node = NULL;
  qb_profile *measured = NULL, *made = NULL;
  qb_measurements_params params = QB_MEASUREMENTS_PARAMS_INIT;
  static const char text[] =
      "{\"format\":\"qosbatch-node\",\"version\":1,\"cpu\":\"Zen 5\",\"isa\":\"avx512\","
      "\"hardware_threads\":2,\"cores\":2,\"quota_cores\":2,\"usable_threads\":2,\"numa_nodes\":1,"
      "\"l1d_bytes\":0,\"l2_bytes\":0,\"l3_bytes\":0,\"memory_bytes\":0,\"price_per_hour\":0,"
      "\"features\":[\"vnni\",\"bf16\"],\"compute\":[{\"isa\":\"avx512\",\"threads\":2,\"flops\":4."
      "6e11}],"
      "\"bandwidth\":[]}";
  char path[] = "/tmp/precision_cost.XXXXXX";
  const int handle = mkstemp(path);
  FILE *file = handle < 0 ? NULL : fdopen(handle, "w");
  if (!file || fputs(text, file) < 0 || fclose(file)) {
    fprintf(stderr, "precision_cost: cannot write %s\n", path);
    exit(1);
  }
  check(qb_node_load(context, path, &node));
  remove(path);
  params.node = node;
  params.name = "resnet50";
  check(qb_profile_from_points(context, points, count, &params, &measured));
  qb_accuracy accuracies[] = {QB_ACCURACY_INIT, QB_ACCURACY_INIT};
  for (int i = 0; i < 2; i++) {
    accuracies[i].precision = (qb_precision)(1 + i);
    accuracies[i].samples = 1000;
    accuracies[i].agreeing = (uint64_t)(999 - 2 * i);
  }
  check(qb_profile_with_accuracy(measured, accuracies, 2, &made));
  qb_profile_unref(measured);
  qb_node_unref(node);
  return made;
}

/* Four cores each, as dear as they are fast in 32-bit floats. */
static qb_catalogue *known_catalogue(qb_context *context)
{
  static const struct {
    const char *name;
    qb_isa isa;
    uint32_t features;
    double flops, price;
  } kinds[] = {
      {"avx2", QB_ISA_AVX2, 0, 4.0e11, 0.16},
      {"avx512", QB_ISA_AVX512, 0, 6.0e11, 0.19},
      {"avx512+vnni", QB_ISA_AVX512, QB_FEATURE_VNNI, 6.4e11, 0.20},
      {"avx512+vnni+bf16", QB_ISA_AVX512, QB_FEATURE_VNNI | QB_FEATURE_BF16, 9.2e11, 0.28}};
  enum { KINDS = sizeof kinds / sizeof *kinds };
  qb_node_type types[KINDS];
  qb_catalogue *catalogue = NULL;
  for (int i = 0; i < KINDS; i++) {
    types[i] = (qb_node_type)QB_NODE_TYPE_INIT;
    types[i].name = kinds[i].name;
    types[i].isa = kinds[i].isa;
    types[i].features = kinds[i].features;
    types[i].vcpus = 4;
    types[i].memory_bytes = UINT64_C(1) << 34;
    types[i].compute_flops_per_s = kinds[i].flops;
    types[i].max_nodes = 100;
    types[i].billing.price_per_hour = kinds[i].price;
  }
  check(qb_catalogue_new(context, "EUR", "", types, KINDS, &catalogue));
  return catalogue;
}

typedef struct planner {
  qb_catalogue *catalogue; /* of one type, or of all */
  qb_profile *profile;
} planner;

/* The price of 1,000 answers, and what they are computed in; 0: infeasible. */
static double job_price(const planner *p, double accuracy, qb_precision *precision)
{
  qb_job job = QB_JOB_INIT;
  qb_qos qos = QB_QOS_INIT;
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  job.samples = 1000000;
  qos.deadline_ns = INT64_C(3600000000000);
  qos.objective = QB_OBJECTIVE_COST;
  qos.accuracy = accuracy;
  check(qb_plan_job_fleet(p->catalogue, &p->profile, 1, &job, &qos, &plan, NULL));
  *precision = plan.configuration.precision;
  return plan.feasible ? plan.cost_per_1000 : 0;
}

static double service_price(const planner *p, double accuracy, qb_precision *precision)
{
  qb_load load = QB_LOAD_INIT;
  qb_qos qos = QB_QOS_INIT;
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  load.rate_per_s = 1000;
  qos.latency_ns = 300000000;
  qos.objective = QB_OBJECTIVE_COST;
  qos.accuracy = accuracy;
  check(qb_plan_service_fleet(p->catalogue, &p->profile, 1, &load, &qos, &plan, NULL));
  *precision = plan.configuration.precision;
  return plan.feasible ? plan.cost_per_1000 : 0;
}

typedef double (*price)(const planner *p, double accuracy, qb_precision *precision);

static void compare(const char *what, const char *type, const planner *p, price price_of)
{
  qb_precision floats, chosen;
  const double in_f32 = price_of(p, 0, &floats), at_floor = price_of(p, FLOOR, &chosen);
  printf("%-8s %-18s %10.5f %10.5f  %-5s", what, type, in_f32, at_floor, qb_precision_name(chosen));
  if (in_f32 > 0 && at_floor > 0)
    printf(" %5.2f", at_floor / in_f32);
  printf("\n");
}

static void compare_both(const char *type, const planner *p)
{
  compare("job", type, p, job_price);
  compare("service", type, p, service_price);
}

int main(int argc, char **argv)
{
  if (argc != 1 && argc != 3) {
    fprintf(stderr, "usage: precision_cost [PROFILE CATALOGUE]\n");
    return 2;
  }
  qb_context *context = NULL;
  planner all = {NULL, NULL};
  qb_catalogue_info info = QB_CATALOGUE_INFO_INIT;
  check(qb_context_new(NULL, &context));
  if (argc == 3) {
    check(qb_profile_load(context, argv[1], &all.profile));
    check(qb_catalogue_load(context, argv[2], &all.catalogue));
  } else {
    all.profile = known_profile(context);
    all.catalogue = known_catalogue(context);
  }
  check(qb_catalogue_get_info(all.catalogue, &info));
  printf(
      "%s per 1,000 answers: a job of 1,000,000 in an hour, a service of 1,000/s within 300 ms\n\n"
      "%-8s %-18s %10s %9.0f %%  %-5s %5s\n",
      info.currency, "", "node type", "f32 only", FLOOR, "in", "ratio");
  for (uint32_t i = 0; i < info.types; i++) {
    qb_node_type type = QB_NODE_TYPE_INIT;
    planner one = {NULL, all.profile};
    check(qb_catalogue_get_type(all.catalogue, i, &type));
    check(qb_catalogue_new(context, info.currency, "", &type, 1, &one.catalogue));
    compare_both(type.name, &one);
    qb_catalogue_unref(one.catalogue);
  }
  compare_both("the best of them", &all);
  qb_catalogue_unref(all.catalogue);
  qb_profile_unref(all.profile);
  qb_context_unref(context);
  return 0;
}
