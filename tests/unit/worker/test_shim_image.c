/* SPDX-License-Identifier: MIT
 *
 * What is packed for a shim is what it unpacks.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "worker/shim_image.h"

static char empty[] = "", a[] = "a", long_one[] = "/usr/local/bin/something-longer";

static void assert_list(char *const *have, char *const *want)
{
    assert_ptr_not_equal(have, want);
    for (; *want; have++, want++)
        assert_string_equal(*have, *want);
    assert_null(*have);
}

static void everything_but_the_descriptors_arrives(void **state)
{
    (void)state;
    char *const paths[] = { long_one, a, NULL };
    char *const argv[] = { a, empty, long_one, NULL };
    char *const envp[] = { NULL };
    struct shim_spec spec = {
        .work_dir = "/tmp/x", .paths = paths, .argv = argv, .envp = envp, .descriptor_max = 1024
    };
    int fd = shim_image_pack(&spec);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);

    struct shim_spec got = { .in_fd = 77 };
    assert_ok(shim_image_unpack(fd, &got));

    assert_int_equal(close(fd), 0);
    assert_string_equal(got.work_dir, "/tmp/x");
    assert_list(got.paths, paths);
    assert_list(got.argv, argv);
    assert_list(got.envp, envp);
    assert_int_equal(got.descriptor_max, 1024);
    assert_int_equal(got.in_fd, 77);
}

static void a_descriptor_that_is_no_image_is_refused(void **state)
{
    (void)state;
    struct shim_spec got;
    assert_rc(shim_image_unpack(-1, &got), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_but_the_descriptors_arrives),
        cmocka_unit_test(a_descriptor_that_is_no_image_is_refused),
    };
    return berth_test_main(tests, NULL, NULL);
}
