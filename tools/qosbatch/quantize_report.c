/* SPDX-License-Identifier: Apache-2.0 */
#include "quantize_report.h"

#include "common/diagnose.h"
#include "common/output.h"

#include <qosbatch/names.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void quantize_report_add(quantize_report *self, const qb_quantized_layer *layer)
{
  if (self->count == self->capacity) {
    self->capacity = self->capacity ? 2 * self->capacity : 64;
    qb_quantized_layer *larger = allocate(self->capacity, sizeof *larger);
    if (self->count)
      memcpy(larger, self->layers, self->count * sizeof *larger);
    free(self->layers);
    self->layers = larger;
  }
  qb_quantized_layer *copy = &self->layers[self->count++];
  *copy = *layer;
  copy->name = joined(layer->name, "");
  copy->kind = joined(layer->kind, "");
  copy->range = joined(layer->range, "");
}

void quantize_report_free(quantize_report *self)
{
  for (size_t i = 0; i < self->count; i++) {
    free((void *)(uintptr_t)self->layers[i].name);
    free((void *)(uintptr_t)self->layers[i].kind);
    free((void *)(uintptr_t)self->layers[i].range);
  }
  free(self->layers);
}

static bool is_integer(const qb_quantized_layer *layer)
{
  return layer->precision == QB_PRECISION_INT8;
}

static void add_share(json_t *object, const char *name, double share, double low, double high)
{
  json_t *entry = add_object(object, name);
  add_number(entry, "share", share);
  add_number(entry, "low", low);
  add_number(entry, "high", high);
}

static void print_as_json(const quantize_report *self)
{
  const qb_quantization *q = &self->result;
  json_t *root = object_new();
  add_text(root, "model", self->model);
  add_text(root, "output", self->output);
  add_integer(root, "layers", q->layers);
  add_integer(root, "integer_layers", q->integer_layers);
  add_integer(root, "equalised", q->equalised);
  add_integer(root, "calibration_samples", (int64_t)q->calibration_samples);
  add_integer(root, "samples", (int64_t)q->samples);
  add_share(root, "agreement", q->agreement, q->agreement_low, q->agreement_high);
  if (self->has_labels) {
    add_share(root, "accuracy", q->accuracy, q->accuracy_low, q->accuracy_high);
    add_number(root, "float_accuracy", q->float_accuracy);
  }
  add_number(root, "sqnr_db", q->sqnr_db);
  add_bool(root, "holds", q->holds);
  json_t *list = add_array(root, "operators");
  for (size_t i = 0; i < self->count; i++) {
    const qb_quantized_layer *l = &self->layers[i];
    json_t *entry = append_object(list);
    add_text(entry, "name", l->name);
    add_text(entry, "kind", l->kind);
    add_text(entry, "precision", qb_precision_name(l->precision));
    add_number(entry, "input_low", l->input_low);
    add_number(entry, "input_high", l->input_high);
    add_text(entry, "range", l->range);
    add_number(entry, "input_sqnr_db", l->input_sqnr_db);
    add_number(entry, "output_sqnr_db", l->output_sqnr_db);
    add_bool(entry, "can_saturate", l->can_saturate);
  }
  print_json(root);
}

static void decibels_cell(table *t, double db)
{
  if (isfinite(db))
    table_cell(t, "%.1f", db);
  else
    table_cell(t, "exact");
}

static void print_layers(const quantize_report *self)
{
  static const char *const titles[] = {
      "<layer",    "<kind",      "<runs in",    "input from",    "to",
      "<range by", "input [dB]", "result [dB]", "<without VNNI",
  };
  table *t = table_new(titles, sizeof titles / sizeof *titles);
  for (size_t i = 0; i < self->count; i++) {
    const qb_quantized_layer *l = &self->layers[i];
    const bool integer = is_integer(l);
    table_cell(t, "%s", l->name);
    table_cell(t, "%s", l->kind);
    table_cell(t, "%s", qb_precision_name(l->precision));
    table_cell(t, integer ? "%.4g" : "", l->input_low);
    table_cell(t, integer ? "%.4g" : "", l->input_high);
    table_cell(t, "%s", l->range);
    decibels_cell(t, l->input_sqnr_db);
    decibels_cell(t, l->output_sqnr_db);
    table_cell(t, "%s", !integer ? "" : l->can_saturate ? "can saturate" : "the same");
  }
  table_print(t);
}

static void print_share(const char *title, double share, double low, double high)
{
  printf("%-14s %.2f %% (95 %% interval %.2f to %.2f %%)", title, 100 * share, 100 * low,
         100 * high);
}

static void print_as_text(const quantize_report *self)
{
  const qb_quantization *q = &self->result;
  print_layers(self);
  printf("\n%s: %u of %u layers in int8, by %llu samples", self->output, q->integer_layers,
         q->layers, (unsigned long long)q->calibration_samples);
  if (q->equalised)
    printf("; %u pair%s of layers equalised", q->equalised, plural(q->equalised));
  printf("\n");
  if (q->samples) {
    print_share("agreement", q->agreement, q->agreement_low, q->agreement_high);
    printf(" of top-1 answers with f32, on %llu other samples\n", (unsigned long long)q->samples);
  }
  if (self->has_labels) {
    print_share("accuracy", q->accuracy, q->accuracy_low, q->accuracy_high);
    printf(" by the labels; f32 has %.2f %%\n", 100 * q->float_accuracy);
  }
  printf("%-14s %.1f dB, of the first output\n", "noise", q->sqnr_db);
}

int quantize_report_print(const quantize_report *self, bool as_json)
{
  if (as_json)
    print_as_json(self);
  else
    print_as_text(self);
  return self->result.holds ? EXIT_DONE
                            : fail("%g %% of answers are not kept even with all layers in floats",
                                   self->accuracy_percent);
}
