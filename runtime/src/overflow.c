/* SPDX-License-Identifier: MIT */
#include "overflow.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "die.h"
#include "stack.h"
#include "tree.h"

/* The handler formats a line; the kernel puts the registers there, up to 11 KiB with AMX. */
#define SIGNAL_STACK_BYTES ((size_t)64 << 10)

static struct sigaction before;
static bool is_ours;

/* Afterwards the instruction is tried again, and then it is the end; what somebody sent is sent
 * again. */
static void on_segv(int signal, siginfo_t *info, void *context)
{
    (void)context;
    const struct weft_stack *stack = weft_stack_of_guard(info->si_addr);
    const struct weft_task *task = weft_self();
    if (stack && task && task->stack == stack) {
        char name[WEFT_NAME_BYTES];
        weft_say("stack overflow in coroutine '%s': it has %zu KiB; give it more with stack_bytes",
                 weft_task_name(task, name), stack->bytes >> 10);
    }
    (void)sigaction(signal, &before, NULL);
    if (info->si_code <= 0)
        (void)raise(signal);
}

void weft_overflow_open(void)
{
    if (WEFT_ASAN || WEFT_TSAN)
        return;
    if (sigaction(SIGSEGV, NULL, &before) < 0)
        return;
    if ((before.sa_flags & SA_SIGINFO) != 0 || before.sa_handler != SIG_DFL)
        return;
    struct sigaction ours = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    is_ours = sigaction(SIGSEGV, &ours, NULL) == 0;
}

void weft_overflow_close(void)
{
    struct sigaction now;
    if (is_ours && sigaction(SIGSEGV, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
        now.sa_sigaction == on_segv)
        (void)sigaction(SIGSEGV, &before, NULL);
    is_ours = false;
}

void *weft_overflow_enter(void)
{
    stack_t now;
    bool has_one = sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0;
    if (WEFT_ASAN || WEFT_TSAN || has_one)
        return NULL;
    void *memory = malloc(SIGNAL_STACK_BYTES);
    stack_t stack = { .ss_sp = memory, .ss_size = SIGNAL_STACK_BYTES };
    if (memory)
        (void)sigaltstack(&stack, NULL);
    return memory;
}

void weft_overflow_leave(void *memory)
{
    stack_t none = { .ss_flags = SS_DISABLE };
    if (memory)
        (void)sigaltstack(&none, NULL);
    free(memory);
}
