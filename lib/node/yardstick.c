/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops of fused multiply-adds in registers. A multiply-add has a latency of 4 cycles or so and two
 * start a cycle, so that 8 to 10 independent chains are needed to fill the units; 12 are used.
 */
#include "node/yardstick.h"

#include <time.h>
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

/* Rounds of a loop between two looks at the clock. */
enum { ROUNDS = 2000, CHAINS = 12 };

typedef void (*loop)(void);

/* 12 chains of vectors of `type`; `even` and `odd` are one operation of every other chain. */
#define CHAIN_LOOP(type, zero, even, odd)                                                          \
  type a = zero, b = zero, c = zero, d = zero, e = zero, f = zero, g = zero, h = zero, i = zero,   \
       j = zero, k = zero, l = zero;                                                               \
  for (int n = 0; n < ROUNDS; n++) {                                                               \
    even(a);                                                                                       \
    odd(b);                                                                                        \
    even(c);                                                                                       \
    odd(d);                                                                                        \
    even(e);                                                                                       \
    odd(f);                                                                                        \
    even(g);                                                                                       \
    odd(h);                                                                                        \
    even(i);                                                                                       \
    odd(j);                                                                                        \
    even(k);                                                                                       \
    odd(l);                                                                                        \
  }

/* Four floats: what every 64-bit architecture has registers for, and the compiler knows how. */
typedef float four __attribute__((vector_size(16)));

static void loop_generic(void)
{
  four scale = {0.5f, 0.5f, 0.5f, 0.5f}, shift = {1, 1, 1, 1};
  const four zero = {0, 0, 0, 0};
  /* Hidden from the optimizer, which would otherwise work out the result. */
#if defined(__x86_64__)
#define HIDE(v) __asm__ volatile("" : "+x"(v))
#elif defined(__aarch64__)
#define HIDE(v) __asm__ volatile("" : "+w"(v))
#else
#define HIDE(v) __asm__ volatile("" : "+m"(v))
#endif
  HIDE(scale);
  HIDE(shift);
  /* ISO C has the compiler round between the two, so a fused one must be asked for. */
#if defined(__aarch64__)
#define STEP(v)                                                                                    \
  v = vfmaq_f32(shift, v, scale);                                                                  \
  HIDE(v)
#else
#define STEP(v)                                                                                    \
  v = v * scale + shift;                                                                           \
  HIDE(v)
#endif
  CHAIN_LOOP(four, zero, STEP, STEP)
#undef STEP
}

#if defined(__x86_64__)
#include <immintrin.h>

/*
 * Multiplications and additions in chains of their own: they start in different units, and none
 * waits for the other. The sums stop growing long before they leave the normal range.
 */
__attribute__((target("sse4.1"))) static void loop_sse41(void)
{
  const __m128 one = _mm_set1_ps(1);
  __m128 scale = _mm_set1_ps(-1), shift = one;
  HIDE(scale);
  HIDE(shift);
#define MULTIPLY(v)                                                                                \
  v = _mm_mul_ps(v, scale);                                                                        \
  HIDE(v)
#define ADD(v)                                                                                     \
  v = _mm_add_ps(v, shift);                                                                        \
  HIDE(v)
  CHAIN_LOOP(__m128, one, MULTIPLY, ADD)
#undef MULTIPLY
#undef ADD
}

__attribute__((target("avx"))) static void loop_avx(void)
{
  const __m256 one = _mm256_set1_ps(1);
  __m256 scale = _mm256_set1_ps(-1), shift = one;
  HIDE(scale);
  HIDE(shift);
#define MULTIPLY(v)                                                                                \
  v = _mm256_mul_ps(v, scale);                                                                     \
  HIDE(v)
#define ADD(v)                                                                                     \
  v = _mm256_add_ps(v, shift);                                                                     \
  HIDE(v)
  CHAIN_LOOP(__m256, one, MULTIPLY, ADD)
#undef MULTIPLY
#undef ADD
}

__attribute__((target("avx2,fma"))) static void loop_avx2(void)
{
  __m256 scale = _mm256_set1_ps(0.5f), shift = _mm256_set1_ps(1);
  HIDE(scale);
  HIDE(shift);
#define STEP(v)                                                                                    \
  v = _mm256_fmadd_ps(v, scale, shift);                                                            \
  HIDE(v)
  CHAIN_LOOP(__m256, shift, STEP, STEP)
#undef STEP
}

__attribute__((target("avx512f"))) static void loop_avx512(void)
{
  __m512 scale = _mm512_set1_ps(0.5f), shift = _mm512_set1_ps(1);
  __asm__ volatile("" : "+v"(scale), "+v"(shift));
#define STEP(v)                                                                                    \
  v = _mm512_fmadd_ps(v, scale, shift);                                                            \
  __asm__ volatile("" : "+v"(v))
  CHAIN_LOOP(__m512, shift, STEP, STEP)
#undef STEP
}
#endif

static const struct {
  loop run;
  double flops_per_round;
} loops[] = {
    [QB_ISA_GENERIC] = {loop_generic, CHAINS * 4 * 2},
#if defined(__x86_64__)
    [QB_ISA_SSE41] = {loop_sse41, CHAINS * 4},
    [QB_ISA_AVX] = {loop_avx, CHAINS * 8},
    [QB_ISA_AVX2] = {loop_avx2, CHAINS * 8 * 2},
    [QB_ISA_AVX512] = {loop_avx512, CHAINS * 16 * 2},
#endif
};

qb_isa qb__best_isa(void)
{
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    return QB_ISA_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return QB_ISA_AVX2;
  if (__builtin_cpu_supports("avx"))
    return QB_ISA_AVX;
  if (__builtin_cpu_supports("sse4.1"))
    return QB_ISA_SSE41;
#endif
  return QB_ISA_GENERIC;
}

static int64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double qb__yardstick(qb_isa isa, uint32_t microseconds)
{
  const qb_isa best = qb__best_isa();
  const qb_isa use = isa == QB_ISA_BEST || isa > best ? best : isa;
  const int64_t start_ns = now_ns(), least_ns = (int64_t)microseconds * 1000;
  int64_t elapsed_ns;
  double flops = 0;
  do {
    loops[use].run();
    flops += ROUNDS * loops[use].flops_per_round;
    elapsed_ns = now_ns() - start_ns;
  } while (elapsed_ns < least_ns || elapsed_ns <= 0);
  return flops / (double)elapsed_ns * 1e9;
}
