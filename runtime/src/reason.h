/* SPDX-License-Identifier: MIT
 *
 * What a coroutine waits for (task->waits_for), for the dump and the recorder: one word, so that it
 * is written at no cost by who parks, and read by anybody at any time.
 *
 * It is a static text; or the number of a descriptor, counted down from the end of the address
 * space, where no text can lie. NULL: it does not wait.
 */
#pragma once

#include <stdint.h>

#define WEFT_REASON_FDS_MAX (1 << 22)

static inline const char *weft_reason_of_fd(int fd)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): it is never followed */
    return (const char *)(UINTPTR_MAX - (uintptr_t)fd);
}

/* The number; -1: it is a text, or NULL. */
static inline int weft_reason_fd(const char *reason)
{
    uintptr_t fd = UINTPTR_MAX - (uintptr_t)reason;
    return fd < WEFT_REASON_FDS_MAX ? (int)fd : -1;
}

static inline const char *weft_reason_text(const char *reason)
{
    return weft_reason_fd(reason) >= 0 ? "descriptor" : reason;
}
