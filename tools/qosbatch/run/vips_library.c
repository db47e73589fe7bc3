/* SPDX-License-Identifier: Apache-2.0 */
#include "run/vips_library.h"

#include "common/diagnose.h"

#include <dlfcn.h>

int vips_library_load(const vips_library **library)
{
  static vips_library loaded;
  if (!loaded.vips_init) {
    void *handle = dlopen("libvips.so.42", RTLD_NOW | RTLD_LOCAL);
    if (!handle)
      return fail("cannot read images: %s; install libvips", dlerror());
#define RESOLVE(name)                                                                              \
  *(void **)&loaded.name = dlsym(handle, #name);                                                   \
  if (!loaded.name)                                                                                \
    return fail("cannot read images: libvips has no %s; install 8.13 or later", #name);
    VIPS_FUNCTIONS(RESOLVE)
#undef RESOLVE
  }
  *library = &loaded;
  return EXIT_DONE;
}
