/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka, with what it needs before it. */
#ifndef QB_TESTS_UNIT_H
#define QB_TESTS_UNIT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
