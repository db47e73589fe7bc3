/* SPDX-License-Identifier: Apache-2.0 */
#include "model/configuration.h"

#include "core/error.h"

qb_status qb__configuration_check(const qb_configuration *configuration)
{
  const qb_configuration *k = configuration;
  if (!k)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "configuration is NULL");
  if (k->instances < 1 || k->instances > QB__MAX_INSTANCES || k->threads < 1 ||
      k->threads > QB__MAX_THREADS)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "%u instances of %u threads: instances must be 1..%d and threads 1..%d",
                    k->instances, k->threads, QB__MAX_INSTANCES, QB__MAX_THREADS);
  for (size_t i = 0; i < sizeof k->reserved / sizeof *k->reserved; i++)
    if (k->reserved[i])
      return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                      "configuration.reserved[%zu] is %u, which libqosbatch %s does not know; "
                      "update the library or leave it 0",
                      i, k->reserved[i], QB_LIBRARY_VERSION);
  if ((unsigned)k->precision >= QB__PRECISIONS)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "configuration.precision is %d; give a QB_PRECISION_ value", (int)k->precision);
  return QB_OK;
}

int qb__configuration_compare(const qb_configuration *a, const qb_configuration *b)
{
  const uint32_t left[3] = {(uint32_t)a->precision, a->instances, a->threads};
  const uint32_t right[3] = {(uint32_t)b->precision, b->instances, b->threads};
  for (int i = 0; i < 3; i++)
    if (left[i] != right[i])
      return left[i] < right[i] ? -1 : 1;
  return 0;
}
