/* SPDX-License-Identifier: MIT */
#include "poller.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "sys.h"

#define EVENT_IS_WAKE UINT64_MAX

int weft_poller_init(struct weft_poller *poller)
{
    *poller = (struct weft_poller){ .wake_fd = -1 };
    poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->epoll_fd < 0)
        return -errno;
    poller->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = EVENT_IS_WAKE };
    int rc = poller->wake_fd < 0 ? -errno : 0;
    if (rc == 0 && epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, poller->wake_fd, &event) < 0)
        rc = -errno;
    if (rc < 0)
        weft_poller_fini(poller);
    return rc;
}

void weft_poller_fini(struct weft_poller *poller)
{
    weft_fd_purge(poller);
    if (poller->wake_fd >= 0)
        (void)weft_sys_close(poller->wake_fd);
    if (poller->epoll_fd >= 0)
        (void)weft_sys_close(poller->epoll_fd);
    poller->wake_fd = poller->epoll_fd = -1;
}

int weft_poller_sleep(struct weft_poller *poller, struct epoll_event *events, int64_t deadline_ns)
{
    return weft_sys_epoll_wait(poller->epoll_fd, events, WEFT_POLLER_EVENTS_MAX, deadline_ns);
}

/* Many events come in one go. What the later ones will touch is brought into the cache meanwhile:
 * first the record of the descriptor, then who waits. */
static void look_ahead(const struct epoll_event *events, int count, int at)
{
    if (at + 4 < count && events[at + 4].data.u64 != EVENT_IS_WAKE)
        weft_fd_fetch((int)events[at + 4].data.u64, false);
    if (at + 2 < count && events[at + 2].data.u64 != EVENT_IS_WAKE)
        weft_fd_fetch((int)events[at + 2].data.u64, true);
}

void weft_poller_report(struct weft_poller *poller, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        look_ahead(events, count, i);
        if (events[i].data.u64 != EVENT_IS_WAKE) {
            weft_fd_report((int)events[i].data.u64, events[i].events);
            continue;
        }
        weft_sys_event_read(poller->wake_fd);
        poller->is_kicked = false; /* who kicks between the two: what he came with is seen now */
    }
}

void weft_poller_wait(struct weft_poller *poller, int64_t deadline_ns)
{
    struct epoll_event events[WEFT_POLLER_EVENTS_MAX];
    int count = weft_poller_sleep(poller, events, deadline_ns);
    weft_poller_report(poller, events, count);
}

void weft_poller_serve(struct weft_poller *poller)
{
    struct epoll_event events[WEFT_POLLER_EVENTS_MAX];
    int count = weft_poller_sleep(poller, events, 0);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 != EVENT_IS_WAKE)
            weft_fd_report((int)events[i].data.u64, events[i].events);
    }
}

void weft_poller_kick(struct weft_poller *poller)
{
    if (!atomic_exchange(&poller->is_kicked, true))
        weft_sys_event_write(poller->wake_fd);
}
