/* SPDX-License-Identifier: MIT */
#include "worker/culprit.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "base/assert.h"

static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
#define FATAL_COUNT (sizeof fatal / sizeof *fatal)

/* A signal handler has no other way to what it needs. */
static struct fence *the_fence;
static struct sigaction before[FATAL_COUNT];
static _Thread_local uint64_t running; /* 0: no handler runs on this thread */

static const struct sigaction *before_of(int signal)
{
    for (size_t i = 0; i < FATAL_COUNT; i++)
        if (fatal[i] == signal)
            return &before[i];
    return NULL;
}

/* A fault is tried again when this returns, and meets whoever handled it before; what was sent is
 * sent again. */
static void on_fatal(int signal, siginfo_t *info, void *context)
{
    (void)context;
    bool is_fault = info->si_code > 0;
    bool is_raised = info->si_code == SI_TKILL && info->si_pid == getpid();
    if (running && (is_fault || is_raised))
        fence_set_culprit(the_fence, running);
    (void)sigaction(signal, before_of(signal), NULL);
    if (!is_fault)
        (void)raise(signal); /* blocked until we return */
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

int culprit_watch(struct fence *fence, struct berth_error *err)
{
    BERTH_ASSERT(!the_fence);
    int rc = weft_run(nothing, NULL);
    if (rc < 0)
        return berth_fail(err, rc, "start the coroutines' runtime");
    the_fence = fence;
    struct sigaction ours = { .sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    (void)sigemptyset(&ours.sa_mask);
    for (size_t i = 0; i < FATAL_COUNT; i++)
        if (sigaction(fatal[i], &ours, &before[i]) < 0)
            return berth_fail(err, -errno, "watch for fatal signals");
    return 0;
}

static void install(void *value)
{
    running = *(const uint64_t *)value;
}

static void uninstall(void *value)
{
    (void)value;
    running = 0;
}

void culprit_note(struct weft_scope *scope, const uint64_t *attempt, struct weft_element *space)
{
    *space = (struct weft_element){ .key = &running,
                                    .value = (void *)(uintptr_t)attempt,
                                    .install = install,
                                    .uninstall = uninstall };
    weft_scope_element(scope, space);
}
