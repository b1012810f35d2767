/* SPDX-License-Identifier: MIT */
/* The data directory: who may have it, where it may lie, what is made in it. */
#include "support/berthtest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "broker/store/store_sqlite.h"
#include "store_kit.h"
#include "support/tempdir.h"

#define NOBODY 65534

static int open_dir(const char *dir, struct berth_store **ret_store, struct berth_error *err)
{
    struct berth_store_opts opts = { .dir = dir, .lineage = 1, .wall_us = 1 };
    struct berth_store_info info;
    return berth_store_open("sqlite", &opts, ret_store, &info, err);
}

/* Another process that opens a directory when it is told to. It is forked before this one opens
 * anything: a store has a thread, and who forks beside a thread may get a lock of its allocator
 * that nobody gives back. */
struct elsewhere {
    pid_t pid;
    int go_fd;
};

/* As `uid`; 0: whoever we are. */
static struct elsewhere fork_elsewhere(const char *dir, uid_t uid, int wanted, const char *text)
{
    int pipe_fds[2];
    BERTH_ASSERT(pipe(pipe_fds) == 0);
    pid_t child = fork();
    BERTH_ASSERT(child >= 0);
    if (child == 0) {
        char word;
        (void)close(pipe_fds[1]);
        if (read(pipe_fds[0], &word, 1) != 0 || (uid != 0 && setuid(uid) < 0))
            _exit(3);
        struct berth_store *store = NULL;
        struct berth_error error = { .code = 0 };
        int rc = open_dir(dir, &store, &error);
        fprintf(stderr, "%s\n", error.message);
        _exit(rc != wanted ? 1 : strstr(error.message, text) ? 0 : 2);
    }
    (void)close(pipe_fds[0]);
    return (struct elsewhere){ .pid = child, .go_fd = pipe_fds[1] };
}

/* Tells it. Whether it was refused with the error that was wanted, which named the text. */
static bool is_refused_by(struct elsewhere elsewhere)
{
    int status = 0;
    (void)close(elsewhere.go_fd);
    BERTH_ASSERT(waitpid(elsewhere.pid, &status, 0) == elsewhere.pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int mode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0 ? -errno : (int)(st.st_mode & 0777);
}

static void directory_and_files_are_made_for_the_owner_alone(void **state)
{
    char *root = *state;
    BERTH_AUTO_MEM char *parent = tempdir_path(root, "state");
    BERTH_AUTO_MEM char *dir = tempdir_path(parent, "berth");
    BERTH_AUTO_MEM char *database = tempdir_path(dir, "berth.db");
    BERTH_AUTO_MEM char *log = tempdir_path(dir, "berth.db-wal");
    BERTH_AUTO_MEM char *lock = tempdir_path(dir, "lock");
    mode_t before = umask(0);
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };

    assert_rc(open_dir(dir, &store, &error), 0);

    (void)umask(before);
    assert_int_equal(mode_of(parent), 0700);
    assert_int_equal(mode_of(dir), 0700);
    assert_int_equal(mode_of(database), 0600);
    assert_int_equal(mode_of(log), 0600);
    assert_int_equal(mode_of(lock), 0600);
    berth_store_close(store);
}

static void trailing_slash_and_relative_path_are_fine(void **state)
{
    char *root = *state;
    BERTH_AUTO_MEM char *dir = tempdir_path(root, "a//b/");
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };
    assert_rc(open_dir(dir, &store, &error), 0);
    berth_store_close(store);

    BERTH_AUTO_FD int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(chdir(root), 0);
    int rc = open_dir("c/d", &store, &error);
    int back = fchdir(here);
    assert_int_equal(back, 0);
    assert_rc(rc, 0);
    berth_store_close(store);
}

static void second_opener_is_refused_with_the_pid_of_the_first(void **state)
{
    char *root = *state;
    struct berth_store *store = NULL, *second = NULL;
    struct berth_error error = { .code = 0 };
    char pid[32];
    (void)snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    struct elsewhere elsewhere = fork_elsewhere(root, 0, -EBUSY, pid);
    assert_rc(open_dir(root, &store, &error), 0);

    assert_true(is_refused_by(elsewhere));
    assert_rc(open_dir(root, &second, &error), -EBUSY);
    assert_non_null(strstr(error.message, pid));

    berth_store_close(store);
    assert_rc(open_dir(root, &store, &error), 0);
    berth_store_close(store);
}

static void removed_lock_file_does_not_let_a_second_one_in(void **state)
{
    char *root = *state;
    BERTH_AUTO_MEM char *lock = tempdir_path(root, "lock");
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };
    struct elsewhere elsewhere = fork_elsewhere(root, 0, -EBUSY, "another program has");
    assert_rc(open_dir(root, &store, &error), 0);
    assert_int_equal(unlink(lock), 0);

    assert_true(is_refused_by(elsewhere));

    berth_store_close(store);
}

static void lock_left_by_a_dead_process_is_no_lock(void **state)
{
    char *root = *state;
    BERTH_AUTO_MEM char *lock = tempdir_path(root, "lock");
    tempdir_write(lock, "1\n");
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };
    assert_rc(open_dir(root, &store, &error), 0);
    berth_store_close(store);
}

static void directory_under_a_file_is_refused_by_its_path(void **state)
{
    char *root = *state;
    BERTH_AUTO_MEM char *file = tempdir_path(root, "file");
    BERTH_AUTO_MEM char *dir = tempdir_path(file, "data");
    tempdir_write(file, "x");
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };

    assert_rc(open_dir(dir, &store, &error), -ENOTDIR);
    assert_non_null(strstr(error.message, dir));
    assert_rc(open_dir(file, &store, &error), -ENOTDIR);
    assert_non_null(strstr(error.message, file));
    assert_rc(open_dir("", &store, &error), BERTH_ECONF);
}

/* Root may write anywhere, so the opener is somebody else then. */
static void directory_that_may_not_be_written_is_refused_by_its_path(void **state)
{
    char *root = *state;
    uid_t uid = geteuid() == 0 ? NOBODY : 0;
    assert_int_equal(chmod(root, 0555), 0);
    BERTH_AUTO_MEM char *inside = tempdir_path(root, "data");

    assert_true(is_refused_by(fork_elsewhere(root, uid, -EACCES, root)));
    assert_true(is_refused_by(fork_elsewhere(inside, uid, -EACCES, inside)));

    assert_int_equal(chmod(root, 0700), 0);
}

static void folder_in_place_of_the_database_is_refused(void **state)
{
    char *root = *state;
    BERTH_AUTO_MEM char *path = tempdir_path(root, "berth.db");
    assert_int_equal(mkdir(path, 0700), 0);
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };
    assert_rc(open_dir(root, &store, &error), -EISDIR);
    assert_non_null(strstr(error.message, "berth.db"));
}

static void pipe_in_place_of_the_database_is_refused(void **state)
{
    char *root = *state;
    BERTH_AUTO_MEM char *path = tempdir_path(root, "berth.db");
    assert_int_equal(mkfifo(path, 0600), 0);
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };
    assert_rc(open_dir(root, &store, &error), BERTH_ESTORE);
    assert_non_null(strstr(error.message, "regular file"));
}

static void network_file_systems_are_refused_and_local_ones_are_not(void **state)
{
    (void)state;
    assert_string_equal(sqlite_dir_refused_fs(0x6969), "NFS");
    assert_string_equal(sqlite_dir_refused_fs((long)0xff534d42), "CIFS");
    assert_string_equal(sqlite_dir_refused_fs((int32_t)0xff534d42), "CIFS"); /* f_type is signed */
    assert_string_equal(sqlite_dir_refused_fs(0x01021997), "9P");
    assert_non_null(sqlite_dir_refused_fs(0x65735546));
    static const long local[] = {
        0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1
    };
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        assert_null(sqlite_dir_refused_fs(local[i]));
}

static int setup(void **state)
{
    *state = tempdir_new();
    return 0;
}

static int teardown(void **state)
{
    tempdir_free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(directory_and_files_are_made_for_the_owner_alone),
        TEST(trailing_slash_and_relative_path_are_fine),
        TEST(second_opener_is_refused_with_the_pid_of_the_first),
        TEST(removed_lock_file_does_not_let_a_second_one_in),
        TEST(lock_left_by_a_dead_process_is_no_lock),
        TEST(directory_under_a_file_is_refused_by_its_path),
        TEST(directory_that_may_not_be_written_is_refused_by_its_path),
        TEST(folder_in_place_of_the_database_is_refused),
        TEST(pipe_in_place_of_the_database_is_refused),
        cmocka_unit_test(network_file_systems_are_refused_and_local_ones_are_not),
    };
    return berth_test_main(tests, NULL, NULL);
}
