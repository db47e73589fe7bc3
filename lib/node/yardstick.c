/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops of multiply-adds in registers. A multiply-add has a latency of 4 cycles or so and two
 * start a cycle, so that 8 to 10 independent chains are needed to fill the units; 12 are used.
 * Processors without fused ones run the inner step of a kernel instead, and so do tiles.
 */
#include "node/yardstick.h"

#include "node/tiles.h"

#include <stdint.h>
#include <time.h>
#if defined(__aarch64__)
#include <arm_neon.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* Rounds of a loop between two looks at the clock. */
enum { ROUNDS = 2000, CHAINS = 12, SUMS = 9 };

typedef void (*loop)(void);

/* Hides a vector from the optimizer, which would otherwise work out the result. */
#if defined(__x86_64__)
#define HIDE(v) __asm__ volatile("" : "+x"(v))
#elif defined(__aarch64__)
#define HIDE(v) __asm__ volatile("" : "+w"(v))
#else
#define HIDE(v) __asm__ volatile("" : "+m"(v))
#endif

/* 12 chains of vectors of `type`; `step` is a multiply-add. */
#define CHAIN_LOOP(type, start, step)                                                              \
  type a = start, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a;     \
  for (int n = 0; n < ROUNDS; n++) {                                                               \
    step(a);                                                                                       \
    step(b);                                                                                       \
    step(c);                                                                                       \
    step(d);                                                                                       \
    step(e);                                                                                       \
    step(f);                                                                                       \
    step(g);                                                                                       \
    step(h);                                                                                       \
    step(i);                                                                                       \
    step(j);                                                                                       \
    step(k);                                                                                       \
    step(l);                                                                                       \
  }

/* The product needs a register of its own, and weights are loaded for each: few are left. */
#define MULTIPLY_ADD(type, sum, place, first)                                                      \
  do {                                                                                             \
    __asm__ volatile("" : "+r"(w));                                                                \
    type product = *(const type *)(w + (first));                                                   \
    HIDE(product);                                                                                 \
    product *= place;                                                                              \
    HIDE(product);                                                                                 \
    sum += product;                                                                                \
    HIDE(sum);                                                                                     \
  } while (0)

/*
 * Without a fused multiply-add, the inner step of a matrix product: values of three places, each
 * spread over a vector, times three vectors of weights. A kernel cannot do without the loads and
 * the instructions for them, which fill the front end before the units are full: on Zen 4 they leave
 * 0.70 of what multiplications and additions in registers reach, and so do a network's kernels.
 */
#define INNER_STEP(type, width, spread)                                                            \
  _Alignas(32) static const float weights[3 * (width)], places[3];                                 \
  const float *w = weights, *p = places;                                                           \
  type a = {0}, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a;                            \
  for (int n = 0; n < ROUNDS; n++) {                                                               \
    __asm__ volatile("" : "+r"(p));                                                                \
    const type x = spread(p), y = spread(p + 1), z = spread(p + 2);                                \
    MULTIPLY_ADD(type, a, x, 0);                                                                   \
    MULTIPLY_ADD(type, b, y, 0);                                                                   \
    MULTIPLY_ADD(type, c, z, 0);                                                                   \
    MULTIPLY_ADD(type, d, x, width);                                                               \
    MULTIPLY_ADD(type, e, y, width);                                                               \
    MULTIPLY_ADD(type, f, z, width);                                                               \
    MULTIPLY_ADD(type, g, x, 2 * (width));                                                         \
    MULTIPLY_ADD(type, h, y, 2 * (width));                                                         \
    MULTIPLY_ADD(type, i, z, 2 * (width));                                                         \
  }

/* Four floats: what every 64-bit architecture has registers for, and the compiler knows how. */
typedef float four __attribute__((vector_size(16)));

static void loop_generic(void)
{
#if defined(__aarch64__)
  four scale = {0.5f, 0.5f, 0.5f, 0.5f}, shift = {1, 1, 1, 1};
  HIDE(scale);
  HIDE(shift);
  /* ISO C has the compiler round between the two, so a fused one must be asked for. */
#define STEP(v)                                                                                    \
  v = vfmaq_f32(shift, v, scale);                                                                  \
  HIDE(v)
  CHAIN_LOOP(four, shift, STEP)
#undef STEP
#else
#define SPREAD(p) ((four){*(p), *(p), *(p), *(p)})
  INNER_STEP(four, 4, SPREAD)
#undef SPREAD
#endif
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("sse4.1"))) static void loop_sse41(void)
{
  INNER_STEP(__m128, 4, _mm_load1_ps)
}

__attribute__((target("avx"))) static void loop_avx(void)
{
  INNER_STEP(__m256, 8, _mm256_broadcast_ss)
}

__attribute__((target("avx2,fma"))) static void loop_avx2(void)
{
  __m256 scale = _mm256_set1_ps(0.5f), shift = _mm256_set1_ps(1);
  HIDE(scale);
  HIDE(shift);
#define STEP(v)                                                                                    \
  v = _mm256_fmadd_ps(v, scale, shift);                                                            \
  HIDE(v)
  CHAIN_LOOP(__m256, shift, STEP)
#undef STEP
}

__attribute__((target("avx512f"))) static void loop_avx512(void)
{
  __m512 scale = _mm512_set1_ps(0.5f), shift = _mm512_set1_ps(1);
  __asm__ volatile("" : "+v"(scale), "+v"(shift));
#define STEP(v)                                                                                    \
  v = _mm512_fmadd_ps(v, scale, shift);                                                            \
  __asm__ volatile("" : "+v"(v))
  CHAIN_LOOP(__m512, shift, STEP)
#undef STEP
}

/*
 * What kernels without VNNI do with 8-bit integers: products of neighbours summed in 16 bits, those
 * summed in 32, and added. The chains differ in the sum alone, as they do in a kernel: sources are
 * hidden from the optimizer in each step, which would otherwise multiply once.
 */
#define PAIRS_LOOP(type, set1)                                                                     \
  const type zero = set1(0);                                                                       \
  type source = set1(1), weights = set1(1), ones = set1(1);                                        \
  HIDE(weights);                                                                                   \
  HIDE(ones);                                                                                      \
  CHAIN_LOOP(type, zero, STEP)

#define STEP(v)                                                                                    \
  HIDE(source);                                                                                    \
  v = _mm_add_epi32(v, _mm_madd_epi16(_mm_maddubs_epi16(source, weights), ones));                  \
  HIDE(v)
__attribute__((target("sse4.1"))) static void loop_pairs_sse41(void)
{
  PAIRS_LOOP(__m128i, _mm_set1_epi16)
}
#undef STEP

#define STEP(v)                                                                                    \
  HIDE(source);                                                                                    \
  v = _mm256_add_epi32(v, _mm256_madd_epi16(_mm256_maddubs_epi16(source, weights), ones));         \
  HIDE(v)
__attribute__((target("avx2"))) static void loop_pairs_avx2(void)
{
  PAIRS_LOOP(__m256i, _mm256_set1_epi16)
}
#undef STEP

/* Registers of 512 bits have a constraint of their own. */
#undef HIDE
#define HIDE(v) __asm__ volatile("" : "+v"(v))

#define STEP(v)                                                                                    \
  HIDE(source);                                                                                    \
  v = _mm512_add_epi32(v, _mm512_madd_epi16(_mm512_maddubs_epi16(source, weights), ones));         \
  HIDE(v)
__attribute__((target("avx512f,avx512bw"))) static void loop_pairs_avx512(void)
{
  PAIRS_LOOP(__m512i, _mm512_set1_epi16)
}
#undef STEP

/* One instruction for all of it. */
#define STEP(v)                                                                                    \
  v = _mm256_dpbusd_avx_epi32(v, source, weights);                                                 \
  HIDE(v)
__attribute__((target("avx2,avxvnni"))) static void loop_vnni_avx2(void)
{
  PAIRS_LOOP(__m256i, _mm256_set1_epi16)
}
#undef STEP

#define STEP(v)                                                                                    \
  v = _mm512_dpbusd_epi32(v, source, weights);                                                     \
  HIDE(v)
__attribute__((target("avx512f,avx512bw,avx512vnni"))) static void loop_vnni_avx512(void)
{
  PAIRS_LOOP(__m512i, _mm512_set1_epi16)
}
#undef STEP

__attribute__((target("avx512f,avx512bf16"))) static void loop_bf16(void)
{
  const __m512 zero = _mm512_setzero_ps();
  __m512bh source = _mm512_cvtne2ps_pbh(zero, zero), weights = source;
  HIDE(source);
  HIDE(weights);
#define STEP(v)                                                                                    \
  v = _mm512_dpbf16_ps(v, source, weights);                                                        \
  HIDE(v)
  CHAIN_LOOP(__m512, zero, STEP)
#undef STEP
}

/* A tile is 16 rows of 64 bytes, in one of eight registers. */
enum { TILE_ROWS = 16, ROW_BYTES = 64, TILE = TILE_ROWS * ROW_BYTES };

/* The operand of LDTILECFG: the size of each register. */
typedef struct tile_sizes {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_sizes;

/*
 * The inner step of a matrix product: two tiles of sources times two of weights, all loaded from the
 * first-level cache, added to four tiles of sums. Products of different sums do not wait for one
 * another, and a tile is loaded in half the time of a product (8 cycles and 16, by Intel's manual).
 */
#define TILE_LOOP(product)                                                                         \
  static const tile_sizes sizes = {.palette = 1,                                                   \
                                   .row_bytes = {ROW_BYTES, ROW_BYTES, ROW_BYTES, ROW_BYTES,       \
                                                 ROW_BYTES, ROW_BYTES, ROW_BYTES, ROW_BYTES},      \
                                   .rows = {TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, \
                                            TILE_ROWS, TILE_ROWS, TILE_ROWS}};                     \
  _Alignas(64) static const uint8_t sources[2 * TILE], weights[2 * TILE];                          \
  _tile_loadconfig(&sizes);                                                                        \
  _tile_zero(0);                                                                                   \
  _tile_zero(1);                                                                                   \
  _tile_zero(2);                                                                                   \
  _tile_zero(3);                                                                                   \
  for (int n = 0; n < ROUNDS; n++) {                                                               \
    _tile_loadd(4, sources, ROW_BYTES);                                                            \
    _tile_loadd(6, weights, ROW_BYTES);                                                            \
    product(0, 4, 6);                                                                              \
    _tile_loadd(7, weights + TILE, ROW_BYTES);                                                     \
    product(1, 4, 7);                                                                              \
    _tile_loadd(5, sources + TILE, ROW_BYTES);                                                     \
    product(2, 5, 6);                                                                              \
    product(3, 5, 7);                                                                              \
  }                                                                                                \
  _tile_release()

__attribute__((target("amx-tile,amx-int8"))) static void loop_tiles_int8(void)
{
  TILE_LOOP(_tile_dpbusd);
}

__attribute__((target("amx-tile,amx-bf16"))) static void loop_tiles_bf16(void)
{
  TILE_LOOP(_tile_dpbf16ps);
}

/*
 * A round has four products of tiles, of 16 x 16 sums with 32 bits each. To a sum, a row of the sources
 * times a column of the weights is added: 64 products of bytes (TDPBUSD), or 32 of bfloat16 numbers
 * (TDPBF16PS).
 */
enum { TILE_SUMS = 4 * TILE_ROWS * 16 };
#endif

typedef struct measure {
  loop run; /* NULL: there is none */
  double flops_per_round;
} measure;

enum { F32, BF16, PAIRS, VNNI, TILES_BF16, TILES_INT8, KINDS };

static const measure loops[KINDS][QB_ISA_AVX512 + 1] = {
    [F32] =
        {
#if defined(__aarch64__)
            [QB_ISA_GENERIC] = {loop_generic, CHAINS * 4 * 2},
#else
            [QB_ISA_GENERIC] = {loop_generic, SUMS * 4 * 2},
#endif
#if defined(__x86_64__)
            [QB_ISA_SSE41] = {loop_sse41, SUMS * 4 * 2},
            [QB_ISA_AVX] = {loop_avx, SUMS * 8 * 2},
            [QB_ISA_AVX2] = {loop_avx2, CHAINS * 8 * 2},
            [QB_ISA_AVX512] = {loop_avx512, CHAINS * 16 * 2}},
    [BF16] = {[QB_ISA_AVX512] = {loop_bf16, CHAINS * 32 * 2}},
    [PAIRS] = {[QB_ISA_SSE41] = {loop_pairs_sse41, CHAINS * 16 * 2},
               [QB_ISA_AVX2] = {loop_pairs_avx2, CHAINS * 32 * 2},
               [QB_ISA_AVX512] = {loop_pairs_avx512, CHAINS * 64 * 2}},
    [VNNI] = {[QB_ISA_AVX2] = {loop_vnni_avx2, CHAINS * 32 * 2},
              [QB_ISA_AVX512] = {loop_vnni_avx512, CHAINS * 64 * 2}},
    [TILES_BF16] = {[QB_ISA_AVX512] = {loop_tiles_bf16, TILE_SUMS * 32 * 2}},
    [TILES_INT8] = {[QB_ISA_AVX512] = {loop_tiles_int8, TILE_SUMS * 64 * 2}
#endif
    },
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

uint32_t qb__features(void)
{
  uint32_t features = 0;
#if defined(__x86_64__)
  const qb_isa best = qb__best_isa();
  unsigned eax, ebx, ecx, edx;
  const bool avx512_vnni = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ecx >> 11 & 1);
  const bool more = __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx);
  const bool avx_vnni = more && (eax >> 4 & 1), avx512_bf16 = more && (eax >> 5 & 1);
  if (best == QB_ISA_AVX512 ? avx512_vnni : best == QB_ISA_AVX2 && avx_vnni)
    features |= QB_FEATURE_VNNI;
  if (best == QB_ISA_AVX512 && avx512_bf16)
    features |= QB_FEATURE_BF16;
#endif
  return features;
}

/* What the best instruction set alone has, no kernel limited to a lower one uses. */
static measure loop_of(qb_isa isa, qb_precision precision)
{
  static const measure none = {NULL, 0};
  const bool best = isa == qb__best_isa();
  const uint32_t features = best ? qb__features() : 0;
  const bool tiles =
      best && isa == QB_ISA_AVX512 && precision != QB_PRECISION_F32 && qb__may_use_tiles();
  switch (precision) {
  case QB_PRECISION_BF16:
    return tiles ? loops[TILES_BF16][isa] : features & QB_FEATURE_BF16 ? loops[BF16][isa] : none;
  case QB_PRECISION_INT8:
    return loops[tiles ? TILES_INT8 : features & QB_FEATURE_VNNI ? VNNI : PAIRS][isa];
  default: return loops[F32][isa];
  }
}

bool qb__yardstick_has(qb_isa isa, qb_precision precision)
{
  return loop_of(isa, precision).run != NULL;
}

static int64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double qb__yardstick(qb_isa isa, qb_precision precision, uint32_t microseconds)
{
  const qb_isa best = qb__best_isa();
  const measure use = loop_of(isa == QB_ISA_BEST || isa > best ? best : isa, precision);
  if (!use.run)
    return 0;
  const int64_t start_ns = now_ns(), least_ns = (int64_t)microseconds * 1000;
  int64_t elapsed_ns;
  double flops = 0;
  do {
    use.run();
    flops += ROUNDS * use.flops_per_round;
    elapsed_ns = now_ns() - start_ns;
  } while (elapsed_ns < least_ns || elapsed_ns <= 0);
  return flops / (double)elapsed_ns * 1e9;
}
