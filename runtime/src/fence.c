/* SPDX-License-Identifier: MIT */
#include "fence.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#if WEFT_TSAN
atomic_uint weft_fence_word;
#endif

bool weft_fence_is_unequal;

void weft_fence_open(void)
{
    if (WEFT_TSAN || weft_fence_is_unequal)
        return;
    weft_fence_is_unequal =
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void weft_fence_heavy(void)
{
    if (weft_fence_is_unequal)
        (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    else
        weft_fence_full();
}
