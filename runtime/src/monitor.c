/* SPDX-License-Identifier: MIT */
#include "monitor.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weft/base.h>

#include "builtin.h"
#include "pool.h"
#include "seat.h"
#include "service.h"
#include "thread_set.h"

/* A thread that gets stuck just after a look has moved at the next one, has not at the second, and
 * has slept ever since at a third, closer one. That takes 7 ms; 9 if it is the first in a while to
 * sit where seats have spares. 10 ms are promised. A look takes 14 us, with the switch to it and
 * back, of a core on which others run. */
#define LOOK_NS          3000000
#define SELDOM_LOOK_NS   5000000 /* nobody is to be replaced, nobody stands still */
#define CLOSER_LOOK_NS   1000000
#define CALM_LOOKS       3   /* without anybody on a seat, before it sleeps */
#define ASLEEP_PER_MILLE 900 /* of the time between two looks: then a thread is not calculating */
#define NS_PER_S         1000000000
#define CPU_UNKNOWN      (-1)

atomic_bool weft_monitor_is_asleep;

static struct {
    int64_t next_ns;
    unsigned calm_looks;
} monitor;

struct look {
    int64_t now_ns;
    bool is_anybody_there;
    bool is_needed;        /* somebody stands still, or sits or sat where seats have spares */
    bool is_closer_wanted; /* somebody has not moved: whether he sleeps is to be seen soon */
};

static void serve(struct weft_seat *seat, int64_t now_ns)
{
    if (seat->clock.next_ns <= now_ns)
        weft_clock_run(&seat->clock, now_ns);
    if (weft_poller_is_waited_for(&seat->poller))
        weft_poller_serve(&seat->poller);
    if (seat->queued > 0)
        weft_pool_wake(seat->pool);
}

/* What the thread has calculated so far; CPU_UNKNOWN: it is no more. */
static int64_t cpu_ns_of(const struct weft_thread *thread)
{
    struct timespec cpu;
    if (clock_gettime(thread->cpu_clock, &cpu) < 0)
        return CPU_UNKNOWN;
    return cpu.tv_sec * (int64_t)NS_PER_S + cpu.tv_nsec;
}

/* Whether the kernel has put it to sleep (S, D), rather than on a queue for a core (R). Its answer
 * is "tid (name) state ...", and a name may contain anything. */
static bool is_in_kernel(const struct weft_thread *thread)
{
    char path[64], text[128];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread->tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true; /* no /proc: the clock alone must tell */
    ssize_t count = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[count > 0 ? count : 0] = '\0';
    const char *end = strrchr(text, ')');
    return end && (strncmp(end, ") S", 3) == 0 || strncmp(end, ") D", 3) == 0);
}

/* Since the last look at which it had not moved either: by the clock, which is much cheaper than
 * the kernel's word. False if this is the first one. */
static bool has_slept(struct weft_seat *seat, const struct weft_thread *thread, struct look *look)
{
    int64_t cpu_ns = cpu_ns_of(thread), before_ns = seat->seen.cpu_ns;
    int64_t passed_ns = look->now_ns - seat->seen.at_ns;
    seat->seen.cpu_ns = cpu_ns;
    seat->seen.at_ns = look->now_ns;
    if (before_ns == CPU_UNKNOWN)
        look->is_closer_wanted = true;
    if (cpu_ns == CPU_UNKNOWN || before_ns == CPU_UNKNOWN)
        return false;
    return (cpu_ns - before_ns) * 1000 < passed_ns * (1000 - ASLEEP_PER_MILLE);
}

/* Nobody sits or watches there: usually because there is no need; or no thread could be had. */
static void look_at_deserted(struct weft_seat *seat, struct look *look)
{
    if (!seat->is_handed && !weft_threads_are_short())
        return;
    look->is_anybody_there = look->is_needed = true;
    serve(seat, look->now_ns);
    if (weft_pool_has_turns(seat))
        (void)weft_threads_send(seat);
}

static void look_at_seat(struct weft_seat *seat, struct look *look)
{
    struct weft_thread *thread = seat->thread;
    unsigned turns = atomic_load_explicit(&seat->turns, memory_order_relaxed);
    bool has_moved = thread != seat->seen.thread || turns != seat->seen.turns;
    seat->seen.thread = thread;
    seat->seen.turns = turns;
    look->is_needed = look->is_needed || (seat->pool->has_spares && (thread || has_moved));
    if (!thread) {
        if (!seat->watcher)
            look_at_deserted(seat, look);
        return;
    }
    look->is_anybody_there = true;
    look->is_needed = look->is_needed || !has_moved;
    if (has_moved) {
        seat->seen.cpu_ns = CPU_UNKNOWN;
        return;
    }
    serve(seat, look->now_ns);
    /* A compact coroutine that is stuck keeps its seat: its frames are where the others' would be.
     */
    if (seat->pool->has_spares && has_slept(seat, thread, look) && !thread->runs_compact &&
        is_in_kernel(thread))
        weft_threads_replace(seat, thread, turns);
}

static void look_at_pool(struct weft_pool *pool, void *arg)
{
    for (unsigned i = 0; i < pool->seat_count; i++)
        look_at_seat(&pool->seats[i], arg);
}

static void count_seated(struct weft_pool *pool, void *arg)
{
    struct look *look = arg;
    look->is_anybody_there =
        look->is_anybody_there || pool->vacant < pool->seat_count || weft_threads_are_short();
}

/* Who sits down looks whether we sleep after he has; we look whether anybody has after we do. */
static bool fall_asleep(void)
{
    struct look look = { 0 };
    weft_monitor_is_asleep = true;
    weft_pools_each(count_seated, &look);
    if (look.is_anybody_there)
        weft_monitor_is_asleep = false;
    return !look.is_anybody_there;
}

static int64_t pause_ns(const struct look *look)
{
    if (look->is_closer_wanted)
        return CLOSER_LOOK_NS;
    return look->is_needed ? LOOK_NS : SELDOM_LOOK_NS;
}

int64_t weft_monitor_look(int64_t now_ns)
{
    if (weft_monitor_is_asleep)
        return WEFT_NEVER;
    if (now_ns < monitor.next_ns)
        return monitor.next_ns;
    struct look look = { .now_ns = now_ns };
    weft_pools_each(look_at_pool, &look);
    monitor.calm_looks = look.is_anybody_there ? 0 : monitor.calm_looks + 1;
    monitor.next_ns = now_ns + pause_ns(&look);
    if (monitor.calm_looks >= CALM_LOOKS && fall_asleep())
        return WEFT_NEVER;
    return monitor.next_ns;
}

void weft_monitor_rouse(void)
{
    if (atomic_exchange(&weft_monitor_is_asleep, false))
        weft_service_kick();
}
