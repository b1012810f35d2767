/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <signal.h>

#include "support/await.h"

#include "thread_set.h"

#define MANY 40

struct seen {
    pthread_mutex_t lock;
    int running, running_max;
    atomic_int started, ended;
    atomic_bool is_free, is_full;
    int full_at;
    struct weft_dispatcher *on;
    sigset_t mask;
};

/* Blocks its thread, as a call does that knows nothing of coroutines. */
static int block(void *arg)
{
    struct seen *seen = arg;
    (void)pthread_mutex_lock(&seen->lock);
    if (++seen->running > seen->running_max)
        seen->running_max = seen->running;
    (void)pthread_mutex_unlock(&seen->lock);
    if (++seen->started == seen->full_at)
        seen->is_full = true;
    bool is_free = test_block_until(&seen->is_free);
    (void)pthread_mutex_lock(&seen->lock);
    seen->running--;
    (void)pthread_mutex_unlock(&seen->lock);
    seen->ended++;
    return is_free ? 0 : -ETIMEDOUT;
}

static int block_many(void *arg)
{
    struct seen *seen = arg;
    return launch_many(seen->on, MANY, block, seen);
}

static int free_when_full(void *arg)
{
    struct seen *seen = arg;
    bool is_full = test_block_until(&seen->is_full);
    seen->is_free = true;
    return is_full ? 0 : -ETIMEDOUT;
}

static void check_limit(struct weft_dispatcher *on, const struct weft_opts *opts, int limit)
{
    struct seen seen = { .lock = PTHREAD_MUTEX_INITIALIZER, .on = on, .full_at = limit };
    assert_int_equal(weft_configure(opts), 0);
    struct weft_task *root = weft_root_open(NULL, block_many, &seen);

    assert_int_equal(free_when_full(&seen), 0);

    assert_int_equal(weft_root_close(root), 0);
    assert_int_equal(seen.running_max, limit);
    assert_int_equal(seen.ended, MANY);
    assert_int_equal(weft_shutdown(), 0);
}

static void as_many_run_at_once_as_the_limit_says_and_no_more(void **state)
{
    (void)state;
    check_limit(weft_io(), &(struct weft_opts){ .io_threads = 3 }, 3);
    check_limit(weft_io(), &(struct weft_opts){ .io_threads = 20 }, 20);
    check_limit(weft_default(), &(struct weft_opts){ .threads = 4 }, 4);
    check_limit(weft_io(), &(struct weft_opts){ .threads = 1, .threads_max = 6 }, 5);
}

static int count_up(void *arg)
{
    ((struct seen *)arg)->ended++;
    return 0;
}

static int run_on(void *arg)
{
    struct seen *seen = arg;
    return launch_many(seen->on, MANY, count_up, seen);
}

static void a_full_dispatcher_does_not_hold_up_the_other(void **state)
{
    (void)state;
    struct weft_dispatcher *const both[] = { weft_io(), weft_default() };
    for (int i = 0; i < 2; i++) {
        struct seen full = { .lock = PTHREAD_MUTEX_INITIALIZER, .on = both[i], .full_at = 2 };
        struct seen other = { .on = both[1 - i] };
        assert_int_equal(
            weft_configure(&(struct weft_opts){ .threads = 2, .io_threads = 2, .threads_max = 4 }),
            0);
        struct weft_task *blocked = weft_root_open(both[i], block_many, &full);
        assert_true(test_block_until(&full.is_full));

        struct weft_task *root = weft_root_open(both[1 - i], run_on, &other);
        assert_int_equal(weft_root_close(root), 0); /* while the first is still blocked */

        assert_int_equal(other.ended, MANY);
        full.is_free = true;
        assert_int_equal(weft_root_close(blocked), 0);
        assert_int_equal(weft_shutdown(), 0);
    }
}

static void threads_come_on_need_and_are_used_again(void **state)
{
    (void)state;
    struct seen seen = { .on = NULL };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 3, .io_threads = 3 }), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(weft_run(run_on, &seen), 0);

    struct weft_pool_state pool;
    weft_threads_look(&pool);
    assert_in_range(pool.threads, 1, 4); /* one to begin with; none for io: nobody asked */
    assert_int_equal(seen.ended, 20 * MANY);
    assert_string_equal(pool.lanes[0].name, "default");
    assert_int_equal(pool.lanes[0].limit, 3);
    assert_int_equal(pool.lanes[0].queued, 0);
    assert_string_equal(pool.lanes[1].name, "io");
}

static bool has_one_thread(void *arg)
{
    (void)arg;
    struct weft_pool_state pool;
    weft_threads_look(&pool);
    return pool.threads == 1;
}

/* Who watches a seat does not go: there is one. */
static void threads_without_work_end_but_for_one_and_come_again(void **state)
{
    (void)state;
    weft_threads_idle_ms_set(5);
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);
    for (int i = 0; i < 3; i++) {
        struct seen seen = { .lock = PTHREAD_MUTEX_INITIALIZER, .on = weft_io(), .full_at = 10 };
        struct weft_task *root = weft_root_open(NULL, block_many, &seen);
        assert_int_equal(free_when_full(&seen), 0);
        assert_int_equal(weft_root_close(root), 0);

        assert_true(await(has_one_thread, NULL, TEST_WAIT_MS));
    }
    weft_threads_idle_ms_set(WEFT_IDLE_MS_DEFAULT);
}

#define MOVES 30 /* so few that there are some between two times that the thread is preempted */

static int note_thread(void *arg)
{
    *(const char **)arg = weft_thread_name();
    return 0;
}

static int move_to_io(void *arg)
{
    int *kept = arg, rc = 0;
    for (int i = 0; i < MOVES && rc == 0; i++) {
        const char *before = weft_thread_name(), *inside = NULL;
        rc = weft_with(weft_io(), note_thread, &inside);
        *kept += inside == before && weft_thread_name() == before;
    }
    return rc;
}

static void a_coroutine_that_moves_keeps_its_thread_when_nobody_else_wants_it(void **state)
{
    (void)state;
    int kept = 0;
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);

    /* A thread that is just beginning, or was still looking around, may come first. So: sooner or
     * later there are thirty there and back of which each keeps it. */
    while (kept < MOVES && weft_now_ns() < deadline_ns) {
        kept = 0;
        assert_int_equal(weft_run(move_to_io, &kept), 0);
    }

    assert_int_equal(kept, MOVES);
}

/* Two that compute and move, at a limit of one each: whoever comes back may have to wait. */
static int move_often(void *arg)
{
    int rc = 0;
    for (int i = 0; i < 500 && rc == 0; i++) {
        rc = weft_with(weft_io(), count_up, arg);
        if (rc == 0)
            rc = weft_yield();
    }
    return rc;
}

static int launch_movers(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 10; i++)
        weft_launch(&scope, i % 2 ? weft_io() : NULL, move_often, arg);
    return weft_scope_close(&scope, 0);
}

static void nobody_is_forgotten_between_two_dispatchers(void **state)
{
    (void)state;
    struct seen seen = { .on = NULL };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1, .io_threads = 1 }), 0);

    assert_int_equal(weft_run(launch_movers, &seen), 0);

    assert_int_equal(seen.ended, 5000);
}

static int look_at_mask(void *arg)
{
    return -pthread_sigmask(SIG_BLOCK, NULL, &((struct seen *)arg)->mask);
}

static void signals_stay_with_the_programs_own_threads(void **state)
{
    (void)state;
    struct seen seen = { .on = NULL };

    assert_int_equal(weft_run(look_at_mask, &seen), 0);

    assert_true(sigismember(&seen.mask, SIGTERM));
    assert_true(sigismember(&seen.mask, SIGCHLD));
    assert_false(sigismember(&seen.mask, SIGSEGV));
}

struct producer {
    struct weft_scope *scope;
    atomic_int launched, ended;
    int most;
};

static int end_one(void *arg)
{
    ((struct producer *)arg)->ended++;
    return 0;
}

#define AT_ONCE 1000

static int produce(void *arg)
{
    struct producer *p = arg;
    int rc = 0;
    for (int i = 0; i < 50 && rc == 0; i++) {
        for (int k = 0; k < AT_ONCE; k++) {
            weft_launch(p->scope, NULL, end_one, p);
            p->launched++;
        }
        int waiting = p->launched - p->ended;
        p->most = waiting > p->most ? waiting : p->most;
        rc = weft_yield();
    }
    return rc;
}

static int run_producer(void *arg)
{
    struct producer *p = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    p->scope = &scope;
    weft_launch(&scope, NULL, produce, p);
    return weft_scope_close(&scope, 0);
}

static void who_yields_stands_behind_all_that_it_has_started(void **state)
{
    (void)state;
    struct producer p = { 0 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 2 }), 0);
    assert_int_equal(weft_run(run_producer, &p), 0);
    assert_int_equal(p.ended, p.launched);
    assert_in_range(p.most, 1, 3 * AT_ONCE); /* a batch may be in another's hands */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(as_many_run_at_once_as_the_limit_says_and_no_more),
        weft_unit_test(a_full_dispatcher_does_not_hold_up_the_other),
        weft_unit_test(threads_come_on_need_and_are_used_again),
        weft_unit_test(threads_without_work_end_but_for_one_and_come_again),
        weft_unit_test(a_coroutine_that_moves_keeps_its_thread_when_nobody_else_wants_it),
        weft_unit_test(nobody_is_forgotten_between_two_dispatchers),
        weft_unit_test(signals_stay_with_the_programs_own_threads),
        weft_unit_test(who_yields_stands_behind_all_that_it_has_started),
    };
    return berth_test_main(tests, NULL, NULL);
}
