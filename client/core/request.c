/* SPDX-License-Identifier: MIT */
/* See request.h. Every pending request hangs in a map by its number, which is also the order of
 * adding, and in a heap by the time at which it wants to be looked at.
 *
 * Invariants
 * 1. due_ms is never later than the deadline, nor than the time at which the request becomes
 * UNKNOWN.
 * 2. Room for the effects of one whole step (one for each request, and the RECONNECT) is taken when
 * a request is added, so that no later step can fail.
 */
#include "client/core/request.h"

#include <errno.h>
#include <stdlib.h>

#include <berth/error.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/heap.h"
#include "base/map.h"

#define EFFECTS_EXTRA 1 /* RECONNECT */

struct request {
    struct berth_map_node in_map;
    struct berth_heap_node in_heap;
    enum request_kind kind;
    void *arg;
    int64_t deadline_ms;
    int64_t unknown_ms; /* INT64_MAX: not a submit, or not yet sent */
    int64_t resend_ms;  /* when; INT64_MAX: not sent over this connection */
    int64_t interval_ms;
    int64_t due_ms;
    bool is_sent;
};

struct request_table {
    size_t pending_max;
    uint64_t last_number;
    int64_t now_ms;
    int64_t heard_ms; /* when the connection last gave no reason to doubt it */
    bool is_connected;
    struct berth_map by_number;
    struct berth_heap by_due;
    struct berth_heap_node **heap_nodes;
    struct request_effect *effects;
    size_t effect_count, capacity; /* of requests: heap_nodes has that many, effects one more */
};

static int64_t on_add(struct request_table *table, const struct request_event *event);
static void on_answer(struct request_table *table, const struct request_event *event);
static void on_connected(struct request_table *table);
static void on_disconnected(struct request_table *table);
static void on_drop(struct request_table *table, uint64_t number);
static void on_timer(struct request_table *table);

static struct request *of_map(struct berth_map_node *node)
{
    return berth_container_of(node, struct request, in_map);
}

static uint64_t number_of(const struct request *request)
{
    return request->in_map.id;
}

static struct request *find(const struct request_table *table, uint64_t number)
{
    struct berth_map_node *node = berth_map_find_id(&table->by_number, number);
    return node ? of_map(node) : NULL;
}

static const struct request *of_heap(const struct berth_heap_node *node)
{
    return berth_container_of(node, struct request, in_heap);
}

static bool is_due_before(const struct berth_heap_node *a, const struct berth_heap_node *b)
{
    const struct request *first = of_heap(a);
    const struct request *second = of_heap(b);
    if (first->due_ms != second->due_ms)
        return first->due_ms < second->due_ms;
    return number_of(first) < number_of(second);
}

struct request_table *request_table_new(size_t pending_max)
{
    struct request_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    table->pending_max = pending_max;
    table->now_ms = INT64_MIN;
    berth_heap_init(&table->by_due, NULL, 0, is_due_before);
    return table;
}

void request_table_free(struct request_table *table)
{
    if (!table)
        return;
    BERTH_MAP_FOREACH (node, &table->by_number) {
        struct request *request = of_map(node);
        berth_map_remove(&table->by_number, node);
        free(request);
    }
    berth_map_fini(&table->by_number);
    free(table->heap_nodes);
    free(table->effects);
    free(table);
}

int64_t request_step(struct request_table *table, const struct request_event *event,
                     struct request_effects *ret_effects)
{
    BERTH_ASSERT(event->now_ms >= table->now_ms);
    table->now_ms = event->now_ms;
    table->effect_count = 0;

    int64_t rc = 0;
    switch (event->type) {
    case REQUEST_EV_ADD: rc = on_add(table, event); break;
    case REQUEST_EV_ANSWER: on_answer(table, event); break;
    case REQUEST_EV_CONNECTED: on_connected(table); break;
    case REQUEST_EV_DISCONNECTED: on_disconnected(table); break;
    case REQUEST_EV_DROP: on_drop(table, event->number); break;
    case REQUEST_EV_TIMER: on_timer(table); break;
    }
    *ret_effects =
        (struct request_effects){ .items = table->effects, .count = table->effect_count };
    return rc;
}

size_t request_pending(const struct request_table *table)
{
    return table->by_due.count;
}

void *request_find(const struct request_table *table, uint64_t number)
{
    const struct request *request = find(table, number);
    return request ? request->arg : NULL;
}

/* When the silence has lasted long enough, as things stand. */
static int64_t silence_ends_ms(const struct request_table *table)
{
    return request_pending(table) > 0 ? table->heard_ms + REQUEST_SILENCE_MS : INT64_MAX;
}

int64_t request_next_deadline_ms(const struct request_table *table)
{
    int64_t next_ms = silence_ends_ms(table);
    const struct berth_heap_node *node = berth_heap_first(&table->by_due);
    if (node && of_heap(node)->due_ms < next_ms)
        next_ms = of_heap(node)->due_ms;
    return next_ms;
}

static void emit(struct request_table *table, struct request_effect effect)
{
    BERTH_ASSERT(table->effect_count < table->capacity + EFFECTS_EXTRA);
    table->effects[table->effect_count++] = effect;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void set_due(struct request_table *table, struct request *request)
{
    request->due_ms =
        smaller(request->deadline_ms, smaller(request->unknown_ms, request->resend_ms));
    if (berth_heap_is_linked(&request->in_heap))
        berth_heap_update(&table->by_due, &request->in_heap);
    else
        berth_heap_push(&table->by_due, &request->in_heap);
}

static void remove_request(struct request_table *table, struct request *request)
{
    berth_heap_remove(&table->by_due, &request->in_heap);
    berth_map_remove(&table->by_number, &request->in_map);
    free(request);
}

static void finish(struct request_table *table, struct request *request, int rc)
{
    emit(table, (struct request_effect){ .type = REQUEST_DO_FINISH,
                                         .number = number_of(request),
                                         .arg = request->arg,
                                         .rc = rc,
                                         .is_sent = request->is_sent });
    remove_request(table, request);
}

/* Its time is over: says what is known of it. */
static void finish_unanswered(struct request_table *table, struct request *request)
{
    bool has_effect = request->kind == REQUEST_SUBMIT || request->kind == REQUEST_CANCEL;
    finish(table, request, has_effect && request->is_sent ? BERTH_EUNKNOWN : -ETIMEDOUT);
}

static bool is_over(const struct request_table *table, const struct request *request)
{
    return table->now_ms >= request->deadline_ms || table->now_ms >= request->unknown_ms;
}

static void start_interval(struct request *request)
{
    request->interval_ms =
        request->kind == REQUEST_WAIT ? REQUEST_WAIT_RENEW_MS : REQUEST_RESEND_MS;
}

static void send(struct request_table *table, struct request *request)
{
    emit(table, (struct request_effect){
                    .type = REQUEST_DO_SEND, .number = number_of(request), .arg = request->arg });
    if (!request->is_sent && request->kind == REQUEST_SUBMIT)
        request->unknown_ms = table->now_ms + REQUEST_SUBMIT_REPEAT_MS;
    request->is_sent = true;
    request->resend_ms = table->now_ms + request->interval_ms;
    if (request->kind != REQUEST_WAIT)
        request->interval_ms = smaller(2 * request->interval_ms, REQUEST_RESEND_MS_MAX);
    set_due(table, request);
}

/* realloc for an array; NULL, and nothing changed, also if it would be too large. */
static void *grow(void *array, size_t count, size_t element_bytes)
{
    return count > SIZE_MAX / element_bytes ? NULL : realloc(array, count * element_bytes);
}

static int reserve(struct request_table *table)
{
    size_t count = request_pending(table);
    if (count >= table->pending_max)
        return -EAGAIN;
    if (count < table->capacity)
        return 0;

    size_t capacity = count < 16 ? 16 : 2 * count;
    if (capacity > table->pending_max)
        capacity = table->pending_max;
    struct request_effect *effects =
        grow(table->effects, capacity + EFFECTS_EXTRA, sizeof *effects);
    if (!effects)
        return -ENOMEM;
    table->effects = effects;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    struct berth_heap_node **nodes = grow(table->heap_nodes, capacity, sizeof *nodes);
    if (!nodes)
        return -ENOMEM;
    table->heap_nodes = nodes;
    berth_heap_move(&table->by_due, nodes, capacity);
    table->capacity = capacity;
    return 0;
}

static int64_t on_add(struct request_table *table, const struct request_event *event)
{
    int rc = reserve(table);
    if (rc < 0)
        return rc;
    BERTH_AUTO_MEM struct request *request = calloc(1, sizeof *request);
    if (!request)
        return -ENOMEM;
    request->kind = event->kind;
    request->arg = event->arg;
    request->deadline_ms = event->deadline_ms;
    request->unknown_ms = request->resend_ms = INT64_MAX;
    start_interval(request);
    uint64_t number = table->last_number + 1;
    rc = berth_map_insert_id(&table->by_number, &request->in_map, number);
    if (rc < 0)
        return rc;

    table->last_number = number;
    if (request_pending(table) == 0)
        table->heard_ms = table->now_ms;
    struct request *added = berth_take(request);
    set_due(table, added);
    if (is_over(table, added))
        finish_unanswered(table, added);
    else if (table->is_connected)
        send(table, added);
    return (int64_t)number;
}

static void on_answer(struct request_table *table, const struct request_event *event)
{
    table->heard_ms = table->now_ms;
    struct request *request = find(table, event->number);
    if (!request)
        return;
    if (event->is_last) {
        finish(table, request, 0);
        return;
    }
    start_interval(request);
    if (table->is_connected)
        request->resend_ms = table->now_ms + request->interval_ms;
    set_due(table, request);
}

static void on_connected(struct request_table *table)
{
    table->is_connected = true;
    table->heard_ms = table->now_ms;
    BERTH_MAP_FOREACH (node, &table->by_number) {
        struct request *request = of_map(node);
        start_interval(request);
        if (!is_over(table, request))
            send(table, request);
    }
}

static void on_disconnected(struct request_table *table)
{
    table->is_connected = false;
    BERTH_MAP_FOREACH (node, &table->by_number) {
        struct request *request = of_map(node);
        request->resend_ms = INT64_MAX;
        set_due(table, request);
    }
}

static void on_drop(struct request_table *table, uint64_t number)
{
    struct request *request = find(table, number);
    if (request)
        remove_request(table, request);
}

static void on_timer(struct request_table *table)
{
    /* First, because then nothing more goes into the connection that is given up. */
    if (table->now_ms >= silence_ends_ms(table)) {
        table->heard_ms = table->now_ms;
        on_disconnected(table);
        emit(table, (struct request_effect){ .type = REQUEST_DO_RECONNECT });
    }
    for (;;) {
        struct berth_heap_node *node = berth_heap_first(&table->by_due);
        if (!node)
            break;
        struct request *request = berth_container_of(node, struct request, in_heap);
        if (request->due_ms > table->now_ms)
            break;
        if (is_over(table, request))
            finish_unanswered(table, request);
        else
            send(table, request);
    }
}
