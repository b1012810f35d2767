/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <sched.h>
#include <sys/stat.h>

#include "support/tempdir.h"

#include "cores.h"

static void a_quota_is_rounded_up_to_cores(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        unsigned cores;
    } rows[] = {
        { "max 100000\n", 0 },  { "100000 100000\n", 1 }, { "150000 100000\n", 2 },
        { "1000 100000\n", 1 }, { "400000 100000", 4 },   { "", 0 },
        { "rubbish", 0 },       { "-5 100000", 0 },       { "5 0", 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(weft_cores_of_cpu_max(rows[i].line), rows[i].cores);
}

static void the_smallest_quota_on_the_way_up_counts(void **state)
{
    (void)state;
    char *root = tempdir_new();
    const char *const folders[] = { "a", "a/b", "a/b/c" };
    const char *const lines[] = { "200000 100000\n", "700000 100000\n", NULL };
    for (int i = 0; i < 3; i++) {
        char *folder = tempdir_path(root, folders[i]);
        assert_int_equal(mkdir(folder, 0700), 0);
        char *file = tempdir_path(folder, "cpu.max");
        if (lines[i])
            tempdir_write(file, lines[i]);
        free(file);
        free(folder);
    }
    assert_int_equal(weft_cores_of_cgroup(root, "/a/b/c"), 2);
    assert_int_equal(weft_cores_of_cgroup(root, "/nowhere"), 0);
    char *top = tempdir_path(root, "cpu.max"); /* as a container sees its own */
    tempdir_write(top, "100000 100000\n");
    free(top);
    assert_int_equal(weft_cores_of_cgroup(root, "/"), 1);
    tempdir_free(root);
}

static void no_more_than_the_affinity_mask(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    unsigned cores = weft_cores();
    assert_true(cores >= 1);
    assert_true(cores <= (unsigned)CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &one);
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);

    assert_int_equal(weft_cores(), 1);

    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quota_is_rounded_up_to_cores),
        cmocka_unit_test(the_smallest_quota_on_the_way_up_counts),
        cmocka_unit_test(no_more_than_the_affinity_mask),
    };
    return berth_test_main(tests, NULL, NULL);
}
