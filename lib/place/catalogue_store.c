/* SPDX-License-Identifier: Apache-2.0 */
/* A catalogue as JSON. Format: docs/formats.md. People write it: times are in milliseconds. */
#include "core/alloc.h"
#include "core/error.h"
#include "core/json.h"
#include "node/node_store.h"
#include "place/catalogue_impl.h"

#include <qosbatch/inspect.h>

#include <string.h>

static const char FORMAT[] = "qosbatch-catalogue";
enum { VERSION = 1, LARGEST_FILE = 64 << 20, NS_PER_MS = 1000000 };

static const int64_t MOST_MS = QB__MOST_TYPE_NS / NS_PER_MS;

static int64_t ms_from_json(qb__json *at, const char *key, int64_t least)
{
  return qb__json_int(at, key, least, MOST_MS) * NS_PER_MS;
}

static void billing_from_json(qb__json *at, qb_billing *b)
{
  const char *kind = qb__json_string(at, "kind");
  b->kind = strcmp(kind, "calls") ? QB_BILLING_TIME : QB_BILLING_CALLS;
  if (b->kind == QB_BILLING_CALLS) {
    b->price_per_gib_s = qb__json_double(at, "price_per_gib_s", 0, QB__MOST_TYPE_PRICE);
    b->price_per_call = qb__json_double(at, "price_per_call", 0, QB__MOST_TYPE_PRICE);
  } else if (!strcmp(kind, "time")) {
    b->price_per_hour = qb__json_double(at, "price_per_hour", 0, QB__MOST_TYPE_PRICE);
  } else {
    qb__json_fail(at, "kind", "unknown kind of billing '%.32s'; expected time or calls", kind);
  }
  b->granularity_ns = ms_from_json(at, "granularity_ms", 1);
  b->minimum_ns = ms_from_json(at, "minimum_ms", 0);
  qb__json_end(at);
}

/* Older files have none. */
static qb_isa isa_from_json(qb__json *at)
{
  if (!qb__json_has(at, "isa"))
    return QB_ISA_BEST;
  const char *name = qb__json_string(at, "isa");
  int isa = QB_ISA_BEST;
  if (!qb_enum_find("qb_isa", name, &isa))
    qb__json_fail(
        at, "isa",
        "unknown instruction set '%.32s'; expected best, generic, sse41, avx, avx2 or avx512",
        name);
  return (qb_isa)isa;
}

/* 0 where it is missing. */
static double flops_from_json(qb__json *at, const char *key)
{
  return qb__json_has(at, key) ? qb__json_double(at, key, 0, QB__MOST_PER_S) : 0;
}

static void type_from_json(qb__json *at, qb_node_type *t)
{
  *t = (qb_node_type)QB_NODE_TYPE_INIT;
  t->name = qb__json_string(at, "name");
  t->cpu = qb__json_string(at, "cpu");
  t->vcpus = (uint32_t)qb__json_int(at, "vcpus", 1, QB__MOST_VCPUS);
  t->threads_per_core = (uint32_t)qb__json_int(at, "threads_per_core", 1, 8);
  t->isa = isa_from_json(at);
  t->features = qb__features_from_json(at);
  t->memory_bytes = (uint64_t)qb__json_int(at, "memory_bytes", 1, QB__MOST_BYTES);
  t->compute_flops_per_s = qb__json_double(at, "compute_flops", 0, QB__MOST_PER_S);
  t->compute_bf16_flops_per_s = flops_from_json(at, "compute_bf16_flops");
  t->compute_int8_flops_per_s = flops_from_json(at, "compute_int8_flops");
  t->memory_bytes_per_s = qb__json_double(at, "memory_bytes_per_s", 0, QB__MOST_PER_S);
  t->measured = qb__json_bool(at, "measured");
  t->start_up_ns = ms_from_json(at, "start_up_ms", 0);
  t->interruptions_per_h = qb__json_double(at, "interruptions_per_h", 0, 1000);
  t->max_nodes = (uint32_t)qb__json_int(at, "max_nodes", 1, QB_MAX_NODES);
  qb__json billing;
  qb__json_object(at, "billing", &billing);
  billing_from_json(&billing, &t->billing);
  qb__json_end(at);
}

static qb_status catalogue_from_json(qb_context *context, qb__json *root, qb_catalogue **catalogue)
{
  qb__json array, at;
  const char *note = qb__json_string(root, "note");
  const char *currency = qb__json_string(root, "currency");
  const size_t count = qb__json_array(root, "types", 1, QB_MAX_NODES, &array);
  qb__json_end(root);
  if (root->file->status)
    return root->file->status;
  qb_node_type *types = qb__calloc(context, count, sizeof *types);
  if (!types)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < count && !root->file->status; i++) {
    qb__json_element(&array, i, &at);
    type_from_json(&at, &types[i]);
  }
  qb_status status = root->file->status;
  if (!status) {
    status = qb_catalogue_new(context, currency, note, types, count, catalogue);
    if (status == QB_ERROR_INVALID_ARGUMENT)
      status = qb__fail_within(QB_ERROR_FORMAT, "%s: $", root->file->path);
  }
  qb__free(context, types);
  return status;
}

qb_status qb_catalogue_load(qb_context *context, const char *path, qb_catalogue **catalogue)
{
  if (!context || !path || !catalogue)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !context ? "context"
                    : !path  ? "path"
                             : "catalogue");
  qb__json_file file;
  qb__json root;
  qb_status status = qb__json_open(&file, context, path, LARGEST_FILE, FORMAT, VERSION, &root);
  if (!status)
    status = catalogue_from_json(context, &root, catalogue);
  qb__json_close(&file);
  return status;
}
