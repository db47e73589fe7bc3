/* SPDX-License-Identifier: Apache-2.0 */
/* A node as a JSON object: alone in a file, or inside a profile. Format: docs/formats.md. */
#ifndef QB_NODE_NODE_STORE_H
#define QB_NODE_NODE_STORE_H

#include "core/json.h"

#include <qosbatch/inspect.h>
#include <qosbatch/node.h>

/* The node's fields as an object; NULL without memory. The caller owns it. */
json_t *qb__node_to_json(const qb_node *node);

/* Reads the fields that qb__node_to_json() wrote, all of them checked; failures go to at->file. */
qb_status qb__node_from_json(qb_context *context, qb__json *at, qb_node **node);

/* The value of a field "precision", which is left out (NULL) for f32: those files are as ever. */
const char *qb__precision_to_json(qb_precision precision);

/* The field "precision", f32 where it is missing. */
qb_precision qb__precision_from_json(qb__json *at);

/* The array "features" as bits, 0 where it is missing. */
uint32_t qb__features_from_json(qb__json *at);

/* As qb_node_load(), of JSON that is in memory already; `path` stands in messages only. */
qb_status qb__node_parse(qb_context *context, const char *path, const char *text, size_t bytes,
                         qb_node **node);

#endif
