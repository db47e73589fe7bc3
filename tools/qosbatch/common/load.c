/* SPDX-License-Identifier: Apache-2.0 */
#include "common/load.h"

#include "common/diagnose.h"
#include "common/files.h"
#include "common/output.h"

#include <qosbatch/inspect.h>
#include <qosbatch/measurements.h>

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void print_warning(void *user, qb_severity severity, const char *text)
{
  (void)user;
  if (severity == QB_SEVERITY_WARNING)
    warn("%s", text);
}

int load_context(qb_context **context)
{
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.message = print_warning;
  return check(qb_context_new(&params, context));
}

/* External data is read, too. */
static void note_files(const char *name, const qb_model *model)
{
  const char *path;
  for (uint32_t i = 0; !qb_model_get_file(model, i, &path); i++)
    files_add(name, joined(path, ""), FILE_READ);
  files_check();
}

int load_model(qb_context *context, const char *name, qb_model **model)
{
  if (is_onnx(name)) {
    const int result = check(qb_model_load_onnx(context, name, model));
    if (!result)
      note_files(name, *model);
    return result;
  }
  const qb_status status = qb_model_builtin(context, name, model);
  if (status == QB_ERROR_NOT_FOUND)
    fail_usage("%s, or a file that ends in .onnx", qb_error_message());
  return check(status);
}

int load_int8(qb_context *context, const char *path, qb_model **model)
{
  qb_model *quantized = NULL, *joined_model = NULL;
  if (!path)
    return EXIT_DONE;
  if (!is_onnx(path))
    fail_usage("--int8 %s: expected a quantized network, a file that ends in .onnx", path);
  int result = load_model(context, path, &quantized);
  if (!result)
    result = check(qb_model_join_int8(*model, quantized, &joined_model));
  qb_model_unref(quantized);
  if (result)
    return result;
  qb_model_unref(*model);
  *model = joined_model;
  return EXIT_DONE;
}

int load_profile(qb_context *context, const char *path, qb_profile **profile)
{
  if (is_onnx(path))
    fail_usage("'%s' is a network; expected its profile, made by 'qosbatch profile %s -o FILE'",
               path, path);
  const qb_status status = qb_profile_load(context, path, profile);
  if (status && access(path, F_OK))
    return fail("%s; make a profile with 'qosbatch profile MODEL -o FILE'", qb_error_message());
  return check(status);
}

int load_node(qb_context *context, const char *path, qb_node **node)
{
  const qb_status status = qb_node_load(context, path, node);
  return status == QB_ERROR_FORMAT
             ? fail("%s; make a node file with 'qosbatch node -o FILE'", qb_error_message())
             : check(status);
}

int check_profile(const char *path, const qb_profile *profile, const qb_model *model)
{
  return qb_profile_check(profile, model, NULL) ? fail("%s: %s", path, qb_error_message())
                                                : EXIT_DONE;
}

int load_profile_of(qb_context *context, const char *path, const qb_model *model,
                    qb_profile **profile)
{
  const int result = load_profile(context, path, profile);
  return result ? result : check_profile(path, *profile, model);
}

int load_measurements(qb_context *context, const char *path, const qb_measurements_params *params,
                      qb_profile **profile)
{
  return check(qb_profile_from_measurements(context, path, params, profile));
}

int check_output(const char *path)
{
  struct stat info;
  if (!stat(path, &info)) {
    if (S_ISDIR(info.st_mode))
      errno = EISDIR;
    else if (!access(path, W_OK))
      return EXIT_DONE;
  } else if (errno == ENOENT) {
    char *copy = strdup(path);
    const bool good = copy && !access(dirname(copy), W_OK | X_OK);
    const int reason = errno;
    free(copy);
    if (good)
      return EXIT_DONE;
    errno = reason;
  }
  return fail("cannot write '%s': %s", path, strerror(errno));
}
