/* SPDX-License-Identifier: Apache-2.0 */
/* What a profile says of the accuracy of precisions, and which of them may be planned with. */
#include "core/error.h"
#include "core/structs.h"
#include "core/wilson.h"
#include "profile/profile_impl.h"

static qb_status check(const qb_accuracy *a)
{
  if ((unsigned)a->precision >= QB__PRECISIONS)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "precision is %d; give a QB_PRECISION_ value",
                    (int)a->precision);
  if (a->samples < 1 || a->agreeing > a->samples)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "%llu of %llu samples agree; give 1 or more samples, of which no more agree",
                    (unsigned long long)a->agreeing, (unsigned long long)a->samples);
  return QB_OK;
}

qb_status qb__profile_set_accuracy(qb_profile *profile, const qb_accuracy *accuracy)
{
  const qb_status status = check(accuracy);
  if (status)
    return status;
  qb_accuracy *own = &profile->accuracies[accuracy->precision];
  *own = *accuracy;
  own->size = sizeof *own;
  own->share = (double)own->agreeing / (double)own->samples;
  qb__wilson_interval(own->agreeing, own->samples, &own->low, &own->high);
  return QB_OK;
}

const qb_accuracy *qb__profile_accuracy(const qb_profile *profile, qb_precision precision)
{
  const qb_accuracy *own = &profile->accuracies[precision];
  return own->samples ? own : NULL;
}

qb_status qb_profile_with_accuracy(const qb_profile *profile, const qb_accuracy *accuracies,
                                   size_t count, qb_profile **made)
{
  if (!profile || !accuracies || !made)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL",
                    !profile      ? "profile"
                    : !accuracies ? "accuracies"
                                  : "made");
  qb_profile *copy = NULL;
  qb_status status = QB__STRUCTS_CHECK(qb_accuracy, accuracies, count);
  if (!status)
    status = qb__profile_copy(profile, &copy);
  for (size_t i = 0; i < count && !status; i++) {
    qb_accuracy ours;
    status = QB__STRUCT_IN(qb_accuracy, &ours, (const qb_accuracy *)qb__struct_at(accuracies, i));
    if (!status)
      status = qb__profile_set_accuracy(copy, &ours);
    if (status)
      status = qb__fail_within(status, "accuracies[%zu]", i);
  }
  if (status)
    qb_profile_unref(copy);
  else
    *made = copy;
  return status;
}

qb_status qb_profile_get_accuracy(const qb_profile *profile, qb_precision precision,
                                  qb_accuracy *accuracy)
{
  if (!profile)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "profile is NULL");
  if ((unsigned)precision >= QB__PRECISIONS)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "precision is %d; give a QB_PRECISION_ value",
                    (int)precision);
  const qb_status status = QB__STRUCT_CHECK_OUT(qb_accuracy, accuracy);
  if (status)
    return status;
  const qb_accuracy *own = qb__profile_accuracy(profile, precision);
  if (!own)
    return qb__fail(QB_ERROR_NOT_FOUND,
                    "the profile of '%.64s' does not say how accurate %s is; measure it, and use "
                    "qb_profile_with_accuracy()",
                    profile->info.model, qb_precision_name(precision));
  QB__STRUCT_OUT(qb_accuracy, accuracy, own);
  return QB_OK;
}
