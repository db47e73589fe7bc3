/* SPDX-License-Identifier: Apache-2.0 */
/* A profile as JSON. Format: docs/formats.md. */
#include "core/alloc.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "node/node_store.h"
#include "profile/profile_history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char FORMAT[] = "qosbatch-profile";
enum { HEX_BYTES = 17 };
enum { VERSION = 1, LARGEST_FILE = 64 << 20 };
enum { MOST_POINTS = 100000, MOST_OPERATORS = 100000, MOST_ALGORITHMS = 1000 };
enum { MOST_SESSIONS = 4096, MOST_PASSED_OVER = 8 };

static const int64_t MOST_NS = INT64_C(1) << 56; /* two years */
static const int64_t MOST_SAMPLES = INT64_C(1) << 53;
static const int64_t MOST_BYTES = INT64_C(1) << 52;

static json_t *point_to_json(const qb_profile_point *p)
{
  return json_pack("{s:s*, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:f}",
                   "precision", qb__precision_to_json(p->configuration.precision), "instances",
                   (json_int_t)p->configuration.instances, "threads",
                   (json_int_t)p->configuration.threads, "batch", (json_int_t)p->batch, "visits",
                   (json_int_t)p->visits, "set_aside", (json_int_t)p->set_aside, "latency_ns",
                   (json_int_t)p->latency_ns, "low_ns", (json_int_t)p->low_ns, "high_ns",
                   (json_int_t)p->high_ns, "p95_ns", (json_int_t)p->p95_ns, "mean_ns",
                   (json_int_t)p->mean_ns, "prepare_ns", (json_int_t)p->prepare_ns, "memory_bytes",
                   (json_int_t)p->memory_bytes, "disturbed", p->disturbed, "thread_flops",
                   p->thread_flops_per_s);
}

static json_t *accuracy_to_json(const qb_accuracy *a)
{
  return json_pack("{s:s*, s:b, s:b, s:I, s:I}", "precision", qb__precision_to_json(a->precision),
                   "labels", a->labels, "needs_vnni", a->needs_vnni, "samples",
                   (json_int_t)a->samples, "agreeing", (json_int_t)a->agreeing);
}

/* Appends to an array that is NULL once something failed. */
static void append(json_t **array, json_t *value)
{
  if (*array && json_array_append_new(*array, value)) {
    json_decref(*array);
    *array = NULL;
  } else if (!*array) {
    json_decref(value);
  }
}

static json_t *accuracies_to_json(const qb_profile *profile)
{
  json_t *array = json_array();
  for (qb_precision p = QB_PRECISION_F32; p <= QB_PRECISION_INT8; p++)
    if (qb__profile_accuracy(profile, p))
      append(&array, accuracy_to_json(&profile->accuracies[p]));
  return array;
}

static json_t *sessions_to_json(const qb_profile *profile)
{
  json_t *sessions = json_array();
  for (size_t i = 0; i < profile->session_count; i++) {
    const qb__past_session *s = &profile->sessions[i];
    append(&sessions,
           json_pack("{s:s*, s:I, s:I, s:I, s:f, s:f}", "precision",
                     qb__precision_to_json(s->configuration.precision), "instances",
                     (json_int_t)s->configuration.instances, "threads",
                     (json_int_t)s->configuration.threads, "run_unix_s", (json_int_t)s->run_unix_s,
                     "level", s->level, "thread_flops", s->thread_flops_per_s));
  }
  return sessions;
}

static json_t *operator_to_json(const qb__operator_work *o)
{
  return json_pack("{s:f, s:f, s:f}", "flops_per_sample", o->flops_per_sample, "bytes_per_sample",
                   o->bytes_per_sample, "weight_bytes", o->weight_bytes);
}

static json_t *passed_over_to_json(const qb__findings *findings)
{
  json_t *array = json_array();
  for (size_t i = 0; i < findings->count; i++)
    append(&array, json_pack("{s:I, s:s}", "operator", (json_int_t)findings->passed_over[i].op,
                             "implementation", findings->passed_over[i].implementation));
  return array;
}

static json_t *algorithms_to_json(const qb__profile_algorithms *w)
{
  const qb__findings *findings = &w->algorithms.findings;
  json_t *algorithms = json_array(), *checked = json_array();
  for (size_t i = 0; i < w->layer_count; i++)
    append(&algorithms, json_string(qb__layer_algorithm_name(w->algorithms.layers[i])));
  for (size_t i = 0; i < findings->checked_count; i++)
    append(&checked, json_integer(findings->checked[i]));
  return json_pack("{s:s*, s:I, s:I, s:o, s:o, s:o}", "precision",
                   qb__precision_to_json(w->precision), "threads", (json_int_t)w->threads,
                   "microbatch", (json_int_t)w->algorithms.microbatch, "ways", algorithms,
                   "checked_batches", checked, "passed_over", passed_over_to_json(findings));
}

qb_status qb_profile_save(const qb_profile *profile, const char *path)
{
  if (!profile || !path)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL", profile ? "path" : "profile");
  const qb_profile_info *i = &profile->info;
  char network[HEX_BYTES];
  snprintf(network, sizeof network, "%016" PRIx64, i->network);
  json_t *points = json_array();
  for (size_t p = 0; p < profile->point_count; p++)
    append(&points, point_to_json(&profile->points[p]));
  json_t *operators = json_array();
  for (size_t o = 0; o < profile->operator_count; o++)
    append(&operators, operator_to_json(&profile->operators[o]));
  json_t *algorithms = json_array();
  for (size_t w = 0; w < profile->algorithms_count; w++)
    append(&algorithms, algorithms_to_json(&profile->algorithms[w]));
  json_t *root = json_pack(
      "{s:s, s:i, s:s, s:s, s:s, s:s*, s:I, s:f, s:f, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "format",
      FORMAT, "version", VERSION, "library", i->library, "engine", i->engine, "model", i->model,
      "network", i->network ? network : NULL, "created_unix_s", (json_int_t)i->created_unix_s,
      "flops_per_sample", i->flops_per_sample, "bytes_per_sample", profile->bytes_per_sample,
      "weight_bytes", (json_int_t)i->weight_bytes, "measure_ns", (json_int_t)i->measure_ns,
      "prepare_ns", (json_int_t)i->prepare_ns, "node", qb__node_to_json(profile->node), "operators",
      operators, "layer_ways", algorithms, "points", points);
  root = qb__json_with(root, "accuracy", accuracies_to_json(profile));
  if (root && i->least_flops_per_sample > 0 &&
      json_object_set_new(root, "least_flops_per_sample", json_real(i->least_flops_per_sample))) {
    json_decref(root);
    root = NULL;
  }
  return qb__json_save(profile->context, path,
                       qb__json_with(root, "sessions", sessions_to_json(profile)));
}

static void point_from_json(qb__json *at, qb_profile_point *p)
{
  p->size = sizeof *p;
  p->configuration.precision = qb__precision_from_json(at);
  p->configuration.instances = (uint32_t)qb__json_int(at, "instances", 1, 65536);
  p->configuration.threads = (uint32_t)qb__json_int(at, "threads", 1, 65536);
  p->batch = (uint32_t)qb__json_int(at, "batch", 1, QB_MAX_BATCH);
  p->visits = (uint32_t)qb__json_int(at, "visits", 0, INT32_MAX);
  p->set_aside = (uint32_t)qb__json_int(at, "set_aside", 0, INT32_MAX);
  p->latency_ns = qb__json_int(at, "latency_ns", 1, MOST_NS);
  p->low_ns = qb__json_int(at, "low_ns", 1, p->latency_ns);
  p->high_ns = qb__json_int(at, "high_ns", p->latency_ns, MOST_NS);
  p->p95_ns = qb__json_int(at, "p95_ns", p->latency_ns, MOST_NS);
  p->mean_ns = qb__json_int(at, "mean_ns", p->latency_ns, MOST_NS);
  p->prepare_ns = qb__json_int(at, "prepare_ns", 0, MOST_NS);
  p->memory_bytes = (uint64_t)qb__json_int(at, "memory_bytes", 0, MOST_BYTES);
  p->disturbed = qb__json_bool(at, "disturbed");
  p->thread_flops_per_s = qb__json_double(at, "thread_flops", 0, 1e18);
  qb__json_end(at);
}

static qb_status accuracy_from_json(qb__json *at, qb_profile *profile)
{
  qb_accuracy a = QB_ACCURACY_INIT;
  a.precision = qb__precision_from_json(at);
  a.labels = qb__json_bool(at, "labels");
  a.needs_vnni = qb__json_bool(at, "needs_vnni");
  a.samples = (uint64_t)qb__json_int(at, "samples", 1, MOST_SAMPLES);
  a.agreeing = (uint64_t)qb__json_int(at, "agreeing", 0, (int64_t)a.samples);
  qb__json_end(at);
  if (!at->file->status && qb__profile_accuracy(profile, a.precision))
    qb__json_fail(at, "precision", "%s listed twice; keep one entry",
                  qb_precision_name(a.precision));
  return at->file->status ? at->file->status : qb__profile_set_accuracy(profile, &a);
}

/* ln(2^63): times of rounds cannot differ by more, whatever else ran beside them. */
static const double LARGEST_LEVEL = 44;

static void session_from_json(qb__json *at, qb__past_session *s)
{
  s->configuration.precision = qb__precision_from_json(at);
  s->configuration.instances = (uint32_t)qb__json_int(at, "instances", 1, 65536);
  s->configuration.threads = (uint32_t)qb__json_int(at, "threads", 1, 65536);
  s->run_unix_s = qb__json_int(at, "run_unix_s", 0, INT64_C(1) << 40);
  s->level = qb__json_double(at, "level", -LARGEST_LEVEL, LARGEST_LEVEL);
  s->thread_flops_per_s = qb__json_double(at, "thread_flops", 0, 1e18);
  qb__json_end(at);
}

/* The profile has its points. */
static qb_status sessions_from_json(qb__json *array, size_t count, qb_profile *profile)
{
  qb__past_session *sessions = qb__calloc(profile->context, count, sizeof *sessions);
  if (!sessions)
    return QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < count && !array->file->status; i++) {
    qb__json at;
    qb__json_element(array, i, &at);
    session_from_json(&at, &sessions[i]);
  }
  const qb_status status = array->file->status ? array->file->status
                                               : qb__profile_set_sessions(profile, sessions, count);
  qb__free(profile->context, sessions);
  return status;
}

static void operator_from_json(qb__json *at, qb__operator_work *o)
{
  o->flops_per_sample = qb__json_double(at, "flops_per_sample", 0, 1e18);
  o->bytes_per_sample = qb__json_double(at, "bytes_per_sample", 0, 1e18);
  o->weight_bytes = qb__json_double(at, "weight_bytes", 0, 1e18);
  qb__json_end(at);
}

static qb_status passed_over_from_json(qb__json *at, const qb_profile *profile, size_t operators,
                                       qb__findings *findings)
{
  qb__json array, element;
  const size_t most = operators * MOST_PASSED_OVER;
  const size_t count = qb__json_array(at, "passed_over", 0, most, &array);
  qb_status status = QB_OK;
  for (size_t i = 0; i < count && !status; i++) {
    qb__json_element(&array, i, &element);
    const uint32_t op = (uint32_t)qb__json_int(&element, "operator", 0, (int64_t)operators - 1);
    const char *implementation = qb__json_string(&element, "implementation");
    qb__json_end(&element);
    status = qb__pass_over(profile->context, findings, op, implementation);
  }
  return status;
}

/* Profiles of before there were checks say nothing, so that all is checked. */
static qb_status findings_from_json(qb__json *at, const qb_profile *profile, size_t operators,
                                    qb__findings *findings)
{
  qb__json array;
  if (!qb__json_has(at, "checked_batches"))
    return QB_OK;
  const size_t count = qb__json_array(at, "checked_batches", 0, QB_MAX_BATCH, &array);
  qb_status status = QB_OK;
  for (size_t i = 0; i < count && !status; i++)
    status = qb__set_checked(profile->context, findings,
                             (uint32_t)qb__json_element_double(&array, i, 1, QB_MAX_BATCH));
  return status ? status : passed_over_from_json(at, profile, operators, findings);
}

/* The algorithms that so many threads take; the 8-bit form of a network has operators of its own. */
static qb_status algorithms_from_json(qb__json *at, qb_profile *profile)
{
  qb__json array;
  const qb_configuration k = {.precision = qb__precision_from_json(at),
                              .threads = (uint32_t)qb__json_int(at, "threads", 1, 65536)};
  const bool own = k.precision == QB_PRECISION_INT8;
  const size_t count = qb__json_array(at, "ways", own ? 0 : profile->operator_count,
                                      own ? MOST_OPERATORS : profile->operator_count, &array);
  qb__algorithms algorithms = {.compared = UINT32_MAX};
  if (qb__json_has(at, "microbatch")) /* older profiles were measured with whole rounds */
    algorithms.microbatch = (uint32_t)qb__json_int(at, "microbatch", 0, QB_MAX_BATCH);
  qb_status status = findings_from_json(at, profile, count, &algorithms.findings);
  qb__json_end(at);
  if (!at->file->status && qb__profile_algorithms_of(profile, &k))
    qb__json_fail(at, "threads", "%u threads listed twice; keep one entry", k.threads);
  algorithms.layers = qb__calloc(profile->context, count, sizeof *algorithms.layers);
  if (!algorithms.layers)
    status = QB_ERROR_NO_MEMORY;
  for (size_t i = 0; i < count && !status && !at->file->status; i++) {
    const char *name = qb__json_element_string(&array, i);
    if (!at->file->status && !qb__layer_algorithm_of(name, &algorithms.layers[i]))
      qb__json_fail(&array, NULL, "unknown layer algorithm '%.32s'; profile again", name);
  }
  if (!status)
    status = at->file->status;
  if (!status)
    status = qb__profile_add_algorithms(profile, &k, &algorithms, count);
  qb__free(profile->context, algorithms.layers);
  qb__findings_clear(profile->context, &algorithms.findings);
  return status;
}

/* 0 where the profile says nothing of it, as those before 0.1.0 do. */
static uint64_t network_from_json(qb__json *root)
{
  if (!qb__json_has(root, "network"))
    return 0;
  const char *text = qb__json_string(root, "network");
  uint64_t network = 0;
  size_t digits = 0;
  for (; text[digits]; digits++) {
    static const char values[] = "0123456789abcdef";
    const char *found = digits < HEX_BYTES - 1 ? strchr(values, text[digits]) : NULL;
    if (!found)
      break;
    network = network << 4 | (uint64_t)(found - values);
  }
  if (!root->file->status && (text[digits] || digits != HEX_BYTES - 1))
    qb__json_fail(root, "network", "expected 16 hexadecimal digits, found '%.32s'", text);
  return network;
}

static qb_status profile_from_json(qb_context *context, qb__json *root, qb_profile **profile)
{
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  info.library = qb__json_string(root, "library");
  info.engine = qb__json_string(root, "engine");
  info.model = qb__json_string(root, "model");
  info.network = network_from_json(root);
  info.created_unix_s = qb__json_int(root, "created_unix_s", 0, INT64_C(1) << 40);
  info.flops_per_sample = qb__json_double(root, "flops_per_sample", 0, 1e18);
  if (qb__json_has(root, "least_flops_per_sample"))
    info.least_flops_per_sample =
        qb__json_double(root, "least_flops_per_sample", 0, info.flops_per_sample);
  const double bytes_per_sample = qb__json_double(root, "bytes_per_sample", 0, 1e18);
  info.weight_bytes = (uint64_t)qb__json_int(root, "weight_bytes", 0, MOST_BYTES);
  info.measure_ns = qb__json_int(root, "measure_ns", 0, MOST_NS);
  info.prepare_ns = qb__json_int(root, "prepare_ns", 0, MOST_NS);

  qb__json at, array, operator_array, algorithms_array, accuracy_array, session_array;
  qb_node *node = NULL;
  qb_profile_point *points = NULL;
  qb__operator_work *operators = NULL;
  qb_profile *made = NULL;
  qb__json_object(root, "node", &at);
  qb_status status =
      root->file->status ? root->file->status : qb__node_from_json(context, &at, &node);
  const size_t operator_count =
      qb__json_array(root, "operators", 0, MOST_OPERATORS, &operator_array);
  const size_t algorithms_count =
      qb__json_array(root, "layer_ways", 0, MOST_ALGORITHMS, &algorithms_array);
  const size_t accuracy_count = /* older profiles have none */
      qb__json_has(root, "accuracy")
          ? qb__json_array(root, "accuracy", 0, QB__PRECISIONS, &accuracy_array)
          : 0;
  const size_t session_count =
      qb__json_has(root, "sessions")
          ? qb__json_array(root, "sessions", 0, MOST_SESSIONS, &session_array)
          : 0;
  const size_t count = qb__json_array(root, "points", 1, MOST_POINTS, &array);
  qb__json_end(root);
  status = root->file->status;
  if (status)
    goto done;
  points = qb__calloc(context, count, sizeof *points);
  operators = qb__calloc(context, operator_count, sizeof *operators);
  if (!points || !operators) {
    status = QB_ERROR_NO_MEMORY;
    goto done;
  }
  for (size_t i = 0; i < operator_count && !root->file->status; i++) {
    qb__json_element(&operator_array, i, &at);
    operator_from_json(&at, &operators[i]);
  }
  for (size_t i = 0; i < count && !root->file->status; i++) {
    qb__json_element(&array, i, &at);
    point_from_json(&at, &points[i]);
  }
  status = root->file->status;
  if (!status) {
    status = qb__profile_new(context, node, &info, bytes_per_sample, points, count, &made);
    if (status == QB_ERROR_INVALID_ARGUMENT)
      status = qb__fail_within(QB_ERROR_FORMAT, "%s: $.points", root->file->path);
  }
  if (!status)
    status = qb__profile_set_operators(made, operators, operator_count);
  for (size_t i = 0; i < algorithms_count && !status; i++) {
    qb__json_element(&algorithms_array, i, &at);
    status = algorithms_from_json(&at, made);
  }
  for (size_t i = 0; i < accuracy_count && !status; i++) {
    qb__json_element(&accuracy_array, i, &at);
    status = accuracy_from_json(&at, made);
  }
  if (!status && session_count)
    status = sessions_from_json(&session_array, session_count, made);
  if (!status)
    *profile = qb_profile_ref(made);
done:
  qb_profile_unref(made);
  qb__free(context, operators);
  qb__free(context, points);
  qb_node_unref(node);
  return status;
}

qb_status qb__profile_parse(qb_context *context, const char *path, const char *text, size_t bytes,
                            qb_profile **profile)
{
  qb__json_file file;
  qb__json root;
  qb_status status = qb__json_parse(&file, context, path, text, bytes, FORMAT, VERSION, &root);
  if (!status)
    status = profile_from_json(context, &root, profile);
  qb__json_close(&file);
  return status;
}

qb_status qb_profile_parse(qb_context *context, const char *text, size_t bytes,
                           qb_profile **profile)
{
  if (!context || !text || !profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !context ? "context"
                    : !text  ? "text"
                             : "profile");
  if (bytes > LARGEST_FILE)
    return qb__fail(QB_ERROR_OVERFLOW, "a profile of %zu bytes; expected at most %d", bytes,
                    LARGEST_FILE);
  return qb__profile_parse(context, "profile", text, bytes, profile);
}

qb_status qb_profile_load(qb_context *context, const char *path, qb_profile **profile)
{
  if (!context || !path || !profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !context ? "context"
                    : !path  ? "path"
                             : "profile");
  char *text = NULL;
  size_t bytes = 0;
  qb_status status = qb__file_read(context, path, LARGEST_FILE, &text, &bytes);
  if (!status)
    status = qb__profile_parse(context, path, text, bytes, profile);
  qb__free(context, text);
  return status;
}
