/* SPDX-License-Identifier: Apache-2.0 */
/* An array that is accepted lies within its file. */
#include "fuzz/fuzz.h"
#include "run/npy.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
  npy_layout layout;
  char reason[NPY_REASON_BYTES] = "";
  if (npy_parse(data, bytes, &layout, reason)) {
    FUZZ_EXPECT(layout.rank <= NPY_MOST_DIMS && layout.data_offset <= bytes);
    FUZZ_EXPECT(layout.elements <= (bytes - layout.data_offset) / npy_element_bytes(layout.type));
    uint64_t elements = 1;
    for (uint32_t d = 0; d < layout.rank; d++)
      elements *= layout.dims[d];
    FUZZ_EXPECT(elements == layout.elements);
  } else {
    FUZZ_EXPECT(*reason && strlen(reason) < NPY_REASON_BYTES);
  }
  return 0;
}
