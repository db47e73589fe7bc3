/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file qosbatch.h
 * All of libqosbatch: profile a network on a node, estimate its rounds, optimize them.
 */
#ifndef QOSBATCH_QOSBATCH_H
#define QOSBATCH_QOSBATCH_H

#include <qosbatch/catalogue.h>
#include <qosbatch/context.h>
#include <qosbatch/estimate.h>
#include <qosbatch/export.h>
#include <qosbatch/fleet.h>
#include <qosbatch/mitigate.h>
#include <qosbatch/model.h>
#include <qosbatch/node.h>
#include <qosbatch/optimize.h>
#include <qosbatch/place.h>
#include <qosbatch/plan.h>
#include <qosbatch/profile.h>
#include <qosbatch/qos.h>
#include <qosbatch/session.h>
#include <qosbatch/simulate.h>
#include <qosbatch/status.h>
#include <qosbatch/verify.h>
#include <qosbatch/version.h>

#endif
