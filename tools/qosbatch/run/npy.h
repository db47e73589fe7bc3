/* SPDX-License-Identifier: Apache-2.0 */
/* NumPy's .npy format, versions 1 to 3 (numpy.lib.format): one array of f32 or u8 in C order. */
#ifndef TOOL_NPY_H
#define TOOL_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NPY_MOST_DIMS = 8, NPY_REASON_BYTES = 256, NPY_HEADER_BYTES = 256 };

typedef enum npy_type { NPY_F32, NPY_U8 } npy_type;

typedef struct npy_layout {
  npy_type type;
  uint32_t rank;
  uint64_t dims[NPY_MOST_DIMS];
  uint64_t elements; /* their product */
  size_t data_offset;
} npy_layout;

static inline size_t npy_element_bytes(npy_type type)
{
  return type == NPY_F32 ? sizeof(float) : 1;
}

/*
 * Reads the header at the start of a file that has `bytes` bytes, all of them in memory, and checks
 * that the data are all there and nothing is behind them. If not, false and a reason with the
 * remedy.
 */
bool npy_parse(const void *file, size_t bytes, npy_layout *layout, char reason[NPY_REASON_BYTES]);

/*
 * Makes the header of an array of rows of `columns` f32, of NPY_HEADER_BYTES bytes whatever the
 * numbers are.
 */
void npy_format_header(uint64_t rows, uint64_t columns, char header[NPY_HEADER_BYTES]);

#endif
