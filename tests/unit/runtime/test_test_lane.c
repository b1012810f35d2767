/* SPDX-License-Identifier: MIT */
#include "runtest.h"

#include "test_run.h"

#define SEED_COUNT (TEST_IS_SLOW ? 50 : 1000)

struct steps {
    uint64_t hash;
    size_t count;
};

/* FNV-1a. */
static void hash_in(struct steps *steps, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        steps->hash = (steps->hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
}

static void on_step(void *arg, int64_t now_ns, const char *lane, const char *name)
{
    struct steps *steps = arg;
    steps->count++;
    hash_in(steps, &now_ns, sizeof now_ns);
    hash_in(steps, lane, strlen(lane) + 1);
    hash_in(steps, name, strlen(name) + 1);
}

static struct steps steps_of(uint64_t seed, weft_fn fn, void *arg, int wanted_rc)
{
    struct steps steps = { .hash = 14695981039346656037u };
    weft_test_on_step(on_step, &steps);
    int rc = weft_test_run(seed, fn, arg);
    weft_test_on_step(NULL, NULL);
    assert_int_equal(rc, wanted_rc);
    return steps;
}

/* A bit of everything: channel, mutex, select, timeouts, scopes, views, all dispatchers. */
struct mix {
    struct weft_chan *chan;
    struct weft_mutex mutex;
    struct weft_semaphore semaphore;
    struct weft_cond cond;
    int inside, sent, received, sum_sent, sum_received, locked, waiting;
    bool is_open, has_met;
};

static int mix_send(void *arg)
{
    struct mix *mix = arg;
    for (int i = 1; i <= 4; i++) {
        int rc = weft_chan_send(mix->chan, &i, sizeof i, WEFT_NEVER);
        if (rc < 0)
            return rc;
        mix->sent++;
        mix->sum_sent += i;
    }
    return 0;
}

static int mix_receive(void *arg)
{
    struct mix *mix = arg;
    int item, rc;
    while ((rc = weft_chan_recv(mix->chan, &item, sizeof item, weft_deadline_ms(50))) > 0) {
        mix->received++;
        mix->sum_received += item;
    }
    return rc == -ETIMEDOUT ? 0 : rc;
}

static int mix_select(void *arg)
{
    struct mix *mix = arg;
    for (;;) {
        int item = 0;
        struct weft_case one = { .recv = mix->chan, .item = &item, .item_bytes = sizeof item };
        int rc = weft_select(&one, 1, weft_deadline_ms(50));
        if (rc < 0)
            return rc == -ETIMEDOUT ? 0 : rc;
        if (one.rc <= 0)
            return one.rc;
        mix->received++;
        mix->sum_received += item;
    }
}

static int mix_lock(void *arg)
{
    struct mix *mix = arg;
    for (int i = 0; i < 3; i++) {
        int rc = weft_mutex_lock(&mix->mutex, WEFT_NEVER);
        if (rc < 0)
            return rc;
        mix->has_met = mix->has_met || mix->inside++ > 0;
        (void)weft_yield();
        (void)weft_sleep_ms(i);
        mix->inside--;
        mix->locked++;
        weft_mutex_unlock(&mix->mutex);
    }
    return 0;
}

static int mix_wait_open(void *arg)
{
    struct mix *mix = arg;
    int rc = weft_mutex_lock(&mix->mutex, WEFT_NEVER);
    if (rc < 0)
        return rc;
    mix->waiting++;
    while (rc == 0 && !mix->is_open)
        rc = weft_cond_wait(&mix->cond, &mix->mutex, WEFT_NEVER);
    weft_mutex_unlock(&mix->mutex);
    return rc;
}

static int mix_open(void *arg)
{
    struct mix *mix = arg;
    int rc = weft_semaphore_acquire(&mix->semaphore, WEFT_NEVER);
    if (rc < 0)
        return rc;
    rc = weft_mutex_lock(&mix->mutex, WEFT_NEVER);
    if (rc < 0)
        return rc;
    mix->is_open = true;
    weft_cond_broadcast(&mix->cond);
    weft_mutex_unlock(&mix->mutex);
    weft_semaphore_release(&mix->semaphore);
    return 0;
}

static int mix_hop(void *arg)
{
    int rc = weft_with(weft_io(), mix_lock, arg);
    return rc < 0 ? rc : weft_timeout_ms(1, mix_send, arg);
}

static int mix_run(void *arg)
{
    struct mix *mix = arg;
    *mix = (struct mix){ 0 };
    weft_semaphore_init(&mix->semaphore, 1);
    int rc = weft_chan_new(sizeof(int), 2, NULL, &mix->chan);
    if (rc < 0)
        return rc;
    struct weft_dispatcher *serial, *pair;
    rc = weft_view_serial(weft_default(), "mix serial", &serial);
    if (rc == 0)
        rc = weft_view_nested(weft_virtual(), 2, "mix pair", &pair);
    struct weft_scope scope;
    weft_scope_open(&scope);
    if (rc == 0) {
        weft_launch(&scope, serial, mix_send, mix);
        weft_launch(&scope, pair, mix_send, mix);
        weft_launch(&scope, NULL, mix_receive, mix);
        weft_launch(&scope, weft_io(), mix_select, mix);
        weft_launch(&scope, pair, mix_lock, mix);
        weft_launch(&scope, pair, mix_lock, mix);
        weft_launch(&scope, serial, mix_lock, mix);
        weft_launch(&scope, weft_virtual(), mix_wait_open, mix);
        weft_launch(&scope, NULL, mix_wait_open, mix);
        weft_launch(&scope, weft_io(), mix_open, mix);
        weft_launch(&scope, NULL, mix_hop, mix);
    }
    rc = weft_scope_close(&scope, rc);
    weft_chan_free(mix->chan);
    if (rc < 0)
        return rc;
    bool is_sum = mix->sum_sent == mix->sum_received && mix->sent == mix->received;
    return is_sum && mix->sent == 12 && mix->locked == 12 && !mix->has_met ? 0 : -ERANGE;
}

static void the_same_seed_gives_the_same_run(void **state)
{
    (void)state;
    struct mix mix;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct steps first = steps_of(seed, mix_run, &mix, 0);
        struct steps again = steps_of(seed, mix_run, &mix, 0);
        assert_int_equal(first.count, again.count);
        assert_true(first.hash == again.hash);
    }
}

static void different_seeds_give_different_runs(void **state)
{
    (void)state;
    struct mix mix;
    uint64_t hashes[20];
    for (uint64_t seed = 0; seed < 20; seed++) {
        hashes[seed] = steps_of(seed, mix_run, &mix, 0).hash;
        for (uint64_t other = 0; other < seed; other++)
            assert_true(hashes[other] != hashes[seed]);
    }
}

static void everything_that_waits_keeps_its_promises_under_many_seeds(void **state)
{
    (void)state;
    struct mix mix;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++)
        assert_int_equal(weft_test_run(seed, mix_run, &mix), 0);
}

static int racy_add(void *arg)
{
    int *counter = arg, seen = *counter;
    int rc = weft_yield();
    *counter = seen + 1;
    return rc;
}

static int race(void *arg)
{
    int *counter = arg;
    *counter = 0;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, racy_add, counter);
    weft_launch(&scope, NULL, racy_add, counter);
    int rc = weft_scope_close(&scope, 0);
    return rc < 0 || *counter == 2 ? rc : -ERANGE;
}

static void a_race_shows_under_some_seeds_and_again_under_the_same(void **state)
{
    (void)state;
    unsigned lost_count = 0;
    struct capture *capture = calloc(1, sizeof *capture);
    assert_non_null(capture);
    for (uint64_t seed = 0; seed < 200; seed++) {
        int counter = 0;
        int rc = run_captured(seed, race, &counter, capture);
        assert_true(rc == 0 || rc == -ERANGE);
        lost_count += rc == -ERANGE;
        for (int i = 0; i < 3; i++)
            assert_int_equal(run_captured(seed, race, &counter, capture), rc);
    }
    free(capture);
    assert_in_range(lost_count, 20, 180);
}

struct order {
    char text[8];
    size_t used;
};

static int write_letter(struct order *order, char letter)
{
    order->text[order->used++] = letter;
    return 0;
}

static int write_a(void *arg)
{
    return write_letter(arg, 'a');
}

static int write_b(void *arg)
{
    return write_letter(arg, 'b');
}

static int write_c(void *arg)
{
    return write_letter(arg, 'c');
}

struct on_view {
    int limit;
    struct order order;
};

/* On a view with that limit; 0: on the default dispatcher. */
static int write_three(void *arg)
{
    struct on_view *on = arg;
    on->order = (struct order){ .used = 0 };
    struct weft_dispatcher *view = NULL;
    int rc = on->limit > 0 ? weft_view_nested(weft_default(), on->limit, "three", &view) : 0;
    struct weft_scope scope;
    weft_scope_open(&scope);
    if (rc == 0) {
        weft_launch(&scope, view, write_a, &on->order);
        weft_launch(&scope, view, write_b, &on->order);
        weft_launch(&scope, view, write_c, &on->order);
    }
    return weft_scope_close(&scope, rc);
}

/* How many of the six orders come under 200 seeds. */
static unsigned count_orders(int limit)
{
    static const char *const all[] = { "abc", "acb", "bac", "bca", "cab", "cba" };
    unsigned seen[6] = { 0 }, count = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct on_view on = { .limit = limit };
        assert_int_equal(weft_test_run(seed, write_three, &on), 0);
        unsigned i = 0;
        while (i < 6 && strcmp(all[i], on.order.text) != 0)
            i++;
        assert_true(i < 6);
        count += seen[i]++ == 0;
    }
    assert_true(seen[0] > 0);
    return count;
}

static void any_order_comes_but_a_serial_view_keeps_its_own(void **state)
{
    (void)state;
    assert_int_equal(count_orders(0), 6);
    assert_int_equal(count_orders(1), 1);
    assert_int_equal(count_orders(2), 4); /* the third cannot overtake both */
    assert_int_equal(count_orders(3), 6);
}

static int sleep_then_a(void *arg)
{
    int rc = weft_sleep_ms(5);
    return rc < 0 ? rc : write_a(arg);
}

static int sleep_then_b(void *arg)
{
    int rc = weft_sleep_ms(5);
    return rc < 0 ? rc : write_b(arg);
}

static int two_sleeps(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, sleep_then_a, arg);
    weft_launch(&scope, NULL, sleep_then_b, arg);
    return weft_scope_close(&scope, 0);
}

static void timers_of_the_same_instant_fire_in_any_order(void **state)
{
    (void)state;
    unsigned a_first = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct order order = { .used = 0 };
        assert_int_equal(weft_test_run(seed, two_sleeps, &order), 0);
        a_first += order.text[0] == 'a';
    }
    assert_in_range(a_first, 10, 90);
}

static void *run_on_thread(void *arg)
{
    struct mix mix;
    *(int *)arg = weft_test_run(11, mix_run, &mix);
    return NULL;
}

static int run_mixed(void *arg)
{
    int *ran = arg;
    return weft_sleep_ms(1) + (++*ran, 0);
}

static void a_run_and_real_threads_do_not_meet(void **state)
{
    (void)state;
    pthread_t thread;
    int rc = 1, ran = 0;
    assert_int_equal(pthread_create(&thread, NULL, run_on_thread, &rc), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(weft_run(run_mixed, &ran), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(rc, 0);
    assert_int_equal(ran, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(the_same_seed_gives_the_same_run),
        weft_unit_test(different_seeds_give_different_runs),
        weft_unit_test(everything_that_waits_keeps_its_promises_under_many_seeds),
        weft_unit_test(a_race_shows_under_some_seeds_and_again_under_the_same),
        weft_unit_test(any_order_comes_but_a_serial_view_keeps_its_own),
        weft_unit_test(timers_of_the_same_instant_fire_in_any_order),
        weft_unit_test(a_run_and_real_threads_do_not_meet),
    };
    return berth_test_main(tests, NULL, NULL);
}
