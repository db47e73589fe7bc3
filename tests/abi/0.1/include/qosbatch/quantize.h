/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file quantize.h
 * Networks in 8-bit integers: made from a network of floats and samples of its inputs, compared with
 * it, and written as a file.
 */
#ifndef QOSBATCH_QUANTIZE_H
#define QOSBATCH_QUANTIZE_H

#include <qosbatch/session.h>

QB_BEGIN_DECLS

/**
 * Writes a network as an ONNX file of standard operators (opset 13), atomically: the file is either the
 * old or the new one. Operators that were fused are several again, tensors that were quantized are
 * between QuantizeLinear and DequantizeLinear, and the weights of layers that read them have 8 bits.
 * The first dimension of all inputs and outputs is the batch, open as "N". qb_model_load_onnx() and
 * other runtimes give the same answers with the file. Of joined models (qb_model_join_int8()) the one of
 * floats is written.
 *
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_UNSUPPORTED (a workload, or operators on integers
 * as QLinearConv); QB_ERROR_OVERFLOW (more than the 2 GiB that readers take); QB_ERROR_IO;
 * QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_model_save_onnx(const qb_model *model, const char *path);

/** What became of one layer of weights. Strings belong to the call. @since 0.1 */
typedef struct qb_quantized_layer {
  size_t size;            /**< sizeof(qb_quantized_layer) */
  const char *name;       /**< of the operator: "conv2_x.0.reduce" */
  const char *kind;       /**< "convolution+relu" */
  qb_precision precision; /**< QB_PRECISION_INT8, or QB_PRECISION_F32: kept in floats */
  double input_low;  /**< range of reals that its input is rounded to, lower end; 0 if in floats */
  double input_high; /**< upper end; 0 if in floats */
  const char *range; /**< how that was found: "min-max", "percentile", "entropy" or
                               "squared error"; "" if in floats */
  double input_sqnr_db;  /**< signal to noise of the input by being rounded to that range */
  double output_sqnr_db; /**< signal to noise of its results in the quantized network, with all
                               that was lost before; infinite without noise */
  bool can_saturate; /**< its sums can saturate on a processor without VNNI (docs/precision.md) */
} qb_quantized_layer;

#define QB_QUANTIZED_LAYER_INIT QB__INIT(qb_quantized_layer)

/** What to quantize by. @since 0.1 */
typedef struct qb_quantize_params {
  size_t size;               /**< sizeof(qb_quantize_params) */
  const void *const *inputs; /**< one pointer for each input, to `samples` contiguous samples such
                                     as the network is to be used for */
  uint64_t samples;          /**< 2 or more */
  uint64_t calibration_samples; /**< of these to find ranges with, evenly spread: 0: 300; half of
                                     them at most. All others are to measure with */
  const uint32_t *labels; /**< the right top-1 answer to each sample; NULL: those of the network
                                     in floats are */
  double accuracy;        /**< share of right answers to keep, of those that the network in
                                     floats gives: layers stay in floats until it is reached; 0: any */
  void (*on_layer)(void *user, const qb_quantized_layer *layer); /**< called at the end for each
                                     layer in order; may be NULL */
  bool (*on_step)(void *user,
                  const char *step); /**< called as each step begins; false ends the call
                                     with QB_ERROR_CANCELLED; may be NULL */
  void *user;                        /**< passed to both */
  /**
   * For processors without VNNI, too: weights have 7 bits in layers whose sums could saturate there
   * with 8, so that all layers run on integers everywhere. Without it such layers run in floats there.
   */
  bool portable;
} qb_quantize_params;

#define QB_QUANTIZE_PARAMS_INIT QB__INIT(qb_quantize_params)

/** What quantizing gave. @since 0.1 */
typedef struct qb_quantization {
  size_t size;                  /**< sizeof(qb_quantization) */
  uint32_t layers;              /**< of weights */
  uint32_t integer_layers;      /**< of these on integers */
  uint32_t equalised;           /**< pairs of layers whose channels were brought nearer in size */
  uint64_t calibration_samples; /**< that ranges were found with */
  uint64_t samples;      /**< others, that answers were compared on; 0 if the first output has
                                     no top-1 answer */
  double agreement;      /**< share of these on which both networks answer the same */
  double agreement_low;  /**< its 95 % interval (qb_agreement), lower end */
  double agreement_high; /**< upper end */
  double accuracy;       /**< share of right answers by the labels; 0 without */
  double accuracy_low;   /**< its 95 % interval, lower end */
  double accuracy_high;  /**< upper end */
  double float_accuracy; /**< the same of the network in floats */
  double sqnr_db;        /**< signal to noise of the first output */
  bool holds;            /**< the accuracy asked for is reached */
} qb_quantization;

#define QB_QUANTIZATION_INIT QB__INIT(qb_quantization)

/**
 * Makes a network of 8-bit integers from one of floats: weights with a scale for each output, tensors
 * with one range each, found on the samples, and conversions between. Of operators between layers,
 * pools, sums, concatenations and those that move elements are on integers, too; all others stay in
 * floats. Takes seconds to minutes: the network runs on all samples, on all usable threads.
 *
 * The model returned computes what qb_model_save_onnx() writes of it. `model` does not change.
 *
 * @param[out] quantization its size is set by the caller; may be NULL
 * @param[out] quantized a new reference
 * @return QB_OK, also where the accuracy asked for is not reached with all layers in floats;
 * QB_ERROR_INVALID_ARGUMENT (also samples for which a value is not finite); QB_ERROR_UNSUPPORTED (a
 * workload, a network that is quantized or has no layers, an accuracy of outputs without top-1
 * answers); QB_ERROR_CANCELLED; QB_ERROR_NO_MEMORY; QB_ERROR_ENGINE
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_model_quantize(qb_model *model, const qb_quantize_params *params,
                                   qb_quantization *quantization, qb_model **quantized);

/** The answer to a sample whose first output is not finite: it agrees with nothing. @since 0.1 */
#define QB_NO_ANSWER UINT32_MAX

/**
 * Runs samples and gives the top-1 answer to each: the index of the largest element of the model's
 * first output, the first of equal ones. Rounds have up to 16 samples.
 *
 * @param samples 1 or more
 * @param inputs one pointer for each input of the model, to `samples` contiguous samples
 * @param[out] answers one for each sample; undefined on failure
 * @return as qb_session_run(); QB_ERROR_UNSUPPORTED (a workload, or a first output of one element,
 * of which the largest says nothing)
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_session_get_answers(qb_session *session, uint64_t samples,
                                        const void *const *inputs, uint32_t *answers);

/** How often answers are as expected. @since 0.1 */
typedef struct qb_agreement {
  size_t size;       /**< sizeof(qb_agreement) */
  uint64_t samples;  /**< compared */
  uint64_t agreeing; /**< of these */
  double share;      /**< agreeing / samples; 0 of no samples */
  double low;  /**< 95 % interval of the share that more such samples would give (Wilson, 1927),
                          lower end; 0 of no samples */
  double high; /**< upper end; 1 of no samples */
} qb_agreement;

#define QB_AGREEMENT_INIT QB__INIT(qb_agreement)

/**
 * Compares answers with those of another session, or with labels.
 * @param expected one for each sample
 * @param[out] agreement its size is set by the caller
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_agreement_count(const uint32_t *answers, const uint32_t *expected,
                                    uint64_t samples, qb_agreement *agreement);

/**
 * Joins a network and its quantized form (docs/precision.md), so that qb_configuration.precision
 * selects between them: QB_PRECISION_INT8 runs the quantized form, everything else the network. The
 * joined model has the network's name, inputs, outputs and operators.
 *
 * A quantized network alone runs in QB_PRECISION_INT8, too; its QB_PRECISION_F32 is an exact emulation
 * of that.
 *
 * @param model a network of 32-bit floats; the joined model keeps a reference
 * @param quantized the same network, quantized; the joined model keeps a reference
 * @param[out] joined a new reference
 * @return QB_OK; QB_ERROR_MISMATCH (inputs or outputs differ); QB_ERROR_INVALID_ARGUMENT (a workload,
 * or a joined model); QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_model_join_int8(qb_model *model, qb_model *quantized, qb_model **joined);

QB_END_DECLS

#endif
