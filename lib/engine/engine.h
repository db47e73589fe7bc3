/* SPDX-License-Identifier: Apache-2.0 */
/* What a session asks of whatever computes: a network on oneDNN, or the host's callbacks. */
#ifndef QB_ENGINE_ENGINE_H
#define QB_ENGINE_ENGINE_H

#include "engine/homes.h"
#include "engine/layer_algorithm.h"

#include <qosbatch/inspect.h>
#include <qosbatch/session.h>

typedef struct qb__engine qb__engine;

/* Memory of an engine. */
typedef struct qb__engine_memory {
  uint64_t weight_bytes;   /* packed once for all instances */
  uint64_t copy_bytes;     /* of these for the instances on other NUMA nodes */
  uint64_t instance_bytes; /* of all instances together */
  uint64_t code_bytes;     /* of compiled layers, once for all instances: an estimate */
} qb__engine_memory;

typedef struct qb__engine_type {
  /*
   * Makes `batch` ready on an instance. Called on the instance's thread, for one instance at a time
   * from 0 up, while no round is under way.
   */
  qb_status (*prepare)(qb__engine *engine, uint32_t instance, uint32_t batch);
  /*
   * Runs a round of a batch size that is ready. Called on the instance's thread. `flags`, unless
   * NULL, are written by sample; an engine that sees no values leaves them alone. `times`, unless
   * NULL, has one element for each operator of the graph, which the round is added to.
   */
  qb_status (*run)(qb__engine *engine, uint32_t instance, uint32_t batch, const void *const *inputs,
                   void *const *outputs, uint32_t *flags, qb_operator_time *times);
  /* All that is held, or, of a `batch` that is ready and not 0, what it would take alone. */
  qb__engine_memory (*memory)(const qb__engine *engine, uint32_t batch);
  /*
   * Fills in how the network is computed, each operator of the graph in an element of
   * algorithms->layers; false if that is not chosen yet, which the first batch size that is made
   * ready does. What is passed over stays the engine's. NULL: an engine without algorithms.
   */
  bool (*get_algorithms)(const qb__engine *engine, qb__algorithms *algorithms);
  /* Called when the instances' threads have ended. */
  void (*free)(qb__engine *engine);
} qb__engine_type;

/* The first member of every engine. */
struct qb__engine {
  const qb__engine_type *type;
};

/*
 * The engine for a model; the model and `configuration` outlive it. `algorithms` tells
 * how a network is computed, or is NULL: the engine finds the fastest. `homes` tells where its instances'
 * threads run; homes->nodes outlives the engine's last call of prepare.
 */
qb_status qb__engine_new(const qb_model *model, const qb_configuration *configuration,
                         const qb__algorithms *algorithms, const qb__homes *homes,
                         qb__engine **engine);

/* The kinds there are. */
qb_status qb__workload_new(const qb_model *model, const qb_configuration *configuration,
                           qb__engine **engine);
qb_status qb__network_new(const qb_model *model, const qb_configuration *configuration,
                          const qb__algorithms *algorithms, const qb__homes *homes,
                          qb__engine **engine);

#endif
