/* SPDX-License-Identifier: MIT
 *
 * Waiting for descriptors.
 *
 * For each number there is a record: who waits, and in which poller it is. A descriptor stays in
 * the epoll of the seat where it was last waited on, but is armed only for one report at a time
 * (EPOLLONESHOT), anew by everybody who begins to wait. Arming also looks whether it is ready; so
 * nothing is missed, and one that was closed and opened anew never inherits anything: arming says
 * ENOENT, and it is put in afresh. A report only wakes: whoever waited tries again.
 *
 * One of which it is known that nobody can close it unseen stays armed (EPOLLET), which saves a
 * call a wait: what is reported while nobody waits is kept. A bit that is out of date costs one try
 * in vain, never a wake: it is taken before the try after which one waits again.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "poller.h"
#include "reason.h"
#include "seat.h"
#include "service.h"
#include "test_run.h"
#include "tree.h"

#define POLL_BITS    (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)
#define LINE_BYTES   64
#define PAGE_RECORDS 1024
#define PAGES        4096 /* numbers up to 4 million; the kernel's default maximum is 1,048,576 */

_Static_assert(PAGES *PAGE_RECORDS <= WEFT_REASON_FDS_MAX, "each number can be a reason");

struct record {
    struct weft_lock lock;
    unsigned waiting;
    uint16_t ready, ended;      /* with is_edge: reported since somebody waited; for good */
    bool is_edge;               /* it stays armed */
    struct weft_poller *poller; /* in whose epoll it was put last, or NULL */
    struct weft_waiters waiters;
};

static uint32_t wanted(const struct record *record);

static _Atomic(struct record *) pages[PAGES];

/* The record of a number; NULL: no memory, or no such number can be. */
static struct record *record_of(int fd)
{
    if (fd < 0 || fd >= PAGES * PAGE_RECORDS)
        return NULL;
    _Atomic(struct record *) *page = &pages[fd / PAGE_RECORDS];
    struct record *records = *page;
    if (!records) {
        struct record *fresh = calloc(PAGE_RECORDS, sizeof *fresh);
        if (!fresh)
            return NULL;
        if (atomic_compare_exchange_strong(page, &records, fresh))
            records = fresh;
        else
            free(fresh);
    }
    return &records[fd % PAGE_RECORDS];
}

/* The same if it was ever waited on. */
static struct record *record_find(int fd)
{
    if (fd < 0 || fd >= PAGES * PAGE_RECORDS)
        return NULL;
    struct record *records = pages[fd / PAGE_RECORDS];
    return records ? &records[fd % PAGE_RECORDS] : NULL;
}

/* Its poller goes. If somebody still waits, the service thread does instead. */
static void move_to_service(struct record *record, int fd)
{
    record->poller = NULL;
    record->is_edge = false;
    uint32_t events = wanted(record);
    if (events == 0)
        return;
    record->poller = weft_service_poller();
    struct epoll_event event = { .events = events | EPOLLONESHOT, .data.u64 = (uint64_t)fd };
    int rc = epoll_ctl(record->poller->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    if (rc < 0 && errno == EEXIST)
        (void)epoll_ctl(record->poller->epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

void weft_fd_purge(const struct weft_poller *poller)
{
    for (int fd = 0; fd < PAGES * PAGE_RECORDS; fd++) {
        struct record *record = record_find(fd);
        if (!record) {
            fd |= PAGE_RECORDS - 1; /* none on this page */
            continue;
        }
        weft_lock_acquire(&record->lock);
        if (record->poller == poller)
            move_to_service(record, fd);
        weft_lock_release(&record->lock);
    }
}

void weft_fd_fini(void)
{
    for (size_t i = 0; i < PAGES; i++) {
        free(pages[i]);
        pages[i] = NULL;
    }
}

static struct weft_poller *poller_here(void)
{
    const struct weft_thread *thread = weft_thread_self();
    struct weft_seat *seat = thread ? thread->seat : NULL;
    return seat ? &seat->poller : weft_service_poller();
}

/* What all who wait on it want, besides what a report always tells. */
static uint32_t wanted(const struct record *record)
{
    uint32_t events = 0;
    for (const struct weft_waiter *waiter = record->waiters.first; waiter; waiter = waiter->next)
        events |= (uint32_t)(unsigned short)waiter->events;
    return events;
}

/* Under the lock: the epoll forgets it. */
static void disarm(struct record *record, int fd)
{
    struct epoll_event none = { 0 };
    if (record->poller)
        (void)epoll_ctl(record->poller->epoll_fd, EPOLL_CTL_DEL, fd, &none);
    record->poller = NULL;
    record->is_edge = false;
    record->ready = record->ended = 0;
}

/* Under the lock. 0 or -errno. */
static int arm(struct record *record, int fd, uint32_t events)
{
    struct weft_poller *here = poller_here();
    if (record->poller != here && !record->waiters.first)
        disarm(record, fd);
    record->is_edge = (events & EPOLLET) != 0;
    struct epoll_event event = {
        .events = events | (record->is_edge ? 0 : EPOLLONESHOT),
        .data.u64 = (uint64_t)fd,
    };
    bool is_in = record->poller;
    if (!is_in)
        record->poller = here;
    int epoll_fd = record->poller->epoll_fd;
    if (epoll_ctl(epoll_fd, is_in ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0)
        return 0;
    int other = is_in && errno == ENOENT    ? EPOLL_CTL_ADD
                : !is_in && errno == EEXIST ? EPOLL_CTL_MOD
                                            : 0;
    if (other != 0 && epoll_ctl(epoll_fd, other, fd, &event) == 0)
        return 0;
    int rc = -errno;
    if (!record->waiters.first)
        record->poller = NULL;
    return rc;
}

/* Without the lock, for a hint: what is read may be out of date. */
__attribute__((no_sanitize("thread"))) void weft_fd_fetch(int fd, bool is_next)
{
    const struct record *record = record_find(fd);
    if (!is_next) {
        __builtin_prefetch(record);
        return;
    }
    const char *waiter = record ? (const char *)record->waiters.first : NULL;
    if (!waiter)
        return;
    const char *task = waiter - offsetof(struct weft_task, waiter); /* nearly always */
    for (size_t at = 0; at < sizeof(struct weft_task); at += LINE_BYTES)
        __builtin_prefetch(task + at);
}

void weft_fd_report(int fd, uint32_t events)
{
    struct record *record = record_find(fd);
    if (!record)
        return;
    uint32_t always = EPOLLERR | EPOLLHUP;
    weft_lock_acquire(&record->lock);
    if (record->is_edge) {
        record->ready |= (uint16_t)events;
        record->ended |= (uint16_t)(events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP));
    }
    struct weft_waiter *next;
    for (struct weft_waiter *waiter = record->waiters.first; waiter; waiter = next) {
        next = waiter->next;
        if ((events & (always | (uint32_t)(unsigned short)waiter->events)) == 0)
            continue;
        record->ready &= (uint16_t)~waiter->events;
        waiter->events = (short)events;
        weft_waiters_wake(&record->waiters, waiter);
    }
    uint32_t left = wanted(record);
    if (left != 0 && !record->is_edge)
        (void)arm(record, fd, left);
    weft_lock_release(&record->lock);
}

void weft_fd_forget(int fd)
{
    struct record *record = record_find(fd);
    if (!record)
        return;
    weft_lock_acquire(&record->lock);
    disarm(record, fd);
    while (record->waiters.first) {
        record->waiters.first->is_closed = true;
        weft_waiters_wake(&record->waiters, record->waiters.first);
    }
    weft_lock_release(&record->lock);
}

static int ask(int fd, short events)
{
    struct pollfd pollfd = { .fd = fd, .events = events };
    struct timespec none = { 0 };
    long count;
    do {
        count = syscall(SYS_ppoll, &pollfd, 1, &none, NULL, (size_t)0);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        return -errno;
    return pollfd.revents & POLLNVAL ? -EBADF : pollfd.revents;
}

/* Under the lock, for one that stays armed: what was reported since somebody waited for it; 0: it
 * is armed. Or -errno. What has ended is always ready: no further report comes. */
static int take_ready(struct record *record, int fd, short poll_events, enum weft_arm how)
{
    if (!record->is_edge || how != WEFT_ARM_KEPT) {
        record->ready = record->ended = 0;
        int rc = arm(record, fd, EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET);
        return rc < 0 ? rc : 0; /* arming reports what is ready already */
    }
    uint16_t wanted_bits = (uint16_t)poll_events;
    uint16_t ended = record->ended;
    bool has_ended = (ended & (EPOLLERR | EPOLLHUP)) != 0 ||
                     ((ended & EPOLLRDHUP) != 0 && (poll_events & (POLLIN | POLLRDHUP)) != 0);
    int ready = (record->ready & wanted_bits) | (has_ended ? ended | poll_events : 0);
    record->ready &= (uint16_t)~wanted_bits;
    return ready;
}

/* An atomic operation waits until everything before it is in the cache, so soon after a switch to a
 * stack that is not it costs more than all the rest here. */
static void count_waiting(struct weft_poller *poller, unsigned by)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_seat *seat = thread ? weft_get(&thread->seat) : NULL;
    if (seat && poller == &seat->poller && weft_seat_enter(thread, seat)) {
        weft_put(&poller->waiting_here, weft_get(&poller->waiting_here) + by);
        weft_seat_leave(thread, seat);
    } else {
        poller->waiting_elsewhere += by;
    }
}

int weft_fd_await(int fd, short poll_events, int64_t deadline_ns, enum weft_arm how)
{
    struct weft_task *self = weft_self();
    if (weft_test_here())
        return weft_test_refuse("waiting for a descriptor");
    struct record *record = record_of(fd);
    if (!record)
        return fd < 0 ? -EBADF : -ENOMEM;
    if (weft_waiter_reserve(self) < 0)
        return -ENOMEM;
    struct weft_waiter *waiter = weft_task_waiter(self);
    weft_lock_acquire(&record->lock);
    int rc;
    if (how != WEFT_ARM_ONCE)
        rc = take_ready(record, fd, poll_events, how);
    else
        rc = arm(record, fd, wanted(record) | (uint32_t)(unsigned short)poll_events);
    struct weft_poller *poller = record->poller;
    if (rc == 0) {
        weft_waiters_join(&record->waiters, self);
        waiter->events = poll_events;
        waiter->is_closed = false;
        count_waiting(poller, 1);
    }
    weft_lock_release(&record->lock);
    if (rc != 0)
        return rc == -EPERM ? poll_events : rc; /* no epoll for it: always ready */
    rc = weft_wait(self, weft_reason_of_fd(fd), &self->is_done, deadline_ns);
    /* Done: it was taken out by somebody who had the lock. He has let go of the waiter, too, if the
     * lock has been free since. */
    if (rc < 0 || !weft_lock_is_free(&record->lock)) {
        weft_lock_acquire(&record->lock);
        weft_waiters_leave(&record->waiters, waiter);
        weft_lock_release(&record->lock);
    }
    count_waiting(poller, -1U);
    if (rc < 0)
        return rc;
    return waiter->is_closed ? -EBADF : waiter->events;
}

int weft_fd_wait(int fd, short poll_events, int64_t deadline_ns)
{
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, deadline_ns);
    if (rc < 0)
        return rc;
    if ((poll_events & ~POLL_BITS) != 0 || poll_events == 0)
        return -EINVAL;
    if (fd < 0)
        return -EBADF;
    for (;;) {
        rc = ask(fd, poll_events);
        if (rc != 0)
            return rc;
        if (deadline_ns == 0)
            return -ETIMEDOUT;
        rc = weft_fd_await(fd, poll_events, deadline_ns, WEFT_ARM_ONCE);
        if (rc < 0)
            return rc;
    }
}

int weft_fd_close(int fd)
{
    if (fd < 0)
        return -EBADF;
    weft_fd_forget(fd);
    return close(fd) < 0 ? -errno : 0;
}
