/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/splits.h"
#include "support/unit.h"

static bool has(const qb_configuration *splits, size_t count, uint32_t instances, uint32_t threads)
{
  for (size_t i = 0; i < count; i++)
    if (splits[i].instances == instances && splits[i].threads == threads)
      return true;
  return false;
}

static void two_cores_are_split_as_ever(void **state)
{
  (void)state;
  const qb_node_info node = {.cores = 2, .usable_threads = 2, .quota_cores = 2};
  qb_configuration splits[QB__MOST_SPLITS];
  assert_int_equal(qb__splits_of(&node, splits), 3);
  assert_true(has(splits, 3, 1, 1) && has(splits, 3, 1, 2) && has(splits, 3, 2, 1));
}

static void splits_of_sixteen_cores_are_even_and_of_seven_nearly(void **state)
{
  (void)state;
  const qb_node_info sixteen = {.cores = 16, .usable_threads = 16, .quota_cores = 16};
  const qb_node_info seven = {.cores = 8, .usable_threads = 7, .quota_cores = 6.5};
  qb_configuration splits[QB__MOST_SPLITS];
  const size_t count = qb__splits_of(&sixteen, splits);
  assert_int_equal(count, 5 + 4 + 1);
  for (size_t k = 0; k + 1 < count; k++)
    assert_int_equal(splits[k].instances * splits[k].threads, k < 5 ? 16 : 8);
  const size_t odd = qb__splits_of(&seven, splits);
  assert_true(has(splits, odd, 7, 1) && has(splits, odd, 1, 7));
  assert_true(has(splits, odd, 3, 2) && has(splits, odd, 2, 3) && has(splits, odd, 6, 1));
}

static void splits_fit_into_the_node_and_cover_it(void **state)
{
  (void)state;
  for (uint32_t nodes = 1; nodes <= 4; nodes++)
    for (uint32_t per_node = 1; per_node <= 64; per_node++) {
      const uint32_t all = nodes * per_node;
      const qb_node_info node = {
          .cores = all, .usable_threads = all, .quota_cores = all - 0.5, .numa_nodes = nodes};
      qb_configuration splits[QB__MOST_SPLITS];
      const size_t count = qb__splits_of(&node, splits);
      assert_in_range(count, 1, QB__MOST_SPLITS);
      assert_true(has(splits, count, all, 1) && has(splits, count, nodes, per_node));
      for (size_t k = 0; k < count; k++) {
        const qb_configuration *c = &splits[k];
        assert_true(c->instances * c->threads <= all);
        assert_false(has(splits, k, c->instances, c->threads));
        for (uint32_t i = 0; i < c->instances; i++)
          assert_int_equal(i * c->threads / per_node, ((i + 1) * c->threads - 1) / per_node);
      }
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_cores_are_split_as_ever),
      cmocka_unit_test(splits_of_sixteen_cores_are_even_and_of_seven_nearly),
      cmocka_unit_test(splits_fit_into_the_node_and_cover_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
