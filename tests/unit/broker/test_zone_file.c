/* SPDX-License-Identifier: MIT
 *
 * Zones by name, from the files of the system and from a folder of our own.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/text.h"
#include "broker/zone_file.h"
#include "support/tempdir.h"
#include "tzif.h"

#define SUMMER_2020_S 1593561600 /* 2020-07-01T00:00:00Z */

static char *dir;

static int setup(void **state)
{
    (void)state;
    dir = tempdir_new();
    return setenv("TZDIR", dir, 1);
}

static int teardown(void **state)
{
    (void)state;
    tempdir_free(dir);
    return unsetenv("TZDIR");
}

static void write_bytes(const char *name, const void *data, size_t bytes)
{
    BERTH_AUTO_MEM char *path = tempdir_path(dir, name);
    BERTH_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    BERTH_ASSERT(fd >= 0);
    BERTH_ASSERT(write(fd, data, bytes) == (ssize_t)bytes);
}

static void given_zone(const char *name, int32_t offset_s)
{
    struct tzif_kind kind = { offset_s, 0, 0 };
    struct tzif_block block = { .kinds_of = (const uint8_t *)"",
                                .kinds = &kind,
                                .kind_count = 1,
                                .names = "LMT",
                                .name_bytes = 4 };
    struct tzif tzif;
    tzif_make(&tzif, '2', &block, "\n\n");
    write_bytes(name, tzif.bytes, tzif.count);
}

static void assert_offset(const char *name, int32_t offset_s)
{
    struct zone_file file;
    struct berth_error err = { .code = 0 };
    if (zone_file_open("tz", berth_slice_of(name), &file, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(zone_at(&file.zone, SUMMER_2020_S).offset_s, offset_s);
    zone_file_fini(&file);
}

static void assert_refused(const char *name, const char *sentence)
{
    struct zone_file file;
    struct berth_error err = { .code = 0 };
    assert_rc(zone_file_open("tz", berth_slice_of(name), &file, &err), BERTH_EVALUE);
    if (!strstr(err.message, sentence))
        fail_msg("not '%s' but '%s'", sentence, err.message);
}

static void zones_of_the_system_are_found(void **state)
{
    (void)state;
    assert_int_equal(unsetenv("TZDIR"), 0);
    assert_offset("Europe/Berlin", 7200);
    assert_offset("America/New_York", -14400);
    assert_offset("Asia/Kolkata", 19800);
    assert_offset("Australia/Lord_Howe", 37800);
    assert_offset("America/Argentina/Buenos_Aires", -10800);
    assert_offset("Etc/GMT+5", -18000);
}

static void tzdir_says_where_the_zones_are(void **state)
{
    (void)state;
    given_zone("Atlantis", 1234);
    assert_offset("Atlantis", 1234);
    assert_refused("Europe/Berlin", "there is no time zone 'Europe/Berlin' in /");
}

static void an_empty_tzdir_is_none(void **state)
{
    (void)state;
    assert_int_equal(setenv("TZDIR", "", 1), 0);
    assert_offset("Europe/Berlin", 7200);
}

static void utc_needs_no_file(void **state)
{
    (void)state;
    assert_int_equal(setenv("TZDIR", "/nonexistent", 1), 0);
    assert_offset("UTC", 0);
    assert_refused("Etc/UTC", "there is no time zone 'Etc/UTC' in /nonexistent");
}

static void a_name_does_not_lead_out_of_the_folder(void **state)
{
    (void)state;
    BERTH_AUTO_MEM char *inner = tempdir_path(dir, "inner");
    assert_int_equal(mkdir(inner, 0700), 0);
    given_zone("outside", 1234);
    assert_int_equal(setenv("TZDIR", inner, 1), 0);

    assert_refused("../outside", "'../outside' is not a time zone");
    assert_refused("x/../../outside", "is not a time zone");
    BERTH_AUTO_MEM char *absolute = tempdir_path(dir, "outside");
    assert_refused(absolute, "is not a time zone");
}

static void what_is_no_file_is_no_zone(void **state)
{
    (void)state;
    BERTH_AUTO_MEM char *folder = tempdir_path(dir, "Europe");
    BERTH_AUTO_MEM char *pipe = tempdir_path(dir, "Pipe");
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    given_zone("File", 0);

    assert_refused("Europe", "there is no time zone 'Europe'");
    assert_refused("Pipe", "there is no time zone 'Pipe'");
    assert_refused("File/Berlin", "there is no time zone 'File/Berlin'");
    assert_refused("Nowhere", "there is no time zone 'Nowhere'");
}

static void a_file_that_is_no_tzif_is_refused_by_name(void **state)
{
    (void)state;
    static const char large[ZONE_BYTES_MAX + 1] = "TZif";
    write_bytes("Text", "hello, world; this is longer than a header of TZif", 50);
    write_bytes("Empty", "", 0);
    write_bytes("Large", large, sizeof large);

    assert_refused("Text", "tz: time zone 'Text': the data of a time zone is not TZif: it does not "
                           "begin with 'TZif'");
    assert_refused("Empty", "its header is cut short");
    assert_refused("Large", "the file of time zone 'Large' has more than 65536 bytes");
}

static void a_file_that_may_not_be_read_is_an_error_of_the_system(void **state)
{
    (void)state;
    BERTH_AUTO_MEM char *link = tempdir_path(dir, "Loop");
    assert_int_equal(symlink("Loop", link), 0);
    struct zone_file file;
    struct berth_error err = { .code = 0 };

    assert_rc(zone_file_open("tz", berth_slice_of("Loop"), &file, &err), -ELOOP);
    assert_non_null(strstr(err.message, "/Loop'"));
}

static void a_folder_with_a_name_beyond_all_bounds_is_refused(void **state)
{
    (void)state;
    static char path[PATH_MAX + 1];
    memset(path, 'x', sizeof path - 1);
    assert_int_equal(setenv("TZDIR", path, 1), 0);
    struct zone_file file;
    struct berth_error err = { .code = 0 };

    assert_rc(zone_file_open("tz", berth_slice_of("Berlin"), &file, &err), -ENAMETOOLONG);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(zones_of_the_system_are_found),
        TEST(tzdir_says_where_the_zones_are),
        TEST(an_empty_tzdir_is_none),
        TEST(utc_needs_no_file),
        TEST(a_name_does_not_lead_out_of_the_folder),
        TEST(what_is_no_file_is_no_zone),
        TEST(a_file_that_is_no_tzif_is_refused_by_name),
        TEST(a_file_that_may_not_be_read_is_an_error_of_the_system),
        TEST(a_folder_with_a_name_beyond_all_bounds_is_refused),
    };
    return berth_test_main(tests, NULL, NULL);
}
