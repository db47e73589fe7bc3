/* SPDX-License-Identifier: Apache-2.0 */
#include "core/checked.h"
#include "core/error.h"
#include "core/structs.h"
#include "estimate/estimate_law.h"

#include <qosbatch/inspect.h>

#include <math.h>

static qb_bound bound_of(const qb__roofline *roofline, const qb__instance_roof *roof)
{
  if (!(roofline->time_s > 0 && roof->bytes_per_s > 0 && roof->flops > 1))
    return QB_BOUND_UNKNOWN;
  return roofline->memory_s > 0.5 * roofline->time_s ? QB_BOUND_MEMORY : QB_BOUND_COMPUTE;
}

qb_status qb_estimate(const qb_profile *profile, const qb_configuration *configuration,
                      uint32_t batch, const qb_where *where, qb_latency_estimate *estimate)
{
  if (!profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "profile is NULL");
  qb_status status = QB__STRUCT_CHECK_OUT(qb_latency_estimate, estimate);
  if (status)
    return status;
  if (batch < 1 || batch > QB_MAX_BATCH)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "batch %u is outside 1..%u", batch, QB_MAX_BATCH);
  qb__estimate_law law;
  status = qb__estimate_law_of(profile, configuration, where, &law);
  if (status)
    return status;
  qb__curve_value value = qb__round_at(&law, batch);
  qb__round_make_later(&law, &value);
  const double work = qb__profile_info(profile)->flops_per_sample > 0
                          ? qb__profile_info(profile)->flops_per_sample
                          : 1;
  const qb__roofline roofline = qb__roofline_of(profile, batch, &law.roof);
  const qb_latency_estimate found = {
      .size = sizeof found,
      .configuration = law.configuration,
      .batch = batch,
      .source = value.source,
      .latency_ns = qb__clamp_i64(value.latency_ns),
      .low_ns = qb__clamp_i64(value.low_ns),
      .high_ns = qb__clamp_i64(value.high_ns),
      .p95_ns = qb__clamp_i64(value.p95_ns),
      .mean_ns = qb__clamp_i64(value.mean_ns),
      .throughput_per_s = (double)law.configuration.instances * batch / value.latency_ns * 1e9,
      .density = value.latency_ns * 1e-9 * law.roof.flops / (batch * work),
      .compute_flops_per_s = law.roof.flops,
      .memory_bytes = (uint64_t)fmax(value.memory_bytes, 0),
      .bound = bound_of(&roofline, &law.roof),
      .memory_share = roofline.time_s > 0 ? roofline.memory_s / roofline.time_s : 0,
      .thread_flops_per_s = value.thread_flops_per_s,
      .speed_slope = qb__profile_variation(profile)->speed_slope};
  QB__STRUCT_OUT(qb_latency_estimate, estimate, &found);
  return QB_OK;
}
