/* SPDX-License-Identifier: MIT
 *
 * <threads.h> in coroutines whose libc calls park, all on one thread.
 */
#include "wefttest.h"

#include <threads.h>
#include <time.h>

#define CROWD 20

struct shared {
    mtx_t mutex;
    cnd_t cond;
    int holders, holders_max, words;
    int rc[4];
};

static int hold_over_wait(void *arg)
{
    struct shared *s = arg;
    if (mtx_lock(&s->mutex) != thrd_success)
        return -EIO;
    if (++s->holders > s->holders_max)
        s->holders_max = s->holders;
    int rc = weft_sleep_ms(1);
    s->holders--;
    return mtx_unlock(&s->mutex) == thrd_success ? rc : -EIO;
}

static int listen(void *arg)
{
    struct shared *s = arg;
    (void)mtx_lock(&s->mutex);
    while (s->words == 0)
        (void)cnd_wait(&s->cond, &s->mutex);
    s->words--;
    return mtx_unlock(&s->mutex) == thrd_success ? 0 : -EIO;
}

static int say_all(void *arg)
{
    struct shared *s = arg;
    (void)mtx_lock(&s->mutex);
    s->words += CROWD;
    (void)cnd_signal(&s->cond);
    (void)mtx_unlock(&s->mutex);
    return cnd_broadcast(&s->cond) == thrd_success ? 0 : -EIO;
}

static int crowd(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < CROWD; i++) {
        weft_launch(&scope, NULL, hold_over_wait, arg);
        weft_launch(&scope, NULL, listen, arg);
    }
    weft_launch(&scope, NULL, say_all, arg);
    return weft_scope_close(&scope, 0);
}

static int answers(void *arg)
{
    struct shared *s = arg;
    const struct timespec past = { .tv_sec = 1 };
    (void)mtx_lock(&s->mutex);
    s->rc[0] = mtx_trylock(&s->mutex);
    s->rc[1] = mtx_timedlock(&s->mutex, &past);
    s->rc[2] = cnd_timedwait(&s->cond, &s->mutex, &past);
    s->rc[3] = mtx_unlock(&s->mutex);
    return 0;
}

static void run_on_one_thread(weft_fn fn, struct shared *s)
{
    *s = (struct shared){ .words = 0 };
    assert_int_equal(mtx_init(&s->mutex, mtx_timed), thrd_success);
    assert_int_equal(cnd_init(&s->cond), thrd_success);
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);
    assert_int_equal(weft_root_close(weft_root_open(weft_virtual(), fn, s)), 0);
}

static void mutexes_and_conditions_park(void **state)
{
    (void)state;
    struct shared s;

    run_on_one_thread(crowd, &s);

    assert_int_equal(s.holders_max, 1);
    assert_int_equal(s.words, 0);
}

static void answers_are_those_of_threads_h(void **state)
{
    (void)state;
    struct shared s;

    run_on_one_thread(answers, &s);

    const int expected[] = { thrd_busy, thrd_timedout, thrd_timedout, thrd_success };
    assert_memory_equal(s.rc, expected, sizeof expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        parking_unit_test(mutexes_and_conditions_park),
        parking_unit_test(answers_are_those_of_threads_h),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
