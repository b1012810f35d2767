/* SPDX-License-Identifier: MIT
 *
 * Nobody is left behind by a thread that goes elsewhere, or that goes on to somebody who blocks it.
 * In each test one blocks a thread until another, for whom that thread was to do something, has
 * run.
 */
#include "wefttest.h"

struct stranded {
    struct weft_chan *chan;
    struct weft_dispatcher *on;
    struct weft_scope scope;
    bool is_early;
    atomic_bool is_parked, has_run, was_in_time;
    atomic_int waiting, rc;
};

static const struct weft_task_opts compact = { .compact = true };

static void given_one_thread(struct stranded *stranded)
{
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1, .io_threads = 1 }), 0);
    assert_int_equal(weft_chan_new(sizeof(int), 1, NULL, &stranded->chan), 0);
}

static int receive(void *arg)
{
    struct stranded *stranded = arg;
    int item;
    stranded->waiting++;
    int rc = weft_chan_recv(stranded->chan, &item, sizeof item, WEFT_NEVER);
    stranded->rc = rc;
    stranded->has_run = true;
    return rc;
}

static int wake(struct stranded *stranded)
{
    return weft_chan_send(stranded->chan, &(int){ 7 }, sizeof(int), 0);
}

static int block_until_it_has_run(void *arg)
{
    struct stranded *stranded = arg;
    if (!stranded->is_early)
        (void)wake(stranded);
    stranded->was_in_time = test_block_until(&stranded->has_run);
    return 0;
}

/* Takes the thread along to io. */
static int go_to_io(void *arg)
{
    struct stranded *stranded = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_opts(&scope, NULL, receive, stranded, &compact);
    while (stranded->waiting == 0)
        (void)weft_yield();
    if (stranded->is_early)
        (void)wake(stranded);
    return weft_scope_close(&scope, weft_with(weft_io(), block_until_it_has_run, stranded));
}

/* Its frames are at a seat, which nobody else can bring it. */
static void who_belongs_to_a_seat_is_seen_to_when_its_thread_has_gone_to_io(void **state)
{
    (void)state;
    for (int is_early = 0; is_early < 2; is_early++) {
        struct stranded stranded = { .is_early = is_early };
        given_one_thread(&stranded);

        assert_int_equal(weft_run(go_to_io, &stranded), 0);

        assert_true(stranded.was_in_time);
        weft_chan_free(stranded.chan);
        assert_int_equal(weft_shutdown(), 0);
    }
}

#define WAITING 3

static int close_their_pool(void *arg)
{
    struct stranded *stranded = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < WAITING; i++)
        weft_launch_opts(&scope, stranded->on, receive, stranded, &compact);
    while (stranded->waiting < WAITING)
        (void)weft_sleep_ms(1);
    int rc = weft_pool_close(stranded->on);
    (void)weft_scope_close(&scope, 0);
    return rc;
}

static void compact_ones_survive_their_pool(void **state)
{
    (void)state;
    struct stranded stranded = { .rc = 0 };
    given_one_thread(&stranded);
    assert_int_equal(weft_pool_open(1, "pool", &stranded.on), 0);

    assert_int_equal(weft_run(close_their_pool, &stranded), 0);

    assert_int_equal(stranded.rc, -ECANCELED);
    weft_chan_free(stranded.chan);
}

static int say_that_it_is_parked(void *arg)
{
    ((struct stranded *)arg)->is_parked = true;
    return 0;
}

static int block(void *arg)
{
    struct stranded *stranded = arg;
    stranded->was_in_time = test_block_until(&stranded->has_run);
    return 0;
}

/* Ends when its parent is parked, and another one that blocks is behind it. */
static int end_before_another(void *arg)
{
    struct stranded *stranded = arg;
    (void)test_block_until(&stranded->is_parked);
    return weft_launch(&stranded->scope, stranded->on, block, stranded);
}

/* On a dispatcher with one place: who says that it is parked cannot come before it is. */
static int await_child(void *arg)
{
    struct stranded *stranded = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async(&scope, stranded->on, end_before_another, stranded);
    weft_launch(&scope, NULL, say_that_it_is_parked, stranded);
    int rc = weft_await(task);
    stranded->has_run = true;
    return weft_scope_close(&scope, rc);
}

static int close_scope(void *arg)
{
    struct stranded *stranded = arg;
    struct weft_scope scope, other;
    weft_scope_open(&other);
    weft_launch(&other, NULL, say_that_it_is_parked, stranded);
    weft_scope_open(&scope);
    weft_launch(&scope, stranded->on, end_before_another, stranded);
    int rc = weft_scope_close(&scope, 0);
    stranded->has_run = true;
    return weft_scope_close(&other, rc);
}

static int with_scope_around(struct stranded *stranded, struct weft_dispatcher *d, weft_fn fn)
{
    weft_scope_open(&stranded->scope);
    weft_launch(&stranded->scope, d, fn, stranded);
    return weft_scope_close(&stranded->scope, 0);
}

static int await_on_default(void *arg)
{
    return with_scope_around(arg, weft_default(), await_child);
}

static int close_on_default(void *arg)
{
    return with_scope_around(arg, weft_default(), close_scope);
}

static int close_on_io(void *arg)
{
    return with_scope_around(arg, weft_io(), close_scope);
}

/* It is woken by an end on a thread that has no seat, and so could bring it there itself. */
static void whom_an_end_wakes_does_not_wait_for_the_next_of_that_view(void **state)
{
    (void)state;
    const weft_fn ways[] = { await_on_default, close_on_default };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct stranded stranded = { .chan = NULL };
        assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);
        assert_int_equal(weft_view_independent(1, "view", &stranded.on), 0);

        assert_int_equal(weft_run(ways[i], &stranded), 0);

        assert_true(stranded.was_in_time);
        assert_int_equal(weft_shutdown(), 0);
    }
}

/* It is woken by an end on a thread that could go there. */
static void whom_an_end_wakes_on_io_does_not_wait_for_the_next_of_that_seat(void **state)
{
    (void)state;
    struct stranded stranded = { .on = weft_default() };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1, .io_threads = 1 }), 0);

    assert_int_equal(weft_run(close_on_io, &stranded), 0);

    assert_true(stranded.was_in_time);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(who_belongs_to_a_seat_is_seen_to_when_its_thread_has_gone_to_io),
        weft_unit_test(compact_ones_survive_their_pool),
        weft_unit_test(whom_an_end_wakes_does_not_wait_for_the_next_of_that_view),
        weft_unit_test(whom_an_end_wakes_on_io_does_not_wait_for_the_next_of_that_seat),
    };
    return berth_test_main(tests, NULL, NULL);
}
