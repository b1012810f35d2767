/* SPDX-License-Identifier: MIT */
#include "deferred.h"

#include "broker/core/show/query.h"
#include "broker/core/step.h"

struct held {
    struct berth_arena arena;
    struct berth_ev_submit event; /* all that it points to lies in the arena */
    uint64_t bytes;
};

/* ---- the copy ---- */

static bool keep_bytes(struct held *held, struct berth_slice *slice)
{
    slice->data = slice->bytes ? berth_arena_memdup(&held->arena, slice->data, slice->bytes) : NULL;
    return slice->data || !slice->bytes;
}

static bool keep_table(struct held *held, const struct berth_slice **table, size_t count)
{
    struct berth_slice *copy = berth_arena_alloc_array(&held->arena, count, sizeof *copy);
    bool is_kept = copy;
    for (size_t i = 0; is_kept && i < count; i++) {
        copy[i] = (*table)[i];
        is_kept = keep_bytes(held, &copy[i]);
    }
    *table = copy;
    return is_kept;
}

static bool keep_item(struct held *held, struct berth_submit_item *item)
{
    struct berth_slice after = { item->after, item->after_count * sizeof *item->after };
    bool is_kept = keep_bytes(held, &item->key) && keep_bytes(held, &item->body) &&
                   keep_bytes(held, &item->group) && keep_bytes(held, &item->unique) &&
                   keep_bytes(held, &after);
    item->after = after.data;
    return is_kept;
}

static bool keep(struct held *held, const struct berth_ev_submit *event)
{
    struct berth_submit_item *items =
        berth_arena_alloc_array(&held->arena, event->count, sizeof *items);
    held->event = *event;
    held->event.items = items;
    bool is_kept = items && keep_table(held, &held->event.dispatchers, event->dispatcher_count) &&
                   keep_table(held, &held->event.handlers, event->handler_count);
    for (size_t i = 0; is_kept && i < event->count; i++) {
        items[i] = event->items[i];
        is_kept = keep_item(held, &items[i]);
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

/* About: what it weighs while it is held. */
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
static struct held *held_new(struct berth_core *core, const struct berth_ev_submit *event)
{
    uint64_t bytes = weigh(event);
    if (bytes > HELD_BYTES_MAX - core->held_bytes)
        return NULL;
    struct held *held = block_new(sizeof *held);
    if (!held)
        return NULL;
    held->bytes = bytes;
    core->held_bytes += bytes;
    berth_arena_init(&held->arena, SIZE_MAX);
    if (keep(held, event))
        return held;
    held_free(core, held);
    return NULL;
}

void held_free(struct berth_core *core, struct held *held)
{
    if (!held)
        return;
    core->held_bytes -= held->bytes;
    berth_arena_fini(&held->arena);
    block_free(held);
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
    uint64_t *ids = out_alloc(core, named, sizeof *ids);
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

void held_submit(struct berth_core *core, const struct berth_ev_submit *event)
{
    size_t count;
    const uint64_t *ids = collect(core, event, &count);
    if (count > HELD_IDS_MAX) {
        out_error(core, event->peer, event->request, BERTH_EVALUE, "after",
                  out_text(core,
                           "after: the jobs of one submit wait for %zu different ones; allowed are "
                           "%u",
                           count, HELD_IDS_MAX));
        return;
    }
    struct held *held = held_new(core, event);
    if (held)
        query_on_held(core, held, event->peer, event->request, ids, count);
    else
        out_error(core, event->peer, event->request, BERTH_ELATER, "",
                  "the broker holds as many submits that wait for others as it can; try again");
}

void held_take(struct berth_core *core, const struct held *held, const struct submit_known *known)
{
    submit_take(core, &held->event, known);
}
