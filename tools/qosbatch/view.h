/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes and profiles as JSON and as text, the same in every command that shows them. */
#ifndef TOOL_VIEW_H
#define TOOL_VIEW_H

#include "common/output.h"

#include <qosbatch/profile.h>

void node_to_json(const qb_node *node, json_t *object);
void node_print(const qb_node *node);

void profile_to_json(const qb_profile *profile, json_t *object);
void profile_print(const qb_profile *profile);

/* Winograd's F(4x4, 3x3) multiplies 36 times where 144 multiplications are counted. */
enum { WINOGRAD_SAVING = 4 };

/*
 * A share of the peak, as it is shown: NAN where it is above 1, by more than noise in c explains.
 * `saving`: what the algorithm saves of the arithmetic that is counted, at most; 1: nothing.
 */
double possible_share(double share, double saving);

/*
 * Runs rounds of a model here and prints what each operator takes; 0 threads: all usable ones.
 * Returns the exit status.
 */
int layers_print(qb_context *context, qb_model *model, uint32_t batch, uint32_t threads,
                 bool as_json);

/* The processor, or "an unnamed processor". */
const char *node_name(const qb_node_info *info);

#endif
