/* SPDX-License-Identifier: MIT
 *
 * Owned locals that clean up after themselves at the end of their scope, and the hand-over.
 * Header-only.
 *
 *     BERTH_AUTO(berth_buf) buf = berth_buf_new(BYTES_MAX);     calls berth_buf_free(buf)
 *     BERTH_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);  closes fd unless negative
 *     BERTH_AUTO_MEM char *text = strdup(name);                 calls free(text)
 *     *ret_buf = berth_take(buf);                               hands over: buf is NULL now
 *
 * A type joins by BERTH_AUTO_DEFINE(type) beside the declaration of `void type_free(struct type
 * *)`, which must accept NULL.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BERTH_AUTO(type) __attribute__((cleanup(type##_auto_free))) struct type *

#define BERTH_AUTO_DEFINE(type)                                                                    \
    __attribute__((unused)) static inline void type##_auto_free(struct type **owned)               \
    {                                                                                              \
        type##_free(*owned);                                                                       \
    }                                                                                              \
    struct type /* swallows the semicolon */

#define BERTH_AUTO_FD  __attribute__((cleanup(berth_fd_auto_close)))
#define BERTH_AUTO_MEM __attribute__((cleanup(berth_mem_auto_free)))

/* The value of an owned pointer; the variable becomes NULL and no longer owns it. */
#define berth_take(owned)                                                                          \
    __extension__({                                                                                \
        __typeof__(owned) *berth_take_from_ = &(owned);                                            \
        __typeof__(owned) berth_take_value_ = *berth_take_from_;                                   \
        *berth_take_from_ = NULL;                                                                  \
        berth_take_value_;                                                                         \
    })

/* The same for a descriptor; the variable becomes -1. */
static inline int berth_take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* Closes `fd` unless it is negative. Keeps errno, so it can stand on an error path. An interrupted
 * close has closed on Linux (close(2)), so there is nothing to repeat. */
static inline void berth_close(int fd)
{
    if (fd < 0)
        return;
    int saved_errno = errno;
    (void)close(fd);
    errno = saved_errno;
}

static inline void berth_fd_auto_close(int *fd)
{
    berth_close(*fd);
}

static inline void berth_mem_auto_free(void *owned)
{
    void *memory;
    memcpy(&memory, owned, sizeof memory);
    free(memory);
}
