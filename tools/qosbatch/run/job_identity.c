/* SPDX-License-Identifier: Apache-2.0 */
#include "run/job_identity.h"

#include "common/diagnose.h"
#include "common/output.h"
#include "run/content.h"

#include <qosbatch/inspect.h>
#include <qosbatch/version.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct hex {
  char s[17];
} hex;

static hex to_hex(uint64_t value)
{
  hex text;
  snprintf(text.s, sizeof text.s, "%016llx", (unsigned long long)value);
  return text;
}

/* A built-in network is as its library makes it. */
static int add_model(json_t *job, const qb_model *model)
{
  qb_model_info info = QB_MODEL_INFO_INIT;
  qb_model_get_info(model, &info);
  const char *path;
  json_t *files = add_array(job, "model");
  for (uint32_t i = 0; !qb_model_get_file(model, i, &path); i++) {
    uint64_t hash;
    if (!content_of_path(path, &hash))
      return fail("cannot read '%s': %s", path, strerror(errno));
    append_text(files, to_hex(hash).s);
  }
  if (!json_array_size(files)) {
    append_text(files, info.name);
    append_text(files, qb_version());
  }
  return EXIT_DONE;
}

char *job_identity(const char *runner, const qb_model *model, const source *samples,
                   const conversion *how)
{
  json_t *job = object_new();
  uint64_t hash;
  if (source_content(samples, &hash) || add_model(job, model)) {
    json_decref(job);
    return NULL;
  }
  add_text(job, "runner", runner);
  add_integer(job, "samples", (int64_t)source_count(samples));
  add_text(job, "input", to_hex(hash).s);
  add_text(job, "scale", how->scale ? how->scale : "");
  add_text(job, "mean", how->mean ? how->mean : "");
  add_text(job, "std", how->deviation ? how->deviation : "");
  return json_to_line(job);
}
