/* SPDX-License-Identifier: MIT */
#include "chanseen.h"

/* ---- items ----------------------------------------------------------------------------------- */

static void items_come_out_in_order_on_a_plain_thread_that_does_not_wait(void **state)
{
    (void)state;
    struct weft_chan *chan = given_chan(sizeof(long), 3, NULL);
    for (long round = 0; round < 10; round++) {
        for (long i = 1; i <= 3; i++)
            assert_int_equal(send_long(chan, round + i, 0), 0);
        assert_int_equal(send_long(chan, 4, 0), -ETIMEDOUT);
        for (long i = 1; i <= 3; i++)
            assert_int_equal(recv_long(chan, 0), round + i);
        assert_int_equal(recv_long(chan, 0), -ETIMEDOUT);
    }
    assert_int_equal(send_long(chan, 1, WEFT_NEVER), -EPERM);
    assert_int_equal(recv_long(chan, WEFT_NEVER), -EPERM);
    weft_chan_free(chan);
}

static void a_wrong_size_is_refused(void **state)
{
    (void)state;
    struct weft_chan *chan = given_chan(sizeof(long), 3, NULL);
    int small = 7;
    assert_int_equal(weft_chan_send(chan, &small, sizeof small, 0), -EMSGSIZE);
    assert_int_equal(send_long(chan, 1, 0), 0);
    assert_int_equal(weft_chan_recv(chan, &small, sizeof small, 0), -EMSGSIZE);
    assert_int_equal(small, 7);
    assert_int_equal(recv_long(chan, 0), 1);
    weft_chan_free(chan);
}

static void channels_have_maxima(void **state)
{
    (void)state;
    struct weft_chan *chan = NULL;
    assert_int_equal(weft_chan_new(WEFT_CHAN_ITEM_BYTES_MAX + 1, 0, NULL, &chan), -EINVAL);
    assert_int_equal(weft_chan_new(1, WEFT_CHAN_CAPACITY_MAX + 1, NULL, &chan), -EINVAL);
    weft_chan_free(chan); /* NULL still */
}

static void items_without_bytes_are_counted(void **state)
{
    (void)state;
    struct weft_chan *chan = given_chan(0, 2, NULL);
    assert_int_equal(weft_chan_send(chan, NULL, 0, 0), 0);
    assert_int_equal(weft_chan_send(chan, NULL, 0, 0), 0);
    assert_int_equal(weft_chan_send(chan, NULL, 0, 0), -ETIMEDOUT);
    assert_int_equal(weft_chan_recv(chan, NULL, 0, 0), 1);
    assert_int_equal(weft_chan_recv(chan, NULL, 0, 0), 1);
    assert_int_equal(weft_chan_recv(chan, NULL, 0, 0), -ETIMEDOUT);
    weft_chan_free(chan);
}

static void leftovers_are_dropped(void **state)
{
    (void)state;
    dropped_sum = 0;
    struct weft_chan *chan = given_chan(sizeof(long), 3, drop_long);
    for (long i = 1; i <= 3; i++)
        assert_int_equal(send_long(chan, i, 0), 0);
    assert_int_equal(recv_long(chan, 0), 1);
    assert_int_equal(send_long(chan, 4, 0), 0);

    weft_chan_free(chan);

    assert_int_equal(dropped_sum, 2 + 3 + 4);
}

/* ---- meeting --------------------------------------------------------------------------------- */

static int meet_a_receiver(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    seen->rc = send_long(seen->chan, 1, weft_deadline_ms(5)); /* nobody is there to take it */
    launch_waiting(&scope, recv_one, seen, 1);
    seen->other_rc = send_long(seen->chan, 2, 0);
    return weft_scope_close(&scope, 0);
}

static void a_rendezvous_takes_two(void **state)
{
    (void)state;
    struct seen seen = { .chan = given_chan(sizeof(long), 0, NULL), .other_rc = -1 };

    assert_int_equal(on_one_thread(meet_a_receiver, &seen), 0);

    assert_int_equal(seen.rc, -ETIMEDOUT);
    assert_int_equal(seen.other_rc, 0);
    assert_int_equal(seen.value, 2);
    weft_chan_free(seen.chan);
}

static int meet_a_sender(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    seen->other_rc = (int)recv_long(seen->chan, weft_deadline_ms(5));
    launch_waiting(&scope, send_one, seen, 1);
    seen->value = recv_long(seen->chan, 0);
    return weft_scope_close(&scope, 0);
}

static void a_receiver_takes_from_a_sender_that_waits(void **state)
{
    (void)state;
    struct seen seen = { .chan = given_chan(sizeof(long), 0, NULL), .rc = -1 };

    assert_int_equal(on_one_thread(meet_a_sender, &seen), 0);

    assert_int_equal(seen.other_rc, -ETIMEDOUT);
    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.value, 3);
    weft_chan_free(seen.chan);
}

/* ---- order ----------------------------------------------------------------------------------- */

static int send_in_order(void *arg)
{
    const struct waiter *waiter = arg;
    waiter->seen->waiting++;
    return send_long(waiter->seen->chan, waiter->number, WEFT_NEVER);
}

static int serve_receivers(void *arg)
{
    struct seen *seen = arg;
    struct waiter waiters[MANY];
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_waiters(&scope, waiters, seen, recv_in_order);
    for (long i = 1; i <= MANY; i++)
        seen->rc |= send_long(seen->chan, i, 0);
    return weft_scope_close(&scope, 0);
}

static void receivers_are_served_in_order_of_arrival(void **state)
{
    (void)state;
    struct seen seen = { .chan = given_chan(sizeof(long), 0, NULL) };

    assert_int_equal(on_one_thread(serve_receivers, &seen), 0);

    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.count, MANY);
    weft_chan_free(seen.chan);
}

static int serve_senders(void *arg)
{
    struct seen *seen = arg;
    struct waiter waiters[MANY];
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_waiters(&scope, waiters, seen, send_in_order);
    seen->rc = send_long(seen->chan, 99, 0);
    for (long i = 1; i <= MANY; i++)
        seen->count += recv_long(seen->chan, 0) == i;
    return weft_scope_close(&scope, 0);
}

static void senders_are_served_in_order_of_arrival(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity < MANY; capacity++) {
        struct seen seen = { .chan = given_chan(sizeof(long), capacity, NULL) };

        assert_int_equal(on_one_thread(serve_senders, &seen), 0);

        assert_int_equal(seen.rc, -ETIMEDOUT);
        assert_int_equal(seen.count, MANY);
        weft_chan_free(seen.chan);
        assert_int_equal(weft_shutdown(), 0);
    }
}

/* ---- closing --------------------------------------------------------------------------------- */

static void a_closed_channel_gives_what_it_has_and_takes_nothing(void **state)
{
    (void)state;
    struct weft_chan *chan = given_chan(sizeof(long), 3, NULL);
    assert_int_equal(send_long(chan, 1, 0), 0);
    assert_int_equal(send_long(chan, 2, 0), 0);

    weft_chan_close(chan);
    weft_chan_close(chan);

    assert_int_equal(send_long(chan, 3, 0), -EPIPE);
    assert_int_equal(recv_long(chan, 0), 1);
    assert_int_equal(recv_long(chan, 0), 2);
    long value = 7;
    assert_int_equal(weft_chan_recv(chan, &value, sizeof value, 0), 0);
    assert_int_equal(value, 7);
    weft_chan_free(chan);
}

static int count_closed_recv(void *arg)
{
    const struct waiter *waiter = arg;
    waiter->seen->waiting++;
    waiter->seen->count += recv_long(waiter->seen->chan, WEFT_NEVER) == 0;
    return 0;
}

static int count_closed_send(void *arg)
{
    const struct waiter *waiter = arg;
    waiter->seen->waiting++;
    waiter->seen->count += send_long(waiter->seen->chan, 1, WEFT_NEVER) == -EPIPE;
    return 0;
}

static int close_on(struct seen *seen, weft_fn fn)
{
    struct waiter waiters[MANY];
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_waiters(&scope, waiters, seen, fn);
    weft_chan_close(seen->chan);
    return weft_scope_close(&scope, 0);
}

static int close_on_receivers(void *arg)
{
    return close_on(arg, count_closed_recv);
}

static int close_on_senders(void *arg)
{
    return close_on(arg, count_closed_send);
}

static void closing_wakes_all_who_wait(void **state)
{
    (void)state;
    struct seen seen = { .chan = given_chan(sizeof(long), 0, NULL) };
    assert_int_equal(on_one_thread(close_on_receivers, &seen), 0);
    assert_int_equal(seen.count, MANY);
    weft_chan_free(seen.chan);
    assert_int_equal(weft_shutdown(), 0);

    seen = (struct seen){ .chan = given_chan(sizeof(long), 0, NULL) };
    assert_int_equal(on_one_thread(close_on_senders, &seen), 0);
    assert_int_equal(seen.count, MANY);
    weft_chan_free(seen.chan);
}

static int free_under_a_receiver(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_waiting(&scope, recv_one, seen, 1);
    weft_chan_free(seen->chan);
    return weft_scope_close(&scope, -EINVAL);
}

static int run_free_under_a_receiver(void *arg)
{
    return on_one_thread(free_under_a_receiver, arg);
}

static void freeing_under_somebody_who_waits_ends_the_program(void **state)
{
    (void)state;
    struct seen seen = { .chan = given_chan(sizeof(long), 0, NULL) };
    assert_dies(run_free_under_a_receiver, &seen, "weft_chan_free: somebody still waits");
    weft_chan_free(seen.chan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(items_come_out_in_order_on_a_plain_thread_that_does_not_wait),
        weft_unit_test(a_wrong_size_is_refused),
        weft_unit_test(channels_have_maxima),
        weft_unit_test(items_without_bytes_are_counted),
        weft_unit_test(leftovers_are_dropped),
        weft_unit_test(a_rendezvous_takes_two),
        weft_unit_test(a_receiver_takes_from_a_sender_that_waits),
        weft_unit_test(receivers_are_served_in_order_of_arrival),
        weft_unit_test(senders_are_served_in_order_of_arrival),
        weft_unit_test(a_closed_channel_gives_what_it_has_and_takes_nothing),
        weft_unit_test(closing_wakes_all_who_wait),
        weft_unit_test(freeing_under_somebody_who_waits_ends_the_program),
    };
    return berth_test_main(tests, NULL, NULL);
}
