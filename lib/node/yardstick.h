/* SPDX-License-Identifier: Apache-2.0 */
/* A fixed piece of arithmetic that tells how fast a core is just now. */
#ifndef QB_NODE_YARDSTICK_H
#define QB_NODE_YARDSTICK_H

#include <qosbatch/model.h>
#include <qosbatch/node.h>

#include <stdbool.h>

/*
 * Runs about `microseconds` of independent multiply-adds in registers, of a precision and the
 * instruction set given (QB_ISA_BEST, or one it does not have: the processor's best), on the calling
 * thread. Returns FLOP/s, 2 per multiply-add; 0 where qb__yardstick_has() no loop. Needs no memory; a
 * core that is shared, throttled or interrupted gives less.
 */
double qb__yardstick(qb_isa isa, qb_precision precision, uint32_t microseconds);

/*
 * Whether the processor multiplies numbers of this precision with an instruction set, no better than
 * its best: 8-bit integers from SSE4.1 on, with what qb__features() tells at the best one and
 * without it at the others; bfloat16 numbers where there are instructions for them. 256-bit integers
 * came with AVX2. Where the process may use tiles (qb__may_use_tiles()), these multiply both at the best
 * one; what the calling thread had in tiles is lost.
 */
bool qb__yardstick_has(qb_isa isa, qb_precision precision);

/* The best instruction set of the processor, by CPUID and the operating system's consent. */
qb_isa qb__best_isa(void);

/* What else it has, with its best instruction set: bits of qb_feature. */
uint32_t qb__features(void);

#endif
