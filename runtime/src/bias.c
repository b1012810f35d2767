/* SPDX-License-Identifier: MIT */
#include "bias.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

#include "lock.h"

/* In `owner`. */
#define BIASED        0x8000u
#define REVOKED_SHIFT 11
#define REVOKED_MAX   9
#define NUMBER_MASK   0x07ffu

_Static_assert(sizeof(struct weft_bias) == 6, "see there");
_Static_assert((WEFT_BIAS_FIRST << REVOKED_MAX) <= UINT16_MAX, "streak must hold it");
_Static_assert(WEFT_BIAS_HOLDERS_MAX <= NUMBER_MASK, "owner must hold it");
_Static_assert((REVOKED_MAX << REVOKED_SHIFT | NUMBER_MASK) < BIASED, "owner must hold it");

/* In no state, so that nobody counts as inside it; not NULL, so that nobody comes in by it. */
static const struct weft_bias no_lock;
struct weft_bias_holder weft_bias_nobody = {
    .inside = { &no_lock, &no_lock, &no_lock, &no_lock },
    .key = BIASED,
};
_Static_assert(WEFT_BIAS_KIND_COUNT == 4, "each kind of nobody's is taken");

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
    unsigned revoked = lock->streak < REVOKED_MAX ? lock->streak + 1U : REVOKED_MAX;
    atomic_store_explicit(&lock->owner, (uint16_t)(revoked << REVOKED_SHIFT), memory_order_relaxed);
    weft_fence_heavy();
    for (unsigned round = 0;
         atomic_load_explicit(&holder->inside[kind], memory_order_acquire) == lock; round++)
        weft_lock_pause(round);
    lock->streak = 0;
}

/* With the word of a lock that has no owner. */
static void count(struct weft_bias *lock, unsigned owner, const struct weft_bias_holder *holder)
{
    unsigned last = owner & NUMBER_MASK, revoked = owner >> REVOKED_SHIFT;
    if (last != holder->number) {
        owner = holder->number | revoked << REVOKED_SHIFT;
        atomic_store_explicit(&lock->owner, (uint16_t)owner, memory_order_relaxed);
        lock->streak = 0;
    } else if (last != 0 && weft_fence_is_unequal &&
               ++lock->streak >= (unsigned)WEFT_BIAS_FIRST << revoked) {
        lock->streak = (uint16_t)revoked;
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
