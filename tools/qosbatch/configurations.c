/* SPDX-License-Identifier: Apache-2.0 */
#include "configurations.h"

#include "common/diagnose.h"
#include "common/output.h"
#include "common/precisions.h"

#include <qosbatch/inspect.h>

#include <stdlib.h>

static void append(configuration_list *list, const qb_configuration *k)
{
  list->items[list->count++] = *k;
}

int configurations_to_measure(uint32_t usable, const integer_list *instances,
                              const integer_list *threads, configuration_list *list)
{
  *list = (configuration_list){NULL, 0};
  if (!instances->count && !threads->count)
    return EXIT_DONE;
  const size_t rows = instances->count ? instances->count : 1;
  const size_t columns = threads->count ? threads->count : 1;
  list->items = allocate(rows * columns, sizeof *list->items);
  for (size_t row = 0; row < rows; row++) {
    for (size_t column = 0; column < columns; column++) {
      const uint32_t i = instances->count ? instances->values[row] : 1;
      const uint32_t share = usable / i ? usable / i : 1;
      const uint32_t t = threads->count ? threads->values[column] : share;
      const qb_configuration k = {i, t};
      if ((uint64_t)i * t <= usable)
        append(list, &k);
      else
        note("skipped %s: only %u thread%s usable here", human_configuration(&k).s, usable,
             usable == 1 ? " is" : "s are");
    }
  }
  if (list->count)
    return EXIT_DONE;
  free(list->items);
  list->items = NULL;
  return fail("no requested configuration fits in the %u usable thread%s of this node", usable,
              plural(usable));
}

/* Finds the next point, from *index on, of this configuration, 0 instances or threads being any. */
static bool next_point(const qb_profile *profile, const qb_configuration *wanted, uint32_t *index,
                       qb_profile_point *point)
{
  while (!qb_profile_get_point(profile, (*index)++, point)) {
    const qb_configuration *c = &point->configuration;
    if ((!wanted->instances || c->instances == wanted->instances) &&
        (!wanted->threads || c->threads == wanted->threads) && c->precision == wanted->precision)
      return true;
  }
  return false;
}

static int none_found(const qb_configuration *wanted)
{
  const uint32_t instances = wanted->instances, threads = wanted->threads;
  const bool by_instances = instances != 0;
  if (!instances && !threads)
    return fail("nothing was measured in %s; profile it with --precision %s",
                qb_precision_name(wanted->precision), qb_precision_name(wanted->precision));
  return fail("nothing was measured with %u %s%s; also give --%s",
              by_instances ? instances : threads, by_instances ? "instance" : "thread",
              plural(instances | threads), by_instances ? "threads" : "instances");
}

int configurations_of_profile(const qb_profile *profile, const qb_configuration *wanted,
                              configuration_list *list)
{
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  qb_profile_get_info(profile, &info);
  *list = (configuration_list){allocate(info.points + 1, sizeof *list->items), 0};
  if (wanted->instances && wanted->threads) {
    append(list, wanted);
    return EXIT_DONE;
  }
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  for (uint32_t index = 0; next_point(profile, wanted, &index, &point);) {
    /* Points are ordered by configuration, so a new one differs from the last. */
    const qb_configuration *last = list->count ? &list->items[list->count - 1] : NULL;
    if (!last || !same_configuration(last, &point.configuration))
      append(list, &point.configuration);
  }
  if (list->count)
    return EXIT_DONE;
  free(list->items);
  list->items = NULL;
  return none_found(wanted);
}

int configuration_of_profile(const qb_profile *profile, const qb_configuration *wanted,
                             qb_configuration *configuration)
{
  *configuration = *wanted;
  if (wanted->instances && wanted->threads)
    return EXIT_DONE;
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  double best_per_ns = 0;
  for (uint32_t index = 0; next_point(profile, wanted, &index, &point);) {
    const double per_ns =
        (double)point.configuration.instances * point.batch / (double)point.latency_ns;
    if (per_ns > best_per_ns) {
      best_per_ns = per_ns;
      *configuration = point.configuration;
    }
  }
  return best_per_ns > 0 ? EXIT_DONE : none_found(wanted);
}
