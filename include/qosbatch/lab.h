/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file lab.h
 * The second tier, for tools and studies: the inside of nodes, models and profiles, measurements from
 * elsewhere, networks in 8 bits and their accuracy, changes that would make rounds faster, simulated services, and verified
 * promises. Includes qosbatch.h.
 */
#ifndef QOSBATCH_LAB_H
#define QOSBATCH_LAB_H

#include <qosbatch/accuracy.h>
#include <qosbatch/inspect.h>
#include <qosbatch/measurements.h>
#include <qosbatch/mitigate.h>
#include <qosbatch/qosbatch.h>
#include <qosbatch/quantize.h>
#include <qosbatch/simulate.h>
#include <qosbatch/verify.h>

#endif
