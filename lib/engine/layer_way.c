/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/layer_way.h"

#include <string.h>

static const char *const names[QB__WAY_COUNT] = {
    [QB__WAY_UNKNOWN] = "none",        [QB__WAY_PREFERRED] = "preferred",
    [QB__WAY_IN_PLACE] = "in_place",   [QB__WAY_BLOCKED_16] = "blocked_16",
    [QB__WAY_BLOCKED_8] = "blocked_8", [QB__WAY_WINOGRAD] = "winograd",
    [QB__WAY_ROWS] = "rows",           [QB__WAY_COLUMNS] = "columns"};

const char *qb__layer_way_name(qb__layer_way way)
{
  return names[way];
}

bool qb__layer_way_of(const char *name, qb__layer_way *way)
{
  for (int i = 0; i < QB__WAY_COUNT; i++)
    if (!strcmp(name, names[i])) {
      *way = (qb__layer_way)i;
      return true;
    }
  return false;
}
