/* SPDX-License-Identifier: MIT
 *
 * Hazard: a FILE locked over a park. stdio's lock is a thread's, is taken inside libc, and lets its
 * thread in again: so it keeps out other threads, but not the other coroutines of this one. Hold a
 * mutex instead, which is a coroutine's (test_intercept_mutex.c).
 */
#include "wefttest.h"

#include <stdio.h>
#include <unistd.h>

struct log {
    FILE *file;
    pthread_mutex_t mutex;
    bool uses_mutex;
    atomic_bool is_held, has_written;
    bool was_kept_out;
};

/* Writes two halves of a line with a park in between. */
static int write_halves(void *arg)
{
    struct log *log = arg;
    if (log->uses_mutex)
        (void)pthread_mutex_lock(&log->mutex);
    else
        flockfile(log->file);
    (void)fputs("first ", log->file);
    log->is_held = true;
    int rc = usleep(5000); /* sleeps: with the lock */
    (void)fputs("half\n", log->file);
    if (log->uses_mutex)
        (void)pthread_mutex_unlock(&log->mutex);
    else
        funlockfile(log->file);
    return rc;
}

static int write_line(void *arg)
{
    struct log *log = arg;
    while (!log->is_held && weft_yield() == 0) {
    }
    if (log->uses_mutex)
        (void)pthread_mutex_lock(&log->mutex);
    (void)fputs("line\n", log->file);
    if (log->uses_mutex)
        (void)pthread_mutex_unlock(&log->mutex);
    log->has_written = true;
    return 0;
}

static int write_both(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, write_halves, arg);
    weft_launch(&scope, NULL, write_line, arg);
    return weft_scope_close(&scope, 0);
}

static void given_log(struct log *log, char **text, size_t *bytes)
{
    *log = (struct log){ .mutex = PTHREAD_MUTEX_INITIALIZER };
    log->file = open_memstream(text, bytes);
    assert_non_null(log->file);
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);
}

static void flockfile_does_not_keep_out_coroutines_of_the_same_thread(void **state)
{
    (void)state;
    struct log log;
    char *text = NULL;
    size_t bytes = 0;
    given_log(&log, &text, &bytes);

    assert_int_equal(weft_root_close(weft_root_open(weft_virtual(), write_both, &log)), 0);

    (void)fclose(log.file);
    assert_string_equal(text, "first line\nhalf\n");
    free(text);
}

static void a_mutex_does(void **state)
{
    (void)state;
    struct log log;
    char *text = NULL;
    size_t bytes = 0;
    given_log(&log, &text, &bytes);
    log.uses_mutex = true;

    assert_int_equal(weft_root_close(weft_root_open(weft_virtual(), write_both, &log)), 0);

    (void)fclose(log.file);
    assert_string_equal(text, "first half\nline\n");
    free(text);
}

static void *try_file(void *arg)
{
    struct log *log = arg;
    log->was_kept_out = ftrylockfile(log->file) != 0;
    if (!log->was_kept_out)
        funlockfile(log->file);
    return NULL;
}

static int hold_file(void *arg)
{
    struct log *log = arg;
    flockfile(log->file);
    log->is_held = true;
    bool is_done = test_await(&log->has_written);
    funlockfile(log->file);
    return is_done ? 0 : -ETIMEDOUT;
}

static void flockfile_keeps_out_other_threads(void **state)
{
    (void)state;
    struct log log;
    char *text = NULL;
    size_t bytes = 0;
    pthread_t thread;
    given_log(&log, &text, &bytes);
    struct weft_task *root = weft_root_open(weft_virtual(), hold_file, &log);
    assert_true(test_block_until(&log.is_held));

    assert_int_equal(pthread_create(&thread, NULL, try_file, &log), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_true(log.was_kept_out);
    log.has_written = true;
    assert_int_equal(weft_root_close(root), 0);
    (void)fclose(log.file);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(flockfile_does_not_keep_out_coroutines_of_the_same_thread),
        weft_unit_test(a_mutex_does),
        weft_unit_test(flockfile_keeps_out_other_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
