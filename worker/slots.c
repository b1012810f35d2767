/* SPDX-License-Identifier: MIT */
/* The slots: where attempts run; see slots.h. */
#include "worker/slots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "worker/culprit.h"
#include "worker/slot.h"

static void start_handler(struct slot *slot);
static void on_exec_output(void *arg, uint64_t attempt);
static void on_attempt_news(struct berth_attempt *attempt);

/* ---- life ---- */

int slots_open(const struct slots_opts *opts, struct slots **ret_slots, struct berth_error *err)
{
    struct slots *slots = calloc(1, sizeof *slots);
    if (!slots)
        return berth_fail(err, -ENOMEM, "open %u slots", opts->attempts_max);
    slots->opts = *opts;
    asks_init(&slots->asks, opts->inbox);
    berth_list_init(&slots->free);
    berth_list_init(&slots->closing);
    berth_list_init(&slots->news);
    atomic_init(&slots->running_count, 0);
    BERTH_ASSERT(pthread_mutex_init(&slots->lock, NULL) == 0);
    slots->all = calloc(opts->attempts_max, sizeof *slots->all);
    int rc = slots->all ? 0 : berth_fail(err, -ENOMEM, "open %u slots", opts->attempts_max);
    if (rc == 0 && opts->is_exec_allowed)
        rc = exec_open(&(struct exec_opts){ .work_dir = opts->work_dir,
                                            .on_end = slot_on_exec_end,
                                            .on_output = on_exec_output,
                                            .arg = slots },
                       &slots->exec, err);
    if (rc < 0) {
        slots_close(slots);
        return rc;
    }
    *ret_slots = slots;
    return 0;
}

static void root_close(struct slot *slot)
{
    (void)weft_root_close(slot->root);
    slot->root = NULL;
}

void slots_close(struct slots *slots)
{
    if (!slots)
        return;
    exec_close(slots->exec);
    /* Those whose item nobody took. */
    BERTH_MAP_FOREACH (node, &slots->by_attempt) {
        struct slot *slot = berth_container_of(node, struct slot, by_attempt);
        slots_finish(slots, &slot->item);
    }
    struct berth_list_node *closing;
    while ((closing = berth_list_pop_front(&slots->closing)) != NULL)
        root_close(berth_container_of(closing, struct slot, node));
    berth_map_fini(&slots->by_attempt);
    asks_fini(&slots->asks);
    (void)pthread_mutex_destroy(&slots->lock);
    free(slots->all);
    free(slots);
}

/* The agent never starts more than `attempts_max`, but a slot may still be on its way out. */
static struct slot *slot_find_free(struct slots *slots)
{
    struct berth_list_node *node = berth_list_pop_front(&slots->free);
    if (node)
        return berth_container_of(node, struct slot, node);
    if (slots->used_count < slots->opts.attempts_max)
        return &slots->all[slots->used_count++];
    node = berth_list_pop_front(&slots->closing);
    BERTH_ASSERT(node);
    struct slot *slot = berth_container_of(node, struct slot, node);
    root_close(slot);
    return slot;
}

static struct slot *slot_take(struct slots *slots)
{
    struct slot *slot = slot_find_free(slots);
    *slot = (struct slot){ .owner = slots, .fence_place = -1 };
    atomic_init(&slot->phase, SLOT_WAITING);
    berth_buf_init(&slot->result, BERTH_RESULT_BYTES_MAX);
    return slot;
}

struct slot *slot_find(struct slots *slots, uint64_t attempt)
{
    (void)pthread_mutex_lock(&slots->lock);
    struct berth_map_node *node = berth_map_find_id(&slots->by_attempt, attempt);
    (void)pthread_mutex_unlock(&slots->lock);
    return node ? berth_container_of(node, struct slot, by_attempt) : NULL;
}

/* ---- the one item ---- */

void slot_push(struct slot *slot)
{
    if (slot->fence_place >= 0)
        fence_attempt_remove(slot->owner->opts.fence, slot->fence_place);
    (void)atomic_fetch_sub(&slot->owner->running_count, 1);
    inbox_push(slot->owner->opts.inbox, &slot->item);
}

void slot_release(struct slot *slot, enum agent_release_reason reason)
{
    slot->item.release_reason = reason;
    slot_push(slot);
}

void slot_refuse(struct slot *slot, const char *sentence)
{
    if (sentence != slot->sentence)
        (void)snprintf(slot->sentence, sizeof slot->sentence, "%s", sentence);
    slot->item.end = (struct agent_end){ .outcome = AGENT_FAILED_FOREVER,
                                         .error_kind = berth_slice_of("refused"),
                                         .error_message = berth_slice_of(slot->sentence) };
    slot_push(slot);
}

void slots_finish(struct slots *slots, struct inbox_item *item)
{
    struct slot *slot = berth_container_of(item, struct slot, item);
    (void)pthread_mutex_lock(&slots->lock);
    if (berth_map_find_id(&slots->by_attempt, item->attempt) == &slot->by_attempt)
        berth_map_remove(&slots->by_attempt, &slot->by_attempt);
    if (berth_list_is_linked(&slot->news_node))
        berth_list_remove(&slot->news_node);
    (void)pthread_mutex_unlock(&slots->lock);
    berth_buf_fini(&slot->result);
    /* A handler that was revoked has not looked at its slot yet; its attempt goes all the same. */
    if (slot->has_attempt)
        attempt_fini(&slot->attempt);
    berth_list_push_back(slot->root ? &slots->closing : &slots->free, &slot->node);
}

bool slots_tidy(struct slots *slots)
{
    BERTH_LIST_FOREACH_SAFE (node, &slots->closing) {
        struct slot *slot = berth_container_of(node, struct slot, node);
        if (weft_await_until(slot->root, 0) == -ETIMEDOUT)
            continue;
        berth_list_remove(node);
        root_close(slot);
        berth_list_push_back(&slots->free, node);
    }
    return !berth_list_is_empty(&slots->closing);
}

size_t slots_running_count(struct slots *slots)
{
    return atomic_load(&slots->running_count);
}

/* ---- start and cancel ---- */

/* 0, or the slot cannot be used for this attempt. */
static int slot_enter(struct slot *slot, const struct agent_grant *grant)
{
    struct slots *slots = slot->owner;
    (void)pthread_mutex_lock(&slots->lock);
    int rc = berth_map_insert_id(&slots->by_attempt, &slot->by_attempt, grant->attempt);
    (void)pthread_mutex_unlock(&slots->lock);
    if (rc < 0 || !slots->opts.fence)
        return rc;
    slot->fence_place =
        fence_attempt_add(slots->opts.fence, grant->attempt, grant->job, grant->number);
    return slot->fence_place < 0 ? slot->fence_place : 0;
}

void slots_start(struct slots *slots, const struct agent_grant *grant)
{
    struct slot *slot = slot_take(slots);
    slot->item.attempt = grant->attempt;
    (void)atomic_fetch_add(&slots->running_count, 1);
    if (slot_enter(slot, grant) < 0) {
        slot_release(slot, AGENT_RELEASE_NO_MEMORY);
        return;
    }
    slot->is_exec =
        slots->exec && berth_slice_is_equal(grant->handler, berth_slice_of(REGISTRY_EXEC));
    const struct registry_entry *handler = registry_find(slots->opts.registry, grant->handler);
    if (!slot->is_exec && !handler) {
        slot_release(slot, AGENT_RELEASE_NO_HANDLER);
        return;
    }
    struct berth_error err;
    int rc = attempt_init(&slot->attempt, grant, handler, &err);
    slot->has_attempt = rc >= 0;
    slot->attempt.on_news = on_attempt_news;
    slot->attempt.family.inbox = slots->opts.inbox;
    slot->attempt.family.asks = &slots->asks;
    if (rc == -ENOMEM)
        slot_release(slot, AGENT_RELEASE_NO_MEMORY);
    else if (rc < 0)
        slot_refuse(slot, err.message);
    else if (slot->is_exec)
        slot_start_command(slot, grant);
    else
        start_handler(slot);
}

/* A handler that has not begun never will; one that has is told. */
static void cancel_handler(struct slot *slot)
{
    int phase = SLOT_WAITING;
    if (!atomic_compare_exchange_strong(&slot->phase, &phase, SLOT_REVOKED)) {
        weft_cancel(slot->root);
        return;
    }
    slot->item.end = (struct agent_end){ .outcome = AGENT_CANCELLED };
    slot_push(slot);
}

void slots_cancel(struct slots *slots, uint64_t attempt, enum agent_cancel_reason reason,
                  int64_t grace_ms)
{
    struct slot *slot = slot_find(slots, attempt);
    if (!slot || !slot->has_attempt)
        return;
    int none = 0;
    bool is_first = atomic_compare_exchange_strong(&slot->attempt.cancel, &none, (int)reason);
    if (slot->is_exec)
        (void)exec_cancel(slots->exec, attempt, grace_ms);
    else if (is_first)
        cancel_handler(slot);
}

/* ---- what they asked for ---- */

/* NULL: it is over. */
static struct family *family_find(struct slots *slots, uint64_t attempt)
{
    struct slot *slot = slot_find(slots, attempt);
    return slot && slot->has_attempt ? &slot->attempt.family : NULL;
}

void slots_resume(struct slots *slots, uint64_t attempt)
{
    struct family *family = family_find(slots, attempt);
    if (family)
        family_resume(family);
}

void slots_submitted(struct slots *slots, const struct agent_submitted *answer)
{
    struct family *family = family_find(slots, answer->attempt);
    if (family)
        family_submitted(family, answer);
}

void slots_child_ended(struct slots *slots, const struct agent_child_end *end)
{
    struct family *family = family_find(slots, end->attempt);
    if (family)
        family_child_ended(family, end);
}

struct asks *slots_asks(struct slots *slots)
{
    return &slots->asks;
}

/* ---- what they show ---- */

/* Once until it is asked; the link is woken for the first of several. With the lock held; true:
 * wake it when that is released. */
static bool mark(struct slots *slots, struct slot *slot)
{
    if (slot->is_marked)
        return false;
    slot->is_marked = true;
    bool is_first = berth_list_is_empty(&slots->news);
    berth_list_push_back(&slots->news, &slot->news_node);
    return is_first;
}

static void mark_and_wake(struct slots *slots, struct slot *slot)
{
    (void)pthread_mutex_lock(&slots->lock);
    bool is_first = mark(slots, slot);
    (void)pthread_mutex_unlock(&slots->lock);
    if (is_first)
        inbox_command(slots->opts.inbox, INBOX_NEWS);
}

/* On the exec thread, before the attempt's end. */
static void on_exec_output(void *arg, uint64_t attempt)
{
    struct slot *slot = slot_find(arg, attempt);
    BERTH_ASSERT(slot);
    mark_and_wake(arg, slot);
}

/* In the handler, or in a coroutine of its. */
static void on_attempt_news(struct berth_attempt *attempt)
{
    struct slot *slot = berth_container_of(attempt, struct slot, attempt);
    mark_and_wake(slot->owner, slot);
}

bool slots_next_news(struct slots *slots, uint64_t *ret_attempt)
{
    (void)pthread_mutex_lock(&slots->lock);
    struct berth_list_node *node = berth_list_pop_front(&slots->news);
    (void)pthread_mutex_unlock(&slots->lock);
    if (!node)
        return false;
    *ret_attempt = berth_container_of(node, struct slot, news_node)->item.attempt;
    return true;
}

/* What a command has written since `*shown`, which moves on. Returns how much is left. */
static size_t show_stream(struct slot *slot, enum exec_stream stream, size_t bytes_max,
                          struct berth_arena *arena, uint64_t *shown, struct berth_slice *ret_bytes)
{
    struct exec *exec = slot->owner->exec;
    uint64_t attempt = slot->item.attempt;
    size_t left, room = bytes_max < SLOTS_SHOW_BYTES_MAX ? bytes_max : SLOTS_SHOW_BYTES_MAX;
    size_t bytes = exec_peek(exec, attempt, stream, shown, NULL, room, &left);
    void *copy = bytes > 0 ? berth_arena_alloc(arena, bytes) : NULL;
    if (!copy)
        return left;
    bytes = exec_peek(exec, attempt, stream, shown, copy, bytes, &left);
    *ret_bytes = (struct berth_slice){ copy, bytes };
    return left;
}

static size_t show_output(struct slot *slot, size_t bytes_max, struct berth_arena *arena,
                          struct agent_show *show)
{
    size_t left = show_stream(slot, EXEC_STDOUT, bytes_max, arena, &slot->shown_out, &show->out);
    left += show_stream(slot, EXEC_STDERR, bytes_max - show->out.bytes, arena, &slot->shown_err,
                        &show->err);
    show->out_from = slot->shown_out;
    show->err_from = slot->shown_err;
    slot->shown_out += show->out.bytes;
    slot->shown_err += show->err.bytes;
    return left;
}

bool slots_show(struct slots *slots, uint64_t attempt, uint32_t epoch, uint32_t join,
                size_t bytes_max, struct berth_arena *arena, struct agent_show *ret_show)
{
    struct slot *slot = slot_find(slots, attempt);
    if (!slot || !slot->has_attempt)
        return false;
    /* Before it is looked at: what comes from here on is news again. */
    (void)pthread_mutex_lock(&slots->lock);
    slot->is_marked = berth_list_is_linked(&slot->news_node);
    (void)pthread_mutex_unlock(&slots->lock);
    if (slot->shown_epoch != epoch || slot->shown_join != join)
        slot->shown_out = slot->shown_err = 0;
    slot->shown_epoch = epoch;
    slot->shown_join = join;

    struct agent_show show = { .attempt = attempt };
    show.has_progress = attempt_progress(&slot->attempt, &show.done, &show.total);
    if (slot->is_exec && show_output(slot, bytes_max, arena, &show) > 0)
        mark_and_wake(slots, slot);
    if (!show.has_progress && show.out.bytes + show.err.bytes == 0)
        return false;
    *ret_show = show;
    return true;
}

/* ---- handlers ---- */

static int handler_run(void *arg)
{
    struct slot *slot = arg;
    const struct registry_entry *handler = slot->attempt.handler;
    family_enter(&slot->attempt.family);
    slot->rc = handler->fn(&slot->attempt, handler->arg);
    family_leave(&slot->attempt.family);
    slot->did_run = true;
    return 0;
}

static int scope_fields(struct weft_scope *scope, const struct berth_body *body)
{
    int rc = 0;
    for (size_t i = 0; i < body->context_count && rc >= 0; i++)
        rc = weft_scope_field(scope, body->context[i].key, body->context[i].value);
    return rc;
}

static void handler_end(struct slot *slot, int scope_rc)
{
    if (!slot->did_run && atomic_load(&slot->attempt.cancel) == 0) {
        slot_release(slot, AGENT_RELEASE_NO_MEMORY);
        return;
    }
    int rc = slot->did_run ? slot->rc : scope_rc;
    if (attempt_end(&slot->attempt, rc, &slot->result, &slot->item.end) < 0) {
        (void)snprintf(slot->sentence, sizeof slot->sentence, "no memory for the result");
        slot->item.end = (struct agent_end){ .outcome = AGENT_FAILED,
                                             .error_kind = berth_slice_of("handler"),
                                             .error_message = berth_slice_of(slot->sentence) };
    }
    slot->item.end.run_us = (berth_clock_monotonic_ns() - slot->started_ns) / 1000;
    slot_push(slot);
}

/* The root coroutine. The handler is a child of it, under its own name and with its own stack. */
static int slot_run(void *arg)
{
    struct slot *slot = arg;
    int phase = SLOT_WAITING;
    if (!atomic_compare_exchange_strong(&slot->phase, &phase, SLOT_STARTED))
        return 0;
    slot->started_ns = berth_clock_monotonic_ns();
    const struct weft_task_opts opts = { .name = slot->attempt.handler->name,
                                         .start = WEFT_START_UNDISPATCHED,
                                         .stack_bytes = slot->attempt.handler->stack_bytes };
    struct weft_scope scope;
    weft_scope_open(&scope);
    if (slot->fence_place >= 0)
        culprit_note(&scope, &slot->item.attempt, &slot->element);
    int rc = scope_fields(&scope, &slot->attempt.body);
    if (rc >= 0)
        rc = weft_launch_opts(&scope, NULL, handler_run, slot, &opts);
    rc = weft_scope_close(&scope, rc);
    handler_end(slot, rc);
    return 0;
}

static void start_handler(struct slot *slot)
{
    struct weft_dispatcher *on = slot->attempt.handler->on;
    slot->root = weft_root_open(on ? on : weft_io(), slot_run, slot);
    if (!slot->root)
        slot_release(slot, AGENT_RELEASE_NO_MEMORY);
}
