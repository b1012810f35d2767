/* SPDX-License-Identifier: MIT */
#include "wheel.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "die.h"

#define NEVER INT64_MAX
/* Far slots are poured so many ticks (4 ms) before they begin, at the latest: time for 10^5. */
#define POUR_TICKS_AHEAD 64

struct weft_wheel_slots {
    uint64_t near_bits[WEFT_WHEEL_NEAR_WORDS];
    struct berth_list far[WEFT_WHEEL_FAR_LEVELS][WEFT_WHEEL_FAR_SLOTS];
    struct berth_list near[WEFT_WHEEL_NEAR_SLOTS]; /* initialized when they become occupied */
};

static void put(struct weft_wheel *wheel, struct weft_timer *timer);
static void put_far(struct weft_wheel *wheel, struct weft_timer *timer, int64_t tick);
static void unlink_node(struct weft_wheel *wheel, struct berth_list_node *node);
static bool go_on(struct weft_wheel *wheel);
static void pour_ahead(struct weft_wheel *wheel);
static void pour(struct weft_wheel *wheel, unsigned level, int64_t number);
static int64_t near_next(const struct weft_wheel *wheel);
static int64_t far_next(const struct weft_wheel *wheel, unsigned *ret_level);
static int64_t far_first(const struct weft_wheel *wheel, unsigned level);
static int64_t pourable_at(unsigned level, int64_t number);

int weft_wheel_init(struct weft_wheel *wheel, int64_t now_ns)
{
    memset(wheel, 0, sizeof *wheel);
    void *memory = mmap(NULL, sizeof *wheel->slots, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    wheel->slots = memory;
    wheel->tick = wheel->due_tick = now_ns > 0 ? now_ns >> WEFT_WHEEL_TICK_SHIFT : 0;
    wheel->next_tick = wheel->pour_tick = NEVER;
    wheel->pours_left = WEFT_WHEEL_POURS_MAX;
    return 0;
}

void weft_wheel_fini(struct weft_wheel *wheel)
{
    WEFT_REQUIRE(wheel->count == 0, "a timer is still set at the end");
    if (wheel->slots)
        (void)munmap(wheel->slots, sizeof *wheel->slots);
    memset(wheel, 0, sizeof *wheel);
}

void weft_wheel_set(struct weft_wheel *wheel, struct weft_timer *timer, int64_t deadline_ns)
{
    timer->deadline_ns = deadline_ns;
    wheel->count++;
    put(wheel, timer);
}

void weft_wheel_cancel(struct weft_wheel *wheel, struct weft_timer *timer)
{
    wheel->count--;
    unlink_node(wheel, &timer->node);
}

void weft_wheel_advance(struct weft_wheel *wheel, int64_t now_ns)
{
    int64_t tick = now_ns > 0 ? now_ns >> WEFT_WHEEL_TICK_SHIFT : 0;
    if (tick > wheel->due_tick)
        wheel->due_tick = tick;
    wheel->pours_left = WEFT_WHEEL_POURS_MAX;
    (void)go_on(wheel);
}

static bool is_near_occupied(const struct weft_wheel *wheel, size_t slot)
{
    return (wheel->slots->near_bits[slot / 64] >> slot % 64 & 1) != 0;
}

/* A popped timer is followed in memory by nothing, so each is a cache miss, 100 ns; hence the one
 * after the next is asked for while the caller works on this one. (Its neighbour is in the cache
 * then, and has to be, for it is written here.) */
struct weft_timer *weft_wheel_pop(struct weft_wheel *wheel)
{
    size_t slot = (size_t)wheel->tick % WEFT_WHEEL_NEAR_SLOTS;
    if (!is_near_occupied(wheel, slot)) {
        if (!go_on(wheel))
            return NULL;
        slot = (size_t)wheel->tick % WEFT_WHEEL_NEAR_SLOTS;
    }
    struct berth_list_node *node = wheel->slots->near[slot].ring.next;
    __builtin_prefetch(node->next->next, 1);
    unlink_node(wheel, node);
    wheel->count--;
    return berth_container_of(node, struct weft_timer, node);
}

int64_t weft_wheel_next_ns(const struct weft_wheel *wheel)
{
    unsigned level;
    int64_t near = near_next(wheel), far = far_next(wheel, &level);
    if (far != NEVER)
        far -= POUR_TICKS_AHEAD;
    int64_t next = near < far ? near : far;
    return next > NEVER >> WEFT_WHEEL_TICK_SHIFT ? NEVER : next * WEFT_WHEEL_TICK_NS;
}

/* The first tick at which a deadline has passed; no sum that could overflow. */
static int64_t tick_of(int64_t deadline_ns)
{
    if (deadline_ns <= 0)
        return 0;
    return (deadline_ns >> WEFT_WHEEL_TICK_SHIFT) + (deadline_ns % WEFT_WHEEL_TICK_NS != 0);
}

static void put(struct weft_wheel *wheel, struct weft_timer *timer)
{
    int64_t tick = tick_of(timer->deadline_ns);
    if (tick < wheel->tick)
        tick = wheel->tick;
    if ((uint64_t)(tick - wheel->tick) >= WEFT_WHEEL_NEAR_SLOTS) {
        put_far(wheel, timer, tick);
        return;
    }
    if (tick < wheel->next_tick)
        wheel->next_tick = tick;
    size_t slot = (size_t)tick % WEFT_WHEEL_NEAR_SLOTS;
    struct berth_list *list = &wheel->slots->near[slot];
    if (!is_near_occupied(wheel, slot)) {
        berth_list_init(list);
        wheel->slots->near_bits[slot / 64] |= (uint64_t)1 << slot % 64;
        wheel->near_words[slot / 64 / 64] |= (uint64_t)1 << slot / 64 % 64;
    }
    berth_list_push_back(list, &timer->node);
}

static unsigned far_shift(unsigned level)
{
    return WEFT_WHEEL_FAR_SHIFT + WEFT_WHEEL_FAR_STEP * level;
}

static void put_far(struct weft_wheel *wheel, struct weft_timer *timer, int64_t tick)
{
    unsigned level = 0;
    while ((tick >> far_shift(level)) - (wheel->tick >> far_shift(level)) >= WEFT_WHEEL_FAR_SLOTS)
        level++;
    int64_t number = tick >> far_shift(level);
    size_t slot = (size_t)number % WEFT_WHEEL_FAR_SLOTS;
    struct berth_list *list = &wheel->slots->far[level][slot];
    if ((wheel->far[level] >> slot & 1) == 0) {
        berth_list_init(list);
        wheel->far[level] |= (uint64_t)1 << slot;
        int64_t at = pourable_at(level, number), begin = number << far_shift(level);
        if (at < wheel->pour_tick)
            wheel->pour_tick = at;
        if (begin < wheel->next_tick)
            wheel->next_tick = begin;
    }
    berth_list_push_back(list, &timer->node);
}

/* Takes a node out of its slot, wherever that is; a slot that becomes empty is found by its
 * address, since the neighbours of the last node are the slot's own. */
static void unlink_node(struct weft_wheel *wheel, struct berth_list_node *node)
{
    struct berth_list_node *ring = node->next;
    bool is_last = ring == node->prev;
    berth_list_remove(node);
    if (!is_last)
        return;
    struct weft_wheel_slots *slots = wheel->slots;
    const struct berth_list *list = berth_container_of(ring, struct berth_list, ring);
    if (list < slots->near) {
        size_t index = (size_t)(list - &slots->far[0][0]);
        wheel->far[index / WEFT_WHEEL_FAR_SLOTS] &= ~((uint64_t)1 << index % WEFT_WHEEL_FAR_SLOTS);
        return;
    }
    size_t slot = (size_t)(list - slots->near);
    slots->near_bits[slot / 64] &= ~((uint64_t)1 << slot % 64);
    if (slots->near_bits[slot / 64] == 0)
        wheel->near_words[slot / 64 / 64] &= ~((uint64_t)1 << slot / 64 % 64);
}

/* Moves on to the next slot that is due and occupied, pouring what begins before it. False: there
 * is none (any more), or enough has been poured for now. */
static bool go_on(struct weft_wheel *wheel)
{
    while (wheel->next_tick <= wheel->due_tick) {
        unsigned level = 0;
        int64_t near = near_next(wheel), far = far_next(wheel, &level);
        int64_t next = near < far ? near : far;
        wheel->next_tick = next;
        if (next > wheel->due_tick)
            break;
        wheel->tick = next;
        if (far > next)
            return true;
        if (wheel->pours_left == 0)
            return false;
        pour(wheel, level, far >> far_shift(level));
    }
    wheel->tick = wheel->due_tick;
    if (wheel->tick >= wheel->pour_tick)
        pour_ahead(wheel);
    return false;
}

/* Pours what can be. From the farthest level to the nearest, so that what one level gets from
 * another is looked at too. */
static void pour_ahead(struct weft_wheel *wheel)
{
    int64_t next = NEVER;
    for (unsigned level = WEFT_WHEEL_FAR_LEVELS; level-- > 0;) {
        while (wheel->far[level] != 0) {
            int64_t number = far_first(wheel, level);
            int64_t at = pourable_at(level, number);
            if (at > wheel->tick) {
                next = at < next ? at : next;
                break;
            }
            if (wheel->pours_left == 0)
                return;
            pour(wheel, level, number);
        }
    }
    wheel->pour_tick = next;
}

/* Pours a slot, as much of it as is left to be poured now. Its timers fit into nearer slots. */
static void pour(struct weft_wheel *wheel, unsigned level, int64_t number)
{
    size_t slot = (size_t)number % WEFT_WHEEL_FAR_SLOTS;
    struct berth_list *list = &wheel->slots->far[level][slot];
    while ((wheel->far[level] >> slot & 1) != 0 && wheel->pours_left > 0) {
        struct berth_list_node *node = list->ring.next;
        __builtin_prefetch(node->next->next, 1);
        unlink_node(wheel, node);
        put(wheel, berth_container_of(node, struct weft_timer, node));
        wheel->pours_left--;
    }
}

/* The first tick with an occupied near slot, or NEVER. */
static int64_t near_next(const struct weft_wheel *wheel)
{
    size_t slot = (size_t)wheel->tick % WEFT_WHEEL_NEAR_SLOTS, first = slot / 64;
    uint64_t bits = wheel->slots->near_bits[first] >> slot % 64;
    if (bits != 0)
        return wheel->tick + __builtin_ctzll(bits);
    for (size_t n = 1; n <= WEFT_WHEEL_NEAR_WORDS;) { /* at last the rest of the first word */
        size_t word = (first + n) % WEFT_WHEEL_NEAR_WORDS;
        uint64_t words = wheel->near_words[word / 64] >> word % 64;
        if (words == 0) {
            n += 64 - word % 64;
            continue;
        }
        n += (size_t)__builtin_ctzll(words);
        word = (first + n) % WEFT_WHEEL_NEAR_WORDS;
        size_t bit = (size_t)__builtin_ctzll(wheel->slots->near_bits[word]);
        return wheel->tick + (int64_t)(n * 64 + bit - slot % 64);
    }
    return NEVER;
}

/* The number of a level's first occupied slot; there must be one. */
static int64_t far_first(const struct weft_wheel *wheel, unsigned level)
{
    int64_t here = wheel->tick >> far_shift(level);
    unsigned turn = (unsigned)here % WEFT_WHEEL_FAR_SLOTS;
    uint64_t bits = wheel->far[level] >> turn | wheel->far[level] << (64 - turn) % 64;
    return here + __builtin_ctzll(bits);
}

/* The tick at which the first far slot begins, or NEVER. */
static int64_t far_next(const struct weft_wheel *wheel, unsigned *ret_level)
{
    int64_t next = NEVER;
    for (unsigned level = 0; level < WEFT_WHEEL_FAR_LEVELS; level++) {
        if (wheel->far[level] == 0)
            continue;
        int64_t begin = far_first(wheel, level) << far_shift(level);
        if (begin < next) {
            next = begin;
            *ret_level = level;
        }
    }
    return next;
}

/* The tick from which on all of a far slot fits into the level below. */
static int64_t pourable_at(unsigned level, int64_t number)
{
    int64_t last = ((number + 1) << far_shift(level)) - 1;
    if (level == 0)
        return last - (int64_t)WEFT_WHEEL_NEAR_SLOTS + 1;
    unsigned below = far_shift(level - 1);
    return ((last >> below) - (WEFT_WHEEL_FAR_SLOTS - 1)) << below;
}
