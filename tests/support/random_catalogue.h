/* SPDX-License-Identifier: Apache-2.0 */
/* Catalogues as providers might have them, for the nodes of random_profile.h. */
#ifndef QB_SUPPORT_RANDOM_CATALOGUE_H
#define QB_SUPPORT_RANDOM_CATALOGUE_H

#include "support/expect.h"
#include "support/random_profile.h"

#include <qosbatch/catalogue.h>

#include <stdio.h>
#include <stdlib.h>

static inline qb_billing random_billing(uint64_t *seed, bool whole_ms)
{
  static const int64_t granularities[] = {1000000, 1000000000, 60000000000, 3600000000000};
  qb_billing b = {.kind = QB_BILLING_TIME, .granularity_ns = 1000000000};
  if (random_int(seed, 0, 4) == 0) {
    b.kind = QB_BILLING_CALLS;
    b.price_per_gib_s = 1e-5 * (0.5 + random_unit(seed));
    b.price_per_call = random_int(seed, 0, 1) ? 2e-7 : 0;
    b.granularity_ns = whole_ms || random_int(seed, 0, 1) ? 1000000 : 1;
    b.minimum_ns = random_int(seed, 0, 1) ? 0 : 5000000;
    return b;
  }
  b.price_per_hour = random_int(seed, 0, 9) ? 0.02 + random_unit(seed) : 0;
  b.granularity_ns = granularities[random_int(seed, 0, 3)];
  b.minimum_ns = random_int(seed, 0, 1) ? 0 : 60000000000;
  return b;
}

/* As the header says. */
static inline uint32_t cores_of(const qb_node_type *type)
{
  const uint32_t cores = type->vcpus / type->threads_per_core;
  return cores ? cores : 1;
}

static inline qb_node_type random_type(uint64_t *seed, char *name, size_t bytes, uint32_t most)
{
  qb_node_type t = QB_NODE_TYPE_INIT;
  snprintf(name, bytes, "type %llu", (unsigned long long)random_bits(seed));
  t.name = name;
  t.cpu = random_int(seed, 0, 2) ? "" : "random";
  t.threads_per_core = (uint32_t)random_int(seed, 1, 2);
  t.vcpus = (uint32_t)random_int(seed, 1, 12);
  t.memory_bytes = random_int(seed, 0, 5) ? UINT64_C(1) << 33 : random_int(seed, 100000, 8000000);
  t.compute_flops_per_s = 1e11 * cores_of(&t) * (0.5 + random_unit(seed));
  t.memory_bytes_per_s = random_int(seed, 0, 2) ? 1e10 * (1 + 9 * random_unit(seed)) : 0;
  t.measured = random_int(seed, 0, 1);
  t.start_up_ns = random_int(seed, 0, 2) ? (int64_t)random_int(seed, 0, 90) * 1000000000 : 0;
  t.interruptions_per_h = random_int(seed, 0, 3) ? 0 : 20 * random_unit(seed);
  t.max_nodes = (uint32_t)random_int(seed, 1, most);
  t.billing = random_billing(seed, true);
  return t;
}

/* 1..most_types types of which up to `max_nodes` nodes can be had. */
static inline qb_catalogue *random_catalogue(qb_context *context, uint64_t *seed,
                                             uint32_t most_types, uint32_t max_nodes)
{
  const uint32_t count = (uint32_t)random_int(seed, 1, most_types);
  qb_node_type *types = calloc(count, sizeof *types);
  char(*names)[40] = calloc(count, sizeof *names);
  assert_true(types && names);
  for (uint32_t i = 0; i < count; i++)
    types[i] = random_type(seed, names[i], sizeof names[i], max_nodes);
  qb_catalogue *catalogue = NULL;
  assert_ok(qb_catalogue_new(context, "EUR", "drawn at random", types, count, &catalogue));
  free(types);
  free(names);
  return catalogue;
}

#endif
