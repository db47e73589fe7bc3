/* SPDX-License-Identifier: Apache-2.0 */
/* Measurements that are accepted make a profile that can be estimated with, point by point. */
#include "fuzz/fuzz.h"
#include "profile/measurements_text.h"

#include <qosbatch/estimate.h>
#include <qosbatch/inspect.h>
#include <qosbatch/measurements.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
  qb_context *context;
  qb_profile *profile;
  const qb_measurements_params params = QB_MEASUREMENTS_PARAMS_INIT;
  char *text = malloc(bytes ? bytes : 1);
  FUZZ_EXPECT(text && !qb_context_new(NULL, &context));
  memcpy(text, data, bytes);
  if (!qb__measurements_parse(context, "fuzz.csv", text, bytes, &params, &profile)) {
    qb_profile_point p = QB_PROFILE_POINT_INIT;
    for (uint32_t i = 0; !qb_profile_get_point(profile, i, &p); i++) {
      qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
      FUZZ_EXPECT(p.visits > 0 && p.low_ns <= p.latency_ns && p.latency_ns <= p.high_ns);
      FUZZ_EXPECT(!qb_estimate(profile, &p.configuration, p.batch, NULL, &e));
      FUZZ_EXPECT(e.source == QB_SOURCE_MEASURED);
    }
    qb_profile_unref(profile);
  }
  qb_context_unref(context);
  free(text);
  return 0;
}
