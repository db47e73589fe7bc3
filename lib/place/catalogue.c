/* SPDX-License-Identifier: Apache-2.0 */
#include "place/catalogue_impl.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/structs.h"
#include "node/node_data.h"

#include <stdlib.h>
#include <string.h>

static bool within(double value, double least, double most)
{
  return value >= least && value <= most;
}

/* What is wrong with a type, or NULL. */
static const char *wrong_with(const qb_node_type *t)
{
  const qb_billing *b = &t->billing;
  if (!t->name || !*t->name || strlen(t->name) > 255)
    return "name must have 1..255 characters";
  if (!t->cpu)
    return "cpu is NULL; give the processor's name or \"\"";
  if (t->vcpus < 1 || t->vcpus > QB__MOST_VCPUS)
    return "vcpus must be 1..65536";
  if (t->threads_per_core < 1 || t->threads_per_core > 8)
    return "threads_per_core must be 1..8";
  if ((unsigned)t->isa > QB_ISA_AVX512)
    return "isa must be a QB_ISA_ value";
  if (t->memory_bytes < 1 || t->memory_bytes > (uint64_t)QB__MOST_BYTES)
    return "memory_bytes must be 1..2^52";
  if (!within(t->compute_flops_per_s, 0, QB__MOST_PER_S))
    return "compute_flops_per_s must be 0..1e18";
  if (!within(t->memory_bytes_per_s, 0, QB__MOST_PER_S))
    return "memory_bytes_per_s must be 0..1e18";
  if (!within(t->compute_bf16_flops_per_s, 0, QB__MOST_PER_S) ||
      !within(t->compute_int8_flops_per_s, 0, QB__MOST_PER_S))
    return "compute_bf16_flops_per_s and compute_int8_flops_per_s must be 0..1e18";
  if (t->features >= 2 * QB__LAST_FEATURE)
    return "features must be QB_FEATURE_ bits";
  if (t->start_up_ns < 0 || t->start_up_ns > QB__MOST_TYPE_NS)
    return "start_up_ns must be 0..2^56";
  if (!within(t->interruptions_per_h, 0, 1000))
    return "interruptions_per_h must be 0..1000";
  if (t->max_nodes < 1 || t->max_nodes > QB_MAX_NODES)
    return "max_nodes must be 1..100000";
  if (b->kind != QB_BILLING_TIME && b->kind != QB_BILLING_CALLS)
    return "billing.kind must be QB_BILLING_TIME or QB_BILLING_CALLS";
  if (!within(b->price_per_hour, 0, QB__MOST_TYPE_PRICE) ||
      !within(b->price_per_gib_s, 0, QB__MOST_TYPE_PRICE) ||
      !within(b->price_per_call, 0, QB__MOST_TYPE_PRICE))
    return "billing: prices must be 0..1e9";
  if (b->kind == QB_BILLING_TIME ? b->price_per_gib_s > 0 || b->price_per_call > 0
                                 : b->price_per_hour > 0)
    return "billing: a price of the other kind is set";
  if (b->granularity_ns < 1 || b->granularity_ns > QB__MOST_TYPE_NS)
    return "billing.granularity_ns must be 1..2^56";
  if (b->minimum_ns < 0 || b->minimum_ns > QB__MOST_TYPE_NS)
    return "billing.minimum_ns must be 0..2^56";
  for (size_t i = 0; i < sizeof b->reserved / sizeof *b->reserved; i++)
    if (b->reserved[i])
      return "billing.reserved is set, which this version does not know; leave it 0";
  return NULL;
}

static int by_name(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static qb_status check_names(const qb_catalogue *self)
{
  const char **names = qb__calloc(self->context, self->count, sizeof *names);
  if (!names)
    return QB_ERROR_NO_MEMORY;
  for (uint32_t i = 0; i < self->count; i++)
    names[i] = self->types[i].name;
  qsort(names, self->count, sizeof *names, by_name);
  qb_status status = QB_OK;
  for (uint32_t i = 1; i < self->count && !status; i++)
    if (!strcmp(names[i - 1], names[i]))
      status =
          qb__fail(QB_ERROR_INVALID_ARGUMENT, "two types are named '%.64s'; rename one", names[i]);
  qb__free(self->context, names);
  return status;
}

static qb_status copy_type(qb_catalogue *self, const qb_node_type *theirs, uint32_t index)
{
  qb_node_type *t = &self->types[index];
  qb_node_type given;
  const qb_status status = QB__STRUCT_IN(qb_node_type, &given, theirs);
  if (status)
    return status;
  const char *wrong = wrong_with(&given);
  if (wrong)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "types[%u] ('%.64s'): %s", index,
                    given.name ? given.name : "", wrong);
  *t = given;
  t->name = qb__strdup(self->context, given.name);
  t->cpu = qb__strdup(self->context, given.cpu);
  return t->name && t->cpu ? QB_OK : QB_ERROR_NO_MEMORY;
}

qb_status qb_catalogue_new(qb_context *context, const char *currency, const char *note,
                           const qb_node_type *types, size_t count, qb_catalogue **catalogue)
{
  if (!context || !currency || !note || !types || !catalogue)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !context    ? "context"
                    : !currency ? "currency"
                    : !note     ? "note"
                    : !types    ? "types"
                                : "catalogue");
  if (!*currency || strlen(currency) > 16)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "currency '%.32s': give a name of 1..16 characters, such as USD", currency);
  if (!count || count > QB_MAX_NODES)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%zu types; a catalogue has 1..%u", count,
                    QB_MAX_NODES);
  qb_status status = QB__STRUCTS_CHECK(qb_node_type, types, count);
  if (status)
    return status;
  qb_catalogue *self = qb__calloc(context, 1, sizeof *self);
  if (!self)
    return QB_ERROR_NO_MEMORY;
  qb__refcount_init(&self->references);
  self->context = qb_context_ref(context);
  self->currency = qb__strdup(context, currency);
  self->note = qb__strdup(context, note);
  self->types = qb__calloc(context, count, sizeof *self->types);
  status = self->currency && self->note && self->types ? QB_OK : QB_ERROR_NO_MEMORY;
  while (!status && self->count < count) {
    self->count++;
    status = copy_type(self, qb__struct_at(types, self->count - 1), self->count - 1);
  }
  if (!status)
    status = check_names(self);
  if (status)
    qb_catalogue_unref(self);
  else
    *catalogue = self;
  return status;
}

qb_status qb_catalogue_get_info(const qb_catalogue *catalogue, qb_catalogue_info *info)
{
  if (!catalogue)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "catalogue is NULL");
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_catalogue_info, info);
  const qb_catalogue_info known = {.size = sizeof known,
                                   .types = catalogue->count,
                                   .currency = catalogue->currency,
                                   .note = catalogue->note};
  if (!status)
    QB__STRUCT_OUT(qb_catalogue_info, info, &known);
  return status;
}

qb_status qb_catalogue_get_type(const qb_catalogue *catalogue, uint32_t index, qb_node_type *type)
{
  if (!catalogue)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "catalogue is NULL");
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_node_type, type);
  if (status)
    return status;
  if (index >= catalogue->count)
    return qb__fail(QB_ERROR_NOT_FOUND, "the catalogue has no type %u; it has %u", index,
                    catalogue->count);
  QB__STRUCT_OUT(qb_node_type, type, &catalogue->types[index]);
  return QB_OK;
}

void qb_catalogue_unref(qb_catalogue *catalogue)
{
  if (!catalogue || !qb__refcount_drop(&catalogue->references))
    return;
  qb_context *context = catalogue->context;
  for (uint32_t i = 0; i < catalogue->count; i++) {
    qb__free(context, catalogue->types[i].name);
    qb__free(context, catalogue->types[i].cpu);
  }
  qb__free(context, catalogue->types);
  qb__free(context, catalogue->currency);
  qb__free(context, catalogue->note);
  qb__free(context, catalogue);
  qb_context_unref(context);
}
