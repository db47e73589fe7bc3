/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file qosbatch.h
 * The main job: profile a network on a node, estimate its rounds, plan, and decide the batch before
 * every round. qosbatch/planning.h chooses nodes to buy and splits work over nodes; qosbatch/lab.h
 * looks inside, simulates and verifies.
 */
#ifndef QOSBATCH_QOSBATCH_H
#define QOSBATCH_QOSBATCH_H

#include <qosbatch/context.h>
#include <qosbatch/estimate.h>
#include <qosbatch/export.h>
#include <qosbatch/model.h>
#include <qosbatch/names.h>
#include <qosbatch/node.h>
#include <qosbatch/optimize.h>
#include <qosbatch/plan.h>
#include <qosbatch/profile.h>
#include <qosbatch/qos.h>
#include <qosbatch/session.h>
#include <qosbatch/status.h>
#include <qosbatch/version.h>

#endif
