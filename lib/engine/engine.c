/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

#include "core/error.h"
#include "model/model_data.h"

#include <qosbatch/inspect.h>
#include <qosbatch/version.h>

#ifdef QB_HAVE_ONEDNN
#include "engine/onednn.h"

const char *qb_engine_version(void)
{
  return qb__onednn_version();
}
#else
const char *qb_engine_version(void)
{
  return "none";
}

qb_status qb__network_new(const qb_model *model, const qb_configuration *configuration,
                          const qb__algorithms *algorithms, const qb__homes *homes,
                          qb__engine **engine)
{
  (void)configuration, (void)algorithms, (void)homes, (void)engine;
  return qb__fail(
      QB_ERROR_UNSUPPORTED,
      "model '%s' cannot be run: this libqosbatch was built without oneDNN; use a build "
      "with -Donednn=enabled, or a workload of your own",
      qb__model_info(model)->name);
}
#endif

qb_status qb__engine_new(const qb_model *model, const qb_configuration *configuration,
                         const qb__algorithms *algorithms, const qb__homes *homes,
                         qb__engine **engine)
{
  return qb__model_is_workload(model)
             ? qb__workload_new(model, configuration, engine)
             : qb__network_new(model, configuration, algorithms, homes, engine);
}
