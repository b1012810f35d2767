/* SPDX-License-Identifier: MIT
 *
 * POSIX semaphores, where the program calls them by name.
 *
 * A coroutine takes one by sem_trywait(), else parks in a queue by address (intercept_queue.h).
 *
 * sem_post() may be called in a signal handler, which may have interrupted somebody in weft: so it
 * takes no lock. It posts, and if anybody is parked it rings a bell: a word on which a thread of
 * our own sleeps, made with the first wait that parks, which then wakes whom the semaphore may
 * concern. Only a coroutine's own thread, where signals are blocked, wakes at once.
 */
#include "intercept_sem.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>

#include "die.h"
#include "intercept.h"
#include "intercept_queue.h"
#include "sys.h"

WEFT_NEXT(int, sem_wait, sem_t *)
WEFT_NEXT(int, sem_trywait, sem_t *)
WEFT_NEXT(int, sem_timedwait, sem_t *, const struct timespec *)
WEFT_NEXT(int, sem_clockwait, sem_t *, clockid_t, const struct timespec *)
WEFT_NEXT(int, sem_post, sem_t *)

extern const char weft_draws_sem;
const char weft_draws_sem = 1;

/* So many posts may wait for the bell's thread; more make it wake everybody. */
#define POSTED_MAX 256
#define PROBES_MAX 8

#define BELL_STACK_BYTES ((size_t)(WEFT_ASAN || WEFT_TSAN ? 1024 : 64) << 10)

static struct weft_park_table sems;

static struct {
    struct weft_lock lock;
    atomic_bool is_there; /* looked at without the lock, too */
    bool is_stopping;
    pthread_t thread;
    atomic_uint rings;
    /* Which semaphores were posted, one entry a post; never read, but for their addresses. */
    _Atomic(const sem_t *) posted[POSTED_MAX];
    atomic_uint next;
    atomic_bool has_overflowed;
} bell;

static void forget(void)
{
    weft_park_forget(&sems);
    bell.is_there = false;
    bell.lock = (struct weft_lock){ .is_taken = 0 };
}

static __attribute__((constructor)) void watch_fork(void)
{
    (void)pthread_atfork(NULL, NULL, forget);
}

static void wake_posted(void)
{
    for (size_t i = 0; i < POSTED_MAX; i++) {
        const sem_t *sem = atomic_load_explicit(&bell.posted[i], memory_order_relaxed);
        if (sem && (sem = atomic_exchange(&bell.posted[i], NULL)))
            weft_park_wake(&sems, sem, false);
    }
    if (atomic_exchange(&bell.has_overflowed, false))
        weft_park_wake_all(&sems);
}

static void *bell_run(void *arg)
{
    (void)arg;
    (void)pthread_setname_np(pthread_self(), "weft-bell");
    unsigned heard = 0;
    for (;;) {
        unsigned rings = bell.rings;
        if (rings == heard) {
            weft_sys_futex_wait(&bell.rings, heard);
            continue;
        }
        heard = rings;
        weft_lock_acquire(&bell.lock);
        bool is_stopping = bell.is_stopping;
        weft_lock_release(&bell.lock);
        if (is_stopping)
            return NULL;
        wake_posted();
    }
}

static void ring(void)
{
    (void)atomic_fetch_add(&bell.rings, 1);
    weft_sys_futex_wake(&bell.rings);
}

/* In a signal handler, too. */
static void tell_bell(const sem_t *sem)
{
    unsigned at = atomic_fetch_add(&bell.next, 1);
    bool is_told = false;
    for (unsigned i = 0; i < PROBES_MAX && !is_told; i++) {
        const sem_t *none = NULL;
        is_told = atomic_compare_exchange_strong(&bell.posted[(at + i) % POSTED_MAX], &none, sem);
    }
    if (!is_told)
        bell.has_overflowed = true;
    ring();
}

/* Without it, if there is no thread to be had, waits look again by themselves. */
static void bell_start(void)
{
    weft_lock_acquire(&bell.lock);
    if (!bell.is_there) {
        sigset_t all, before;
        pthread_attr_t attr;
        (void)sigfillset(&all);
        (void)pthread_attr_init(&attr);
        (void)pthread_attr_setstacksize(&attr, BELL_STACK_BYTES);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        bell.is_stopping = false;
        bell.rings = 0;
        bell.is_there = pthread_create(&bell.thread, &attr, bell_run, NULL) == 0;
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&attr);
    }
    weft_lock_release(&bell.lock);
}

void weft_sem_close(void)
{
    weft_lock_acquire(&bell.lock);
    bool was_there = bell.is_there;
    bell.is_stopping = true;
    bell.is_there = false;
    weft_lock_release(&bell.lock);
    if (was_there) {
        ring();
        (void)pthread_join(bell.thread, NULL);
    }
}

/* Whether other processes may have it: how glibc keeps that where a long has 64 bits. Elsewhere any
 * may be. */
__attribute__((no_sanitize("thread"))) static bool is_shared(const sem_t *sem)
{
#if defined(__LP64__)
    int kept;
    memcpy(&kept, (const char *)sem + sizeof(uint64_t), sizeof kept);
    return kept != 0;
#else
    (void)sem;
    return true;
#endif
}

static __attribute__((noinline)) int try_once(struct weft_task *self, void *object)
{
    (void)self;
    if (next_sem_trywait()(object) == 0)
        return 0;
    return errno == EAGAIN ? EBUSY : errno;
}

static int take(struct weft_task *self, sem_t *sem, clockid_t clock, const struct timespec *at)
{
    int rc = try_once(self, sem);
    if (rc == EBUSY) {
        if (!bell.is_there)
            bell_start();
        rc = weft_park_take(self, &(struct weft_park_try){
                                      .table = &sems,
                                      .object = sem,
                                      .try = try_once,
                                      .what = "semaphore",
                                      .is_shared = is_shared(sem),
                                      .until = { .clock = clock, .at = at },
                                  });
    }
    return (int)weft_call_leave(self, -rc);
}

int sem_wait(sem_t *sem)
{
    struct weft_task *self = weft_call_enter();
    return self ? take(self, sem, CLOCK_MONOTONIC, NULL) : next_sem_wait()(sem);
}

int sem_timedwait(sem_t *sem, const struct timespec *at)
{
    struct weft_task *self = weft_call_enter();
    return self ? take(self, sem, CLOCK_REALTIME, at) : next_sem_timedwait()(sem, at);
}

int sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *at)
{
    bool is_clock = clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC;
    struct weft_task *self = is_clock ? weft_call_enter() : NULL;
    return self ? take(self, sem, clock, at) : next_sem_clockwait()(sem, clock, at);
}

int sem_post(sem_t *sem)
{
    int rc = next_sem_post()(sem);
    if (rc == 0 && weft_park_has_any(&sems)) {
        struct weft_task *self = weft_call_enter();
        if (self) {
            weft_park_wake(&sems, sem, false);
            (void)weft_call_leave(self, 0);
        } else {
            tell_bell(sem);
        }
    }
    return rc;
}
