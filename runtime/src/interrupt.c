/* SPDX-License-Identifier: MIT
 *
 * weft_interruptible(): cancelling reaches a coroutine that blocks its thread.
 *
 * A signal that comes just before the thread enters the kernel interrupts nothing. So it is sent
 * again and again until fn has returned, by a timer of the kernel that belongs to this one call and
 * is aimed at this one thread: made when the call begins, set off by who cancels, gone when the
 * call returns. The signal is blocked everywhere else in the threads of weft, and what may be left
 * of it when fn has returned is fetched before it is blocked again; so no other call ever gets an
 * EINTR that was meant for this one.
 *
 * task->interrupt is guarded by the tree's lock: whoever cancels finds the timer alive, or nothing.
 */
#include "interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "die.h"
#include "test_run.h"
#include "tree.h"

#define AGAIN_NS 2000000

/* Older C libraries have the member, but no name for it. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct weft_interrupt {
    timer_t timer;
    const struct weft_thread *thread;
    int signal_number;
    bool was_set_off;
    bool was_blocked; /* the signal, before */
};

static int arm(struct weft_interrupt *interrupt);
static int enter(struct weft_task *self, struct weft_interrupt *interrupt);
static void leave(struct weft_task *self);
static void disarm(struct weft_interrupt *interrupt);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int signal_chosen; /* 0: none is free */

int weft_interruptible(weft_fn fn, void *arg)
{
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, WEFT_NEVER);
    if (rc < 0)
        return rc;
    if (!fn)
        return -EINVAL;
    if (weft_test_here())
        return weft_test_refuse("weft_interruptible");
    if (self->interrupt) { /* inside another one: that one's signals do */
        rc = fn(arg);
        return weft_task_is_cancelled(self) ? -ECANCELED : rc;
    }
    struct weft_interrupt interrupt = { .thread = weft_thread_self() };
    rc = arm(&interrupt);
    if (rc < 0)
        return rc;
    rc = enter(self, &interrupt);
    if (rc == 0) {
        unsigned intercept = self->intercept;
        self->intercept = WEFT_INTERCEPT_OFF; /* its calls are to block */
        rc = fn(arg);
        self->intercept = intercept & 3U;
        WEFT_REQUIRE(weft_thread_self() == interrupt.thread,
                     "what weft_interruptible() runs has waited by a call of weft");
        leave(self);
    }
    disarm(&interrupt);
    return weft_task_is_cancelled(self) ? -ECANCELED : rc;
}

/* Its coming is all: the call that it finds blocked returns EINTR. */
static void on_signal(int signal_number)
{
    (void)signal_number;
}

/* The highest real-time signal that the program has no handler for. */
static void choose_signal(void)
{
    for (int number = SIGRTMAX; number >= SIGRTMIN && signal_chosen == 0; number--) {
        struct sigaction before;
        if (sigaction(number, NULL, &before) == 0 && !(before.sa_flags & SA_SIGINFO) &&
            before.sa_handler == SIG_DFL) {
            struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
            if (sigaction(number, &action, NULL) == 0)
                signal_chosen = number;
        }
    }
}

/* Makes the timer, and lets the signal through. */
static int arm(struct weft_interrupt *interrupt)
{
    (void)pthread_once(&once, choose_signal);
    if (signal_chosen == 0)
        return -EBUSY;
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal_chosen };
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &interrupt->timer) < 0)
        return -errno;
    interrupt->signal_number = signal_chosen;
    sigset_t set, before;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, interrupt->signal_number);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, &before);
    interrupt->was_blocked = sigismember(&before, interrupt->signal_number) == 1;
    return 0;
}

/* From here on cancelling sets off the timer; unless it has come already. */
static int enter(struct weft_task *self, struct weft_interrupt *interrupt)
{
    struct weft_tree *tree = self->tree;
    weft_tree_lock(tree);
    int rc = weft_task_is_cancelled(self) ? -ECANCELED : 0;
    if (rc == 0)
        self->interrupt = interrupt;
    weft_tree_unlock(tree);
    return rc;
}

static void leave(struct weft_task *self)
{
    struct weft_tree *tree = self->tree;
    weft_tree_lock(tree);
    self->interrupt = NULL;
    weft_tree_unlock(tree);
}

static void disarm(struct weft_interrupt *interrupt)
{
    int saved_errno = errno; /* fn's */
    (void)timer_delete(interrupt->timer);
    if (interrupt->was_blocked) {
        sigset_t set;
        (void)sigemptyset(&set);
        (void)sigaddset(&set, interrupt->signal_number);
        (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
        const struct timespec at_once = { .tv_sec = 0 };
        while (interrupt->was_set_off && sigtimedwait(&set, NULL, &at_once) > 0) {
        }
    }
    errno = saved_errno;
}

void weft_interrupt(struct weft_interrupt *interrupt)
{
    const struct itimerspec often = {
        .it_value = { .tv_nsec = 1 },
        .it_interval = { .tv_nsec = AGAIN_NS },
    };
    interrupt->was_set_off = true;
    (void)timer_settime(interrupt->timer, 0, &often, NULL);
}
