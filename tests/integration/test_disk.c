/* SPDX-License-Identifier: MIT
 *
 * The broker when its disk fails: full, and in doubt (faulty_disk.c).
 */
#include "site.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/await.h"
#include "support/tempdir.h"
#include "translate_peer.h"

#define STORE_LOST 75 /* berthd(8) */
#define TRY_LATER  75 /* berth(1) */

struct disk {
    struct site *site;
    char *command; /* the file that says what fails */
    struct peer peer;
};

static int setup(void **state)
{
    struct disk *disk = calloc(1, sizeof *disk);
    void *site;
    if (!disk || site_setup(&site) < 0)
        return -1;
    disk->site = site;
    disk->command = tempdir_path(disk->site->dir, "command");
    (void)setenv("FAULTY_DISK", disk->command, 1);
    /* A sanitizer wants to be first, but need not be. */
    static const char *const env[] = { "LD_PRELOAD=" BERTH_BIN_DIR "/faulty_disk.so",
                                       "ASAN_OPTIONS=verify_asan_link_order=0", NULL };
    disk->site->env = env;
    site_start(disk->site, NULL);
    peer_open(&disk->peer, disk->site->url, "a");
    *state = disk;
    return 0;
}

static int teardown(void **state)
{
    struct disk *disk = *state;
    void *site = disk->site;
    peer_close(&disk->peer);
    (void)unsetenv("FAULTY_DISK");
    free(disk->command);
    free(disk);
    return site_teardown(&site);
}

static uint64_t submit(struct disk *disk)
{
    peer_submit(&disk->peer, "default", "nobody-offers-this", 1, 100);
    return peer_await(&disk->peer, "submitted").ids[0];
}

static bool is_taken(void *disk)
{
    return submit(disk) > 0;
}

static void a_full_disk_refuses_submits_and_a_disk_with_room_takes_them_again(void **state)
{
    struct disk *disk = *state;
    uint64_t before = submit(disk);
    assert_true(before > 0);

    tempdir_write(disk->command, "full");
    peer_submit(&disk->peer, "default", "nobody-offers-this", 1, 100);
    struct peer_answer answer = peer_await(&disk->peer, "submitted");
    assert_int_equal(answer.ids[0], 0);
    assert_int_equal(answer.code, PEER_FULL);
    assert_in_text(answer.message, "full");
    peer_get(&disk->peer, &before, 1);
    assert_int_equal(peer_await(&disk->peer, "jobs").count, 1);

    tempdir_write(disk->command, "well");
    assert_true(await(is_taken, disk, SITE_TIMEOUT_MS));
    uint64_t after = submit(disk);
    assert_true(after > before);
    assert_int_equal(site_kill(disk->site), 128 + 9);
    site_start(disk->site, NULL);
    const uint64_t ids[] = { before, after };
    peer_get(&disk->peer, ids, 2);
    assert_int_equal(peer_await(&disk->peer, "jobs").count, 2);
}

/* `berth submit`: its exit code, with what it said. */
static int run_submit(struct disk *disk, struct process *ret_process)
{
    const char *const argv[] = {
        BERTH_BIN_DIR "/berth", "--broker", disk->site->url, "submit", "--", "true", NULL
    };
    return process_run(ret_process, argv, NULL, NULL, SITE_TIMEOUT_MS);
}

static void a_full_disk_tells_a_script_to_try_later(void **state)
{
    struct disk *disk = *state;
    struct process process;
    assert_int_equal(run_submit(disk, &process), 0);
    process_fini(&process);

    tempdir_write(disk->command, "full");
    assert_int_equal(run_submit(disk, &process), TRY_LATER);
    assert_string_equal(process_out(&process), "");
    assert_string_equal(process_err(&process),
                        "berth: the broker's disk is full: this job was not stored\n");
    process_fini(&process);
}

static void a_failed_sync_ends_the_broker_before_it_answers(void **state)
{
    struct disk *disk = *state;
    struct peer_answer answer;
    uint64_t before = submit(disk);

    tempdir_write(disk->command, "sync");
    peer_submit(&disk->peer, "default", "nobody-offers-this", 1, 100);
    assert_int_equal(process_await_exit(&disk->site->broker, SITE_TIMEOUT_MS), STORE_LOST);
    assert_in_text(site_err(disk->site), "the store is lost");

    /* The one that comes next goes by the file; the client's repeat gets its one job. */
    tempdir_write(disk->command, "well");
    site_start(disk->site, NULL);
    answer = peer_await(&disk->peer, "submitted");
    assert_true(answer.ids[0] > before);
    peer_list(&disk->peer);
    assert_int_equal(peer_await(&disk->peer, "jobs").count, 2);
}

static void a_disk_that_is_full_at_the_start_is_named(void **state)
{
    struct disk *disk = *state;
    assert_int_equal(site_stop(disk->site), 0);
    tempdir_write(disk->command, "full");

    assert_int_equal(site_start_fails(disk->site, NULL), 1);

    assert_in_text(site_err(disk->site), "no room");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_full_disk_refuses_submits_and_a_disk_with_room_takes_them_again),
        TEST(a_full_disk_tells_a_script_to_try_later),
        TEST(a_failed_sync_ends_the_broker_before_it_answers),
        TEST(a_disk_that_is_full_at_the_start_is_named),
    };
    return berth_test_main(tests, NULL, NULL);
}
