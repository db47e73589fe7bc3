/* SPDX-License-Identifier: Apache-2.0 */
#include "support/faulty_kernels.h"

#include "core/error.h"
#include "engine/elements.h"
#include "engine/plan_check.h"
#include "support/unit.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_FAULTY = 256 };

/* Where a faulty kernel writes. */
typedef struct faulty_result {
  const struct dnnl_primitive *primitive;
  qb__dims dims;
  qb__blocking blocking;
} faulty_result;

static fault present;
static faulty_result faulty[MOST_FAULTY];
static size_t faulty_count;
static const faulty_result *packing; /* the weights that are being packed, where that is faulty */

faulty_record faulty_seen;

void faulty_kernels_are(const fault *made)
{
  present = *made;
  faulty_count = 0;
  memset(&faulty_seen, 0, sizeof faulty_seen);
}

static bool is_faulty(const qb__graph *graph, const qb__network_plan *plan, const qb__step *step)
{
  const qb__operator *op = &graph->operators[step->op];
  const bool changes = !strcmp(step->implementation, QB__CHANGE_OF_LAYOUT);
  if (!step->primitive || plan->batch < present.least_batch ||
      (present.op && strcmp(op->name, present.op) != 0))
    return false;
  switch (present.target) {
  case FAULTY_NOTHING:
  case FAULTY_COMPILING: return false;
  case FAULTY_CHANGES: return changes;
  case FAULTY_LAYERS: return op->weights != QB__NONE && !changes;
  case FAULTY_IMPLEMENTATION: break;
  }
  if (changes || (!present.op && op->weights == QB__NONE))
    return false;
  if (!*faulty_seen.implementation)
    strcpy(faulty_seen.implementation, step->implementation);
  return !strcmp(step->implementation, faulty_seen.implementation);
}

/* One element of 13, or those that the fault names. */
static bool is_wrong(const qb__dims *dims, const int64_t *at, size_t index)
{
  return present.is_wrong ? present.is_wrong(dims, at) : index % 13 == 0;
}

/* Keeps the elements of a result, or spoils it with what was kept. */
static void visit(const faulty_result *result, char *data, char *kept, bool spoils)
{
  const size_t each = qb__type_bytes(result->dims.type);
  int64_t at[QB__ONEDNN_DIMS] = {0};
  size_t index = 0;
  do {
    char *element = data + qb__blocked_offset(&result->blocking, at) * each;
    if (!spoils)
      memcpy(kept + index * each, element, each);
    else if (is_wrong(&result->dims, at, index) && present.unwritten)
      memcpy(element, kept + index * each, each);
    else if (is_wrong(&result->dims, at, index))
      element[each - 1] ^= 0x40;
    index++;
  } while (qb__next_position(&result->dims, at));
}

qb_status __real_qb__execute(const struct dnnl_primitive *primitive, struct dnnl_stream *stream,
                             struct dnnl_memory *const arguments[QB__ARG_COUNT]);
qb_status __wrap_qb__execute(const struct dnnl_primitive *primitive, struct dnnl_stream *stream,
                             struct dnnl_memory *const arguments[QB__ARG_COUNT]);
qb_status __wrap_qb__execute(const struct dnnl_primitive *primitive, struct dnnl_stream *stream,
                             struct dnnl_memory *const arguments[QB__ARG_COUNT])
{
  const faulty_result *result = packing;
  for (size_t i = 0; i < faulty_count && !result; i++)
    if (faulty[i].primitive == primitive)
      result = &faulty[i];
  if (!result)
    return __real_qb__execute(primitive, stream, arguments);
  size_t bytes = qb__type_bytes(result->dims.type);
  for (int d = 0; d < result->dims.count; d++)
    bytes *= (size_t)result->dims.at[d];
  char *data = qb__memory_data(arguments[QB__ARG_DESTINATION]), *kept = malloc(bytes);
  assert_non_null(kept);
  visit(result, data, kept, false);
  const qb_status status = __real_qb__execute(primitive, stream, arguments);
  visit(result, data, kept, true);
  free(kept);
  faulty_seen.runs++;
  return status;
}

qb_status __real_qb__primitive_compile(qb__primitive *primitive);
qb_status __wrap_qb__primitive_compile(qb__primitive *primitive);
qb_status __wrap_qb__primitive_compile(qb__primitive *primitive)
{
  char *first = faulty_seen.implementation;
  if (present.target != FAULTY_COMPILING || primitive->kernel)
    return __real_qb__primitive_compile(primitive);
  if (!*first)
    strcpy(first, primitive->implementation);
  return strcmp(first, primitive->implementation) ? __real_qb__primitive_compile(primitive)
                                                  : qb__fail(QB_ERROR_ENGINE, "no room for code");
}

/* The plan's rounds run behind its check. */
qb_status __real_qb__plan_check(const qb__graph *graph, const qb__network_plan *plan,
                                qb__workspace *workspace, qb__findings *findings, size_t *count);
qb_status __wrap_qb__plan_check(const qb__graph *graph, const qb__network_plan *plan,
                                qb__workspace *workspace, qb__findings *findings, size_t *count);
qb_status __wrap_qb__plan_check(const qb__graph *graph, const qb__network_plan *plan,
                                qb__workspace *workspace, qb__findings *findings, size_t *count)
{
  for (size_t i = 0; i < plan->step_count; i++)
    if (is_faulty(graph, plan, &plan->steps[i])) {
      const qb__slot *to = &plan->slots[plan->steps[i].slots[QB__ARG_DESTINATION]];
      assert_in_range(faulty_count, 0, MOST_FAULTY - 1);
      faulty_result *added = &faulty[faulty_count++];
      *added = (faulty_result){.primitive = plan->steps[i].primitive, .dims = to->dims};
      assert_true(qb__layout_blocking(to->layout, &added->blocking));
    }
  return __real_qb__plan_check(graph, plan, workspace, findings, count);
}

/* A later one may have the address. */
void __real_qb__primitive_free(struct dnnl_primitive *primitive);
void __wrap_qb__primitive_free(struct dnnl_primitive *primitive);
void __wrap_qb__primitive_free(struct dnnl_primitive *primitive)
{
  for (size_t i = faulty_count; i-- > 0;)
    if (faulty[i].primitive == primitive)
      faulty[i] = faulty[--faulty_count];
  __real_qb__primitive_free(primitive);
}

qb_status __real_qb__packed_get(qb__packed *packed, struct dnnl_stream *stream,
                                const qb__graph *graph, int32_t tensor, const qb__dims *dims,
                                const qb__layout *layout, struct dnnl_memory **memory);
qb_status __wrap_qb__packed_get(qb__packed *packed, struct dnnl_stream *stream,
                                const qb__graph *graph, int32_t tensor, const qb__dims *dims,
                                const qb__layout *layout, struct dnnl_memory **memory);
qb_status __wrap_qb__packed_get(qb__packed *packed, struct dnnl_stream *stream,
                                const qb__graph *graph, int32_t tensor, const qb__dims *dims,
                                const qb__layout *layout, struct dnnl_memory **memory)
{
  faulty_result weights = {.dims = *dims};
  const bool ours = present.target == FAULTY_CHANGES && !present.op;
  if (ours && qb__layout_blocking(layout, &weights.blocking)) {
    qb__blocking_room(&weights.blocking, &weights.dims);
    weights.dims.type = qb__layout_type(layout);
    packing = &weights;
  }
  const qb_status status =
      __real_qb__packed_get(packed, stream, graph, tensor, dims, layout, memory);
  packing = NULL;
  return status;
}
