/* SPDX-License-Identifier: Apache-2.0 */
#include "run/job_report.h"

#include "common/clock.h"
#include "common/diagnose.h"
#include "common/output.h"
#include "common/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * What rounds that take so long for the whole job make of this run's samples. Reading goes on
 * beside them; where no core is left for it, it takes its time from theirs.
 */
static int64_t with_reading(const job_report *self, int64_t rounds_ns)
{
  const qb_configuration *c = &self->plan->configuration;
  const double samples = (double)(self->samples - self->done_before);
  const double reading_ns = samples * self->reading_ns;
  const double own_ns = (double)rounds_ns * samples / (double)self->samples;
  const double taken_ns = self->core_left ? 0 : reading_ns / ((double)c->instances * c->threads);
  return (int64_t)fmax(own_ns + taken_ns, reading_ns);
}

int64_t job_report_predicted_ns(const job_report *self)
{
  return with_reading(self, self->plan->total_ns);
}

static int64_t since_start_ns(const job_report *self)
{
  return clock_ns() - self->demand->start_ns;
}

static double cost(const job_report *self)
{
  return job_plan_cost(self->plan, self->elapsed_before_ns + self->state.elapsed_ns);
}

/* Of the instances' time, how much they waited for samples. */
static double waiting(const job_report *self)
{
  const double all = (double)(self->state.waiting_ns + self->state.busy_ns);
  return all > 0 ? (double)self->state.waiting_ns / all : 0;
}

static double per_s(const job_report *self)
{
  return self->state.elapsed_ns ? (double)self->state.samples / seconds(self->state.elapsed_ns) : 0;
}

static void draw(const job_report *self, const pace *speed, int64_t left_ns, int64_t late_ns)
{
  char deadline[80] = "", price[80] = "";
  if (self->demand->deadline_ns)
    snprintf(deadline, sizeof deadline, ", ends %s %s the deadline", human_time(llabs(late_ns)).s,
             late_ns > 0 ? "after" : "before");
  if (self->plan->price_per_hour > 0)
    snprintf(price, sizeof price, ", cost %s", digits(cost(self)).s);
  progress_draw(self->state.elapsed_ns,
                (double)(self->done_before + self->state.samples) / (double)self->samples,
                "%s samples/s, %s left%s%s", digits(pace_per_s(speed)).s, human_time(left_ns).s,
                deadline, price);
}

void job_report_progress(job_report *self, const pace *speed)
{
  const int64_t left_ns = pace_left_ns(speed);
  const int64_t late_ns = since_start_ns(self) + left_ns - self->demand->deadline_ns;
  draw(self, speed, left_ns, late_ns);
  if (!pace_is_known(speed))
    return;
  const double slowdown = pace_slowdown(speed);
  if (!self->slow_told && slowdown > 1.1) {
    note("a sample takes %.2f times as long as planned%s; %s left", slowdown,
         waiting(self) > 0.2 ? ", as rounds wait for samples to be read" : "",
         human_time(left_ns).s);
    self->slow_told = true;
  }
  if (!self->late_told && self->demand->deadline_ns && late_ns > 0) {
    warn("the deadline will be missed by %s", human_time(late_ns).s);
    self->late_told = true;
  }
}

/* Of all runs of the job. */
static row_counts count_rows(const job_report *self)
{
  const row_counts *before = &self->rows_before, *now = &self->state.rows;
  return (row_counts){before->unreadable + now->unreadable, before->not_finite + now->not_finite};
}

void job_report_json(const job_report *self)
{
  const job_plan *plan = self->plan;
  json_t *root = object_new();
  add_text(root, "model", self->model);
  add_text(root, "input", self->input);
  add_text(root, "output", self->output);
  add_integer(root, "samples", (int64_t)self->samples);
  add_integer(root, "done_before", (int64_t)self->done_before);
  add_integer(root, "left_out", (int64_t)self->left_out);
  const row_counts rows = count_rows(self);
  add_integer(root, "warnings", (int64_t)(rows.unreadable + rows.not_finite));
  add_integer(root, "unreadable", (int64_t)rows.unreadable);
  add_integer(root, "not_finite", (int64_t)rows.not_finite);
  add_configuration(root, &plan->configuration);
  add_integer(root, "batch", self->batch);
  add_integer(root, "rounds", (int64_t)self->state.rounds);
  add_integer(root, "predicted_ns", job_report_predicted_ns(self));
  add_integer(root, "predicted_low_ns", with_reading(self, plan->low_ns));
  add_integer(root, "predicted_high_ns", with_reading(self, plan->high_ns));
  add_integer(root, "measured_ns", self->state.elapsed_ns);
  add_integer(root, "prepare_ns", self->prepare_ns);
  add_integer(root, "hash_ns", self->hash_ns);
  add_integer(root, "elapsed_ns", since_start_ns(self));
  add_number(root, "throughput_per_s", per_s(self));
  add_number(root, "waiting", waiting(self));
  if (plan->price_per_hour > 0)
    add_number(root, "cost", cost(self));
  if (self->demand->deadline_ns)
    add_bool(root, "deadline_met", since_start_ns(self) <= self->demand->deadline_ns);
  print_json(root);
}

void job_report_text(const job_report *self)
{
  const job_plan *plan = self->plan;
  const job_state *state = &self->state;
  const int64_t predicted_ns = job_report_predicted_ns(self);
  printf("%s, %llu sample%s on %s, rounds of %u\n\n", self->model,
         (unsigned long long)self->samples, plural(self->samples),
         human_configuration(&plan->configuration).s, self->batch);
  if (self->done_before)
    printf("before      %llu completed by an earlier run\n", (unsigned long long)self->done_before);
  if (state->samples) {
    printf("predicted   %s, 95 %% interval %s to %s\n", human_time(predicted_ns).s,
           human_time(with_reading(self, plan->low_ns)).s,
           human_time(with_reading(self, plan->high_ns)).s);
    printf("measured    %s (%+.1f %%), after %s to make batches ready\n",
           human_time(state->elapsed_ns).s,
           100 * (double)(state->elapsed_ns - predicted_ns) / (double)predicted_ns,
           human_time(self->prepare_ns).s);
    printf("throughput  %s samples/s\n", digits(per_s(self)).s);
  }
  if (plan->price_per_hour > 0)
    printf("cost        %s\n", digits(cost(self)).s);
  if (self->demand->deadline_ns)
    printf("deadline    %s\n",
           since_start_ns(self) <= self->demand->deadline_ns ? "met" : "missed");
  const row_counts rows = count_rows(self);
  if (rows.unreadable)
    printf("warnings    %llu sample%s could not be read; marked in the output\n",
           (unsigned long long)rows.unreadable, plural(rows.unreadable));
  if (rows.not_finite)
    printf("warnings    %llu sample%s NaN or infinite, in the input, the output or between\n",
           (unsigned long long)rows.not_finite, rows.not_finite == 1 ? " is" : "s are");
  printf("saved to    %s\n", self->output);
}
