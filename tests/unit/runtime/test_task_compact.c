/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "compact.h"
#include "thread_set.h"
#include "tree.h"

#define MANY 2000

struct crowd {
    struct weft_dispatcher *on;
    atomic_int asleep, right, wrong, other_rc;
    struct weft_chan *chan;
};

static const struct weft_task_opts compact = { .compact = true };

/* Keeps numbers on its stack over several parks. */
static int keep_locals(void *arg)
{
    struct crowd *crowd = arg;
    volatile unsigned here[32];
    unsigned mine = (unsigned)crowd->asleep++;
    for (unsigned i = 0; i < 32; i++)
        here[i] = mine * 1000 + i;
    for (int round = 0; round < 3; round++) {
        int rc = round == 1 ? weft_yield() : weft_sleep_ms(1 + mine % 5);
        bool is_right = rc == 0;
        for (unsigned i = 0; i < 32; i++)
            is_right = is_right && here[i] == mine * 1000 + i;
        if (!is_right)
            crowd->wrong++;
    }
    crowd->right++;
    return 0;
}

static int launch_crowd(void *arg)
{
    struct crowd *crowd = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < MANY; i++)
        weft_launch_opts(&scope, crowd->on, keep_locals, crowd, &compact);
    return weft_scope_close(&scope, 0);
}

static void locals_are_there_again_after_each_park(void **state)
{
    (void)state;
    struct weft_dispatcher *const on[] = { weft_default(), weft_virtual(), weft_io() };
    for (size_t i = 0; i < sizeof on / sizeof on[0]; i++) {
        struct crowd crowd = { .on = on[i] };
        assert_int_equal(weft_run(launch_crowd, &crowd), 0);
        assert_int_equal(crowd.wrong, 0);
        assert_int_equal(crowd.right, MANY);
    }
}

static int receive(void *arg)
{
    struct crowd *crowd = arg;
    int item = 0;
    if (weft_chan_recv(crowd->chan, &item, sizeof item, WEFT_NEVER) == 1 && item == 7)
        crowd->right++;
    return 0;
}

static int send(void *arg)
{
    struct crowd *crowd = arg;
    int item = 7;
    return weft_chan_send(crowd->chan, &item, sizeof item, WEFT_NEVER);
}

/* Each waits for one that has its frames on the same stack. */
static int exchange(void *arg)
{
    struct crowd *crowd = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 100; i++) {
        weft_launch_opts(&scope, NULL, receive, crowd, &compact);
        weft_launch_opts(&scope, NULL, send, crowd, &compact);
    }
    return weft_scope_close(&scope, 0);
}

static void they_can_wait_for_each_other(void **state)
{
    (void)state;
    struct crowd crowd = { .right = 0 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);
    assert_int_equal(weft_chan_new(sizeof(int), 0, NULL, &crowd.chan), 0);

    assert_int_equal(weft_run(exchange, &crowd), 0);

    assert_int_equal(crowd.right, 100);
    weft_chan_free(crowd.chan);
}

static int sleep_by_libc(void *arg)
{
    struct crowd *crowd = arg;
    /* sleeps: a libc call that parks */
    if (usleep(2000) == 0)
        crowd->right++;
    return 0;
}

static int sleepers(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < MANY; i++)
        weft_launch_opts(&scope, weft_virtual(), sleep_by_libc, arg, &compact);
    return weft_scope_close(&scope, 0);
}

static void libc_calls_park_them_too(void **state)
{
    (void)state;
    struct crowd crowd = { .right = 0 };
    assert_int_equal(weft_run(sleepers, &crowd), 0);
    assert_int_equal(crowd.right, MANY);
}

/* Each of the three queues wants a place to stand in, which a small block has not. */
static struct queues {
    pthread_mutex_t mutex;
    int pipe[2];
    struct weft_task *slow;
} queues = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static int slow(void *arg)
{
    (void)arg;
    (void)weft_sleep_ms(20);
    return 5;
}

static int stand_in_queues(void *arg)
{
    struct crowd *crowd = arg;
    char byte = 0;
    (void)pthread_mutex_lock(&queues.mutex);
    /* sleeps: while it holds the mutex */
    (void)usleep(100);
    (void)pthread_mutex_unlock(&queues.mutex);
    bool is_right = read(queues.pipe[0], &byte, 1) == 1 && byte == 'x';
    if (is_right && weft_await(queues.slow) == 5)
        crowd->right++;
    return 0;
}

static int queue_up(void *arg)
{
    enum { COUNT = 20 };
    struct weft_scope scope;
    weft_scope_open(&scope);
    queues.slow = weft_async(&scope, NULL, slow, NULL);
    for (int i = 0; i < COUNT; i++)
        weft_launch_opts(&scope, weft_virtual(), stand_in_queues, arg, &compact);
    (void)weft_sleep_ms(10);
    ssize_t written = write(queues.pipe[1], "xxxxxxxxxxxxxxxxxxxx", COUNT);
    return weft_scope_close(&scope, written == COUNT ? 0 : -EIO);
}

static void they_can_stand_in_any_queue(void **state)
{
    (void)state;
    struct crowd crowd = { .right = 0 };
    assert_int_equal(pipe(queues.pipe), 0);
    assert_int_equal(weft_run(queue_up, &crowd), 0);
    assert_int_equal(crowd.right, 20);
    (void)close(queues.pipe[0]);
    (void)close(queues.pipe[1]);
}

static int sleep_long(void *arg)
{
    struct crowd *crowd = arg;
    crowd->asleep++;
    if (weft_sleep_ms(TEST_WAIT_MS) == -ECANCELED)
        crowd->right++;
    return -ECANCELED;
}

static int cancel_them(void *arg)
{
    struct crowd *crowd = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < MANY; i++)
        weft_launch_opts(&scope, NULL, sleep_long, crowd, &compact);
    while (crowd->asleep < MANY)
        (void)weft_yield();
    weft_scope_cancel_children(&scope);
    return weft_scope_close(&scope, 0);
}

static void cancelling_reaches_the_parked(void **state)
{
    (void)state;
    struct crowd crowd = { .right = 0 };
    assert_int_equal(weft_run(cancel_them, &crowd), 0);
    assert_int_equal(crowd.right, MANY);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int move(void *arg)
{
    struct crowd *crowd = arg;
    if (!weft_self()->is_compact)
        crowd->other_rc = -ENOTSUP; /* an ordinary one may */
    else
        crowd->other_rc = weft_with(weft_io(), nothing, NULL);
    return 0;
}

static int try_to_move(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_opts(&scope, NULL, move, arg, &compact);
    return weft_scope_close(&scope, 0);
}

static void one_stays_on_its_dispatcher(void **state)
{
    (void)state;
    struct crowd crowd = { .other_rc = 0 };
    assert_int_equal(weft_run(try_to_move, &crowd), 0);
    assert_int_equal(crowd.other_rc, -ENOTSUP);
}

static int open_scope(void *arg)
{
    (void)arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    return weft_scope_close(&scope, 0);
}

static int launch_opener(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_opts(&scope, NULL, open_scope, arg, &compact);
    return weft_scope_close(&scope, 0);
}

static int run_opener(void *arg)
{
    return weft_run(launch_opener, arg);
}

static void opening_a_scope_is_a_bug_that_is_named(void **state)
{
    (void)state;
    if (weft_compact_is_possible())
        assert_dies(run_opener, NULL, "open_scope() opens a scope in a compact coroutine");
}

/* One that starts another in place, and one of them then holds the thread where nobody sees it. */
struct held {
    struct weft_scope *scope;
    bool is_child;     /* the other one does */
    bool is_compact;   /* the other one is meant to be */
    atomic_int around; /* those that wanted the same stack meanwhile, and had it afterwards */
    bool is_right;
};

static int hold(void *arg)
{
    struct timespec limit = { .tv_nsec = 100000000 };
    (void)arg;
    return syscall(SYS_nanosleep, &limit, NULL) == 0 ? 0 : -errno;
}

static int start_and_hold(void *arg)
{
    struct held *held = arg;
    const struct weft_task_opts in_place = {
        .start = WEFT_START_UNDISPATCHED,
        .compact = held->is_compact,
    };
    volatile unsigned here[64];
    for (unsigned i = 0; i < 64; i++)
        here[i] = i;
    int rc = weft_launch_opts(held->scope, NULL, held->is_child ? hold : nothing, NULL, &in_place);
    if (rc == 0 && !held->is_child)
        rc = hold(NULL);
    bool is_right = rc == 0;
    for (unsigned i = 0; i < 64; i++)
        is_right = is_right && here[i] == i;
    held->is_right = is_right;
    return rc;
}

static int stand_there(void *arg)
{
    struct held *held = arg;
    volatile unsigned here[64];
    for (unsigned i = 0; i < 64; i++)
        here[i] = ~i;
    /* sleeps: a libc call that parks */
    int rc = usleep(1000);
    held->around += here[63] == ~63U;
    return rc;
}

static int hold_among_others(void *arg)
{
    struct held *held = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    held->scope = &scope;
    weft_launch_opts(&scope, NULL, start_and_hold, held, &compact);
    for (int i = 0; i < 10; i++)
        weft_launch_opts(&scope, NULL, stand_there, held, &compact);
    return weft_scope_close(&scope, 0);
}

/* Else a spare thread would get the seat, and run others where its frames are. */
static void who_starts_another_in_place_keeps_its_seat(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct held held = { .is_child = i & 1, .is_compact = i & 2 };
        struct weft_pool_state threads;
        if (i == 0)
            assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);
        struct weft_task *root = weft_root_open(weft_virtual(), hold_among_others, &held);

        assert_int_equal(weft_root_close(root), 0);

        weft_threads_look(&threads);
        assert_true(held.is_right);
        assert_int_equal(held.around, 10);
        if (weft_compact_is_possible())
            assert_int_equal(threads.replaced, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(locals_are_there_again_after_each_park),
        weft_unit_test(they_can_wait_for_each_other),
        weft_unit_test(libc_calls_park_them_too),
        weft_unit_test(they_can_stand_in_any_queue),
        weft_unit_test(cancelling_reaches_the_parked),
        weft_unit_test(one_stays_on_its_dispatcher),
        weft_unit_test(who_starts_another_in_place_keeps_its_seat),
        weft_unit_test(opening_a_scope_is_a_bug_that_is_named),
    };
    return berth_test_main(tests, NULL, NULL);
}
