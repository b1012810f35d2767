/* SPDX-License-Identifier: MIT
 *
 * The recorder: one ring a thread, and the stop that waits for all of them.
 *
 * A thread says that it is busy, looks whether the session is still the one it knows, writes, and
 * says that it is done. The stop ends the session and then waits for those who are busy, which is
 * for nanoseconds. Between "busy" and the look there must be a fence; the stop pays for it
 * (membarrier), so that the threads need not. Nobody is held up while the file is written.
 *
 * A ring's struct is made by its thread and freed with it, or by the stop after it; so a thread
 * never finds somebody else's there. Locks: this file's is taken last of all.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#include "fence.h"
#include "lock.h"
#include "reason.h"
#include "trace_ring.h"
#include "tree.h"

#define RING_BYTES_DEFAULT ((size_t)1 << 20)
#define RING_BYTES_MIN     ((size_t)4 << 10)
#define RING_BYTES_MAX     ((size_t)1 << 30)
#define FILE_MODE          0644

atomic_uint weft_trace_session;

enum { STATE_OFF, STATE_CHANGING, STATE_ON };

static struct {
    atomic_int state;
    /* of who changes the state */
    int fd;
    unsigned session_last;
    uint64_t capacity; /* of a ring, in events; a power of two */
    struct weft_trace_clock clock;
    /* set once */
    pthread_once_t once;
    pthread_key_t key; /* its destructor tells that a thread has gone */
    bool has_tsc;
    /* of all rings */
    struct weft_lock lock;
    struct berth_list rings;
} trace = { .once = PTHREAD_ONCE_INIT };

static _Thread_local struct weft_trace_ring *this_ring;

static void thread_gone(void *arg);

/* ---- the clock ---- */

static void clock_choose(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;
    trace.has_tsc = __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1u << 8) != 0; /* invariant */
#endif
}

static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__)
    if (trace.has_tsc)
        return __rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#endif
#if !defined(__aarch64__)
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

static void clock_read(struct weft_trace_clock *clock, int which)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    clock->ticks[which] = clock_ticks();
    clock->ns[which] = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- a thread's ring ---- */

static struct weft_trace_ring *ring_new(void)
{
    struct weft_trace_ring *ring = calloc(1, sizeof *ring);
    if (!ring)
        return NULL;
    if (pthread_setspecific(trace.key, ring) != 0) {
        free(ring);
        return NULL;
    }
    ring->tid = (pid_t)syscall(SYS_gettid);
    ring->has_thread = true;
    weft_lock_acquire(&trace.lock);
    berth_list_push_back(&trace.rings, &ring->node);
    weft_lock_release(&trace.lock);
    this_ring = ring;
    return ring;
}

static void thread_gone(void *arg)
{
    struct weft_trace_ring *ring = arg;
    this_ring = NULL;
    weft_lock_acquire(&trace.lock);
    bool is_empty = !ring->events;
    if (is_empty)
        berth_list_remove(&ring->node);
    ring->has_thread = false;
    weft_lock_release(&trace.lock);
    if (is_empty)
        free(ring);
}

/* Gives the ring its memory for this session; false: the session is over, or no memory. */
static bool ring_join(struct weft_trace_ring *ring, unsigned session)
{
    size_t bytes = trace.capacity * sizeof *ring->events;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    (void)snprintf(ring->name, sizeof ring->name, "%s", weft_thread_name());
    weft_lock_acquire(&trace.lock);
    bool is_on = weft_trace_session == session;
    if (is_on) {
        ring->events = memory;
        ring->capacity = trace.capacity;
        ring->put = 0;
        ring->session = session;
        memset(ring->cache, 0, sizeof ring->cache);
    }
    weft_lock_release(&trace.lock);
    if (!is_on)
        (void)munmap(memory, bytes);
    return is_on;
}

/* The ring of this thread, made busy; NULL: nothing is to be recorded. */
static struct weft_trace_ring *enter(void)
{
    struct weft_trace_ring *ring = this_ring;
    if (!ring) {
        ring = ring_new();
        if (!ring)
            return NULL;
    }
    for (;;) {
        atomic_store_explicit(&ring->is_busy, 1, memory_order_relaxed);
        weft_fence_light();
        unsigned session = atomic_load(&weft_trace_session);
        if (session != 0 && ring->session == session)
            return ring;
        atomic_store_explicit(&ring->is_busy, 0, memory_order_release);
        if (session == 0 || !ring_join(ring, session))
            return NULL;
    }
}

static void leave(struct weft_trace_ring *ring)
{
    atomic_store_explicit(&ring->is_busy, 0, memory_order_release);
}

static void put_at(struct weft_trace_ring *ring, uint64_t ticks, enum weft_trace_kind kind,
                   uint64_t id, uint64_t what)
{
    struct weft_trace_event *event = &ring->events[ring->put++ & (ring->capacity - 1)];
    event->ticks = ticks;
    event->id_kind = id << WEFT_TRACE_KIND_BITS | kind;
    event->what = what;
}

static void put(struct weft_trace_ring *ring, enum weft_trace_kind kind, uint64_t id, uint64_t what)
{
    put_at(ring, clock_ticks(), kind, id, what);
}

/* ---- what an event says ---- */

static const struct weft_trace_text *text_of(struct weft_trace_ring *ring, const char *given)
{
    size_t slot = ((uintptr_t)given >> 3 ^ (uintptr_t)given >> 9) % WEFT_TRACE_CACHE_COUNT;
    const struct weft_trace_text *text = ring->cache[slot].text;
    if (ring->cache[slot].given == given && strcmp(text->text, given) == 0)
        return text;
    text = weft_trace_text_copy(given);
    if (text) {
        ring->cache[slot].given = given;
        ring->cache[slot].text = text;
    }
    return text;
}

static uint64_t what_name(struct weft_trace_ring *ring, const struct weft_task *task)
{
    const struct weft_trace_text *text = task->has_name ? text_of(ring, task->name) : NULL;
    return text ? (uint64_t)(uintptr_t)text | WEFT_TRACE_IS_TEXT : (uint64_t)(uintptr_t)task->fn;
}

static uint64_t what_place(struct weft_trace_ring *ring, const struct weft_dispatcher *d)
{
    const struct weft_trace_text *text = text_of(ring, d->name);
    return text ? (uint64_t)text->number << WEFT_TRACE_PTR_BITS : 0;
}

static void put_named(enum weft_trace_kind kind, const struct weft_task *task)
{
    struct weft_trace_ring *ring = enter();
    if (!ring)
        return;
    put(ring, kind, task->id, what_name(ring, task));
    leave(ring);
}

void weft_trace_put_launch(const struct weft_task *task)
{
    put_named(WEFT_TRACE_LAUNCH, task);
}

void weft_trace_put_wake(const struct weft_task *task)
{
    put_named(WEFT_TRACE_WAKE, task);
}

void weft_trace_put_finish(const struct weft_task *task)
{
    put_named(WEFT_TRACE_FINISH, task);
}

static enum weft_trace_kind kind_of(enum weft_after after)
{
    switch (after) {
    case WEFT_AFTER_CALL: return WEFT_TRACE_CALLS;
    case WEFT_AFTER_PARK: return WEFT_TRACE_PARKS;
    case WEFT_AFTER_YIELD: return WEFT_TRACE_YIELDS;
    case WEFT_AFTER_MOVE: return WEFT_TRACE_MOVES;
    case WEFT_AFTER_END: break;
    }
    return WEFT_TRACE_ENDS;
}

static void put_turn_end(struct weft_trace_ring *ring, uint64_t ticks, const struct weft_task *task)
{
    enum weft_trace_kind kind = kind_of(task->after);
    uint64_t what = kind == WEFT_TRACE_MOVES
                        ? what_place(ring, task->dispatcher)
                        : (uint64_t)(uintptr_t)weft_reason_text(task->waits_for);
    put_at(ring, ticks, kind, task->id, what);
}

void weft_trace_put_turn_end(const struct weft_task *task)
{
    struct weft_trace_ring *ring = enter();
    if (!ring)
        return;
    put_turn_end(ring, clock_ticks(), task);
    leave(ring);
}

void weft_trace_put_turn_begin(const struct weft_task *task, const struct weft_task *left)
{
    struct weft_trace_ring *ring = enter();
    if (!ring)
        return;
    uint64_t ticks = clock_ticks();
    if (left)
        put_turn_end(ring, ticks, left);
    bool is_same_wake = task->after == WEFT_AFTER_YIELD || task->after == WEFT_AFTER_MOVE ||
                        task->after == WEFT_AFTER_CALL;
    uint64_t what = what_name(ring, task) | what_place(ring, task->dispatcher);
    put_at(ring, ticks, is_same_wake ? WEFT_TRACE_AGAIN : WEFT_TRACE_TURN, task->id, what);
    leave(ring);
}

static void put_loop(enum weft_trace_kind kind, const struct weft_dispatcher *view)
{
    struct weft_trace_ring *ring = enter();
    if (!ring)
        return;
    put(ring, kind, 0, what_place(ring, view));
    leave(ring);
}

void weft_trace_put_loop_begin(const struct weft_dispatcher *view)
{
    put_loop(WEFT_TRACE_LOOP, view);
}

void weft_trace_put_loop_end(const struct weft_dispatcher *view)
{
    put_loop(WEFT_TRACE_LOOP_ENDS, view);
}

void weft_trace_put_thread(bool is_end)
{
    struct weft_trace_ring *ring = enter();
    if (!ring)
        return;
    put(ring, is_end ? WEFT_TRACE_THREAD_ENDS : WEFT_TRACE_THREAD, 0, 0);
    leave(ring);
}

/* ---- start and stop ---- */

static void set_up(void)
{
    (void)pthread_key_create(&trace.key, thread_gone);
    berth_list_init(&trace.rings);
    clock_choose();
    weft_fence_open();
}

static uint64_t capacity_of(size_t ring_bytes)
{
    uint64_t capacity = 1;
    while (2 * capacity * sizeof(struct weft_trace_event) <= ring_bytes)
        capacity *= 2;
    return capacity;
}

static int start(const char *path, size_t ring_bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return -errno;
    (void)pthread_once(&trace.once, set_up);
    trace.fd = fd;
    trace.capacity = capacity_of(ring_bytes > 0 ? ring_bytes : RING_BYTES_DEFAULT);
    if (++trace.session_last == 0) /* which would mean that it is off */
        trace.session_last = 1;
    clock_read(&trace.clock, 0);
    atomic_store(&weft_trace_session, trace.session_last);
    return 0;
}

int weft_trace_start(const char *path, size_t ring_bytes)
{
    bool is_size =
        ring_bytes == 0 || (ring_bytes >= RING_BYTES_MIN && ring_bytes <= RING_BYTES_MAX);
    if (!path || !is_size)
        return -EINVAL;
    int seen = STATE_OFF;
    if (!atomic_compare_exchange_strong(&trace.state, &seen, STATE_CHANGING))
        return -EALREADY;
    int rc = start(path, ring_bytes);
    trace.state = rc < 0 ? STATE_OFF : STATE_ON;
    return rc;
}

/* The rings that have events, with a place for each, or NULL; under the lock they cannot go. */
static struct weft_trace_ring **rings_find(size_t *ret_count)
{
    size_t count = 0, room = 0;
    struct weft_trace_ring **found = NULL;
    for (;;) {
        count = 0;
        weft_lock_acquire(&trace.lock);
        BERTH_LIST_FOREACH (node, &trace.rings) {
            struct weft_trace_ring *ring = berth_container_of(node, struct weft_trace_ring, node);
            if (!ring->events)
                continue;
            if (count < room)
                found[count] = ring;
            count++;
        }
        weft_lock_release(&trace.lock);
        if (count <= room && found)
            break;
        free(found);
        room = count + 1;
        found = calloc(room, sizeof(struct weft_trace_ring *));
        if (!found)
            return NULL;
    }
    *ret_count = count;
    return found;
}

/* Nobody writes any more when this returns. */
static void quiesce(void)
{
    weft_lock_acquire(&trace.lock); /* no ring joins in any more */
    atomic_store(&weft_trace_session, 0);
    weft_lock_release(&trace.lock);
    weft_fence_heavy();
    for (bool is_busy = true; is_busy;) {
        is_busy = false;
        weft_lock_acquire(&trace.lock);
        BERTH_LIST_FOREACH (node, &trace.rings)
            is_busy |=
                atomic_load(&berth_container_of(node, struct weft_trace_ring, node)->is_busy);
        weft_lock_release(&trace.lock);
        if (is_busy)
            (void)syscall(SYS_sched_yield);
    }
}

/* Gives the memory back; a ring whose thread has gone goes, too. */
static void rings_clear(void)
{
    struct berth_list gone;
    berth_list_init(&gone);
    weft_lock_acquire(&trace.lock);
    BERTH_LIST_FOREACH_SAFE (node, &trace.rings) {
        struct weft_trace_ring *ring = berth_container_of(node, struct weft_trace_ring, node);
        if (ring->events)
            (void)munmap(ring->events, ring->capacity * sizeof *ring->events);
        ring->events = NULL;
        if (!ring->has_thread) {
            berth_list_remove(node);
            berth_list_push_back(&gone, node);
        }
    }
    weft_lock_release(&trace.lock);
    for (struct berth_list_node *node; (node = berth_list_pop_front(&gone));)
        free(berth_container_of(node, struct weft_trace_ring, node));
}

static int stop(void)
{
    quiesce();
    clock_read(&trace.clock, 1);
    size_t count;
    struct weft_trace_ring **rings = rings_find(&count);
    int rc = rings ? weft_trace_write(trace.fd, rings, count, &trace.clock) : -ENOMEM;
    free(rings);
    rings_clear();
    weft_trace_text_clear();
    if (close(trace.fd) < 0 && rc == 0 && errno != EINTR)
        rc = -errno;
    return rc;
}

int weft_trace_stop(void)
{
    int seen = STATE_ON;
    if (!atomic_compare_exchange_strong(&trace.state, &seen, STATE_CHANGING))
        return -EALREADY;
    int rc = stop();
    trace.state = STATE_OFF;
    return rc;
}

/* ---- by the environment ---- */

static void stop_at_exit(void)
{
    (void)weft_trace_stop();
}

void weft_trace_start_by_environment(void)
{
    static atomic_bool is_known;
    if (atomic_exchange(&is_known, true))
        return;
    const char *path = secure_getenv("WEFT_TRACE");
    if (!path || path[0] == '\0')
        return;
    int rc = weft_trace_start(path, 0);
    if (rc < 0)
        (void)fprintf(stderr, "weft: WEFT_TRACE=%s: %s\n", path, weft_strerror(rc));
    else
        (void)atexit(stop_at_exit);
}
