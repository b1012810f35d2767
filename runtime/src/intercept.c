/* SPDX-License-Identifier: MIT */
#include "intercept.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "die.h"
#include "lock.h"
#include "seat.h"
#include "stack.h"
#include "test_run.h"
#include "tree.h"

static atomic_bool is_forbidden; /* by weft_opts */

/* Every wrapper is in the program, whether it calls it or not: its shared libraries may. (From an
 * archive the linker takes only files that somebody names.) */
static __attribute__((used))
const char *const wrappers[] = { &weft_wrappers_copy, &weft_wrappers_fd,    &weft_wrappers_file,
                                 &weft_wrappers_poll, &weft_wrappers_sleep, &weft_wrappers_socket };

void weft_intercept_set(bool is_allowed)
{
    is_forbidden = !is_allowed;
}

bool weft_intercept_is_allowed(void)
{
    return !is_forbidden;
}

/* Whether a thread stays on each seat there; a test run has but one. */
static bool can_park(const struct weft_dispatcher *d)
{
    return d->fixed || d->intercepts;
}

static bool parks(const struct weft_task *task)
{
    const struct weft_dispatcher *d = atomic_load_explicit(&task->dispatcher, memory_order_relaxed);
    bool is_wanted = false;
    switch ((enum weft_intercept)task->intercept) {
    case WEFT_INTERCEPT_AS_DISPATCHER: is_wanted = d->intercepts; break;
    case WEFT_INTERCEPT_ON: is_wanted = can_park(d); break;
    case WEFT_INTERCEPT_OFF: break;
    }
    return is_wanted && !atomic_load_explicit(&is_forbidden, memory_order_relaxed);
}

bool weft_intercept(bool is_on)
{
    struct weft_task *self = weft_self();
    if (!self)
        return false;
    bool was_on = parks(self);
    if (!is_on || can_park(self->dispatcher))
        self->intercept = is_on ? WEFT_INTERCEPT_ON : WEFT_INTERCEPT_OFF;
    return was_on;
}

bool weft_call_is_on_stack(const struct weft_task *self, const void *bytes, size_t count)
{
    uintptr_t first = (uintptr_t)bytes, low = (uintptr_t)self->stack->low;
    return first < low + self->stack->bytes && first + count > low;
}

struct weft_task *weft_call_enter(void)
{
    struct weft_task *self = weft_self();
    if (!self || self->is_in_call || !parks(self) ||
        !weft_call_is_on_stack(self, __builtin_frame_address(0), 1))
        return NULL;
    self->is_in_call = true;
    self->call_errno = errno;
    self->call_thread = NULL;
    return self;
}

void weft_call_park(struct weft_task *self, struct weft_thread *thread)
{
    struct weft_seat *seat = atomic_load_explicit(&thread->seat, memory_order_relaxed);
    const struct weft_dispatcher *d = atomic_load_explicit(&self->dispatcher, memory_order_relaxed);
    if (seat && d->fixed && weft_seat_is_of(seat, d->fixed))
        self->turn.seat = seat;
    if (!self->call_thread && !thread->is_guest) {
        self->call_thread = thread;
        thread->calls_parked++;
    }
}

/* The caller may keep the address of errno on the thread where the call began. Not seen by TSan:
 * that thread is asleep in a call, or idle, and its own use of errno is ordinary. (So it is no
 * atomic: clang shows those to TSan all the same.) */
__attribute__((noinline, no_sanitize("thread"))) static void write_there(int *errno_at, int value)
{
    *(volatile int *)errno_at = value;
}

/* The thread where the call began may go from now on. */
static void forget_thread(struct weft_task *self, int value)
{
    struct weft_thread *began = self->call_thread;
    if (began == weft_thread_self()) {
        began->calls_parked--;
    } else {
        write_there(began->errno_at, value);
        atomic_fetch_add_explicit(&began->calls_resumed, 1, memory_order_release);
    }
}

/* Never inlined: the coroutine may have been parked since its caller last saw errno's address. */
__attribute__((noinline)) ssize_t weft_call_leave(struct weft_task *self, ssize_t rc)
{
    __asm__ volatile("" ::: "memory");
    self->is_in_call = false;
    int value = rc < 0 ? (int)-rc : self->call_errno;
    if (self->call_thread)
        forget_thread(self, value);
    errno = value;
    return rc < 0 ? -1 : rc;
}

int64_t weft_call_deadline(int64_t left_ns)
{
    int64_t now_ns = weft_now_ns();
    return left_ns < WEFT_NEVER - now_ns ? now_ns + left_ns : WEFT_NEVER;
}

struct pooled {
    struct weft_turn turn;
    struct weft_lock lock;
    struct weft_task *task;
    void (*fn)(void *arg);
    void *arg;
    atomic_bool is_done;
};

static void pooled_run(struct weft_turn *turn)
{
    struct pooled *pooled = berth_container_of(turn, struct pooled, turn);
    pooled->fn(pooled->arg);
    weft_lock_acquire(&pooled->lock);
    pooled->is_done = true;
    weft_wake(pooled->task);
    weft_lock_release(&pooled->lock);
}

static int pooled(struct weft_task *self, struct weft_dispatcher *d, const char *what,
                  void (*fn)(void *arg), void *arg)
{
    if (weft_test_here()) { /* on its one thread, one as well as another */
        fn(arg);
        return 0;
    }
    struct pooled *call = malloc(sizeof *call);
    if (!call)
        return -ENOMEM;
    *call = (struct pooled){ .turn.run = pooled_run, .task = self, .fn = fn, .arg = arg };
    int rc = d->ops->dispatch(d, &call->turn);
    if (rc == 0) {
        weft_wait_deaf(self, what, &call->is_done);
        weft_lock_acquire(&call->lock); /* until who woke has let go of it */
        weft_lock_release(&call->lock);
    }
    free(call);
    return rc;
}

int weft_call_pooled(struct weft_task *self, const char *what, void (*fn)(void *arg), void *arg)
{
    return pooled(self, weft_io(), what, fn, arg);
}

int weft_call_pooled_long(struct weft_task *self, const char *what, void (*fn)(void *arg),
                          void *arg)
{
    return pooled(self, weft_pool_blocking(), what, fn, arg);
}

weft_any_fn weft_next_find(weft_any_fn interceptor, const char *name)
{
    if (interceptor)
        return interceptor;
    int kept_errno = errno;
    void *found = dlsym(RTLD_NEXT, name);
    errno = kept_errno;
    WEFT_REQUIRE(found, "there is no %s() behind weft's: is the program linked statically?", name);
    weft_any_fn fn;
    memcpy(&fn, &found, sizeof fn);
    return fn;
}
