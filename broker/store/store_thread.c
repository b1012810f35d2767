/* SPDX-License-Identifier: MIT */
/* One thread between the user of a store and a backend that blocks.
 *
 * 1. The ring's three counters change under the mutex. The slot that is carried out is the
 * thread's.
 * 2. The eventfd is readable exactly while something is to be reaped.
 * 3. Housekeeping goes on in short steps while nothing waits; while something does, one step
 * follows each request only if it is overdue.
 */
#include "broker/store/store_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "broker/store/store_ring.h"

#define NS_PER_MS     INT64_C(1000000)
#define NS_PER_SECOND INT64_C(1000000000)

struct store_thread {
    struct berth_store store;
    struct store_blocking *backend;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* on CLOCK_MONOTONIC */
    int event_fd;
    struct store_ring ring;

    /* Under the mutex. */
    bool may_tend, is_stopping;
    struct berth_store_stats stats;
};

static void *thread_main(void *arg);

static struct store_thread *thread_of(struct berth_store *store)
{
    return (struct store_thread *)(void *)store;
}

static const struct store_thread *thread_of_const(const struct berth_store *store)
{
    return (const struct store_thread *)(const void *)store;
}

static void thread_free(struct store_thread *self)
{
    if (!self)
        return;
    if (self->backend)
        self->backend->ops->close(self->backend);
    store_ring_fini(&self->ring);
    berth_close(self->event_fd);
    (void)pthread_cond_destroy(&self->wake);
    (void)pthread_mutex_destroy(&self->mutex);
    free(self);
}

static struct store_thread *thread_new(const struct berth_store_ops *ops)
{
    struct store_thread *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->store.ops = ops;
    self->event_fd = -1;
    store_ring_init(&self->ring);
    pthread_condattr_t attributes;
    int rc = pthread_condattr_init(&attributes);
    BERTH_ASSERT(rc == 0);
    rc = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    BERTH_ASSERT(rc == 0);
    rc = pthread_cond_init(&self->wake, &attributes);
    BERTH_ASSERT(rc == 0);
    rc = pthread_mutex_init(&self->mutex, NULL);
    BERTH_ASSERT(rc == 0);
    (void)pthread_condattr_destroy(&attributes);
    return self;
}

/* The thread takes no signals: those are for the loops that wait for them. */
static int thread_start(struct store_thread *self)
{
    sigset_t all, before;
    sigfillset(&all);
    int rc = pthread_sigmask(SIG_SETMASK, &all, &before);
    BERTH_ASSERT(rc == 0);
    int start_rc = pthread_create(&self->thread, NULL, thread_main, self);
    rc = pthread_sigmask(SIG_SETMASK, &before, NULL);
    BERTH_ASSERT(rc == 0);
    if (start_rc == 0)
        (void)pthread_setname_np(self->thread, "berth-store");
    return -start_rc;
}

int store_thread_open(const struct berth_store_ops *ops,
                      const struct store_blocking_ops *blocking_ops,
                      const struct berth_store_opts *opts, struct berth_store **ret_store,
                      struct berth_store_info *ret_info, struct berth_error *err)
{
    struct store_thread *self = thread_new(ops);
    if (!self)
        return berth_fail(err, -ENOMEM, "open the store");
    int rc = 0;
    self->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->event_fd < 0)
        rc = berth_fail(err, -errno, "make the store's eventfd");
    if (rc == 0)
        rc = blocking_ops->open(opts, &self->backend, ret_info, err);
    if (rc == 0) {
        self->backend->ops->stats(self->backend, &self->stats);
        rc = thread_start(self);
        if (rc < 0)
            (void)berth_fail(err, rc, "start the store's thread");
    }
    if (rc < 0) {
        thread_free(self);
        return rc;
    }
    *ret_store = &self->store;
    return 0;
}

static void lock(struct store_thread *self)
{
    int rc = pthread_mutex_lock(&self->mutex);
    BERTH_ASSERT(rc == 0);
}

static void unlock(struct store_thread *self)
{
    int rc = pthread_mutex_unlock(&self->mutex);
    BERTH_ASSERT(rc == 0);
}

int store_thread_load(struct berth_store *store, const struct berth_store_visitor *visitor,
                      struct berth_error *err)
{
    struct store_thread *self = thread_of(store);
    lock(self);
    bool is_first = self->ring.asked == 0 && !self->may_tend;
    unlock(self);
    BERTH_ASSERT(is_first); /* the thread leaves the backend alone until then */
    int rc = self->backend->ops->load(self->backend, visitor, err);
    lock(self);
    self->may_tend = true;
    (void)pthread_cond_signal(&self->wake);
    unlock(self);
    return rc;
}

/* Puts the request that stands in the next slot before the thread. */
static void push(struct store_thread *self)
{
    lock(self);
    store_ring_push(&self->ring);
    self->may_tend = true;
    (void)pthread_cond_signal(&self->wake);
    unlock(self);
}

int store_thread_submit(struct berth_store *store, struct berth_batch *batch)
{
    struct store_thread *self = thread_of(store);
    int rc = store_ring_put_batch(&self->ring, batch);
    if (rc == 0)
        push(self);
    return rc;
}

bool store_thread_is_idle(const struct berth_store *store)
{
    return !thread_of_const(store)->ring.has_batch;
}

int store_thread_read(struct berth_store *store, const struct berth_read *read)
{
    struct store_thread *self = thread_of(store);
    int rc = store_ring_put_read(&self->ring, read);
    if (rc == 0)
        push(self);
    return rc;
}

int store_thread_fd(const struct berth_store *store)
{
    return thread_of_const(store)->event_fd;
}

int store_thread_reap(struct berth_store *store, struct berth_completion *ret_completion)
{
    struct store_thread *self = thread_of(store);
    struct store_request request;
    lock(self);
    bool is_found = store_ring_pop(&self->ring, &request);
    if (is_found && !store_ring_has_done(&self->ring)) {
        uint64_t ticks;
        ssize_t bytes = read(self->event_fd, &ticks, sizeof ticks);
        BERTH_ASSERT(bytes == sizeof ticks);
    }
    unlock(self);
    if (is_found)
        store_ring_settle(&self->ring, &request, ret_completion);
    return is_found;
}

void store_thread_stats(struct berth_store *store, struct berth_store_stats *ret_stats)
{
    struct store_thread *self = thread_of(store);
    lock(self);
    *ret_stats = self->stats;
    unlock(self);
}

void store_thread_close(struct berth_store *store)
{
    struct store_thread *self = thread_of(store);
    lock(self);
    self->is_stopping = true;
    (void)pthread_cond_signal(&self->wake);
    unlock(self);
    int rc = pthread_join(self->thread, NULL);
    BERTH_ASSERT(rc == 0);
    thread_free(self);
}

/* From here on: the store's thread. */

static void carry_out(struct store_blocking *backend, struct store_request *request)
{
    if (request->batch) {
        request->result = backend->ops->write(backend, request->batch, &request->error);
        return;
    }
    int rc = backend->ops->read(backend, &request->read, &request->answer, &request->error);
    request->result = BERTH_STORED;
    if (rc < 0)
        store_request_fail(request, rc);
}

static void wake_user(struct store_thread *self)
{
    const uint64_t one = 1;
    ssize_t bytes = write(self->event_fd, &one, sizeof one);
    BERTH_ASSERT(bytes == sizeof one);
}

static void wait_ms(struct store_thread *self, int64_t ms)
{
    if (ms == INT64_MAX) {
        (void)pthread_cond_wait(&self->wake, &self->mutex);
        return;
    }
    int64_t until_ns = berth_clock_monotonic_ns() + ms * NS_PER_MS;
    struct timespec until = { .tv_sec = until_ns / NS_PER_SECOND,
                              .tv_nsec = until_ns % NS_PER_SECOND };
    (void)pthread_cond_timedwait(&self->wake, &self->mutex, &until);
}

/* With the mutex held, which is let go for the step. */
static int64_t tend(struct store_thread *self, int64_t idle_ms)
{
    unlock(self);
    int64_t next_ms = self->backend->ops->tend(self->backend, idle_ms);
    struct berth_store_stats stats;
    self->backend->ops->stats(self->backend, &stats);
    lock(self);
    self->stats = stats;
    return next_ms;
}

/* Waits, or takes one step of housekeeping; then there may be a request. With the mutex held. */
static void be_idle(struct store_thread *self, int64_t since_ms, int64_t *tend_at_ms)
{
    int64_t idle_ms = berth_clock_monotonic_ms() - since_ms;
    if (!self->may_tend || *tend_at_ms == INT64_MAX)
        wait_ms(self, INT64_MAX);
    else if (idle_ms < *tend_at_ms)
        wait_ms(self, *tend_at_ms - idle_ms);
    else
        *tend_at_ms = tend(self, idle_ms);
}

static void serve(struct store_thread *self, struct store_request *request)
{
    unlock(self);
    carry_out(self->backend, request);
    struct berth_store_stats stats;
    self->backend->ops->stats(self->backend, &stats);
    lock(self);
    self->stats = stats;
    if (store_ring_done(&self->ring))
        wake_user(self);
    if (self->backend->ops->is_overdue(self->backend))
        (void)tend(self, 0);
}

static void *thread_main(void *arg)
{
    struct store_thread *self = arg;
    int64_t since_ms = berth_clock_monotonic_ms(), tend_at_ms = 0;
    lock(self);
    for (;;) {
        struct store_request *request = store_ring_oldest(&self->ring);
        if (request) {
            serve(self, request);
            since_ms = berth_clock_monotonic_ms();
            tend_at_ms = 0;
        } else if (self->is_stopping) {
            break;
        } else {
            be_idle(self, since_ms, &tend_at_ms);
        }
    }
    unlock(self);
    return NULL;
}
