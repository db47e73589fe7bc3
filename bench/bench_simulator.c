/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events per second of the simulator, for each policy with its default settings, on AlexNet's
 * stored profile.
 *
 * usage: simulator [SAMPLES]
 */
#include "timing.h"

#include <qosbatch/lab.h>
#include <qosbatch/simulate.h>

#include <string.h>

int main(int argc, char **argv)
{
  qb_context *context;
  qb_profile *profile;
  check(qb_context_new(NULL, &context));
  check(qb_profile_load(context, "tests/fixtures/alexnet.json", &profile));
  qb_traffic traffic = QB_TRAFFIC_INIT;
  traffic.rate_per_s = 100;
  qb_qos qos = QB_QOS_INIT;
  qos.latency_ns = 100000000;
  qos.shed = true;
  qb_simulation simulation = QB_SIMULATION_INIT;
  simulation.samples = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
  for (uint32_t p = 0; (simulation.policy = qb_policy_name(p)); p++) {
    if (!strcmp(simulation.policy, "exhaustive"))
      continue; /* a search of many simulations */
    qb_simulation_report report = QB_SIMULATION_REPORT_INIT;
    const double start_ms = now_ms();
    check(qb_simulate(profile, NULL, &traffic, &qos, &simulation, &report));
    printf("%-20s %5.1f M events/s\n", simulation.policy,
           1e-3 * (double)report.events / (now_ms() - start_ms));
  }
  qb_profile_unref(profile);
  qb_context_unref(context);
  return 0;
}
