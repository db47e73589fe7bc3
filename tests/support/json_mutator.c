/* SPDX-License-Identifier: Apache-2.0 */
#include "support/json_mutator.h"

#include "support/random.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static bool is_container(const json_t *value)
{
  return json_is_object(value) || json_is_array(value);
}

static size_t children_of(const json_t *value)
{
  return json_is_object(value) ? json_object_size(value) : json_array_size(value);
}

/* The place of the index-th child: its key, or NULL in an array. */
static json_t *child_at(json_t *parent, size_t index, const char **key)
{
  *key = NULL;
  if (json_is_array(parent))
    return json_array_get(parent, index);
  void *at = json_object_iter(parent);
  while (index--)
    at = json_object_iter_next(parent, at);
  *key = json_object_iter_key(at);
  return json_object_iter_value(at);
}

static json_t *changed_integer(json_int_t value, uint64_t *random)
{
  static const json_int_t far[] = {0, 1, -1, 2, 65536, INT32_MAX, INT64_C(1) << 53, INT64_MAX};
  const double factor = exp(4 * random_unit(random) - 2);
  switch (random_int(random, 0, 5)) {
  case 0: return json_integer(far[random_int(random, 0, 7)]);
  case 1: return json_integer(value < INT64_MAX ? value + 1 : value);
  case 2: return json_integer(value > INT64_MIN ? value - 1 : value);
  default:
    return fabs((double)value * factor) < 9e18 ? json_integer((json_int_t)((double)value * factor))
                                               : json_integer(value / 2);
  }
}

static json_t *changed_real(double value, uint64_t *random)
{
  static const double far[] = {0, -1, 1e-300, 1e300, 5e-324, 1, 1e15, 0.5};
  const double made = random_int(random, 0, 3) ? value * exp(6 * random_unit(random) - 3)
                                               : far[random_int(random, 0, 7)];
  return json_real(isfinite(made) ? made : value);
}

static json_t *changed_scalar(const json_t *value, uint64_t *random)
{
  if (json_is_integer(value))
    return changed_integer(json_integer_value(value), random);
  if (json_is_real(value))
    return changed_real(json_real_value(value), random);
  if (json_is_string(value))
    return json_string(random_int(random, 0, 1) ? "" : "avx512");
  return json_boolean(!json_is_true(value));
}

static void change_array(json_t *array, size_t index, uint64_t *random)
{
  json_t *copy = json_deep_copy(json_array_get(array, index));
  switch (random_int(random, 0, 2)) {
  case 0: json_array_remove(array, index); break;
  case 1: json_array_append(array, copy); break;
  default: { /* one like it, but for something in it */
    json_array_append(array, copy);
    if (is_container(copy) && children_of(copy))
      json_mutate(copy, random);
  }
  }
  json_decref(copy);
}

void json_mutate(json_t *root, uint64_t *random)
{
  if (!children_of(root))
    return;
  const char *key;
  const size_t index = (size_t)random_int(random, 0, children_of(root) - 1);
  json_t *child = child_at(root, index, &key);
  if (json_is_array(root) && random_int(random, 0, 3) == 0) {
    change_array(root, index, random);
  } else if (is_container(child) && children_of(child)) {
    json_mutate(child, random);
  } else if (key && random_int(random, 0, 31) == 0) {
    json_object_del(root, key);
  } else if (!is_container(child)) {
    json_t *made = changed_scalar(child, random);
    if (key)
      json_object_set_new(root, key, made);
    else
      json_array_set_new(root, index, made);
  }
}
