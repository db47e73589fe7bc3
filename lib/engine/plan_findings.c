/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/plan_findings.h"

#include "core/alloc.h"

#include <string.h>

bool qb__is_passed_over(const qb__findings *findings, uint32_t op, const char *implementation)
{
  for (size_t i = 0; findings && i < findings->count; i++)
    if (findings->passed_over[i].op == op &&
        !strcmp(findings->passed_over[i].implementation, implementation))
      return true;
  return false;
}

bool qb__is_checked(const qb__findings *findings, uint32_t batch)
{
  for (size_t i = 0; i < findings->checked_count; i++)
    if (findings->checked[i] == batch)
      return true;
  return false;
}

qb_status qb__pass_over(const qb_context *context, qb__findings *findings, uint32_t op,
                        const char *implementation)
{
  if (qb__is_passed_over(findings, op, implementation))
    return QB_OK;
  if (!qb__grow(context, &findings->passed_over, findings->count, &findings->capacity,
                sizeof *findings->passed_over))
    return QB_ERROR_NO_MEMORY;
  qb__passed_over *added = &findings->passed_over[findings->count++];
  *added = (qb__passed_over){.op = op};
  strncat(added->implementation, implementation, sizeof added->implementation - 1);
  return QB_OK;
}

qb_status qb__set_checked(const qb_context *context, qb__findings *findings, uint32_t batch)
{
  if (qb__is_checked(findings, batch))
    return QB_OK;
  if (!qb__grow(context, &findings->checked, findings->checked_count, &findings->checked_capacity,
                sizeof *findings->checked))
    return QB_ERROR_NO_MEMORY;
  findings->checked[findings->checked_count++] = batch;
  return QB_OK;
}

qb_status qb__findings_copy(const qb_context *context, const qb__findings *from, qb__findings *to)
{
  qb__findings copy = {0};
  qb_status status = QB_OK;
  for (size_t i = 0; i < from->count && !status; i++)
    status =
        qb__pass_over(context, &copy, from->passed_over[i].op, from->passed_over[i].implementation);
  for (size_t i = 0; i < from->checked_count && !status; i++)
    status = qb__set_checked(context, &copy, from->checked[i]);
  qb__findings_clear(context, status ? &copy : to);
  if (!status)
    *to = copy;
  return status;
}

void qb__findings_clear(const qb_context *context, qb__findings *findings)
{
  qb__free(context, findings->passed_over);
  qb__free(context, findings->checked);
  *findings = (qb__findings){0};
}
