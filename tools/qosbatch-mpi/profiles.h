/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles as text, for messages; equal texts become one profile. */
#ifndef MPI_PROFILES_H
#define MPI_PROFILES_H

#include <qosbatch/profile.h>

#include <stddef.h>

/* The text of a profile as qb_profile_save() writes it, to be freed; NULL after a message. */
char *profile_to_text(const qb_profile *profile, size_t *bytes);

typedef struct profiles profiles;

profiles *profiles_new(qb_context *context);

/* NULL after a message. The profile belongs to `self`. */
const qb_profile *profiles_add(profiles *self, const char *text, size_t bytes);

void profiles_free(profiles *self); /* NULL is allowed */

#endif
