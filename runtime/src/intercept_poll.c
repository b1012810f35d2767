/* SPDX-License-Identifier: MIT
 *
 * poll, select, epoll_wait and their kin.
 *
 * Each asks without waiting first, and only that answer counts. To wait for several descriptors an
 * epoll instance of their own is made for the time of the call, and that one is waited for. What
 * cannot be put in there (out of memory, too many watches) is asked again from time to time.
 *
 * A mask of signals is in force while it is asked; between that the coroutine is parked, and
 * signals are not for threads of weft.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <unistd.h>

#include "intercept.h"
#include "intercept_kind.h"
#include "intercept_ready.h"
#include "poller.h"
#include "tree.h"

#define NS_PER_S       1000000000
#define NS_PER_MS      1000000
#define NS_PER_US      1000
#define NAP_NS         NS_PER_MS
#define NAP_NS_MAX     (10 * NS_PER_MS)
#define VAIN_COUNT_MAX 3
#define WAIT_BITS      (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)
#define BITS_A_WORD    (8 * (int)sizeof(fd_mask))

WEFT_NEXT(int, poll, struct pollfd *fds, nfds_t count, int timeout_ms)
WEFT_NEXT(int, ppoll, struct pollfd *fds, nfds_t count, const struct timespec *timeout,
          const sigset_t *mask)
WEFT_NEXT(int, select, int end, fd_set *in, fd_set *out, fd_set *other, struct timeval *timeout)
WEFT_NEXT(int, pselect, int end, fd_set *in, fd_set *out, fd_set *other,
          const struct timespec *timeout, const sigset_t *mask)
WEFT_NEXT(int, epoll_wait, int epoll, struct epoll_event *events, int count, int timeout_ms)
WEFT_NEXT(int, epoll_pwait, int epoll, struct epoll_event *events, int count, int timeout_ms,
          const sigset_t *mask)
WEFT_NEXT(int, epoll_pwait2, int epoll, struct epoll_event *events, int count,
          const struct timespec *timeout, const sigset_t *mask)

const char weft_wrappers_poll;

static const struct timespec no_time;

static int64_t deadline_of_ms(int timeout_ms)
{
    return timeout_ms < 0 ? WEFT_NEVER : weft_call_deadline((int64_t)timeout_ms * NS_PER_MS);
}

static bool is_valid(const struct timespec *time)
{
    return !time || (time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < NS_PER_S);
}

/* NULL: for ever. */
static int64_t deadline_of(const struct timespec *timeout)
{
    if (!timeout || timeout->tv_sec > INT64_MAX / NS_PER_S - 1)
        return WEFT_NEVER;
    return weft_call_deadline(timeout->tv_sec * NS_PER_S + timeout->tv_nsec);
}

/* Waiting for several ------------------------------------------------------------------------- */

/* Who waits, and how often there was nothing after all. */
struct waiting {
    int64_t deadline_ns;
    unsigned vain_count;
};

/* Asks again a little later: 0, -ECANCELED. */
static int nap(struct waiting *waiting)
{
    int64_t nap_ns = (int64_t)NAP_NS * waiting->vain_count;
    int64_t until_ns = weft_call_deadline(nap_ns < NAP_NS_MAX ? nap_ns : NAP_NS_MAX);
    return weft_sleep_until(until_ns < waiting->deadline_ns ? until_ns : waiting->deadline_ns);
}

/* Parks until the descriptor may be ready or the time is over: 0, -ECANCELED. What is wrong with it
 * will be said when it is asked. */
static int wait_one(struct waiting *waiting, int fd, short events, bool is_users)
{
    if (++waiting->vain_count > VAIN_COUNT_MAX) {
        int rc = nap(waiting);
        if (rc < 0)
            return rc;
    }
    if (is_users)
        weft_fd_mark(fd, WEFT_FD_WAS_AWAITED);
    int rc = weft_fd_await(fd, events, waiting->deadline_ns, WEFT_ARM_ONCE);
    if (rc == -ECANCELED || rc == -ENOTSUP)
        return rc;
    if (rc > 0 || rc == -ETIMEDOUT)
        return 0;
    return nap(waiting);
}

/* What all entries for this descriptor want. */
static uint32_t events_of(const struct pollfd *fds, nfds_t count, int fd)
{
    uint32_t events = 0;
    for (nfds_t i = 0; i < count; i++) {
        if (fds[i].fd == fd)
            events |= (uint32_t)(unsigned short)fds[i].events;
    }
    return events;
}

/* On its own, so that no address of errno is kept over a park. */
static __attribute__((noinline)) int gather(const struct pollfd *fds, nfds_t count)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return -errno;
    int rc = 0;
    for (nfds_t i = 0; i < count && rc == 0; i++) {
        if (fds[i].fd < 0)
            continue;
        struct epoll_event event = { .events = (uint32_t)(unsigned short)fds[i].events };
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i].fd, &event) == 0)
            continue;
        event.events = errno == EEXIST ? events_of(fds, count, fds[i].fd) : 0;
        if (errno != EEXIST || epoll_ctl(epoll, EPOLL_CTL_MOD, fds[i].fd, &event) < 0)
            rc = -errno;
    }
    if (rc == 0)
        return epoll;
    (void)close(epoll);
    return rc;
}

/* Parks until one of them may be ready or the time is over: 0, -ECANCELED. */
static int wait_any(struct waiting *waiting, const struct pollfd *fds, nfds_t count)
{
    const struct pollfd *only = NULL;
    nfds_t used = 0;
    for (nfds_t i = 0; i < count; i++) {
        if (fds[i].fd >= 0) {
            only = &fds[i];
            used++;
        }
    }
    if (used == 0)
        return weft_sleep_until(waiting->deadline_ns);
    if (used == 1 && (only->events & ~WAIT_BITS) == 0 && only->events != 0)
        return wait_one(waiting, only->fd, only->events, true);
    int epoll = gather(fds, count);
    if (epoll < 0) {
        waiting->vain_count++;
        return nap(waiting);
    }
    int rc = wait_one(waiting, epoll, POLLIN, false);
    (void)close(epoll);
    return rc;
}

static bool is_over(const struct waiting *waiting)
{
    return waiting->deadline_ns != WEFT_NEVER && weft_now_ns() >= waiting->deadline_ns;
}

/* poll ----------------------------------------------------------------------------------------- */

static __attribute__((noinline)) int ask_poll(struct pollfd *fds, nfds_t count,
                                              const sigset_t *mask)
{
    int rc = mask ? next_ppoll()(fds, count, &no_time, mask) : next_poll()(fds, count, 0);
    return rc < 0 ? -errno : rc;
}

static int poll_until(struct weft_task *self, struct pollfd *fds, nfds_t count, int64_t deadline_ns,
                      const sigset_t *mask)
{
    struct waiting waiting = { .deadline_ns = deadline_ns };
    int rc = weft_ready_fair(self);
    while (rc == 0) {
        rc = ask_poll(fds, count, mask);
        if (rc != 0 || is_over(&waiting))
            break;
        self->calls_in_a_row = 0;
        rc = wait_any(&waiting, fds, count);
    }
    return (int)weft_call_leave(self, rc);
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct weft_task *self = timeout_ms != 0 ? weft_call_enter() : NULL;
    if (!self)
        return next_poll()(fds, count, timeout_ms);
    return poll_until(self, fds, count, deadline_of_ms(timeout_ms), NULL);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    struct weft_task *self = is_valid(timeout) ? weft_call_enter() : NULL;
    if (!self)
        return next_ppoll()(fds, count, timeout, mask);
    return poll_until(self, fds, count, deadline_of(timeout), mask);
}

/* select --------------------------------------------------------------------------------------- */

enum { SET_IN, SET_OUT, SET_OTHER, SET_COUNT };

/* One call; the caller's sets stay as they are until there is an answer. */
struct choice {
    int end;
    size_t set_bytes;
    fd_set *sets[SET_COUNT]; /* the caller's; NULL: none */
    fd_mask *asked;          /* SET_COUNT copies */
    struct pollfd *fds;
    nfds_t fd_count;
};

static bool has(const fd_set *set, int fd)
{
    return set && (set->fds_bits[fd / BITS_A_WORD] >> (fd % BITS_A_WORD) & 1) != 0;
}

/* The same in the terms of poll. select(2) says what corresponds. */
static void choice_fds(struct choice *choice)
{
    for (int fd = 0; fd < choice->end; fd++) {
        int events = (has(choice->sets[SET_IN], fd) ? POLLIN : 0) |
                     (has(choice->sets[SET_OUT], fd) ? POLLOUT : 0) |
                     (has(choice->sets[SET_OTHER], fd) ? POLLPRI : 0);
        if (events != 0 && choice->fds)
            choice->fds[choice->fd_count] = (struct pollfd){ .fd = fd, .events = (short)events };
        choice->fd_count += events != 0;
    }
}

static int choice_init(struct choice *choice)
{
    size_t words = ((size_t)choice->end + BITS_A_WORD - 1) / BITS_A_WORD;
    choice->set_bytes = words * sizeof *choice->asked;
    choice->asked = malloc(SET_COUNT * choice->set_bytes + 1);
    if (!choice->asked)
        return -ENOMEM;
    choice_fds(choice);
    choice->fds = calloc(choice->fd_count + 1, sizeof *choice->fds);
    choice->fd_count = 0;
    if (choice->fds)
        choice_fds(choice);
    return choice->fds ? 0 : -ENOMEM;
}

static void choice_fini(struct choice *choice)
{
    free(choice->asked);
    free(choice->fds);
}

static fd_set *copy_of(const struct choice *choice, int set)
{
    char *copy = (char *)choice->asked + (size_t)set * choice->set_bytes;
    return choice->sets[set] ? (fd_set *)(void *)copy : NULL;
}

static __attribute__((noinline)) int choice_ask(struct choice *choice, const sigset_t *mask)
{
    for (int set = 0; set < SET_COUNT; set++) {
        if (choice->sets[set])
            memcpy(copy_of(choice, set), choice->sets[set], choice->set_bytes);
    }
    int rc = next_pselect()(choice->end, copy_of(choice, SET_IN), copy_of(choice, SET_OUT),
                            copy_of(choice, SET_OTHER), &no_time, mask);
    return rc < 0 ? -errno : rc;
}

static int choose(struct choice *choice, int64_t deadline_ns, const sigset_t *mask)
{
    struct waiting waiting = { .deadline_ns = deadline_ns };
    for (;;) {
        int rc = choice_ask(choice, mask);
        if (rc > 0 || (rc == 0 && is_over(&waiting))) {
            for (int set = 0; set < SET_COUNT; set++) {
                if (choice->sets[set])
                    memcpy(choice->sets[set], copy_of(choice, set), choice->set_bytes);
            }
            return rc;
        }
        if (rc == 0)
            rc = wait_any(&waiting, choice->fds, choice->fd_count);
        if (rc < 0)
            return rc;
    }
}

static int select_until(struct weft_task *self, struct choice *choice, int64_t deadline_ns,
                        const sigset_t *mask)
{
    int rc = weft_ready_fair(self);
    if (rc == 0)
        rc = choice_init(choice);
    if (rc == 0)
        rc = choose(choice, deadline_ns, mask);
    choice_fini(choice);
    return (int)weft_call_leave(self, rc);
}

/* Whether it may wait at all, and is not an error. */
static bool is_choice(int end, const struct timespec *timeout)
{
    bool is_now = timeout && timeout->tv_sec == 0 && timeout->tv_nsec == 0;
    return end >= 0 && is_valid(timeout) && !is_now;
}

int pselect(int end, fd_set *in, fd_set *out, fd_set *other, const struct timespec *timeout,
            const sigset_t *mask)
{
    struct weft_task *self = is_choice(end, timeout) ? weft_call_enter() : NULL;
    if (!self)
        return next_pselect()(end, in, out, other, timeout, mask);
    struct choice choice = { .end = end, .sets = { in, out, other } };
    return select_until(self, &choice, deadline_of(timeout), mask);
}

int select(int end, fd_set *in, fd_set *out, fd_set *other, struct timeval *timeout)
{
    struct timespec time = { 0 };
    if (timeout) /* microseconds may be more than a second's */
        time = (struct timespec){ .tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000,
                                  .tv_nsec = timeout->tv_usec % 1000000 * NS_PER_US };
    const struct timespec *limit = timeout ? &time : NULL;
    struct weft_task *self = is_choice(end, limit) ? weft_call_enter() : NULL;
    if (!self)
        return next_select()(end, in, out, other, timeout);
    struct choice choice = { .end = end, .sets = { in, out, other } };
    int64_t deadline_ns = deadline_of(limit);
    int rc = select_until(self, &choice, deadline_ns, NULL);
    if (timeout && deadline_ns != WEFT_NEVER) { /* Linux tells what is left */
        int64_t left_ns = deadline_ns - weft_now_ns();
        left_ns = left_ns > 0 ? left_ns : 0;
        timeout->tv_sec = left_ns / NS_PER_S;
        timeout->tv_usec = left_ns % NS_PER_S / NS_PER_US;
    }
    return rc;
}

/* epoll ---------------------------------------------------------------------------------------- */

static __attribute__((noinline)) int ask_epoll(int epoll, struct epoll_event *events, int count,
                                               const sigset_t *mask)
{
    int rc = mask ? next_epoll_pwait()(epoll, events, count, 0, mask)
                  : next_epoll_wait()(epoll, events, count, 0);
    return rc < 0 ? -errno : rc;
}

static int epoll_until(struct weft_task *self, int epoll, struct epoll_event *events, int count,
                       int64_t deadline_ns, const sigset_t *mask)
{
    struct waiting waiting = { .deadline_ns = deadline_ns };
    int rc = weft_ready_fair(self);
    while (rc == 0) {
        rc = ask_epoll(epoll, events, count, mask);
        if (rc != 0 || is_over(&waiting))
            break;
        self->calls_in_a_row = 0;
        rc = wait_one(&waiting, epoll, POLLIN, true);
    }
    return (int)weft_call_leave(self, rc);
}

int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms)
{
    struct weft_task *self = timeout_ms != 0 ? weft_call_enter() : NULL;
    if (!self)
        return next_epoll_wait()(epoll, events, count, timeout_ms);
    return epoll_until(self, epoll, events, count, deadline_of_ms(timeout_ms), NULL);
}

int epoll_pwait(int epoll, struct epoll_event *events, int count, int timeout_ms,
                const sigset_t *mask)
{
    struct weft_task *self = timeout_ms != 0 ? weft_call_enter() : NULL;
    if (!self)
        return next_epoll_pwait()(epoll, events, count, timeout_ms, mask);
    return epoll_until(self, epoll, events, count, deadline_of_ms(timeout_ms), mask);
}

int epoll_pwait2(int epoll, struct epoll_event *events, int count, const struct timespec *timeout,
                 const sigset_t *mask)
{
    struct weft_task *self = is_valid(timeout) ? weft_call_enter() : NULL;
    if (!self)
        return next_epoll_pwait2()(epoll, events, count, timeout, mask);
    return epoll_until(self, epoll, events, count, deadline_of(timeout), mask);
}

/* What programs call that were compiled with _FORTIFY_SOURCE ----------------------------------- */

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                const sigset_t *mask, size_t room);

WEFT_NEXT(int, __poll_chk, struct pollfd *fds, nfds_t count, int timeout_ms, size_t room)
WEFT_NEXT(int, __ppoll_chk, struct pollfd *fds, nfds_t count, const struct timespec *timeout,
          const sigset_t *mask, size_t room)

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room)
{
    return count <= room / sizeof *fds ? poll(fds, count, timeout_ms)
                                       : next___poll_chk()(fds, count, timeout_ms, room);
}

int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                const sigset_t *mask, size_t room)
{
    return count <= room / sizeof *fds ? ppoll(fds, count, timeout, mask)
                                       : next___ppoll_chk()(fds, count, timeout, mask, room);
}
