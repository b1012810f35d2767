/* SPDX-License-Identifier: MIT */
#include "set_thread.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Coroutines have stacks of their own: these carry only thread_set.c, and signal handlers. */
#define THREAD_STACK_BYTES ((size_t)(WEFT_ASAN || WEFT_TSAN ? 1024 : 256) << 10)

struct set_thread *weft_set_thread_new(unsigned number)
{
    struct set_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return NULL;
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) {
        free(thread);
        return NULL;
    }
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&thread->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (rc != 0) {
        free(thread);
        return NULL;
    }
    thread->number = number;
    (void)snprintf(thread->base.name, sizeof thread->base.name, "weft-%u", thread->number);
    return thread;
}

void weft_set_thread_free(struct set_thread *thread)
{
    (void)pthread_cond_destroy(&thread->wake);
    free(thread);
}

/* Signals are for the program's own threads, but for those that a thread brings on itself. Our
 * service thread, which starts threads too, has them blocked: a fault would then kill without a
 * word to whoever handles it. */
static void signals_block(sigset_t *ret_before)
{
    sigset_t signals, faults;
    (void)sigfillset(&signals);
    (void)sigemptyset(&faults);
    const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        (void)sigdelset(&signals, own[i]);
        (void)sigaddset(&faults, own[i]);
    }
    (void)sigdelset(&signals, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &signals, ret_before);
    (void)pthread_sigmask(SIG_UNBLOCK, &faults, NULL);
}

int weft_set_thread_start(struct set_thread *thread, void *(*fn)(void *thread))
{
    pthread_attr_t attr;
    int rc = -pthread_attr_init(&attr);
    if (rc < 0)
        return rc;
    sigset_t before;
    (void)pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    signals_block(&before);
    rc = -pthread_create(&thread->id, &attr, fn, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return rc;
}
