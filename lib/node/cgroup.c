/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cgroup.h"

#include "core/alloc.h"
#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 20, PATH_BYTES = 4096 };

typedef struct source {
  const qb_context *context;
  const char *root;
  qb_status status; /* QB_ERROR_NO_MEMORY once it ran out; nothing else is a failure */
} source;

/* The text of a file, or NULL. */
static char *read_text(source *from, const char *path)
{
  char full[PATH_BYTES];
  char *text = NULL;
  if (!from->status && snprintf(full, sizeof full, "%s%s", from->root, path) < (int)sizeof full)
    from->status = qb__file_read_optional(from->context, full, LARGEST_FILE, &text);
  return text;
}

/*
 * A number of bytes or microseconds at the beginning of a file; false for "max", -1 and nonsense.
 */
static bool read_number(source *from, const char *folder, const char *name, double *first,
                        double *second)
{
  char path[PATH_BYTES];
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
    return false;
  char *text = read_text(from, path);
  long long a = 0, b = 0;
  const int found = text ? sscanf(text, "%lld %lld", &a, &b) : 0;
  qb__free(from->context, text);
  *first = (double)a;
  if (second)
    *second = (double)b;
  return found >= (second ? 2 : 1) && a > 0 && (!second || b > 0);
}

static void lower_cores(qb__cgroup_limits *limits, double quota, double period)
{
  const double cores = quota / period;
  if (limits->cpu_cores == 0 || cores < limits->cpu_cores)
    limits->cpu_cores = cores;
}

static void lower_memory(qb__cgroup_limits *limits, double bytes)
{
  /* v1 says "none" with a number close to 2^63. */
  if (bytes < 4e18 && (limits->memory_bytes == 0 || bytes < (double)limits->memory_bytes))
    limits->memory_bytes = (uint64_t)bytes;
}

typedef enum controller { UNIFIED, CPU, MEMORY } controller;

static void read_group(source *from, controller which, const char *folder,
                       qb__cgroup_limits *limits)
{
  double a, b;
  if (which == UNIFIED && read_number(from, folder, "cpu.max", &a, &b))
    lower_cores(limits, a, b);
  if (which == UNIFIED && read_number(from, folder, "memory.max", &a, NULL))
    lower_memory(limits, a);
  if (which == CPU && read_number(from, folder, "cpu.cfs_quota_us", &a, NULL) &&
      read_number(from, folder, "cpu.cfs_period_us", &b, NULL))
    lower_cores(limits, a, b);
  if (which == MEMORY && read_number(from, folder, "memory.limit_in_bytes", &a, NULL))
    lower_memory(limits, a);
}

/* Reads a group below a mount and all above it. */
static void walk_up(source *from, controller which, const char *mount, const char *group,
                    qb__cgroup_limits *limits)
{
  char folder[PATH_BYTES];
  if (snprintf(folder, sizeof folder, "%s%s", mount, group) >= (int)sizeof folder)
    return;
  const size_t shortest = strlen(mount);
  for (;;) {
    size_t length = strlen(folder);
    while (length > shortest && folder[length - 1] == '/')
      folder[--length] = 0;
    read_group(from, which, folder, limits);
    char *slash = length > shortest ? strrchr(folder + shortest, '/') : NULL;
    if (!slash)
      return;
    *slash = 0;
  }
}

/* True if `list`, up to `end`, has `word` between its commas. */
static bool has_word(const char *list, const char *end, const char *word)
{
  const size_t length = strlen(word);
  while (list < end) {
    const char *comma = memchr(list, ',', (size_t)(end - list));
    const char *stop = comma ? comma : end;
    if ((size_t)(stop - list) == length && !strncmp(list, word, length))
      return true;
    list = stop + 1;
  }
  return false;
}

/*
 * Where a hierarchy is mounted, and which of its groups is at the mount's root: lines of mountinfo
 * are "id parent major:minor root mount options fields - type source options" (proc(5)).
 */
static bool find_mount(const char *mountinfo, controller which, char mount[PATH_BYTES],
                       char mounted[PATH_BYTES])
{
  for (const char *line = mountinfo; line && *line;) {
    const char *end = strchr(line, '\n');
    if (!end)
      end = line + strlen(line);
    char type[32], options[1024];
    const char *dash = strstr(line, " - ");
    if (dash && dash < end && sscanf(line, "%*s %*s %*s %4095s %4095s", mounted, mount) == 2 &&
        sscanf(dash, " - %31s %*s %1023s", type, options) == 2) {
      const char *last = options + strlen(options);
      if (which == UNIFIED
              ? !strcmp(type, "cgroup2")
              : !strcmp(type, "cgroup") && has_word(options, last, which == CPU ? "cpu" : "memory"))
        return true;
    }
    line = *end ? end + 1 : NULL;
  }
  return false;
}

/* "/a/b" is below "/a" and "/a/b", but not below "/a/bc". */
static bool is_below(const char *group, const char *above, size_t length)
{
  return !strncmp(group, above, length) && (group[length] == '/' || group[length] == 0);
}

static void read_hierarchy(source *from, controller which, const char *mountinfo, const char *group,
                           qb__cgroup_limits *limits)
{
  static const char *const usual[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/cpu",
                                      "/sys/fs/cgroup/memory"};
  char mount[PATH_BYTES], mounted[PATH_BYTES];
  if (!mountinfo || !find_mount(mountinfo, which, mount, mounted)) {
    strcpy(mount, usual[which]);
    strcpy(mounted, "/");
  }
  /* In a container the mount may show a subtree: the group's path below it counts. */
  const size_t length = strlen(mounted);
  if (length > 1)
    group = is_below(group, mounted, length) ? group + length : "";
  walk_up(from, which, mount, group, limits);
}

qb_status qb__cgroup_read(const qb_context *context, const char *root, qb__cgroup_limits *limits)
{
  source from = {context, root, QB_OK};
  qb__cgroup_limits found = {0, 0};
  char *mountinfo = read_text(&from, "/proc/self/mountinfo");
  char *groups = read_text(&from, "/proc/self/cgroup");
  /* Lines are "id:controllers:path"; the unified hierarchy has no controllers (cgroups(7)). */
  for (char *line = groups; line && *line;) {
    char *end = strchr(line, '\n');
    if (end)
      *end = 0;
    char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
    if (path) {
      list++;
      if (list == path)
        read_hierarchy(&from, UNIFIED, mountinfo, path + 1, &found);
      if (has_word(list, path, "cpu"))
        read_hierarchy(&from, CPU, mountinfo, path + 1, &found);
      if (has_word(list, path, "memory"))
        read_hierarchy(&from, MEMORY, mountinfo, path + 1, &found);
    }
    line = end ? end + 1 : NULL;
  }
  qb__free(context, groups);
  qb__free(context, mountinfo);
  if (!from.status)
    *limits = found;
  return from.status;
}
