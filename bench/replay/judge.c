/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/judge.h"

#include <qosbatch/lab.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { JOB_SAMPLES = 10000 };

const double judge_targets[TARGETS] = {1.5, 2, 3, 5, 8, 12, 20};

static void check(qb_status status)
{
  if (status) {
    fprintf(stderr, "search: %s\n", qb_error_message());
    exit(1);
  }
}

/* Answers known already: judging one takes longer than a search. */
typedef struct judged {
  size_t question;
  qb_configuration split;
  uint32_t batch;
  double value;
} judged;

struct judge {
  const table *table;
  replay still; /* whose clock it is */
  qb_context *context;
  qb_profile *truth;
  int64_t target_ns[TARGETS];
  double rate_per_s[TARGETS];
  choice best[QUESTIONS];
  judged *known;
  size_t known_count;
};

static choice plan_service(const judge *j, qb_profile *profile, size_t question)
{
  const size_t t = question % TARGETS;
  const bool highest = question < TARGETS;
  qb_qos qos = QB_QOS_INIT;
  qb_load load = QB_LOAD_INIT;
  qos.objective = highest ? QB_OBJECTIVE_RATE : QB_OBJECTIVE_LATENCY;
  if (highest)
    qos.latency_ns = j->target_ns[t];
  else
    load.rate_per_s = j->rate_per_s[t];
  qb_service_plan plan = QB_SERVICE_PLAN_INIT;
  check(qb_plan_service(&profile, 1, &load, &qos, &plan, NULL));
  return (choice){plan.feasible, plan.configuration, plan.batch,
                  highest ? plan.max_rate_per_s : 1e9 / (double)plan.latency_ns};
}

static choice plan_job(qb_profile *profile)
{
  qb_job_plan plan = QB_JOB_PLAN_INIT;
  qb_job job = QB_JOB_INIT;
  job.samples = JOB_SAMPLES;
  check(qb_plan_job(&profile, 1, &job, NULL, &plan, NULL));
  return (choice){plan.feasible, plan.configuration, plan.batch, 1e9 / (double)plan.total_ns};
}

static choice answer(const judge *j, qb_profile *profile, size_t question)
{
  return question == JOB ? plan_job(profile) : plan_service(j, profile, question);
}

static bool same_split(const qb_configuration *a, const qb_configuration *b)
{
  return a->instances == b->instances && a->threads == b->threads;
}

/* A profile's rounds of one split, of no more samples than `batch`, which is the last. */
static qb_profile *part_of(const judge *j, qb_profile *whole, const qb_configuration *split,
                           uint32_t batch)
{
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  check(qb_profile_get_info(whole, &info));
  qb_profile_point *points = calloc(info.points + 1, sizeof *points);
  if (!points)
    exit(1);
  size_t count = 0;
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(whole, i, &p); i++)
    if (same_split(&p.configuration, split) && p.batch < batch)
      points[count++] = p;
  qb_latency_estimate e = QB_LATENCY_ESTIMATE_INIT;
  check(qb_estimate(whole, split, batch, NULL, &e));
  p = (qb_profile_point)QB_PROFILE_POINT_INIT;
  p.configuration = *split;
  p.batch = batch;
  p.latency_ns = p.low_ns = p.high_ns = e.latency_ns;
  p.p95_ns = e.p95_ns;
  p.mean_ns = e.mean_ns;
  points[count++] = p;
  qb_profile *made = replay_profile(j->context, points, count);
  free(points);
  return made;
}

double judge_by(const judge *j, qb_profile *profile, size_t question, const choice *c)
{
  qb_profile *part = part_of(j, profile, &c->split, c->batch);
  const choice made = answer(j, part, question);
  qb_profile_unref(part);
  return made.made ? made.value : 0;
}

/* What a choice is worth by the table. */
static double judge_choice(judge *j, size_t question, const choice *c)
{
  if (!c->made)
    return 0;
  for (size_t i = 0; i < j->known_count; i++)
    if (j->known[i].question == question && same_split(&j->known[i].split, &c->split) &&
        j->known[i].batch == c->batch)
      return j->known[i].value;
  const judged made = {question, c->split, c->batch, judge_by(j, j->truth, question, c)};
  j->known = realloc(j->known, (j->known_count + 1) * sizeof *j->known);
  if (!j->known)
    exit(1);
  j->known[j->known_count++] = made;
  return made.value;
}

judge *judge_new(const table *t)
{
  judge *j = calloc(1, sizeof *j);
  if (!j)
    exit(1);
  j->table = t;
  j->still.now_ns = 1;
  j->context = replay_context(&j->still);
  j->truth = table_truth(j->context, t);
  double shortest_ns = INFINITY;
  for (size_t i = 0; i < t->point_count; i++)
    if (t->points[i].batch == t->batches[0])
      shortest_ns = fmin(shortest_ns, t->points[i].latency_ns);
  for (size_t q = 0; q < QUESTIONS; q++) {
    if (q < TARGETS)
      j->target_ns[q] = (int64_t)(judge_targets[q] * shortest_ns);
    j->best[q] = answer(j, j->truth, q);
    if (q < TARGETS)
      j->rate_per_s[q] = j->best[q].value / 2;
  }
  return j;
}

void judge_free(judge *j)
{
  qb_profile_unref(j->truth);
  qb_context_unref(j->context);
  free(j->known);
  free(j);
}

void judge_profile(judge *j, qb_profile *profile, ruling rulings[QUESTIONS])
{
  for (size_t q = 0; q < QUESTIONS; q++) {
    ruling *v = &rulings[q];
    *v = (ruling){.chosen = answer(j, profile, q), .best = j->best[q]};
    v->real = judge_choice(j, q, &v->chosen);
    v->regret = v->best.made ? fmax(0, 1 - v->real / v->best.value) : 0;
  }
}
