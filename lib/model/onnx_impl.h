/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ONNX importer from inside. A file is parsed (onnx_load.c, onnx_wire.c), its constants become
 * values (onnx_tensor.c), its nodes are sorted (onnx_order.c), checked against the signatures of
 * their operators (onnx_schema.c, onnx_check.c) and gone through (onnx_import.c): those that only
 * compute shapes are evaluated (onnx_fold.c), the others are lowered onto operators of a graph
 * (onnx_map_*.c).
 */
#ifndef QB_MODEL_ONNX_IMPL_H
#define QB_MODEL_ONNX_IMPL_H

#include "model/onnx.h"
#include "model/onnx_schema.h"

#include "onnx.pb-c.h"

enum {
  QB__ONNX_RANK = QB_MAX_DIMS + 1,
  /* What a symbolic batch counts as while shapes are computed: no size a network has. */
  QB__ONNX_SYMBOLIC = 2147483629
};

typedef enum qb__onnx_kind {
  QB__ONNX_UNKNOWN, /* written by a node that is not supported */
  QB__ONNX_CONSTANT,
  QB__ONNX_ACTIVATION
} qb__onnx_kind;

#define QB__ONNX_TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

/*
 * A value that nodes name. Dimensions are as in the file, the batch included.
 *
 * Data of a constant are floats for FLOAT, FLOAT16 and BFLOAT16, doubles for DOUBLE, and for all
 * others 64-bit integers in the range of the type (UINT64 by its bits, BOOL 0 and 1). The data of
 * an activation are floats, whatever type they stand for.
 */
typedef struct qb__onnx_value {
  const char *name; /* the file's */
  qb__onnx_kind kind;
  uint32_t rank;
  int64_t dims[QB__ONNX_RANK];
  uint32_t batch_axis; /* activation: the dimension the batch is in, where there is one */
  int64_t batch_outer; /* batches one after the other in that dimension; 0: there is no such one */
  size_t elements;
  uint32_t uses;  /* by nodes still to come, and as an output of the network */
  int32_t tensor; /* of the graph: an activation, or a constant that was handed over */
  int32_t writer; /* the index of the node that writes it; QB__NONE: none does */
  int32_t type;   /* of elements: TensorProto.DataType */
  bool owned;     /* constant: data is not the graph's */
  void *data;     /* constant */
  uint8_t *open;  /* constant of integers: elements that depend on an open batch; NULL: none */
} qb__onnx_value;

typedef struct qb__onnx {
  qb_context *context;
  qb__graph *graph;
  const char *folder;      /* where external data lies; NULL: nowhere */
  const char *real_folder; /* or here, where the model is reached by a link; may be NULL */
  int64_t opset;
  bool batched;     /* one dimension of every activation is the batch, or a multiple of it */
  bool symbolic;    /* the batch has no size in the file */
  int64_t batch;    /* that size, or QB__ONNX_SYMBOLIC */
  bool mixes;       /* a node goes across the batch, so it is none: import again without */
  qb_status status; /* what ends the import at once */
  size_t value_count, value_capacity;
  qb__onnx_value *values;
  size_t slot_count; /* of the hash table of names */
  int32_t *slots;
  char problems[1536]; /* nodes that are not supported */
  size_t problem_count, problem_bytes;
} qb__onnx;

/* A node and what it reads: NULL for inputs left out. */
typedef struct qb__onnx_node {
  const Onnx__NodeProto *proto;
  const char *label; /* its name, or that of its first output */
  int64_t opset;
  const qb__onnx_schema *schema;
  const qb__onnx_form *form; /* in this opset */
  size_t input_count;
  qb__onnx_value **inputs;
} qb__onnx_node;

/* Values (onnx_values.c). Pointers stay valid until the import ends. */
qb_status qb__onnx_values_init(qb__onnx *im, size_t most);
void qb__onnx_values_clear(qb__onnx *im);
qb__onnx_value *qb__onnx_find(const qb__onnx *im, const char *name);
/* NULL and im->status set when there is one of that name. */
qb__onnx_value *qb__onnx_add(qb__onnx *im, const char *name);

/* Room for a constant. */
bool qb__onnx_make(qb__onnx *im, qb__onnx_value *value, int32_t type, uint32_t rank,
                   const int64_t *dims);
/* Marks the elements of a constant that are multiples of the open batch; false without memory. */
bool qb__onnx_mark_open(qb__onnx *im, qb__onnx_value *value);
/* Frees what a constant owns; it is unknown from then on. */
void qb__onnx_release(qb__onnx *im, qb__onnx_value *value);
/* A constant of doubles becomes one of floats, for a node that computes in those. */
void qb__onnx_narrow(qb__onnx_value *value);

/* Constants by what their data are. */
bool qb__onnx_is_float(const qb__onnx_value *value);
bool qb__onnx_is_integer(const qb__onnx_value *value);
/* The only element of a constant of floats or doubles; false for all else. */
bool qb__onnx_number(const qb__onnx_value *value, float *number);
/* The only element of a constant of the kind that an activation stands for; false for all else. */
bool qb__onnx_number_like(const qb__onnx_value *value, const qb__onnx_value *activation,
                          float *number);
/* Bytes of an element in a constant's data. */
size_t qb__onnx_width(int32_t type);

/* Makes a constant of a tensor of the file, whose data is taken over where that is possible. */
void qb__onnx_read_tensor(qb__onnx *im, Onnx__TensorProto *tensor, qb__onnx_value *value);

/*
 * `bytes` bytes of a tensor that lie in a file of their own, the caller's to free; NULL on failure.
 */
uint8_t *qb__onnx_read_external(qb__onnx *im, const Onnx__TensorProto *tensor, size_t bytes);

/* Why a node cannot be imported; its outputs stay unknown. */
__attribute__((format(printf, 3, 4))) void qb__onnx_problem(qb__onnx *im, const qb__onnx_node *node,
                                                            const char *format, ...);
/* The node goes across the batch. */
void qb__onnx_mixing(qb__onnx *im, const qb__onnx_node *node);

/* Whether a domain is that of ONNX's own operators. */
bool qb__onnx_is_standard(const char *domain);
/* A node's name, or that of its first output. */
const char *qb__onnx_label(const Onnx__NodeProto *proto);

/*
 * The nodes that outputs depend on, each behind those whose outputs it reads, the caller's to free;
 * the values that nodes write must be there (onnx_order.c).
 */
qb_status qb__onnx_sort(qb__onnx *im, const Onnx__GraphProto *graph, uint32_t **order,
                        size_t *count);

/*
 * Finds the signature of a node and checks the node against it (onnx_check.c); false after a
 * problem. What follows is for nodes that passed.
 */
bool qb__onnx_check(qb__onnx *im, qb__onnx_node *node);

/*
 * Attributes (onnx_node.c). One that is left out has the value its signature gives, one that is
 * there without a value, as writers do that drop zeros, is 0; one that the opset does not have is
 * 0, too.
 */
int64_t qb__onnx_int(const qb__onnx_node *node, const char *name);
float qb__onnx_float(const qb__onnx_node *node, const char *name);
bool qb__onnx_text_is(const qb__onnx_node *node, const char *name, const char *value);
const Onnx__AttributeProto *qb__onnx_attribute(const qb__onnx_node *node, const char *name);
/* At most `most` integers of an attribute; their number, -1 when there are more, 0 without it. */
int qb__onnx_ints(const qb__onnx_node *node, const char *name, int64_t *values, int most);
/*
 * Integers of an attribute in opsets before `since`, of constant input `index` from there on; -1
 * after a problem, 0 when they are left out. None may depend on an open batch.
 */
int qb__onnx_ints_or_input(qb__onnx *im, const qb__onnx_node *node, const char *name, int since,
                           size_t index, int64_t *values, int most);
/* Dimensions of constant input `index`, where k * QB__ONNX_SYMBOLIC is k times the open batch. */
int qb__onnx_dims_input(qb__onnx *im, const qb__onnx_node *node, const char *name, size_t index,
                        int64_t *dims, int most);
qb__onnx_value *qb__onnx_input(const qb__onnx_node *node, size_t index);
/* An axis counted from 0; false after a problem. */
bool qb__onnx_axis(qb__onnx *im, const qb__onnx_node *node, int64_t axis, uint32_t rank,
                   uint32_t *result);

/* Evaluates a node that reads only constants; false when its operator is not one that folds. */
bool qb__onnx_fold(qb__onnx *im, const qb__onnx_node *node);
bool qb__onnx_folds(const char *operator_type);

/*
 * Imports a parsed model that has a graph; its tensors are used up, and external data is where the
 * source says. With `may_batch` the first dimension of the inputs, where they share it, is taken
 * for the batch; *mixes is set, and the graph unfinished, if a node shows that it is not.
 */
qb_status qb__onnx_import_parsed(Onnx__ModelProto *model, const qb__onnx_source *source,
                                 bool may_batch, qb__graph *graph, bool *mixes);

#endif
