/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of qb_catalogue. */
#ifndef QB_PLACE_CATALOGUE_IMPL_H
#define QB_PLACE_CATALOGUE_IMPL_H

#include "core/refcount.h"

#include <qosbatch/catalogue.h>

struct qb_catalogue {
  qb__refcount references;
  qb_context *context;
  char *currency, *note;
  uint32_t count;
  qb_node_type *types; /* their strings are owned */
};

/* Limits of the fields, for all ways to make a catalogue. */
#define QB__MOST_TYPE_PRICE 1e9
#define QB__MOST_PER_S      1e18
#define QB__MOST_VCPUS      65536
#define QB__MOST_BYTES      (INT64_C(1) << 52)
#define QB__MOST_TYPE_NS    (INT64_C(1) << 56) /* two years */

#endif
