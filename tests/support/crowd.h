/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that do the same thing over and over, together. */
#ifndef QB_SUPPORT_CROWD_H
#define QB_SUPPORT_CROWD_H

#include <stdint.h>

enum { CROWD_THREADS = 8 };

/*
 * One step of a thread. Returns NULL, or what did not hold: an assertion of cmocka would leave the
 * thread by a jump into another one's stack.
 */
typedef const char *(*crowd_step)(void *shared, uint32_t thread, uint64_t step);

#define CROWD_EXPECT(condition)                                                                    \
  do {                                                                                             \
    if (!(condition))                                                                              \
      return #condition;                                                                           \
  } while (0)

/*
 * Lets CROWD_THREADS threads take steps until `share` of the time of the test program is over, each
 * at least one: 2 s in all, or QB_TEST_SECONDS. The test fails if a step did.
 */
void crowd_run(double share, crowd_step step, void *shared);

#endif
