/* SPDX-License-Identifier: MIT */
/* The SQLite backend on a disk that fails, without its thread, so that every operation on the files
 * has a number.
 *
 * A run does the same work each time: open, batches with checkpoints between them, close. Power is
 * cut, the process killed, or an operation made to fail at every single point of it; then the files
 * must hold all batches that were STORED, perhaps the one under way, and never a part of one.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "broker/store/store_sqlite.h"
#include "faulty_vfs.h"
#include "store_workload.h"
#include "support/tempdir.h"

#define BATCHES        8
#define RECORDS_MAX    6
#define IDLE_MS        100000 /* whatever can be tidied up is tidied up */
#define CHECKPOINT_PER 4      /* batches */
#define IMAGES_MAX     4096

/* One run, as far as it got. */
struct run {
    struct kit kit; /* only for its memory and epoch: its store is `backend` */
    struct store_blocking *backend;
    struct model model, next;
    uint64_t digests[BATCHES + 1]; /* [n]: after n batches were stored */
    size_t stored;
    bool has_unknown; /* the batch behind those may be in the file, too */
    uint64_t unknown;
    struct berth_rng rng;
};

/* One for all tests: its directory keeps the reserve, which would otherwise be made a thousand
 * times. */
static struct run *the_run;

static void remove_file(const char *dir, const char *name)
{
    BERTH_AUTO_MEM char *path = tempdir_path(dir, name);
    (void)unlink(path);
}

/* An empty directory and an empty model. */
static struct run *run_begin(uint64_t seed)
{
    struct run *run = the_run;
    remove_file(run->kit.dir, STORE_SQLITE_FILE);
    remove_file(run->kit.dir, STORE_SQLITE_FILE "-wal");
    berth_arena_reset(&run->kit.memory);
    run->model.job_count = run->model.dispatcher_count = run->model.session_count = 0;
    run->digests[0] = model_digest(&run->model, run->kit.wall_us);
    run->stored = 0;
    run->has_unknown = false;
    berth_rng_init(&run->rng, seed);
    return run;
}

static int make_the_run(void **state)
{
    (void)state;
    the_run = calloc(1, sizeof *the_run);
    BERTH_ASSERT(the_run);
    kit_init(&the_run->kit, "sqlite");
    return 0;
}

static int free_the_run(void **state)
{
    (void)state;
    kit_fini(&the_run->kit);
    free(the_run);
    return 0;
}

static int run_open(struct run *run, struct berth_error *err)
{
    struct berth_store_opts opts = { .dir = run->kit.dir,
                                     .lineage = 7,
                                     .wall_us = run->kit.wall_us };
    return store_sqlite_blocking.open(&opts, &run->backend, &run->kit.info, err);
}

static void run_close(struct run *run)
{
    if (run->backend)
        run->backend->ops->close(run->backend);
    run->backend = NULL;
}

/* Whatever is due: at most a checkpoint and one walk over each table. */
static void run_tend(struct run *run)
{
    for (size_t i = 0; i < 10; i++)
        (void)run->backend->ops->tend(run->backend, IDLE_MS);
}

static uint64_t wal_pages(const struct run *run)
{
    return sqlite_of(run->backend)->wal_pages;
}

/* One batch. False: the store takes nothing more. */
static bool run_batch(struct run *run)
{
    model_copy(&run->next, &run->model);
    struct berth_batch *batch = workload_batch(&run->kit, &run->next, &run->rng, RECORDS_MAX);
    struct berth_error error = { .code = 0 };
    enum berth_store_result result = run->backend->ops->write(run->backend, batch, &error);
    kit_batch_free(batch);
    assert_true((result == BERTH_STORED) == (error.code == 0));
    uint64_t digest = model_digest(&run->next, run->kit.wall_us);
    if (result == BERTH_STORED) {
        model_copy(&run->model, &run->next);
        run->digests[++run->stored] = digest;
    } else if (result == BERTH_STORE_UNKNOWN) {
        run->has_unknown = true;
        run->unknown = digest;
    }
    return result != BERTH_STORE_UNKNOWN;
}

static uint64_t digest_of_dir(struct run *run)
{
    kit_open(&run->kit);
    uint64_t digest = model_digest_of_store(&run->kit);
    kit_close(&run->kit);
    return digest;
}

static void then_files_hold_what_was_stored(struct run *run)
{
    uint64_t digest = digest_of_dir(run);
    if (run->has_unknown && digest == run->unknown)
        return;
    assert_int_equal(digest, run->digests[run->stored]);
}

/* Kills and power cuts: pictures of the files before every operation of one run. */

struct album {
    struct run *run;
    bool cuts_power;
    struct berth_rng rng;
    struct vfs_image images[IMAGES_MAX];
    size_t stored[IMAGES_MAX];
    size_t count;
};

static void take_picture(void *arg, enum vfs_op op)
{
    (void)op;
    struct album *album = arg;
    BERTH_ASSERT(album->count < IMAGES_MAX);
    faulty_vfs_image(&album->images[album->count], album->cuts_power ? &album->rng : NULL);
    album->stored[album->count++] = album->run->stored;
}

static void then_picture_holds_what_was_stored(struct run *run, const struct vfs_image *image,
                                               size_t stored)
{
    vfs_image_write(image, run->kit.dir);
    uint64_t digest = digest_of_dir(run);
    if (stored < run->stored && digest == run->digests[stored + 1])
        return;
    assert_int_equal(digest, run->digests[stored]);
}

static void check_every_moment(bool cuts_power, uint64_t seed)
{
    struct run *run = run_begin(seed);
    struct album *album = calloc(1, sizeof *album);
    BERTH_ASSERT(album);
    album->run = run;
    album->cuts_power = cuts_power;
    berth_rng_init(&album->rng, seed);
    faulty_vfs_install();
    faulty_vfs_hook(take_picture, album);

    struct berth_error error = { .code = 0 };
    assert_int_equal(run_open(run, &error), 0);
    for (size_t i = 0; i < BATCHES; i++) {
        assert_true(run_batch(run));
        if (i % CHECKPOINT_PER == CHECKPOINT_PER - 1)
            run_tend(run);
        assert_true(i % CHECKPOINT_PER != CHECKPOINT_PER - 1 || wal_pages(run) == 0);
    }
    run_close(run);
    faulty_vfs_remove();

    assert_int_equal(run->stored, BATCHES);
    assert_true(album->count > 80);
    for (size_t i = 0; i < album->count; i++) {
        then_picture_holds_what_was_stored(run, &album->images[i], album->stored[i]);
        vfs_image_fini(&album->images[i]);
    }
    free(album);
}

static void power_cut_at_any_moment_loses_nothing_that_was_stored(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        check_every_moment(true, seed);
}

static void kill_at_any_moment_loses_nothing_that_was_stored(void **state)
{
    (void)state;
    check_every_moment(false, 1);
}

/* Errors. */

/* What a run that met a failure has to leave behind. Returns false when the failure lay beyond its
 * end. */
static bool check_failure(uint32_t op_bits, uint64_t n, enum vfs_fault fault, bool for_ever)
{
    struct run *run = run_begin(5);
    struct berth_error error = { .code = 0 };
    faulty_vfs_install();
    faulty_vfs_fail(op_bits, n, fault, for_ever);

    int rc = run_open(run, &error);
    if (rc < 0)
        assert_true(error.message[0] != '\0');
    for (size_t i = 0; rc == 0 && i < BATCHES && run_batch(run); i++) {
        if (i % CHECKPOINT_PER == CHECKPOINT_PER - 1)
            run_tend(run);
    }
    run_close(run);
    bool has_failed = faulty_vfs_has_failed();
    faulty_vfs_remove();

    then_files_hold_what_was_stored(run);
    return has_failed;
}

static void check_failure_at_every_operation(uint32_t op_bits, enum vfs_fault fault, bool for_ever)
{
    uint64_t n = 1;
    while (check_failure(op_bits, n, fault, for_ever))
        n++;
    assert_true(n > 1);
}

static void failed_write_leaves_whole_batches(void **state)
{
    (void)state;
    check_failure_at_every_operation(1u << VFS_WRITE, VFS_ERROR, false);
}

static void failed_sync_leaves_whole_batches(void **state)
{
    (void)state;
    check_failure_at_every_operation(1u << VFS_SYNC, VFS_ERROR, false);
    check_failure_at_every_operation(1u << VFS_SYNC, VFS_ERROR, true);
}

static void failed_truncation_or_removal_leaves_whole_batches(void **state)
{
    (void)state;
    check_failure_at_every_operation(1u << VFS_TRUNCATE | 1u << VFS_DELETE, VFS_ERROR, true);
}

static void disk_that_dies_leaves_whole_batches(void **state)
{
    (void)state;
    uint32_t all = 1u << VFS_WRITE | 1u << VFS_SYNC | 1u << VFS_TRUNCATE | 1u << VFS_DELETE;
    check_failure_at_every_operation(all, VFS_ERROR, true);
}

static void disk_without_room_leaves_whole_batches(void **state)
{
    (void)state;
    check_failure_at_every_operation(1u << VFS_WRITE, VFS_FULL, false);
    check_failure_at_every_operation(1u << VFS_WRITE, VFS_FULL, true);
}

static void count_operation(void *arg, enum vfs_op op)
{
    (void)op;
    ++*(size_t *)arg;
}

static void store_that_failed_to_sync_writes_nothing_more(void **state)
{
    (void)state;
    struct run *run = run_begin(1);
    struct berth_error error = { .code = 0 };
    faulty_vfs_install();
    assert_int_equal(run_open(run, &error), 0);
    assert_true(run_batch(run));
    faulty_vfs_fail(1u << VFS_SYNC, 1, VFS_ERROR, false);
    while (run_batch(run))
        ;
    assert_true(faulty_vfs_has_failed());

    size_t operations = 0;
    faulty_vfs_hook(count_operation, &operations);
    assert_false(run_batch(run));
    run_tend(run);
    run_close(run);

    assert_int_equal(operations, 0);
    faulty_vfs_remove();
}

static void store_without_room_goes_on_when_there_is_some(void **state)
{
    (void)state;
    struct run *run = run_begin(1);
    struct berth_error error = { .code = 0 };
    faulty_vfs_install();
    assert_int_equal(run_open(run, &error), 0);
    faulty_vfs_fail(1u << VFS_WRITE, 1, VFS_FULL, true);
    for (size_t i = 0; i < 5; i++)
        assert_true(run_batch(run));
    assert_true(faulty_vfs_has_failed());
    faulty_vfs_fail(0, 0, VFS_NO_FAULT, false);

    size_t before = run->stored;
    while (run->stored < BATCHES)
        assert_true(run_batch(run));
    assert_true(before < BATCHES);
    run_close(run);
    faulty_vfs_remove();
    then_files_hold_what_was_stored(run);
}

/* Memory that SQLite is refused. */

static sqlite3_mem_methods real_memory;
static uint64_t memory_countdown; /* 0: off */

static bool is_memory_refused(void)
{
    return memory_countdown > 0 && --memory_countdown == 0;
}

static void *refusing_malloc(int bytes)
{
    return is_memory_refused() ? NULL : real_memory.xMalloc(bytes);
}

static void *refusing_realloc(void *memory, int bytes)
{
    return is_memory_refused() ? NULL : real_memory.xRealloc(memory, bytes);
}

static void memory_install(void)
{
    int rc = sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
    BERTH_ASSERT(rc == SQLITE_OK);
    sqlite3_mem_methods refusing = real_memory;
    refusing.xMalloc = refusing_malloc;
    refusing.xRealloc = refusing_realloc;
    rc = sqlite3_config(SQLITE_CONFIG_MALLOC, &refusing);
    BERTH_ASSERT(rc == SQLITE_OK);
}

static bool check_memory_failure(uint64_t n)
{
    struct run *run = run_begin(9);
    struct berth_error error = { .code = 0 };
    memory_countdown = n;
    int rc = run_open(run, &error);
    for (size_t i = 0; rc == 0 && i < BATCHES && run_batch(run); i++) {
        if (i % CHECKPOINT_PER == CHECKPOINT_PER - 1)
            run_tend(run);
    }
    run_close(run);
    bool has_failed = memory_countdown == 0;
    memory_countdown = 0;
    then_files_hold_what_was_stored(run);
    return has_failed;
}

/* Every allocation of the opening, which has the most kinds, and then a sample. */
static void sqlite_without_memory_leaves_whole_batches(void **state)
{
    (void)state;
    uint64_t n = 1;
    while (check_memory_failure(n))
        n += n < 60 ? 1 : 37;
    assert_true(n > 500);
}

int main(void)
{
    memory_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cut_at_any_moment_loses_nothing_that_was_stored),
        cmocka_unit_test(kill_at_any_moment_loses_nothing_that_was_stored),
        cmocka_unit_test(failed_write_leaves_whole_batches),
        cmocka_unit_test(failed_sync_leaves_whole_batches),
        cmocka_unit_test(failed_truncation_or_removal_leaves_whole_batches),
        cmocka_unit_test(disk_that_dies_leaves_whole_batches),
        cmocka_unit_test(disk_without_room_leaves_whole_batches),
        cmocka_unit_test(store_that_failed_to_sync_writes_nothing_more),
        cmocka_unit_test(store_without_room_goes_on_when_there_is_some),
        cmocka_unit_test(sqlite_without_memory_leaves_whole_batches),
    };
    return berth_test_main(tests, make_the_run, free_the_run);
}
