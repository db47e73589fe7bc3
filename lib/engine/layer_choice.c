/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/layer_choice.h"

#include "core/alloc.h"
#include "core/error.h"
#include "engine/kernel.h"
#include "engine/layer_trial.h"
#include "engine/network_plan_impl.h"

#include <math.h>
#include <string.h>

enum { ALGORITHMS = QB__ALGORITHM_COUNT - QB__ALGORITHM_PREFERRED };

/* An algorithm other than oneDNN's first has to be faster by more than trials are uncertain. */
static const double WORTH_IT = 0.97;

typedef struct layer {
  qb__planner *planner;
  uint32_t index;
  qb__primitive_spec spec; /* dimensions alone */
  const qb__layout *have, *addend, *packed;
  bool usual, addend_usual; /* they lie, and are of the type, as primitives expect it */
  int64_t rows;             /* of the input in a sample: more than 1 in linear layers alone */
} layer;

/* Whether weights are a matrix. */
static bool is_matrix(const qb__operator *op)
{
  return op->kind == QB__OP_DENSE || op->kind == QB__OP_LINEAR;
}

bool qb__is_slow(const qb__primitive *primitive)
{
  return strstr(primitive->implementation, "ref") != NULL;
}

static layer layer_of(qb__planner *p, uint32_t index, int32_t source, int32_t addend,
                      int32_t destination)
{
  const qb__operator *op = &p->graph->operators[index];
  layer l = {.planner = p, .index = index, .have = p->plan->slots[source].layout};
  l.addend = addend == QB__NONE ? NULL : p->plan->slots[addend].layout;
  l.packed = qb__packed_layout(p->packed, op->weights);
  l.spec.op = op;
  l.spec.findings = p->findings;
  if (op->requantize.applies)
    l.spec.factors = p->graph->tensors[op->requantize.factors].constant;
  l.spec.source_dims = p->plan->slots[source].dims;
  l.spec.weights_dims = qb__plan_weights_dims(p->graph, op);
  if (l.spec.weights_dims.type == QB__TYPE_BF16)
    l.spec.source_dims.type = QB__TYPE_BF16; /* what it is not yet, it is made */
  l.spec.destination_dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  l.usual =
      l.spec.source_dims.type == p->plan->slots[source].dims.type && qb__plan_is_usual(p, source);
  l.addend_usual = addend != QB__NONE && qb__plan_is_usual(p, addend) &&
                   p->plan->slots[addend].dims.type == l.spec.destination_dims.type;
  l.rows = l.spec.source_dims.at[0] / p->plan->batch;
  if (destination != QB__NONE) {
    l.spec.destination_dims = p->plan->slots[destination].dims;
    l.spec.source = l.have;
    l.spec.destination = p->plan->slots[destination].layout;
  }
  return l;
}

/* Replaces the primitive by the same implementation on another spec, where there is one. */
static void refine(const layer *l, const qb__primitive_spec *spec, qb__primitive *primitive)
{
  const qb_context *context = l->planner->context;
  qb__primitive other;
  if (qb__primitive_describe(context, l->planner->engine, spec, &other))
    return;
  if (strcmp(other.implementation, primitive->implementation) != 0) {
    qb__primitive_clear(context, &other);
    return;
  }
  qb__primitive_clear(context, primitive);
  *primitive = other;
}

/* The layouts that an algorithm asks for; *owned is to be freed. */
static qb_status ask_for(const layer *l, qb__layer_algorithm algorithm, qb__primitive_spec *spec,
                         qb__layout **owned)
{
  const qb_context *context = l->planner->context;
  static const uint32_t columns[2] = {1, 0};
  const qb__operator *op = spec->op;
  const int64_t block = algorithm == QB__ALGORITHM_BLOCKED_16 ? 16 : 8;
  qb__layout *rows = NULL;
  qb_status status = QB_OK;
  const bool for_matrix = algorithm == QB__ALGORITHM_ROWS || algorithm == QB__ALGORITHM_COLUMNS;
  if (for_matrix && !is_matrix(op))
    return QB_ERROR_UNSUPPORTED;
  if (l->planner->choices[l->index].unblocked && qb__is_blocked(algorithm))
    return QB_ERROR_UNSUPPORTED;
  switch (algorithm) {
  case QB__ALGORITHM_IN_PLACE:
    if (!l->usual)
      return QB_ERROR_UNSUPPORTED;
    spec->source = l->have;
    break;
  case QB__ALGORITHM_BLOCKED_16:
  case QB__ALGORITHM_BLOCKED_8:
    if (op->kind != QB__OP_CONVOLUTION || spec->source_dims.at[1] / op->groups % block)
      return QB_ERROR_UNSUPPORTED; /* too few channels fill no block */
    status = qb__layout_channel_blocks(context, &spec->source_dims, block, owned);
    spec->source = *owned;
    break;
  case QB__ALGORITHM_ROWS:
    status = qb__layout_plain(context, &spec->weights_dims, owned);
    spec->weights = *owned;
    break;
  case QB__ALGORITHM_COLUMNS: {
    const qb__dims turned = {2, {spec->weights_dims.at[1], spec->weights_dims.at[0]}};
    status = qb__layout_plain(context, &turned, &rows);
    if (!status)
      status = qb__layout_permuted(context, rows, 2, columns, owned);
    qb__layout_free(context, rows);
    spec->weights = *owned;
    break;
  }
  case QB__ALGORITHM_UNKNOWN:
  case QB__ALGORITHM_PREFERRED:
  case QB__ALGORITHM_WINOGRAD:
  case QB__ALGORITHM_COUNT: break;
  }
  return status;
}

/* The layout of channels that minimal filtering reads or writes: as they lie, if it takes that. */
static qb_status place_channels(const layer *l, const qb__layout *there, const qb__dims *dims,
                                qb__layout **layout)
{
  const qb_context *context = l->planner->context;
  if (there && qb__winograd_reads(there, dims))
    return qb__layout_copy(context, there, layout);
  return l->planner->choices[l->index].unblocked
             ? qb__layout_channels_last(context, dims, layout)
             : qb__layout_channel_blocks(context, dims, 16, layout);
}

/* A layer by minimal filtering, which writes in the layout that it reads, or over its addend. */
static qb_status make_winograd(const layer *l, qb__primitive *primitive)
{
  const qb_context *context = l->planner->context;
  const qb__primitive_spec *s = &l->spec;
  qb__dims weights;
  memset(primitive, 0, sizeof *primitive);
  if (!qb__winograd_computes(s->op, &s->source_dims, &s->destination_dims) ||
      qb__is_passed_over(s->findings, s->op->origin, QB__OWN_WINOGRAD))
    return QB_OK;
  qb__winograd_weights_dims(&s->weights_dims, &weights);
  qb_status status =
      place_channels(l, l->usual ? l->have : NULL, &s->source_dims, &primitive->source);
  if (!status && l->addend_usual)
    status = place_channels(l, l->addend, &s->destination_dims, &primitive->destination);
  else if (!status)
    status = qb__layout_like(context, primitive->source, &s->source_dims, &s->destination_dims,
                             &primitive->destination);
  if (!status)
    status = qb__layout_plain(context, &weights, &primitive->weights);
  if (!status)
    status = qb__kernel_winograd(context, s->op, &s->source_dims, primitive->source,
                                 &s->destination_dims, primitive->destination, &primitive->kernel,
                                 &primitive->scratchpad_bytes);
  if (status)
    qb__primitive_clear(context, primitive);
  else
    memcpy(primitive->implementation, QB__OWN_WINOGRAD, sizeof QB__OWN_WINOGRAD);
  return status == QB_ERROR_UNSUPPORTED ? QB_OK : status;
}

/*
 * A layer by one algorithm: on weights that are packed already if it can, and on the input and the
 * addend as they lie if that is the same implementation. Leaves *primitive empty where the
 * algorithm does not apply.
 */
static qb_status make(const layer *l, qb__layer_algorithm algorithm, qb__primitive *primitive)
{
  qb__planner *p = l->planner;
  qb__primitive_spec spec = l->spec;
  qb__layout *owned = NULL;
  if (algorithm == QB__ALGORITHM_WINOGRAD)
    return make_winograd(l, primitive);
  memset(primitive, 0, sizeof *primitive);
  qb_status status = ask_for(l, algorithm, &spec, &owned);
  if (!status && l->packed)
    spec.weights = l->packed;
  if (!status)
    status = qb__primitive_describe(p->context, p->engine, &spec, primitive);
  if (!status && l->usual && !qb__layout_equal(primitive->source, l->have)) {
    qb__primitive_spec other = spec;
    other.source = l->have;
    refine(l, &other, primitive);
    if (qb__layout_equal(primitive->source, l->have))
      spec = other;
  }
  if (!status && l->addend_usual && !qb__layout_equal(primitive->destination, l->addend)) {
    spec.destination = l->addend;
    refine(l, &spec, primitive);
  }
  qb__layout_free(p->context, owned);
  return status == QB_ERROR_UNSUPPORTED ? QB_OK : status;
}

/* Whether other batch sizes can use the same weights. */
static bool weights_serve_all(const layer *l, const qb__primitive *primitive)
{
  static const uint32_t batches[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64};
  qb__planner *p = l->planner;
  for (size_t i = 0; i < sizeof batches / sizeof *batches && !primitive->kernel; i++) {
    qb__primitive_spec spec = {.op = l->spec.op,
                               .findings = p->findings,
                               .source_dims = l->spec.source_dims,
                               .weights_dims = l->spec.weights_dims,
                               .destination_dims = l->spec.destination_dims,
                               .weights = primitive->weights,
                               .factors = l->spec.factors};
    spec.source_dims.at[0] = spec.destination_dims.at[0] = batches[i] * l->rows;
    qb__primitive other;
    if (qb__primitive_describe(p->context, p->engine, &spec, &other))
      return false;
    qb__primitive_clear(p->context, &other);
  }
  return true;
}

static bool same_result(const qb__primitive *a, const qb__primitive *b)
{
  return !strcmp(a->implementation, b->implementation) && qb__layout_equal(a->source, b->source) &&
         qb__layout_equal(a->weights, b->weights) &&
         qb__layout_equal(a->destination, b->destination);
}

/* The algorithms that apply, without those that give the same; algorithms[i] of primitives[i]. */
static qb_status collect(const layer *l, qb__layer_algorithm *algorithms, qb__primitive *primitives,
                         size_t *count)
{
  const qb_context *context = l->planner->context;
  /* Kernels on integers are written for the channels last, and for nothing else. */
  const qb__layer_algorithm end =
      l->spec.op->requantize.applies ? QB__ALGORITHM_PREFERRED + 1 : QB__ALGORITHM_COUNT;
  *count = 0;
  for (qb__layer_algorithm algorithm = QB__ALGORITHM_PREFERRED; algorithm < end; algorithm++) {
    qb__primitive *each = &primitives[*count];
    const qb_status status = make(l, algorithm, each);
    if (status)
      return status;
    bool keep = qb__primitive_exists(each) && (!*count || !qb__is_slow(each)) &&
                (!*count || weights_serve_all(l, each));
    for (size_t i = 0; keep && i < *count; i++)
      keep = !same_result(&primitives[i], each);
    if (keep)
      algorithms[(*count)++] = algorithm;
    else
      qb__primitive_clear(context, each);
  }
  return QB_OK;
}

/*
 * Adds the logarithm of each algorithm's time at the layer's batch size to its cost; infinite where
 * it does not apply.
 */
static qb_status add_times(const layer *l, double *cost)
{
  qb__planner *p = l->planner;
  qb__layer_algorithm algorithms[ALGORITHMS];
  qb__primitive primitives[ALGORITHMS];
  int64_t ns[ALGORITHMS] = {1};
  size_t count;
  qb_status status = collect(l, algorithms, primitives, &count);
  if (!status && !count)
    status = qb__fail(QB_ERROR_UNSUPPORTED, "oneDNN has no implementation for these shapes");
  for (size_t i = 0; i < count && count > 1 && !status; i++)
    status = qb__plan_compile(p, l->index, &primitives[i]);
  if (!status && count > 1)
    status = qb__layer_trial(p, l->spec.op, l->have, l->addend, primitives, count, ns);
  double sum[QB__ALGORITHM_COUNT];
  for (int algorithm = 0; algorithm < QB__ALGORITHM_COUNT; algorithm++)
    sum[algorithm] = INFINITY;
  for (size_t i = 0; i < count && !status; i++)
    sum[algorithms[i]] = cost[algorithms[i]] + log((double)(ns[i] > 0 ? ns[i] : 1));
  memcpy(cost, sum, sizeof sum);
  for (size_t i = 0; i < count; i++)
    qb__primitive_clear(p->context, &primitives[i]);
  return status;
}

/* The same at another batch size. */
static qb_status add_times_at(const layer *l, uint32_t batch, double *cost)
{
  const qb_context *context = l->planner->context;
  qb__layout *have = NULL, *addend = NULL, *destination = NULL;
  layer other = *l;
  other.spec.source_dims.at[0] = other.spec.destination_dims.at[0] = batch * l->rows;
  qb_status status =
      qb__layout_like(context, l->have, &l->spec.source_dims, &other.spec.source_dims, &have);
  if (!status && l->addend)
    status = qb__layout_like(context, l->addend, &l->spec.destination_dims,
                             &other.spec.destination_dims, &addend);
  if (!status && l->spec.destination)
    status = qb__layout_plain(context, &other.spec.destination_dims, &destination);
  other.have = have;
  other.addend = addend;
  other.spec.source = l->spec.source ? have : NULL;
  other.spec.destination = destination;
  if (!status)
    status = add_times(&other, cost);
  qb__layout_free(context, destination);
  qb__layout_free(context, addend);
  qb__layout_free(context, have);
  return status;
}

/* The algorithm of the least cost, sums of `count` logarithms; others than `not`. */
static qb__layer_algorithm cheapest(const double *cost, size_t count, qb__layer_algorithm not )
{
  qb__layer_algorithm best = QB__ALGORITHM_PREFERRED;
  for (qb__layer_algorithm algorithm = QB__ALGORITHM_PREFERRED; algorithm < QB__ALGORITHM_COUNT;
       algorithm++)
    if (algorithm != not &&cost[algorithm] < cost[best] + (double)count * log(WORTH_IT))
      best = algorithm;
  return best;
}

/* Minimal filtering has four times the weights, which single samples stream all the same. */
static qb_status try_one_sample(const layer *l, const double *cost, qb__layer_algorithm *best)
{
  double one[QB__ALGORITHM_COUNT] = {0};
  const qb_status status = add_times_at(l, 1, one);
  if (!status && cheapest(one, 1, QB__ALGORITHM_COUNT) != *best)
    *best = cheapest(cost, 1, *best);
  return status;
}

/* The algorithm with the least geometric mean over the batch sizes of trials. */
static qb_status try_all(const layer *l, qb__layer_algorithm *best)
{
  /* A dense layer takes as long as its weights are streamed with few samples, and as its arithmetic
   * with many: no single batch size shows both. A convolution's algorithms are alike at all of
   * them, but for one. */
  static const uint32_t batches[] = {QB__TRIAL_BATCH, 1, 4, 16};
  const bool dense = l->spec.op->kind == QB__OP_DENSE;
  const size_t first = dense ? 1 : 0, end = dense ? sizeof batches / sizeof *batches : 1;
  double cost[QB__ALGORITHM_COUNT] = {0};
  qb_status status = QB_OK;
  for (size_t i = first; i < end && !status; i++)
    status = add_times_at(l, batches[i], cost);
  *best = cheapest(cost, end - first, QB__ALGORITHM_COUNT);
  if (!status && *best == QB__ALGORITHM_WINOGRAD)
    status = try_one_sample(l, cost, best);
  return status;
}

static bool same_tensors(const qb__graph *g, int32_t a, int32_t b)
{
  return g->tensors[a].rank == g->tensors[b].rank &&
         !memcmp(g->tensors[a].dims, g->tensors[b].dims,
                 g->tensors[a].rank * sizeof *g->tensors[a].dims);
}

/* An earlier layer of the same shape on the same layouts, whose choice serves this one. */
static const qb__choice *twin(const layer *l)
{
  const qb__planner *p = l->planner;
  const qb__operator *op = l->spec.op;
  for (uint32_t i = 0; i < l->index; i++) {
    const qb__operator *other = &p->graph->operators[i];
    const qb__choice *choice = &p->choices[i];
    if (other->kind == op->kind && choice->algorithm && other->groups == op->groups &&
        other->activation == op->activation &&
        (other->integer_limit != 0) == (op->integer_limit != 0) &&
        other->requantize.applies == op->requantize.applies &&
        (other->bias == QB__NONE) == (op->bias == QB__NONE) &&
        !memcmp(&other->window, &op->window, sizeof op->window) &&
        same_tensors(p->graph, other->input, op->input) &&
        same_tensors(p->graph, other->weights, op->weights) &&
        qb__layout_equal(p->plan->slots[choice->source].layout, l->have) &&
        (choice->addend == QB__NONE) == !l->addend &&
        (!l->addend || qb__layout_equal(p->plan->slots[choice->addend].layout, l->addend)))
      return choice;
  }
  return NULL;
}

/* By the algorithm chosen before, or as near to it as this batch size allows. */
static qb_status make_again(layer *l, qb__layer_algorithm algorithm, qb__primitive *primitive)
{
  const struct {
    qb__layer_algorithm algorithm;
    const qb__layout *packed;
    bool slow_will_do;
  } attempts[] = {{algorithm, l->packed, false},
                  {QB__ALGORITHM_PREFERRED, l->packed, false},
                  {QB__ALGORITHM_PREFERRED, NULL, true},
                  {algorithm, NULL, true}};
  for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
    l->packed = attempts[i].packed;
    const qb_status status = make(l, attempts[i].algorithm, primitive);
    if (status ||
        (qb__primitive_exists(primitive) && (attempts[i].slow_will_do || !qb__is_slow(primitive))))
      return status;
    qb__primitive_clear(l->planner->context, primitive);
  }
  return qb__fail(QB_ERROR_UNSUPPORTED, "oneDNN has no implementation for these shapes");
}

qb_status qb__layer_choose(qb__planner *p, uint32_t index, int32_t source, int32_t addend,
                           int32_t destination, qb__primitive *primitive)
{
  layer l = layer_of(p, index, source, addend, destination);
  qb__choice *choice = &p->choices[index];
  if (choice->algorithm)
    return make_again(&l, choice->algorithm, primitive);
  const qb__choice *known = twin(&l);
  qb__layer_algorithm algorithm = known ? known->algorithm : QB__ALGORITHM_UNKNOWN;
  qb_status status = known ? QB_OK : try_all(&l, &algorithm);
  if (!status)
    status = make(&l, algorithm, primitive);
  if (!status)
    *choice = (qb__choice){algorithm, source, addend, choice->unblocked};
  return status;
}
