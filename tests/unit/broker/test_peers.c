/* SPDX-License-Identifier: MIT
 *
 * Peers: a handle for each routing id, bounded, never given twice.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/net/peers.h"

#define COUNT_MAX 3

static int dropped;

static void count_drop(void *value)
{
    (void)value;
    dropped++;
}

static int setup(void **state)
{
    dropped = 0;
    *state = berth_peers_new(COUNT_MAX, count_drop);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    berth_peers_free(*state);
    return 0;
}

static struct berth_slice slice(const char *text)
{
    return (struct berth_slice){ .data = text, .bytes = strlen(text) };
}

static uint64_t hear(struct berth_peers *peers, const char *routing_id)
{
    uint64_t peer = 0;
    assert_int_equal(berth_peers_hear(peers, slice(routing_id), &peer), 0);
    return peer;
}

static void a_routing_id_keeps_its_handle(void **state)
{
    struct berth_peers *peers = *state;
    uint64_t a = hear(peers, "a"), b = hear(peers, "b");

    assert_true(a > BERTH_PEER_SELF);
    assert_true(b > BERTH_PEER_SELF);
    assert_true(a != b);
    assert_true(hear(peers, "a") == a);
    assert_int_equal(berth_peers_count(peers), 2);
    struct berth_slice id = berth_peers_routing_id(peers, a);
    assert_int_equal(id.bytes, 1);
    assert_memory_equal(id.data, "a", 1);
}

static void a_routing_id_may_hold_any_bytes_of_1_to_255(void **state)
{
    struct berth_peers *peers = *state;
    unsigned char bytes[BERTH_ROUTING_ID_BYTES_MAX + 1] = { 0 };
    uint64_t one, all, other = 7;

    assert_int_equal(berth_peers_hear(peers, (struct berth_slice){ bytes, 1 }, &one), 0);
    assert_int_equal(berth_peers_hear(peers, (struct berth_slice){ bytes, 255 }, &all), 0);
    assert_true(one != all);
    assert_int_equal(berth_peers_hear(peers, (struct berth_slice){ bytes, 0 }, &other), -EINVAL);
    assert_int_equal(berth_peers_hear(peers, (struct berth_slice){ bytes, 256 }, &other), -EINVAL);
    assert_int_equal(other, 7);
}

static void a_forgotten_peer_is_reported_once_and_its_handle_is_not_used_again(void **state)
{
    struct berth_peers *peers = *state;
    uint64_t a = hear(peers, "a"), gone = 0;

    berth_peers_forget(peers, a);
    berth_peers_forget(peers, a);

    assert_int_equal(berth_peers_routing_id(peers, a).bytes, 0);
    assert_null(berth_peers_slot(peers, a));
    assert_true(berth_peers_next_gone(peers, &gone));
    assert_true(gone == a);
    assert_false(berth_peers_next_gone(peers, &gone));
    assert_true(hear(peers, "a") > a);
}

static void beyond_the_bound_the_one_not_heard_for_longest_is_forgotten(void **state)
{
    struct berth_peers *peers = *state;
    uint64_t a = hear(peers, "a"), b = hear(peers, "b"), c = hear(peers, "c"), gone = 0;
    assert_true(hear(peers, "a") == a);

    uint64_t d = hear(peers, "d");

    assert_int_equal(berth_peers_count(peers), COUNT_MAX);
    assert_true(berth_peers_next_gone(peers, &gone));
    assert_true(gone == b);
    assert_false(berth_peers_next_gone(peers, &gone));
    assert_int_equal(berth_peers_routing_id(peers, b).bytes, 0);
    assert_int_equal(berth_peers_routing_id(peers, a).bytes, 1);
    assert_int_equal(berth_peers_routing_id(peers, c).bytes, 1);
    assert_int_equal(berth_peers_routing_id(peers, d).bytes, 1);
}

static void what_lies_in_a_slot_is_dropped_with_the_peer(void **state)
{
    struct berth_peers *peers = *state;
    uint64_t a = hear(peers, "a"), b = hear(peers, "b");
    *berth_peers_slot(peers, a) = &dropped;

    berth_peers_forget(peers, b);
    assert_int_equal(dropped, 0);
    assert_ptr_equal(*berth_peers_slot(peers, a), &dropped);
    berth_peers_forget(peers, a);
    assert_int_equal(dropped, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_routing_id_keeps_its_handle, setup, teardown),
        cmocka_unit_test_setup_teardown(a_routing_id_may_hold_any_bytes_of_1_to_255, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_forgotten_peer_is_reported_once_and_its_handle_is_not_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(beyond_the_bound_the_one_not_heard_for_longest_is_forgotten,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_lies_in_a_slot_is_dropped_with_the_peer, setup,
                                        teardown),
    };
    return berth_test_main(tests, NULL, NULL);
}
