/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the tool. A command computes first and prints last: a failure prints nothing. */
#ifndef TOOL_COMMAND_H
#define TOOL_COMMAND_H

#include "common/files.h"

typedef struct command {
  const char *name;
  const char *operand; /* "MODEL", "[MODEL]" if it may be left out, NULL if there is none */
  file_role operand_role;
  const char *synopsis; /* what follows the operand */
  const char *summary;  /* one line for the list of commands */
  const char *details;  /* more lines for its own help, or NULL */
  int (*run)(const struct command *self, int argc, char **argv); /* returns the exit status */
} command;

extern const command command_node;
extern const command command_profile;
extern const command command_estimate;
extern const command command_evaluate;
extern const command command_explain;
extern const command command_optimize;
extern const command command_quantize;
extern const command command_run;
extern const command command_plan;
extern const command command_show;
extern const command command_simulate;
extern const command command_verify;

#endif
