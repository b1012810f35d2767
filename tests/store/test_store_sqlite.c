/* SPDX-License-Identifier: MIT */
/* What only the SQLite backend has: its file and the files of others, damage, processes that are
 * killed. */
#include "sqlite_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "store_model.h"
#include "store_workload.h"
#include "support/await.h"

#define FILE_BYTES_MAX (64u << 20)
#define DAMAGE_SEEDS   60
#define KILLS          25
#define WAIT_MS        60000

static void read_file(const char *dir, struct berth_buf *buf)
{
    BERTH_AUTO_MEM char *path = tempdir_path(dir, STORE_SQLITE_FILE);
    BERTH_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    BERTH_ASSERT(fd >= 0);
    berth_buf_clear(buf);
    BERTH_ASSERT(berth_buf_fill(buf, fd) == 0);
}

static void write_file(const char *dir, const void *bytes, size_t count)
{
    BERTH_AUTO_MEM char *path = tempdir_path(dir, STORE_SQLITE_FILE);
    BERTH_AUTO_MEM char *log = tempdir_path(dir, STORE_SQLITE_FILE "-wal");
    (void)unlink(log);
    BERTH_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    BERTH_ASSERT(fd >= 0);
    BERTH_ASSERT(write(fd, bytes, count) == (ssize_t)count);
}

/* It is refused with `wanted`, its sentence has `text`, and not a byte of it is changed. */
static void then_file_is_refused_and_left_alone(const struct kit *kit, int wanted, const char *text)
{
    BERTH_AUTO(berth_buf) before = berth_buf_new(FILE_BYTES_MAX);
    BERTH_AUTO(berth_buf) after = berth_buf_new(FILE_BYTES_MAX);
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };
    read_file(kit->dir, before);

    assert_rc(try_open(kit, &store, &error), wanted);

    assert_non_null(strstr(error.message, text));
    assert_non_null(strstr(error.message, STORE_SQLITE_FILE));
    read_file(kit->dir, after);
    assert_int_equal(before->bytes, after->bytes);
    assert_memory_equal(before->data, after->data, before->bytes);
}

static void database_of_a_newer_version_is_refused_and_left_alone(void **state)
{
    struct kit *kit = *state;
    given_closed_store(kit);
    run_sql(kit->dir, "PRAGMA user_version = 1000");
    then_file_is_refused_and_left_alone(kit, BERTH_EVERSION, "version 1000");
    then_file_is_refused_and_left_alone(kit, BERTH_EVERSION, "run the newer program");
}

static void database_of_another_program_is_refused_and_left_alone(void **state)
{
    struct kit *kit = *state;
    run_sql(kit->dir, "CREATE TABLE recipe (name TEXT); INSERT INTO recipe VALUES ('soup')");
    then_file_is_refused_and_left_alone(kit, BERTH_ESTORE, "another program");
    run_sql(kit->dir, "PRAGMA application_id = 1234");
    then_file_is_refused_and_left_alone(kit, BERTH_ESTORE, "another program");
}

static void file_that_is_no_database_is_refused_and_left_alone(void **state)
{
    struct kit *kit = *state;
    struct berth_slice garbage = kit_bytes(kit, 20000, 99);
    write_file(kit->dir, garbage.data, garbage.bytes);
    then_file_is_refused_and_left_alone(kit, BERTH_ESTORE, "is no database");
    write_file(kit->dir, "hello\n", 6);
    then_file_is_refused_and_left_alone(kit, BERTH_ESTORE, "is no database");
}

static void empty_file_becomes_a_database(void **state)
{
    struct kit *kit = *state;
    write_file(kit->dir, "", 0);
    kit_open(kit);
    assert_int_equal(kit->info.epoch, 1);
}

static void database_without_a_table_is_refused(void **state)
{
    struct kit *kit = *state;
    given_closed_store(kit);
    run_sql(kit->dir, "DROP TABLE session");
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };
    assert_rc(try_open(kit, &store, &error), BERTH_ESTORE);
    assert_non_null(strstr(error.message, "session"));
}

static void last_epoch_is_refused_by_the_number(void **state)
{
    struct kit *kit = *state;
    given_closed_store(kit);
    run_sql(kit->dir, "UPDATE meta SET epoch = 16777214");
    kit_open(kit);
    assert_int_equal(kit->info.epoch, 16777215);
    kit_close(kit);
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };
    assert_rc(try_open(kit, &store, &error), BERTH_ESTORE);
    assert_non_null(strstr(error.message, "16777215"));
}

static void record_about_a_job_that_is_not_there_ends_the_writing(void **state)
{
    struct kit *kit = *state;
    kit_open(kit);
    given_jobs(kit, 1, 3, 10);
    struct berth_batch *batch = kit_batch(kit);
    struct berth_record record = kit_job(4, 1, kit_text("a"));
    kit_add(batch, &record);
    record = kit_end(99, 1, BERTH_COMPLETED, kit->wall_us);
    kit_add(batch, &record);
    struct berth_error error = { .code = 0 };

    assert_int_equal(kit_write(kit, batch, &error), BERTH_STORE_UNKNOWN);
    assert_int_equal(error.code, BERTH_ESTORE);
    assert_non_null(strstr(error.message, "record 1 "));
    assert_int_equal(kit_write(kit, kit_batch(kit), &error), BERTH_STORE_UNKNOWN);

    kit_reopen(kit);
    struct berth_read list = { .type = BERTH_READ_LIST, .count_max = 10 };
    assert_int_equal(kit_read(kit, &list).job_count, 3);
}

/* Whatever happens to a damaged file: an error, or an answer; nothing else. */
static void use_damaged(struct kit *kit)
{
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };
    if (try_open(kit, &store, &error) < 0) {
        assert_true(error.message[0] != '\0');
        return;
    }
    (void)load_all(store, &error);
    uint64_t ids[2] = { 7, 130 };
    struct berth_read reads[3] = {
        { .type = BERTH_READ_JOBS, .ids = ids, .id_count = 2 },
        { .type = BERTH_READ_LIST, .count_max = 1000 },
        { .type = BERTH_READ_LIST, .count_max = 1000, .is_newest_first = true },
    };
    for (size_t i = 0; i < 3; i++)
        assert_rc(berth_store_read(store, &reads[i]), 0);
    for (size_t i = 0; i < 3; i++) {
        struct berth_completion completion;
        assert_true(await_readable(berth_store_fd(store), WAIT_MS));
        assert_rc(berth_store_reap(store, &completion), 1);
    }
    berth_store_close(store);
}

static void damaged_file_gives_errors_and_no_crash(void **state)
{
    struct kit *kit = *state;
    kit_open(kit);
    struct model *model = calloc(1, sizeof *model);
    struct berth_rng rng;
    berth_rng_init(&rng, 4);
    for (size_t i = 0; i < 20; i++)
        kit_store(kit, workload_batch(kit, model, &rng, 20));
    kit_close(kit);
    free(model);
    BERTH_AUTO(berth_buf) sound = berth_buf_new(FILE_BYTES_MAX);
    BERTH_AUTO(berth_buf) damaged = berth_buf_new(FILE_BYTES_MAX);
    read_file(kit->dir, sound);
    for (uint64_t seed = 0; seed < DAMAGE_SEEDS; seed++) {
        berth_buf_clear(damaged);
        assert_rc(berth_buf_append(damaged, sound->data, sound->bytes), 0);
        for (uint64_t count = 1 + seed % 20; count > 0; count--)
            damaged->data[berth_rng_below(&rng, damaged->bytes)] = (char)berth_rng_next(&rng);
        size_t bytes =
            seed % 10 == 9 ? (size_t)berth_rng_below(&rng, damaged->bytes) : damaged->bytes;
        write_file(kit->dir, damaged->data, bytes);
        use_damaged(kit);
    }
}

/* Zeroes a page in the middle, which an open alone does not look at. */
static void damage_a_page(const char *dir)
{
    static const char zeroes[4096];
    BERTH_AUTO_MEM char *path = tempdir_path(dir, STORE_SQLITE_FILE);
    BERTH_AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    struct stat st;
    BERTH_ASSERT(fd >= 0);
    BERTH_ASSERT(fstat(fd, &st) == 0);
    BERTH_ASSERT(pwrite(fd, zeroes, sizeof zeroes, st.st_size / 2 / 8192 * 8192) == sizeof zeroes);
}

static void file_is_checked_after_an_unclean_stop(void **state)
{
    struct kit *kit = *state;
    given_closed_store(kit);
    run_sql(kit->dir, "UPDATE meta SET is_clean = 0");
    damage_a_page(kit->dir);
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };
    assert_rc(try_open(kit, &store, &error), BERTH_ESTORE);
    assert_non_null(strstr(error.message, "damaged"));
    assert_non_null(strstr(error.message, ".recover"));
}

static bool is_log_copied(void *arg)
{
    struct berth_store_stats stats;
    berth_store_stats(arg, &stats);
    return stats.wal_bytes == 0 && stats.file_bytes > 0;
}

static void log_is_copied_back_when_the_store_is_idle(void **state)
{
    struct kit *kit = *state;
    kit_open(kit);
    given_jobs(kit, 1, 100, 10000);
    assert_true(await(is_log_copied, kit->store, WAIT_MS));
}

static void log_stays_small_while_the_store_is_busy(void **state)
{
    struct kit *kit = *state;
    kit_open(kit);
    BERTH_AUTO_MEM char *path = tempdir_path(kit->dir, STORE_SQLITE_FILE "-wal");
    uint64_t largest_bytes = 0;
    for (uint64_t i = 0; i < 60; i++) {
        given_jobs(kit, 1 + i * 100, 100 + i * 100, 5000);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        if ((uint64_t)st.st_size > largest_bytes)
            largest_bytes = (uint64_t)st.st_size;
    }
    assert_in_range(largest_bytes, 1u << 20, 8u << 20);
}

/* kill -9 in the middle of batches, again and again on the same data. */

struct diary {
    uint64_t submitted, stored; /* batches of this life */
};

/* Batch n brings jobs n * 10 + 1 .. n * 10 + 10 and ends the first five of batch n - 1. */
static struct berth_batch *diary_batch(struct kit *kit, uint64_t n, bool has_before)
{
    struct berth_batch *batch = kit_batch(kit);
    for (uint64_t i = 1; i <= 10; i++) {
        struct berth_record job = kit_job(n * 10 + i, 1, kit_bytes(kit, 500, n));
        kit_add(batch, &job);
    }
    for (uint64_t i = 1; has_before && i <= 5; i++) {
        struct berth_record end = kit_end((n - 1) * 10 + i, 1, BERTH_COMPLETED, kit->wall_us);
        kit_add(batch, &end);
    }
    return batch;
}

__attribute__((noreturn)) static void live_until_killed(struct kit *kit, struct diary *diary,
                                                        uint64_t first)
{
    kit_open(kit);
    for (uint64_t n = first;; n++) {
        __atomic_store_n(&diary->submitted, n + 1, __ATOMIC_SEQ_CST);
        kit_store(kit, diary_batch(kit, n, n > 0));
        __atomic_store_n(&diary->stored, n + 1, __ATOMIC_SEQ_CST);
    }
}

/* How many whole batches the store has; asserts that there is no part of one. */
static uint64_t count_batches(struct kit *kit)
{
    struct berth_read list = { .type = BERTH_READ_LIST, .count_max = BERTH_STORE_READ_JOBS_MAX };
    uint64_t jobs = 0, live = 0;
    struct berth_completion page;
    do {
        page = kit_read(kit, &list);
        for (size_t i = 0; i < page.job_count; i++) {
            assert_int_equal(page.jobs[i].id, ++jobs);
            live += page.jobs[i].state == BERTH_READY;
        }
        list.after = page.next;
    } while (page.has_more);
    assert_int_equal(jobs % 10, 0);
    assert_int_equal(live, jobs / 2 + (jobs ? 5 : 0));
    return jobs / 10;
}

static bool has_stored(void *arg)
{
    struct diary *diary = arg;
    return __atomic_load_n(&diary->stored, __ATOMIC_SEQ_CST) > 0;
}

static void killed_process_leaves_every_stored_batch_and_no_part(void **state)
{
    struct kit *kit = *state;
    struct diary *diary =
        mmap(NULL, sizeof *diary, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(diary, MAP_FAILED);
    struct berth_rng rng;
    berth_rng_init(&rng, 11);
    uint64_t before = 0;
    for (size_t i = 0; i < KILLS; i++) {
        *diary = (struct diary){ .stored = 0 };
        pid_t child = fork();
        BERTH_ASSERT(child >= 0);
        if (child == 0)
            live_until_killed(kit, diary, before);
        assert_true(await(has_stored, diary, WAIT_MS));
        int64_t end_ns = berth_clock_monotonic_ns() + (int64_t)berth_rng_below(&rng, 2000000);
        while (berth_clock_monotonic_ns() < end_ns)
            ;
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);

        kit_open(kit);
        assert_true(kit->info.epoch >= 2 * (i + 1));
        uint64_t batches = count_batches(kit);
        assert_true(batches >= diary->stored);
        assert_true(batches <= diary->submitted);
        kit_close(kit);
        before = batches;
    }
    (void)munmap(diary, sizeof *diary);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sqlite_setup, sqlite_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(database_of_a_newer_version_is_refused_and_left_alone),
        TEST(database_of_another_program_is_refused_and_left_alone),
        TEST(file_that_is_no_database_is_refused_and_left_alone),
        TEST(empty_file_becomes_a_database),
        TEST(database_without_a_table_is_refused),
        TEST(last_epoch_is_refused_by_the_number),
        TEST(record_about_a_job_that_is_not_there_ends_the_writing),
        TEST(damaged_file_gives_errors_and_no_crash),
        TEST(file_is_checked_after_an_unclean_stop),
        TEST(log_is_copied_back_when_the_store_is_idle),
        TEST(log_stays_small_while_the_store_is_busy),
        TEST(killed_process_leaves_every_stored_batch_and_no_part),
    };
    return berth_test_main(tests, NULL, NULL);
}
