/* SPDX-License-Identifier: MIT
 *
 * Intrusive doubly linked list. Header-only; depends on assert.h and container.h alone, for the
 * coroutine runtime uses it too. Never allocates and owns nothing: the node lies in the element,
 * the element in somebody else's memory.
 *
 *     struct job { struct berth_list_node node; ... };
 *     BERTH_LIST_FOREACH (node, &list) {
 *         struct job *job = berth_container_of(node, struct job, node);
 *         ...
 *     }
 *
 * Invariants
 * 1. The nodes form a ring through the list's own node; a list of none points at itself.
 * 2. A node that is all zero is in no list; removing makes it so again.
 * 3. Everything is O(1). Elements stand in the order in which they were put.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"
#include "base/container.h"

struct berth_list_node {
    struct berth_list_node *next, *prev;
};

/* Must be initialized before use; must not be moved while it has elements. */
struct berth_list {
    struct berth_list_node ring;
};

static inline void berth_list_init(struct berth_list *list)
{
    list->ring.next = list->ring.prev = &list->ring;
}

static inline bool berth_list_is_empty(const struct berth_list *list)
{
    return list->ring.next == &list->ring;
}

/* Whether the node is in a list (any list). */
static inline bool berth_list_is_linked(const struct berth_list_node *node)
{
    return node->next != NULL;
}

/* Puts `node`, which is in no list, in front of `place`, which is in one. */
static inline void berth_list_insert_before(struct berth_list_node *place,
                                            struct berth_list_node *node)
{
    BERTH_ASSERT(!node->next);
    BERTH_ASSERT(place->next);
    node->next = place;
    node->prev = place->prev;
    place->prev->next = node;
    place->prev = node;
}

static inline void berth_list_push_back(struct berth_list *list, struct berth_list_node *node)
{
    berth_list_insert_before(&list->ring, node);
}

static inline void berth_list_push_front(struct berth_list *list, struct berth_list_node *node)
{
    berth_list_insert_before(list->ring.next, node);
}

/* Takes `node` out of the list it is in; it must be in one. */
static inline void berth_list_remove(struct berth_list_node *node)
{
    BERTH_ASSERT(node->next);
    BERTH_ASSERT(node->next->prev == node);
    BERTH_ASSERT(node->prev->next == node);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

/* The first, last, next or previous node, or NULL if there is none. */
static inline struct berth_list_node *berth_list_first(const struct berth_list *list)
{
    return berth_list_is_empty(list) ? NULL : list->ring.next;
}

static inline struct berth_list_node *berth_list_last(const struct berth_list *list)
{
    return berth_list_is_empty(list) ? NULL : list->ring.prev;
}

static inline struct berth_list_node *berth_list_next(const struct berth_list *list,
                                                      const struct berth_list_node *node)
{
    return node->next == &list->ring ? NULL : node->next;
}

static inline struct berth_list_node *berth_list_prev(const struct berth_list *list,
                                                      const struct berth_list_node *node)
{
    return node->prev == &list->ring ? NULL : node->prev;
}

/* Takes the first out and returns it, or NULL. */
static inline struct berth_list_node *berth_list_pop_front(struct berth_list *list)
{
    struct berth_list_node *node = berth_list_first(list);
    if (node)
        berth_list_remove(node);
    return node;
}

/* Moves all of `from` to the end of `to`, in order; `from` is empty then. */
static inline void berth_list_splice_back(struct berth_list *to, struct berth_list *from)
{
    if (berth_list_is_empty(from))
        return;
    struct berth_list_node *first = from->ring.next, *last = from->ring.prev;
    first->prev = to->ring.prev;
    last->next = &to->ring;
    to->ring.prev->next = first;
    to->ring.prev = last;
    berth_list_init(from);
}

/* Walks from first to last. The body must not remove `node`; with _SAFE it may remove and free it,
 * but no other.
 * NOLINTBEGIN(bugprone-macro-parentheses): node is a name that is declared */
#define BERTH_LIST_FOREACH(node, list)                                                             \
    for (struct berth_list_node *node = (list)->ring.next; node != &(list)->ring; node = node->next)

#define BERTH_LIST_FOREACH_SAFE(node, list)                                                        \
    for (struct berth_list_node *node = (list)->ring.next, *node##_next = node->next;              \
         node != &(list)->ring; node = node##_next, node##_next = node->next)
/* NOLINTEND(bugprone-macro-parentheses) */
