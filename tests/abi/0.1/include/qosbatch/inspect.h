/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file inspect.h
 * What tools show and keep: nodes in files, compute power by threads, the operators of a model and
 * their times, the points of a profile.
 */
#ifndef QOSBATCH_INSPECT_H
#define QOSBATCH_INSPECT_H

#include <qosbatch/profile.h>

QB_BEGIN_DECLS

/**
 * @return the inference engine the library was built with and its version as loaded, such as
 * "oneDNN 2.6.3", or "none" when it can only run a host's own workload; static, do not free.
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API const char *qb_engine_version(void);

/**
 * Loads a node saved with qb_node_save(). The file may come from a stranger: every field is checked.
 * @param[out] node a new reference
 * @return QB_OK; QB_ERROR_IO; QB_ERROR_FORMAT; QB_ERROR_VERSION; QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_node_load(qb_context *context, const char *path, qb_node **node);

/**
 * Saves a node as JSON (docs/formats.md), atomically: the file is either the old or the new one.
 * @return QB_OK; QB_ERROR_IO; QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_node_save(const qb_node *node, const char *path);

/**
 * Gives c for a number of threads running together, an instruction set and a precision.
 * @param threads 1 or more; beyond the measured numbers, the largest measured one counts
 * @param isa QB_ISA_BEST: the best of the node
 * @param precision of the products
 * @param[out] flops_per_s FLOP/s of all threads together, 2 per multiply-add in every precision
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NOT_FOUND (not measured, or the node has no
 * such instructions)
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_node_get_compute(const qb_node *node, uint32_t threads, qb_isa isa,
                                     qb_precision precision, double *flops_per_s);

/**
 * Gives m for a number of threads running together.
 * @param threads as for qb_node_get_compute()
 * @param[out] bytes_per_s B/s of all threads together
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_NOT_FOUND (not measured)
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_node_get_bandwidth(const qb_node *node, uint32_t threads, double *bytes_per_s);

/**
 * Names a file that a network was read from: the model's own, those of its external data, and those of a
 * quantized form that it was joined with.
 * @param[out] path belongs to the model
 * @return QB_OK; QB_ERROR_NOT_FOUND (there are no more; a built-in network and a workload have
 * none); QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_model_get_file(const qb_model *model, uint32_t index, const char **path);

/**
 * Finds the enumerator that qb_enum_name() gives this name.
 * @param type as for qb_enum_name()
 * @param name such as "avx2"
 * @param[out] value the enumerator's value; untouched if there is none
 * @return whether there is one
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API bool qb_enum_find(const char *type, const char *name, int *value);

/** The work of one operator. Strings belong to the model. @since 0.1 */
typedef struct qb_operator_info {
  size_t size;               /**< sizeof(qb_operator_info) */
  const char *name;          /**< "conv2_x.0.reduce" */
  const char *kind;          /**< "convolution", with what is fused behind it: "convolution+relu" */
  double flops_per_sample;   /**< floating-point operations, 2 per multiply-add */
  uint64_t bytes_per_sample; /**< activations read and written */
  uint64_t weight_bytes;     /**< weights, read once a round */
  bool of_integers;          /**< a layer of 8-bit inputs and weights, as engines may compute it */
  bool can_saturate;         /**< if so: its sums can saturate on a processor without VNNI, where
                                  sessions compute it in floats (docs/precision.md) */
} qb_operator_info;

#define QB_OPERATOR_INFO_INIT QB__INIT(qb_operator_info)

/**
 * Describes operator `index`, counted from 0 up to qb_model_info.operators.
 * @param[out] info its size is set by the caller
 * @return QB_OK; QB_ERROR_NOT_FOUND; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_model_get_operator(const qb_model *model, uint32_t index,
                                       qb_operator_info *info);

/** The time of one operator in a round. @since 0.1 */
typedef struct qb_operator_time {
  size_t size;                /**< sizeof(qb_operator_time) */
  int64_t time_ns;            /**< including the changes of layout that the operator needs */
  const char *implementation; /**< the engine's name for what ran, such as "jit:avx2"; NULL for an
                                   operator that takes no step of its own; belongs to the session */
} qb_operator_time;

#define QB_OPERATOR_TIME_INIT QB__INIT(qb_operator_time)

/**
 * Runs one round like qb_session_run() and times each operator: where a round's time goes. The
 * clock is read between operators, which costs less than a microsecond each.
 * @param[out] times one element for each operator, in the order of qb_model_get_operator(); the
 * caller sets their sizes
 * @param count number of elements: qb_model_info.operators
 * @return as qb_session_run(); QB_ERROR_UNSUPPORTED (a workload)
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_session_run_timed(qb_session *session, uint32_t batch,
                                      const void *const *inputs, void *const *outputs,
                                      qb_operator_time *times, size_t count);

/**
 * @return the node the profile was measured on; belongs to the profile; NULL for NULL.
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_node *qb_profile_node(const qb_profile *profile);

/**
 * Describes point `index` of a profile. Points are ordered by precision, instances, threads, batch.
 * @param[out] point its size is set by the caller
 * @return QB_OK; QB_ERROR_NOT_FOUND; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_profile_get_point(const qb_profile *profile, uint32_t index,
                                      qb_profile_point *point);

QB_END_DECLS

#endif
