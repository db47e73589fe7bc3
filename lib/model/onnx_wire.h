/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QB_MODEL_ONNX_WIRE_H
#define QB_MODEL_ONNX_WIRE_H

#include <qosbatch/status.h>

#include <protobuf-c/protobuf-c.h>

/*
 * Checks that messages are nested so little that parsing them, which recurses, has the stack it
 * needs. What else may be wrong is left to the parser.
 */
qb_status qb__wire_check_depth(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                               size_t bytes);

#endif
