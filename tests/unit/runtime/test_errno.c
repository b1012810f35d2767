/* SPDX-License-Identifier: MIT
 *
 * This file is built with -O2, for the hazard is one of optimizers.
 */
#include "wefttest.h"

#include <unistd.h>

#include "errno_plain.h"

#include <weft/errno.h>

#define TRIES 20

struct move {
    struct weft_completion gate;
    atomic_bool is_parked, is_free, is_blocking;
    const char *before; /* the name of a thread; pthread_self() is a constant to compilers, too */
    bool has_moved;
    int value_after, failed_after, plain_after;
};

/* Parks; by the time that it is woken its thread is kept busy by somebody else. */
static void wait_and_move(void *arg)
{
    struct move *move = arg;
    move->before = weft_thread_name();
    move->is_parked = true;
    (void)!weft_completion_wait(&move->gate, WEFT_NEVER);
    move->has_moved = move->before != weft_thread_name();
}

static int mover(void *arg)
{
    struct move *move = arg;
    errno = ERANGE;
    wait_and_move(move);
    move->value_after = errno;
    errno = 0;
    (void)close(-1);
    move->failed_after = errno;
    return 0;
}

static int plain_mover(void *arg)
{
    struct move *move = arg;
    move->plain_after = errno_plain(wait_and_move, move);
    return 0;
}

/* Keeps the thread of the parked one busy, if it happens to run there. */
static int block(void *arg)
{
    struct move *move = arg;
    if (move->before != weft_thread_name())
        return 0;
    move->is_blocking = true;
    return test_block_until(&move->is_free) ? 0 : -ETIMEDOUT;
}

/* Whether the coroutine woke on another thread. */
static bool run_moved(weft_fn fn, struct move *move)
{
    *move = (struct move){ .has_moved = false };
    struct weft_task *root = weft_root_open(weft_io(), fn, move);
    assert_true(test_block_until(&move->is_parked));
    struct weft_task *blocks[TRIES] = { NULL };
    for (int i = 0; i < TRIES && !move->is_blocking; i++) {
        blocks[i] = weft_root_open(weft_io(), block, move);
        for (int spin = 0; spin < 100 && !move->is_blocking; spin++)
            (void)sched_yield();
    }
    assert_int_equal(weft_completion_set(&move->gate, 0), 0);
    int rc = weft_root_close(root);
    move->is_free = true;
    for (int i = 0; i < TRIES; i++) {
        if (blocks[i])
            assert_int_equal(weft_root_close(blocks[i]), 0);
    }
    assert_int_equal(rc, 0);
    return move->has_moved;
}

static bool run_until_moved(weft_fn fn, struct move *move)
{
    for (int i = 0; i < TRIES; i++) {
        if (run_moved(fn, move))
            return true;
    }
    return false;
}

static void errno_goes_along_to_another_thread(void **state)
{
    (void)state;
    struct move move;

    assert_true(run_until_moved(mover, &move));

    assert_int_equal(move.value_after, ERANGE);
}

static void what_libc_sets_after_the_move_is_seen(void **state)
{
    (void)state;
    struct move move;

    assert_true(run_until_moved(mover, &move));

    assert_int_equal(move.failed_after, EBADF);
}

/* The hazard itself. It is the compiler's choice: neither answer is a fault of weft's. */
static void code_without_the_header_may_read_the_old_threads(void **state)
{
    (void)state;
    struct move move;

    assert_true(run_until_moved(plain_mover, &move));

    print_message("without <weft/errno.h>: %s\n", move.plain_after == EBADF ? "right" : "stale");
    assert_true(move.plain_after == EBADF || move.plain_after == 0);
}

static void on_a_plain_thread_it_is_errno(void **state)
{
    (void)state;

    errno = 0;
    (void)close(-1);

    assert_int_equal(errno, EBADF);
    assert_ptr_equal(weft_errno(), __errno_location());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(errno_goes_along_to_another_thread),
        weft_unit_test(what_libc_sets_after_the_move_is_seen),
        weft_unit_test(code_without_the_header_may_read_the_old_threads),
        weft_unit_test(on_a_plain_thread_it_is_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
