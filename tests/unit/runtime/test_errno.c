/* SPDX-License-Identifier: MIT
 *
 * This file is built with -O2, for the hazard is one of optimizers.
 */
#include "wefttest.h"

#include <unistd.h>

#include "errno_plain.h"

#include <weft/errno.h>

#define BLOCKED_MAX 60 /* fewer than io has threads */

/* A body that blocks its thread. */
struct blocked {
    struct move *move;
    atomic_bool is_there;
    struct weft_task *root;
};

struct move {
    struct weft_completion gate;
    atomic_bool is_parked, is_free, is_held;
    const char *before; /* the name of a thread; pthread_self() is a constant to compilers, too */
    bool has_moved;
    int value_after, failed_after, plain_after;
    struct blocked blocked[BLOCKED_MAX];
};

/* Parks; by the time that it is woken its thread is held by somebody else. */
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

static int block(void *arg)
{
    struct blocked *blocked = arg;
    struct move *move = blocked->move;
    if (move->before == weft_thread_name())
        move->is_held = true;
    blocked->is_there = true;
    return test_block_until(&move->is_free) ? 0 : -ETIMEDOUT;
}

/* Whichever thread takes the next body is lost to the others. So after as many as there are, and
 * few are, one holds the thread where the coroutine parked. */
static int hold_its_thread(struct move *move)
{
    int count = 0;
    while (!move->is_held && count < BLOCKED_MAX) {
        struct blocked *blocked = &move->blocked[count++];
        *blocked = (struct blocked){ .move = move };
        blocked->root = weft_root_open(weft_io(), block, blocked);
        assert_non_null(blocked->root);
        assert_true(test_block_until(&blocked->is_there));
    }
    return count;
}

static void run_moved(weft_fn fn, struct move *move)
{
    *move = (struct move){ .has_moved = false };
    struct weft_task *root = weft_root_open(weft_io(), fn, move);
    assert_true(test_block_until(&move->is_parked));
    int count = hold_its_thread(move);
    assert_int_equal(weft_completion_set(&move->gate, 0), 0);
    int rc = weft_root_close(root);
    move->is_free = true;
    for (int i = 0; i < count; i++)
        assert_int_equal(weft_root_close(move->blocked[i].root), 0);
    assert_int_equal(rc, 0);
    assert_true(move->is_held);
    assert_true(move->has_moved);
}

static void errno_goes_along_to_another_thread(void **state)
{
    (void)state;
    struct move move;

    run_moved(mover, &move);

    assert_int_equal(move.value_after, ERANGE);
}

static void what_libc_sets_after_the_move_is_seen(void **state)
{
    (void)state;
    struct move move;

    run_moved(mover, &move);

    assert_int_equal(move.failed_after, EBADF);
}

/* The hazard itself. It is the compiler's choice: neither answer is a fault of weft's. */
static void code_without_the_header_may_read_the_old_threads(void **state)
{
    (void)state;
    struct move move;

    run_moved(plain_mover, &move);

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
