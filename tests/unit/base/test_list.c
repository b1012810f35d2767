/* SPDX-License-Identifier: MIT
 *
 * The intrusive list.
 */
#include "support/berthtest.h"

#include "base/list.h"

struct item {
    int value;
    struct berth_list_node node;
};

static struct item *item_of(struct berth_list_node *node)
{
    return node ? berth_container_of(node, struct item, node) : NULL;
}

/* The values from first to last, as one decimal number. */
static int digits(const struct berth_list *list)
{
    int number = 0;
    for (struct berth_list_node *node = berth_list_first(list); node;
         node = berth_list_next(list, node))
        number = number * 10 + item_of(node)->value;
    return number;
}

/* The same from last to first. */
static int digits_backwards(const struct berth_list *list)
{
    int number = 0;
    for (struct berth_list_node *node = berth_list_last(list); node;
         node = berth_list_prev(list, node))
        number = number * 10 + item_of(node)->value;
    return number;
}

static void a_new_list_is_empty(void **state)
{
    (void)state;
    struct berth_list list;
    berth_list_init(&list);

    assert_true(berth_list_is_empty(&list));
    assert_null(berth_list_first(&list));
    assert_null(berth_list_last(&list));
    assert_null(berth_list_pop_front(&list));
}

static void elements_stand_in_the_order_in_which_they_were_put(void **state)
{
    (void)state;
    struct item items[] = { { .value = 1 }, { .value = 2 }, { .value = 3 }, { .value = 4 } };
    struct berth_list list;
    berth_list_init(&list);

    berth_list_push_back(&list, &items[1].node);
    berth_list_push_back(&list, &items[3].node);
    berth_list_push_front(&list, &items[0].node);
    berth_list_insert_before(&items[3].node, &items[2].node);

    assert_int_equal(digits(&list), 1234);
    assert_int_equal(digits_backwards(&list), 4321);
}

static void removing_works_at_both_ends_and_in_the_middle(void **state)
{
    (void)state;
    struct item items[] = { { .value = 1 }, { .value = 2 }, { .value = 3 }, { .value = 4 } };
    struct berth_list list;
    berth_list_init(&list);
    for (int i = 0; i < 4; i++)
        berth_list_push_back(&list, &items[i].node);

    berth_list_remove(&items[2].node);
    assert_int_equal(digits(&list), 124);
    assert_false(berth_list_is_linked(&items[2].node));
    berth_list_remove(&items[3].node);
    assert_int_equal(digits(&list), 12);
    assert_ptr_equal(item_of(berth_list_pop_front(&list)), &items[0]);
    assert_int_equal(digits(&list), 2);

    berth_list_push_back(&list, &items[0].node);
    assert_int_equal(digits(&list), 21);
}

static void a_safe_walk_may_remove_what_it_stands_on(void **state)
{
    (void)state;
    struct item items[] = { { .value = 1 }, { .value = 2 }, { .value = 3 }, { .value = 4 } };
    struct berth_list list;
    berth_list_init(&list);
    for (int i = 0; i < 4; i++)
        berth_list_push_back(&list, &items[i].node);

    BERTH_LIST_FOREACH_SAFE (node, &list)
        if (item_of(node)->value % 2 == 0)
            berth_list_remove(node);

    int sum = 0;
    BERTH_LIST_FOREACH (node, &list)
        sum += item_of(node)->value;
    assert_int_equal(digits(&list), 13);
    assert_int_equal(sum, 4);
}

static void splicing_moves_everything_in_order(void **state)
{
    (void)state;
    struct item items[] = { { .value = 1 }, { .value = 2 }, { .value = 3 }, { .value = 4 } };
    struct berth_list to, from;
    berth_list_init(&to);
    berth_list_init(&from);
    berth_list_push_back(&to, &items[0].node);
    for (int i = 1; i < 4; i++)
        berth_list_push_back(&from, &items[i].node);

    berth_list_splice_back(&to, &from);
    berth_list_splice_back(&to, &from);

    assert_true(berth_list_is_empty(&from));
    assert_int_equal(digits(&to), 1234);
    assert_int_equal(digits_backwards(&to), 4321);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_list_is_empty),
        cmocka_unit_test(elements_stand_in_the_order_in_which_they_were_put),
        cmocka_unit_test(removing_works_at_both_ends_and_in_the_middle),
        cmocka_unit_test(a_safe_walk_may_remove_what_it_stands_on),
        cmocka_unit_test(splicing_moves_everything_in_order),
    };
    return berth_test_main(tests, NULL, NULL);
}
