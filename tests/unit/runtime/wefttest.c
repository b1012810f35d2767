/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/await.h"

#include "thread_set.h"

#define OUTPUT_BYTES 4096

int one_thread(void **state)
{
    (void)state;
    return weft_configure(&(struct weft_opts){ .threads = 1 });
}

unsigned test_replaced(void)
{
    struct weft_pool_state state;
    weft_threads_look(&state);
    return state.replaced;
}

int run_virtual(weft_fn fn, void *arg)
{
    return weft_root_close(weft_root_open(weft_virtual(), fn, arg));
}

int launch_many(struct weft_dispatcher *d, int count, weft_fn fn, void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < count; i++)
        weft_launch(&scope, d, fn, arg);
    return weft_scope_close(&scope, 0);
}

int increment(void *arg)
{
    volatile int *count = arg;
    int seen = *count;
    (void)sched_yield();
    *count = seen + 1;
    return 0;
}

bool test_await(const atomic_bool *is_true)
{
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    while (!*is_true && weft_now_ns() < deadline_ns && weft_sleep_ms(1) == 0) {
    }
    return *is_true;
}

/* A thread that waits for a lock whose holder is not running, on a busy machine, looks stuck, too.
 */
#define STUCK_BY_CHANCE 1

int weft_parking_teardown(void **state)
{
    struct weft_pool_state seen;
    weft_threads_look(&seen);
    bool is_bad = seen.replaced > STUCK_BY_CHANCE && !TEST_IS_SLOW;
    if (is_bad)
        print_error("%u threads were stuck in a call that should have parked\n", seen.replaced);
    int rc = weft_test_teardown(state);
    return is_bad ? -1 : rc;
}

static bool is_set(void *arg)
{
    return *(const atomic_bool *)arg;
}

bool test_block_until(atomic_bool *is_true)
{
    return await(is_set, is_true, TEST_WAIT_MS);
}

static void read_all(int fd, char *output)
{
    size_t used = 0;
    ssize_t got;
    while (used < OUTPUT_BYTES - 1 && (got = read(fd, output + used, OUTPUT_BYTES - 1 - used)) > 0)
        used += (size_t)got;
    output[used] = '\0';
}

void assert_dies(int (*fn)(void *arg), void *arg, const char *text)
{
    assert_dies_of(SIGABRT, fn, arg, text);
}

void assert_dies_of(int signal_number, int (*fn)(void *arg), void *arg, const char *text)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(signal_number, SIG_DFL); /* cmocka catches some */
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)fn(arg);
        _exit(0);
    }
    (void)close(ends[1]);
    char output[OUTPUT_BYTES];
    read_all(ends[0], output);
    (void)close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!strstr(output, text))
        print_error("stderr was: %s\n", output);
    assert_non_null(strstr(output, text));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal_number);
}

static int block_thread(void *arg)
{
    struct io_block *block = arg;
    block->is_blocked = true;
    return test_block_until(&block->is_free) ? 0 : -ETIMEDOUT;
}

void io_block(struct io_block *block)
{
    *block = (struct io_block){ .root = NULL };
    block->root = weft_root_open(weft_io(), block_thread, block);
    assert_non_null(block->root);
    assert_true(test_block_until(&block->is_blocked));
}

void io_free(struct io_block *block)
{
    block->is_free = true;
    assert_int_equal(weft_root_close(block->root), 0);
}

void assert_pooled(weft_fn fn, void *arg, const atomic_int *done, int count)
{
    struct io_block block;
    assert_int_equal(weft_configure(&(struct weft_opts){ .io_threads = 1 }), 0);
    io_block(&block);
    struct weft_task *root = weft_root_open(weft_virtual(), fn, arg);

    (void)usleep(20000); /* sleeps: that nothing happens shows only in time */

    int early = *done;
    io_free(&block);
    assert_int_equal(weft_root_close(root), 0);
    assert_int_equal(early, 0);
    assert_int_equal(*done, count);
}
