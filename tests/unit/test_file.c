/* SPDX-License-Identifier: Apache-2.0 */
#include "core/file.h"

#include "core/alloc.h"
#include "core/error.h"

#include "support/expect.h"
#include "support/failing_allocator.h"
#include "support/scratch_folder.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* What every test starts with. */
typedef struct fixture {
  scratch_folder folder;
  failing_allocator allocator;
  qb_context *context;
} fixture;

static int set_up(void **state)
{
  static fixture one;
  one.folder = scratch_folder_make();
  one.allocator.fail_at = 0;
  one.context = failing_allocator_context(&one.allocator);
  *state = &one;
  return 0;
}

static int tear_down(void **state)
{
  fixture *f = *state;
  scratch_folder_remove(&f->folder);
  qb_context_unref(f->context);
  return atomic_load(&f->allocator.live) == 0 ? 0 : -1;
}

static void assert_file_has(const fixture *f, const char *path, const char *text)
{
  char *data = NULL;
  size_t bytes = 0;
  assert_ok(qb__file_read(f->context, path, 1 << 20, &data, &bytes));
  assert_int_equal(bytes, strlen(text));
  assert_string_equal(data, text);
  qb__free(f->context, data);
}

/* Reading fails in this way, and leaves the outputs alone. */
static void assert_read_fails(const fixture *f, const char *path, size_t limit, qb_status expected,
                              const char *message)
{
  char *data = NULL;
  size_t bytes = 77;
  assert_status(qb__file_read(f->context, path, limit, &data, &bytes), expected);
  assert_message(path);
  assert_message(message);
  assert_null(data);
  assert_int_equal(bytes, 77);
}

static mode_t permissions(const char *path)
{
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  return info.st_mode & 07777;
}

static void what_is_written_is_read(void **state)
{
  const fixture *f = *state;
  const scratch_path path = scratch_folder_path(&f->folder, "file");
  /* On both sides of the sizes that buffers grow at, and with zeros inside. */
  const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 100000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    const size_t bytes = sizes[i];
    unsigned char *written = malloc(bytes + 1);
    for (size_t j = 0; j < bytes; j++)
      written[j] = (unsigned char)(j * 7 % 251);
    assert_ok(qb__file_write(f->context, path.text, written, bytes));
    char *data = NULL;
    size_t found = 0;
    assert_ok(qb__file_read(f->context, path.text, 100000, &data, &found));
    assert_int_equal(found, bytes);
    assert_memory_equal(data, written, bytes);
    assert_int_equal(data[bytes], 0);
    qb__free(f->context, data);
    free(written);
  }
  assert_int_equal(scratch_folder_count(&f->folder), 1);
}

static void limit_is_the_last_size_that_is_read(void **state)
{
  const fixture *f = *state;
  char text[10001];
  memset(text, 'a', sizeof text);
  for (size_t bytes = 1; bytes < sizeof text; bytes = bytes * 3 + 1) {
    const scratch_path path = scratch_folder_write(&f->folder, "file", text, bytes);
    char *data = NULL;
    size_t found = 0;
    assert_ok(qb__file_read(f->context, path.text, bytes, &data, &found));
    assert_int_equal(found, bytes);
    qb__free(f->context, data);
    assert_read_fails(f, path.text, bytes - 1, QB_ERROR_OVERFLOW, "larger than");
  }
}

static void files_without_a_size_are_read_to_the_end(void **state)
{
  const fixture *f = *state;
  char *data = NULL;
  size_t bytes = 0;
  assert_ok(qb__file_read(f->context, "/proc/self/status", 1 << 20, &data, &bytes));
  assert_true(bytes > 100);
  assert_int_equal(strlen(data), bytes);
  qb__free(f->context, data);
  assert_read_fails(f, "/dev/zero", 100000, QB_ERROR_OVERFLOW, "100000 bytes");
}

static void what_cannot_be_read_is_an_io_error(void **state)
{
  const fixture *f = *state;
  const scratch_path missing = scratch_folder_path(&f->folder, "missing");
  assert_read_fails(f, missing.text, 100, QB_ERROR_IO, "No such file");
  assert_read_fails(f, f->folder.path, 100, QB_ERROR_IO, "Is a directory");
  assert_read_fails(f, "", 100, QB_ERROR_IO, "No such file");
}

static void optional_file_may_be_missing(void **state)
{
  const fixture *f = *state;
  char *data = NULL;
  const scratch_path path = scratch_folder_write_text(&f->folder, "file", "there");
  assert_ok(qb__file_read_optional(f->context, path.text, 100, &data));
  assert_string_equal(data, "there");
  qb__free(f->context, data);
  (void)qb__fail(QB_ERROR_IO, "the host's last failure");
  const scratch_path missing = scratch_folder_path(&f->folder, "missing");
  assert_ok(qb__file_read_optional(f->context, missing.text, 100, &data));
  assert_null(data);
  assert_string_equal(qb_error_message(), "the host's last failure");
  assert_ok(qb__file_read_optional(f->context, f->folder.path, 100, &data));
  assert_null(data);
}

static void what_cannot_be_written_is_an_io_error(void **state)
{
  const fixture *f = *state;
  const scratch_path nowhere = scratch_folder_path(&f->folder, "missing/file");
  assert_status(qb__file_write(f->context, nowhere.text, "a", 1), QB_ERROR_IO);
  assert_message("No such file");
  assert_message(nowhere.text);
  assert_status(qb__file_write(f->context, f->folder.path, "a", 1), QB_ERROR_IO);
  assert_message("Is a directory");
  assert_status(qb__file_write(f->context, "", "a", 1), QB_ERROR_IO);
  assert_int_equal(scratch_folder_count(&f->folder), 0);
}

static void full_disk_is_an_io_error(void **state)
{
  const fixture *f = *state;
  assert_status(qb__file_write(f->context, "/dev/full", "a", 1), QB_ERROR_IO);
  assert_message("No space left");
  assert_ok(qb__file_write(f->context, "/dev/null", "a", 1));
}

/* The file may grow to 4 KiB only: as on a disk that fills up while we write. */
static void failure_half_way_keeps_the_old_file_and_leaves_nothing(void **state)
{
  const fixture *f = *state;
  static const char large[1 << 16];
  const scratch_path path = scratch_folder_write_text(&f->folder, "file", "old");
  const scratch_path fresh = scratch_folder_path(&f->folder, "fresh");
  struct rlimit before;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  const struct rlimit small = {4096, before.rlim_max};
  void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  const qb_status replaced = qb__file_write(f->context, path.text, large, sizeof large);
  const qb_status made = qb__file_write(f->context, fresh.text, large, sizeof large);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  assert_status(replaced, QB_ERROR_IO);
  assert_status(made, QB_ERROR_IO);
  assert_message("cannot write");
  assert_file_has(f, path.text, "old");
  assert_int_equal(scratch_folder_count(&f->folder), 1);
}

static void folder_without_permission_is_an_io_error(void **state)
{
  const fixture *f = *state;
  if (geteuid() == 0)
    skip(); /* root may write anywhere */
  const scratch_path path = scratch_folder_write_text(&f->folder, "file", "old");
  assert_int_equal(chmod(f->folder.path, 0500), 0);
  const qb_status status = qb__file_write(f->context, path.text, "new", 3);
  assert_int_equal(chmod(f->folder.path, 0700), 0);
  assert_status(status, QB_ERROR_IO);
  assert_message("Permission denied");
  assert_file_has(f, path.text, "old");
  assert_int_equal(scratch_folder_count(&f->folder), 1);
}

static void replaced_file_keeps_its_permissions(void **state)
{
  const fixture *f = *state;
  const scratch_path path = scratch_folder_write_text(&f->folder, "file", "old");
  const mode_t kept[] = {0600, 0640, 0666, 0755};
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    assert_int_equal(chmod(path.text, kept[i]), 0);
    assert_ok(qb__file_write(f->context, path.text, "new", 3));
    assert_int_equal(permissions(path.text), kept[i]);
  }
  assert_file_has(f, path.text, "new");
}

static void new_file_honours_the_umask(void **state)
{
  const fixture *f = *state;
  const mode_t masks[] = {022, 027, 077};
  for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
    const scratch_path path = scratch_folder_path(&f->folder, "file");
    const mode_t before = umask(masks[i]);
    const qb_status status = qb__file_write(f->context, path.text, "new", 3);
    const mode_t left = umask(before);
    assert_ok(status);
    assert_int_equal(left, masks[i]);
    assert_int_equal(permissions(path.text), 0666 & ~masks[i]);
    assert_int_equal(unlink(path.text), 0);
  }
}

static void symbolic_link_stays_a_link(void **state)
{
  const fixture *f = *state;
  const scratch_path target = scratch_folder_write_text(&f->folder, "below/file", "old");
  const scratch_path link = scratch_folder_path(&f->folder, "link");
  assert_int_equal(symlink("below/file", link.text), 0);
  assert_ok(qb__file_write(f->context, link.text, "new", 3));
  struct stat info;
  assert_int_equal(lstat(link.text, &info), 0);
  assert_true(S_ISLNK(info.st_mode));
  assert_file_has(f, target.text, "new");
  assert_int_equal(scratch_folder_count(&f->folder), 2);
}

static void pipe_gets_the_data(void **state)
{
  const fixture *f = *state;
  int ends[2];
  char path[64], got[4] = "";
  assert_int_equal(pipe(ends), 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
  assert_ok(qb__file_write(f->context, path, "new", 3));
  assert_int_equal(read(ends[0], got, 3), 3);
  assert_string_equal(got, "new");
  close(ends[0]);
  close(ends[1]);
}

static void file_in_the_working_folder_is_written(void **state)
{
  const fixture *f = *state;
  char before[4096];
  assert_non_null(getcwd(before, sizeof before));
  assert_int_equal(chdir(f->folder.path), 0);
  const qb_status status = qb__file_write(f->context, "file", "new", 3);
  assert_int_equal(chdir(before), 0);
  assert_ok(status);
  assert_file_has(f, scratch_folder_path(&f->folder, "file").text, "new");
}

static qb_status read_it(qb_context *context, void *path)
{
  char *data = NULL;
  size_t bytes;
  const qb_status status = qb__file_read(context, path, 1 << 20, &data, &bytes);
  qb__free(context, data);
  return status;
}

static qb_status read_it_if_there(qb_context *context, void *path)
{
  char *data;
  const qb_status status = qb__file_read_optional(context, path, 1 << 20, &data);
  qb__free(context, data);
  return status;
}

static qb_status write_it(qb_context *context, void *path)
{
  return qb__file_write(context, path, "new", 3);
}

static void every_failed_allocation_is_reported(void **state)
{
  const fixture *f = *state;
  scratch_path path = scratch_folder_write_text(&f->folder, "file", "old");
  /* A file that gives no size makes the buffer grow. */
  char growing[] = "/proc/self/smaps";
  assert_true(check_every_allocation_failure(read_it, growing) >= 2);
  assert_int_equal(check_every_allocation_failure(read_it, path.text), 1);
  assert_int_equal(check_every_allocation_failure(read_it_if_there, path.text), 1);
  assert_int_equal(check_every_allocation_failure(write_it, path.text), 1);
  assert_file_has(f, path.text, "new");
  assert_int_equal(scratch_folder_count(&f->folder), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(what_is_written_is_read),
      TEST(limit_is_the_last_size_that_is_read),
      TEST(files_without_a_size_are_read_to_the_end),
      TEST(what_cannot_be_read_is_an_io_error),
      TEST(optional_file_may_be_missing),
      TEST(what_cannot_be_written_is_an_io_error),
      TEST(full_disk_is_an_io_error),
      TEST(failure_half_way_keeps_the_old_file_and_leaves_nothing),
      TEST(folder_without_permission_is_an_io_error),
      TEST(replaced_file_keeps_its_permissions),
      TEST(new_file_honours_the_umask),
      TEST(symbolic_link_stays_a_link),
      TEST(pipe_gets_the_data),
      TEST(file_in_the_working_folder_is_written),
      TEST(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
