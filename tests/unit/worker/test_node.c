/* SPDX-License-Identifier: MIT
 *
 * Who a host is: the same each time, and not the machine's own id.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "support/tempdir.h"
#include "worker/node.h"

#define MACHINE "0123456789abcdef0123456789abcdef"

static void a_machine_id_gives_an_id_that_stays_and_does_not_show_it(void **state)
{
    (void)state;
    char *dir = tempdir_new(), *path = tempdir_path(dir, "machine-id");
    tempdir_write(path, MACHINE "\n");
    uint8_t first[NODE_ID_BYTES], second[NODE_ID_BYTES];

    assert_ok(node_id_from(path, dir, first, NULL));
    assert_ok(node_id_from(path, dir, second, NULL));

    const uint8_t machine[4] = { 0x01, 0x23, 0x45, 0x67 };
    assert_memory_equal(first, second, NODE_ID_BYTES);
    assert_memory_not_equal(first, machine, sizeof machine);
    free(path);
    tempdir_free(dir);
}

static void without_a_machine_id_a_random_one_is_kept(void **state)
{
    (void)state;
    char *dir = tempdir_new(), *deep = tempdir_path(dir, "state/berth"),
         *other = tempdir_path(dir, "other");
    uint8_t first[NODE_ID_BYTES], second[NODE_ID_BYTES], third[NODE_ID_BYTES];

    assert_ok(node_id_from(NULL, deep, first, NULL));
    assert_ok(node_id_from("/nonexistent/machine-id", deep, second, NULL));
    assert_ok(node_id_from(NULL, other, third, NULL));

    assert_memory_equal(first, second, NODE_ID_BYTES);
    assert_memory_not_equal(first, third, NODE_ID_BYTES);
    struct stat st;
    char *path = tempdir_path(deep, "node-id");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    free(path);
    free(deep);
    free(other);
    tempdir_free(dir);
}

static void a_machine_id_that_is_none_counts_as_missing(void **state)
{
    static const char *const texts[] = { "uninitialized\n", "", MACHINE "0\n", "0123\n" };
    (void)state;
    char *dir = tempdir_new(), *path = tempdir_path(dir, "machine-id");
    uint8_t kept[NODE_ID_BYTES], id[NODE_ID_BYTES];
    assert_ok(node_id_from(NULL, dir, kept, NULL));

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        tempdir_write(path, texts[i]);
        assert_ok(node_id_from(path, dir, id, NULL));
        assert_memory_equal(id, kept, NODE_ID_BYTES);
    }
    free(path);
    tempdir_free(dir);
}

static void a_damaged_id_in_the_state_folder_is_named(void **state)
{
    (void)state;
    char *dir = tempdir_new(), *path = tempdir_path(dir, "node-id");
    tempdir_write(path, "hello\n");
    uint8_t id[NODE_ID_BYTES];
    struct berth_error err;

    assert_rc(node_id_from(NULL, dir, id, &err), BERTH_EVALUE);

    assert_non_null(strstr(err.message, path));
    free(path);
    tempdir_free(dir);
}

static void a_state_folder_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    uint8_t id[NODE_ID_BYTES];
    struct berth_error err;

    assert_true(node_id_from(NULL, "/proc/nothing/berth", id, &err) < 0);

    assert_non_null(strstr(err.message, "/proc/nothing/berth"));
}

static void a_boot_has_one_id_and_a_start_has_its_own_nonce(void **state)
{
    (void)state;
    uint8_t first[NODE_ID_BYTES], second[NODE_ID_BYTES];

    assert_ok(node_boot_id(first, NULL));
    assert_ok(node_boot_id(second, NULL));
    assert_memory_equal(first, second, NODE_ID_BYTES);
    assert_ok(node_nonce(first, NULL));
    assert_ok(node_nonce(second, NULL));

    assert_memory_not_equal(first, second, NODE_ID_BYTES);
}

static void the_default_name_is_valid_and_ends_in_the_pid(void **state)
{
    (void)state;
    char name[NODE_NAME_BYTES_MAX + 1], pid[32];

    node_default_name(getpid(), name);

    (void)snprintf(pid, sizeof pid, "-%ld", (long)getpid());
    assert_true(berth_name_is_valid(name));
    assert_string_equal(name + strlen(name) - strlen(pid), pid);
    assert_true(node_cores() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_id_gives_an_id_that_stays_and_does_not_show_it),
        cmocka_unit_test(without_a_machine_id_a_random_one_is_kept),
        cmocka_unit_test(a_machine_id_that_is_none_counts_as_missing),
        cmocka_unit_test(a_damaged_id_in_the_state_folder_is_named),
        cmocka_unit_test(a_state_folder_that_cannot_be_made_is_named),
        cmocka_unit_test(a_boot_has_one_id_and_a_start_has_its_own_nonce),
        cmocka_unit_test(the_default_name_is_valid_and_ends_in_the_pid),
    };
    return berth_test_main(tests, NULL, NULL);
}
