/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvips, loaded when the first folder of images is opened: it brings a hundred libraries with it,
 * which would make every start of the tool take a third of a second.
 */
#ifndef TOOL_VIPS_LIBRARY_H
#define TOOL_VIPS_LIBRARY_H

#include <vips/vips.h>

/* What images.c and picture.c call of libvips and glib. */
#define VIPS_FUNCTIONS(X)                                                                          \
  X(vips_init)                                                                                     \
  X(vips_error_buffer)                                                                             \
  X(vips_error_clear)                                                                              \
  X(vips_concurrency_set)                                                                          \
  X(vips_cache_set_max)                                                                            \
  X(vips_block_untrusted_set)                                                                      \
  X(vips_foreign_find_load)                                                                        \
  X(vips_image_new_from_file)                                                                      \
  X(vips_image_get_orientation)                                                                    \
  X(vips_image_write_to_memory)                                                                    \
  X(g_log_set_handler)                                                                             \
  X(g_log_remove_handler)                                                                          \
  X(g_object_unref)                                                                                \
  X(g_free)

typedef struct vips_library {
#define DECLARE(name) __typeof__(name) *name;
  VIPS_FUNCTIONS(DECLARE)
#undef DECLARE
} vips_library;

/* Stays loaded to the end of the process. Returns the exit status, after a message. */
int vips_library_load(const vips_library **library);

#endif
