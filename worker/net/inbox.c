/* SPDX-License-Identifier: MIT */
/* The link thread's inbox; see inbox.h. */
#include "worker/net/inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"

struct inbox {
    pthread_mutex_t lock; /* of the list */
    struct berth_list items;
    atomic_uint commands; /* apart, for signal handlers */
    int event_fd;
};

int inbox_open(struct inbox **ret_inbox, struct berth_error *err)
{
    struct inbox *inbox = calloc(1, sizeof *inbox);
    if (!inbox)
        return berth_fail(err, -ENOMEM, "open the inbox");
    inbox->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (inbox->event_fd < 0) {
        int rc = -errno;
        free(inbox);
        return berth_fail(err, rc, "open the inbox");
    }
    BERTH_ASSERT(pthread_mutex_init(&inbox->lock, NULL) == 0);
    berth_list_init(&inbox->items);
    atomic_init(&inbox->commands, 0);
    *ret_inbox = inbox;
    return 0;
}

void inbox_close(struct inbox *inbox)
{
    if (!inbox)
        return;
    (void)close(inbox->event_fd);
    (void)pthread_mutex_destroy(&inbox->lock);
    free(inbox);
}

/* Async-signal-safe. A counter that is full is readable anyhow. */
static void wake(struct inbox *inbox)
{
    int saved_errno = errno;
    uint64_t one = 1;
    ssize_t written = write(inbox->event_fd, &one, sizeof one);
    (void)written;
    errno = saved_errno;
}

void inbox_push(struct inbox *inbox, struct inbox_item *item)
{
    (void)pthread_mutex_lock(&inbox->lock);
    bool is_first = berth_list_is_empty(&inbox->items);
    berth_list_push_back(&inbox->items, &item->node);
    /* Under the lock: once it is released, the link may have taken the item, and its owner
     * everything. */
    if (is_first)
        wake(inbox);
    (void)pthread_mutex_unlock(&inbox->lock);
}

void inbox_command(struct inbox *inbox, enum inbox_command command)
{
    atomic_fetch_or(&inbox->commands, (unsigned)command);
    wake(inbox);
}

int inbox_fd(const struct inbox *inbox)
{
    return inbox->event_fd;
}

unsigned inbox_take(struct inbox *inbox, struct berth_list *to)
{
    /* Emptied first: what is told from here on wakes again. */
    uint64_t count;
    ssize_t got = read(inbox->event_fd, &count, sizeof count);
    (void)got;
    (void)pthread_mutex_lock(&inbox->lock);
    berth_list_splice_back(to, &inbox->items);
    (void)pthread_mutex_unlock(&inbox->lock);
    return atomic_exchange(&inbox->commands, 0);
}
