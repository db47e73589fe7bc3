/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node_store.h"

#include "core/alloc.h"
#include "core/error.h"
#include "core/file.h"
#include "node/bandwidth.h"
#include "node/compute_power.h"
#include "node/node_impl.h"
#include "node/topology.h"

#include <qosbatch/inspect.h>

#include <string.h>

static const char FORMAT[] = "qosbatch-node";
enum { VERSION = 1, LARGEST_FILE = 1 << 20 };

/* Beyond what any machine has; what is larger is a mistake. */
static const double MOST_PER_S = 1e18;
static const int64_t MOST_BYTES = INT64_C(1) << 52;

const char *qb__precision_to_json(qb_precision precision)
{
  return precision == QB_PRECISION_F32 ? NULL : qb_precision_name(precision);
}

static json_t *table_to_json(const qb__sustained *table, size_t count, const char *unit)
{
  json_t *array = json_array();
  for (size_t i = 0; array && i < count; i++) {
    const qb__sustained *t = &table[i];
    json_t *entry = t->isa == QB_ISA_BEST
                        ? json_pack("{s:I, s:f}", "threads", (json_int_t)t->threads, unit, t->per_s)
                        : json_pack("{s:s*, s:s, s:I, s:f}", "precision",
                                    qb__precision_to_json(t->precision), "isa", qb_isa_name(t->isa),
                                    "threads", (json_int_t)t->threads, unit, t->per_s);
    if (json_array_append_new(array, entry)) {
      json_decref(array);
      array = NULL;
    }
  }
  return array;
}

static json_t *features_to_json(uint32_t features)
{
  json_t *array = json_array();
  for (uint32_t bit = 1; array && bit <= QB__LAST_FEATURE; bit <<= 1)
    if (features & bit && json_array_append_new(array, json_string(qb_feature_name(bit)))) {
      json_decref(array);
      array = NULL;
    }
  return array;
}

static json_t *cores_to_json(const qb_node *node)
{
  json_t *array = json_array();
  for (size_t i = 0; array && i < node->core_count; i++) {
    const qb__core_speed *c = &node->cores[i];
    if (json_array_append_new(
            array, json_pack("{s:i, s:f}", "cpu", (int)c->cpu, "flops", c->flops_per_s))) {
      json_decref(array);
      array = NULL;
    }
  }
  return array;
}

json_t *qb__node_to_json(const qb_node *node)
{
  const qb_node_info *i = &node->info;
  json_t *compute = table_to_json(node->compute, node->compute_count, "flops");
  json_t *bandwidth = table_to_json(node->bandwidth, node->bandwidth_count, "bytes_per_s");
  json_t *root = json_pack(
      "{s:s, s:s, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o}", "cpu", i->cpu,
      "isa", qb_isa_name(i->isa), "hardware_threads", (json_int_t)i->hardware_threads, "cores",
      (json_int_t)i->cores, "quota_cores", i->quota_cores, "usable_threads",
      (json_int_t)i->usable_threads, "numa_nodes", (json_int_t)i->numa_nodes, "l1d_bytes",
      (json_int_t)i->l1d_bytes, "l2_bytes", (json_int_t)i->l2_bytes, "l3_bytes",
      (json_int_t)i->l3_bytes, "memory_bytes", (json_int_t)i->memory_bytes, "price_per_hour",
      i->price_per_hour, "compute", compute, "bandwidth", bandwidth);
  root = qb__json_with(root, "features", features_to_json(i->features));
  root = qb__json_with(root, "core_speeds", cores_to_json(node));
  if (root && i->reserve_cores &&
      json_object_set_new(root, "reserve_cores", json_integer((json_int_t)i->reserve_cores))) {
    json_decref(root);
    root = NULL;
  }
  return root;
}

static qb_isa isa_from_json(qb__json *at)
{
  const char *name = qb__json_string(at, "isa");
  int isa = QB_ISA_BEST;
  if (!qb_enum_find("qb_isa", name, &isa) || isa == QB_ISA_BEST)
    qb__json_fail(at, "isa",
                  "unknown instruction set '%.32s'; expected generic, sse41, avx, avx2 or avx512",
                  name);
  return isa ? (qb_isa)isa : QB_ISA_GENERIC;
}

qb_precision qb__precision_from_json(qb__json *at)
{
  int precision = QB_PRECISION_F32;
  if (!qb__json_has(at, "precision"))
    return QB_PRECISION_F32;
  const char *name = qb__json_string(at, "precision");
  if (!qb_enum_find("qb_precision", name, &precision))
    qb__json_fail(at, "precision", "unknown precision '%.32s'; expected f32, bf16 or int8", name);
  return (qb_precision)precision;
}

uint32_t qb__features_from_json(qb__json *at)
{
  uint32_t features = 0;
  qb__json array;
  if (!qb__json_has(at, "features"))
    return 0;
  const size_t count = qb__json_array(at, "features", 0, QB__LAST_FEATURE, &array);
  for (size_t i = 0; i < count && !at->file->status; i++) {
    const char *name = qb__json_element_string(&array, i);
    int bit = 0;
    if (!at->file->status && !qb_enum_find("qb_feature", name, &bit))
      qb__json_fail(&array, NULL, "unknown feature '%.32s'; expected vnni or bf16", name);
    features |= (uint32_t)bit;
  }
  return features;
}

/* Whether an entry of a table comes after another. */
static bool comes_after(const qb__sustained *a, const qb__sustained *b)
{
  return a->precision != b->precision ? a->precision > b->precision
         : a->isa != b->isa           ? a->isa > b->isa
                                      : a->threads > b->threads;
}

/* Reads a table and checks that it is in order, without a place twice. */
static size_t table_from_json(qb__json *at, const char *key, bool has_isa, const char *unit,
                              size_t most, qb__sustained *table)
{
  qb__json array, entry;
  const size_t count = qb__json_array(at, key, 0, most, &array);
  for (size_t i = 0; i < count && !at->file->status; i++) {
    qb__json_element(&array, i, &entry);
    table[i].isa = has_isa ? isa_from_json(&entry) : QB_ISA_BEST;
    table[i].precision = has_isa ? qb__precision_from_json(&entry) : QB_PRECISION_F32;
    table[i].threads = (uint32_t)qb__json_int(&entry, "threads", 1, 65536);
    table[i].per_s = qb__json_double(&entry, unit, 1, MOST_PER_S);
    qb__json_end(&entry);
    if (i && !comes_after(&table[i], &table[i - 1]))
      qb__json_fail(&entry, "threads", "entries must be in ascending order, without duplicates");
  }
  return count;
}

/* What each core sustains, which older files do not tell; to be freed. */
static qb__core_speed *cores_from_json(const qb_context *context, qb__json *at, size_t *count)
{
  qb__json array, entry;
  if (!qb__json_has(at, "core_speeds"))
    return NULL;
  const size_t found = qb__json_array(at, "core_speeds", 1, QB__MOST_CORES, &array);
  qb__core_speed *cores = qb__calloc(context, found, sizeof *cores);
  if (!cores)
    at->file->status = QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < found && !at->file->status; i++) {
    qb__json_element(&array, i, &entry);
    cores[i].cpu = (uint16_t)qb__json_int(&entry, "cpu", 0, UINT16_MAX);
    cores[i].flops_per_s = qb__json_double(&entry, "flops", 1, MOST_PER_S);
    qb__json_end(&entry);
    for (size_t j = 0; j < i && !at->file->status; j++)
      if (cores[j].cpu == cores[i].cpu)
        qb__json_fail(&entry, "cpu", "CPU %u is listed twice; keep one entry", cores[i].cpu);
  }
  *count = found;
  return cores;
}

qb_status qb__node_from_json(qb_context *context, qb__json *at, qb_node **node)
{
  qb__sustained *tables =
      qb__calloc(context, QB__MOST_COMPUTE + QB__MOST_BANDWIDTH, sizeof *tables);
  if (!tables)
    return at->file->status = QB_ERROR_NO_MEMORY;
  qb__sustained *compute = tables, *bandwidth = tables + QB__MOST_COMPUTE;
  qb_node_info info = QB_NODE_INFO_INIT;
  info.cpu = qb__json_string(at, "cpu");
  info.isa = isa_from_json(at);
  info.features = qb__features_from_json(at);
  info.hardware_threads = (uint32_t)qb__json_int(at, "hardware_threads", 1, 65536);
  info.cores = (uint32_t)qb__json_int(at, "cores", 1, info.hardware_threads);
  info.quota_cores = qb__json_double(at, "quota_cores", 1e-6, 65536);
  info.usable_threads = (uint32_t)qb__json_int(at, "usable_threads", 1, info.cores);
  if (qb__json_has(at, "reserve_cores"))
    info.reserve_cores =
        (uint32_t)qb__json_int(at, "reserve_cores", 0, info.cores - info.usable_threads);
  info.numa_nodes = (uint32_t)qb__json_int(at, "numa_nodes", 1, 65536);
  info.l1d_bytes = (uint64_t)qb__json_int(at, "l1d_bytes", 0, MOST_BYTES);
  info.l2_bytes = (uint64_t)qb__json_int(at, "l2_bytes", 0, MOST_BYTES);
  info.l3_bytes = (uint64_t)qb__json_int(at, "l3_bytes", 0, MOST_BYTES);
  info.memory_bytes = (uint64_t)qb__json_int(at, "memory_bytes", 0, MOST_BYTES);
  info.price_per_hour = qb__json_double(at, "price_per_hour", 0, QB__MOST_PRICE);
  const size_t compute_count =
      table_from_json(at, "compute", true, "flops", QB__MOST_COMPUTE, compute);
  const size_t bandwidth_count =
      table_from_json(at, "bandwidth", false, "bytes_per_s", QB__MOST_BANDWIDTH, bandwidth);
  size_t core_count = 0;
  qb__core_speed *cores = cores_from_json(context, at, &core_count);
  qb_node *made = NULL;
  qb__json_end(at);
  if (!at->file->status)
    at->file->status =
        qb__node_new(context, &info, compute, compute_count, bandwidth, bandwidth_count, &made);
  if (!at->file->status)
    at->file->status = qb__node_set_cores(made, cores, core_count);
  qb__free(context, cores);
  qb__free(context, tables);
  if (at->file->status)
    qb_node_unref(made);
  else
    *node = made;
  return at->file->status;
}

qb_status qb_node_save(const qb_node *node, const char *path)
{
  if (!node || !path)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL", node ? "path" : "node");
  json_t *head = json_pack("{s:s, s:i}", "format", FORMAT, "version", VERSION);
  json_t *body = qb__node_to_json(node);
  if (!head || !body || json_object_update(head, body)) {
    json_decref(head);
    head = NULL;
  }
  json_decref(body);
  return qb__json_save(node->context, path, head);
}

qb_status qb__node_parse(qb_context *context, const char *path, const char *text, size_t bytes,
                         qb_node **node)
{
  qb__json_file file;
  qb__json root;
  qb_node *loaded = NULL;
  qb_status status = qb__json_parse(&file, context, path, text, bytes, FORMAT, VERSION, &root);
  if (!status)
    status = qb__node_from_json(context, &root, &loaded);
  qb__json_close(&file);
  if (!status)
    *node = loaded;
  return status;
}

qb_status qb_node_load(qb_context *context, const char *path, qb_node **node)
{
  if (!context || !path || !node)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !context ? "context"
                    : !path  ? "path"
                             : "node");
  char *text = NULL;
  size_t bytes = 0;
  qb_status status = qb__file_read(context, path, LARGEST_FILE, &text, &bytes);
  if (!status)
    status = qb__node_parse(context, path, text, bytes, node);
  qb__free(context, text);
  return status;
}
