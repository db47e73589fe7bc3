/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/bill.h"

#include "core/checked.h"

#include <math.h>

int64_t qb__billed_ns(const qb_billing *billing, int64_t used_ns)
{
  int64_t ns = used_ns > billing->minimum_ns ? used_ns : billing->minimum_ns;
  const int64_t over = ns % billing->granularity_ns;
  if (over && __builtin_add_overflow(ns, billing->granularity_ns - over, &ns))
    return INT64_MAX;
  return ns;
}

double qb__cost_of_time(const qb_billing *billing, uint32_t nodes, int64_t used_ns)
{
  return nodes * billing->price_per_hour * ((double)qb__billed_ns(billing, used_ns) / 3600e9);
}

static double cost_of(const qb_node_type *type, double calls, double billed_ns)
{
  const double gib = (double)type->memory_bytes / 1073741824.0;
  return calls * type->billing.price_per_call +
         billed_ns / 1e9 * gib * type->billing.price_per_gib_s;
}

static double billed_call_ns(const qb_node_type *type, double time_ns)
{
  return (double)qb__billed_ns(&type->billing, qb__clamp_i64(ceil(time_ns)));
}

double qb__cost_of_call(const qb_node_type *type, double time_ns)
{
  return cost_of(type, 1, billed_call_ns(type, time_ns));
}

/* Calls and time are counted before they are priced, so that equal bills are equal numbers. */
double qb__cost_of_calls(const qb_node_type *type, const qb__round_times *table, uint64_t samples,
                         uint64_t workers, uint32_t batch, double stretch)
{
  const uint64_t least = samples / workers;
  const uint64_t shares[2] = {least, least + 1};
  const double count[2] = {(double)(workers - samples % workers), (double)(samples % workers)};
  double calls = 0, billed_ns = (double)workers * (double)type->start_up_ns;
  for (int i = 0; i < 2; i++) {
    const double full = count[i] * (double)(shares[i] / batch);
    const uint32_t rest = (uint32_t)(shares[i] % batch);
    calls += full + (rest ? count[i] : 0);
    billed_ns += full * billed_call_ns(type, (double)table->mean_ns[batch] * stretch);
    if (rest)
      billed_ns += count[i] * billed_call_ns(type, (double)table->mean_ns[rest] * stretch);
  }
  return cost_of(type, calls, billed_ns);
}
