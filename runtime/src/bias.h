/* SPDX-License-Identifier: MIT
 *
 * A lock that is biased to the thread that takes it all the time: that one comes in by plain
 * stores, without a read-modify-write (7 ns each where this was written). For what is mostly used
 * on one thread, and may be used on any.
 *
 * A thread stands behind a holder, which says in which locks the thread is by that way. Whoever has
 * taken a lock FIRST times in a row becomes its owner. Anybody else takes the word of the lock, as
 * of any other, ends the bias, and waits until the owner is out:
 *
 *     owner                                   who revokes
 *         holder->inside[kind] = lock            takes the word
 *         weft_fence_light()                     lock->owner = nobody
 *         lock->owner is me: is inside           weft_fence_heavy()
 *         else: takes it back, and goes          waits until holder->inside[kind] is not the lock
 *               by the word                      is inside
 *
 * Invariants
 * 1. Who is inside by the word holds the word; who is inside by bias is the owner, and its holder
 *    says so. Only who holds the word writes `owner` and `streak`.
 * 2. At most one is inside. Two by the word: no. The owner by bias and another by the word: that
 *    one has found no owner, and then none enters by bias before it has given back the word, for
 *    who becomes the owner holds it meanwhile; or it has revoked, and by the fences either it sees
 *    the owner inside and waits, or the owner sees that it is the owner no more. The owner itself
 *    by both ways: it would wait for itself in any lock.
 * 3. Nobody but the thread writes its holder, so who finds out late that it has lost a lock does
 *    not touch another one's mark. Release looks at the same place, hence cannot guess wrong.
 * 4. Holders are never freed. A thread that ends leaves its biases to the next one that has its
 *    holder, which sees all that was done under them, because it came to it by a lock.
 * 5. What is seen under the lock is all that was done under it before: by the word as by any lock;
 *    after revoking, because leaving is a release and waiting an acquire (and who did not see the
 *    owner inside has it behind the heavy fence); by bias, because nobody else was there meanwhile.
 *
 * A revocation costs some microseconds on both sides. So after each the next bias takes twice as
 * many rounds, up to FIRST << 9: at worst some percent of what these took. Where fences are not
 * unequal (fence.h) nobody ever becomes the owner, and it is an ordinary lock.
 *
 * As with lock.h: for a few instructions, never over a switch of stacks, all-zero is unlocked.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fence.h"

/* A thread is inside one lock of a kind by bias; a second one of that kind it takes by the word. */
enum weft_bias_kind {
    WEFT_BIAS_TREE,
    WEFT_BIAS_VIEW,
    WEFT_BIAS_OBJECT,
    WEFT_BIAS_PARK,
    WEFT_BIAS_KIND_COUNT
};

#define WEFT_BIAS_FIRST       64
#define WEFT_BIAS_HOLDERS_MAX 1024 /* further threads take each lock by the word */

/* Six bytes: it has to fit into the objects of weft/sync.h, and into a coroutine's first line. */
struct weft_bias {
    atomic_uchar is_taken;
    _Atomic(uint8_t) state; /* for whose lock it is: a byte under it; others may look */
    /* The key of the owner; or the number of who took it last, and how often it was revoked. */
    _Atomic(uint16_t) owner;
    uint16_t streak; /* how often that one has in a row; if there is an owner: the revocations */
};

struct weft_bias_holder {
    _Alignas(64) _Atomic(const struct weft_bias *) inside[WEFT_BIAS_KIND_COUNT];
    uint16_t key;
    uint16_t number;    /* 0: of nobody, or in nobody's hands */
    uint16_t next_free; /* the number of another one */
};

/* Of threads that are not the runtime's, and of those that have got none. It has no lock by bias,
 * and is never written. */
extern struct weft_bias_holder weft_bias_nobody WEFT_INTERNAL;

/* A holder for the calling thread, until it gives it back. */
struct weft_bias_holder *weft_bias_holder_take(void);
void weft_bias_holder_give(struct weft_bias_holder *holder);

/* By the word. */
void weft_bias_acquire_slow(struct weft_bias *lock, struct weft_bias_holder *holder,
                            enum weft_bias_kind kind);

/* `holder`: the calling thread's (weft_holder() in pool.h). `kind`: for one lock always the same.
 */
static inline void weft_bias_acquire(struct weft_bias *lock, struct weft_bias_holder *holder,
                                     enum weft_bias_kind kind)
{
    if (!atomic_load_explicit(&holder->inside[kind], memory_order_relaxed)) {
        atomic_store_explicit(&holder->inside[kind], lock, memory_order_relaxed);
        /* The light fence: it is nothing more wherever there is an owner. */
        atomic_signal_fence(memory_order_seq_cst);
        if (__builtin_expect(
                atomic_load_explicit(&lock->owner, memory_order_acquire) == holder->key, 1))
            return;
        atomic_store_explicit(&holder->inside[kind], NULL, memory_order_release);
    }
    weft_bias_acquire_slow(lock, holder, kind);
}

/* By bias, or not at all: false. Of a kind of which no second one is taken meanwhile. */
static inline bool weft_bias_enter(struct weft_bias *lock, struct weft_bias_holder *holder,
                                   enum weft_bias_kind kind)
{
    if (atomic_load_explicit(&lock->owner, memory_order_relaxed) != holder->key)
        return false; /* nor does `nobody` come further */
    atomic_store_explicit(&holder->inside[kind], lock, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(atomic_load_explicit(&lock->owner, memory_order_acquire) == holder->key,
                         1))
        return true;
    atomic_store_explicit(&holder->inside[kind], NULL, memory_order_release);
    return false;
}

static inline void weft_bias_leave(struct weft_bias_holder *holder, enum weft_bias_kind kind)
{
    atomic_store_explicit(&holder->inside[kind], NULL, memory_order_release);
}

static inline void weft_bias_release(struct weft_bias *lock, struct weft_bias_holder *holder,
                                     enum weft_bias_kind kind)
{
    if (atomic_load_explicit(&holder->inside[kind], memory_order_relaxed) == lock)
        atomic_store_explicit(&holder->inside[kind], NULL, memory_order_release);
    else
        atomic_store_explicit(&lock->is_taken, 0, memory_order_release);
}
