/* SPDX-License-Identifier: MIT
 *
 * The intrusive heap: against a plain search for the smallest.
 */
#include "support/berthtest.h"

#include "base/heap.h"
#include "base/rng.h"

#define ITEMS_MAX 64

struct item {
    int64_t key;
    int number;
    struct berth_heap_node node;
};

struct fixture {
    struct berth_heap_node *nodes[ITEMS_MAX];
    struct item items[ITEMS_MAX];
    struct berth_heap heap;
};

static struct item *item_of(const struct berth_heap_node *node)
{
    return berth_container_of(node, struct item, node);
}

static bool is_before(const struct berth_heap_node *a, const struct berth_heap_node *b)
{
    const struct item *x = item_of(a), *y = item_of(b);
    return x->key != y->key ? x->key < y->key : x->number < y->number;
}

static void given_empty_heap(struct fixture *f)
{
    *f = (struct fixture){ .heap = { .count = 0 } };
    for (int i = 0; i < ITEMS_MAX; i++)
        f->items[i].number = i;
    berth_heap_init(&f->heap, f->nodes, ITEMS_MAX, is_before);
}

static void check_invariants(const struct berth_heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        assert_int_equal(heap->nodes[i]->index, i + 1);
        if (i > 0)
            assert_false(is_before(heap->nodes[i], heap->nodes[(i - 1) / 2]));
    }
}

static const struct item *smallest(const struct fixture *f)
{
    const struct item *best = NULL;
    for (int i = 0; i < ITEMS_MAX; i++)
        if (berth_heap_is_linked(&f->items[i].node) &&
            (!best || is_before(&f->items[i].node, &best->node)))
            best = &f->items[i];
    return best;
}

static void an_empty_heap_has_no_first(void **state)
{
    (void)state;
    struct fixture f;
    given_empty_heap(&f);

    assert_null(berth_heap_first(&f.heap));
    assert_null(berth_heap_pop(&f.heap));
}

static void elements_come_out_in_order(void **state)
{
    (void)state;
    static const int64_t keys[] = { 5, 3, 9, 3, -7, 0, 5, INT64_MAX, INT64_MIN };
    struct fixture f;
    given_empty_heap(&f);
    for (size_t i = 0; i < 9; i++) {
        f.items[i].key = keys[i];
        berth_heap_push(&f.heap, &f.items[i].node);
    }

    static const int numbers[] = { 8, 4, 5, 1, 3, 0, 6, 2, 7 };
    for (size_t i = 0; i < 9; i++) {
        struct berth_heap_node *node = berth_heap_pop(&f.heap);
        assert_int_equal(item_of(node)->number, numbers[i]);
        assert_false(berth_heap_is_linked(node));
    }
    assert_int_equal(f.heap.count, 0);
}

static void any_sequence_keeps_the_invariants_and_the_smallest_first(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fixture f;
        given_empty_heap(&f);
        struct berth_rng rng;
        berth_rng_init(&rng, seed);
        for (int step = 0; step < 2000; step++) {
            struct item *item = &f.items[berth_rng_below(&rng, ITEMS_MAX)];
            bool is_in = berth_heap_is_linked(&item->node);
            bool is_changed = berth_rng_chance(&rng, 1, 2);
            if (is_in && !is_changed) {
                berth_heap_remove(&f.heap, &item->node);
            } else {
                item->key = berth_rng_between(&rng, -20, 20);
                if (is_in)
                    berth_heap_update(&f.heap, &item->node);
                else
                    berth_heap_push(&f.heap, &item->node);
            }
            check_invariants(&f.heap);
            const struct item *wanted = smallest(&f);
            assert_ptr_equal(berth_heap_first(&f.heap), wanted ? &wanted->node : NULL);
        }
    }
}

static void a_heap_goes_on_in_a_larger_array(void **state)
{
    (void)state;
    struct fixture f;
    given_empty_heap(&f);
    struct berth_heap_node *two[2], *four[4];
    berth_heap_init(&f.heap, two, 2, is_before);
    for (int i = 0; i < 2; i++) {
        f.items[i].key = -i;
        berth_heap_push(&f.heap, &f.items[i].node);
    }

    four[0] = two[0];
    four[1] = two[1];
    berth_heap_move(&f.heap, four, 4);
    f.items[2].key = -2;
    berth_heap_push(&f.heap, &f.items[2].node);

    check_invariants(&f.heap);
    assert_ptr_equal(berth_heap_first(&f.heap), &f.items[2].node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap_has_no_first),
        cmocka_unit_test(elements_come_out_in_order),
        cmocka_unit_test(any_sequence_keeps_the_invariants_and_the_smallest_first),
        cmocka_unit_test(a_heap_goes_on_in_a_larger_array),
    };
    return berth_test_main(tests, NULL, NULL);
}
