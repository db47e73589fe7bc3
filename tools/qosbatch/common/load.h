/* SPDX-License-Identifier: Apache-2.0 */
/* What commands work on. Each returns EXIT_DONE, or EXIT_FAILED after a message on stderr. */
#ifndef TOOL_LOAD_H
#define TOOL_LOAD_H

#include <qosbatch/lab.h>
#include <qosbatch/measurements.h>

#include <stdbool.h>

/* Warnings of the library go to stderr. */
int load_context(qb_context **context);

/*
 * A built-in network or an ONNX file. Ends the process with EXIT_USAGE when there is no model of
 * that name.
 */
int load_model(qb_context *context, const char *name, qb_model **model);

/*
 * Joins a loaded network and its quantized form, an ONNX file; NULL leaves it as it is. *model is the
 * joined one then.
 */
int load_int8(qb_context *context, const char *path, qb_model **model);

int load_profile(qb_context *context, const char *path, qb_profile **profile);

int load_node(qb_context *context, const char *path, qb_node **node);

/* A profile, and it has to be of that network; what was loaded is there all the same. */
int load_profile_of(qb_context *context, const char *path, const qb_model *model,
                    qb_profile **profile);

/* Is a profile, which was loaded from there, of this network? */
int check_profile(const char *path, const qb_profile *profile, const qb_model *model);

/* Rounds that were timed elsewhere, as a profile. */
int load_measurements(qb_context *context, const char *path, const qb_measurements_params *params,
                      qb_profile **profile);

/* Finds out early that a result could not be saved, before a minute of measuring. */
int check_output(const char *path);

#endif
