/* SPDX-License-Identifier: MIT */
/* The SQLite backend on a disk that is really full: a tmpfs of a few megabytes in a mount namespace
 * of its own. Where the kernel allows none, the test says so and is skipped; what a full disk does
 * to batches is also shown without one, by test_store_faults.c.
 */
#include "support/berthtest.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "broker/store/store_sqlite.h"
#include "store_kit.h"
#include "support/await.h"
#include "support/tempdir.h"

#define FILLER_BYTES (32u << 20)
#define BODY_BYTES   (512u << 10)
#define JOBS_MAX     500
#define WAIT_MS      60000
#define SKIPPED      77

static struct kit kit;

/* Stops the process with the line that failed: cmocka's assertions cannot be used in a child. */
#define CHECK(expression)                                                                          \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expression);                       \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static enum berth_store_result write_job(uint64_t id, struct berth_error *err)
{
    struct berth_batch *batch = kit_batch(&kit);
    struct berth_record job = kit_job(id, 1, kit_bytes(&kit, BODY_BYTES, id));
    kit_add(batch, &job);
    return kit_write(&kit, batch, err);
}

static enum berth_store_result write_end(uint64_t id)
{
    struct berth_batch *batch = kit_batch(&kit);
    struct berth_record end = kit_end(id, 1, BERTH_COMPLETED, kit.wall_us);
    end.end.last.result = kit_bytes(&kit, 1000, id);
    kit_add(batch, &end);
    return kit_write(&kit, batch, NULL);
}

static void fill(const char *path)
{
    BERTH_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK(posix_fallocate(fd, 0, FILLER_BYTES) == 0);
}

struct next_job {
    uint64_t id;
};

static bool is_job_taken(void *arg)
{
    struct next_job *next = arg;
    return write_job(next->id, NULL) == BERTH_STORED;
}

static void fill_up_and_go_on(void)
{
    BERTH_AUTO_MEM char *filler = tempdir_path(kit.dir, "filler");
    fill(filler);
    kit_open(&kit);
    struct berth_error error = { .code = 0 };
    uint64_t last = 0;
    while (last < JOBS_MAX && write_job(last + 1, &error) == BERTH_STORED)
        last++;
    CHECK(last > 10);
    CHECK(last < JOBS_MAX);
    CHECK(error.code == BERTH_EFULL);

    for (uint64_t id = 1; id <= last; id++)
        CHECK(write_end(id) == BERTH_STORED);
    struct berth_batch *limit = kit_batch(&kit);
    struct berth_record dispatcher = kit_dispatcher(1, "newsletter");
    kit_add(limit, &dispatcher);
    CHECK(kit_write(&kit, limit, NULL) == BERTH_STORED);
    CHECK(write_job(last + 1, &error) == BERTH_STORE_FULL);
    CHECK(strstr(error.message, "full"));

    CHECK(unlink(filler) == 0);
    struct next_job next = { .id = last + 1 };
    CHECK(await(is_job_taken, &next, WAIT_MS));
    kit_reopen(&kit);
    struct berth_read counts = { .type = BERTH_READ_COUNTS };
    CHECK(kit_read(&kit, &counts).counts[0].completed == last);
    kit_close(&kit);
}

/* A tmpfs over the kit's directory that only this process sees. */
static bool mount_small_disk(void)
{
    int flags = geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS;
    if (unshare(flags) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return false;
    return mount("tmpfs", kit.dir, "tmpfs", 0, "size=80m") == 0;
}

static void full_disk_lets_jobs_end_and_takes_new_ones_when_there_is_room(void **state)
{
    (void)state;
    pid_t child = fork();
    BERTH_ASSERT(child >= 0);
    if (child == 0) {
        if (!mount_small_disk())
            _exit(SKIPPED);
        fill_up_and_go_on();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED) {
        print_message("no mount namespace here: skipped\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int setup(void **state)
{
    (void)state;
    kit_init(&kit, "sqlite");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_fini(&kit);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            full_disk_lets_jobs_end_and_takes_new_ones_when_there_is_room, setup, teardown),
    };
    return berth_test_main(tests, NULL, NULL);
}
