/* SPDX-License-Identifier: Apache-2.0 */
/* What the service says in JSON. */
#include "protocol.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_string(FILE *to, const char *text, size_t bytes)
{
  fputc('"', to);
  for (size_t i = 0; i < bytes; i++) {
    const unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\')
      fprintf(to, "\\%c", c);
    else if (c < 0x20)
      fprintf(to, "\\u%04x", c);
    else
      fputc(c, to);
  }
  fputc('"', to);
}

static void write_field(FILE *to, const char *before, const char *text)
{
  fputs(before, to);
  write_string(to, text, strlen(text));
}

/* -1: the batch, which is any. */
static void write_tensor(FILE *to, const qb_tensor_info *tensor, int64_t batch)
{
  write_field(to, "{\"name\":", tensor->name);
  fprintf(to, ",\"datatype\":\"FP32\",\"shape\":[%lld", (long long)batch);
  for (uint32_t i = 0; i < tensor->rank; i++)
    fprintf(to, ",%lld", (long long)tensor->dims[i]);
  fputc(']', to);
}

static void write_numbers(FILE *to, const float *values, size_t count)
{
  for (size_t i = 0; i < count; i++)
    fprintf(to, "%s%.9g", i ? "," : "", (double)values[i]);
}

/* The text, or NULL when it could not be held. */
static char *finish(FILE *to, char **text)
{
  const bool good = !ferror(to);
  if (!fclose(to) && good)
    return *text;
  free(*text);
  return NULL;
}

char *protocol_write(const protocol_model *model, const infer_request *r, const float *values,
                     size_t *bytes, size_t *header_bytes, problem *p)
{
  const size_t count = r->samples * model->output.elements_per_sample;
  const size_t binary_bytes = r->binary_output ? count * sizeof *values : 0;
  for (size_t i = 0; !r->binary_output && i < count; i++)
    if (!isfinite(values[i])) {
      refuse(p, 422, "the answer holds an infinity, which JSON cannot; ask for binary_data");
      return NULL;
    }
  char *text = NULL;
  FILE *to = open_memstream(&text, bytes);
  refuse(p, 500, "out of memory for the answer");
  if (!to)
    return NULL;
  write_field(to, "{\"model_name\":", model->name);
  fputs(",\"model_version\":\"" PROTOCOL_VERSION_OF_MODEL "\"", to);
  if (r->has_id) {
    fputs(",\"id\":", to);
    write_string(to, r->id, r->id_bytes);
  }
  fputs(",\"outputs\":[", to);
  write_tensor(to, &model->output, r->samples);
  if (r->binary_output) {
    fprintf(to, ",\"parameters\":{\"binary_data_size\":%zu}}]}", binary_bytes);
  } else {
    fputs(",\"data\":[", to);
    write_numbers(to, values, count);
    fputs("]}]}", to);
  }
  *header_bytes = r->binary_output ? (size_t)ftell(to) : 0;
  if (r->binary_output)
    fwrite(values, sizeof *values, count, to);
  return finish(to, &text);
}

char *protocol_metadata(const protocol_model *model)
{
  char *text = NULL;
  size_t bytes;
  FILE *to = open_memstream(&text, &bytes);
  if (!to)
    return NULL;
  write_field(to, "{\"name\":", model->name);
  fputs(",\"versions\":[\"" PROTOCOL_VERSION_OF_MODEL "\"],\"platform\":\"qosbatch\",\"inputs\":[",
        to);
  write_tensor(to, &model->input, -1);
  fputs("}],\"outputs\":[", to);
  write_tensor(to, &model->output, -1);
  fputs("}]}", to);
  return finish(to, &text);
}

char *protocol_error(const char *error)
{
  char *text = NULL;
  size_t bytes;
  FILE *to = open_memstream(&text, &bytes);
  if (!to)
    return NULL;
  write_field(to, "{\"error\":", error);
  fputc('}', to);
  return finish(to, &text);
}
