/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"
#include "common/diagnose.h"
#include "common/options.h"
#include "common/output.h"
#include "common/suggest.h"

#include <stdio.h>
#include <string.h>

static const command *const commands[] = {
    &command_node,    &command_profile,  &command_estimate, &command_evaluate,
    &command_explain, &command_optimize, &command_plan,     &command_quantize,
    &command_run,     &command_show,     &command_simulate, &command_verify,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static int print_help(void)
{
  printf("Usage: qosbatch COMMAND ...\n"
         "\n"
         "Decides which batch of neural-network inference to run next, from measurements.\n"
         "\n"
         "Commands:\n");
  for (size_t i = 0; i < COMMANDS; i++)
    printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
  printf("\n"
         "'qosbatch help COMMAND' explains a command, 'qosbatch --version' prints the version.\n"
         "Exit status: 0 done, 1 failed, 2 bad usage.\n");
  return output_finish();
}

static int run_command(const char *name, int argc, char **argv)
{
  suggestion meant = {NULL, 0};
  for (size_t i = 0; i < COMMANDS; i++) {
    suggest(&meant, name, commands[i]->name);
    if (strcmp(name, commands[i]->name) != 0)
      continue;
    char speaker[32];
    snprintf(speaker, sizeof speaker, "qosbatch %s", commands[i]->name);
    diagnose_as(speaker);
    const int result = commands[i]->run(commands[i], argc, argv);
    return result ? result : output_finish();
  }
  if (meant.word)
    fail_usage("unknown command '%s'; did you mean '%s'?", name, meant.word);
  fail_usage("unknown command '%s'", name);
}

int main(int argc, char **argv)
{
  static char help[] = "--help";
  if (argc < 2)
    fail_usage("expected a command");
  if (!strcmp(argv[1], "help") && argc == 3)
    return run_command(argv[2], 1, (char *[]){help, NULL});
  if (!strcmp(argv[1], help) || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
    return print_help();
  if (!strcmp(argv[1], "--version"))
    return options_version();
  return run_command(argv[1], argc - 2, argv + 2);
}
