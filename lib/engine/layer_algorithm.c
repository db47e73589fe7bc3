/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/layer_algorithm.h"

#include <string.h>

static const char *const names[QB__ALGORITHM_COUNT] = {
    [QB__ALGORITHM_UNKNOWN] = "none",        [QB__ALGORITHM_PREFERRED] = "preferred",
    [QB__ALGORITHM_IN_PLACE] = "in_place",   [QB__ALGORITHM_BLOCKED_16] = "blocked_16",
    [QB__ALGORITHM_BLOCKED_8] = "blocked_8", [QB__ALGORITHM_WINOGRAD] = "winograd",
    [QB__ALGORITHM_ROWS] = "rows",           [QB__ALGORITHM_COLUMNS] = "columns"};

const char *qb__layer_algorithm_name(qb__layer_algorithm algorithm)
{
  return names[algorithm];
}

bool qb__layer_algorithm_of(const char *name, qb__layer_algorithm *algorithm)
{
  for (int i = 0; i < QB__ALGORITHM_COUNT; i++)
    if (!strcmp(name, names[i])) {
      *algorithm = (qb__layer_algorithm)i;
      return true;
    }
  return false;
}
