/* SPDX-License-Identifier: MIT */
#include "stack_guard.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* include/uapi/asm-generic/mman-common.h, Linux 6.13 */
#endif
#define PIDFD_OF_SELF (-10000) /* PIDFD_SELF_THREAD of include/uapi/linux/pidfd.h, Linux 6.14 */

/* A frame that is larger than the guard steps over it. So the guard is as large as the stack,
 * within these; it costs addresses, and 8 bytes of page table a page: 64 KiB 0.1 us more than a
 * page, when a stack is taken for the first time (0.25 us; 2 GHz Xeon, virtual, Linux 6.18, 100,000
 * stacks, 2026-11). */
#define GUARD_BYTES_MIN ((size_t)64 << 10)
#define GUARD_BYTES_MAX ((size_t)1 << 20)

static _Atomic(enum weft_stack_guard) guard_way = WEFT_GUARD_AUTO;
static atomic_long mprotect_budget = -1; /* guards by mprotect still allowed; -1: unknown */
static atomic_bool has_no_vector;        /* no process_madvise() of oneself: an older kernel */

static bool guard_install(const struct iovec *guard);

size_t weft_stack_page_bytes(void)
{
    static atomic_size_t bytes;
    if (bytes == 0)
        bytes = (size_t)sysconf(_SC_PAGESIZE);
    return bytes;
}

size_t weft_stack_guard_bytes(size_t stack_bytes)
{
    size_t bytes = stack_bytes < GUARD_BYTES_MAX ? stack_bytes : GUARD_BYTES_MAX;
    return (bytes > GUARD_BYTES_MIN ? bytes : GUARD_BYTES_MIN) + weft_stack_page_bytes();
}

void weft_stack_guard_set(enum weft_stack_guard guard)
{
    guard_way = guard;
}

void weft_stack_guard_fini(void)
{
    mprotect_budget = -1;
}

void weft_stack_guards_install(struct iovec *guards, size_t count, bool *ret_is_guarded)
{
    enum weft_stack_guard way = guard_way;
    size_t done = 0;
    if (way == WEFT_GUARD_AUTO || way == WEFT_GUARD_MADVISE)
        done = weft_stack_advise(guards, count, MADV_GUARD_INSTALL);
    for (size_t i = 0; i < count; i++)
        ret_is_guarded[i] = i < done || guard_install(&guards[i]);
}

/* How many guards mprotect may make: two mappings each, a quarter of what the kernel allows. */
static long mprotect_budget_find(void)
{
    char line[32] = "";
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file) {
        if (!fgets(line, sizeof line, file))
            line[0] = '\0';
        (void)fclose(file);
    }
    long maps_max = strtol(line, NULL, 10);
    if (maps_max <= 0)
        maps_max = 65530; /* the kernel's default */
    return maps_max / 4 / 2;
}

static bool mprotect_budget_take(void)
{
    long budget = mprotect_budget;
    if (budget < 0) {
        long found = mprotect_budget_find();
        if (atomic_compare_exchange_strong(&mprotect_budget, &budget, found))
            budget = found;
    }
    while (budget > 0 && !atomic_compare_exchange_weak(&mprotect_budget, &budget, budget - 1))
        ;
    return budget > 0;
}

static bool guard_install(const struct iovec *guard)
{
    enum weft_stack_guard way = guard_way;
    if (way == WEFT_GUARD_NONE)
        return false;
    if (way != WEFT_GUARD_MPROTECT) {
        if (madvise(guard->iov_base, guard->iov_len, MADV_GUARD_INSTALL) == 0)
            return true;
        if (way == WEFT_GUARD_MADVISE || errno != EINVAL)
            return false;
        guard_way = WEFT_GUARD_MPROTECT; /* an older kernel: do not ask again */
    }
    return mprotect_budget_take() && mprotect(guard->iov_base, guard->iov_len, PROT_NONE) == 0;
}

size_t weft_stack_advise(struct iovec *ranges, size_t count, int advice)
{
    size_t done = 0;
    if (count > 1 && !has_no_vector) {
        long bytes = syscall(SYS_process_madvise, PIDFD_OF_SELF, ranges, count, advice, 0);
        if (bytes < 0 && (errno == EBADF || errno == ENOSYS || errno == EPERM))
            has_no_vector = true;
        for (; done < count && bytes >= (long)ranges[done].iov_len; done++)
            bytes -= (long)ranges[done].iov_len;
    }
    while (done < count && madvise(ranges[done].iov_base, ranges[done].iov_len, advice) == 0)
        done++;
    return done;
}
