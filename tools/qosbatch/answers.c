/* SPDX-License-Identifier: Apache-2.0 */
#include "answers.h"

#include "common/diagnose.h"
#include "common/interrupt.h"
#include "common/output.h"
#include "common/precisions.h"
#include "run/labels.h"
#include "run/source.h"

#include <qosbatch/accuracy.h>
#include <qosbatch/inspect.h>
#include <qosbatch/quantize.h>

#include <stdlib.h>

/* Samples that are in memory at a time. */
enum { CHUNK = 64 };

typedef struct samples {
  source *from;
  uint64_t elements; /* of each */
  uint64_t count;    /* that are used */
  float *chunk;
  uint32_t *labels; /* of all that there are; NULL: none */
} samples;

/* The sample of the input that is used as the `index`-th. */
static uint64_t row_of(const samples *s, uint64_t index)
{
  return (uint64_t)((double)index * (double)source_count(s->from) / (double)s->count);
}

static int open_samples(const qb_model *model, const answers_demand *demand, samples *s)
{
  qb_tensor_info input = QB_TENSOR_INFO_INIT;
  int result = check(qb_model_get_input(model, 0, &input));
  if (result)
    return result;
  s->from = demand->input;
  const uint64_t all = source_count(s->from);
  s->elements = input.elements_per_sample;
  s->count = all < demand->most ? all : demand->most;
  s->chunk = allocate(CHUNK * s->elements, sizeof *s->chunk);
  if (demand->labels) {
    s->labels = allocate(all, sizeof *s->labels);
    result = labels_read(demand->labels, all, s->labels);
  }
  return result;
}

static void close_samples(samples *s)
{
  free(s->chunk);
  free(s->labels);
}

/* An image that cannot be read is left out: nothing agrees with QB_NO_ANSWER. */
static int answer_chunk(const samples *s, qb_session *session, uint64_t first, uint32_t count,
                        uint32_t *answers)
{
  row_state states[CHUNK];
  int result = EXIT_DONE;
  for (uint32_t i = 0; i < count && !result; i++)
    result = source_read(s->from, row_of(s, first + i), 1, s->chunk + i * s->elements, &states[i]);
  const void *inputs[1] = {s->chunk};
  if (!result)
    result = check(qb_session_get_answers(session, count, inputs, answers + first));
  for (uint32_t i = 0; i < count && !result; i++)
    if (states[i] != ROW_OK)
      answers[first + i] = QB_NO_ANSWER;
  return result;
}

static int answer_all(const samples *s, qb_model *model, const qb_configuration *k,
                      const qb_profile *profile, uint32_t *answers)
{
  qb_session *session = NULL;
  int result = check(qb_session_new(model, k, profile, &session));
  for (uint64_t first = 0; first < s->count && !result; first += CHUNK) {
    const uint64_t left = s->count - first;
    if (interrupt_signal())
      result = fail("interrupted while answers were counted");
    else
      result = answer_chunk(s, session, first, (uint32_t)(left < CHUNK ? left : CHUNK), answers);
  }
  qb_session_unref(session);
  return result;
}

/* Compares answers with the right ones; samples without either are not counted. */
static int judge(const samples *s, const uint32_t *answers, const uint32_t *right,
                 qb_precision precision, bool labels, qb_accuracy *a)
{
  uint32_t *kept = allocate(2 * s->count, sizeof *kept), *expected = kept + s->count;
  uint64_t count = 0;
  for (uint64_t i = 0; i < s->count; i++)
    if (right[i] != QB_NO_ANSWER) {
      kept[count] = answers[i];
      expected[count++] = right[i];
    }
  qb_agreement found = QB_AGREEMENT_INIT;
  int result = check(qb_agreement_count(kept, expected, count, &found));
  if (!result && !count)
    result = fail("none of the samples has an answer to compare with");
  *a = (qb_accuracy)QB_ACCURACY_INIT;
  a->precision = precision;
  a->labels = labels;
  a->samples = found.samples;
  a->agreeing = found.agreeing;
  free(kept);
  return result;
}

/*
 * An instance of the most threads that were measured in each precision, and in 32-bit floats in any
 * case.
 */
static size_t list_precisions(const qb_profile *profile, qb_configuration list[MOST_PRECISIONS])
{
  size_t count = 1;
  list[0] = (qb_configuration){1, 1};
  qb_profile_point point = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &point); i++) {
    const qb_configuration *k = &point.configuration;
    if (list[count - 1].precision != k->precision)
      list[count++] = (qb_configuration){1, 1, k->precision};
    if (list[count - 1].threads < k->threads)
      list[count - 1].threads = k->threads;
  }
  return count;
}

static void take_labels(const samples *s, uint32_t *right)
{
  for (uint64_t i = 0; i < s->count; i++)
    right[i] = s->labels[row_of(s, i)];
}

int answers_measure(qb_model *model, const answers_demand *demand, qb_profile **profile)
{
  samples s = {NULL, 0, 0, NULL, NULL};
  qb_configuration list[MOST_PRECISIONS];
  qb_accuracy accuracies[MOST_PRECISIONS];
  size_t count = 0;
  uint32_t *right = NULL, *answers = NULL;
  int result = open_samples(model, demand, &s);
  if (result)
    goto done;
  right = allocate(s.count, sizeof *right);
  answers = allocate(s.count, sizeof *answers);
  if (s.labels)
    take_labels(&s, right);
  const size_t precisions = list_precisions(*profile, list);
  for (size_t i = 0; i < precisions && !result; i++) {
    const bool is_reference = !s.labels && list[i].precision == QB_PRECISION_F32;
    result = answer_all(&s, model, &list[i], *profile, is_reference ? right : answers);
    if (!result && !is_reference)
      result = judge(&s, answers, right, list[i].precision, s.labels != NULL, &accuracies[count++]);
  }
  qb_profile *made = NULL;
  if (!result && count &&
      !(result = check(qb_profile_with_accuracy(*profile, accuracies, count, &made)))) {
    qb_profile_unref(*profile);
    *profile = made;
  }
done:
  free(right);
  free(answers);
  close_samples(&s);
  return result;
}
