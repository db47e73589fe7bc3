/* SPDX-License-Identifier: Apache-2.0 */
#include "support/scratch_folder.h"

#include <dirent.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/unit.h"

scratch_folder scratch_folder_make(void)
{
  scratch_folder folder;
  const char *parent = getenv("TMPDIR");
  const int length = snprintf(folder.path, sizeof folder.path, "%s/qosbatch-test-XXXXXX",
                              parent && *parent ? parent : "/tmp");
  assert_true(length < (int)sizeof folder.path);
  assert_non_null(mkdtemp(folder.path));
  return folder;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
  (void)info;
  (void)type;
  (void)place;
  return remove(path);
}

void scratch_folder_remove(const scratch_folder *folder)
{
  assert_int_equal(nftw(folder->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

scratch_path scratch_folder_path(const scratch_folder *folder, const char *name)
{
  scratch_path path;
  const int length = snprintf(path.text, sizeof path.text, "%s/%s", folder->path, name);
  assert_true(length < (int)sizeof path.text);
  return path;
}

scratch_path scratch_folder_write(const scratch_folder *folder, const char *name, const void *data,
                                  size_t bytes)
{
  scratch_path path = scratch_folder_path(folder, name);
  for (char *slash = path.text + strlen(folder->path) + 1; (slash = strchr(slash, '/')); slash++) {
    *slash = 0;
    (void)mkdir(path.text, 0777);
    *slash = '/';
  }
  FILE *file = fopen(path.text, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, bytes, file), bytes);
  assert_int_equal(fclose(file), 0);
  return path;
}

scratch_path scratch_folder_write_text(const scratch_folder *folder, const char *name,
                                       const char *text)
{
  return scratch_folder_write(folder, name, text, strlen(text));
}

size_t scratch_folder_count(const scratch_folder *folder)
{
  DIR *directory = opendir(folder->path);
  assert_non_null(directory);
  size_t count = 0;
  for (const struct dirent *entry; (entry = readdir(directory));)
    count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
  closedir(directory);
  return count;
}
