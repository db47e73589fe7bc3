/* SPDX-License-Identifier: Apache-2.0 */
#include "common/options.h"

#include "common/diagnose.h"
#include "common/output.h"
#include "common/suggest.h"

#include <qosbatch/inspect.h>
#include <qosbatch/version.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits only: strtoull() would take blanks and signs too, and wrap -1 around. */
static bool read_digits(const char **at, double *value)
{
  if (!isdigit((unsigned char)**at))
    return false;
  char *end;
  *value = (double)strtoull(*at, &end, 10); /* too large for it is too large for any option */
  *at = end;
  return true;
}

static void set_integer(const option *o, const char *text)
{
  const char *end = text;
  double value;
  if (!read_digits(&end, &value) || *end || value < o->least || value > o->most)
    fail_usage("--%s '%s': expected an integer from %.0f to %.0f", o->name, text, o->least,
               o->most);
  *o->target.integer = (uint64_t)value;
}

static void set_number(const option *o, const char *text)
{
  char *end;
  const double value = strtod(text, &end);
  if (!*text || isspace((unsigned char)*text) || *end || !(value > o->least && value < o->most))
    fail_usage("--%s '%s': expected a number above %g and below %g", o->name, text, o->least,
               o->most);
  *o->target.number = value;
}

static void set_percent(const option *o, const char *text)
{
  set_number(o, text);
  const double value = *o->target.number;
  if (value < 1)
    fail_usage("--%s '%s' is below 1 %%; did you mean %g?", o->name, text, 100 * value);
}

/* Appends the integers of "1,3,24" or "1-8" that `seen` does not have yet. */
static bool read_list(const option *o, const char *at, bool *seen, integer_list *list)
{
  for (;; at++) {
    double first, last;
    if (!read_digits(&at, &first))
      return false;
    last = first;
    if (*at == '-') {
      at++;
      if (!read_digits(&at, &last))
        return false;
    }
    if ((*at && *at != ',') || first < o->least || last > o->most || first > last)
      return false;
    for (size_t value = (size_t)first; value <= (size_t)last; value++) {
      if (!seen[value])
        list->values[list->count++] = (uint32_t)value;
      seen[value] = true;
    }
    if (!*at)
      return true;
  }
}

static void set_list(const option *o, const char *text)
{
  const size_t possible = (size_t)o->most + 1;
  bool *seen = allocate(possible, sizeof *seen);
  integer_list list = {allocate(possible, sizeof *list.values), 0};
  const bool good = read_list(o, text, seen, &list);
  free(seen);
  if (!good) {
    free(list.values);
    fail_usage("--%s '%s': expected integers from %.0f to %.0f such as 1,3,24 or 1-8", o->name,
               text, o->least, o->most);
  }
  free(o->target.list->values);
  *o->target.list = list;
}

static void set(const option *o, const char *text)
{
  switch (o->kind) {
  case OPTION_KIND_FLAG: *o->target.flag = true; break;
  case OPTION_KIND_INTEGER: set_integer(o, text); break;
  case OPTION_KIND_NUMBER: set_number(o, text); break;
  case OPTION_KIND_PERCENT: set_percent(o, text); break;
  case OPTION_KIND_LIST: set_list(o, text); break;
  case OPTION_KIND_STRING:
    if (!*text)
      fail_usage("--%s '': expected a value, %s", o->name, o->value);
    *o->target.string = text;
    break;
  }
}

static void print_help(const command *self, const option *options, size_t count)
{
  enum { LEFT_WIDTH = 26 };
  printf("Usage: %s%s%s%s%s\n\n%s.\n", diagnose_speaker(), self->operand ? " " : "",
         self->operand ? self->operand : "", *self->synopsis ? " " : "", self->synopsis,
         self->summary);
  if (self->details)
    printf("\n%s\n", self->details);
  printf("\nOptions:\n");
  for (size_t i = 0; i < count; i++) {
    const option *o = &options[i];
    const char letter[] = {'-', o->letter, ',', ' ', 0};
    char left[64];
    snprintf(left, sizeof left, "%s--%s%s%s", o->letter ? letter : "", o->name, o->value ? " " : "",
             o->value ? o->value : "");
    printf("  %-*s %s\n", LEFT_WIDTH, left, o->help);
  }
  printf("  %-*s %s\n", LEFT_WIDTH, "--help", "print this");
  printf("  %-*s %s\n", LEFT_WIDTH, "--version", "print the version");
}

int options_version(void)
{
  printf("%s %s, engine %s\n", diagnose_speaker(), qb_version(), qb_engine_version());
  return output_finish();
}

/* The option that `argument` names; *attached is the text behind "=" or a letter, or NULL. */
static const option *find(const option *options, size_t count, const char *argument,
                          const char **attached)
{
  const bool is_long = argument[1] == '-';
  const char *name = argument + (is_long ? 2 : 1);
  const size_t length = is_long ? strcspn(name, "=") : 1;
  for (size_t i = 0; i < count; i++) {
    const option *o = &options[i];
    if (is_long ? strlen(o->name) == length && !strncmp(o->name, name, length)
                : o->letter == *name) {
      *attached = !name[length] ? NULL : name + length + (is_long ? 1 : 0);
      return o;
    }
  }
  suggestion meant = {NULL, 0};
  char written[64];
  snprintf(written, sizeof written, "%.*s", (int)length, name);
  for (size_t i = 0; i < count && is_long; i++)
    suggest(&meant, written, options[i].name);
  if (meant.word)
    fail_usage("unknown option '%s'; did you mean '--%s'?", argument, meant.word);
  fail_usage("unknown option '%s'", argument);
}

static bool asks_for_help(const char *argument)
{
  return !strcmp(argument, "--help") || !strcmp(argument, "-h");
}

/* Whatever a library prints goes to stderr, so that stdout is JSON and nothing else. */
static void hold_output(const option *options, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (options[i].kind == OPTION_KIND_FLAG && !strcmp(options[i].name, "json") &&
        *options[i].target.flag)
      output_hold();
}

static void check_files(const command *self, const option *options, size_t count,
                        const char *const *operands, size_t operand_count)
{
  for (size_t i = 0; i < operand_count && self->operand_role; i++)
    files_add(self->operand, operands[i], self->operand_role);
  for (size_t i = 0; i < count; i++)
    if (options[i].role && *options[i].target.string)
      files_add(joined("--", options[i].name), *options[i].target.string, options[i].role);
  files_check();
}

size_t options_parse_many(const command *self, const option *options, size_t count, int argc,
                          char **argv, const char **operands, size_t most)
{
  size_t operand_count = 0;
  bool options_ended = false;
  for (int i = 0; i < argc; i++) {
    const char *argument = argv[i];
    if (options_ended || argument[0] != '-' || !argument[1]) {
      if (operand_count == most)
        fail_usage("unexpected argument '%s'", argument);
      operands[operand_count++] = argument;
      continue;
    }
    if (!strcmp(argument, "--")) {
      options_ended = true;
      continue;
    }
    if (asks_for_help(argument)) {
      print_help(self, options, count);
      exit(output_finish());
    }
    if (!strcmp(argument, "--version"))
      exit(options_version());
    const char *value;
    const option *o = find(options, count, argument, &value);
    if (o->kind == OPTION_KIND_FLAG) {
      if (value)
        fail_usage("--%s takes no value, found '%s'", o->name, value);
    } else if (!value) {
      /* Not the next option by mistake; a single dash may begin a bad number, which says so. */
      if (i + 1 == argc || !strncmp(argv[i + 1], "--", 2))
        fail_usage("--%s: expected a value, %s", o->name, o->value);
      value = argv[++i];
    }
    set(o, value);
  }
  if (self->operand && self->operand[0] != '[' && !operand_count)
    fail_usage("expected %s", self->operand);
  check_files(self, options, count, operands, operand_count);
  hold_output(options, count);
  return operand_count;
}

const char *options_parse(const command *self, const option *options, size_t count, int argc,
                          char **argv)
{
  const char *operand = NULL;
  options_parse_many(self, options, count, argc, argv, &operand, self->operand ? 1 : 0);
  return operand;
}
