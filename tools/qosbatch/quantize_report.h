/* SPDX-License-Identifier: Apache-2.0 */
/* What quantizing gave, layer by layer. */
#ifndef TOOL_QUANTIZE_REPORT_H
#define TOOL_QUANTIZE_REPORT_H

#include <qosbatch/quantize.h>

typedef struct quantize_report {
  const char *model, *output;
  double accuracy_percent; /* asked for; 0: none */
  bool has_labels;
  size_t count, capacity;
  qb_quantized_layer *layers; /* strings are owned */
  qb_quantization result;
} quantize_report;

/* A copy of a layer. */
void quantize_report_add(quantize_report *self, const qb_quantized_layer *layer);

/* Returns the exit status: an accuracy that was asked for and is not reached is a failure. */
int quantize_report_print(const quantize_report *self, bool as_json);

void quantize_report_free(quantize_report *self);

#endif
