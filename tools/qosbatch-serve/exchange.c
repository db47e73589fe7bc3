/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"

#include "server_inside.h"

#include <string.h>
#include <strings.h>

enum { BYTES_OF_NO_BODY = 4096 };

/* A header that may be given once: how often it is, and the value of the last. */
typedef struct lookup {
  const char *name, *value;
  uint32_t count;
} lookup;

static enum MHD_Result look(void *user, enum MHD_ValueKind kind, const char *name,
                            const char *value)
{
  lookup *l = user;
  (void)kind;
  if (!strcasecmp(name, l->name)) {
    l->value = value ? value : "";
    l->count++;
  }
  return MHD_YES;
}

static lookup find(const exchange *e, const char *name)
{
  lookup l = {.name = name};
  MHD_get_connection_values(e->connection, MHD_HEADER_KIND, look, &l);
  return l;
}

bool exchange_has_body(const exchange *e)
{
  const lookup length = find(e, MHD_HTTP_HEADER_CONTENT_LENGTH);
  return find(e, MHD_HTTP_HEADER_TRANSFER_ENCODING).count ||
         (length.count && strcmp(length.value, "0"));
}

bool exchange_waits(const exchange *e)
{
  const lookup expected = find(e, MHD_HTTP_HEADER_EXPECT);
  return expected.count && !strcasecmp(expected.value, "100-continue");
}

/* Digits only. */
static bool read_length(const char *text, uint64_t *length)
{
  *length = 0;
  for (const char *at = text; *at; at++) {
    if (*at < '0' || *at > '9' || *length > UINT64_MAX / 10 - 10)
      return false;
    *length = *length * 10 + (uint64_t)(*at - '0');
  }
  return *text;
}

/* What is behind `prefix`, or NULL. */
static const char *behind(const char *text, const char *prefix)
{
  const size_t length = strlen(prefix);
  return strncmp(text, prefix, length) ? NULL : text + length;
}

static route refuse_path(exchange *e, const char *text)
{
  refuse(&e->problem, 404, "%s", text);
  return ROUTE_NONE;
}

/* "/v2/models/NAME[/versions/1][/ready|/infer]", from NAME on. */
static route find_model_route(exchange *e, const char *rest)
{
  const char *name = e->of->params->model.name;
  const char *at = behind(rest, name);
  if (!at || (*at && *at != '/')) {
    refuse(&e->problem, 404, "no such model; this service has '%s'", name);
    return ROUTE_NONE;
  }
  const char *version = behind(at, "/versions/");
  if (version) {
    at = behind(version, PROTOCOL_VERSION_OF_MODEL);
    if (!at || (*at && *at != '/'))
      return refuse_path(e, "no such version of the model; expected " PROTOCOL_VERSION_OF_MODEL);
  }
  return !*at                    ? ROUTE_MODEL
         : !strcmp(at, "/ready") ? ROUTE_READY
         : !strcmp(at, "/infer") ? ROUTE_INFER
                                 : refuse_path(e, "no such path");
}

static route find_route(exchange *e, const char *url)
{
  const char *model = behind(url, "/v2/models/");
  return model                              ? find_model_route(e, model)
         : !strcmp(url, "/v2/health/live")  ? ROUTE_LIVE
         : !strcmp(url, "/v2/health/ready") ? ROUTE_READY
         : !strcmp(url, "/v2")              ? ROUTE_SERVER
         : !strcmp(url, "/metrics")         ? ROUTE_METRICS
                                            : refuse_path(e, "no such path");
}

static bool check_method(exchange *e, const char *method)
{
  const bool is_read = !strcmp(method, "GET") || !strcmp(method, "HEAD");
  if (e->route == ROUTE_INFER ? !strcmp(method, "POST") : is_read)
    return true;
  e->allow = e->route == ROUTE_INFER ? "POST" : "GET, HEAD";
  return refuse(&e->problem, 405, "this path takes %s only", e->allow);
}

/* Where two readers could see different ends of a request. */
static bool check_framing(exchange *e, uint64_t *length)
{
  const lookup given = find(e, MHD_HTTP_HEADER_CONTENT_LENGTH);
  const lookup coding = find(e, MHD_HTTP_HEADER_TRANSFER_ENCODING);
  *length = 0;
  if (given.count + coding.count > 1)
    return refuse(&e->problem, 400, "more than one Content-Length or Transfer-Encoding");
  if (coding.count && strcasecmp(coding.value, "chunked"))
    return refuse(&e->problem, 501, "the only Transfer-Encoding supported is chunked");
  return !given.count || read_length(given.value, length) ||
         refuse(&e->problem, 400, "Content-Length: expected digits");
}

static bool check_packing(exchange *e)
{
  const lookup coding = find(e, MHD_HTTP_HEADER_CONTENT_ENCODING);
  static const char *const known[] = {"gzip", "x-gzip", "deflate"};
  if (!coding.count || (coding.count == 1 && !strcasecmp(coding.value, "identity")))
    return true;
  for (int i = 0; coding.count == 1 && i < 3; i++)
    e->is_packed = e->is_packed || !strcasecmp(coding.value, known[i]);
  return e->is_packed ||
         refuse(&e->problem, 415, "Content-Encoding: expected gzip, deflate or identity");
}

static bool check_header_bytes(exchange *e)
{
  static const char name[] = "Inference-Header-Content-Length";
  const lookup given = find(e, name);
  uint64_t length;
  if (!given.count)
    return true;
  if (given.count > 1 || !read_length(given.value, &length) || !length || length > SIZE_MAX / 2)
    return refuse(&e->problem, 400, "%s: expected one number of bytes, 1 or more", name);
  e->header_bytes = (size_t)length;
  return true;
}

/* What the largest request takes that can be in time. */
static void set_most_bytes(exchange *e, uint32_t most_samples)
{
  const server_params *p = e->of->params;
  const size_t per_element = e->header_bytes ? sizeof(float) : PROTOCOL_BYTES_PER_NUMBER;
  const size_t elements = p->model.input.elements_per_sample;
  e->most_bytes = PROTOCOL_BYTES_BESIDE + most_samples * elements * per_element;
  if (e->most_bytes > p->memory_bytes)
    e->most_bytes = p->memory_bytes;
}

/* Samples of a body, as far as its length tells. */
static uint32_t guess_samples(const exchange *e, uint64_t length)
{
  const size_t elements = e->of->params->model.input.elements_per_sample;
  const size_t per_sample =
      elements * (e->header_bytes ? sizeof(float) : PROTOCOL_BYTES_PER_NUMBER);
  const uint64_t guess = length > e->header_bytes ? (length - e->header_bytes) / per_sample : 0;
  return guess ? (uint32_t)guess : 1;
}

static bool check_infer(exchange *e, uint64_t length)
{
  batcher *b = e->of->params->batcher;
  if (!check_packing(e) || !check_header_bytes(e))
    return false;
  const uint32_t most = batcher_most_samples(b);
  set_most_bytes(e, most);
  if (length > e->most_bytes)
    return refuse(&e->problem, 413,
                  "the body has %llu bytes; the most samples that can be answered in time, %u, "
                  "take at most %zu",
                  (unsigned long long)length, most, e->most_bytes);
  e->upload = (upload){.samples = guess_samples(e, length),
                       .since_ns = e->request.arrived_ns,
                       .expected_bytes = length};
  return !exchange_waits(e) || batcher_welcome(b, e->upload.samples) ||
         refuse(&e->problem, 429, TOO_LATE);
}

void exchange_begin(exchange *e, const char *url, const char *method)
{
  uint64_t length;
  e->most_bytes = BYTES_OF_NO_BODY;
  if (!check_framing(e, &length))
    return;
  e->route = find_route(e, url);
  if (!e->route || !check_method(e, method))
    return;
  if (e->route == ROUTE_INFER)
    check_infer(e, length);
  else if (length > e->most_bytes)
    refuse(&e->problem, 413, "unexpected body");
}
