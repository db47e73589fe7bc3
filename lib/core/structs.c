/* SPDX-License-Identifier: Apache-2.0 */
#include "core/structs.h"

#include "core/error.h"

#include <string.h>

/* No public struct is this large; a size beyond it is a struct that was not initialised. */
enum { LARGEST_STRUCT = 4096 };

static size_t size_of(const void *theirs)
{
  size_t size;
  memcpy(&size, theirs, sizeof size);
  return size;
}

qb_status qb__struct_check_out(const void *theirs, size_t oldest, const char *name)
{
  if (!theirs)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT, "%s is NULL; pass a struct to fill", name);
  const size_t size = size_of(theirs);
  if (size < oldest || size > LARGEST_STRUCT)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "%s.size is %zu, expected at least %zu; initialise it with its _INIT macro",
                    name, size, oldest);
  return QB_OK;
}

qb_status qb__structs_check(const void *theirs, size_t count, size_t oldest, const char *name)
{
  if (!count)
    return QB_OK;
  const qb_status status = qb__struct_check_out(theirs, oldest, name);
  if (status)
    return status;
  const size_t size = size_of(theirs);
  if (size % sizeof size)
    return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                    "%s.size is %zu, not a multiple of %zu; initialise it with its _INIT macro",
                    name, size, sizeof size);
  for (size_t i = 1; i < count; i++)
    if (size_of(qb__struct_at(theirs, i)) != size)
      return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                      "%s.size of element %zu is %zu, of the first %zu; initialise all elements "
                      "with the _INIT macro",
                      name, i, size_of(qb__struct_at(theirs, i)), size);
  return QB_OK;
}

qb_status qb__struct_in(void *ours, size_t ours_bytes, size_t oldest, const void *theirs,
                        const char *name)
{
  const qb_status status = qb__struct_check_out(theirs, oldest, name);
  if (status)
    return status;
  const size_t size = size_of(theirs);
  for (size_t i = ours_bytes; i < size; i++)
    if (((const unsigned char *)theirs)[i])
      return qb__fail(QB_ERROR_INVALID_ARGUMENT,
                      "%s sets a field at byte %zu that libqosbatch %s does not know; update the "
                      "library or leave the field 0",
                      name, i, QB_LIBRARY_VERSION);
  memset(ours, 0, ours_bytes);
  memcpy(ours, theirs, size < ours_bytes ? size : ours_bytes);
  memcpy(ours, &ours_bytes, sizeof ours_bytes);
  return QB_OK;
}

const void *qb__struct_at(const void *theirs, size_t i)
{
  return (const char *)theirs + i * size_of(theirs);
}

void qb__struct_out_at(void *theirs, size_t i, const void *ours, size_t ours_bytes)
{
  const size_t size = size_of(theirs), common = size < ours_bytes ? size : ours_bytes;
  char *element = (char *)theirs + i * size;
  memcpy(element + sizeof size, (const char *)ours + sizeof size, common - sizeof size);
  if (size > ours_bytes)
    memset(element + ours_bytes, 0, size - ours_bytes);
}
