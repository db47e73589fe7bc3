/* SPDX-License-Identifier: Apache-2.0 */
/* What a precision other than 32-bit floats makes of a node and of a network. */
#ifndef QB_ESTIMATE_PRECISION_H
#define QB_ESTIMATE_PRECISION_H

#include "profile/profile_data.h"

#include <qosbatch/estimate.h>

/* Bytes of a number, over those of a 32-bit float. */
double qb__precision_bytes(qb_precision precision);

/*
 * Whether a profile's times in a precision may be planned with on a node (NULL: its own): the first
 * precision's, or with `any` those of all whose accuracy is known there; and if it is another node, where
 * that has the instructions. *accuracy is the percentage of its answers that are right.
 */
bool qb__precision_is_candidate(const qb_profile *profile, const qb_node *node, bool any,
                                qb_precision precision, double *accuracy);

/*
 * c of `threads` threads: as measured, else that of 32-bit floats times what the instructions for the
 * precision do more (docs/estimates.md). Fails with QB_ERROR_NOT_FOUND if neither was measured, with
 * QB_ERROR_UNSUPPORTED if the node has no such instructions.
 */
qb_status qb__precision_compute(const qb_node *node, uint32_t threads, qb_isa isa,
                                qb_precision precision, double *flops);

#endif
