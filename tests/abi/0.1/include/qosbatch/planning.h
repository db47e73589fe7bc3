/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file planning.h
 * The second tier, for planners: node types and their prices, fleets of nodes to buy, work split over
 * nodes that exist, and the alternatives to a plan. Includes qosbatch.h.
 */
#ifndef QOSBATCH_PLANNING_H
#define QOSBATCH_PLANNING_H

#include <qosbatch/catalogue.h>
#include <qosbatch/fleet.h>
#include <qosbatch/frontier.h>
#include <qosbatch/place.h>
#include <qosbatch/qosbatch.h>

#endif
