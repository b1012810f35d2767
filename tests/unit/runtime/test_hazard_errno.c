/* SPDX-License-Identifier: MIT
 *
 * Hazard: errno over a parked call. Compilers keep its address (this file is built with -O2), so a
 * coroutine must wake on the thread on which it parked; and others have run there in between.
 */
#include "wefttest.h"

#include <unistd.h>

#define COROUTINES 40
#define ROUNDS     20

/* All of it in one function: `errno` is one address to the compiler. Not watched by
 * ThreadSanitizer: a run in which the monitor took a thread for stuck reads another thread's, and
 * is done again. */
__attribute__((no_sanitize("thread"))) static int fail_around_sleeps(void *arg)
{
    int own = *(int *)arg;
    for (int i = 0; i < ROUNDS; i++) {
        errno = own;
        if (usleep(100 + (useconds_t)own % 7 * 100) != 0) /* sleeps: that is what parks */
            return -EIO;
        if (errno != own)
            return -ESTALE; /* somebody else's, or another thread's */
        if (close(-1) != -1 || errno != EBADF)
            return -EBADE; /* what libc set is not what we read */
    }
    return 0;
}

static int fail_all(void *arg)
{
    (void)arg;
    int numbers[COROUTINES];
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < COROUTINES; i++) {
        numbers[i] = 1000 + i;
        weft_launch(&scope, NULL, fail_around_sleeps, &numbers[i]);
    }
    return weft_scope_close(&scope, 0);
}

/* Again if the monitor took a thread for stuck: who is parked there wakes on another one, where
 * what libc sets is not what was read before. */
static void errno_stays_true_over_a_parked_call(void **state)
{
    (void)state;
    unsigned before;
    int rc;
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    do {
        before = test_replaced();
        rc = run_virtual(fail_all, NULL);
    } while (test_replaced() != before && weft_now_ns() < deadline_ns);

    assert_int_equal(test_replaced(), before);
    assert_int_equal(rc, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(errno_stays_true_over_a_parked_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
