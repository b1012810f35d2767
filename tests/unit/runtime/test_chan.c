/* SPDX-License-Identifier: MIT */
#include "chantest.h"

#include "channel.h"
#include "support/faulty.h"

#define MANY 5

struct seen {
    struct weft_chan *chan;
    int rc, other_rc, count;
    long value;
    atomic_int waiting;
    atomic_bool is_ready, is_free;
    char order[MANY + 1];
};

static struct weft_chan *given_chan(size_t item_bytes, size_t capacity, void (*drop)(void *item))
{
    struct weft_chan *chan = NULL;
    assert_int_equal(weft_chan_new(item_bytes, capacity, drop, &chan), 0);
    return chan;
}

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

static long dropped_sum;

static void drop_long(void *item)
{
    dropped_sum += *(const long *)item;
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

static int recv_one(void *arg)
{
    struct seen *seen = arg;
    seen->waiting++;
    seen->value = recv_long(seen->chan, WEFT_NEVER);
    return seen->value == -ECANCELED ? -ECANCELED : 0;
}

/* Comes back when `count` have begun to wait. */
static void launch_waiting(struct weft_scope *scope, weft_fn fn, struct seen *seen, int count)
{
    weft_launch(scope, NULL, fn, seen);
    while (seen->waiting < count)
        (void)weft_yield();
}

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

static int send_one(void *arg)
{
    struct seen *seen = arg;
    seen->waiting++;
    seen->rc = send_long(seen->chan, 3, WEFT_NEVER);
    return seen->rc;
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

struct waiter {
    struct seen *seen;
    long number;
};

static int recv_in_order(void *arg)
{
    const struct waiter *waiter = arg;
    struct seen *seen = waiter->seen;
    seen->waiting++;
    long value = recv_long(seen->chan, WEFT_NEVER);
    if (value == waiter->number)
        seen->count++;
    return value < 0 ? (int)value : 0;
}

static int send_in_order(void *arg)
{
    const struct waiter *waiter = arg;
    waiter->seen->waiting++;
    return send_long(waiter->seen->chan, waiter->number, WEFT_NEVER);
}

static void launch_waiters(struct weft_scope *scope, struct waiter *waiters, struct seen *seen,
                           weft_fn fn)
{
    for (int i = 0; i < MANY; i++) {
        waiters[i] = (struct waiter){ seen, i + 1 };
        weft_launch(scope, NULL, fn, &waiters[i]);
    }
    while (seen->waiting < MANY)
        (void)weft_yield();
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

/* ---- cancelling ------------------------------------------------------------------------------ */

static int cancel_waiting_ends(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_waiting(&scope, recv_one, seen, 1);
    weft_scope_cancel_children(&scope);
    int rc = weft_scope_close(&scope, 0);
    seen->other_rc = send_long(seen->chan, 1, 0); /* nobody waits any more */
    weft_scope_open(&scope);
    launch_waiting(&scope, send_one, seen, 2);
    weft_scope_cancel_children(&scope);
    rc = weft_scope_close(&scope, rc);
    seen->count = (int)recv_long(seen->chan, 0);
    return rc;
}

static void who_is_cancelled_while_it_waits_leaves_no_trace(void **state)
{
    (void)state;
    struct seen seen = { .chan = given_chan(sizeof(long), 0, NULL) };

    assert_int_equal(on_one_thread(cancel_waiting_ends, &seen), 0);

    assert_int_equal(seen.value, -ECANCELED);
    assert_int_equal(seen.other_rc, -ETIMEDOUT);
    assert_int_equal(seen.rc, -ECANCELED);
    assert_int_equal(seen.count, -ETIMEDOUT);
    weft_chan_free(seen.chan);
}

/* All receivers are given an item, and are cancelled before they can look at it. */
static int serve_and_cancel(void *arg)
{
    struct seen *seen = arg;
    struct waiter waiters[MANY];
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_waiters(&scope, waiters, seen, recv_in_order);
    for (long i = 1; i <= MANY; i++)
        seen->rc |= send_long(seen->chan, i, 0);
    weft_scope_cancel_children(&scope);
    return weft_scope_close(&scope, 0);
}

static int serve_cancel_and_fetch(void *arg)
{
    struct seen *seen = arg;
    int rc = serve_and_cancel(seen);
    seen->other_rc = send_long(seen->chan, MANY + 1, 0);
    for (long i = 1; i <= MANY; i++) {
        if (recv_long(seen->chan, 0) == i)
            seen->order[i - 1] = '+';
    }
    return rc;
}

static void what_cancelled_receivers_were_given_goes_back_to_the_front_in_order(void **state)
{
    (void)state;
    struct seen seen = { .chan = given_chan(sizeof(long), MANY, NULL) };

    assert_int_equal(on_one_thread(serve_cancel_and_fetch, &seen), 0);

    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.other_rc, -ETIMEDOUT); /* it is full again */
    assert_int_equal(seen.count, 0);
    assert_string_equal(seen.order, "+++++");
    weft_chan_free(seen.chan);
}

static int block_thread(void *arg)
{
    struct seen *seen = arg;
    seen->is_ready = true;
    return test_block_until(&seen->is_free) ? 0 : -ETIMEDOUT;
}

/* The receiver of 1 can only run when io is free again; that of 2 gives back first. */
static int cancel_in_reverse(void *arg)
{
    struct seen *seen = arg, other = { .chan = seen->chan };
    struct weft_scope receivers, blocked;
    weft_scope_open(&receivers);
    weft_launch(&receivers, weft_io(), recv_one, &other);
    while (other.waiting < 1)
        (void)weft_yield();
    weft_scope_open(&blocked);
    weft_launch(&blocked, weft_io(), block_thread, seen);
    (void)test_await(&seen->is_ready);
    struct weft_task *second = weft_async(&receivers, NULL, recv_one, seen);
    while (seen->waiting < 1)
        (void)weft_yield();
    seen->rc = send_long(seen->chan, 1, 0);
    seen->rc |= send_long(seen->chan, 2, 0);
    weft_scope_cancel_children(&receivers);
    (void)weft_await(second);
    seen->is_free = true;
    int rc = weft_scope_close(&receivers, weft_scope_close(&blocked, 0));
    for (int i = 0; i < 2; i++)
        seen->order[i] = (char)('0' + recv_long(seen->chan, 0));
    return rc;
}

static void what_is_given_back_late_still_comes_first(void **state)
{
    (void)state;
    struct seen seen = { .chan = given_chan(sizeof(long), 0, NULL) };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1, .io_threads = 1 }), 0);

    assert_int_equal(weft_run(cancel_in_reverse, &seen), 0);

    assert_int_equal(seen.rc, 0);
    assert_string_equal(seen.order, "12");
    weft_chan_free(seen.chan);
}

static void what_nobody_fetches_after_that_is_dropped(void **state)
{
    (void)state;
    dropped_sum = 0;
    struct seen seen = { .chan = given_chan(sizeof(long), 0, drop_long) };

    assert_int_equal(on_one_thread(serve_and_cancel, &seen), 0);
    weft_chan_close(seen.chan);
    assert_int_equal(recv_long(seen.chan, 0), 1);
    weft_chan_free(seen.chan);

    assert_int_equal(dropped_sum, 2 + 3 + 4 + 5);
}

static int cancel_one_of_two(void *arg)
{
    struct seen *seen = arg, other = { .chan = seen->chan };
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *first = weft_async(&scope, NULL, recv_one, &other);
    while (other.waiting < 1)
        (void)weft_yield();
    launch_waiting(&scope, recv_one, seen, 1);
    seen->rc = send_long(seen->chan, 1, 0);
    weft_cancel(first);
    int rc = weft_scope_close(&scope, 0);
    seen->other_rc = (int)other.value;
    return rc;
}

static void what_a_cancelled_receiver_was_given_goes_to_the_next_who_waits(void **state)
{
    (void)state;
    struct seen seen = { .chan = given_chan(sizeof(long), 0, NULL) };

    assert_int_equal(on_one_thread(cancel_one_of_two, &seen), 0);

    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.other_rc, -ECANCELED);
    assert_int_equal(seen.value, 1);
    weft_chan_free(seen.chan);
}

static int cancel_served_without_memory(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_waiting(&scope, recv_one, seen, 1);
    seen->rc = send_long(seen->chan, 1, 0);
    faulty_fail_at(1);
    weft_scope_cancel_children(&scope);
    int rc = weft_scope_close(&scope, 0);
    seen->other_rc = faulty_stop();
    return rc;
}

static void an_item_that_cannot_go_back_for_want_of_memory_is_received(void **state)
{
    (void)state;
    struct seen seen = { .chan = given_chan(sizeof(long), 0, NULL) };

    assert_int_equal(on_one_thread(cancel_served_without_memory, &seen), 0);

    assert_int_equal(seen.rc, 0);
    assert_true(seen.other_rc);
    assert_int_equal(seen.value, 1);
    weft_chan_free(seen.chan);
}

static int cancel_served_sender(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_waiting(&scope, send_one, seen, 1);
    seen->value = recv_long(seen->chan, 0);
    weft_scope_cancel_children(&scope);
    return weft_scope_close(&scope, 0);
}

static void a_sender_whose_item_was_taken_has_sent_although_cancelled(void **state)
{
    (void)state;
    struct seen seen = { .chan = given_chan(sizeof(long), 0, NULL), .rc = -1 };

    assert_int_equal(on_one_thread(cancel_served_sender, &seen), 0);

    assert_int_equal(seen.value, 3);
    assert_int_equal(seen.rc, 0);
    weft_chan_free(seen.chan);
}

/* ---- many of both, cancelled at any moment --------------------------------------------------- */

#define STRESS_ROUNDS    (TEST_IS_SLOW ? 50 : 200)
#define STRESS_YIELDS    50
#define STRESS_BYTES_MAX 1000

static atomic_llong stress_dropped;

struct stress {
    struct weft_chan *chan;
    size_t item_bytes;
    atomic_llong next, sent, received;
    atomic_int broken, errors; /* items; results that were not to be expected */
};

static void drop_item(void *item)
{
    long long value;
    memcpy(&value, item, sizeof value);
    stress_dropped += value;
}

static int64_t some_deadline(long long value)
{
    return value % 7 == 0 ? 0 : value % 7 == 1 ? weft_now_ns() + 20000 : WEFT_NEVER;
}

static int send_many(void *arg)
{
    struct stress *stress = arg;
    char item[STRESS_BYTES_MAX];
    for (;;) {
        long long value = ++stress->next;
        memset(item, (int)(value & 0x7f), sizeof item);
        memcpy(item, &value, sizeof value);
        int rc = weft_chan_send(stress->chan, item, stress->item_bytes, some_deadline(value));
        if (rc == 0)
            stress->sent += value;
        else if (rc != -ETIMEDOUT && rc != -ECANCELED && rc != -ENOMEM)
            stress->errors++;
        if (rc < 0 && weft_yield() < 0)
            return 0;
    }
}

static int recv_many(void *arg)
{
    struct stress *stress = arg;
    char item[STRESS_BYTES_MAX];
    for (long long i = 0;; i++) {
        int rc = weft_chan_recv(stress->chan, item, stress->item_bytes, some_deadline(i));
        long long value;
        memcpy(&value, item, sizeof value);
        if (rc == 1)
            stress->received += value;
        else if (rc != -ETIMEDOUT && rc != -ECANCELED && rc != -ENOMEM)
            stress->errors++;
        if (rc == 1 && stress->item_bytes > sizeof value &&
            item[stress->item_bytes - 1] != (char)(value & 0x7f))
            stress->broken++;
        if (rc < 0 && weft_yield() < 0)
            return 0;
    }
}

static int stress_rounds(void *arg)
{
    int rc = 0;
    for (int round = 0; round < STRESS_ROUNDS && rc == 0; round++) {
        struct weft_scope scope;
        weft_scope_open(&scope);
        for (int i = 0; i < 4; i++) {
            weft_launch(&scope, i % 2 ? weft_io() : NULL, send_many, arg);
            weft_launch(&scope, i % 2 ? NULL : weft_io(), recv_many, arg);
        }
        for (int i = 0; i < STRESS_YIELDS * (round % 4 + 1) / 4 && rc == 0; i++)
            rc = weft_yield();
        weft_scope_cancel_children(&scope);
        rc = weft_scope_close(&scope, rc);
    }
    return rc;
}

/* Each item accepted comes out once: the sums are the same. */
static void stress_a_channel(size_t item_bytes, size_t capacity, bool is_boxed)
{
    struct stress stress = {
        .chan = given_chan(item_bytes, capacity, drop_item),
        .item_bytes = item_bytes,
    };
    stress_dropped = 0;
    weft_handover_boxes_all = is_boxed;
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 2, .io_threads = 2 }), 0);

    assert_int_equal(weft_run(stress_rounds, &stress), 0);

    assert_int_equal(weft_shutdown(), 0);
    weft_handover_boxes_all = false;
    weft_chan_free(stress.chan);
    assert_int_equal(stress.errors, 0);
    assert_int_equal(stress.broken, 0);
    assert_true(stress.received > 0);
    assert_int_equal(stress.sent, stress.received + stress_dropped);
}

static void nothing_is_lost_or_doubled_without_a_buffer(void **state)
{
    (void)state;
    stress_a_channel(sizeof(long long), 0, false);
}

static void nothing_is_lost_or_doubled_in_a_buffer(void **state)
{
    (void)state;
    stress_a_channel(sizeof(long long), 1, false);
    stress_a_channel(40, 5, false);
}

static void nothing_is_lost_or_doubled_by_way_of_the_heap(void **state)
{
    (void)state;
    stress_a_channel(STRESS_BYTES_MAX, 2, false);
    stress_a_channel(24, 0, true);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int recv_until_closed(void *arg)
{
    struct stress *stress = arg;
    char item[STRESS_BYTES_MAX];
    int rc;
    while ((rc = weft_chan_recv(stress->chan, item, stress->item_bytes, WEFT_NEVER)) == 1) {
        long long value;
        memcpy(&value, item, sizeof value);
        stress->received += value;
    }
    return rc;
}

static int send_ten(void *arg)
{
    struct stress *stress = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, recv_until_closed, stress);
    int rc = 0;
    for (int i = 0; i < 10 && rc == 0; i++) {
        char item[STRESS_BYTES_MAX] = { 0 };
        long long value = ++stress->next;
        memcpy(item, &value, sizeof value);
        rc = weft_chan_send(stress->chan, item, stress->item_bytes, WEFT_NEVER);
        if (rc == 0)
            stress->sent += value;
    }
    weft_chan_close(stress->chan);
    return weft_scope_close(&scope, rc);
}

static void whatever_allocation_fails_is_an_error_and_loses_nothing(void **state)
{
    (void)state;
    weft_handover_boxes_all = true;
    FAULTY_FOREACH(n)
    {
        struct stress stress = { .item_bytes = STRESS_BYTES_MAX };
        stress_dropped = 0;
        int rc = weft_chan_new(stress.item_bytes, 0, drop_item, &stress.chan);
        if (rc == 0)
            rc = weft_run(send_ten, &stress);
        bool has_failed = faulty_stop();
        weft_chan_free(stress.chan);
        if (!has_failed || rc != -ENOMEM) {
            assert_int_equal(rc, 0);
            assert_int_equal(stress.received, 55);
        }
        assert_int_equal(stress.sent, stress.received + stress_dropped);
        assert_int_equal(weft_shutdown(), 0);
    }
    weft_handover_boxes_all = false;
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
        weft_unit_test(who_is_cancelled_while_it_waits_leaves_no_trace),
        weft_unit_test(what_cancelled_receivers_were_given_goes_back_to_the_front_in_order),
        weft_unit_test(what_is_given_back_late_still_comes_first),
        weft_unit_test(what_nobody_fetches_after_that_is_dropped),
        weft_unit_test(what_a_cancelled_receiver_was_given_goes_to_the_next_who_waits),
        weft_unit_test(an_item_that_cannot_go_back_for_want_of_memory_is_received),
        weft_unit_test(a_sender_whose_item_was_taken_has_sent_although_cancelled),
        weft_unit_test(nothing_is_lost_or_doubled_without_a_buffer),
        weft_unit_test(nothing_is_lost_or_doubled_in_a_buffer),
        weft_unit_test(nothing_is_lost_or_doubled_by_way_of_the_heap),
        weft_unit_test(whatever_allocation_fails_is_an_error_and_loses_nothing),
    };
    return berth_test_main(tests, NULL, NULL);
}
