/* SPDX-License-Identifier: Apache-2.0 */
/* Memory files: sized for ever, filled, and after the writer mapped them nobody else can write. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <lshm/error.h>

#include "os/memory.h"
#include "os/seal.h"

#define BYTES 8192u

static void test_seal__fresh_file__keeps_its_size(void **state)
{
    int fd;

    (void)state;
    assert_int_equal(lsi_memory_create("test", BYTES, &fd), 0);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, 2 * BYTES), -1);
    assert_int_equal(lsi_seal_check_writer(fd, BYTES), 0);
    assert_int_equal(lsi_seal_check_writer(fd, BYTES + 1), -LSHM_ECORRUPT);
    assert_int_equal(lsi_seal_check_reader(fd, BYTES), -LSHM_ECORRUPT);
    assert_int_equal(lsi_seal_check_filled(fd, BYTES), -ENODATA);
    assert_int_equal(lsi_memory_fill(fd, BYTES), 0);
    assert_int_equal(lsi_seal_check_filled(fd, BYTES), 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(fd);
}

static void test_seal__after_the_writer_mapped__nobody_else_writes(void **state)
{
    char *base, *reader;
    void *mapped;
    int fd, reader_fd;

    (void)state;
    assert_int_equal(lsi_memory_create("test", BYTES, &fd), 0);
    assert_int_equal(lsi_memory_fill(fd, BYTES), 0);
    assert_int_equal(lsi_memory_map(fd, BYTES, LSI_MAP_WRITE | LSI_MAP_NO_FORK | LSI_MAP_NO_DUMP,
                                    &mapped),
                     0);
    base = mapped;
    assert_int_equal(lsi_seal_writes(fd), 0);
    assert_int_equal(lsi_seal_writes(fd), 0); /* again is fine */
    assert_int_equal(lsi_seal_reopen(fd, &reader_fd), 0);
    assert_int_equal(lsi_seal_check_reader(reader_fd, BYTES), 0);
    assert_int_equal(lsi_seal_check_writer(reader_fd, BYTES), -LSHM_ECORRUPT);
    assert_int_equal(lsi_memory_map(fd, BYTES, LSI_MAP_WRITE, &mapped), -EPERM);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(lsi_memory_map(reader_fd, BYTES, 0, &mapped), 0);
    reader = mapped;
    base[0] = 'y';
    assert_int_equal(reader[0], 'y');
    assert_int_equal(mprotect(reader, BYTES, PROT_READ | PROT_WRITE), -1);
    lsi_memory_unmap(base, BYTES);
    lsi_memory_unmap(reader, BYTES);
    close(fd);
    close(reader_fd);
}

/* fcntl(2) tells of no seals there: an error, not all of them. */
static void test_seal__of_a_file_that_has_none__is_missed(void **state)
{
    const struct lst_fixture *fixture = *state;
    char path[PATH_MAX];
    int fd, reader_fd;

    (void)snprintf(path, sizeof path, "%s/file", fixture->dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    reader_fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && reader_fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ftruncate(fd, BYTES), 0);
    assert_int_equal(lsi_seal_check_writer(fd, BYTES), -LSHM_ECORRUPT);
    assert_int_equal(lsi_seal_check_reader(reader_fd, BYTES), -LSHM_ECORRUPT);
    assert_int_equal(lsi_seal_size(fd), -EINVAL);
    assert_int_equal(lsi_seal_writes(fd), -EINVAL);
    close(fd);
    close(reader_fd);
    assert_int_equal(lsi_seal_reopen(fd, &reader_fd), -ENOENT);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_seal__fresh_file__keeps_its_size, lst_setup,
                                    lst_teardown),
    cmocka_unit_test_setup_teardown(test_seal__after_the_writer_mapped__nobody_else_writes,
                                    lst_setup, lst_teardown),
    cmocka_unit_test_setup_teardown(test_seal__of_a_file_that_has_none__is_missed, lst_setup,
                                    lst_teardown),
};

static int run(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return lst_main(argc, argv, NULL, 0, run);
}
