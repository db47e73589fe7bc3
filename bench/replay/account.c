/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/account.h"

#include <qosbatch/inspect.h>

#include <math.h>
#include <stdio.h>

/* Worth a line. */
static const double MUCH = 0.03;

/* So many visits to a point leave little to noise. */
enum { WELL_VISITED = 6 };

static bool same_split(const qb_configuration *a, const qb_configuration *b)
{
  return a->instances == b->instances && a->threads == b->threads;
}

static void take_point(evidence *e, const qb_profile_point *p)
{
  const uint32_t visits = p->visits + p->set_aside;
  const double half = 0.5 * log((double)p->high_ns / (double)p->low_ns);
  e->visits = e->visits && e->visits < visits ? e->visits : visits;
  e->half_width = fmax(e->half_width, half);
}

static evidence evidence_of(const judge *j, qb_profile *profile, size_t question, const choice *c)
{
  evidence e = {.between = true};
  qb_profile_point p = QB_PROFILE_POINT_INIT, below = p, above = p;
  for (uint32_t i = 0; c->made && !qb_profile_get_point(profile, i, &p); i++) {
    if (!same_split(&p.configuration, &c->split))
      continue;
    if (p.batch <= c->batch)
      below = p;
    if (p.batch >= c->batch && !above.batch)
      above = p;
  }
  if (!below.batch || !above.batch)
    return e;
  e.between = below.batch != above.batch;
  take_point(&e, &below);
  take_point(&e, &above);
  e.value = judge_by(j, profile, question, c);
  return e;
}

void account_for(judge *j, qb_profile *profile, account accounts[QUESTIONS])
{
  ruling rulings[QUESTIONS];
  judge_profile(j, profile, rulings);
  for (size_t q = 0; q < QUESTIONS; q++) {
    const ruling *v = &rulings[q];
    accounts[q] = (account){.ruling = *v};
    if (v->regret < MUCH)
      continue;
    accounts[q].chosen = evidence_of(j, profile, q, &v->chosen);
    accounts[q].best = evidence_of(j, profile, q, &v->best);
  }
}

static void print_value(size_t question, double value)
{
  if (!(value > 0))
    printf("nothing");
  else if (question < TARGETS)
    printf("%.1f/s", value);
  else
    printf("%.1f ms", 1e3 / value);
}

static void print_choice(size_t question, const choice *c, double real, const evidence *e)
{
  if (!c->made) {
    printf("none");
    return;
  }
  printf("%ux%u b%u for ", c->split.instances, c->split.threads, c->batch);
  print_value(question, real);
  if (!e->visits) {
    printf(" (not measured)");
    return;
  }
  printf(" (measured as ");
  print_value(question, e->value);
  printf(", %u visits%s, +-%.0f %%)", e->visits, e->between ? " around it" : "",
         100 * e->half_width);
}

static const char *cause_of(const account *a, double floor)
{
  const evidence *chosen = &a->chosen, *best = &a->best;
  if (floor >= a->ruling.regret / 2)
    return "noise of a whole table, too";
  if (!best->visits)
    return "not measured in time";
  if (chosen->visits < WELL_VISITED || best->visits < WELL_VISITED)
    return "too few visits";
  return chosen->between || best->between ? "interpolation" : "measured wrongly";
}

void account_print(const account accounts[QUESTIONS], const double floors[QUESTIONS])
{
  for (size_t q = 0; q < QUESTIONS; q++) {
    const account *a = &accounts[q];
    if (a->ruling.regret < MUCH)
      continue;
    printf("  %s", q == JOB ? "job" : q < TARGETS ? "rate" : "latency");
    if (q != JOB)
      printf(" %g", judge_targets[q % TARGETS]);
    printf(": %.1f %% lost by ", 100 * a->ruling.regret);
    print_choice(q, &a->ruling.chosen, a->ruling.real, &a->chosen);
    printf(" instead of ");
    print_choice(q, &a->ruling.best, a->ruling.best.value, &a->best);
    printf(": %s\n", cause_of(a, floors[q]));
  }
}
