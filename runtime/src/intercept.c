/* SPDX-License-Identifier: MIT */
#include "intercept.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "die.h"
#include "lock.h"
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

static bool parks(const struct weft_task *task)
{
    switch (task->intercept) {
    case WEFT_INTERCEPT_AS_DISPATCHER: {
        const struct weft_dispatcher *d =
            atomic_load_explicit(&task->dispatcher, memory_order_relaxed);
        return d->intercepts && !atomic_load_explicit(&is_forbidden, memory_order_relaxed);
    }
    case WEFT_INTERCEPT_ON: return !atomic_load_explicit(&is_forbidden, memory_order_relaxed);
    case WEFT_INTERCEPT_OFF: break;
    }
    return false;
}

bool weft_intercept(bool is_on)
{
    struct weft_task *self = weft_self();
    if (!self)
        return false;
    bool was_on = parks(self);
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
    return self;
}

/* Never inlined: the coroutine may have been parked since its caller last saw errno's address. */
__attribute__((noinline)) ssize_t weft_call_leave(struct weft_task *self, ssize_t rc)
{
    __asm__ volatile("" ::: "memory");
    self->is_in_call = false;
    errno = rc < 0 ? (int)-rc : self->call_errno;
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
