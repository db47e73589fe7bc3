/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/plan_check.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/hooks.h"
#include "engine/step_reference.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

/*
 * Positions of a step, and terms of its sums: the loops stay short beside the step itself. Half of
 * the positions are anywhere: what is wrong in one of 50 elements, wherever these are, is missed in
 * one of 170 checks of all positions.
 */
enum { POSITIONS = 512, FEWEST_POSITIONS = 64, MOST_TERMS = 1 << 19 };

/* A prime: no stride of a tensor meets the same values again. */
enum { VALUES = 4093 };

typedef struct sample {
  int64_t at[QB__ONEDNN_DIMS];
  qb__bounds bounds;
} sample;

typedef struct check {
  const qb_context *context;
  const qb__graph *graph;
  const qb__network_plan *plan;
  qb__workspace *workspace;
  float values[VALUES];      /* signs and magnitudes mixed, none small */
  sample samples[POSITIONS]; /* of the step being tried */
} check;

/* A step's arguments in memory that the check may write. */
typedef struct subject {
  const qb__step *step;
  struct dnnl_memory *const *arguments;
  void *owned[QB__ARG_COUNT]; /* instead of the caller's arrays */
  qb__step_values values;
} subject;

static void draw_values(check *c)
{
  uint32_t bits = 1;
  for (int i = 0; i < VALUES; i++) {
    bits = bits * 1664525 + 1013904223; /* Numerical Recipes */
    const float magnitude = 0.25f + 1.5f * (float)(bits >> 9) / (1 << 24);
    c->values[i] = bits & 128 ? magnitude : -magnitude;
  }
}

/* Whether the step's code was picked by its speed: oneDNN's, and layers of ours. */
static bool is_picked(const qb__step *step)
{
  return step->primitive || !strcmp(step->implementation, QB__OWN_WINOGRAD);
}

static bool is_change(const qb__step *step)
{
  return !strcmp(step->implementation, QB__CHANGE_OF_LAYOUT);
}

/* A layer's addend lies where its result goes. */
static bool adds_destination(const qb__operator *op)
{
  return op->addend != QB__NONE && !qb__is_binary(op->kind) && op->kind != QB__OP_MATMUL;
}

/* Memory of the check's own for what is the caller's: once where arguments share it. */
static qb_status lend_memory(const check *c, subject *s, qb__argument argument, void **data)
{
  const int32_t index = s->step->slots[argument];
  for (int a = 0; a < (int)argument; a++)
    if (s->step->slots[a] == index && s->owned[a]) {
      *data = s->owned[a];
      return QB_OK;
    }
  const qb__slot *slots = c->plan->slots;
  int32_t base = index;
  while (slots[base].view_of != QB__NONE)
    base = slots[base].view_of;
  *data = s->owned[argument] = qb__calloc(c->context, 1, qb__layout_bytes(slots[base].layout));
  return *data ? qb__memory_set(s->arguments[argument], *data) : QB_ERROR_NO_MEMORY;
}

/* The elements of an argument. */
static qb_status open_argument(const check *c, subject *s, qb__argument argument,
                               qb__elements *elements)
{
  const int32_t index = s->step->slots[argument];
  if (index == QB__NONE)
    return QB_OK;
  const qb__slot *slot = &c->plan->slots[index];
  void *data = qb__memory_data(s->arguments[argument]);
  qb_status status = QB_OK;
  if (slot->kind == QB__SLOT_INPUT || slot->kind == QB__SLOT_OUTPUT)
    status = lend_memory(c, s, argument, &data);
  return status ? status : qb__elements_make(c->context, &slot->dims, slot->layout, data, elements);
}

static qb_status open_subject(const check *c, const qb__step *step,
                              struct dnnl_memory *const *arguments, subject *s)
{
  memset(s, 0, sizeof *s);
  s->step = step;
  s->arguments = arguments;
  qb__step_values *v = &s->values;
  v->graph = c->graph;
  v->op = is_change(step) ? NULL : &c->graph->operators[step->op];
  v->adds_destination = v->op && adds_destination(v->op);
  qb_status status = open_argument(c, s, QB__ARG_SOURCE, &v->source);
  if (!status)
    status = open_argument(c, s, QB__ARG_ADDEND, &v->addend);
  if (!status && v->op && v->op->kind == QB__OP_MATMUL)
    status = open_argument(c, s, QB__ARG_WEIGHTS, &v->second);
  return status ? status : open_argument(c, s, QB__ARG_DESTINATION, &v->destination);
}

static void close_subject(const check *c, subject *s)
{
  qb__elements *all[] = {&s->values.source, &s->values.addend, &s->values.second,
                         &s->values.destination};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    qb__elements_clear(c->context, all[i]);
  for (int a = 0; a < QB__ARG_COUNT; a++)
    qb__free(c->context, s->owned[a]);
}

/* Values for all elements of an argument, and nothing else but zeros in the padding of blocks. */
static void fill(const check *c, const qb__slot *slot, const qb__elements *e, size_t phase)
{
  int64_t at[QB__ONEDNN_DIMS] = {0};
  size_t count = 1;
  for (int d = 0; d < e->dims.count; d++)
    count *= (size_t)e->dims.at[d];
  const size_t bytes = qb__layout_bytes(slot->layout);
  if (e->dims.type == QB__TYPE_F32 && bytes == count * sizeof(float) && slot->view_of == QB__NONE) {
    for (size_t i = 0; i < count; phase = 0) {
      const size_t run = count - i < VALUES - phase ? count - i : VALUES - phase;
      memcpy((float *)e->data + i, c->values + phase, run * sizeof(float));
      i += run;
    }
    return;
  }
  if (e->padded && slot->view_of == QB__NONE)
    memset(e->data, 0, bytes);
  do
    qb__element_set(e, qb__element_offset(e, at), c->values[phase++ % VALUES]);
  while (qb__next_position(&e->dims, at));
}

static void fill_inputs(const check *c, const subject *s)
{
  const struct {
    qb__argument argument;
    const qb__elements *elements;
  } all[] = {{QB__ARG_DESTINATION, &s->values.destination}, /* maybe where the source is, too */
             {QB__ARG_SOURCE, &s->values.source},
             {QB__ARG_ADDEND, &s->values.addend},
             {QB__ARG_WEIGHTS, &s->values.second}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    const int32_t slot = s->step->slots[all[i].argument];
    if (all[i].elements->dims.count && c->plan->slots[slot].kind != QB__SLOT_CONSTANT)
      fill(c, &c->plan->slots[slot], all[i].elements, 1000 * i);
  }
}

/* The terms of one sum. */
static int64_t term_count(const qb__step_values *v)
{
  if (!v->op)
    return 1;
  if (v->op->kind == QB__OP_MATMUL)
    return v->source.dims.at[v->source.dims.count - 1];
  if (v->op->kind == QB__OP_SOFTMAX)
    return v->source.dims.at[v->op->axis + 1];
  if (v->op->weights == QB__NONE)
    return 1;
  const qb__tensor *w = &v->graph->tensors[v->op->weights];
  return (int64_t)w->elements / w->dims[0];
}

static int position_count(const qb__step_values *v)
{
  const int64_t affordable = MOST_TERMS / term_count(v);
  return affordable > POSITIONS          ? POSITIONS
         : affordable < FEWEST_POSITIONS ? FEWEST_POSITIONS
                                         : (int)affordable;
}

static bool is_right(const subject *s, const sample *samples, int count, const sample **wrong)
{
  for (int i = 0; i < count; i++) {
    const double y = qb__element(&s->values.destination, samples[i].at);
    *wrong = &samples[i];
    /* A NaN is none of the bounds; where these are infinite, any result will do. */
    if (isfinite(samples[i].bounds.low) &&
        !(y >= samples[i].bounds.low && y <= samples[i].bounds.high))
      return false;
  }
  return true;
}

static void tell(const check *c, const subject *s, const sample *wrong)
{
  char place[160] = "";
  const qb__dims *dims = &s->values.destination.dims;
  for (int d = 0; d < dims->count; d++) {
    const size_t used = strlen(place);
    snprintf(place + used, sizeof place - used, "%s%lld", d ? "," : "", (long long)wrong->at[d]);
  }
  qb__message(c->context, QB_SEVERITY_WARNING,
              "%s computes operator '%s' wrongly with %s at batch %u: %g instead of %g at "
              "position %s; it is passed over",
              s->step->primitive ? qb__onednn_version() : "libqosbatch",
              c->graph->operators[s->step->op].name, s->step->implementation, c->plan->batch,
              qb__element(&s->values.destination, wrong->at),
              (wrong->bounds.low + wrong->bounds.high) / 2, place);
}

/* Those of a small result are all its positions; returns how many. */
static int choose_positions(check *c, const subject *s)
{
  const qb__dims *dims = &s->values.destination.dims;
  const int most = position_count(&s->values), threads = omp_get_max_threads();
  uint64_t random = s->step->op + 1;
  int64_t next[QB__ONEDNN_DIMS] = {0}, all = 1;
  for (int d = 0; d < dims->count; d++)
    all *= dims->at[d];
  const int count = all < most ? (int)all : most;
  for (int i = 0; i < count; i++) {
    memcpy(c->samples[i].at, next, sizeof next);
    if (all > most)
      qb__draw_position(&random, dims, threads, c->samples[i].at);
    else
      qb__next_position(dims, next);
  }
  return count;
}

/* Runs one step on values of the check's own. */
static qb_status try_step(check *c, subject *s, bool *right)
{
  const int count = choose_positions(c, s);
  const sample *wrong = NULL;
  fill_inputs(c, s);
  for (int i = 0; i < count; i++)
    c->samples[i].bounds = qb__step_bounds(&s->values, c->samples[i].at);
  const qb_status status =
      qb__run_either(s->step->primitive, s->step->kernel, c->workspace->stream, s->arguments);
  *right = status || is_right(s, c->samples, count, &wrong);
  if (!*right)
    tell(c, s, wrong);
  return status;
}

static qb_status check_step(check *c, size_t index, bool *right)
{
  subject s;
  qb_status status = open_subject(c, &c->plan->steps[index],
                                  qb__workspace_arguments(c->workspace, c->plan, index), &s);
  *right = true;
  if (!status && qb__step_is_known(&s.values))
    status = try_step(c, &s, right);
  close_subject(c, &s);
  return status == QB_ERROR_UNSUPPORTED ? QB_OK : status;
}

static bool same_computation(const qb__operator *a, const qb__operator *b)
{
  return a->kind == b->kind && a->activation == b->activation && a->alpha == b->alpha &&
         a->beta == b->beta && a->groups == b->groups && a->axis == b->axis &&
         a->include_padding == b->include_padding && a->logarithm == b->logarithm &&
         a->linear == b->linear && a->lrn_size == b->lrn_size &&
         (a->bias == QB__NONE) == (b->bias == QB__NONE) &&
         a->requantize.applies == b->requantize.applies &&
         a->requantize.rounds == b->requantize.rounds &&
         (a->addend == QB__NONE) == (b->addend == QB__NONE) &&
         !memcmp(&a->window, &b->window, sizeof a->window);
}

/* Whether two steps run the same code on tensors of the same shape that lie alike. */
static bool are_alike(const check *c, const qb__step *a, const qb__step *b)
{
  const qb__operator *operators = c->graph->operators;
  if (strcmp(a->implementation, b->implementation) != 0 ||
      (!is_change(a) && !same_computation(&operators[a->op], &operators[b->op])))
    return false;
  for (int i = 0; i < QB__ARG_COUNT; i++) {
    if ((a->slots[i] == QB__NONE) != (b->slots[i] == QB__NONE) ||
        (a->slots[i] == a->slots[QB__ARG_DESTINATION]) !=
            (b->slots[i] == b->slots[QB__ARG_DESTINATION]))
      return false;
    if (a->slots[i] != QB__NONE &&
        !qb__layout_equal(c->plan->slots[a->slots[i]].layout, c->plan->slots[b->slots[i]].layout))
      return false;
  }
  return true;
}

static bool has_earlier_twin(const check *c, size_t index)
{
  const qb__step *steps = c->plan->steps;
  for (size_t i = 0; i < index; i++)
    if (is_picked(&steps[i]) && are_alike(c, &steps[i], &steps[index]))
      return true;
  return false;
}

static qb_status pass_over_all_like(const check *c, size_t index, qb__findings *found)
{
  const qb__step *steps = c->plan->steps;
  qb_status status = QB_OK;
  for (size_t i = index; i < c->plan->step_count && !status; i++)
    if (is_picked(&steps[i]) && are_alike(c, &steps[index], &steps[i]))
      status = qb__pass_over(c->context, found, c->graph->operators[steps[i].op].origin,
                             steps[i].implementation);
  return status;
}

static const char *name_of(const check *c, uint32_t origin)
{
  size_t i = 0;
  while (c->graph->operators[i].origin != origin)
    i++;
  return c->graph->operators[i].name;
}

/* Fails where something is wrong that was passed over already: there is nothing else. */
static qb_status merge(const check *c, const qb__findings *found, qb__findings *findings)
{
  qb_status status = QB_OK;
  for (size_t i = 0; i < found->count && !status; i++) {
    const qb__passed_over *e = &found->passed_over[i];
    status = qb__is_passed_over(findings, e->op, e->implementation)
                 ? qb__fail(QB_ERROR_ENGINE,
                            "%s computes operator '%s' wrongly in each of its ways; use another "
                            "version of it",
                            qb__onednn_version(), name_of(c, e->op))
                 : qb__pass_over(c->context, findings, e->op, e->implementation);
  }
  return status;
}

qb_status qb__plan_check(const qb__graph *graph, const qb__network_plan *plan,
                         qb__workspace *workspace, qb__findings *findings, size_t *count)
{
  qb__findings found = {0};
  check *c = qb__calloc(graph->context, 1, sizeof *c);
  if (!c)
    return QB_ERROR_NO_MEMORY;
  c->context = graph->context;
  c->graph = graph;
  c->plan = plan;
  c->workspace = workspace;
  draw_values(c);
  qb_status status = QB_OK;
  for (size_t i = 0; i < plan->step_count && !status; i++) {
    bool right = true;
    if (is_picked(&plan->steps[i]) && !has_earlier_twin(c, i))
      status = check_step(c, i, &right);
    if (!status && !right)
      status = pass_over_all_like(c, i, &found);
  }
  if (!status)
    status = merge(c, &found, findings);
  *count = found.count;
  qb__findings_clear(graph->context, &found);
  qb__free(graph->context, c);
  return status;
}
