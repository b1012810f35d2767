/* SPDX-License-Identifier: MIT */
#include "intercept_kind.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Two bytes a descriptor, up to what fs.nr_open allows by default. Zeroes that nobody touches take
 * no memory. Beyond it nothing is kept. */
#define NUMBERS_MAX (1 << 20)

static atomic_ushort known[NUMBERS_MAX];
static atomic_int number_max; /* none above it is in use */

static atomic_int process; /* in which weft was started */

bool weft_fd_is_this_process(void)
{
    return getpid() == process;
}

void weft_fd_process_set(void)
{
    process = getpid();
}

static atomic_ushort *place(int fd)
{
    return fd >= 0 && fd < NUMBERS_MAX ? &known[fd] : NULL;
}

static void share_all(void)
{
    int end = atomic_load_explicit(&number_max, memory_order_relaxed);
    for (int fd = 0; fd <= end; fd++) {
        if (atomic_load_explicit(&known[fd], memory_order_relaxed) != 0)
            weft_fd_unmark(fd, WEFT_FD_IS_OWN);
    }
}

/* A child of fork() has the same descriptors. (What vfork() and posix_spawn() start has only those
 * that it inherits over exec, and is not noticed here: see docs/RUNTIME.md.) */
static __attribute__((constructor)) void watch_fork(void)
{
    (void)pthread_atfork(share_all, NULL, NULL);
}

static enum weft_fd_kind ask(int fd)
{
    struct stat stat;
    if (fstat(fd, &stat) < 0)
        return WEFT_KIND_FILE;
    switch (stat.st_mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFBLK: return WEFT_KIND_FILE;
    case S_IFSOCK: break;
    default: return WEFT_KIND_NOWAIT;
    }
    int type = 0;
    socklen_t type_bytes = sizeof type;
    (void)getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_bytes);
    return type == SOCK_STREAM ? WEFT_KIND_STREAM : WEFT_KIND_MESSAGES;
}

static void raise_max(int fd)
{
    int seen = atomic_load_explicit(&number_max, memory_order_relaxed);
    while (seen < fd && !atomic_compare_exchange_weak(&number_max, &seen, fd)) {
    }
}

unsigned weft_fd_look_again(int fd)
{
    enum weft_fd_kind kind = ask(fd);
    atomic_ushort *at = place(fd);
    if (!at)
        return kind;
    unsigned kept = kind == WEFT_KIND_FILE ? WEFT_KIND_UNKNOWN : kind;
    raise_max(fd);
    unsigned short seen = atomic_load(at);
    unsigned next;
    do { /* of a number that was reused nothing is true but that somebody may be parked on it */
        next = (seen & (WEFT_FD_WAS_AWAITED | WEFT_FD_IS_TAKEN)) | kept;
    } while (!atomic_compare_exchange_weak(at, &seen, (unsigned short)next));
    return kind;
}

unsigned weft_fd_look(int fd)
{
    const atomic_ushort *at = place(fd);
    unsigned bits = at ? atomic_load_explicit(at, memory_order_relaxed) : 0;
    return weft_kind(bits) != WEFT_KIND_UNKNOWN ? bits : weft_fd_look_again(fd);
}

void weft_fd_has_no_nowait(int fd)
{
    atomic_ushort *at = place(fd);
    unsigned short seen = at ? atomic_load(at) : 0;
    while (weft_kind(seen) == WEFT_KIND_NOWAIT &&
           !atomic_compare_exchange_weak(
               at, &seen, (unsigned short)((seen & ~WEFT_FD_KIND) | WEFT_KIND_OTHER))) {
    }
}

void weft_fd_write_down(int fd, unsigned bits)
{
    atomic_ushort *at = place(fd);
    if (!at)
        return;
    if (bits != 0)
        raise_max(fd);
    if (bits != 0 || atomic_load_explicit(at, memory_order_relaxed) != 0)
        atomic_store(at, (unsigned short)bits);
}

void weft_fd_mark(int fd, unsigned bits)
{
    atomic_ushort *at = place(fd);
    if (at && (atomic_load_explicit(at, memory_order_relaxed) & bits) != bits) {
        raise_max(fd);
        (void)atomic_fetch_or(at, (unsigned short)bits);
    }
}

void weft_fd_unmark(int fd, unsigned bits)
{
    atomic_ushort *at = place(fd);
    if (at && (atomic_load_explicit(at, memory_order_relaxed) & bits) != 0)
        (void)atomic_fetch_and(at, (unsigned short)~bits);
}

void weft_fd_share(int fd)
{
    weft_fd_unmark(fd, WEFT_FD_IS_OWN);
}

bool weft_fd_is_known(int fd)
{
    const atomic_ushort *at = place(fd);
    return !at || atomic_load_explicit(at, memory_order_relaxed) != 0;
}

bool weft_fd_was_awaited(int fd)
{
    const atomic_ushort *at = place(fd);
    return !at || (atomic_load(at) & WEFT_FD_WAS_AWAITED) != 0;
}

int weft_fd_number_max(void)
{
    return atomic_load_explicit(&number_max, memory_order_relaxed);
}

int weft_fd_take(int fd)
{
    atomic_ushort *at = place(fd);
    if (!at)
        return -1;
    return (atomic_fetch_or(at, WEFT_FD_IS_TAKEN) & WEFT_FD_IS_TAKEN) == 0;
}

void weft_fd_give(int fd)
{
    weft_fd_unmark(fd, WEFT_FD_IS_TAKEN);
}
