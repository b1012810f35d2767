/* SPDX-License-Identifier: MIT
 *
 * Fixed pools: their threads, and how they are closed.
 */
#include "wefttest.h"

#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "seat.h"

#define CALLS   20
#define CALL_MS 20

struct pool_test {
    struct weft_dispatcher *pool, *on;
    int inside, inside_max;
    pthread_mutex_t lock;
    atomic_int ended, cancelled, cleaned_on_io, disowned, strange_names;
    atomic_int yields;
    atomic_bool is_free, is_inside, is_parked;
    int rc;
    int pipe[2];
};

static struct weft_dispatcher *given_pool(int threads, const char *name)
{
    struct weft_dispatcher *pool;
    assert_int_equal(weft_pool_open(threads, name, &pool), 0);
    return pool;
}

static void block_ms(int ms)
{
    struct timespec left = { .tv_nsec = ms * 1000000L };
    (void)syscall(SYS_nanosleep, &left, NULL); /* sleeps: a call that blocks its thread */
}

static int call(void *arg)
{
    struct pool_test *t = arg;
    (void)pthread_mutex_lock(&t->lock);
    t->inside++;
    t->inside_max = t->inside > t->inside_max ? t->inside : t->inside_max;
    (void)pthread_mutex_unlock(&t->lock);
    block_ms(CALL_MS);
    const char *name = weft_thread_name();
    if (strcmp(name, "two-1") != 0 && strcmp(name, "two-2") != 0)
        t->strange_names++;
    (void)pthread_mutex_lock(&t->lock);
    t->inside--;
    (void)pthread_mutex_unlock(&t->lock);
    t->ended++;
    return 0;
}

static int call_many(void *arg)
{
    struct pool_test *t = arg;
    return launch_many(t->pool, CALLS, call, t);
}

static void two_threads_make_twenty_calls_in_ten_rounds(void **state)
{
    (void)state;
    struct pool_test t = { .pool = given_pool(2, "two"), .lock = PTHREAD_MUTEX_INITIALIZER };
    int64_t start_ns = weft_now_ns();

    assert_int_equal(weft_run(call_many, &t), 0);

    assert_true(weft_now_ns() - start_ns >= (int64_t)CALLS / 2 * CALL_MS * 1000000);
    assert_int_equal(t.inside_max, 2);
    assert_int_equal(t.ended, CALLS);
    assert_int_equal(t.strange_names, 0);
    assert_int_equal(weft_pool_close(t.pool), 0);
}

static void a_pool_has_one_to_65535_threads_and_a_name_of_its_own(void **state)
{
    (void)state;
    struct weft_dispatcher *pool = given_pool(1, "own"), *other = NULL;

    assert_int_equal(weft_pool_open(0, "none", &other), -EINVAL);
    assert_int_equal(weft_pool_open(65536, "many", &other), -EINVAL);
    assert_int_equal(weft_pool_open(1, NULL, &other), -EINVAL);
    assert_int_equal(weft_pool_open(1, "own", &other), -EEXIST);
    assert_null(other);
    assert_int_equal(weft_pool_close(pool), 0);
    assert_int_equal(weft_pool_close(given_pool(1, "own")), 0);
}

static void threads_count_against_threads_max(void **state)
{
    (void)state;
    struct weft_dispatcher *pool = NULL;
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1, .threads_max = 4 }), 0);

    assert_int_equal(weft_pool_open(8, "eight", &pool), -EAGAIN);

    assert_null(pool);
    assert_int_equal(weft_pool_close(given_pool(2, "eight")), 0);
}

static int close_inside(void *arg)
{
    return weft_pool_close(arg);
}

static int launch_there(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, arg, close_inside, arg);
    return weft_scope_close(&scope, 0);
}

static void closing_says_what_it_cannot_do(void **state)
{
    (void)state;
    struct weft_dispatcher *pool = given_pool(2, "closed");

    assert_int_equal(weft_pool_close(NULL), -EINVAL);
    assert_int_equal(weft_pool_close(weft_default()), -EINVAL);
    assert_int_equal(weft_pool_close(weft_virtual()), -EINVAL);
    assert_int_equal(weft_run(launch_there, pool), -EDEADLK);
    assert_int_equal(weft_shutdown(), -EBUSY);
    assert_int_equal(weft_pool_close(pool), 0);
    assert_int_equal(weft_pool_close(pool), -ENODEV);
    assert_int_equal(weft_run(launch_there, pool), -ENODEV);
    struct weft_dispatcher *view;
    assert_int_equal(weft_view_nested(pool, 1, "of a closed one", &view), -ENODEV);
    assert_null(weft_root_open(pool, close_inside, pool));
}

static struct weft_dispatcher *through;

static int close_from_through(void *arg)
{
    return weft_with(through, close_inside, arg);
}

static void behind_a_view_and_an_immediate_it_is_the_same_pool(void **state)
{
    (void)state;
    struct weft_dispatcher *pool = given_pool(2, "behind"), *ways[2] = { weft_immediate(pool) };
    assert_int_equal(weft_view_nested(pool, 1, "before", &ways[1]), 0);
    for (size_t i = 0; i < 2; i++) {
        through = ways[i];
        assert_int_equal(weft_run(close_from_through, pool), -EDEADLK);
    }

    assert_int_equal(weft_pool_close(pool), 0);

    for (size_t i = 0; i < 2; i++) {
        through = ways[i];
        assert_int_equal(weft_run(close_from_through, pool), -ENODEV);
        assert_int_equal(weft_run(launch_there, ways[i]), -ENODEV);
    }
    assert_int_equal(weft_pool_close(ways[1]), -EINVAL);
}

/* ---- what is there when it is closed ---- */

static int hold(void *arg)
{
    struct pool_test *t = arg;
    t->is_inside = true;
    bool is_free = test_block_until(&t->is_free);
    t->ended++;
    return is_free ? 0 : -ETIMEDOUT;
}

static int never(void *arg)
{
    struct pool_test *t = arg;
    t->ended += 100;
    return 0;
}

/* It owns its copy, so it runs in any case. */
static int never_but_cancelled(void *arg)
{
    struct pool_test *t = *(struct pool_test **)arg;
    t->disowned += weft_check() == -ECANCELED && weft_current() == weft_io();
    return 0;
}

static int clean_up(struct pool_test *t, int rc)
{
    if (rc == -ECANCELED)
        t->cancelled++;
    if (weft_current() == weft_io())
        t->cleaned_on_io++;
    return rc;
}

static int sleep_there(void *arg)
{
    struct pool_test *t = arg;
    return clean_up(t, weft_sleep_ms(TEST_WAIT_MS));
}

static int wait_there(void *arg)
{
    struct pool_test *t = arg;
    return clean_up(t, weft_fd_wait(t->pipe[0], POLLIN, weft_deadline_ms(TEST_WAIT_MS)));
}

static int read_there(void *arg)
{
    struct pool_test *t = arg;
    char byte;
    (void)weft_intercept(true);
    ssize_t count = read(t->pipe[0], &byte, 1);
    return clean_up(t, count < 0 ? -errno : 0);
}

static int yield_once(void *arg)
{
    struct pool_test *t = arg;
    t->is_parked = true; /* those before it in the queue have parked */
    return 0;
}

static int close_it(void *arg)
{
    struct pool_test *t = arg;
    t->rc = weft_pool_close(t->pool);
    return 0;
}

/* A view without a name cannot be had, and of a closed pool none. */
static bool is_closing(struct weft_dispatcher *pool)
{
    struct weft_dispatcher *none;
    return weft_view_serial(pool, NULL, &none) == -ENODEV;
}

/* Its first seat has been taken from the thread that sat there. */
static bool is_halted(const struct weft_pool *pool)
{
    return !pool->seats[0].thread;
}

static int free_it(void *arg)
{
    struct pool_test *t = arg;
    int rc = 0;
    while (rc == 0 && !(is_closing(t->pool) && is_halted(t->pool->fixed)))
        rc = weft_sleep_ms(1);
    t->is_free = true;
    return rc;
}

static int close_full_pool(void *arg)
{
    struct pool_test *t = arg;
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    struct weft_task *tasks[] = {
        weft_async(&scope, t->on, sleep_there, t),
        weft_async(&scope, t->on, wait_there, t),
        weft_async(&scope, t->on, read_there, t),
        weft_async(&scope, t->on, yield_once, t),
    };
    bool is_ready = test_await(&t->is_parked);
    struct weft_task *holder = weft_async(&scope, t->on, hold, t);
    is_ready = is_ready && test_await(&t->is_inside);
    struct weft_task *queued = weft_async(&scope, t->on, never, t);
    (void)weft_launch_copy(&scope, t->on, never_but_cancelled, &t, sizeof t);
    weft_launch(&scope, weft_default(), free_it, t);
    weft_launch(&scope, weft_default(), close_it, t);
    int rc = is_ready ? weft_await(holder) : -ETIMEDOUT;
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = weft_await(tasks[i]) == WEFT_ECHILD ? 0 : -EBADE;
    if (rc == 0)
        rc = weft_await(queued) == WEFT_ECHILD ? 0 : -EBADF;
    return weft_scope_close(&scope, rc);
}

/* On the pool: what it launches stands in the queue of its own seat. */
static int launch_behind_the_holder(void *arg)
{
    struct pool_test *t = arg;
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    weft_launch(&scope, t->pool, hold, t);
    for (int i = 0; i < CALLS; i++)
        weft_launch(&scope, t->pool, never, t);
    return weft_scope_close(&scope, 0);
}

/* Those that yield for ever are ended by nothing but the close. */
static int yield_there(void *arg)
{
    struct pool_test *t = arg;
    int rc;
    while ((rc = weft_yield()) == 0)
        t->is_parked = t->is_parked || ++t->yields == CALLS;
    return clean_up(t, rc);
}

static int yield_many(void *arg)
{
    struct pool_test *t = arg;
    return launch_many(t->pool, CALLS, yield_there, t);
}

static int close_in_scope(struct pool_test *t, weft_fn fn, const atomic_bool *is_ready)
{
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    struct weft_task *there = weft_async(&scope, t->pool, fn, t);
    int rc = test_await(is_ready) ? 0 : -ETIMEDOUT;
    weft_launch(&scope, weft_default(), free_it, t);
    weft_launch(&scope, weft_default(), close_it, t);
    (void)weft_await(there);
    return weft_scope_close(&scope, rc);
}

static int close_behind_a_holder(void *arg)
{
    struct pool_test *t = arg;
    return close_in_scope(t, launch_behind_the_holder, &t->is_inside);
}

static int close_among_those_who_yield(void *arg)
{
    struct pool_test *t = arg;
    return close_in_scope(t, yield_many, &t->is_parked);
}

static void what_the_pool_has_queued_itself_does_not_run_any_more(void **state)
{
    (void)state;
    struct pool_test t = { .pool = given_pool(1, "one") };

    assert_int_equal(weft_run(close_behind_a_holder, &t), 0);

    assert_int_equal(t.rc, 0);
    assert_int_equal(t.ended, 1);
}

static void who_yields_for_ever_does_not_keep_it_open(void **state)
{
    (void)state;
    struct pool_test t = { .pool = given_pool(1, "one") };

    assert_int_equal(weft_run(close_among_those_who_yield, &t), 0);

    assert_int_equal(t.rc, 0);
    assert_int_equal(t.cancelled, CALLS);
    assert_int_equal(t.cleaned_on_io, CALLS);
}

static void check_close(struct weft_dispatcher *pool, struct weft_dispatcher *on)
{
    struct pool_test t = { .pool = pool, .on = on };
    assert_int_equal(pipe(t.pipe), 0);

    assert_int_equal(weft_run(close_full_pool, &t), 0);

    assert_int_equal(t.rc, 0);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.cancelled, 3);
    assert_int_equal(t.cleaned_on_io, 3);
    assert_int_equal(t.disowned, 1);
    (void)close(t.pipe[0]);
    (void)close(t.pipe[1]);
}

static void closing_waits_for_what_runs_and_cancels_the_rest(void **state)
{
    (void)state;
    struct weft_dispatcher *pool = given_pool(1, "one");
    check_close(pool, pool);
}

static void so_it_does_in_views_of_it(void **state)
{
    (void)state;
    struct weft_dispatcher *pool = given_pool(1, "one"), *outer, *inner;
    assert_int_equal(weft_view_nested(pool, 2, "outer", &outer), 0);
    assert_int_equal(weft_view_serial(outer, "inner", &inner), 0);
    check_close(pool, inner);
}

static void a_dump_shows_the_pool(void **state)
{
    (void)state;
    struct weft_dispatcher *pool = given_pool(3, "shown");
    char text[4096] = "";
    int ends[2];
    assert_int_equal(pipe(ends), 0);

    assert_int_equal(weft_dump(ends[1]), 0);

    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "pool 'shown': "));
    assert_non_null(strstr(text, " of 3 running, 0 queued"));
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_int_equal(weft_pool_close(pool), 0);
}

/* ---- libc's calls ---- */

struct inside {
    long thread;
    int wrong;
};

static int park_there(void *arg)
{
    struct inside *inside = arg;
    if (weft_intercept(true))
        return -EBADE; /* not unless asked for */
    inside->thread = syscall(SYS_gettid);
    for (int i = 0; i < 20; i++) {
        if (usleep(500) != 0) /* sleeps: that is what parks */
            return -EIO;
        inside->wrong += syscall(SYS_gettid) != inside->thread;
    }
    return 0;
}

static int park_many(void *arg)
{
    struct inside inside[CALLS] = { { 0 } };
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < CALLS; i++)
        weft_launch(&scope, arg, park_there, &inside[i]);
    int rc = weft_scope_close(&scope, 0);
    for (int i = 0; i < CALLS && rc == 0; i++)
        rc = inside[i].wrong == 0 ? 0 : -ESTALE;
    return rc;
}

static void calls_park_on_their_thread_if_asked_for(void **state)
{
    (void)state;
    struct weft_dispatcher *pool = given_pool(3, "parks");

    assert_int_equal(weft_run(park_many, pool), 0);

    assert_int_equal(weft_pool_close(pool), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(two_threads_make_twenty_calls_in_ten_rounds),
        weft_unit_test(a_pool_has_one_to_65535_threads_and_a_name_of_its_own),
        weft_unit_test(threads_count_against_threads_max),
        weft_unit_test(closing_says_what_it_cannot_do),
        weft_unit_test(behind_a_view_and_an_immediate_it_is_the_same_pool),
        weft_unit_test(closing_waits_for_what_runs_and_cancels_the_rest),
        weft_unit_test(so_it_does_in_views_of_it),
        weft_unit_test(what_the_pool_has_queued_itself_does_not_run_any_more),
        weft_unit_test(who_yields_for_ever_does_not_keep_it_open),
        weft_unit_test(a_dump_shows_the_pool),
        weft_unit_test(calls_park_on_their_thread_if_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
