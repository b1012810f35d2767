/* SPDX-License-Identifier: MIT
 *
 * Threads: how many there are, and what becomes of the work when there are too few.
 */
#include "wefttest.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/await.h"

#include "seat.h"
#include "thread_set.h"

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);

/* From this many more on the kernel gives no thread; negative: it always does. */
static atomic_int threads_left = -1;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
    if (threads_left == 0)
        return EAGAIN;
    if (threads_left > 0)
        threads_left--;
    return __real_pthread_create(thread, attr, fn, arg);
}

static int teardown(void **state)
{
    (void)state;
    threads_left = -1;
    weft_threads_idle_ms_set(WEFT_IDLE_MS_DEFAULT);
    return weft_shutdown();
}

/* ---- signals -----------------------------------------------------------------------------------
 */

static int is_fault_blocked(void *arg)
{
    sigset_t mask;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
    *(int *)arg = sigismember(&mask, SIGSEGV);
    return 0;
}

static void a_thread_takes_its_own_faults_whoever_starts_it(void **state)
{
    (void)state;
    sigset_t fault, before;
    int is_blocked = -1;
    (void)sigemptyset(&fault);
    (void)sigaddset(&fault, SIGSEGV);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &fault, &before), 0);

    struct weft_task *root = weft_root_open(weft_io(), is_fault_blocked, &is_blocked);
    assert_non_null(root);
    assert_int_equal(weft_root_close(root), 0);

    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    assert_int_equal(is_blocked, 0);
}

/* ---- work of every kind -----------------------------------------------------------------------
 */

enum { BRANCHES = 6, LEAVES = 5 };

struct work {
    struct weft_dispatcher *on[BRANCHES];
    atomic_int done;
    int ends[2];
};

static int count(void *arg)
{
    ((struct work *)arg)->done++;
    return 0;
}

static int move_and_count(void *arg)
{
    int rc = weft_with(weft_io(), count, arg);
    return rc == 0 ? weft_with(weft_default(), count, arg) : rc;
}

static int sleep_and_count(void *arg)
{
    int rc = weft_sleep_ms(1);
    return rc == 0 ? count(arg) : rc;
}

/* By libc's name: on virtual it parks. */
static int doze_and_count(void *arg)
{
    (void)usleep(1000); /* sleeps: so do those whom it tests */
    return count(arg);
}

static int wait_and_count(void *arg)
{
    struct work *work = arg;
    int rc = weft_fd_wait(work->ends[0], POLLIN, weft_deadline_ms(TEST_WAIT_MS));
    return rc > 0 ? count(arg) : rc;
}

static int write_later(void *arg)
{
    int rc = weft_sleep_ms(2);
    return rc == 0 && write(((struct work *)arg)->ends[1], "x", 1) != 1 ? -errno : rc;
}

static int branch(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    (void)weft_launch(&scope, NULL, count, arg);
    (void)weft_launch(&scope, NULL, move_and_count, arg);
    (void)weft_launch(&scope, NULL, sleep_and_count, arg);
    (void)weft_launch(&scope, weft_virtual(), doze_and_count, arg);
    (void)weft_launch(&scope, NULL, wait_and_count, arg);
    return weft_scope_close(&scope, 0);
}

#define DONE (BRANCHES * (LEAVES + 1))

static void open_work(struct work *work)
{
    *work = (struct work){ .done = 0 };
    assert_int_equal(pipe(work->ends), 0);
    struct weft_dispatcher *view, *nested;
    assert_int_equal(weft_view_independent(2, "beside", &view), 0);
    assert_int_equal(weft_view_nested(weft_io(), 1, "within", &nested), 0);
    struct weft_dispatcher *const on[BRANCHES] = { weft_default(), weft_io(),      view,
                                                   nested,         weft_virtual(), weft_default() };
    memcpy(work->on, on, sizeof on);
}

static void close_work(struct work *work)
{
    (void)close(work->ends[0]);
    (void)close(work->ends[1]);
}

/* From a plain thread, a root on each. All that could be started has ended when it returns. */
static int run_work(struct work *work)
{
    struct weft_task *roots[BRANCHES + 1];
    roots[BRANCHES] = weft_root_open(NULL, write_later, work);
    for (int i = 0; i < BRANCHES; i++)
        roots[i] = weft_root_open(work->on[i], branch, work);
    int rc = 0;
    for (int i = 0; i <= BRANCHES; i++) {
        int one = roots[i] ? weft_root_close(roots[i]) : -ENOMEM;
        rc = rc < 0 ? rc : one;
    }
    return rc;
}

/* ---- too few threads --------------------------------------------------------------------------
 */

static void with_one_thread_and_no_further_to_be_had_all_work_is_done(void **state)
{
    (void)state;
    for (int i = 0; i < (TEST_IS_SLOW ? 3 : 20); i++) {
        threads_left = 2; /* service, and the one */
        struct work work;
        open_work(&work);

        assert_int_equal(run_work(&work), 0);

        assert_int_equal(work.done, DONE);
        struct weft_pool_state pool;
        weft_threads_look(&pool);
        assert_int_equal(pool.threads, 1);
        close_work(&work);
        threads_left = -1;
        assert_int_equal(weft_shutdown(), 0);
    }
}

static void from_whatever_thread_on_none_can_be_had_no_work_is_lost(void **state)
{
    (void)state;
    int started = 0;
    for (int n = 0; n < 16; n++) {
        struct work work;
        threads_left = n;
        open_work(&work);
        int rc = run_work(&work);
        threads_left = -1;
        started += rc == 0;
        if (rc == 0)
            assert_int_equal(work.done, DONE);
        else
            assert_int_equal(work.done, 0); /* weft could not even start */
        close_work(&work);
        assert_int_equal(weft_shutdown(), 0);
    }
    assert_in_range(started, 10, 15);
}

static bool is_alone(void *arg)
{
    (void)arg;
    struct weft_pool_state pool;
    weft_threads_look(&pool);
    return pool.threads <= 1;
}

static int await_one_on_default(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    (void)weft_launch(&scope, weft_default(), sleep_and_count, arg);
    return weft_scope_close(&scope, 0);
}

/* Whose child ends on default wakes it on io: the thread comes along, and leaves its seat. Default
 * has one seat: who watches a seat does not go. */
static void the_last_thread_stays_and_takes_what_comes(void **state)
{
    (void)state;
    weft_threads_idle_ms_set(2);
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);
    for (int i = 0; i < (TEST_IS_SLOW ? 3 : 20); i++) {
        struct work work = { .done = 0 };
        struct weft_task *root = weft_root_open(weft_io(), await_one_on_default, &work);
        assert_int_equal(weft_root_close(root), 0);
        assert_true(await(is_alone, NULL, TEST_WAIT_MS));

        threads_left = 0;
        root = weft_root_open(weft_io(), await_one_on_default, &work);
        assert_int_equal(weft_root_close(root), 0);
        assert_int_equal(weft_run(move_and_count, &work), 0);
        threads_left = -1;

        assert_int_equal(work.done, 4);
    }
}

/* ---- never too many ---------------------------------------------------------------------------
 */

enum { THREADS = 2, IO_THREADS = 3, THREADS_MAX = 7, EACH = 12 };

struct crowd {
    struct weft_dispatcher *on[3];
    atomic_int blocked, ended;
    atomic_bool is_full, is_free;
};

static int block(void *arg)
{
    struct crowd *crowd = arg;
    if (++crowd->blocked == THREADS_MAX)
        crowd->is_full = true;
    bool is_free = test_block_until(&crowd->is_free);
    crowd->ended++;
    return is_free ? 0 : -ETIMEDOUT;
}

static int launch_crowd(void *arg)
{
    struct crowd *crowd = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 3 * EACH; i++)
        (void)weft_launch(&scope, crowd->on[i % 3], block, crowd);
    return weft_scope_close(&scope, 0);
}

static void all_limits_are_reached_at_once_and_threads_max_is_not_passed(void **state)
{
    (void)state;
    struct weft_pool_state pool;
    for (int i = 0; i < 5; i++) {
        struct crowd crowd = { .on = { weft_default(), weft_io(), NULL } };
        assert_int_equal(weft_configure(&(struct weft_opts){ .threads = THREADS,
                                                             .io_threads = IO_THREADS,
                                                             .threads_max = THREADS_MAX }),
                         0);
        assert_int_equal(weft_view_independent(EACH, "beside", &crowd.on[2]), 0);
        struct weft_task *root = weft_root_open(NULL, launch_crowd, &crowd);
        assert_true(test_block_until(&crowd.is_full)); /* 2 + 3 + what is left: 2 */

        weft_threads_look(&pool);
        assert_int_equal(pool.threads, THREADS_MAX);
        assert_int_equal(crowd.blocked, THREADS_MAX);
        crowd.is_free = true;
        assert_int_equal(weft_root_close(root), 0);
        assert_int_equal(crowd.ended, 3 * EACH);
        weft_threads_look(&pool);
        assert_in_range(pool.threads, 1, THREADS_MAX);
        assert_int_equal(weft_shutdown(), 0);
    }
}

/* ---- memory -----------------------------------------------------------------------------------
 */

enum { MANY = 10000, USED_BYTES = 16 << 10 };

static long resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &pages, &resident) != 2)
        abort();
    (void)fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) >> 10);
}

struct use {
    atomic_int parked;
    struct weft_semaphore go_on;
    long most_kib;
};

static int use_stack(void *arg)
{
    struct use *use = arg;
    volatile char bytes[USED_BYTES];
    for (size_t i = 0; i < sizeof bytes; i += 512)
        bytes[i] = 1;
    use->parked++;
    int rc = weft_semaphore_acquire(&use->go_on, WEFT_NEVER);
    return rc < 0 ? rc : bytes[0] - 1;
}

static int use_many_stacks(void *arg)
{
    struct use *use = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < MANY; i++)
        (void)weft_launch(&scope, NULL, use_stack, use);
    while (use->parked < MANY && weft_sleep_ms(1) == 0) {
    }
    use->most_kib = resident_kib();
    for (int i = 0; i < MANY; i++)
        weft_semaphore_release(&use->go_on);
    return weft_scope_close(&scope, 0);
}

static bool has_shrunk(void *arg)
{
    /* Of 160 MiB those of 1,024 stacks are kept, and records of coroutines. */
    return resident_kib() < *(const long *)arg - (long)MANY * (USED_BYTES >> 10) * 3 / 4;
}

static void memory_of_stacks_goes_back_when_nobody_has_used_it_for_a_second(void **state)
{
    (void)state;
    if (TEST_IS_SLOW)
        skip(); /* sanitizers keep what they note of memory */
    struct use use = { .parked = 0 };

    assert_int_equal(weft_run(use_many_stacks, &use), 0);

    assert_int_equal(use.parked, MANY);
    assert_true(await(has_shrunk, &use.most_kib, TEST_WAIT_MS));
    assert_int_equal(weft_run(use_many_stacks, &use), 0); /* and they can be used again */
}

/* ---- who watches ------------------------------------------------------------------------------
 */

static int nothing(void *arg)
{
    return *(int *)arg;
}

/* As when a thread that sat there beside the watcher has got stuck, and lost the seat. */
static void a_seat_that_is_watched_needs_its_watcher_and_no_further_thread(void **state)
{
    (void)state;
    struct weft_pool pool = { .base = { .name = "a pool" } };
    static struct weft_thread watcher;
    static _Alignas(64) struct weft_seat seat;
    memset(&seat, 0, sizeof seat);
    assert_int_equal(weft_run(nothing, &(int){ 0 }), 0); /* threads can be had from now on */
    assert_int_equal(weft_seat_init(&seat, &pool, UINT_MAX), 0);
    seat.watcher = &watcher;

    assert_int_equal(weft_threads_fetch(&seat), 0);

    assert_true(seat.poller.is_kicked);
    assert_ptr_equal(seat.watcher, &watcher);
    weft_seat_fini(&seat);
}

#define threads_unit_test(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        threads_unit_test(a_thread_takes_its_own_faults_whoever_starts_it),
        threads_unit_test(with_one_thread_and_no_further_to_be_had_all_work_is_done),
        threads_unit_test(from_whatever_thread_on_none_can_be_had_no_work_is_lost),
        threads_unit_test(the_last_thread_stays_and_takes_what_comes),
        threads_unit_test(all_limits_are_reached_at_once_and_threads_max_is_not_passed),
        threads_unit_test(a_seat_that_is_watched_needs_its_watcher_and_no_further_thread),
        threads_unit_test(memory_of_stacks_goes_back_when_nobody_has_used_it_for_a_second),
    };
    return berth_test_main(tests, NULL, NULL);
}
