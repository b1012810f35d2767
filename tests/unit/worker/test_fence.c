/* SPDX-License-Identifier: MIT
 *
 * The fence page: what the child writes is what the keeper reads, alive or dead.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/fence.h"

#define K_MS 8500

static const struct fence_birth birth = {
    .nonce = "0123456789abcde", .child = 3, .epoch_seen = 7, .lineage_seen = 70
};

struct fixture {
    struct fence *keeper; /* the keeper's view */
    struct fence *child;  /* the child's, opened from a copy of the descriptor */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_ok(fence_new(&birth, &f->keeper, NULL));
    assert_ok(fence_open(dup(fence_fd(f->keeper)), &f->child, NULL));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    /* In a real child the event descriptor is its own: here both views have the same one. */
    int event_fd = dup(fence_event_fd(f->keeper));
    fence_free(f->keeper);
    if (f->child) {
        assert_int_equal(dup2(event_fd, fence_event_fd(f->child)), fence_event_fd(f->child));
        fence_free(f->child);
    }
    (void)close(event_fd);
    free(f);
    return 0;
}

static bool is_event_set(const struct fence *fence)
{
    struct pollfd fd = { .fd = fence_event_fd(fence), .events = POLLIN };
    return poll(&fd, 1, 0) == 1;
}

static void the_child_learns_who_it_is(void **state)
{
    struct fixture *f = *state;
    assert_memory_equal(fence_birth(f->child), &birth, sizeof birth);
}

static void a_fresh_page_has_no_session_and_the_epoch_of_the_birth(void **state)
{
    struct fixture *f = *state;
    struct fence_state said;

    fence_read(f->keeper, &said);

    assert_int_equal(said.session, 0);
    assert_int_equal(said.lease_end_ms, 0);
    assert_int_equal(said.epoch_seen, 7);
    assert_int_equal(said.lineage_seen, 70);
    assert_false(is_event_set(f->keeper));
}

static void a_session_wakes_the_keeper_and_reads_as_a_whole(void **state)
{
    struct fixture *f = *state;
    struct fence_state said;

    fence_set_session(f->child, 900, 9, 90, K_MS);
    fence_set_lease_end(f->child, 123456);

    assert_true(is_event_set(f->keeper));
    fence_event_clear(f->keeper);
    assert_false(is_event_set(f->keeper));
    fence_read(f->keeper, &said);
    assert_int_equal(said.session, 900);
    assert_int_equal(said.epoch, 9);
    assert_int_equal(said.lineage, 90);
    assert_int_equal(said.worker_lease_ms, K_MS);
    assert_int_equal(said.lease_end_ms, 123456);
    assert_int_equal(said.epoch_seen, 9);
    assert_int_equal(said.lineage_seen, 90);
}

static void the_epoch_seen_and_the_lease_end_never_go_back(void **state)
{
    struct fixture *f = *state;
    struct fence_state said;
    fence_set_epoch_seen(f->child, 12, 120);
    fence_set_lease_end(f->child, 5000);

    fence_set_epoch_seen(f->child, 11, 110);
    fence_set_session(f->child, 900, 9, 90, K_MS);
    fence_set_lease_end(f->child, 4999);

    fence_read(f->keeper, &said);
    assert_int_equal(said.epoch, 9);
    assert_int_equal(said.epoch_seen, 12);
    assert_int_equal(said.lineage_seen, 120);
    assert_int_equal(said.lease_end_ms, 5000);
}

static void attempts_are_listed_from_start_to_end(void **state)
{
    struct fixture *f = *state;
    struct fence_attempt attempts[4];
    int first = fence_attempt_add(f->child, 11, 1, 1);
    int second = fence_attempt_add(f->child, 22, 2, 1);
    int third = fence_attempt_add(f->child, 33, 3, 5);
    assert_true(first >= 0 && second >= 0 && third >= 0);

    fence_attempt_remove(f->child, second);

    assert_int_equal(fence_attempts(f->keeper, attempts, 4), 2);
    assert_int_equal(attempts[0].attempt, 11);
    assert_int_equal(attempts[0].job, 1);
    assert_int_equal(attempts[1].attempt, 33);
    assert_int_equal(attempts[1].job, 3);
    assert_int_equal(attempts[1].number, 5);
    assert_int_equal(fence_attempts(f->keeper, attempts, 1), 1);
    assert_int_equal(fence_attempt_add(f->child, 44, 4, 1), second);
}

static void the_first_culprit_that_is_named_is_the_one(void **state)
{
    struct fixture *f = *state;
    assert_true(fence_culprit(f->keeper) == 0);

    fence_set_culprit(f->child, 77);
    fence_set_culprit(f->child, 78);

    assert_true(fence_culprit(f->keeper) == 77);
}

static void processes_for_suspects_add_up_and_wake_the_keeper(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fence_alone_wanted(f->keeper), 0);
    assert_false(is_event_set(f->keeper));

    fence_start_alone(f->child, 2);
    assert_true(is_event_set(f->keeper));
    fence_event_clear(f->keeper);
    fence_start_alone(f->child, 1);

    assert_true(is_event_set(f->keeper));
    assert_int_equal(fence_alone_wanted(f->keeper), 3);
}

static void a_full_table_refuses_and_a_freed_place_is_found(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < FENCE_ATTEMPTS_MAX; i++)
        assert_int_equal(fence_attempt_add(f->child, i + 1, i, 1), i);
    assert_rc(fence_attempt_add(f->child, 1000000, 1, 1), -ENOSPC);

    fence_attempt_remove(f->child, 40000);
    fence_attempt_remove(f->child, 200);

    assert_int_equal(fence_attempt_add(f->child, 1000001, 1, 1), 200);
    assert_int_equal(fence_attempt_add(f->child, 1000002, 1, 1), 40000);
    assert_rc(fence_attempt_add(f->child, 1000003, 1, 1), -ENOSPC);
}

#define THREADS    4
#define LISTED_MAX 8
#define ROUNDS     20000

static void *churn(void *arg)
{
    struct fence *fence = arg;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        int place = fence_attempt_add(fence, i, i + 7, 1);
        if (place < 0)
            return fence;
        fence_attempt_remove(fence, place);
    }
    return fence_attempt_add(fence, 1, 8, 1) < 0 ? fence : NULL;
}

static void threads_do_not_take_each_others_places(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[THREADS];
    struct fence_attempt attempts[LISTED_MAX];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, f->child), 0);

    /* A look at it meanwhile finds at most what there can be. */
    for (int i = 0; i < ROUNDS; i++) {
        size_t count = fence_attempts(f->keeper, attempts, LISTED_MAX);
        assert_in_range(count, 0, LISTED_MAX);
    }

    for (int i = 0; i < THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(fence_attempts(f->keeper, attempts, LISTED_MAX), THREADS);
}

static void *renew(void *arg)
{
    struct fence *fence = arg;
    for (uint32_t i = 1; i <= ROUNDS; i++)
        fence_set_session(fence, i, i, i, 1 + i % K_MS);
    return NULL;
}

static void the_keeper_never_reads_half_of_a_record(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    struct fence_state said;
    assert_int_equal(pthread_create(&thread, NULL, renew, f->child), 0);

    do {
        fence_read(f->keeper, &said);
        assert_int_equal(said.epoch, said.session);
        assert_int_equal(said.lineage, said.session);
        assert_true(!said.session || said.worker_lease_ms == 1 + (int64_t)(said.session % K_MS));
    } while (said.session < ROUNDS);

    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* What a child does that was started by fork and exec: here the test program itself. */
static int child_main(int fd)
{
    struct fence *fence;
    if (fence_open(fd, &fence, NULL) < 0 || fence_birth(fence)->child != birth.child)
        return 1;
    if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC) || !(fcntl(fence_event_fd(fence), F_GETFD) & FD_CLOEXEC))
        return 2;
    fence_set_session(fence, 4242, 9, 90, K_MS);
    (void)fence_attempt_add(fence, 555, 5, 1);
    return raise(SIGKILL);
}

static void a_page_outlives_the_child_that_was_killed(void **state)
{
    struct fixture *f = *state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char fd[16];
        (void)snprintf(fd, sizeof fd, "%d", fence_fd(f->keeper));
        (void)fence_inherit(f->keeper);
        (void)execl("/proc/self/exe", "test_fence", "--child", fd, (char *)NULL);
        _exit(3);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));

    struct fence_state said;
    struct fence_attempt attempts[2];
    fence_read(f->keeper, &said);
    assert_int_equal(said.session, 4242);
    assert_true(is_event_set(f->keeper));
    assert_int_equal(fence_attempts(f->keeper, attempts, 2), 1);
    assert_int_equal(attempts[0].attempt, 555);
    assert_int_equal(attempts[0].job, 5);
}

static void the_child_cannot_cut_the_page_short(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ftruncate(fence_fd(f->child), 0), -1);
    assert_int_equal(errno, EPERM);
}

static void what_is_no_fence_is_refused_with_its_number(void **state)
{
    (void)state;
    struct fence *fence = NULL;
    struct berth_error err;

    assert_rc(fence_open(STDIN_FILENO, &fence, &err), BERTH_EUSAGE);
    assert_string_equal(err.message, "descriptor 0 is no fence of a keeper");
    assert_rc(fence_open(12345, &fence, &err), BERTH_EUSAGE);
    assert_null(fence);
}

static void a_page_of_another_layout_is_refused(void **state)
{
    struct fixture *f = *state;
    struct fence *fence = NULL;
    struct berth_error err;
    off_t bytes = lseek(fence_fd(f->keeper), 0, SEEK_END);
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, bytes), 0);

    assert_rc(fence_open(fd, &fence, &err), BERTH_EUSAGE);

    assert_non_null(strstr(err.message, "no fence of this version"));
    assert_int_equal(close(fd), 0);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--child") == 0)
        return child_main((int)strtol(argv[2], NULL, 10));
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_child_learns_who_it_is),
        TEST(a_fresh_page_has_no_session_and_the_epoch_of_the_birth),
        TEST(a_session_wakes_the_keeper_and_reads_as_a_whole),
        TEST(the_epoch_seen_and_the_lease_end_never_go_back),
        TEST(attempts_are_listed_from_start_to_end),
        TEST(the_first_culprit_that_is_named_is_the_one),
        TEST(processes_for_suspects_add_up_and_wake_the_keeper),
        TEST(a_full_table_refuses_and_a_freed_place_is_found),
        TEST(threads_do_not_take_each_others_places),
        TEST(the_keeper_never_reads_half_of_a_record),
        TEST(a_page_outlives_the_child_that_was_killed),
        TEST(the_child_cannot_cut_the_page_short),
        TEST(what_is_no_fence_is_refused_with_its_number),
        TEST(a_page_of_another_layout_is_refused),
    };
    return berth_test_main(tests, NULL, NULL);
}
