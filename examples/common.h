/* SPDX-License-Identifier: Apache-2.0 */
/* What every example does with a failure, and with a network. A service would pass the status on. */
#ifndef EXAMPLES_COMMON_H
#define EXAMPLES_COMMON_H

#include <qosbatch/qosbatch.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program with the library's message, which has the value, its place, and what to do. */
static inline void require(qb_status status, const char *doing)
{
  if (status != QB_OK) {
    fprintf(stderr, "cannot %s: %s\n", doing, qb_error_message());
    exit(EXIT_FAILURE);
  }
}

/* The same for what is not of this library: memory, threads. */
static inline void require_that(bool good, const char *doing)
{
  if (!good) {
    fprintf(stderr, "cannot %s\n", doing);
    exit(EXIT_FAILURE);
  }
}

/* A network that the library has, by its name, or an ONNX file. */
static inline qb_model *open_model(qb_context *context, const char *name)
{
  const char *end = strrchr(name, '.');
  qb_model *model;
  if (end && !strcmp(end, ".onnx"))
    require(qb_model_load_onnx(context, name, &model), "load the network");
  else
    require(qb_model_builtin(context, name, &model), "make the network");
  return model;
}

#endif
