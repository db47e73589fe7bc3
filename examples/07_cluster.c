/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job, and then a service, over existing nodes: shares that finish together, each node with its
 * own best batch. The nodes here are one kind at three speeds, one of which is busy for
 * another minute and one of which has little memory to spare.
 *
 * usage: 07_cluster PROFILE.json SAMPLES
 */
#include "common.h"

#include <qosbatch/planning.h>

enum { NODES = 4 };

int main(int argc, char **argv)
{
  if (argc != 3) {
    fprintf(stderr, "usage: %s PROFILE.json SAMPLES\n", argv[0]);
    return 2;
  }
  qb_context *context;
  qb_profile *profile;
  require(qb_context_new(NULL, &context), "make a context");
  require(qb_profile_load(context, argv[1], &profile), "load the profile");

  qb_place_node nodes[NODES];
  qb_share shares[NODES];
  for (int i = 0; i < NODES; i++) {
    nodes[i] = (qb_place_node)QB_PLACE_NODE_INIT;
    nodes[i].profile = profile;
    shares[i] = (qb_share)QB_SHARE_INIT;
  }
  nodes[1].speed = 1.5;
  nodes[2].speed = 0.6;
  nodes[2].memory_bytes = UINT64_C(400) << 20;
  nodes[3].ready_ns = 60000000000;

  qb_job job = QB_JOB_INIT;
  job.samples = strtoull(argv[2], NULL, 10);
  qb_placement placement = QB_PLACEMENT_INIT;
  require(qb_place_job(nodes, NODES, &job, NULL, shares, &placement), "place the job");
  for (int i = 0; i < NODES; i++)
    printf("node %d: %llu samples in rounds of %u on %u instance(s) of %u thread(s), done at "
           "%.3f s\n",
           i, (unsigned long long)shares[i].samples, shares[i].batch,
           shares[i].configuration.instances, shares[i].configuration.threads,
           (double)shares[i].total_ns / 1e9);
  printf("all done at %.3f s\n\n", (double)placement.total_ns / 1e9);

  qb_load load = QB_LOAD_INIT;
  load.rate_per_s = 80;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 400000000;
  require(qb_place_service(nodes, NODES, &load, &qos, shares, &placement), "place the service");
  for (int i = 0; i < NODES; i++)
    printf("node %d: %.1f samples/s, batches of up to %u\n", i, shares[i].rate_per_s,
           shares[i].batch);
  printf("%s: all of them hold up to %.1f samples/s\n",
         placement.feasible ? "feasible" : "infeasible", placement.max_rate_per_s);
  qb_profile_unref(profile);
  qb_context_unref(context);
  return 0;
}
