/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file names.h
 * The words for enumerators, as the tool and the files write them.
 */
#ifndef QOSBATCH_NAMES_H
#define QOSBATCH_NAMES_H

#include <qosbatch/export.h>

QB_BEGIN_DECLS

/**
 * Names an enumerator. Functions such as qb_isa_name() call this with their own type.
 * @param type the name of an enumeration of these headers: "qb_isa"
 * @param value the enumerator's value
 * @return such as "avx2"; "unknown" for any other value and type. Static, do not free.
 * Thread-safety: safe.
 * @since 0.1
 */
QB_API const char *qb_enum_name(const char *type, int value);

QB_END_DECLS

#endif
