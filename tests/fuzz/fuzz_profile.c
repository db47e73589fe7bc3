/* SPDX-License-Identifier: Apache-2.0 */
/* A profile that is accepted can be estimated and planned with. */
#include "fuzz/fuzz.h"
#include "profile/profile_impl.h"

#include <qosbatch/qosbatch.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
  qb_context *context;
  qb_profile *profile;
  FUZZ_EXPECT(!qb_context_new(NULL, &context));
  if (!qb__profile_parse(context, "fuzz", (const char *)data, bytes, &profile)) {
    qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
    for (uint32_t batch = 1; batch <= QB_MAX_BATCH; batch *= 4) {
      FUZZ_EXPECT(!qb_estimate(profile, NULL, batch, NULL, &e));
      FUZZ_EXPECT(0 < e.low_ns && e.low_ns <= e.latency_ns && e.latency_ns <= e.high_ns);
    }
    qb_profile_info info = QB_PROFILE_INFO_INIT;
    FUZZ_EXPECT(!qb_profile_get_info(profile, &info));
    qb_job_plan plan = QB_JOB_PLAN_INIT;
    qb_job job = QB_JOB_INIT;
    job.samples = 1000;
    if (info.max_batch <= 256)
      FUZZ_EXPECT(!qb_plan_job(&profile, 1, &job, NULL, &plan, NULL) && plan.total_ns > 0);
    qb_profile_unref(profile);
  }
  qb_context_unref(context);
  return 0;
}
