/* SPDX-License-Identifier: MIT */
#include "bias.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

#include "lock.h"

#define BIASED      0x8000u /* in `owner` */
#define NUMBER_MASK 0x7fffu
#define REVOKED_MAX 9

_Static_assert(sizeof(struct weft_bias) <= 8, "it must fit into the objects of weft/sync.h");
_Static_assert((WEFT_BIAS_FIRST << REVOKED_MAX) <= UINT16_MAX, "streak must hold it");
_Static_assert(WEFT_BIAS_HOLDERS_MAX <= NUMBER_MASK, "owner must hold it");

/* In no state, so that nobody counts as inside it; not NULL, so that nobody comes in by it. */
static const struct weft_bias no_lock;
struct weft_bias_holder weft_bias_nobody = {
    .inside = { &no_lock, &no_lock, &no_lock },
    .key = BIASED,
};
_Static_assert(WEFT_BIAS_KIND_COUNT == 3, "each kind of nobody's is taken");

/* holders[0] is never given out: number 0 is nobody's. */
static struct weft_bias_holder holders[WEFT_BIAS_HOLDERS_MAX + 1];
static struct weft_lock holders_lock;
static uint16_t first_free, ever_taken; /* numbers */

struct weft_bias_holder *weft_bias_holder_take(void)
{
    weft_lock_acquire(&holders_lock);
    uint16_t number = first_free;
    if (number != 0)
        first_free = holders[number].next_free;
    else if (ever_taken < WEFT_BIAS_HOLDERS_MAX)
        number = ++ever_taken;
    weft_lock_release(&holders_lock);
    if (number == 0)
        return &weft_bias_nobody;
    struct weft_bias_holder *holder = &holders[number];
    holder->number = number;
    holder->key = (uint16_t)(number | BIASED);
    return holder;
}

void weft_bias_holder_give(struct weft_bias_holder *holder)
{
    if (holder == &weft_bias_nobody)
        return;
    for (unsigned kind = 0; kind < WEFT_BIAS_KIND_COUNT; kind++)
        BERTH_ASSERT(!holder->inside[kind]);
    weft_lock_acquire(&holders_lock);
    holder->next_free = first_free;
    first_free = holder->number;
    weft_lock_release(&holders_lock);
}

static void take_word(struct weft_bias *lock)
{
    for (unsigned round = 0;; round++) {
        if (atomic_load_explicit(&lock->is_taken, memory_order_relaxed) == 0 &&
            atomic_exchange_explicit(&lock->is_taken, 1, memory_order_acquire) == 0)
            return;
        weft_lock_pause(round);
    }
}

/* With the word: the owner is the owner no more, and out. */
static void take_away(struct weft_bias *lock, unsigned owner, enum weft_bias_kind kind)
{
    const struct weft_bias_holder *holder = &holders[owner & NUMBER_MASK];
    atomic_store_explicit(&lock->owner, 0, memory_order_relaxed);
    weft_fence_heavy();
    for (unsigned round = 0;
         atomic_load_explicit(&holder->inside[kind], memory_order_acquire) == lock; round++)
        weft_lock_pause(round);
    lock->streak = 0;
    if (lock->revoked < REVOKED_MAX)
        lock->revoked++;
}

/* With the word of a lock that has no owner. */
static void count(struct weft_bias *lock, unsigned last, const struct weft_bias_holder *holder)
{
    if (last != holder->number) {
        atomic_store_explicit(&lock->owner, holder->number, memory_order_relaxed);
        lock->streak = 0;
    } else if (last != 0 && weft_fence_is_unequal &&
               ++lock->streak >= (unsigned)WEFT_BIAS_FIRST << lock->revoked) {
        atomic_store_explicit(&lock->owner, holder->key, memory_order_relaxed);
    }
}

__attribute__((noinline)) void weft_bias_acquire_slow(struct weft_bias *lock,
                                                      struct weft_bias_holder *holder,
                                                      enum weft_bias_kind kind)
{
    BERTH_ASSERT(atomic_load_explicit(&holder->inside[kind], memory_order_relaxed) != lock);
    if (atomic_exchange_explicit(&lock->is_taken, 1, memory_order_acquire) != 0)
        take_word(lock);
    unsigned owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);
    if (!(owner & BIASED))
        count(lock, owner, holder);
    else if (owner != holder->key) /* else by the word only because it is in another of the kind */
        take_away(lock, owner, kind);
}
