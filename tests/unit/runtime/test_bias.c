/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <sched.h>

#include "bias.h"

#define KIND         WEFT_BIAS_OBJECT
#define HAMMERS      3
#define LOCKS        8
#define HAMMER_TIMES (TEST_IS_SLOW ? 2000 : 20000) /* bursts */
#define MOST_MS      10000                         /* a busy machine strikes less often */
#define BURST_MAX    120

static void use(struct weft_bias *lock, struct weft_bias_holder *holder, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        weft_bias_acquire(lock, holder, KIND);
        weft_bias_release(lock, holder, KIND);
    }
}

/* Inside the lock. */
static unsigned revocations(const struct weft_bias *lock)
{
    return lock->owner & 0x8000 ? lock->streak : (unsigned)lock->owner >> 11;
}

static void forget_revocations(struct weft_bias *lock)
{
    if (lock->owner & 0x8000)
        lock->streak = 0;
    else
        lock->owner &= 0x07ff;
}

static bool is_free(const struct weft_bias *lock, const struct weft_bias_holder *holder)
{
    return lock->is_taken == 0 && holder->inside[KIND] != lock;
}

static void who_takes_it_in_a_row_comes_in_without_the_word(void **state)
{
    (void)state;
    weft_fence_open();
    struct weft_bias_holder *me = weft_bias_holder_take();
    struct weft_bias lock = { 0 };

    use(&lock, me, WEFT_BIAS_FIRST);
    weft_bias_acquire(&lock, me, KIND);
    assert_int_equal(lock.is_taken, 1);
    weft_bias_release(&lock, me, KIND);
    weft_bias_acquire(&lock, me, KIND);
    assert_int_equal(lock.is_taken, !weft_fence_is_unequal);
    assert_int_equal(me->inside[KIND] == &lock, weft_fence_is_unequal);
    weft_bias_release(&lock, me, KIND);

    assert_true(is_free(&lock, me));
    weft_bias_holder_give(me);
}

static void without_unequal_fences_nobody_becomes_the_owner(void **state)
{
    (void)state;
    weft_fence_is_unequal = false;
    struct weft_bias_holder *me = weft_bias_holder_take();
    struct weft_bias lock = { 0 };
    use(&lock, me, 2 * WEFT_BIAS_FIRST);
    weft_bias_acquire(&lock, me, KIND);
    assert_int_equal(lock.is_taken, 1);
    weft_bias_release(&lock, me, KIND);
    weft_bias_holder_give(me);
    weft_fence_open();
}

static void a_plain_thread_never_becomes_the_owner(void **state)
{
    (void)state;
    struct weft_bias lock = { 0 };
    use(&lock, &weft_bias_nobody, 2 * WEFT_BIAS_FIRST);
    assert_int_equal(lock.owner, 0);
    assert_true(is_free(&lock, &weft_bias_nobody));
}

static void a_second_lock_of_the_kind_is_taken_by_the_word(void **state)
{
    (void)state;
    struct weft_bias_holder *me = weft_bias_holder_take();
    struct weft_bias first = { 0 }, second = { 0 };
    use(&first, me, 2 * WEFT_BIAS_FIRST);
    use(&second, me, 2 * WEFT_BIAS_FIRST);
    uint16_t owner = second.owner;

    weft_bias_acquire(&first, me, KIND);
    weft_bias_acquire(&second, me, KIND);
    assert_int_equal(second.is_taken, 1);
    assert_int_equal(second.owner, owner);
    weft_bias_release(&first, me, KIND);
    assert_int_equal(second.is_taken, 1);
    weft_bias_release(&second, me, KIND);

    assert_true(is_free(&first, me));
    assert_true(is_free(&second, me));
    weft_bias_holder_give(me);
}

struct visitor {
    struct weft_bias *lock;
    atomic_bool is_in;
};

static void *visit(void *arg)
{
    struct visitor *visitor = arg;
    weft_bias_acquire(visitor->lock, &weft_bias_nobody, KIND);
    visitor->is_in = true;
    weft_bias_release(visitor->lock, &weft_bias_nobody, KIND);
    return NULL;
}

static void who_revokes_waits_for_the_owner(void **state)
{
    (void)state;
    struct weft_bias_holder *me = weft_bias_holder_take();
    struct weft_bias lock = { 0 };
    use(&lock, me, 2 * WEFT_BIAS_FIRST);

    weft_bias_acquire(&lock, me, KIND);
    struct visitor visitor = { .lock = &lock };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, visit, &visitor), 0);
    while (weft_fence_is_unequal && lock.owner == me->key)
        (void)sched_yield();
    for (int i = 0; i < 1000; i++)
        (void)sched_yield();
    assert_false(visitor.is_in);
    weft_bias_release(&lock, me, KIND);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_true(visitor.is_in);
    assert_int_equal(revocations(&lock), weft_fence_is_unequal);
    weft_bias_holder_give(me);
}

static void after_a_revocation_the_bias_takes_twice_as_long(void **state)
{
    (void)state;
    if (!weft_fence_is_unequal)
        skip();
    struct weft_bias_holder *me = weft_bias_holder_take();
    struct weft_bias lock = { 0 };
    use(&lock, me, WEFT_BIAS_FIRST + 1);
    assert_int_equal(lock.owner, me->key);
    use(&lock, &weft_bias_nobody, 1);
    use(&lock, me, 2 * WEFT_BIAS_FIRST);
    assert_int_not_equal(lock.owner, me->key);
    use(&lock, me, 1);
    assert_int_equal(lock.owner, me->key);

    for (int i = 0; i < 20; i++) { /* but not for ever */
        use(&lock, &weft_bias_nobody, 1);
        use(&lock, me, WEFT_BIAS_FIRST << 9);
    }
    use(&lock, me, 1);
    assert_int_equal(lock.owner, me->key);
    weft_bias_holder_give(me);
}

static void the_next_thread_with_the_holder_has_its_locks(void **state)
{
    (void)state;
    struct weft_bias_holder *dead = weft_bias_holder_take();
    struct weft_bias lock = { 0 };
    use(&lock, dead, 2 * WEFT_BIAS_FIRST);
    weft_bias_holder_give(dead);

    struct weft_bias_holder *heir = weft_bias_holder_take();
    assert_ptr_equal(heir, dead);
    weft_bias_acquire(&lock, heir, KIND);
    assert_int_equal(lock.is_taken, !weft_fence_is_unequal);
    weft_bias_release(&lock, heir, KIND);
    weft_bias_holder_give(heir);

    use(&lock, &weft_bias_nobody, 1); /* and one that is revoked from a dead one is free */
    assert_true(is_free(&lock, heir));
}

static void threads_beyond_the_maximum_have_no_holder(void **state)
{
    (void)state;
    struct weft_bias_holder *held[WEFT_BIAS_HOLDERS_MAX];
    for (int i = 0; i < WEFT_BIAS_HOLDERS_MAX; i++) {
        held[i] = weft_bias_holder_take();
        assert_ptr_not_equal(held[i], &weft_bias_nobody);
    }
    assert_ptr_equal(weft_bias_holder_take(), &weft_bias_nobody);
    weft_bias_holder_give(&weft_bias_nobody);
    for (int i = 0; i < WEFT_BIAS_HOLDERS_MAX; i++)
        weft_bias_holder_give(held[i]);
}

/* ---- several threads, bias and revocation all the time --------------------------------------- */

struct guarded {
    struct weft_bias lock;
    unsigned long count; /* under the lock */
    unsigned long revocations;
};

struct anvil {
    struct guarded guarded[LOCKS];
    atomic_uint hammer_count;
    atomic_ulong strikes; /* of them all */
    int64_t until_ns;
};

static void strike(struct guarded *g, struct weft_bias_holder *me)
{
    weft_bias_acquire(&g->lock, me, KIND);
    g->count++;
    g->revocations += revocations(&g->lock);
    forget_revocations(&g->lock); /* no back-off: else it would soon be quiet */
    weft_bias_release(&g->lock, me, KIND);
}

/* Bursts, so that each lock has owners; the last hammer is a plain thread, which has none. */
static void *hammer(void *arg)
{
    struct anvil *anvil = arg;
    uint32_t random = 1 + atomic_fetch_add(&anvil->hammer_count, 1);
    bool is_plain = random == HAMMERS;
    struct weft_bias_holder *me = is_plain ? &weft_bias_nobody : weft_bias_holder_take();
    unsigned long strikes = 0;
    for (int i = 0; i < HAMMER_TIMES && weft_now_ns() < anvil->until_ns; i++) {
        random = random * 1664525 + 1013904223;
        struct guarded *g = &anvil->guarded[(random >> 20) % LOCKS];
        unsigned times = is_plain ? 1 : 1 + (random >> 8) % BURST_MAX;
        for (unsigned k = 0; k < times; k++)
            strike(g, me);
        strikes += times;
        if (i % 16 == 0)
            (void)sched_yield();
    }
    weft_bias_holder_give(me);
    anvil->strikes += strikes;
    return NULL;
}

static void nobody_is_inside_beside_another(void **state)
{
    (void)state;
    weft_fence_open();
    struct anvil anvil = { .until_ns = weft_deadline_ms(MOST_MS) };
    pthread_t threads[HAMMERS];
    unsigned long counted = 0, revocations = 0;
    for (uint32_t i = 0; i < HAMMERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &anvil), 0);
    for (int i = 0; i < HAMMERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < LOCKS; i++) {
        counted += anvil.guarded[i].count;
        revocations += anvil.guarded[i].revocations;
    }
    assert_int_equal(counted, anvil.strikes);
    assert_int_equal(revocations > 0, weft_fence_is_unequal); /* thousands, if they run at once */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_takes_it_in_a_row_comes_in_without_the_word),
        cmocka_unit_test(without_unequal_fences_nobody_becomes_the_owner),
        cmocka_unit_test(a_plain_thread_never_becomes_the_owner),
        cmocka_unit_test(a_second_lock_of_the_kind_is_taken_by_the_word),
        cmocka_unit_test(who_revokes_waits_for_the_owner),
        cmocka_unit_test(after_a_revocation_the_bias_takes_twice_as_long),
        cmocka_unit_test(the_next_thread_with_the_holder_has_its_locks),
        cmocka_unit_test(threads_beyond_the_maximum_have_no_holder),
        cmocka_unit_test(nobody_is_inside_beside_another),
    };
    return berth_test_main(tests, NULL, NULL);
}
