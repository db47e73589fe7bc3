/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/layer_choice.h"

#include "core/alloc.h"
#include "core/error.h"
#include "engine/layer_trial.h"
#include "engine/network_plan_impl.h"

#include <math.h>
#include <string.h>

enum { WAYS = QB__WAY_COUNT - QB__WAY_PREFERRED };

/* Another way than oneDNN's first has to be faster by more than trials are uncertain. */
static const double WORTH_IT = 0.97;

typedef struct layer {
  qb__planner *planner;
  uint32_t index;
  qb__request request; /* dimensions alone */
  const qb__layout *have, *addend, *packed;
  bool usual, addend_usual; /* they lie as primitives expect it */
  int64_t rows;             /* of the input in a sample: more than 1 in linear layers alone */
} layer;

/* Whether weights are a matrix. */
static bool is_matrix(const qb__operator *op)
{
  return op->kind == QB__OP_DENSE || op->kind == QB__OP_LINEAR;
}

qb__dims qb__weights_dims(const qb__graph *graph, const qb__operator *op)
{
  qb__dims dims = {0, {0}};
  const qb__tensor *w = &graph->tensors[op->weights];
  const int64_t groups = w->rank == 2 ? 1 : op->groups;
  if (groups > 1)
    dims.at[dims.count++] = groups;
  dims.at[dims.count++] = w->dims[0] / groups;
  for (uint32_t i = 1; i < w->rank; i++)
    dims.at[dims.count++] = w->dims[i];
  return dims;
}

bool qb__is_slow(const qb__made *made)
{
  return strstr(made->implementation, "ref") != NULL;
}

static layer layer_of(qb__planner *p, uint32_t index, int32_t source, int32_t addend,
                      int32_t destination)
{
  const qb__operator *op = &p->graph->operators[index];
  layer l = {.planner = p, .index = index, .have = p->plan->slots[source].layout};
  l.addend = addend == QB__NONE ? NULL : p->plan->slots[addend].layout;
  l.packed = qb__packed_layout(p->packed, op->weights);
  l.request.op = op;
  l.request.source_dims = p->plan->slots[source].dims;
  l.request.weights_dims = qb__weights_dims(p->graph, op);
  l.request.destination_dims = qb__plan_dims(&p->graph->tensors[op->output], p->plan->batch);
  l.usual = qb__plan_is_usual(p, source);
  l.addend_usual = addend != QB__NONE && qb__plan_is_usual(p, addend);
  l.rows = l.request.source_dims.at[0] / p->plan->batch;
  if (destination != QB__NONE) {
    l.request.destination_dims = p->plan->slots[destination].dims;
    l.request.source = l.have;
    l.request.destination = p->plan->slots[destination].layout;
  }
  return l;
}

/* Replaces what was made by the same implementation on another request, where there is that. */
static void refine(const layer *l, const qb__request *request, qb__made *made)
{
  const qb_context *context = l->planner->context;
  qb__made other;
  if (qb__primitive_describe(context, l->planner->engine, request, &other))
    return;
  if (strcmp(other.implementation, made->implementation) != 0) {
    qb__made_clear(context, &other);
    return;
  }
  qb__made_clear(context, made);
  *made = other;
}

/* The layouts a way asks for; *owned is to be freed. */
static qb_status ask_for(const layer *l, qb__layer_way way, qb__request *request,
                         qb__layout **owned)
{
  const qb_context *context = l->planner->context;
  static const uint32_t columns[2] = {1, 0};
  const qb__operator *op = request->op;
  const int64_t block = way == QB__WAY_BLOCKED_16 ? 16 : 8;
  qb__layout *rows = NULL;
  qb_status status = QB_OK;
  const bool for_matrix = way == QB__WAY_ROWS || way == QB__WAY_COLUMNS;
  if (for_matrix && !is_matrix(op))
    return QB_ERROR_UNSUPPORTED;
  switch (way) {
  case QB__WAY_IN_PLACE:
    if (!l->usual)
      return QB_ERROR_UNSUPPORTED;
    request->source = l->have;
    break;
  case QB__WAY_BLOCKED_16:
  case QB__WAY_BLOCKED_8:
    if (op->kind != QB__OP_CONVOLUTION || request->source_dims.at[1] / op->groups % block)
      return QB_ERROR_UNSUPPORTED; /* too few channels fill no block */
    status = qb__layout_channel_blocks(context, &request->source_dims, block, owned);
    request->source = *owned;
    break;
  case QB__WAY_WINOGRAD:
    if (op->kind != QB__OP_CONVOLUTION || op->window.kernel[0] != 3 || op->window.kernel[1] != 3)
      return QB_ERROR_UNSUPPORTED;
    request->winograd = true;
    break;
  case QB__WAY_ROWS:
    status = qb__layout_plain(context, &request->weights_dims, owned);
    request->weights = *owned;
    break;
  case QB__WAY_COLUMNS: {
    const qb__dims turned = {2, {request->weights_dims.at[1], request->weights_dims.at[0]}};
    status = qb__layout_plain(context, &turned, &rows);
    if (!status)
      status = qb__layout_permuted(context, rows, 2, columns, owned);
    qb__layout_free(context, rows);
    request->weights = *owned;
    break;
  }
  case QB__WAY_UNKNOWN:
  case QB__WAY_PREFERRED:
  case QB__WAY_COUNT: break;
  }
  return status;
}

/*
 * One way of a layer: on weights that are packed already if it can, and on the input and the addend
 * as they lie if that is the same implementation. Leaves *made empty where there is no such way.
 */
static qb_status make(const layer *l, qb__layer_way way, qb__made *made)
{
  qb__planner *p = l->planner;
  qb__request request = l->request;
  qb__layout *owned = NULL;
  memset(made, 0, sizeof *made);
  qb_status status = ask_for(l, way, &request, &owned);
  if (!status && l->packed)
    request.weights = l->packed;
  if (!status)
    status = qb__primitive_describe(p->context, p->engine, &request, made);
  if (!status && l->usual && !qb__layout_equal(made->source, l->have)) {
    qb__request other = request;
    other.source = l->have;
    refine(l, &other, made);
    if (qb__layout_equal(made->source, l->have))
      request = other;
  }
  if (!status && l->addend_usual && !qb__layout_equal(made->destination, l->addend)) {
    request.destination = l->addend;
    refine(l, &request, made);
  }
  qb__layout_free(p->context, owned);
  return status == QB_ERROR_UNSUPPORTED ? QB_OK : status;
}

/* Whether other batch sizes can use the same weights. */
static bool weights_serve_all(const layer *l, qb__layer_way way, const qb__made *made)
{
  static const uint32_t batches[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64};
  qb__planner *p = l->planner;
  for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
    qb__request request = {.op = l->request.op,
                           .source_dims = l->request.source_dims,
                           .weights_dims = l->request.weights_dims,
                           .destination_dims = l->request.destination_dims,
                           .weights = made->weights,
                           .winograd = way == QB__WAY_WINOGRAD};
    request.source_dims.at[0] = request.destination_dims.at[0] = batches[i] * l->rows;
    qb__made other;
    if (qb__primitive_describe(p->context, p->engine, &request, &other))
      return false;
    const bool same = !strcmp(other.implementation, made->implementation);
    qb__made_clear(p->context, &other);
    if (!same && (way == QB__WAY_WINOGRAD))
      return false;
  }
  return true;
}

static bool same_result(const qb__made *a, const qb__made *b)
{
  return !strcmp(a->implementation, b->implementation) && qb__layout_equal(a->source, b->source) &&
         qb__layout_equal(a->weights, b->weights) &&
         qb__layout_equal(a->destination, b->destination);
}

/* All ways there are, the different ones only; ways[i] of made[i]. */
static qb_status collect(const layer *l, qb__layer_way *ways, qb__made *made, size_t *count)
{
  const qb_context *context = l->planner->context;
  const qb__layer_way last = qb__other_layouts_are_sound() ? QB__WAY_COLUMNS : QB__WAY_PREFERRED;
  *count = 0;
  for (qb__layer_way way = QB__WAY_PREFERRED; way <= last; way++) {
    qb__made *each = &made[*count];
    const qb_status status = make(l, way, each);
    if (status)
      return status;
    bool keep = each->description && (!*count || !qb__is_slow(each)) &&
                (!*count || weights_serve_all(l, way, each));
    for (size_t i = 0; keep && i < *count; i++)
      keep = !same_result(&made[i], each);
    if (keep)
      ways[(*count)++] = way;
    else
      qb__made_clear(context, each);
  }
  return QB_OK;
}

/* Adds the logarithm of each way's time at the layer's batch size to its cost; infinite: no such way. */
static qb_status add_times(const layer *l, double *cost)
{
  qb__planner *p = l->planner;
  qb__layer_way ways[WAYS];
  qb__made made[WAYS];
  int64_t ns[WAYS] = {1};
  size_t count;
  qb_status status = collect(l, ways, made, &count);
  if (!status && !count)
    status = qb__fail(QB_ERROR_UNSUPPORTED, "oneDNN has nothing for these shapes");
  for (size_t i = 0; i < count && count > 1 && !status; i++)
    status = qb__primitive_compile(&made[i]);
  if (!status && count > 1)
    status = qb__layer_trial(p, l->request.op, l->have, l->addend, made, count, ns);
  double sum[QB__WAY_COUNT];
  for (int way = 0; way < QB__WAY_COUNT; way++)
    sum[way] = INFINITY;
  for (size_t i = 0; i < count && !status; i++)
    sum[ways[i]] = cost[ways[i]] + log((double)(ns[i] > 0 ? ns[i] : 1));
  memcpy(cost, sum, sizeof sum);
  for (size_t i = 0; i < count; i++)
    qb__made_clear(p->context, &made[i]);
  return status;
}

/* The same at another batch size. */
static qb_status add_times_at(const layer *l, uint32_t batch, double *cost)
{
  const qb_context *context = l->planner->context;
  qb__layout *have = NULL, *addend = NULL, *destination = NULL;
  layer other = *l;
  other.request.source_dims.at[0] = other.request.destination_dims.at[0] = batch * l->rows;
  qb_status status =
      qb__layout_like(context, l->have, &l->request.source_dims, &other.request.source_dims, &have);
  if (!status && l->addend)
    status = qb__layout_like(context, l->addend, &l->request.destination_dims,
                             &other.request.destination_dims, &addend);
  if (!status && l->request.destination)
    status = qb__layout_plain(context, &other.request.destination_dims, &destination);
  other.have = have;
  other.addend = addend;
  other.request.source = l->request.source ? have : NULL;
  other.request.destination = destination;
  if (!status)
    status = add_times(&other, cost);
  qb__layout_free(context, destination);
  qb__layout_free(context, addend);
  qb__layout_free(context, have);
  return status;
}

/* The way with the least geometric mean over the batch sizes of trials. */
static qb_status try_all(const layer *l, qb__layer_way *best)
{
  /* A dense layer takes as long as its weights are streamed with few samples, and as its arithmetic
   * with many: no one batch size tells of both. A convolution's ways are alike at all of them. */
  static const uint32_t batches[] = {QB__TRIAL_BATCH, 1, 4, 16};
  const bool dense = l->request.op->kind == QB__OP_DENSE;
  const size_t first = dense ? 1 : 0, end = dense ? sizeof batches / sizeof *batches : 1;
  double cost[QB__WAY_COUNT] = {0};
  qb_status status = QB_OK;
  for (size_t i = first; i < end && !status; i++)
    status = add_times_at(l, batches[i], cost);
  *best = QB__WAY_PREFERRED;
  for (qb__layer_way way = QB__WAY_PREFERRED; way < QB__WAY_COUNT; way++)
    if (cost[way] < cost[*best] + (double)(end - first) * log(WORTH_IT))
      *best = way;
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
  const qb__operator *op = l->request.op;
  for (uint32_t i = 0; i < l->index; i++) {
    const qb__operator *other = &p->graph->operators[i];
    const qb__choice *choice = &p->choices[i];
    if (other->kind == op->kind && choice->way && other->groups == op->groups &&
        other->activation == op->activation &&
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

/* In the way chosen before, or as near to it as this batch size allows. */
static qb_status make_again(layer *l, qb__layer_way way, qb__made *made)
{
  const struct {
    qb__layer_way way;
    const qb__layout *packed;
    bool slow_will_do;
  } attempts[] = {{way, l->packed, false},
                  {QB__WAY_PREFERRED, l->packed, false},
                  {QB__WAY_PREFERRED, NULL, true},
                  {way, NULL, true}};
  for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
    l->packed = attempts[i].packed;
    const qb_status status = make(l, attempts[i].way, made);
    if (status || (made->description && (attempts[i].slow_will_do || !qb__is_slow(made))))
      return status;
    qb__made_clear(l->planner->context, made);
  }
  return qb__fail(QB_ERROR_UNSUPPORTED, "oneDNN has nothing for these shapes");
}

qb_status qb__layer_choose(qb__planner *p, uint32_t index, int32_t source, int32_t addend,
                           int32_t destination, qb__made *made)
{
  layer l = layer_of(p, index, source, addend, destination);
  qb__choice *choice = &p->choices[index];
  if (choice->way && (qb__other_layouts_are_sound() || choice->way == QB__WAY_PREFERRED))
    return make_again(&l, choice->way, made);
  const qb__choice *known = twin(&l);
  qb__layer_way way = known ? known->way : QB__WAY_UNKNOWN;
  qb_status status = known ? QB_OK : try_all(&l, &way);
  if (!status)
    status = make(&l, way, made);
  if (!status)
    *choice = (qb__choice){.way = way, .source = source, .addend = addend};
  return status;
}
