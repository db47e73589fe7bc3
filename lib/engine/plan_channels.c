/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic of a tensor with one number for each of its channels, such as the gates of squeeze and
 * excitation, on the tensor as it lies.
 */
#include "engine/network_plan_impl.h"

/* Elements behind the first two dimensions. */
static int64_t places(const qb__dims *dims)
{
  int64_t product = 1;
  for (int i = 2; i < dims->count; i++)
    product *= dims->at[i];
  return product;
}

/* Whether the dimensions behind the first two lie row by row, with `step` from element to element. */
static bool are_rows(const qb__blocking *b, const qb__dims *dims, int64_t step)
{
  bool rows = true;
  for (int i = dims->count - 1; i > 1; step *= dims->at[i--])
    rows = rows && (dims->at[i] == 1 || b->strides[i] == step);
  return rows;
}

/* How many channels of a slot lie next to each other; 0 if it has another order, or gaps. */
static int64_t block_of(const qb__slot *slot)
{
  qb__blocking b;
  const qb__dims *dims = &slot->dims;
  if (!qb__layout_blocking(slot->layout, &b) || b.padded || b.first != 0)
    return 0;
  const int64_t channels = dims->at[1], all = places(dims);
  int64_t block = channels > 1 && b.strides[1] == 1 ? channels : 1;
  if (b.inner_count == 1 && b.inner_dims[0] == 1)
    block = b.inner_blocks[0];
  else if (b.inner_count)
    return 0;
  return are_rows(&b, dims, block) && (channels == block || b.strides[1] == all * block) &&
                 (dims->at[0] == 1 || b.strides[0] == all * channels)
             ? block
             : 0;
}

/* Whether a slot has a number for each channel of a result, for each sample or for all. */
static bool has_one_each(const qb__slot *slot, const qb__dims *result)
{
  const qb__dims *dims = &slot->dims;
  return dims->count == result->count && places(dims) == 1 && dims->at[1] == result->at[1] &&
         (dims->at[0] == result->at[0] || dims->at[0] == 1) && block_of(slot) != 0;
}

int64_t qb__plan_channel_block(const qb__planner *p, const qb__operator *op, int32_t whole,
                               int32_t factors)
{
  const qb__slot *slots = p->plan->slots;
  const qb__dims *dims = &slots[whole].dims;
  return qb__is_binary(op->kind) && factors != QB__NONE && dims->count > 2 && places(dims) > 1 &&
                 dims->type == QB__TYPE_F32 && slots[factors].dims.type == QB__TYPE_F32 &&
                 slots[whole].view_of == QB__NONE && has_one_each(&slots[factors], dims)
             ? block_of(&slots[whole])
             : 0;
}
