/* SPDX-License-Identifier: Apache-2.0 */
/* The network in 8-bit integers: with conversions around its operators, and its weights rounded. */
#ifndef QB_QUANTIZE_QUANTIZED_GRAPH_H
#define QB_QUANTIZE_QUANTIZED_GRAPH_H

#include "quantize/calibrate.h"
#include "quantize/range.h"
#include "quantize/scheme.h"

/* By tensor of the plain graph: the range it is rounded to, where it is. */
qb_status qb__choose_ranges(const qb__scheme *scheme, const qb__calibration *calibration,
                            qb__integer_range *ranges);

/*
 * Each tensor that is quantized is rounded where it was computed, and real again for what reads it.
 * Weights have one scale an output, and biases are corrected for the mean that rounding the weights
 * takes from the results (Nagel et al., ICCV 2019, section 4.2). With `portable`, they have 7 bits in
 * layers whose sums could saturate without VNNI.
 *
 * @param[out] reals by tensor of the plain graph: what it is in `to` for its readers
 */
qb_status qb__quantized_graph(const qb__scheme *scheme, const qb__calibration *calibration,
                              const qb__integer_range *ranges, bool portable, qb__graph *to,
                              int32_t *reals);

#endif
