/* SPDX-License-Identifier: MIT
 *
 * The main dispatcher: one plain thread, for as long as it is inside weft_main_run().
 *
 * It runs its queue in order of arrival, and sleeps when that is empty. What is still queued when
 * the function has ended, and what wants to go on there later, is refused.
 */
#include <errno.h>

#include <weft/test.h>

#include "dead.h"
#include "guest.h"
#include "immediate.h"
#include "lock.h"
#include "sys.h"
#include "test_run.h"
#include "tree.h"

static int main_dispatch(struct weft_dispatcher *d, struct weft_turn *turn);
static bool main_is_here(struct weft_dispatcher *d);
static bool main_open(void);
static void main_close(void);
static void run_until_end(const struct weft_task *root);

static const struct weft_ops main_ops = { .dispatch = main_dispatch, .is_here = main_is_here };

static struct {
    struct weft_dispatcher base;
    _Atomic(struct weft_dispatcher *) replaced_by;
    _Atomic(struct weft_thread *) thread; /* while it runs */
    atomic_uint wakes;                    /* a futex, for its sleep */
    struct weft_lock lock;                /* of what follows */
    bool is_open, is_asleep;
    struct weft_turns queue;
} main_thread = { .base = { .name = "main", .ops = &main_ops } };

struct weft_dispatcher *weft_main(void)
{
    struct weft_test *test = weft_test_here();
    struct weft_dispatcher *d = test ? test->main : main_thread.replaced_by;
    return d ? d : weft_test_door(WEFT_TEST_MAIN, &main_thread.base);
}

int weft_main_replace(struct weft_dispatcher *d)
{
    struct weft_test *test = weft_test_here();
    d = weft_queued(d);
    if (d)
        weft_dispatcher_check(d, "weft_main_replace");
    if (test)
        test->main = d;
    else
        main_thread.replaced_by = d;
    return 0;
}

int weft_main_run(weft_fn fn, void *arg)
{
    if (!fn)
        return -EINVAL;
    if (weft_thread_self())
        return -EPERM;
    struct weft_dispatcher *d = weft_main();
    bool is_mine = d == &main_thread.base;
    if (is_mine && !main_open())
        return -EBUSY;
    struct weft_task *root = weft_root_open(d, fn, arg);
    if (is_mine && root)
        run_until_end(root);
    if (is_mine)
        main_close();
    return weft_root_close(root);
}

static bool main_open(void)
{
    weft_lock_acquire(&main_thread.lock);
    bool is_free = !main_thread.is_open;
    main_thread.is_open = true;
    weft_lock_release(&main_thread.lock);
    return is_free;
}

static void main_close(void)
{
    weft_lock_acquire(&main_thread.lock);
    main_thread.is_open = false;
    struct weft_turns left = main_thread.queue;
    main_thread.queue = (struct weft_turns){ 0 };
    weft_lock_release(&main_thread.lock);
    for (struct weft_turn *turn; (turn = weft_turns_pop(&left));)
        weft_turn_refused(turn, -ENODEV);
}

static int main_dispatch(struct weft_dispatcher *d, struct weft_turn *turn)
{
    (void)d;
    if (turn->seat)
        return weft_turn_to_seat(turn);
    weft_lock_acquire(&main_thread.lock);
    bool is_open = main_thread.is_open, must_wake = is_open && main_thread.is_asleep;
    if (is_open)
        weft_turns_push(&main_thread.queue, turn);
    if (must_wake) {
        main_thread.is_asleep = false;
        main_thread.wakes++;
    }
    weft_lock_release(&main_thread.lock);
    if (must_wake)
        weft_sys_futex_wake(&main_thread.wakes);
    return is_open ? 0 : -ENODEV;
}

static bool main_is_here(struct weft_dispatcher *d)
{
    (void)d;
    const struct weft_thread *self = weft_thread_self();
    return self && self == main_thread.thread;
}

/* The first turn of the queue. Sleeps while there is none. */
static struct weft_turn *take_turn(void)
{
    struct weft_turn *turn = NULL;
    while (!turn) {
        weft_lock_acquire(&main_thread.lock);
        turn = weft_turns_pop(&main_thread.queue);
        main_thread.is_asleep = !turn;
        unsigned wakes = main_thread.wakes;
        weft_lock_release(&main_thread.lock);
        if (!turn)
            weft_sys_futex_wait(&main_thread.wakes, wakes);
    }
    return turn;
}

/* Its last turn, like all of them, is one of this thread's. */
static void run_until_end(const struct weft_task *root)
{
    struct weft_guest guest;
    weft_guest_enter(&guest);
    main_thread.thread = &guest.thread;
    while (root->phase != WEFT_PHASE_ENDED)
        weft_thread_run(&guest.thread, take_turn());
    main_thread.thread = NULL;
    weft_guest_leave(&guest);
}
