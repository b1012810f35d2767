/* SPDX-License-Identifier: MIT
 *
 * What is known of a descriptor by its number, so that a call on it costs no extra system call.
 *
 * The wrappers of socket(), accept(), pipe() and so on write it down, those of close(), dup2() and
 * so on wipe it out, and what nobody has seen is asked of the kernel once. A number may be closed
 * and opened anew behind our back (inside libc, by a raw system call). So a kind is only a guess at
 * which non-blocking call to try: the wrong one fails with an error of its own (ENOTSOCK,
 * EOPNOTSUPP), and then the kernel is asked again. Kinds for which a wrong guess would not be
 * noticed are never kept.
 *
 * Whether a descriptor blocks (O_NONBLOCK, SO_RCVTIMEO, SO_SNDTIMEO) is a property of what is
 * behind it, which dup(), fork() and SCM_RIGHTS share. It is kept only while nobody shares it
 * (WEFT_FD_IS_OWN), else asked each time that a coroutine is about to park.
 */
#pragma once

#include <stdbool.h>

enum weft_fd_kind {
    WEFT_KIND_UNKNOWN,
    WEFT_KIND_STREAM,   /* a socket; writing goes on until everything is written */
    WEFT_KIND_MESSAGES, /* a socket of another type */
    WEFT_KIND_NOWAIT,   /* RWF_NOWAIT may work: pipes, eventfd, timerfd ... */
    WEFT_KIND_OTHER,    /* it does not: terminals, inotify ... To be awaited, then read elsewhere */
    WEFT_KIND_FILE,     /* on a disk. Never kept */
};

#define WEFT_FD_KIND        7u   /* the mask of the kind */
#define WEFT_FD_IS_OWN      8u   /* nobody shares it, and the next two are true */
#define WEFT_FD_IS_NONBLOCK 16u  /* O_NONBLOCK is set */
#define WEFT_FD_HAS_TIMEOUT 32u  /* SO_RCVTIMEO or SO_SNDTIMEO is set */
#define WEFT_FD_WAS_AWAITED 64u  /* somebody parked on this number since it was opened */
#define WEFT_FD_IS_TAKEN    128u /* weft_fd_take() */
#define WEFT_FD_IS_DRAINED  256u /* a stream that last gave less than was asked for */
#define WEFT_FD_IS_ARMED    512u /* for good, since it was opened: WEFT_ARM_KEPT in poller.h */

static inline enum weft_fd_kind weft_kind(unsigned bits)
{
    return (enum weft_fd_kind)(bits & WEFT_FD_KIND);
}

static inline bool weft_kind_is_socket(unsigned bits)
{
    return weft_kind(bits) == WEFT_KIND_STREAM || weft_kind(bits) == WEFT_KIND_MESSAGES;
}

/* What is known; the kind is found out if need be, and errno may change. A descriptor that is not
 * open is FILE, for which the call itself will say EBADF. */
unsigned weft_fd_look(int fd);

/* Asks the kernel again for the kind. */
unsigned weft_fd_look_again(int fd);

/* The kind was wrong: RWF_NOWAIT does not work here. */
void weft_fd_has_no_nowait(int fd);

/* A new descriptor of a known kind; bits: the kind, and what else is known. Or a closed one: 0. */
void weft_fd_write_down(int fd, unsigned bits);

/* Changes bits of a descriptor that is open. */
void weft_fd_mark(int fd, unsigned bits);
void weft_fd_unmark(int fd, unsigned bits);

/* Somebody else (another number, another process) shares it from now on. */
void weft_fd_share(int fd);

/* Whether this is the process in which weft was started. A child of vfork() has the same memory but
 * other descriptors, and one of fork() has no weft: what they close is no business of the table's.
 * A system call. */
bool weft_fd_is_this_process(void);

/* For the start of weft: it is this one. */
void weft_fd_process_set(void);

/* Whether a coroutine may be parked on this number: before close(). Costs a load. */
bool weft_fd_was_awaited(int fd);

/* Whether there is anything in the table. */
bool weft_fd_is_known(int fd);

/* No number above it is in the table. */
int weft_fd_number_max(void);

/* Takes the descriptor for a moment in which the calling thread does not wait: 1; 0: somebody has
 * it; negative: its number is too high for the table. */
int weft_fd_take(int fd);
void weft_fd_give(int fd);
