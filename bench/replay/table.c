/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/table.h"

#include "node/node_data.h"
#include "profile/csv.h"
#include "profile/statistics.h"

#include <qosbatch/inspect.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INSTANCES, THREADS, BATCH, LATENCY, P95, MEAN, LOW, HIGH, COLUMNS };
static const char *const names[COLUMNS] = {"instances", "threads", "batch",  "latency_ns",
                                           "p95_ns",    "mean_ns", "low_ns", "high_ns"};

/* Single rounds where the file says nothing of them. */
static const double ANY_P95 = 1.1, ANY_MEAN = 1.03;

static void fail(const char *path, const char *what)
{
  fprintf(stderr, "search: %s: %s\n", path, what);
  exit(1);
}

static void *take(size_t count, size_t bytes)
{
  void *memory = calloc(count + 1, bytes);
  if (!memory)
    fail("memory", "there is none left");
  return memory;
}

static char *read_text(const char *path, size_t *bytes)
{
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END))
    fail(path, "cannot be read");
  *bytes = (size_t)ftell(file);
  rewind(file);
  char *text = take(*bytes, 1);
  if (fread(text, 1, *bytes, file) != *bytes)
    fail(path, "cannot be read");
  fclose(file);
  return text;
}

static double field(const qb__csv *csv, size_t column)
{
  return column < csv->count ? strtod(csv->fields[column].text, NULL) : 0;
}

static int by_place(const void *a, const void *b)
{
  const table_point *x = a, *y = b;
  const double left[] = {x->instances, x->threads, x->batch, x->latency_ns};
  const double right[] = {y->instances, y->threads, y->batch, y->latency_ns};
  for (int i = 0; i < 4; i++)
    if (left[i] != right[i])
      return left[i] < right[i] ? -1 : 1;
  return 0;
}

static bool same_point(const table_point *a, const table_point *b)
{
  return a->instances == b->instances && a->threads == b->threads && a->batch == b->batch;
}

/* Rows of one point, rising, as one; a single row says itself how rounds vary, or does not. */
static table_point joined(const table_point *rows, size_t count)
{
  table_point p = rows[count / 2];
  if (count > 1) {
    p.p95_ns = rows[(size_t)(0.95 * (double)(count - 1) + 0.5)].latency_ns;
    p.mean_ns = 0;
    for (size_t i = 0; i < count; i++)
      p.mean_ns += rows[i].latency_ns / (double)count;
  }
  p.p95_ns = fmax(p.p95_ns > 0 ? p.p95_ns : ANY_P95 * p.latency_ns, p.latency_ns);
  p.mean_ns = fmax(p.mean_ns > 0 ? p.mean_ns : ANY_MEAN * p.latency_ns, p.latency_ns);
  return p;
}

static void join_rows(table *t)
{
  size_t made = 0;
  qsort(t->points, t->point_count, sizeof *t->points, by_place);
  for (size_t i = 0, end; i < t->point_count; i = end) {
    for (end = i + 1; end < t->point_count && same_point(&t->points[i], &t->points[end]);)
      end++;
    t->points[made++] = joined(&t->points[i], end - i);
  }
  t->point_count = made;
}

static int rising(const void *a, const void *b)
{
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static void find_axes(table *t)
{
  t->splits = take(t->point_count, sizeof *t->splits);
  t->batches = take(t->point_count, sizeof *t->batches);
  for (size_t i = 0; i < t->point_count; i++) {
    const table_point *p = &t->points[i];
    t->batches[i] = p->batch;
    const qb_configuration *last = t->split_count ? &t->splits[t->split_count - 1] : NULL;
    if (last && last->instances == p->instances && last->threads == p->threads)
      continue;
    t->splits[t->split_count++] = (qb_configuration){p->instances, p->threads};
  }
  qsort(t->batches, t->point_count, sizeof *t->batches, rising);
  for (size_t i = 0; i < t->point_count; i++)
    if (!i || t->batches[i] != t->batches[t->batch_count - 1])
      t->batches[t->batch_count++] = t->batches[i];
}

table table_of(table_point *points, size_t count)
{
  table t = {.point_count = count, .points = points};
  join_rows(&t);
  find_axes(&t);
  return t;
}

table table_again(const table *t, qb__random_stream *random)
{
  table_point *points = take(t->point_count, sizeof *points);
  for (size_t i = 0; i < t->point_count; i++) {
    const double factor = exp(t->points[i].error * qb__random_normal(random));
    points[i] = t->points[i];
    points[i].latency_ns *= factor;
    points[i].p95_ns *= factor;
    points[i].mean_ns *= factor;
  }
  return table_of(points, t->point_count);
}

/* From a 95 % interval; 0: there is none. */
static double error_of(double low_ns, double high_ns)
{
  return low_ns > 0 && high_ns > low_ns ? log(high_ns / low_ns) / (2 * 1.96) : 0;
}

static table of_profile(const char *path)
{
  qb_context *context;
  qb_profile *profile;
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  if (qb_context_new(NULL, &context) || qb_profile_load(context, path, &profile) ||
      qb_profile_get_info(profile, &info))
    fail(path, qb_error_message());
  table_point *points = take(info.points, sizeof *points);
  qb_profile_point p = QB_PROFILE_POINT_INIT;
  for (uint32_t i = 0; !qb_profile_get_point(profile, i, &p); i++)
    points[i] = (table_point){p.configuration.instances,
                              p.configuration.threads,
                              p.batch,
                              (double)p.latency_ns,
                              (double)p.p95_ns,
                              (double)p.mean_ns,
                              error_of((double)p.low_ns, (double)p.high_ns)};
  qb_profile_unref(profile);
  qb_context_unref(context);
  return table_of(points, info.points);
}

table table_read(const char *path)
{
  const size_t length = strlen(path);
  if (length > 5 && !strcmp(path + length - 5, ".json"))
    return of_profile(path);
  size_t bytes, columns[COLUMNS], room = 0;
  char *text = read_text(path, &bytes);
  qb__csv csv;
  table t = {0};
  qb__csv_open(&csv, text, bytes);
  if (!qb__csv_next(&csv))
    fail(path, "there is no line of column names");
  for (int c = 0; c < COLUMNS; c++) {
    columns[c] = SIZE_MAX;
    for (size_t i = 0; i < csv.count; i++)
      if (csv.fields[i].length == strlen(names[c]) &&
          !memcmp(csv.fields[i].text, names[c], csv.fields[i].length))
        columns[c] = i;
    if (columns[c] == SIZE_MAX && c <= LATENCY)
      fail(path, "expected columns instances, threads, batch and latency_ns");
  }
  while (qb__csv_next(&csv)) {
    if (t.point_count == room) {
      room = 2 * room + 64;
      t.points = realloc(t.points, room * sizeof *t.points);
      if (!t.points)
        fail(path, "there is no memory left");
    }
    table_point *p = &t.points[t.point_count++];
    *p = (table_point){(uint32_t)field(&csv, columns[INSTANCES]),
                       (uint32_t)field(&csv, columns[THREADS]),
                       (uint32_t)field(&csv, columns[BATCH]),
                       field(&csv, columns[LATENCY]),
                       field(&csv, columns[P95]),
                       field(&csv, columns[MEAN]),
                       error_of(field(&csv, columns[LOW]), field(&csv, columns[HIGH]))};
    if (!p->instances || !p->threads || !p->batch || !(p->latency_ns >= 1))
      fail(path, "a row has a field that is no number above 0");
  }
  if (csv.wrong || !t.point_count)
    fail(path, csv.wrong ? csv.wrong : "there is no row below the column names");
  free(text);
  return table_of(t.points, t.point_count);
}

void table_free(table *t)
{
  free(t->points);
  free(t->splits);
  free(t->batches);
}

const table_point *table_find(const table *t, const qb_configuration *split, uint32_t batch)
{
  for (size_t i = 0; i < t->point_count; i++)
    if (t->points[i].instances == split->instances && t->points[i].threads == split->threads &&
        t->points[i].batch == batch)
      return &t->points[i];
  return NULL;
}

qb_profile *replay_profile(qb_context *context, const qb_profile_point *points, size_t count)
{
  qb_node_info node_info = QB_NODE_INFO_INIT;
  node_info.cpu = "table";
  qb_profile_info info = QB_PROFILE_INFO_INIT;
  info.model = "table";
  info.engine = info.library = "replay";
  qb_node *node = NULL;
  qb_profile *profile = NULL;
  if (qb__node_new(context, &node_info, NULL, 0, NULL, 0, &node) ||
      qb__profile_new(context, node, &info, 0, points, count, &profile))
    fail("profile", qb_error_message());
  qb_node_unref(node);
  return profile;
}

qb_profile *table_truth(qb_context *context, const table *t)
{
  qb_profile_point *points = take(t->point_count, sizeof *points);
  for (size_t i = 0; i < t->point_count; i++) {
    const table_point *p = &t->points[i];
    points[i] = (qb_profile_point)QB_PROFILE_POINT_INIT;
    points[i].configuration.instances = p->instances;
    points[i].configuration.threads = p->threads;
    points[i].batch = p->batch;
    points[i].visits = 1;
    points[i].latency_ns = points[i].low_ns = points[i].high_ns = (int64_t)p->latency_ns;
    points[i].p95_ns = (int64_t)p->p95_ns;
    points[i].mean_ns = (int64_t)p->mean_ns;
  }
  qb_profile *truth = replay_profile(context, points, t->point_count);
  free(points);
  return truth;
}

static int64_t now_ns(void *user)
{
  return ((const replay *)user)->now_ns;
}

qb_context *replay_context(replay *r)
{
  qb_context_params params = QB_CONTEXT_PARAMS_INIT;
  params.now_ns = now_ns;
  params.clock_user = r;
  qb_context *context;
  if (qb_context_new(&params, &context))
    fail("context", qb_error_message());
  return context;
}

static qb_status open_split(void *user, size_t index, uint32_t largest_batch)
{
  (void)largest_batch;
  const replay_run *run = user;
  run->replay->open = &run->sweep->curves[index].configuration;
  run->replay->now_ns += run->replay->opening_ns;
  return QB_OK;
}

static qb_status prepare(void *user, qb_profile_point *point)
{
  (void)user, (void)point;
  return QB_OK;
}

static void close_split(void *user)
{
  const replay_run *run = user;
  run->replay->open = NULL;
}

static qb_status tell(void *user, qb_phase phase, const qb_profile_point *point, double fraction)
{
  (void)user, (void)phase, (void)point, (void)fraction;
  return QB_OK;
}

/*
 * A quantile of single rounds over their median, by a curve that has the point's median, 95th percentile
 * and mean: straight below the median, a power of the rank from there on, and 10 % more at the end.
 */
static double quantile(const table_point *p, double rank)
{
  const double beyond = p->p95_ns / p->latency_ns - 1;
  if (rank < 0.5)
    return 0.97 + 0.06 * rank;
  if (rank > 0.95)
    return (1 + beyond) * (1 + 2 * (rank - 0.95));
  const double rest = p->mean_ns / p->latency_ns - 0.5 * 0.985 - 0.45 - 0.05 * 1.05 * (1 + beyond);
  const double power = 0.45 * beyond / fmax(rest, 0.05 * beyond) - 1;
  return 1 + beyond * pow((rank - 0.5) / 0.45, fmax(power, 0));
}

/* Ends when the slowest instance is done. Each keeps to its place among them, as cores are of unequal speed. */
static qb_status visit(void *user, uint32_t batch, uint32_t rounds, uint32_t warm_up_batch,
                       qb__visit *seen)
{
  replay *r = ((const replay_run *)user)->replay;
  const table_point *p = table_find(r->table, r->open, batch);
  const table_point *warm = table_find(r->table, r->open, warm_up_batch);
  const double visit_ns = p->latency_ns * exp(r->unrest * fabs(qb__random_normal(&r->random)));
  const size_t count = (size_t)rounds * p->instances;
  double longest_ns = 0;
  r->round_ns = realloc(r->round_ns, count * sizeof *r->round_ns);
  if (!r->round_ns)
    fail("memory", "there is none left");
  for (uint32_t i = 0; i < p->instances; i++) {
    double all_ns = 0;
    for (uint32_t n = 0; n < rounds; n++) {
      const double rank = (i + qb__random_unit(&r->random)) / p->instances;
      const double ns = visit_ns * quantile(p, rank);
      r->round_ns[i * rounds + n] = (int64_t)ns;
      all_ns += ns;
    }
    longest_ns = fmax(longest_ns, all_ns);
  }
  const double took_ns = longest_ns + (warm ? warm->latency_ns : 0);
  r->now_ns += (int64_t)took_ns;
  r->probe_ns += took_ns;
  r->visits++;
  *seen = (qb__visit){.count = count, .round_ns = r->round_ns, .parts = 1, .part_ns = r->round_ns};
  return QB_OK;
}

const qb__visitor replay_visitor = {open_split, prepare, visit, close_split, tell};
