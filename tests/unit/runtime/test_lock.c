/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include "lock.h"

enum { THREADS = 4, ROUNDS = 20000 };

struct counter {
    struct weft_lock lock;
    unsigned long value;
};

static void *count(void *arg)
{
    struct counter *counter = arg;
    for (int i = 0; i < ROUNDS; i++) {
        weft_lock_acquire(&counter->lock);
        counter->value++;
        weft_lock_release(&counter->lock);
    }
    return NULL;
}

static void one_at_a_time_is_inside(void **state)
{
    (void)state;
    struct counter counter = { 0 };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, &counter), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(counter.value, (unsigned long)THREADS * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(one_at_a_time_is_inside) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
