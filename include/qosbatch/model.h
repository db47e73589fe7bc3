/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file model.h
 * A neural network: what it computes, how much work that takes, and its inputs and outputs.
 */
#ifndef QOSBATCH_MODEL_H
#define QOSBATCH_MODEL_H

#include <qosbatch/context.h>
#include <qosbatch/names.h>

#include <stdbool.h>

QB_BEGIN_DECLS

/** The largest batch any call accepts. @since 0.1 */
#define QB_MAX_BATCH 65536u

/** The largest number of dimensions of a tensor, not counting the batch. @since 0.1 */
#define QB_MAX_DIMS 7

/**
 * A network with its weights.
 * Thread-safety: safe; immutable after creation.
 * @since 0.1
 */
typedef struct qb_model qb_model;

/** The arithmetic a network is computed in. Values are stable. @since 0.1 */
typedef enum qb_precision {
  QB_PRECISION_F32 = 0,  /**< 32-bit floats */
  QB_PRECISION_BF16 = 1, /**< bfloat16 products, accumulated in 32-bit floats */
  QB_PRECISION_INT8 = 2  /**< products of 8-bit integers, accumulated in 32 bits */
} qb_precision;

/**
 * @return "f32", "bf16" or "int8"; "unknown" for any other value. Thread-safety: safe.
 * @since 0.1
 */
static inline const char *qb_precision_name(qb_precision precision)
{
  return qb_enum_name("qb_precision", (int)precision);
}

/**
 * How a network runs on a node: `instances` rounds at the same time, each on `threads` threads with
 * cores of its own. A value type: it has no size and never grows. `{2, 1}` is two instances of one
 * thread.
 * @since 0.1
 */
typedef struct qb_configuration {
  uint32_t instances;     /**< 1 or more */
  uint32_t threads;       /**< threads per instance, 1 or more */
  qb_precision precision; /**< of its arithmetic */
  uint32_t reserved[5];   /**< 0 */
} qb_configuration;

/**
 * Makes one of the built-in networks:
 * - "alexnet": Krizhevsky, Sutskever and Hinton, NIPS 2012, as published: 227x227 input, two-group
 *   convolutions, local response normalisation, three fully connected layers, softmax. 61 M
 *   weights.
 * - "resnet50": He et al., CVPR 2016, version 1.5 (the 3x3 convolution has the stride): 224x224
 *   input, 26 M weights, batch normalisation folded into the convolutions.
 *
 * Weights are drawn from a fixed seed so that activations keep a normal range in every layer;
 * they classify nothing, and take exactly as long as trained ones.
 *
 * @param[out] model a new reference
 * @return QB_OK; QB_ERROR_NOT_FOUND (the message lists the names); QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_model_builtin(qb_context *context, const char *name, qb_model **model);

/**
 * Reads an ONNX model: opset 7 to 28, 32-bit floats, images of 1 to 3 dimensions; docs/onnx.md lists
 * the operators and their forms. Weights may have other types, and may be in separate files beside
 * the model. The model is named after its file.
 *
 * The file may come from a stranger: memory is limited (qb_context_params.memory_limit_bytes), and
 * every shape and offset is checked.
 *
 * The first dimension of the inputs is the batch, even where the file fixes its size, and any batch
 * can be run. Where the inputs do not share it, or a node works across it, the network has no batch:
 * all dimensions belong to a sample, and a batch is that many independent runs of the whole.
 *
 * @param path any file name; external data is only read from its folder
 * @param[out] model a new reference
 * @return QB_OK; QB_ERROR_IO; QB_ERROR_FORMAT (not an ONNX model, damaged, or data outside its folder);
 * QB_ERROR_UNSUPPORTED (the message names all nodes that cannot be imported, with operator, opset
 * and what is missing; or this build reads no ONNX); QB_ERROR_OVERFLOW; QB_ERROR_NO_MEMORY (also
 * when the file claims more than qb_context_params.memory_limit_bytes)
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_model_load_onnx(qb_context *context, const char *path, qb_model **model);

/**
 * The host's own engine, profiled and optimized like a network. Callbacks return 0 on success and
 * anything else to fail the call with QB_ERROR_ENGINE. They are called on threads of the session,
 * one thread for each instance, so calls with the same `instance` never overlap and calls with
 * different ones do. Such a thread may run on the cores of its instance, `threads` of them where the
 * node has enough, and threads that an engine starts in `prepare` inherit that.
 * @since 0.1
 */
typedef struct qb_workload {
  size_t size;      /**< sizeof(qb_workload) */
  const char *name; /**< for profiles; copied */
  void *user;       /**< passed to the callbacks; must outlive the model */
  /**
   * Makes `batch` ready on an instance (compile, allocate); its time is reported separately. May be
   * NULL.
   */
  int (*prepare)(void *user, const qb_configuration *configuration, uint32_t instance,
                 uint32_t batch);
  /**
   * Runs one round. `inputs` and `outputs` are those given to qb_session_run(), NULL while
   * profiling: the callback then uses data of its own.
   */
  int (*run)(void *user, uint32_t instance, uint32_t batch, const void *const *inputs,
             void *const *outputs);
  double
      flops_per_sample; /**< F; 0 if unknown: F is then taken as 1, so p/c is seconds per sample */
  double bytes_per_sample; /**< memory traffic per sample; 0 if unknown */
  uint64_t weight_bytes;   /**< memory traffic once a round; 0 if unknown */
  uint64_t instance_bytes; /**< memory of an instance at any batch; 0 if unknown */
  uint64_t
      instance_sample_bytes; /**< memory of an instance per sample of its batch; 0 if unknown */
} qb_workload;

#define QB_WORKLOAD_INIT QB__INIT(qb_workload)

/**
 * Makes a model of the host's own engine.
 * @param[out] model a new reference
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT (no name or no run, or negative work);
 * QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_model_from_workload(qb_context *context, const qb_workload *workload,
                                        qb_model **model);

/** What is known of a model. Strings belong to the model. @since 0.1 */
typedef struct qb_model_info {
  size_t size;                          /**< sizeof(qb_model_info) */
  const char *name;                     /**< "resnet50" */
  uint32_t inputs;                      /**< 0 for a workload */
  uint32_t outputs;                     /**< 0 for a workload */
  uint32_t operators;                   /**< after fusion; 0 for a workload */
  double flops_per_sample;              /**< F, 2 per multiply-add */
  uint64_t weight_bytes;                /**< all constants as 32-bit floats */
  uint64_t activation_bytes_per_sample; /**< sum of all operators' outputs */
} qb_model_info;

#define QB_MODEL_INFO_INIT QB__INIT(qb_model_info)

/**
 * Describes a model.
 * @param[out] info its size is set by the caller
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_model_get_info(const qb_model *model, qb_model_info *info);

/**
 * An input or output of a model: 32-bit floats, row-major, the batch as the outermost dimension.
 * @since 0.1
 */
typedef struct qb_tensor_info {
  size_t size;                  /**< sizeof(qb_tensor_info) */
  const char *name;             /**< belongs to the model */
  uint32_t rank;                /**< number of dimensions, not counting the batch */
  bool channels_last;           /**< an input whose last dimension the network moves to the front
                                     first, as it was made for images of (H, W, C) */
  int64_t dims[QB_MAX_DIMS];    /**< of one sample: {3, 224, 224} for an image (C, H, W) */
  uint64_t elements_per_sample; /**< product of the dimensions */
} qb_tensor_info;

#define QB_TENSOR_INFO_INIT QB__INIT(qb_tensor_info)

/**
 * Describes input `index`, counted from 0.
 * @param[out] info its size is set by the caller
 * @return QB_OK; QB_ERROR_NOT_FOUND (there are no more); QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_model_get_input(const qb_model *model, uint32_t index, qb_tensor_info *info);

/** Describes output `index`; as qb_model_get_input(). Thread-safety: safe. @since 0.1 */
QB_API qb_status qb_model_get_output(const qb_model *model, uint32_t index, qb_tensor_info *info);

/** @return the same model, with one more reference. Thread-safety: safe. @since 0.1 */
QB_API qb_model *qb_model_ref(qb_model *model);

/** Gives a reference back; NULL is allowed. Thread-safety: safe. @since 0.1 */
QB_API void qb_model_unref(qb_model *model);

QB_END_DECLS

#endif
