/* SPDX-License-Identifier: Apache-2.0 */
/* A fixed piece of arithmetic that tells how fast a core is just now. */
#ifndef QB_NODE_YARDSTICK_H
#define QB_NODE_YARDSTICK_H

#include <qosbatch/node.h>

/*
 * Runs about `microseconds` of independent fused multiply-adds in registers, of the instruction set
 * given (QB_ISA_BEST, or one it does not have: the processor's best), on the calling thread.
 * Returns FLOP/s. Needs no memory; a core that is shared, throttled or interrupted gives less.
 */
double qb__yardstick(qb_isa isa, uint32_t microseconds);

/* The best instruction set of the processor, by CPUID and the operating system's consent. */
qb_isa qb__best_isa(void);

#endif
