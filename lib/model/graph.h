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
  QB__OP_DECONVOLUTION, /* transposed convolution */
  QB__OP_BATCH_NORM,    /* removed by qb__graph_optimize() */
  QB__OP_ACTIVATION,
  QB__OP_ADD,
  QB__OP_SUBTRACT,
  QB__OP_MULTIPLY,
  QB__OP_DIVIDE,
  QB__OP_MAXIMUM, /* NaN where either is */
  QB__OP_MINIMUM,
  QB__OP_POWER,        /* x ^ y */
  QB__OP_MODULO,       /* with the sign of x: C's fmod() */
  QB__OP_FLOOR_MODULO, /* with the sign of y: x - y * floor(x / y) */
  QB__OP_PRELU,        /* x where x >= 0, else y * x */
  QB__OP_EQUAL,        /* comparisons give 1 or 0 */
  QB__OP_LESS,
  QB__OP_LESS_EQUAL,
  QB__OP_GREATER,
  QB__OP_GREATER_EQUAL,
  QB__OP_SELECT,     /* one of two by a condition */
  QB__OP_QUANTIZE,   /* to integers of a scale and a zero point */
  QB__OP_DEQUANTIZE, /* from them */
  QB__OP_MAX_POOL,
  QB__OP_AVERAGE_POOL,
  QB__OP_LRN,        /* across channels */
  QB__OP_DENSE,      /* fully connected, over all dimensions of a sample */
  QB__OP_LINEAR,     /* fully connected, over the last dimension */
  QB__OP_MATMUL,     /* over the last two dimensions */
  QB__OP_SOFTMAX,    /* along one axis */
  QB__OP_REDUCE,     /* over some axes */
  QB__OP_ARG,        /* where the largest or smallest is along one axis */
  QB__OP_LAYER_NORM, /* over the last dimensions */
  QB__OP_GROUP_NORM, /* over groups of channels */
  QB__OP_RESIZE,     /* of the dimensions behind the channels */
  QB__OP_CONCAT,
  QB__OP_PAD,  /* or crop */
  QB__OP_PICK, /* one axis anew from elements of it */
  QB__OP_TRANSPOSE,
  QB__OP_FLATTEN /* the same elements in another shape */
} qb__op_kind;

/* The first ones, up to mish, can be fused behind a layer. NaN stays NaN in all of them. */
typedef enum qb__activation {
  QB__ACTIVATION_NONE,
  QB__ACTIVATION_RELU, /* alpha * x below 0 */
  QB__ACTIVATION_CLIP, /* to alpha..beta */
  QB__ACTIVATION_SIGMOID,
  QB__ACTIVATION_TANH,
  QB__ACTIVATION_HARD_SWISH, /* x * min(max(x / 6 + 1 / 2, 0), 1) */
  QB__ACTIVATION_LINEAR,     /* alpha * x + beta */
  QB__ACTIVATION_POWER,      /* alpha * x ^ beta */
  QB__ACTIVATION_ELU,        /* alpha * (e^x - 1) below 0 */
  QB__ACTIVATION_GELU_ERF,   /* x / 2 * (1 + erf(x / sqrt(2))) */
  QB__ACTIVATION_GELU_TANH,  /* x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) */
  QB__ACTIVATION_SWISH,      /* x * sigmoid(alpha * x) */
  QB__ACTIVATION_SOFTPLUS,   /* log(1 + e^x) */
  QB__ACTIVATION_MISH,       /* x * tanh(softplus(x)) */
  QB__ACTIVATION_EXP,
  QB__ACTIVATION_LOG,
  QB__ACTIVATION_SQRT,
  QB__ACTIVATION_ABS,
  QB__ACTIVATION_ERF,
  QB__ACTIVATION_FLOOR,
  QB__ACTIVATION_CEIL,
  QB__ACTIVATION_ROUND, /* halves to the even neighbour */
  QB__ACTIVATION_SIGN,  /* -1, 0 or 1 */
  QB__ACTIVATION_SIN,
  QB__ACTIVATION_COS,
  QB__ACTIVATION_COUNT
} qb__activation;

typedef enum qb__reduction {
  QB__REDUCTION_MEAN,
  QB__REDUCTION_MAX, /* NaN where one is, also of the minimum */
  QB__REDUCTION_MIN,
  QB__REDUCTION_SUM,
  QB__REDUCTION_PRODUCT,
  QB__REDUCTION_L1, /* sum of the absolute values */
  QB__REDUCTION_L2, /* root of the sum of squares */
  QB__REDUCTION_SUM_SQUARE,
  QB__REDUCTION_LOG_SUM,
  QB__REDUCTION_LOG_SUM_EXP,
  QB__REDUCTION_COUNT
} qb__reduction;

/* What elements are in memory. The graph of a model has floats alone: lowering gives other types. */
typedef enum qb__type { QB__TYPE_F32, QB__TYPE_BF16, QB__TYPE_U8, QB__TYPE_S8 } qb__type;

typedef struct qb__tensor {
  char *name;
  uint32_t rank;             /* the batch not counted; constants have no batch */
  int64_t dims[QB_MAX_DIMS]; /* activations C, H, W or C; weights O, I, H, W or O, I */
  size_t elements;           /* product of dims */
  float *constant;           /* owned values, row-major; NULL for activations */
  qb__type type;             /* of an activation, or of what a constant is packed as */
  bool borrowed;             /* the constant's values are those of another graph */
  int32_t steps;             /* S8 weights: constant, for each output the real that 1 stands for */
} qb__tensor;

enum { QB__MOST_SPATIAL = 3 };

/*
 * Sliding window of a convolution or pool over the dimensions behind the channels: rows and columns
 * of an image. As many elements count as there are such dimensions.
 */
typedef struct qb__window {
  int64_t kernel[QB__MOST_SPATIAL];
  int64_t strides[QB__MOST_SPATIAL];
  int64_t dilations[QB__MOST_SPATIAL];  /* 1: dense */
  int64_t pad_before[QB__MOST_SPATIAL]; /* rows above, columns left */
  int64_t pad_after[QB__MOST_SPATIAL];  /* deconvolution: less than 0 for rows added below */
} qb__window;

/*
 * What a layer on 8-bit integers makes of its sums, in this order: sum + bias, times the factor of
 * the output; if `rounds`, rounded to low..high, times `step`, plus `offset`; plus the addend times
 * `addend_step`; the activation; times `last_step`, plus `last_offset`; rounded to the result's type
 * if that has integers. An LRN or average pool reads bytes b as (b - offset) * step, and writes what its
 * result times `last_step` is rounded to, plus `last_offset`.
 */
typedef struct qb__requantize {
  bool
      applies; /* the operator reads or writes integers of 8 bits; all else is 0 where it does not */
  int32_t factors; /* constant: of each output */
  bool rounds;
  float low, high, step, offset;
  float addend_step;
  float last_step, last_offset;
  float most; /* the largest absolute result before it is rounded to its type */
} qb__requantize;

typedef struct qb__operator {
  qb__op_kind kind;
  uint32_t origin; /* in a lowered graph: the operator of the model's graph that it serves */
  char *name;
  int32_t input;   /* activation read, or a constant of a binary operator, matmul, select, concat */
  int32_t weights; /* constant; layers: O, I/groups, H, W; norms, quantize: scale or QB__NONE */
  int32_t bias;    /* constant of O elements; norms: shift; quantize: zero point; or QB__NONE */
  int32_t mean, variance; /* constants of a batch norm */
  int32_t
      addend; /* second input of binary operators and matmul; fused: added before the activation */
  int32_t *rest; /* concat, select: the inputs behind the first; owned */
  size_t rest_count;
  int32_t output;              /* activation written */
  qb__activation activation;   /* of an activation; fused: applied last */
  float alpha, beta;           /* of the activation; quantize: the least and the largest integer */
  qb__window window;           /* convolutions, pools */
  bool include_padding;        /* average pool: padding counts as zeros */
  int64_t groups;              /* convolutions, group norm */
  uint32_t axis;               /* softmax, arg, concat, pick, quantize; layer norm: the first */
  uint32_t axes;               /* reduce: bit i for dimension i */
  qb__reduction reduction;     /* reduce */
  bool logarithm;              /* softmax: its logarithm */
  bool largest, last;          /* arg: not the smallest; of equal ones not the first */
  uint32_t order[QB_MAX_DIMS]; /* transpose: output dimension i is input dimension order[i] */
  int64_t before[QB_MAX_DIMS]; /* pad: elements added, or cut where negative, in each dimension */
  float value;                 /* pad, pick */
  uint32_t taps;               /* pick: elements of the input in one of the output */
  int64_t *indices;            /* pick: `taps` for each element, -1 for `value`; owned. With */
                               /* several inputs they count on from one to the next */
  float *factors;              /* pick: of the elements named by `indices`; NULL: 1; owned */
  bool linear;                 /* resize: between neighbours, else the nearest */
  float epsilon;               /* norms */
  float integer_limit;         /* layers, matmul: of integers up to this size; 0: of reals */
  qb__requantize requantize;   /* in a lowered graph: layers, quantize, dequantize, LRN, pools */
  int64_t lrn_size;            /* y = x * (lrn_k + lrn_alpha / lrn_size * sum(x^2)) ^ -lrn_beta */
  float lrn_alpha, lrn_beta, lrn_k;
} qb__operator;

typedef struct qb__graph {
  qb_context *context; /* not a reference: the model holds it */
  qb_status status;    /* first failure of a building function, which then do nothing */
  size_t tensor_count, tensor_capacity;
  qb__tensor *tensors;
  size_t operator_count, operator_capacity;
  qb__operator *operators;
  size_t input_count, input_capacity;
  int32_t *inputs; /* activations */
  size_t output_count, output_capacity;
  int32_t *outputs; /* activations, each once and none of them an input */
  size_t file_count, file_capacity;
  char **files; /* that it was read from; owned */
} qb__graph;

void qb__graph_init(qb__graph *graph, qb_context *context);
void qb__graph_clear(qb__graph *graph);

/*
 * A copy that borrows the constants' values of `graph`, which has to outlive it. Each operator's
 * origin is its index.
 */
qb_status qb__graph_copy(const qb__graph *graph, qb__graph *copy);

/*
 * Gives a copy of an operator of `graph` arrays of its own; the name stays. False without memory: it
 * then shares none of them.
 */
bool qb__operator_own(const qb__graph *graph, qb__operator *op);

/* Frees what an operator owns. */
void qb__operator_clear(const qb_context *context, qb__operator *op);

/*
 * The activations, or constants, that an operator reads beside weights: from 0 on, QB__NONE last.
 */
int32_t qb__operator_input(const qb__operator *op, size_t index);

/* Whether an operator computes one element from one of each of its two inputs. */
bool qb__is_binary(qb__op_kind kind);

/*
 * Building. Each function adds an operator behind those there are, works out the shape of its
 * output and returns the output's tensor; after a failure graph->status is set and QB__NONE is
 * returned and accepted as input.
 */
int32_t qb__graph_input(qb__graph *graph, const char *name, uint32_t rank, const int64_t *dims);

/* A constant whose values the caller writes into graph->tensors[result].constant, if not failed. */
int32_t qb__graph_constant(qb__graph *graph, const char *name, uint32_t rank, const int64_t *dims);

/* A constant of values that qb__free() can release, which are the graph's if it does not fail. */
int32_t qb__graph_adopt(qb__graph *graph, const char *name, uint32_t rank, const int64_t *dims,
                        float *values);

/* Weights are O, I/groups, H, W: they give the window's kernel. Images have 1 to 3 dimensions. */
int32_t qb__graph_convolution(qb__graph *graph, const char *name, int32_t x, int32_t weights,
                              int32_t bias, const qb__window *window, int64_t groups);
int32_t qb__graph_deconvolution(qb__graph *graph, const char *name, int32_t x, int32_t weights,
                                int32_t bias, const qb__window *window, int64_t groups);
int32_t qb__graph_batch_norm(qb__graph *graph, const char *name, int32_t x, int32_t scale,
                             int32_t shift, int32_t mean, int32_t variance, float epsilon);
int32_t qb__graph_activation(qb__graph *graph, const char *name, int32_t x,
                             qb__activation activation, float alpha, float beta);
int32_t qb__graph_add(qb__graph *graph, const char *name, int32_t x, int32_t addend);
/*
 * QB__OP_ADD to QB__OP_GREATER_EQUAL. Either of `x` and `y` may be a constant, but not both; they
 * have as many dimensions, and where these differ that of one is 1 and it is repeated.
 */
int32_t qb__graph_binary(qb__graph *graph, const char *name, qb__op_kind kind, int32_t x,
                         int32_t y);
/* `x` where the condition is not 0, else `y`; each may be a constant, and repeated as above. */
int32_t qb__graph_select(qb__graph *graph, const char *name, int32_t condition, int32_t x,
                         int32_t y);
/*
 * x / scale rounded to the nearest integer, halves to even, plus the zero point, and what is below
 * `low` or above `high` is that. Scale and zero point are constants of one element, or of one for
 * each along `axis`; QB__NONE stands for 1 and 0.
 */
int32_t qb__graph_quantize(qb__graph *graph, const char *name, int32_t x, int32_t scale,
                           int32_t zero_point, uint32_t axis, float low, float high);
/* (x - zero point) * scale of integers that are `low` to `high`. */
int32_t qb__graph_dequantize(qb__graph *graph, const char *name, int32_t x, int32_t scale,
                             int32_t zero_point, uint32_t axis, float low, float high);
/*
 * The layers and products of matrices behind the first `before` operators are of integers, and
 * their sums are to be exact: no absolute input is above `x`, and none of a second matrix above
 * `y`.
 */
void qb__graph_mark_integers(qb__graph *graph, size_t before, float x, float y);
/*
 * Whether 32-bit floats hold all sums of an operator on integers, in whichever order they are
 * added.
 */
bool qb__sums_fit_floats(const qb__graph *graph, const qb__operator *op);
/* Padding counts in an average where `include_padding`. */
int32_t qb__graph_pool(qb__graph *graph, const char *name, qb__op_kind kind, int32_t x,
                       const qb__window *window, bool include_padding);
int32_t qb__graph_lrn(qb__graph *graph, const char *name, int32_t x, int64_t size, float alpha,
                      float beta, float k);
/* Weights are O, I. */
int32_t qb__graph_dense(qb__graph *graph, const char *name, int32_t x, int32_t weights,
                        int32_t bias);
/*
 * Weights are O, I with I the last dimension of `x`, which becomes O: the layer is the same for
 * each row.
 */
int32_t qb__graph_linear(qb__graph *graph, const char *name, int32_t x, int32_t weights,
                         int32_t bias);
/*
 * x is .., M, K and y is .., K, N with as many dimensions; the leading ones are repeated as those
 * of binary operators. Either may be a constant, but not both.
 */
int32_t qb__graph_matmul(qb__graph *graph, const char *name, int32_t x, int32_t y);
/* Or its logarithm. */
int32_t qb__graph_softmax(qb__graph *graph, const char *name, int32_t x, uint32_t axis,
                          bool logarithm);
/* The dimensions of `axes` become 1. */
int32_t qb__graph_reduce(qb__graph *graph, const char *name, qb__reduction reduction, int32_t x,
                         uint32_t axes);
/*
 * The index along `axis`, which becomes 1, of the largest or smallest: the first or last of equals.
 */
int32_t qb__graph_arg(qb__graph *graph, const char *name, int32_t x, uint32_t axis, bool largest,
                      bool last);
/*
 * (x - mean) / sqrt(variance + epsilon) * scale + shift, mean and variance over the dimensions from
 * `first_axis` on, of which scale and shift are constants, or QB__NONE.
 */
int32_t qb__graph_layer_norm(qb__graph *graph, const char *name, int32_t x, uint32_t first_axis,
                             int32_t scale, int32_t shift, float epsilon);
/*
 * The same over each of `groups` groups of channels, which are dimension 0; scale and shift have
 * one element a channel. As many groups as channels: an instance norm.
 */
int32_t qb__graph_group_norm(qb__graph *graph, const char *name, int32_t x, int64_t groups,
                             int32_t scale, int32_t shift, float epsilon);
/* To an image of `dims`, by what lies at the middle of each new element. */
int32_t qb__graph_resize(qb__graph *graph, const char *name, int32_t x, const int64_t *dims,
                         bool linear);
/* Some of the inputs may be constants, which are the same in each sample. */
int32_t qb__graph_concat(qb__graph *graph, const char *name, const int32_t *inputs, size_t count,
                         uint32_t axis);
/* `before` and `after` elements of `value` in each dimension; where negative, so many are cut. */
int32_t qb__graph_pad(qb__graph *graph, const char *name, int32_t x, const int64_t *before,
                      const int64_t *after, float value);
/*
 * Element i along `axis`, of `count`, is the sum over t < taps of factors[i * taps + t] times the
 * input's element indices[i * taps + t], or times `value` where that is -1. NULL factors are 1.
 * Copies (slice, gather, repeat, mirror, nearest neighbour) have one tap, interpolations more.
 */
int32_t qb__graph_pick(qb__graph *graph, const char *name, int32_t x, uint32_t axis, int64_t count,
                       uint32_t taps, const int64_t *indices, const float *factors, float value);
int32_t qb__graph_transpose(qb__graph *graph, const char *name, int32_t x, const uint32_t *order);
int32_t qb__graph_reshape(qb__graph *graph, const char *name, int32_t x, uint32_t rank,
                          const int64_t *dims);
int32_t qb__graph_flatten(qb__graph *graph, const char *name, int32_t x);
void qb__graph_rename(qb__graph *graph, int32_t tensor, const char *name);
void qb__graph_output(qb__graph *graph, int32_t x);

/* Notes a file that the network is read from, once. */
void qb__graph_note_file(qb__graph *graph, const char *path);

/*
 * Folds batch norms, scaling and padding into the convolutions beside them, fuses additions and
 * activations into what computes their input, and drops what nothing reads (passes.c). The result
 * computes the same.
 */
qb_status qb__graph_optimize(qb__graph *graph);

/* Work of one operator on one sample (count.c). */
double qb__operator_flops(const qb__graph *graph, const qb__operator *op);
uint64_t qb__operator_activation_bytes(const qb__graph *graph, const qb__operator *op);
uint64_t qb__operator_weight_bytes(const qb__graph *graph, const qb__operator *op);

/* "convolution+add+relu" (count.c); static. */
const char *qb__operator_kind_name(const qb__operator *op);

#endif
