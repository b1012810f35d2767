/* SPDX-License-Identifier: MIT */
/* Makes a backend that blocks asynchronous: one thread of its own, one ring of requests
 * (store_ring.h), one eventfd.
 *
 * A backend begins with `struct store_blocking` and provides the operations. They are called from
 * one thread at a time: open, load and close from the user's (while the thread is idle or gone),
 * the others from the thread.
 */
#pragma once

#include "broker/store/store_answer.h"

struct store_blocking;

struct store_blocking_ops {
    int (*open)(const struct berth_store_opts *opts, struct store_blocking **ret_backend,
                struct berth_store_info *ret_info, struct berth_error *err);
    int (*load)(struct store_blocking *backend, const struct berth_store_visitor *visitor,
                struct berth_error *err);
    /* `err` is written for every result but STORED. */
    enum berth_store_result (*write)(struct store_blocking *backend, struct berth_batch *batch,
                                     struct berth_error *err);
    int (*read)(struct store_blocking *backend, const struct berth_read *read,
                struct store_answer *answer, struct berth_error *err);
    /* One short step of housekeeping, taken while nothing waits. `idle_ms`: since the last request.
     * Returns after how many milliseconds of idleness the next one is due: 0 at once, INT64_MAX not
     * before a request. */
    int64_t (*tend)(struct store_blocking *backend, int64_t idle_ms);
    /* Housekeeping has been put off too long: one step is taken even if something waits. */
    bool (*is_overdue)(const struct store_blocking *backend);
    void (*stats)(const struct store_blocking *backend, struct berth_store_stats *ret_stats);
    void (*close)(struct store_blocking *backend);
};

struct store_blocking {
    const struct store_blocking_ops *ops;
};

/* Opens the backend and starts the thread. `ops` becomes the store's. */
int store_thread_open(const struct berth_store_ops *ops,
                      const struct store_blocking_ops *blocking_ops,
                      const struct berth_store_opts *opts, struct berth_store **ret_store,
                      struct berth_store_info *ret_info, struct berth_error *err);

/* The rest of struct berth_store_ops. */
int store_thread_load(struct berth_store *store, const struct berth_store_visitor *visitor,
                      struct berth_error *err);
int store_thread_submit(struct berth_store *store, struct berth_batch *batch);
bool store_thread_is_idle(const struct berth_store *store);
int store_thread_read(struct berth_store *store, const struct berth_read *read);
int store_thread_fd(const struct berth_store *store);
int store_thread_reap(struct berth_store *store, struct berth_completion *ret_completion);
void store_thread_stats(struct berth_store *store, struct berth_store_stats *ret_stats);
void store_thread_close(struct berth_store *store);
