/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel_impl.h"
#include "engine/row_values.h"

#include <string.h>

QB__VECTORISED int32_t qb__largest_half_bits(const uint16_t *values, size_t count)
{
  uint16_t most = 0;
  for (size_t i = 0; i < count; i++) {
    const uint16_t bits = values[i] & INT16_MAX; /* all but the sign */
    most = bits > most ? bits : most;
  }
  return (int32_t)((uint32_t)most << 16);
}

QB__VECTORISED int32_t qb__largest_bits(const float *values, size_t count)
{
  int32_t most = 0;
  for (size_t i = 0; i < count; i++) {
    int32_t bits;
    memcpy(&bits, &values[i], sizeof bits);
    bits &= INT32_MAX; /* all but the sign */
    most = bits > most ? bits : most;
  }
  return most;
}
