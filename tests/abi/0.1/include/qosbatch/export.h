/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file export.h
 * What every other header needs: symbol visibility and C linkage.
 */
#ifndef QOSBATCH_EXPORT_H
#define QOSBATCH_EXPORT_H

#if defined(__GNUC__)
#define QB_API __attribute__((visibility("default")))
#else
#define QB_API
#endif

/* A struct with its size set and all other members 0: what most _INIT macros are. */
#define QB__INIT(type)                                                                             \
  {                                                                                                \
    .size = sizeof(type)                                                                           \
  }

#ifdef __cplusplus
#define QB_BEGIN_DECLS extern "C" {
#define QB_END_DECLS   }
#else
#define QB_BEGIN_DECLS
#define QB_END_DECLS
#endif

#endif
