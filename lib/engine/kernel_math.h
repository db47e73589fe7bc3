/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of single numbers without branches, for loops that the compiler vectorises. To about
 * one unit in the last place; infinities and NaN as in C's library. Coefficients of exp and log are
 * those of Moshier's Cephes.
 */
#ifndef QB_ENGINE_KERNEL_MATH_H
#define QB_ENGINE_KERNEL_MATH_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t qb__bits_of(float x)
{
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float qb__float_of(uint32_t bits)
{
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* 2^n as two factors, for results from the smallest denormal number to infinity. */
static inline float qb__scaled(float x, int32_t n)
{
  const int32_t half = n >> 1;
  return x * qb__float_of((uint32_t)(half + 127) << 23) *
         qb__float_of((uint32_t)(n - half + 127) << 23);
}

static inline float qb__expf(float x)
{
  const float rounding = 12582912; /* 1.5 * 2^23: what is added to it is rounded */
  float bounded = x < -104 ? -104 : x;
  bounded = bounded > 89 ? 89 : bounded;
  const float shifted = bounded * 1.44269504f + rounding, n = shifted - rounding;
  const float r = bounded - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  /* Of a NaN the power of two is anything, but the polynomial is a NaN. */
  const int32_t power = (int32_t)(qb__bits_of(shifted) - qb__bits_of(rounding));
  return qb__scaled(p * r * r + r + 1, (power < -160 ? -160 : power > 160 ? 160 : power));
}

static inline float qb__logf(float x)
{
  const int denormal = x < FLT_MIN;
  const uint32_t bits = qb__bits_of(denormal ? x * 8388608.0f : x);
  float e = (float)((int32_t)(bits >> 23 & 255) - 126) - (denormal ? 23.0f : 0.0f);
  float m = qb__float_of((bits & 0x7fffff) | 0x3f000000);
  const int below = m < 0.707106781f;
  e = below ? e - 1 : e;
  m = below ? m + m - 1 : m - 1;
  const float z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const float y = m + (p * m * z - e * 2.12194440e-4f - 0.5f * z) + e * 0.693359375f;
  const float special = x == 0 ? -INFINITY : x < 0 ? NAN : x; /* infinity and NaN */
  return x > 0 && x <= FLT_MAX ? y : special;
}

/* By its series near 0, else by Abramowitz and Stegun, 7.1.26: off by at most 2e-7. */
static inline float qb__erff(float x)
{
  const float a = fabsf(x), z = x * x;
  float p = -1.6365844691e-07f;
  p = p * z + 1.6462114366e-06f;
  p = p * z - 1.4925650358e-05f;
  p = p * z + 1.2055332982e-04f;
  p = p * z - 8.5483270235e-04f;
  p = p * z + 5.2239776254e-03f;
  p = p * z - 2.6866170645e-02f;
  p = p * z + 1.1283791671e-01f;
  p = p * z - 3.7612638903e-01f;
  p = p * z + 1.1283791671e+00f;
  const float t = 1 / (1 + 0.3275911f * a);
  float q = 1.061405429f;
  q = q * t - 1.453152027f;
  q = q * t + 1.421413741f;
  q = q * t - 0.284496736f;
  q = q * t + 0.254829592f;
  const float far = copysignf(1 - q * t * qb__expf(-z), x);
  return a < 0.8f ? p * x : far;
}

#endif
