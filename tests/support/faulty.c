/* SPDX-License-Identifier: MIT
 *
 * Allocations that fail on command, through the linker's --wrap.
 */
#include "support/faulty.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"

static atomic_size_t countdown; /* 0: off; 1: the next one fails */
static atomic_bool has_failed;

/* The names are the linker's. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
/* NOLINTEND(bugprone-reserved-identifier) */

void faulty_fail_at(size_t n)
{
    atomic_store(&has_failed, false);
    atomic_store(&countdown, n);
}

bool faulty_stop(void)
{
    atomic_store(&countdown, 0);
    return atomic_load(&has_failed);
}

bool faulty_begin_(size_t n)
{
    BERTH_ASSERT(n <= FAULTY_RUNS_MAX);
    if (n > 1 && !faulty_stop())
        return false;
    faulty_fail_at(n);
    return true;
}

static bool is_to_fail(void)
{
    size_t left = atomic_load(&countdown);
    while (left > 0)
        if (atomic_compare_exchange_weak(&countdown, &left, left - 1))
            break;
    if (left != 1)
        return false;
    atomic_store(&has_failed, true);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t bytes)
{
    return is_to_fail() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return is_to_fail() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return is_to_fail() ? NULL : __real_realloc(memory, bytes);
}
