/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A round whose values are looked at. While all guards hold it only reads them. From the first one
 * that does not, every operator is looked at: bounds are those of each sample's own values, samples
 * with a NaN or an infinity are marked, and what oneDNN would lose of these is computed again.
 */
#ifndef QB_ENGINE_FINITE_ROUND_H
#define QB_ENGINE_FINITE_ROUND_H

#include "engine/finite_guards.h"
#include "engine/network_plan.h"

typedef struct qb__finite_round {
  const qb__graph *graph;
  const qb__finite_guards *guards;
  const qb__network_plan *plan;
  struct dnnl_memory *const *memories; /* by slot */
  size_t next;                         /* watch of the plan */
  double *largest;                     /* by sample, then tensor; NULL while all guards hold */
  uint8_t *marks;                      /* by sample */
} qb__finite_round;

void qb__finite_begin(qb__finite_round *round, const qb__graph *graph,
                      const qb__finite_guards *guards, const qb__network_plan *plan,
                      struct dnnl_memory *const *memories);

/* Looks at what is there before step `step` runs; the number of steps: at the end. */
qb_status qb__finite_look(qb__finite_round *round, size_t step);

/*
 * Ends the round, failed or not. Samples whose outputs nobody can vouch for get NaN in all of them.
 * `flags`, unless NULL, are written: qb_sample_flag. The round's first sample is sample `first` of
 * the outputs and flags.
 */
void qb__finite_end(qb__finite_round *round, bool done, void *const *outputs, uint32_t *flags,
                    uint32_t first);

#endif
