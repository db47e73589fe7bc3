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

/* How many channels of a slot lie next to each other; 0 if it is in another order, or a part. */
static int64_t block_of(const qb__planner *p, const qb__slot *slot)
{
  const int64_t count = slot->dims.at[1], blocks[] = {1, 8, 16, count};
  int64_t found = 0;
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks && !found; i++) {
    qb__layout *layout = NULL;
    const int64_t block = blocks[i];
    const qb_status status =
        block == 1       ? qb__layout_plain(p->context, &slot->dims, &layout)
        : block == count ? qb__layout_channels_last(p->context, &slot->dims, &layout)
                         : qb__layout_channel_blocks(p->context, &slot->dims, block, &layout);
    if (!status && count % block == 0 && qb__layout_equal(layout, slot->layout))
      found = block;
    qb__layout_free(p->context, layout);
  }
  return slot->view_of == QB__NONE ? found : 0;
}

/* Whether a slot has a number for each channel of a result, for each sample or for all. */
static bool has_one_each(const qb__planner *p, const qb__slot *slot, const qb__dims *result)
{
  const qb__dims *dims = &slot->dims;
  return dims->count == result->count && places(dims) == 1 && dims->at[1] == result->at[1] &&
         (dims->at[0] == result->at[0] || dims->at[0] == 1) && block_of(p, slot) != 0;
}

int64_t qb__plan_channel_block(const qb__planner *p, const qb__operator *op, int32_t whole,
                               int32_t factors)
{
  const qb__slot *slots = p->plan->slots;
  const qb__dims *dims = &slots[whole].dims;
  return qb__is_binary(op->kind) && factors != QB__NONE && dims->count > 2 && places(dims) > 1 &&
                 dims->type == QB__TYPE_F32 && slots[factors].dims.type == QB__TYPE_F32 &&
                 has_one_each(p, &slots[factors], dims)
             ? block_of(p, &slots[whole])
             : 0;
}
