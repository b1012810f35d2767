/* SPDX-License-Identifier: MIT
 *
 * Many selects on the same channels, cancelled at any moment: no item is lost or doubled.
 */
#include "wefttest.h"

#include "handover.h"

#define STRESS_ROUNDS (TEST_IS_SLOW ? 50 : 200)
#define STRESS_YIELDS 50

struct stress {
    struct weft_chan *chans[3];
    size_t case_count;
    atomic_llong next, sent, received;
    atomic_int errors;
};

static atomic_llong stress_dropped;

static void drop_item(void *item)
{
    stress_dropped += *(const long long *)item;
}

static int short_task(void *arg)
{
    (void)arg;
    return weft_yield();
}

static void count_case(struct stress *stress, const struct weft_case *c)
{
    long long value = c->item ? *(const long long *)c->item : 0;
    if (c->recv && c->rc == 1)
        stress->received += value;
    else if (c->send && c->rc == 0)
        stress->sent += value;
    else if (!c->await)
        stress->errors++;
}

/* Sends and receives on all three channels at once, and awaits a task. */
static int select_many(void *arg)
{
    struct stress *stress = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async(&scope, NULL, short_task, NULL);
    for (int i = 0;; i++) {
        long long items[6] = { 0 };
        struct weft_case cases[7] = { { 0 } };
        size_t count = 0;
        for (size_t k = 0; k < 3; k++) {
            struct weft_chan *chan = stress->chans[(k + (size_t)i) % 3];
            items[k] = ++stress->next;
            cases[count++] = (struct weft_case){ .send = chan,
                                                 .item = &items[k],
                                                 .item_bytes = sizeof items[k] };
            cases[count++] = (struct weft_case){ .recv = chan,
                                                 .item = &items[3 + k],
                                                 .item_bytes = sizeof items[k] };
        }
        if (count > stress->case_count)
            count = stress->case_count;
        if (task && i % 50 == 49)
            cases[count++] = (struct weft_case){ .await = task };
        int index = weft_select(cases, count, i % 5 == 0 ? weft_now_ns() + 20000 : WEFT_NEVER);
        if (index >= 0)
            count_case(stress, &cases[index]);
        else if (index != -ETIMEDOUT && index != -ECANCELED)
            stress->errors++;
        bool is_turn_over = index < 0 || i % 16 == 0; /* what is always ready never parks */
        if (is_turn_over && weft_yield() < 0)
            return weft_scope_close(&scope, 0);
    }
}

static int send_plainly(void *arg)
{
    struct stress *stress = arg;
    for (size_t i = 0;; i++) {
        long long value = ++stress->next;
        int rc = weft_chan_send(stress->chans[i % 3], &value, sizeof value, WEFT_NEVER);
        if (rc == 0)
            stress->sent += value;
        if (rc < 0)
            return 0;
    }
}

static int recv_plainly(void *arg)
{
    struct stress *stress = arg;
    for (size_t i = 0;; i++) {
        long long value = 0;
        int rc = weft_chan_recv(stress->chans[i % 3], &value, sizeof value, WEFT_NEVER);
        if (rc == 1)
            stress->received += value;
        if (rc < 0)
            return 0;
    }
}

static int stress_rounds(void *arg)
{
    int rc = 0;
    for (int round = 0; round < STRESS_ROUNDS && rc == 0; round++) {
        struct weft_scope scope;
        weft_scope_open(&scope);
        weft_launch(&scope, NULL, send_plainly, arg);
        weft_launch(&scope, weft_io(), recv_plainly, arg);
        for (int i = 0; i < 4; i++)
            weft_launch(&scope, i % 2 ? weft_io() : NULL, select_many, arg);
        for (int i = 0; i < STRESS_YIELDS * (round % 4 + 1) / 4 && rc == 0; i++)
            rc = weft_yield();
        weft_scope_cancel_children(&scope);
        rc = weft_scope_close(&scope, rc);
    }
    return rc;
}

static void stress_selects(size_t case_count, size_t capacity, bool is_boxed)
{
    struct stress stress = { .case_count = case_count };
    stress_dropped = 0;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(weft_chan_new(sizeof(long long), capacity, drop_item, &stress.chans[i]),
                         0);
    weft_handover_boxes_all = is_boxed;
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 2, .io_threads = 2 }), 0);

    assert_int_equal(weft_run(stress_rounds, &stress), 0);

    assert_int_equal(weft_shutdown(), 0);
    weft_handover_boxes_all = false;
    for (size_t i = 0; i < 3; i++)
        weft_chan_free(stress.chans[i]);
    assert_int_equal(stress.errors, 0);
    assert_true(stress.received > 0);
    assert_int_equal(stress.sent, stress.received + stress_dropped);
}

static void selects_lose_and_double_nothing(void **state)
{
    (void)state;
    stress_selects(4, 0, false);
    stress_selects(3, 2, false);
}

static void selects_of_many_cases_lose_and_double_nothing(void **state)
{
    (void)state;
    stress_selects(6, 0, false);
    stress_selects(3, 0, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(selects_lose_and_double_nothing),
        weft_unit_test(selects_of_many_cases_lose_and_double_nothing),
    };
    return berth_test_main(tests, NULL, NULL);
}
