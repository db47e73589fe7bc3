/* SPDX-License-Identifier: Apache-2.0 */
/* Channels of one tensor brought nearer to one another in size, so that one scale suits them all. */
#ifndef QB_QUANTIZE_EQUALISE_H
#define QB_QUANTIZE_EQUALISE_H

#include "quantize/calibrate.h"
#include "quantize/scheme.h"

/*
 * Between two layers of which the first is followed by nothing or a ReLU and read by the second
 * alone, channel c can be divided by any factor above 0 in the first layer's weights if those of the
 * second are multiplied by it (Nagel et al., ICCV 2019, section 4.1). Does so where the noise that
 * rounding adds to the second layer's results is expected to become at least 1 dB less.
 *
 * @return how many pairs of layers changed: the graph's calibration does not hold for them any more
 */
size_t qb__equalise(qb__graph *graph, const qb__scheme *scheme, const qb__calibration *calibration);

#endif
