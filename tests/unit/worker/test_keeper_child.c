/* SPDX-License-Identifier: MIT
 *
 * What the keeper believes of a child's lease, and how a child ends that could not begin.
 */
#include "support/berthtest.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "worker/keeper.h"
#include "worker/keeper_child.h"

#define K_MS INT64_C(8500)

struct fixture {
    struct keeper_child child;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct fence_birth birth = { .child = 1 };
    assert_non_null(f);
    assert_ok(fence_new(&birth, &f->child.fence, NULL));
    f->child.lease_end_ms = INT64_MAX;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    keeper_child_fini(&f->child);
    free(f);
    return 0;
}

static int64_t now_ms(void)
{
    return berth_clock_boottime_ns() / 1000000;
}

static void before_a_session_there_is_no_end(void **state)
{
    struct fixture *f = *state;
    fence_set_lease_end(f->child.fence, now_ms() + 5);
    assert_true(keeper_child_lease_end_ms(&f->child) == INT64_MAX);
}

static void the_end_is_what_the_child_says_and_moves_on_with_it(void **state)
{
    struct fixture *f = *state;
    int64_t begun_ms = now_ms();
    fence_set_session(f->child.fence, 77, 1, 1, K_MS);
    fence_set_lease_end(f->child.fence, begun_ms + 100);
    assert_int_equal(keeper_child_lease_end_ms(&f->child), begun_ms + 100);
    assert_int_equal(f->child.session, 77);

    fence_set_lease_end(f->child.fence, begun_ms + K_MS);

    assert_int_equal(keeper_child_lease_end_ms(&f->child), begun_ms + K_MS);
    assert_false(f->child.is_lease_refused);
}

static void an_end_that_was_never_set_is_a_lease_from_the_first_look(void **state)
{
    struct fixture *f = *state;
    int64_t before_ms = now_ms();
    fence_set_session(f->child.fence, 77, 1, 1, K_MS);

    int64_t end_ms = keeper_child_lease_end_ms(&f->child);

    assert_in_range(end_ms, before_ms + K_MS, now_ms() + K_MS);
    assert_int_equal(keeper_child_lease_end_ms(&f->child), end_ms);
}

static void an_end_beyond_a_whole_lease_is_refused_and_the_last_one_holds(void **state)
{
    struct fixture *f = *state;
    int64_t begun_ms = now_ms();
    fence_set_session(f->child.fence, 77, 1, 1, K_MS);
    fence_set_lease_end(f->child.fence, begun_ms + 100);
    (void)keeper_child_lease_end_ms(&f->child);

    fence_set_lease_end(f->child.fence, begun_ms + 2 * K_MS);

    assert_int_equal(keeper_child_lease_end_ms(&f->child), begun_ms + 100);
    assert_true(f->child.is_lease_refused);
}

static void the_first_session_and_length_are_the_ones_that_count(void **state)
{
    struct fixture *f = *state;
    int64_t begun_ms = now_ms();
    fence_set_session(f->child.fence, 77, 1, 1, K_MS);
    fence_set_lease_end(f->child.fence, begun_ms + 100);
    (void)keeper_child_lease_end_ms(&f->child);

    fence_set_session(f->child.fence, 78, 1, 1, 10 * K_MS);
    fence_set_lease_end(f->child.fence, begun_ms + 5 * K_MS);

    assert_int_equal(keeper_child_lease_end_ms(&f->child), begun_ms + 100);
    assert_int_equal(f->child.session, 77);
}

static void a_program_that_is_not_there_is_a_child_that_refuses(void **state)
{
    (void)state;
    char name[] = "berth-worker";
    char *const argv[] = { name, NULL };
    sigset_t mask;
    struct keeper_child child;
    (void)sigemptyset(&mask);
    struct keeper_child_opts opts = {
        .exe = "/no/such/program", .argc = 1, .argv = argv, .mask = &mask, .birth = { .child = 1 }
    };

    assert_ok(keeper_child_start(&opts, &child, NULL));

    int status;
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), KEEPER_CHILD_REFUSED);
    keeper_child_fini(&child);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(before_a_session_there_is_no_end),
        TEST(the_end_is_what_the_child_says_and_moves_on_with_it),
        TEST(an_end_that_was_never_set_is_a_lease_from_the_first_look),
        TEST(an_end_beyond_a_whole_lease_is_refused_and_the_last_one_holds),
        TEST(the_first_session_and_length_are_the_ones_that_count),
        TEST(a_program_that_is_not_there_is_a_child_that_refuses),
    };
    return berth_test_main(tests, NULL, NULL);
}
