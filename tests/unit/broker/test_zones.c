/* SPDX-License-Identifier: MIT
 *
 * The files of zones for the core: read when a schedule is set, and again for all that there are.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "broker/zones.h"
#include "support/tempdir.h"
#include "tzif.h"

#define PEER 3

struct fixture {
    char *dir;
    struct zones *zones;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = tempdir_new();
    f->zones = zones_new();
    *state = f;
    return setenv("TZDIR", f->dir, 1);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    zones_free(f->zones);
    tempdir_free(f->dir);
    free(f);
    return unsetenv("TZDIR");
}

static void given_zone(const struct fixture *f, const char *name)
{
    struct tzif_kind kind = { 3600, 0, 0 };
    struct tzif_block block = { .kinds_of = (const uint8_t *)"",
                                .kinds = &kind,
                                .kind_count = 1,
                                .names = "LMT",
                                .name_bytes = 4 };
    struct tzif tzif;
    tzif_make(&tzif, '2', &block, "\n\n");
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, name);
    BERTH_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    BERTH_ASSERT(fd >= 0);
    BERTH_ASSERT(write(fd, tzif.bytes, tzif.count) == (ssize_t)tzif.count);
}

static struct berth_ev_schedule_set filled(struct fixture *f, const char *name)
{
    struct berth_ev_schedule_set set = { .has_zone = true, .zone = berth_slice_of(name) };
    zones_fill(f->zones, &set);
    return set;
}

static void a_schedule_that_is_set_gets_the_bytes_of_its_zone(void **state)
{
    struct fixture *f = *state;
    given_zone(f, "Here");

    struct berth_ev_schedule_set set = filled(f, "Here");

    assert_int_equal(set.zone_code, 0);
    assert_true(set.tzif.bytes > 44);
    assert_memory_equal(set.tzif.data, "TZif2", 5);
    assert_int_equal(filled(f, "UTC").tzif.bytes, 0);
}

static void a_zone_that_is_not_there_is_an_answer(void **state)
{
    struct fixture *f = *state;
    struct berth_ev_schedule_set set = filled(f, "Nowhere");
    assert_int_equal(set.zone_code, BERTH_EVALUE);
    assert_non_null(strstr(set.zone_message, "Nowhere"));
    assert_int_equal(filled(f, "../etc").zone_code, BERTH_EVALUE);

    set = (struct berth_ev_schedule_set){ .has_cron = true };
    zones_fill(f->zones, &set);
    assert_int_equal(set.zone_code, 0);
}

static void answer(struct fixture *f, const char *const *names, size_t count, uint32_t next)
{
    struct berth_schedule_view views[4] = { { .next_us = 0 } };
    for (size_t i = 0; i < count; i++)
        views[i].record.zone = berth_slice_of(names[i]);
    zones_take(f->zones, &(struct berth_do_schedules){ views, count, next });
}

/* Each zone once, whatever page it stands on; one that is gone is passed over. */
static void all_files_are_read_again_one_for_each_zone(void **state)
{
    struct fixture *f = *state;
    struct berth_event event;
    given_zone(f, "Here");
    given_zone(f, "There");
    assert_false(zones_next(f->zones, PEER, &event));

    zones_renew(f->zones);
    assert_true(zones_next(f->zones, PEER, &event));
    assert_int_equal(event.type, BERTH_EV_SCHEDULE_LIST);
    assert_int_equal(event.schedule_list.peer, PEER);
    assert_int_equal(event.schedule_list.after, 0);
    assert_false(zones_next(f->zones, PEER, &event));
    answer(f, (const char *const[]){ "Here", "Gone", "Here" }, 3, 9);
    assert_true(zones_next(f->zones, PEER, &event));
    assert_int_equal(event.type, BERTH_EV_ZONE);
    assert_int_equal(event.zone.name.bytes, strlen("Here"));
    assert_memory_equal(event.zone.tzif.data, "TZif2", 5);
    assert_true(zones_next(f->zones, PEER, &event));
    assert_int_equal(event.type, BERTH_EV_SCHEDULE_LIST);
    assert_int_equal(event.schedule_list.after, 9);
    answer(f, (const char *const[]){ "Here", "There" }, 2, 0);
    assert_true(zones_next(f->zones, PEER, &event));
    assert_memory_equal(event.zone.name.data, "There", strlen("There"));

    assert_false(zones_next(f->zones, PEER, &event));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_schedule_that_is_set_gets_the_bytes_of_its_zone),
        TEST(a_zone_that_is_not_there_is_an_answer),
        TEST(all_files_are_read_again_one_for_each_zone),
    };
    return berth_test_main(tests, NULL, NULL);
}
