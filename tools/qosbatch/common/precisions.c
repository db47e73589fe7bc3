/* SPDX-License-Identifier: Apache-2.0 */
#include "common/precisions.h"

#include "common/diagnose.h"

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
    size_t i = 0;
    while (i < list.count && list.values[i] != value)
      i++;
    if (i < list.count)
      fail_usage("--precision: %s appears twice", qb_precision_name(value));
    list.values[list.count++] = value;
    names += length + (names[length] == ',');
    if (!*names && names[-1] == ',')
      fail_usage("--precision: expected a precision after the last comma");
  }
  return list;
}

qb_precision precision_named(const char *name, const qb_profile *profile)
{
  qb_profile_point first = QB_PROFILE_POINT_INIT;
  if (name)
    return find(name, strlen(name));
  return qb_profile_get_point(profile, 0, &first) ? QB_PRECISION_F32
                                                  : first.configuration.precision;
}
