/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the ONNX writer share: nodes, their attributes, and constants between them. */
#ifndef QB_MODEL_ONNX_WRITE_IMPL_H
#define QB_MODEL_ONNX_WRITE_IMPL_H

#include "model/graph.h"
#include "model/protobuf_write.h"

enum { QB__ONNX_NAME_BYTES = 256 };

/* A name by value: of a tensor, or of what only the file has. */
typedef struct qb__onnx_name {
  char text[QB__ONNX_NAME_BYTES];
} qb__onnx_name;

typedef struct qb__onnx_writer {
  const qb__graph *graph;
  qb__protobuf out; /* within the GraphProto */
  char **names;     /* of the graph's tensors; owned */
  uint32_t made;    /* names so far that the graph does not have */
  size_t node;      /* the one being written */
} qb__onnx_writer;

/* TensorProto.DataType */
enum {
  QB__ONNX_TYPE_FLOAT = 1,
  QB__ONNX_TYPE_UINT8 = 2,
  QB__ONNX_TYPE_INT8 = 3,
  QB__ONNX_TYPE_INT32 = 6,
  QB__ONNX_TYPE_INT64 = 7,
  QB__ONNX_TYPE_BOOL = 9
};

const char *qb__onnx_write_name(const qb__onnx_writer *w, int32_t tensor);

/* A name that nothing has, which tells what it is for. */
qb__onnx_name qb__onnx_write_fresh(qb__onnx_writer *w, const char *base);

/* A node; its inputs follow, NULL behind the last. Attributes may be set until it ends. */
__attribute__((sentinel)) void qb__onnx_write_node(qb__onnx_writer *w, const qb__operator *op,
                                                   const char *kind, const char *output, ...);
/* One more input. */
void qb__onnx_write_more(qb__onnx_writer *w, const char *input);
void qb__onnx_write_int(qb__onnx_writer *w, const char *name, int64_t value);
void qb__onnx_write_float(qb__onnx_writer *w, const char *name, float value);
void qb__onnx_write_text(qb__onnx_writer *w, const char *name, const char *value);
/* `count` values of `a`, then of `b` if that is not NULL. */
void qb__onnx_write_ints(qb__onnx_writer *w, const char *name, size_t count, const int64_t *a,
                         const int64_t *b);
void qb__onnx_write_end(qb__onnx_writer *w);

/* A node of two inputs, or of one and NULL, without attributes. @return its output */
qb__onnx_name qb__onnx_write_step(qb__onnx_writer *w, const qb__operator *op, const char *kind,
                                  const char *a, const char *b);

/* A constant of the file, row-major: room for its values, or NULL after a failure. */
void *qb__onnx_write_constant(qb__onnx_writer *w, const char *name, int32_t type, uint32_t rank,
                              const int64_t *dims, size_t element_bytes);
/* A number, integers in a row, and values of a tensor in another shape. @return their names */
qb__onnx_name qb__onnx_write_number(qb__onnx_writer *w, const qb__operator *op, float value);
qb__onnx_name qb__onnx_write_row(qb__onnx_writer *w, const qb__operator *op, size_t count,
                                 const int64_t *values);
qb__onnx_name qb__onnx_write_floats(qb__onnx_writer *w, const qb__operator *op, uint32_t rank,
                                    const int64_t *dims, const float *values);

/* To the shape of samples, with the batch before them. */
void qb__onnx_write_reshape(qb__onnx_writer *w, const qb__operator *op, uint32_t rank,
                            const int64_t *dims, const char *input, const char *output);

/* Operators by kind; `in` names what the operator reads first. */
void qb__onnx_write_layer(qb__onnx_writer *w, const qb__operator *op, const char *in,
                          const char *out);
void qb__onnx_write_activation(qb__onnx_writer *w, const qb__operator *op, const char *in,
                               const char *out);
void qb__onnx_write_elementwise(qb__onnx_writer *w, const qb__operator *op, const char *in,
                                const char *out);
void qb__onnx_write_converter(qb__onnx_writer *w, const qb__operator *op, const char *in,
                              const char *out);
void qb__onnx_write_window(qb__onnx_writer *w, const qb__operator *op, bool dilated);
void qb__onnx_write_reduction(qb__onnx_writer *w, const qb__operator *op, const char *in,
                              const char *out);
void qb__onnx_write_rearrangement(qb__onnx_writer *w, const qb__operator *op, const char *in,
                                  const char *out);

#endif
