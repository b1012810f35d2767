/* SPDX-License-Identifier: MIT */
#include "deferred.h"

#include "broker/core/show/query.h"
#include "broker/core/step.h"

struct deferred {
    struct berth_arena arena;
    struct berth_ev_submit event; /* all that it points to lies in the arena */
    uint64_t bytes;
};

/* ---- the copy ---- */

static bool keep_bytes(struct deferred *deferred, struct berth_slice *slice)
{
    slice->data =
        slice->bytes ? berth_arena_memdup(&deferred->arena, slice->data, slice->bytes) : NULL;
    return slice->data || !slice->bytes;
}

static bool keep_table(struct deferred *deferred, const struct berth_slice **table, size_t count)
{
    struct berth_slice *copy = berth_arena_alloc_array(&deferred->arena, count, sizeof *copy);
    bool is_kept = copy;
    for (size_t i = 0; is_kept && i < count; i++) {
        copy[i] = (*table)[i];
        is_kept = keep_bytes(deferred, &copy[i]);
    }
    *table = copy;
    return is_kept;
}

static bool keep_item(struct deferred *deferred, struct berth_submit_item *item)
{
    struct berth_slice after = { item->after, item->after_count * sizeof *item->after };
    bool is_kept = keep_bytes(deferred, &item->key) && keep_bytes(deferred, &item->body) &&
                   keep_bytes(deferred, &item->group) && keep_bytes(deferred, &item->unique) &&
                   keep_bytes(deferred, &after);
    item->after = after.data;
    return is_kept;
}

static bool keep(struct deferred *deferred, const struct berth_ev_submit *event)
{
    struct berth_submit_item *items =
        berth_arena_alloc_array(&deferred->arena, event->count, sizeof *items);
    deferred->event = *event;
    deferred->event.items = items;
    bool is_kept = items &&
                   keep_table(deferred, &deferred->event.dispatchers, event->dispatcher_count) &&
                   keep_table(deferred, &deferred->event.handlers, event->handler_count);
    for (size_t i = 0; is_kept && i < event->count; i++) {
        items[i] = event->items[i];
        is_kept = keep_item(deferred, &items[i]);
    }
    return is_kept;
}

static uint64_t weigh_table(const struct berth_slice *table, size_t count)
{
    uint64_t bytes = count * sizeof *table;
    for (size_t i = 0; i < count; i++)
        bytes += table[i].bytes;
    return bytes;
}

/* About: what it weighs while it is deferred. */
static uint64_t weigh(const struct berth_ev_submit *event)
{
    uint64_t bytes = weigh_table(event->dispatchers, event->dispatcher_count) +
                     weigh_table(event->handlers, event->handler_count);
    for (size_t i = 0; i < event->count; i++) {
        const struct berth_submit_item *item = &event->items[i];
        bytes += sizeof *item + item->key.bytes + item->body.bytes + item->group.bytes +
                 item->unique.bytes + item->after_count * sizeof *item->after;
    }
    return bytes;
}

/* NULL: there is no room. */
static struct deferred *deferred_new(struct berth_core *core, const struct berth_ev_submit *event)
{
    uint64_t bytes = weigh(event);
    if (bytes > DEFERRED_BYTES_MAX - core->deferred_bytes)
        return NULL;
    struct deferred *deferred = block_new(sizeof *deferred);
    if (!deferred)
        return NULL;
    deferred->bytes = bytes;
    core->deferred_bytes += bytes;
    berth_arena_init(&deferred->arena, SIZE_MAX);
    if (keep(deferred, event))
        return deferred;
    deferred_free(core, deferred);
    return NULL;
}

void deferred_free(struct berth_core *core, struct deferred *deferred)
{
    if (!deferred)
        return;
    core->deferred_bytes -= deferred->bytes;
    berth_arena_fini(&deferred->arena);
    block_free(deferred);
}

/* ---- asking ---- */

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* All ids that are named, in order, each once. */
static uint64_t *collect(struct berth_core *core, const struct berth_ev_submit *event,
                         size_t *ret_count)
{
    size_t named = 0, count = 0;
    for (size_t i = 0; i < event->count; i++)
        named += event->items[i].after_count;
    uint64_t *ids = step_alloc(core, named, sizeof *ids);
    named = 0;
    for (size_t i = 0; i < event->count; i++)
        for (size_t j = 0; j < event->items[i].after_count; j++)
            ids[named++] = event->items[i].after[j];
    qsort(ids, named, sizeof *ids, ascending);
    for (size_t i = 0; i < named; i++)
        if (!count || ids[count - 1] != ids[i])
            ids[count++] = ids[i];
    *ret_count = count;
    return ids;
}

void deferred_submit(struct berth_core *core, const struct berth_ev_submit *event)
{
    size_t count;
    const uint64_t *ids = collect(core, event, &count);
    if (count > DEFERRED_IDS_MAX) {
        step_error(
            core, event->peer, event->request, BERTH_EVALUE, "after",
            step_text(core,
                      "after: the jobs of one submit wait for %zu different ones; allowed are "
                      "%u",
                      count, DEFERRED_IDS_MAX));
        return;
    }
    struct deferred *deferred = deferred_new(core, event);
    if (deferred)
        query_on_deferred(core, deferred, event->peer, event->request, ids, count);
    else
        step_error(core, event->peer, event->request, BERTH_ELATER, "",
                   "the broker holds as many submits that wait for others as it can; try again");
}

void deferred_take(struct berth_core *core, const struct deferred *deferred,
                   const struct submit_known *known)
{
    submit_take(core, &deferred->event, known);
}
