/* SPDX-License-Identifier: MIT
 *
 * Channels whose users are cancelled, or get no memory: nothing is lost and nothing is doubled.
 */
#include "chanseen.h"

#include "support/faulty.h"

/* ---- one by one ------------------------------------------------------------------------------ */

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
