/* SPDX-License-Identifier: Apache-2.0 */
#include "common/precisions.h"

#include "common/diagnose.h"
#include "common/output.h"

#include <qosbatch/accuracy.h>
#include <qosbatch/inspect.h>

#include <string.h>

static qb_precision find(const char *name, size_t length)
{
  char word[8] = "";
  int value;
  if (length < sizeof word)
    memcpy(word, name, length);
  if (!qb_enum_find("qb_precision", word, &value))
    fail_usage("--precision %s: expected f32, bf16 or int8", name);
  return (qb_precision)value;
}

precision_list precisions_named(const char *names)
{
  precision_list list = {.count = 0};
  while (names && *names) {
    const size_t length = strcspn(names, ",");
    const qb_precision value = find(names, length);
    if (precisions_have(&list, value))
      fail_usage("--precision: %s appears twice", qb_precision_name(value));
    list.values[list.count++] = value;
    names += length + (names[length] == ',');
    if (!*names && names[-1] == ',')
      fail_usage("--precision: expected a precision after the last comma");
  }
  return list;
}

void precisions_use_int8(const precision_list *list, const char *int8)
{
  if (int8 && !precisions_have(list, QB_PRECISION_INT8))
    fail_usage("--int8 %s would not be used: expected --precision int8, or f32,int8 for both",
               int8);
}

precision_list precisions_asked(const char *names, double accuracy, const char *int8,
                                const char *profile)
{
  const precision_list list = precisions_named(names);
  if (names && profile)
    fail_usage("--precision selects what to measure, but --profile was measured already: expected "
               "--accuracy P to choose among its precisions");
  if (!profile && (names || !(accuracy > 0)))
    precisions_use_int8(&list, int8);
  return list;
}

static qb_status try_precision(qb_model *model, qb_precision precision)
{
  const qb_configuration one = {1, 1, precision};
  qb_session *session = NULL;
  const qb_status status = qb_session_new(model, &one, NULL, &session);
  qb_session_unref(session);
  return status;
}

/* Before anything is measured. */
static int check_asked(qb_model *model, const precision_list *asked)
{
  for (size_t i = 0; i < asked->count; i++)
    if (try_precision(model, asked->values[i]))
      return fail("--precision %s: %s%s", qb_precision_name(asked->values[i]), qb_error_message(),
                  asked->values[i] == QB_PRECISION_INT8 ? "; --int8 FILE takes a quantized form"
                                                        : "");
  return EXIT_DONE;
}

static int add_if_supported(qb_model *model, qb_precision precision, precision_list *list)
{
  const qb_status status = try_precision(model, precision);
  if (!status)
    list->values[list->count++] = precision;
  return status == QB_ERROR_UNSUPPORTED ? EXIT_DONE : check(status);
}

int precisions_resolve(qb_model *model, bool by_accuracy, precision_list *list)
{
  if (list->count)
    return check_asked(model, list);
  int result = EXIT_DONE;
  if (by_accuracy) {
    list->values[list->count++] = QB_PRECISION_F32;
    result = add_if_supported(model, QB_PRECISION_BF16, list);
  }
  if (!result)
    result = add_if_supported(model, QB_PRECISION_INT8, list);
  if (!list->count)
    list->values[list->count++] = QB_PRECISION_F32;
  return result;
}

static precision_list measured_in(const qb_profile *profile)
{
  precision_list list = {.count = 0};
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &point); i++)
    if (!precisions_have(&list, point.configuration.precision))
      list.values[list.count++] = point.configuration.precision;
  return list;
}

static void explain(const qb_profile *profile, double accuracy, bool is_measured,
                    qb_precision precision)
{
  const char *name = qb_precision_name(precision);
  qb_accuracy a = QB_ACCURACY_INIT;
  if (!is_measured)
    note("%s is not used: the profile has no times of it; 'qosbatch profile --precision f32,%s' "
         "measures them",
         name, name);
  else if (!(accuracy > 0))
    note("%s is not used: no --accuracy P says how many answers have to be right", name);
  else if (qb_profile_get_accuracy(profile, precision, &a))
    note(
        "%s is not used: the profile does not say how accurate it is; 'qosbatch profile --input X' "
        "counts right answers",
        name);
  else if (100 * a.low < accuracy)
    note("%s is not used: %llu of %llu answers are as %s, which shows %s %% and not %g %%", name,
         (unsigned long long)a.agreeing, (unsigned long long)a.samples,
         a.labels ? "labelled" : "in f32", digits_rounded(100 * a.low, ROUND_DOWN).s, accuracy);
}

void precisions_explain(const qb_profile *profile, double accuracy, bool has_int8,
                        qb_precision chosen)
{
  const precision_list list = measured_in(profile);
  for (qb_precision p = QB_PRECISION_BF16; p <= QB_PRECISION_INT8; p++) {
    const bool is_measured = precisions_have(&list, p);
    if (p != chosen && (is_measured || (has_int8 && p == QB_PRECISION_INT8)))
      explain(profile, accuracy, is_measured, p);
  }
}

qb_precision precision_named(const char *name, const qb_profile *profile)
{
  qb_profile_point first = QB_PROFILE_POINT_INIT;
  if (name)
    return find(name, strlen(name));
  return qb_profile_get_point(profile, 0, &first) ? QB_PRECISION_F32
                                                  : first.configuration.precision;
}
