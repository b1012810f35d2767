/* SPDX-License-Identifier: MIT */
/* The face of the store: checks what all backends want checked, finds the backend by its name, and
 * passes on.
 *
 * What a batch holds was made by our own core: a wrong record is a mistake of ours and asserted,
 * before anything of it can reach a disk.
 */
#include "broker/store/store.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "broker/store/store_mem.h"
#include "broker/store/store_record.h"

extern const struct berth_store_ops store_mem_ops, store_sqlite_ops;

static const struct berth_store_ops *const backends[] = { &store_sqlite_ops, &store_mem_ops, NULL };

static const struct berth_store_ops *backend_find(const char *name)
{
    for (size_t i = 0; backends[i]; i++) {
        if (strcmp(backends[i]->name, name) == 0)
            return backends[i];
    }
    return NULL;
}

int berth_store_open(const char *backend, const struct berth_store_opts *opts,
                     struct berth_store **ret_store, struct berth_store_info *ret_info,
                     struct berth_error *err)
{
    BERTH_ASSERT(opts);
    BERTH_ASSERT(ret_store);
    BERTH_ASSERT(ret_info);
    const struct berth_store_ops *ops = backend_find(backend);
    if (!ops)
        return berth_fail(err, BERTH_ECONF, "there is no store '%s', only 'sqlite' and 'mem'",
                          backend);
    return ops->open(opts, ret_store, ret_info, err);
}

int berth_store_load(struct berth_store *store, const struct berth_store_visitor *visitor,
                     struct berth_error *err)
{
    BERTH_ASSERT(visitor->dispatcher);
    BERTH_ASSERT(visitor->session);
    BERTH_ASSERT(visitor->job);
    BERTH_ASSERT(visitor->ended_key);
    return store->ops->load(store, visitor, err);
}

int berth_store_submit(struct berth_store *store, struct berth_batch *batch)
{
    BERTH_ASSERT(batch);
    BERTH_ASSERT(batch->seq > 0);
    BERTH_ASSERT(batch->epoch > 0);
    if (!store->ops->is_idle(store))
        return -EAGAIN;
    for (size_t i = 0; i < batch->count; i++) {
        const char *fault = store_record_fault(&batch->records[i]);
        BERTH_ASSERT(fault == NULL);
    }
    return store->ops->submit(store, batch);
}

bool berth_store_is_idle(const struct berth_store *store)
{
    return store->ops->is_idle(store);
}

static void read_assert(const struct berth_read *read)
{
    switch (read->type) {
    case BERTH_READ_JOBS:
        BERTH_ASSERT(read->id_count >= 1);
        BERTH_ASSERT(read->id_count <= BERTH_STORE_READ_IDS_MAX);
        BERTH_ASSERT(read->ids);
        return;
    case BERTH_READ_LIST:
        BERTH_ASSERT(read->count_max >= 1);
        BERTH_ASSERT(read->count_max <= BERTH_STORE_READ_JOBS_MAX);
        BERTH_ASSERT(read->scope <= BERTH_SCOPE_ENDED);
        BERTH_ASSERT(read->state == 0 || store_state_is_ended(read->state));
        return;
    case BERTH_READ_COUNTS: return;
    }
    BERTH_UNREACHABLE();
}

int berth_store_read(struct berth_store *store, const struct berth_read *read)
{
    read_assert(read);
    return store->ops->read(store, read);
}

int berth_store_fd(const struct berth_store *store)
{
    return store->ops->fd(store);
}

int berth_store_reap(struct berth_store *store, struct berth_completion *ret_completion)
{
    return store->ops->reap(store, ret_completion);
}

void berth_store_stats(struct berth_store *store, struct berth_store_stats *ret_stats)
{
    store->ops->stats(store, ret_stats);
}

void berth_store_close(struct berth_store *store)
{
    if (store)
        store->ops->close(store);
}
