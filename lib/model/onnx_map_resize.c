/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resize and Upsample, axis by axis: each new element is a sum of a few old ones, whose places and
 * weights follow from where the new one lies among them (ONNX, operator Resize). An image whose
 * elements lie by their middle is what oneDNN resizes; the rest becomes picks.
 */
#include "core/alloc.h"
#include "core/error.h"
#include "model/onnx_map.h"

#include <math.h>
#include <string.h>

enum { MOST_TAPS = 256 };

typedef struct axis_map {
  int64_t from, to;
  double scale;
  double start, end; /* region of interest, in shares of the axis */
} axis_map;

/* How new elements are placed, and places rounded to one element; in the order of their words. */
typedef enum way {
  ALIGN_CORNERS,
  ASYMMETRIC,
  HALF_PIXEL,
  HALF_PIXEL_SYMMETRIC,
  PYTORCH_HALF_PIXEL,
  CROP_AND_RESIZE,
  HALF_PIXEL_FOR_NN
} way;
typedef enum rounding { CEIL, FLOOR, PREFER_CEIL, PREFER_FLOOR } rounding;

typedef struct resizing {
  way way;
  rounding rounding;
  bool linear, cubic; /* else the nearest */
  bool antialias, exclude_outside;
  double cubic_a;
} resizing;

/* Read once: an axis may have a million elements. */
static void read_modes(const qb__onnx *im, const qb__onnx_node *node, resizing *r)
{
  static const char *const ways[] = {
      "align_corners",      "asymmetric",         "half_pixel",          "half_pixel_symmetric",
      "pytorch_half_pixel", "tf_crop_and_resize", "tf_half_pixel_for_nn"};
  static const char *const roundings[] = {"ceil", "floor", "round_prefer_ceil",
                                          "round_prefer_floor"};
  r->way = ASYMMETRIC;
  r->rounding = FLOOR;
  for (int i = ALIGN_CORNERS; im->opset >= 11 && i <= HALF_PIXEL_FOR_NN; i++)
    if (qb__onnx_text_is(node, "coordinate_transformation_mode", ways[i]))
      r->way = (way)i;
  for (int i = CEIL; im->opset >= 11 && i <= PREFER_FLOOR; i++)
    if (qb__onnx_text_is(node, "nearest_mode", roundings[i]))
      r->rounding = (rounding)i;
}

/* Where new element `i` lies among the old ones; false outside of the region to be extrapolated. */
static bool place(const resizing *r, const axis_map *a, int64_t i, double *result)
{
  const double x = (double)i, last = (double)(a->from - 1);
  const double width = a->scale * (double)a->from;
  const double middle = (x + 0.5) / a->scale - 0.5;
  switch (r->way) {
  case ASYMMETRIC: *result = x / a->scale; return true;
  case ALIGN_CORNERS: *result = width == 1 ? 0 : x * last / (width - 1); return true;
  case CROP_AND_RESIZE:
    *result = (width == 1 ? (a->end - a->start) * last / 2
                          : x * (a->end - a->start) * last / (width - 1)) +
              a->start * last;
    return *result >= 0 && *result <= last;
  case HALF_PIXEL_FOR_NN: *result = (x + 0.5) / a->scale; return true;
  case PYTORCH_HALF_PIXEL: *result = width == 1 ? -0.5 : middle; return true;
  case HALF_PIXEL_SYMMETRIC:
    *result = middle + (double)a->from / 2 * (1 - (double)a->to / width);
    return true;
  default: *result = middle; return true;
  }
}

/* Keys's cubic kernel (IEEE Trans. ASSP 29(6), 1981, equation 15) with parameter `a`. */
static double keys(double x, double a)
{
  x = fabs(x);
  return x <= 1  ? ((a + 2) * x - (a + 3)) * x * x + 1
         : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
                 : 0;
}

/* Half of the elements a new one is made of. */
static int reach(const resizing *r, const axis_map *a)
{
  const int half = r->cubic ? 2 : 1;
  if (!r->antialias || a->scale >= 1)
    return half;
  const double wide = ceil(half / a->scale);
  return wide < MOST_TAPS ? (int)wide : MOST_TAPS;
}

static double weight(const resizing *r, const axis_map *a, double distance)
{
  const double scale = r->antialias && a->scale < 1 ? a->scale : 1;
  return r->cubic ? keys(distance * scale, r->cubic_a) : fmax(0, 1 - fabs(distance * scale));
}

/* The nearest of the two elements beside a place. */
static double nearest(const resizing *r, double x)
{
  const double below = floor(x);
  switch (r->rounding) {
  case FLOOR: return below;
  case CEIL: return ceil(x);
  case PREFER_CEIL: return x - below < 0.5 ? below : ceil(x);
  default: return x - below <= 0.5 ? below : ceil(x);
  }
}

static int64_t clamp(double index, int64_t size)
{
  return (int64_t)fmin(fmax(index, 0), (double)(size - 1));
}

/* The elements that a new one at `x` is made of, and their shares. */
static void blend(const resizing *r, const axis_map *a, double x, int64_t *indices, float *shares)
{
  const int half = reach(r, a);
  double sum = 0, shares_of[2 * MOST_TAPS];
  for (int t = 0; t < 2 * half; t++) {
    const double at = floor(x) + t - (half - 1);
    const bool outside = at < 0 || at >= (double)a->from;
    shares_of[t] = r->exclude_outside && outside ? 0 : weight(r, a, at - x);
    indices[t] = clamp(at, a->from);
    sum += shares_of[t];
  }
  const bool normalise = (r->exclude_outside || r->antialias) && sum != 0;
  for (int t = 0; t < 2 * half; t++)
    shares[t] = (float)(normalise ? shares_of[t] / sum : shares_of[t]);
}

/* The axis as a pick. */
static int32_t resize_axis(qb__onnx *im, const qb__onnx_node *node, const resizing *r,
                           const axis_map *a, int32_t x, uint32_t axis)
{
  const bool smooth = r->linear || r->cubic;
  const size_t taps = smooth ? 2 * (size_t)reach(r, a) : 1;
  int64_t *indices = qb__calloc(im->context, (size_t)a->to * taps, sizeof *indices);
  float *shares = smooth ? qb__calloc(im->context, (size_t)a->to * taps, sizeof *shares) : NULL;
  int32_t y = QB__NONE;
  if (!indices || (smooth && !shares))
    im->status = QB_ERROR_NO_MEMORY;
  for (int64_t i = 0; i < a->to && !im->status; i++) {
    int64_t *to = indices + (size_t)i * taps;
    double at;
    if (!place(r, a, i, &at)) {
      to[0] = -1;
      if (smooth)
        shares[(size_t)i * taps] = 1;
    } else if (smooth) {
      blend(r, a, at, to, shares + (size_t)i * taps);
    } else {
      to[0] = clamp(nearest(r, at), a->from);
    }
  }
  if (!im->status)
    y = qb__graph_pick(im->graph, node->label, x, axis, a->to, (uint32_t)taps, indices, shares,
                       qb__onnx_float(node, "extrapolation_value"));
  qb__free(im->context, indices);
  qb__free(im->context, shares);
  return y;
}

/* Whether new elements lie by their middle, as oneDNN's do, or are the same ones as if they did. */
static bool is_middle(const resizing *r, const axis_map *a)
{
  for (int64_t i = 0; i < a->to; i++) {
    const double middle = ((double)i + 0.5) * (double)a->from / (double)a->to - 0.5;
    const double last = (double)(a->from - 1);
    double x;
    if (!place(r, a, i, &x) ||
        (r->linear ? fabs(fmin(fmax(x, 0), last) - fmin(fmax(middle, 0), last)) > 1e-5
                   : clamp(nearest(r, x), a->from) != clamp(round(middle), a->from)))
      return false;
  }
  return true;
}

/* "not_larger" and "not_smaller" take one scale for all axes. */
static void keep_ratio(const qb__onnx_node *node, axis_map *axes, const int64_t *chosen, int count)
{
  const bool larger = qb__onnx_text_is(node, "keep_aspect_ratio_policy", "not_smaller");
  double scale = axes[chosen[0]].scale;
  for (int i = 1; i < count; i++)
    scale = larger ? fmax(scale, axes[chosen[i]].scale) : fmin(scale, axes[chosen[i]].scale);
  for (int i = 0; i < count; i++) {
    axis_map *a = &axes[chosen[i]];
    a->scale = scale;
    a->to = (int64_t)floor((double)a->from * scale + 0.5);
  }
}

/* The axes that sizes, scales and region speak of; their number, -1 after a problem. */
static int chosen_axes(qb__onnx *im, const qb__onnx_node *node, uint32_t rank, int64_t *chosen)
{
  const int named = qb__onnx_ints(node, "axes", chosen, QB__ONNX_RANK);
  for (int i = 0; i < named; i++) {
    uint32_t axis;
    if (!qb__onnx_axis(im, node, chosen[i], rank, &axis))
      return -1;
    chosen[i] = axis;
  }
  for (uint32_t i = 0; !named && i < rank; i++)
    chosen[i] = i;
  return named < 0 ? -1 : named ? named : (int)rank;
}

/* Scales, also those of attributes before opset 9. */
static bool read_scales(const qb__onnx *im, const qb__onnx_node *node, float *scales, int count)
{
  const Onnx__AttributeProto *given = qb__onnx_attribute(node, "scales");
  const qb__onnx_value *v = qb__onnx_input(node, im->opset < 11 ? 1 : 2);
  if (im->opset < 9 && given && given->n_floats == (size_t)count)
    memcpy(scales, given->floats, (size_t)count * sizeof *scales);
  else if (im->opset >= 9 && qb__onnx_is_float(v) && v->elements == (size_t)count)
    memcpy(scales, v->data, (size_t)count * sizeof *scales);
  else
    return false;
  return true;
}

static bool has_sizes(const qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *sizes = im->opset < 11 ? NULL : qb__onnx_input(node, 3);
  return sizes && sizes->elements;
}

/* What becomes of each axis; false after a problem. */
static bool target(qb__onnx *im, const qb__onnx_node *node, const qb__onnx_value *x, axis_map *axes)
{
  int64_t chosen[QB__ONNX_RANK], sizes[QB__ONNX_RANK];
  float scales[QB__ONNX_RANK];
  const int count = chosen_axes(im, node, x->rank, chosen);
  const bool sized = has_sizes(im, node);
  if (count < 0)
    return false;
  if (sized ? qb__onnx_dims_input(im, node, "sizes", 3, sizes, QB__ONNX_RANK) != count
            : !read_scales(im, node, scales, count)) {
    qb__onnx_problem(im, node, "it has no constant size or scale for each of %d axes", count);
    return false;
  }
  for (uint32_t i = 0; i < x->rank; i++)
    axes[i] = (axis_map){x->dims[i], x->dims[i], 1, 0, 1};
  for (int i = 0; i < count; i++) {
    axis_map *a = &axes[chosen[i]];
    a->scale = sized ? (double)sizes[i] / (double)a->from : (double)scales[i];
    const double to = sized ? (double)sizes[i] : floor((double)a->from * a->scale);
    if (a->scale == 1)
      continue;
    if (!(to >= 1 && to <= 1 << 20)) {
      qb__onnx_problem(im, node, "dimension %d of %lld becomes %g", (int)chosen[i],
                       (long long)a->from, to);
      return false;
    }
    a->to = (int64_t)to;
  }
  if (sized && im->opset >= 18 && !qb__onnx_text_is(node, "keep_aspect_ratio_policy", "stretch"))
    keep_ratio(node, axes, chosen, count);
  const qb__onnx_value *region = im->opset < 11 ? NULL : qb__onnx_input(node, 1);
  for (int i = 0; qb__onnx_is_float(region) && region->elements == 2 * (size_t)count && i < count;
       i++) {
    axes[chosen[i]].start = (double)((const float *)region->data)[i];
    axes[chosen[i]].end = (double)((const float *)region->data)[count + i];
  }
  return true;
}

static bool is_resized(const resizing *r, const axis_map *a)
{
  return a->to != a->from || a->scale != 1 ||
         (r->way == CROP_AND_RESIZE && (a->start != 0 || a->end != 1));
}

void qb__onnx_map_resize(qb__onnx *im, const qb__onnx_node *node)
{
  const qb__onnx_value *x = qb__onnx_activation_input(im, node);
  axis_map axes[QB__ONNX_RANK];
  if (!x || !target(im, node, x, axes))
    return;
  resizing r = {.linear = qb__onnx_text_is(node, "mode", "linear"),
                .cubic = qb__onnx_text_is(node, "mode", "cubic"),
                .antialias = qb__onnx_int(node, "antialias") != 0,
                .exclude_outside = qb__onnx_int(node, "exclude_outside") != 0,
                .cubic_a = qb__onnx_float(node, "cubic_coeff_a")};
  if ((r.linear || r.cubic) && x->type != QB__ONNX_TYPE(FLOAT)) {
    qb__onnx_problem(im, node, "integers are not interpolated");
    return;
  }
  read_modes(im, node, &r);
  qb__onnx_shape shape = qb__onnx_shape_of(x);
  bool middle = !r.cubic && !r.antialias && !r.exclude_outside && im->batched && x->rank > 2 &&
                x->rank <= 2 + QB__MOST_SPATIAL && qb__onnx_is_image(im, x) &&
                !is_resized(&r, &axes[1]);
  for (uint32_t i = 0; i < x->rank; i++) {
    if (qb__onnx_is_batch(im, &shape, i) && is_resized(&r, &axes[i])) {
      qb__onnx_mixing(im, node);
      return;
    }
    middle = middle && (i < 2 || is_middle(&r, &axes[i]));
    shape.dims[i] = axes[i].to;
  }
  const qb__onnx_shape from = qb__onnx_shape_of(x);
  int32_t y = x->tensor;
  if (middle)
    y = qb__graph_resize(im->graph, node->label, y, shape.dims + 2, r.linear);
  for (uint32_t i = 0; i < x->rank && !middle && !im->status; i++)
    if (is_resized(&r, &axes[i]))
      y = resize_axis(im, node, &r, &axes[i], y, qb__onnx_sample_axis(im, &from, i));
  qb__onnx_result(im, node, y, &shape);
}
