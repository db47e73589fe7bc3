/* SPDX-License-Identifier: Apache-2.0 */
/* Changes a JSON document as a document: its values, not its bytes. */
#ifndef QB_SUPPORT_JSON_MUTATOR_H
#define QB_SUPPORT_JSON_MUTATOR_H

#include <jansson.h>
#include <stdint.h>

/* Changes one value somewhere below `root`, mostly a number, or repeats or drops an element. */
void json_mutate(json_t *root, uint64_t *random);

#endif
