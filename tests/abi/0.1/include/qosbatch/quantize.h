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
 * other runtimes give the same answers with the file.
 *
 * @return QB_OK; QB_ERROR_INVALID_ARGUMENT; QB_ERROR_UNSUPPORTED (a workload, or operators on integers
 * as QLinearConv); QB_ERROR_OVERFLOW (more than the 2 GiB that readers take); QB_ERROR_IO;
 * QB_ERROR_NO_MEMORY
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API qb_status qb_model_save_onnx(const qb_model *model, const char *path);

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
