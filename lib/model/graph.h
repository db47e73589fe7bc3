/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network as operators over tensors, in the order they run. Shapes are those of one sample: the
 * batch is the engine's business, so one graph serves every batch size.
 */
#ifndef QB_MODEL_GRAPH_H
#define QB_MODEL_GRAPH_H

#include <qosbatch/model.h>

#include <stdbool.h>

/* Where an operator has an optional tensor and there is none. */
enum { QB__NONE = -1 };

typedef enum qb__op_kind {
  QB__OP_CONVOLUTION,
  QB__OP_BATCH_NORM, /* removed by qb__graph_optimize() */
  QB__OP_ACTIVATION,
  QB__OP_ADD,
  QB__OP_MAX_POOL,
  QB__OP_AVERAGE_POOL,
  QB__OP_LRN,     /* across channels */
  QB__OP_DENSE,   /* fully connected, over all dimensions of a sample */
  QB__OP_SOFTMAX, /* over all dimensions of a sample */
  QB__OP_FLATTEN  /* the same elements in another shape */
} qb__op_kind;

typedef enum qb__activation { QB__ACTIVATION_NONE, QB__ACTIVATION_RELU } qb__activation;

typedef struct qb__tensor {
  char *name;
  uint32_t rank;             /* the batch not counted; constants have no batch */
  int64_t dims[QB_MAX_DIMS]; /* activations C, H, W or C; weights O, I, H, W or O, I */
  size_t elements;           /* product of dims */
  float *constant;           /* owned values, row-major; NULL for activations */
} qb__tensor;

/* Sliding window of a convolution or pool; [0] is vertical, [1] horizontal. */
typedef struct qb__window {
  int64_t kernel[2];
  int64_t strides[2];
  int64_t dilations[2];  /* 1: dense */
  int64_t pad_before[2]; /* rows above, columns left */
  int64_t pad_after[2];
} qb__window;

typedef struct qb__operator {
  qb__op_kind kind;
  char *name;
  int32_t input;          /* activation read */
  int32_t weights;        /* constant; convolution, dense: O, I/groups, H, W; batch norm: scale */
  int32_t bias;           /* constant of O elements, or QB__NONE; batch norm: shift */
  int32_t mean, variance; /* constants of a batch norm */
  int32_t addend;         /* second input of an add; fused: added before the activation */
  int32_t output;         /* activation written */
  qb__activation activation; /* of an activation; fused: applied last */
  qb__window window;         /* convolution, pools */
  int64_t groups;            /* convolution */
  float epsilon;             /* batch norm */
  int64_t lrn_size;          /* y = x * (lrn_k + lrn_alpha / lrn_size * sum(x^2)) ^ -lrn_beta */
  float lrn_alpha, lrn_beta, lrn_k;
} qb__operator;

typedef struct qb__graph {
  qb_context *context; /* not a reference: the model holds it */
  qb_status status;    /* first failure of a building function, which then do nothing */
  size_t tensor_count, tensor_capacity;
  qb__tensor *tensors;
  size_t operator_count, operator_capacity;
  qb__operator *operators;
  int32_t input, output; /* activations; the networks so far have one of each */
} qb__graph;

void qb__graph_init(qb__graph *graph, qb_context *context);
void qb__graph_clear(qb__graph *graph);

/*
 * Building. Each function adds an operator behind those there are, works out the shape of its
 * output and returns the output's tensor; after a failure graph->status is set and QB__NONE is
 * returned and accepted as input.
 */
int32_t qb__graph_input(qb__graph *graph, const char *name, uint32_t rank, const int64_t *dims);

/* A constant whose values the caller writes into graph->tensors[result].constant, if not failed. */
int32_t qb__graph_constant(qb__graph *graph, const char *name, uint32_t rank, const int64_t *dims);

/* Weights are O, I/groups, H, W: they give the window's kernel. */
int32_t qb__graph_convolution(qb__graph *graph, const char *name, int32_t x, int32_t weights,
                              int32_t bias, const qb__window *window, int64_t groups);
int32_t qb__graph_batch_norm(qb__graph *graph, const char *name, int32_t x, int32_t scale,
                             int32_t shift, int32_t mean, int32_t variance, float epsilon);
int32_t qb__graph_activation(qb__graph *graph, const char *name, int32_t x,
                             qb__activation activation);
int32_t qb__graph_add(qb__graph *graph, const char *name, int32_t x, int32_t addend);
/* Padding never counts in an average. */
int32_t qb__graph_pool(qb__graph *graph, const char *name, qb__op_kind kind, int32_t x,
                       const qb__window *window);
int32_t qb__graph_lrn(qb__graph *graph, const char *name, int32_t x, int64_t size, float alpha,
                      float beta, float k);
/* Weights are O, I. */
int32_t qb__graph_dense(qb__graph *graph, const char *name, int32_t x, int32_t weights,
                        int32_t bias);
int32_t qb__graph_softmax(qb__graph *graph, const char *name, int32_t x);
int32_t qb__graph_flatten(qb__graph *graph, const char *name, int32_t x);
void qb__graph_output(qb__graph *graph, int32_t x);

/*
 * Folds batch norms into the convolutions before them, fuses additions and activations into what
 * computes their input, and drops what nothing reads (passes.c). The result computes the same.
 */
qb_status qb__graph_optimize(qb__graph *graph);

/* Work of one operator on one sample (count.c). */
double qb__operator_flops(const qb__graph *graph, const qb__operator *op);
uint64_t qb__operator_activation_bytes(const qb__graph *graph, const qb__operator *op);
uint64_t qb__operator_weight_bytes(const qb__graph *graph, const qb__operator *op);

/* "convolution+add+relu" (count.c); static. */
const char *qb__operator_kind_name(const qb__operator *op);

#endif
