/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saves or loads a profile, node or catalogue, for tests that disturb it: what is saved depends on
 * the seed alone. Catalogues are written by hand, so they are only loaded.
 *
 * usage: store save|load profile|node|catalogue PATH [SEED [TIMES]]
 */
#include "support/random_profile.h"

#include <qosbatch/catalogue.h>
#include <qosbatch/inspect.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static qb_status save(qb_context *context, const char *kind, const char *path, uint64_t seed)
{
  qb_profile *profile = random_profile(context, &seed, 32);
  qb_node *node = qb_profile_node(profile);
  const qb_status status =
      strcmp(kind, "node") ? qb_profile_save(profile, path) : qb_node_save(node, path);
  qb_profile_unref(profile);
  return status;
}

static qb_status load(qb_context *context, const char *kind, const char *path)
{
  qb_profile *profile = NULL;
  qb_node *node = NULL;
  qb_catalogue *catalogue = NULL;
  const qb_status status = !strcmp(kind, "profile") ? qb_profile_load(context, path, &profile)
                           : !strcmp(kind, "node")  ? qb_node_load(context, path, &node)
                                                    : qb_catalogue_load(context, path, &catalogue);
  qb_profile_unref(profile);
  qb_node_unref(node);
  qb_catalogue_unref(catalogue);
  return status;
}

int main(int argc, char **argv)
{
  qb_context *context;
  if (argc < 4 || qb_context_new(NULL, &context))
    return 2;
  const uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
  qb_status status = QB_OK;
  for (unsigned long times = argc > 5 ? strtoul(argv[5], NULL, 10) : 1; !status && times; times--)
    status = strcmp(argv[1], "save") ? load(context, argv[2], argv[3])
                                     : save(context, argv[2], argv[3], seed);
  if (status)
    fprintf(stderr, "%s: %s\n", qb_status_name(status), qb_error_message());
  qb_context_unref(context);
  return status ? 1 : 0;
}
