/* SPDX-License-Identifier: MIT
 *
 * What other threads tell the link thread.
 */
#include "support/berthtest.h"

#include <pthread.h>
#include <stdlib.h>

#include "support/await.h"
#include "worker/net/inbox.h"

#define TELLERS 4
#define ITEMS   500

static int inbox_setup(void **state)
{
    struct inbox *inbox;
    if (inbox_open(&inbox, NULL) < 0)
        return -1;
    *state = inbox;
    return 0;
}

static int inbox_teardown(void **state)
{
    inbox_close(*state);
    return 0;
}

static void items_come_out_in_the_order_in_which_they_were_told(void **state)
{
    struct inbox_item items[3] = { { .attempt = 1 }, { .attempt = 2 }, { .attempt = 3 } };
    struct berth_list taken;
    berth_list_init(&taken);
    assert_false(await_readable(inbox_fd(*state), 0));
    for (size_t i = 0; i < 3; i++)
        inbox_push(*state, &items[i]);
    assert_true(await_readable(inbox_fd(*state), 0));

    assert_int_equal(inbox_take(*state, &taken), 0);

    for (uint64_t i = 1; i <= 3; i++) {
        struct berth_list_node *node = berth_list_pop_front(&taken);
        assert_non_null(node);
        assert_int_equal(berth_container_of(node, struct inbox_item, node)->attempt, i);
    }
    assert_true(berth_list_is_empty(&taken));
    assert_false(await_readable(inbox_fd(*state), 0));
}

static void commands_add_up_and_are_taken_once(void **state)
{
    struct berth_list taken;
    berth_list_init(&taken);
    inbox_command(*state, INBOX_DRAIN);
    inbox_command(*state, INBOX_STOP);
    inbox_command(*state, INBOX_DRAIN);
    assert_true(await_readable(inbox_fd(*state), 0));

    assert_int_equal(inbox_take(*state, &taken), INBOX_DRAIN | INBOX_STOP);

    assert_int_equal(inbox_take(*state, &taken), 0);
}

struct teller {
    pthread_t thread;
    struct inbox *inbox;
    struct inbox_item items[ITEMS];
};

static void *tell(void *arg)
{
    struct teller *teller = arg;
    for (size_t i = 0; i < ITEMS; i++) {
        teller->items[i].attempt = i;
        inbox_push(teller->inbox, &teller->items[i]);
    }
    return NULL;
}

static void nothing_that_many_threads_tell_is_lost(void **state)
{
    struct teller *tellers = calloc(TELLERS, sizeof *tellers);
    assert_non_null(tellers);
    for (size_t i = 0; i < TELLERS; i++) {
        tellers[i].inbox = *state;
        assert_int_equal(pthread_create(&tellers[i].thread, NULL, tell, &tellers[i]), 0);
    }
    struct berth_list taken;
    berth_list_init(&taken);
    size_t count = 0;

    while (count < TELLERS * ITEMS) {
        assert_true(await_readable(inbox_fd(*state), 10000));
        (void)inbox_take(*state, &taken);
        while (berth_list_pop_front(&taken))
            count++;
    }

    for (size_t i = 0; i < TELLERS; i++)
        assert_int_equal(pthread_join(tellers[i].thread, NULL), 0);
    free(tellers);
}

int main(void)
{
#define INBOX_TEST(fact) cmocka_unit_test_setup_teardown(fact, inbox_setup, inbox_teardown)
    const struct CMUnitTest tests[] = {
        INBOX_TEST(items_come_out_in_the_order_in_which_they_were_told),
        INBOX_TEST(commands_add_up_and_are_taken_once),
        INBOX_TEST(nothing_that_many_threads_tell_is_lost),
    };
    return berth_test_main(tests, NULL, NULL);
}
