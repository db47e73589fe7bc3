/* SPDX-License-Identifier: Apache-2.0 */
#include "run/job_profile.h"

#include "answers.h"
#include "common/diagnose.h"
#include "common/measure.h"
#include "common/precisions.h"

#include <math.h>

/*
 * The fewest samples that can show an accuracy: if all n answers are right, the 95 % interval of Wilson
 * begins at n / (n + z^2).
 */
static double fewest_to_show(double accuracy)
{
  const double z = 1.96;
  return ceil(z * z * accuracy / (100 - accuracy));
}

/* A precision that an accuracy cannot admit is not measured. */
static int choose_precisions(qb_model *model, const job_demand *demand, precision_list *list)
{
  const double fewest = fewest_to_show(demand->accuracy);
  *list = demand->precisions;
  if (precisions_resolve(model, demand->accuracy > 0, list))
    return EXIT_FAILED;
  if (!(demand->accuracy > 0))
    return EXIT_DONE;
  if (list->count == 1 && !demand->precisions.count)
    note("--accuracy has nothing to choose from: this processor has no bf16 for %s, and int8 takes "
         "--int8 FILE",
         demand->model);
  if (list->count > 1 && precisions_have(list, QB_PRECISION_F32) &&
      (double)demand->samples < fewest) {
    *list = (precision_list){{QB_PRECISION_F32}, 1};
    note(
        "f32 is used: %llu samples are too few to show that another precision is right in %g %% of "
        "the answers; that takes %.0f, here or in a --profile made with --input",
        (unsigned long long)demand->samples, demand->accuracy, fewest);
  }
  return EXIT_DONE;
}

/* On twice the fewest samples that could do, as some answers may be wrong, and never on a handful. */
static int count_answers(qb_model *model, const job_demand *demand, qb_profile **profile)
{
  const double enough = fmax(100, 2 * fewest_to_show(demand->accuracy));
  const answers_demand answers = {.input = demand->input,
                                  .most = (double)demand->samples < enough ? demand->samples
                                                                           : (uint64_t)enough};
  note("counting on %llu samples how many answers are as in f32", (unsigned long long)answers.most);
  return answers_measure(model, &answers, profile);
}

/* The job itself corrects the plan, so the profile may be less exact. */
static int make_profiles(qb_context *context, qb_model *model, const job_demand *demand,
                         profile_list *list)
{
  enum { SECONDS = 6, LARGEST = 32 };
  brief_demand brief = {.model = demand->model,
                        .by_accuracy = demand->accuracy > 0,
                        .max_batch =
                            demand->samples < LARGEST ? (uint32_t)demand->samples : LARGEST,
                        .seconds = SECONDS,
                        .reserve_cores = demand->reserve_cores,
                        .price_per_hour = demand->price_per_hour,
                        .quiet = demand->quiet};
  int result = choose_precisions(model, demand, &brief.precisions);
  if (!result)
    result = measure_briefly(context, model, &brief, list);
  const bool others = brief.precisions.count > precisions_have(&brief.precisions, QB_PRECISION_F32);
  if (!result && brief.by_accuracy && others)
    result = count_answers(model, demand, &list->profiles[0]);
  return result;
}

int job_profile_get(qb_context *context, qb_model *model, const job_demand *demand,
                    profile_list *list)
{
  if (!demand->profile)
    return make_profiles(context, model, demand, list);
  list->count = 1;
  return load_profile_here(context, demand->profile, model, demand->reserve_cores,
                           &list->profiles[0]);
}
