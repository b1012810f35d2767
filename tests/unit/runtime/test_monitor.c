/* SPDX-License-Identifier: MIT
 *
 * What holds a thread where nobody sees it: the others go on. Each case runs on one carrier. Built
 * with -O2, for errno.
 */
#include "wefttest.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "support/await.h"

#include "thread_set.h"

#define MS          1000000
#define CALC_MS     250
#define ROUNDS      20 /* of who sleeps, while the other one blocks */
#define STUCK       200
#define THREADS_MAX 40
/* 10 ms are promised, and bench_weft r8 measures it. On a busy machine each step on the way to that
 * waits for a core: three looks, a thread that comes, and the sleeper. How long such a step may
 * take a plain thread tells, meanwhile. */
#define PROMISED_NS (10 * (int64_t)MS)
#define STEPS       5

struct gaps {
    int (*block)(struct gaps *gaps); /* holds its thread until release() */
    int ends[2];
    atomic_uint word;
    atomic_uint blocks; /* how many have begun */
    atomic_uint seen;   /* the one beside which there were ROUNDS rounds */
    atomic_bool is_blocking, is_over;
    int64_t longest_ns, plain_ns; /* the longest gap; that of a plain thread */
    unsigned replaced;
};

static void given_one_carrier(void)
{
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);
}

static void given_gaps(struct gaps *gaps, int (*block)(struct gaps *gaps))
{
    *gaps = (struct gaps){ .block = block };
    assert_int_equal(pipe2(gaps->ends, O_CLOEXEC), 0);
}

static void close_gaps(struct gaps *gaps)
{
    (void)close(gaps->ends[0]);
    (void)close(gaps->ends[1]);
}

/* ---- one that blocks beside one that sleeps again and again ---- */

static void note_gap(int64_t *longest_ns, int64_t *before_ns)
{
    int64_t now_ns = weft_now_ns();
    if (now_ns - *before_ns > *longest_ns)
        *longest_ns = now_ns - *before_ns;
    *before_ns = now_ns;
}

/* Where there is one carrier, who goes on while somebody blocks there does so on a spare. */
static int sleep_on(void *arg)
{
    struct gaps *gaps = arg;
    int64_t before_ns = weft_now_ns();
    unsigned rounds = 0, beside = 0;
    while (!gaps->is_over) {
        /* sleeps: a libc call that parks */
        int rc = weft_current() == weft_virtual() ? usleep(1000) : weft_sleep_ms(1);
        if (rc != 0)
            return -EIO;
        note_gap(&gaps->longest_ns, &before_ns);
        rounds = beside == gaps->blocks && gaps->is_blocking ? rounds + 1 : 0;
        beside = gaps->blocks;
        if (rounds == ROUNDS)
            gaps->seen = beside;
    }
    return 0;
}

static int block_once(void *arg)
{
    struct gaps *gaps = arg;
    /* sleeps: a libc call that parks */
    if (usleep(2000) != 0)
        return -EIO;
    gaps->blocks++;
    gaps->is_blocking = true;
    int rc = gaps->block(gaps);
    gaps->is_blocking = false;
    return rc;
}

static int block_and_end(void *arg)
{
    struct gaps *gaps = arg;
    int rc = block_once(gaps);
    gaps->is_over = true;
    return rc;
}

static int both(void *arg)
{
    struct gaps *gaps = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, sleep_on, gaps);
    weft_launch(&scope, NULL, block_and_end, gaps);
    int rc = weft_scope_close(&scope, 0);
    gaps->replaced = test_replaced();
    return rc;
}

/* On a plain thread. */
static void release(struct gaps *gaps)
{
    gaps->word = 1;
    (void)syscall(SYS_futex, &gaps->word, FUTEX_WAKE_PRIVATE, STUCK, NULL, NULL, 0);
    assert_int_equal(write(gaps->ends[1], "\n", 1), 1);
}

struct beside {
    struct gaps *gaps;
    unsigned number;
};

static bool are_rounds_seen(void *arg)
{
    const struct beside *beside = arg;
    return beside->gaps->seen == beside->number;
}

/* Lets the blocks go, one after the other, each when others have gone on beside it. */
static bool release_each(struct gaps *gaps, unsigned count)
{
    bool are_seen = true;
    for (unsigned i = 1; i <= count; i++) {
        struct beside beside = { gaps, i };
        are_seen = await(are_rounds_seen, &beside, TEST_WAIT_MS) && are_seen;
        release(gaps);
    }
    return are_seen;
}

static void *sleep_plainly(void *arg)
{
    struct gaps *gaps = arg;
    int64_t before_ns = weft_now_ns();
    while (!gaps->is_over) {
        (void)usleep(1000); /* sleeps: as sleep_on() does */
        note_gap(&gaps->plain_ns, &before_ns);
    }
    return NULL;
}

/* Whether they went on as soon as promised. That they went on is asserted. */
static bool run_beside(struct gaps *gaps, struct weft_dispatcher *d, weft_fn fn, unsigned blocks)
{
    pthread_t plain;
    assert_int_equal(pthread_create(&plain, NULL, sleep_plainly, gaps), 0);
    struct weft_task *root = weft_root_open(d, fn, gaps);
    bool are_seen = release_each(gaps, blocks);
    int rc = weft_root_close(root);
    gaps->is_over = true;
    assert_int_equal(pthread_join(plain, NULL), 0);
    assert_int_equal(rc, 0);
    assert_true(are_seen);
    print_message("    longest gap %.1f ms, a plain thread's %.1f ms\n",
                  (double)gaps->longest_ns / MS, (double)gaps->plain_ns / MS);
    return gaps->longest_ns <= PROMISED_NS + STEPS * gaps->plain_ns;
}

/* Always in the end, and soon enough sooner or later: the machine may be busy. */
static void check_others_go_on(weft_fn fn, unsigned blocks, int (*block)(struct gaps *gaps))
{
    given_one_carrier();
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    bool is_soon = false;
    while (!is_soon && weft_now_ns() < deadline_ns) {
        struct gaps gaps;
        given_gaps(&gaps, block);
        is_soon = run_beside(&gaps, weft_virtual(), fn, blocks);
        assert_true(gaps.replaced >= 1);
        close_gaps(&gaps);
    }
    assert_true(is_soon);
}

static int block_in_futex(struct gaps *gaps)
{
    while (gaps->word == 0)
        (void)syscall(SYS_futex, &gaps->word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    return 0;
}

static void a_raw_futex_holds_nobody_else(void **state)
{
    (void)state;
    check_others_go_on(both, 1, block_in_futex);
}

static int block_in_read(struct gaps *gaps)
{
    char byte;
    return syscall(SYS_read, gaps->ends[0], &byte, 1) == 1 ? 0 : -errno;
}

static void a_raw_system_call_holds_nobody_else(void **state)
{
    (void)state;
    check_others_go_on(both, 1, block_in_read);
}

static int block_in_popen(struct gaps *gaps)
{
    char command[80], line[16] = "";
    (void)snprintf(command, sizeof command, "read line </proc/%d/fd/%d; echo done", (int)getpid(),
                   gaps->ends[0]);
    FILE *child = popen(command, "r"); /* NOLINT(cert-env33-c): a fixed command */
    if (!child)
        return -errno;
    bool is_read = fgets(line, sizeof line, child) && strcmp(line, "done\n") == 0;
    return pclose(child) == 0 && is_read ? 0 : -EIO;
}

static void popen_and_fgets_hold_nobody_else(void **state)
{
    (void)state;
    check_others_go_on(both, 1, block_in_popen);
}

/* ---- one that waits for another of the same carrier ---- */

static int post_later(void *arg)
{
    struct gaps *gaps = arg;
    while (!gaps->is_blocking) {
        /* sleeps: a libc call that parks */
        if (usleep(1000) != 0)
            return -EIO;
    }
    gaps->word = 1;
    (void)syscall(SYS_futex, &gaps->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return 0;
}

static int wait_and_post(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, post_later, arg);
    weft_launch(&scope, NULL, block_and_end, arg);
    return weft_scope_close(&scope, 0);
}

static void who_waits_on_a_futex_for_another_of_the_same_carrier_is_woken(void **state)
{
    (void)state;
    given_one_carrier();
    struct gaps gaps = { .block = block_in_futex };
    struct weft_task *root = weft_root_open(weft_virtual(), wait_and_post, &gaps);

    assert_int_equal(weft_root_close(root), 0);

    assert_true(gaps.is_over);
    assert_true(test_replaced() >= 1);
}

/* ---- in a view ---- */

#define IN_VIEW 3

static int block_in_view(void *arg)
{
    struct gaps *gaps = arg;
    int rc = block_once(gaps);
    if (gaps->blocks == IN_VIEW)
        gaps->is_over = true;
    return rc;
}

static int in_serial_view(void *arg)
{
    struct gaps *gaps = arg;
    struct weft_dispatcher *serial;
    static unsigned number; /* a name can be had once */
    char name[16];
    (void)snprintf(name, sizeof name, "held-%u", number++);
    int rc = weft_view_serial(weft_virtual(), name, &serial);
    if (rc < 0)
        return rc;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, sleep_on, gaps);
    for (int i = 0; i < IN_VIEW; i++)
        weft_launch(&scope, serial, block_in_view, gaps);
    rc = weft_scope_close(&scope, 0);
    gaps->replaced = test_replaced();
    return rc;
}

static void a_stuck_view_goes_on_where_its_parent_is(void **state)
{
    (void)state;
    check_others_go_on(in_serial_view, IN_VIEW, block_in_read);
}

/* ---- errno of who wakes on the spare ---- */

struct waker {
    struct gaps gaps;
    int pipe[2];
    int seen, result;
    atomic_bool is_done;
};

/* A function of its own: the caller has kept where errno was, for better or worse. */
static __attribute__((noinline)) int fail_to_read(void)
{
    char byte;
    return read(-1, &byte, 1) == -1 && errno == EBADF ? 0 : -ESTALE;
}

static int read_and_fail(void *arg)
{
    struct waker *waker = arg;
    char byte;
    errno = ERANGE;
    ssize_t count = read(waker->pipe[0], &byte, 1); /* parks; its thread gets stuck meanwhile */
    waker->seen = errno;
    waker->result = (int)count;
    int rc = fail_to_read();
    waker->is_done = true;
    return rc;
}

static int write_while_stuck(void *arg)
{
    struct waker *waker = arg;
    while (!waker->gaps.is_blocking) {
        /* sleeps: a libc call that parks */
        if (usleep(1000) != 0)
            return -EIO;
    }
    return write(waker->pipe[1], "x", 1) == 1 ? 0 : -EIO;
}

static int get_stuck(void *arg)
{
    return block_once(&((struct waker *)arg)->gaps);
}

static int read_on_spare(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, read_and_fail, arg);
    weft_launch(&scope, NULL, write_while_stuck, arg);
    weft_launch(&scope, NULL, get_stuck, arg);
    return weft_scope_close(&scope, 0);
}

static void errno_is_true_on_the_spare(void **state)
{
    (void)state;
    given_one_carrier();
    struct waker waker = { .seen = 0 };
    given_gaps(&waker.gaps, block_in_read);
    assert_int_equal(pipe(waker.pipe), 0);
    struct weft_task *root = weft_root_open(weft_virtual(), read_on_spare, &waker);
    bool is_done = test_block_until(&waker.is_done);
    release(&waker.gaps);

    assert_int_equal(weft_root_close(root), 0);

    assert_true(is_done);
    assert_int_equal(waker.result, 1);
    assert_int_equal(waker.seen, ERANGE);
    assert_true(test_replaced() >= 1);
    close_gaps(&waker.gaps);
    (void)close(waker.pipe[0]);
    (void)close(waker.pipe[1]);
}

/* ---- who must not be replaced, and how many may be ---- */

static int calculate(void *arg)
{
    atomic_uint *sum = arg;
    int64_t end_ns = weft_deadline_ms(CALC_MS);
    while (weft_now_ns() < end_ns) {
        for (unsigned i = 0; i < 10000; i++)
            atomic_fetch_add_explicit(sum, i, memory_order_relaxed);
    }
    return 0;
}

static void who_calculates_keeps_its_seat(void **state)
{
    (void)state;
    given_one_carrier();
    atomic_uint sum = 0;

    assert_int_equal(weft_root_close(weft_root_open(weft_virtual(), calculate, &sum)), 0);

    assert_int_equal(test_replaced(), 0);
}

static int one_of_many_stuck(void *arg)
{
    return block_in_futex(arg);
}

static int many_stuck(void *arg)
{
    return launch_many(NULL, STUCK, one_of_many_stuck, arg);
}

static bool are_many_replaced(void *arg)
{
    unsigned *threads_max = arg;
    struct weft_pool_state state;
    weft_threads_look(&state);
    *threads_max = state.threads > *threads_max ? state.threads : *threads_max;
    return state.replaced >= THREADS_MAX / 2;
}

static bool are_few_left(void *arg)
{
    (void)arg;
    struct weft_pool_state state;
    weft_threads_look(&state);
    return state.threads <= 3;
}

static void spares_are_bounded_and_go_when_idle(void **state)
{
    (void)state;
    unsigned threads_max = 0;
    weft_threads_idle_ms_set(20);
    assert_int_equal(
        weft_configure(&(struct weft_opts){ .threads = 1, .threads_max = THREADS_MAX }), 0);

    struct gaps gaps;
    given_gaps(&gaps, NULL);
    struct weft_task *root = weft_root_open(weft_virtual(), many_stuck, &gaps);
    bool are_replaced = await(are_many_replaced, &threads_max, TEST_WAIT_MS);
    release(&gaps);
    assert_int_equal(weft_root_close(root), 0);
    close_gaps(&gaps);

    assert_true(are_replaced);
    assert_in_range(threads_max, 2, THREADS_MAX + 1);
    assert_true(await(are_few_left, NULL, TEST_WAIT_MS));
    weft_threads_idle_ms_set(WEFT_IDLE_MS_DEFAULT);
}

/* ---- a calculation on one seat ---- */

static int calculate_until_over(struct gaps *gaps)
{
    while (gaps->word == 0) {
    }
    return 0;
}

static int calculate_beside_sleeper(void *arg)
{
    struct gaps *gaps = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_opts(&scope, NULL, sleep_on, gaps,
                     &(struct weft_task_opts){ .start = WEFT_START_UNDISPATCHED });
    gaps->blocks++;
    gaps->is_blocking = true;
    (void)gaps->block(gaps); /* on the seat where the sleeper's timer lies */
    gaps->is_over = true;
    return weft_scope_close(&scope, 0);
}

static void a_calculation_does_not_delay_sleepers_if_a_seat_is_free(void **state)
{
    (void)state;
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 2 }), 0);
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    bool is_soon = false;
    while (!is_soon && weft_now_ns() < deadline_ns) {
        struct gaps gaps;
        given_gaps(&gaps, calculate_until_over);
        is_soon = run_beside(&gaps, weft_default(), calculate_beside_sleeper, 1);
        close_gaps(&gaps);
    }
    assert_true(is_soon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(a_raw_futex_holds_nobody_else),
        weft_unit_test(a_raw_system_call_holds_nobody_else),
        weft_unit_test(popen_and_fgets_hold_nobody_else),
        weft_unit_test(who_waits_on_a_futex_for_another_of_the_same_carrier_is_woken),
        weft_unit_test(a_stuck_view_goes_on_where_its_parent_is),
        weft_unit_test(errno_is_true_on_the_spare),
        weft_unit_test(who_calculates_keeps_its_seat),
        weft_unit_test(spares_are_bounded_and_go_when_idle),
        weft_unit_test(a_calculation_does_not_delay_sleepers_if_a_seat_is_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
