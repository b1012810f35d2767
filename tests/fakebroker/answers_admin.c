/* SPDX-License-Identifier: MIT
 *
 * What the fake broker says of dispatchers, workers and itself.
 */
#include <string.h>

#include "base/text.h"
#include "internal.h"
#include "proto/columns.h"
#include "proto/errors.h"
#include "proto/wire.h"

static void put_limits(const struct fake_dispatcher *dispatcher, Berth__V1__Dispatcher *row)
{
    row->has_parent = dispatcher->parent[0] != '\0';
    row->parent = berth_bytes_of(berth_slice_of(dispatcher->parent));
    row->has_weight = row->has_group_limit = row->has_rate_count = row->has_rate_ms = 1;
    row->has_burst = row->has_max_queued = row->has_hold = row->has_on_lost = 1;
    row->has_no_jitter = row->has_queue_timeout_ms = row->has_deadline_ms = 1;
    row->has_retention_ms = row->has_retention_count = row->has_changed_us = 1;
    row->weight = dispatcher->weight;
    row->group_limit = dispatcher->group_limit;
    row->rate_count = dispatcher->rate_count;
    row->rate_ms = dispatcher->rate_ms;
    row->burst = dispatcher->burst;
    row->max_queued = dispatcher->max_queued;
    row->hold = dispatcher->hold;
    row->on_lost = dispatcher->on_lost;
    row->no_jitter = dispatcher->no_jitter;
    row->queue_timeout_ms = dispatcher->queue_timeout_ms;
    row->deadline_ms = dispatcher->deadline_ms;
    row->retention_ms = dispatcher->retention_ms;
    row->retention_count = dispatcher->retention_count;
    row->changed_us = FAKE_SUBMITTED_US;
    row->has_remark = dispatcher->on_lost == 1 && dispatcher->parent[0] != '\0';
    row->remark = berth_bytes_of(berth_slice_of("what is above it does not hold what is lost"));
    row->has_changed_by = dispatcher->changed_by[0] != '\0';
    row->changed_by = berth_bytes_of(berth_slice_of(dispatcher->changed_by));
}

static Berth__V1__Dispatcher *dispatcher_row(const struct fake_broker *broker,
                                             const struct fake_dispatcher *dispatcher,
                                             struct berth_arena *arena)
{
    Berth__V1__Dispatcher *row = fake_get(arena, 1, sizeof *row);
    berth__v1__dispatcher__init(row);
    row->has_name = row->has_limit_kind = row->has_limit_value = row->has_is_paused = 1;
    row->has_ready = row->has_max_attempts = row->has_backoff_ms = row->has_backoff_max_ms = 1;
    row->has_timeout_ms = row->has_grace_ms = row->has_running = row->has_completed_total = 1;
    row->name = berth_bytes_of(berth_slice_of(dispatcher->name));
    row->limit_kind = (Berth__V1__LimitKind)dispatcher->limit_kind;
    row->limit_value = dispatcher->limit_value;
    row->has_effective_limit = dispatcher->limit_kind != BERTH__V1__LIMIT_KIND__LIMIT_UNLIMITED;
    row->effective_limit = dispatcher->limit_value > 0 ? dispatcher->limit_value : 2;
    row->is_paused = dispatcher->is_paused;
    row->max_attempts = dispatcher->max_attempts;
    row->backoff_ms = dispatcher->backoff_ms;
    row->backoff_max_ms = dispatcher->backoff_max_ms;
    row->timeout_ms = dispatcher->timeout_ms;
    row->grace_ms = dispatcher->grace_ms;
    put_limits(dispatcher, row);
    for (size_t i = 0; i < broker->jobs_count; i++)
        if (strcmp(broker->jobs[i].dispatcher, dispatcher->name) == 0 &&
            broker->jobs[i].state == BERTH_READY)
            row->ready++;
    row->has_oldest_ready_us = row->ready > 0;
    row->oldest_ready_us = FAKE_SUBMITTED_US;
    return row;
}

static void dispatchers(struct fake_broker *broker, struct berth_slice name,
                        Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    if (name.bytes > 0 && !fake_dispatcher_find(broker, name)) {
        fake_error(answer, BERTH_ENOTFOUND, "name", "there is no such dispatcher", arena);
        return;
    }
    Berth__V1__Dispatchers *message = fake_get(arena, 1, sizeof *message);
    berth__v1__dispatchers__init(message);
    message->dispatcher = fake_get(arena, broker->dispatchers_count, sizeof(void *));
    for (size_t i = 0; i < broker->dispatchers_count; i++)
        if (name.bytes == 0 ||
            berth_slice_is_equal(berth_slice_of(broker->dispatchers[i].name), name))
            message->dispatcher[message->n_dispatcher++] =
                dispatcher_row(broker, &broker->dispatchers[i], arena);
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_DISPATCHERS;
    answer->dispatchers = message;
}

static void take_limits(const Berth__V1__DispatcherSet *set, struct fake_dispatcher *dispatcher)
{
    if (set->has_parent)
        fake_copy_text(dispatcher->parent, sizeof dispatcher->parent,
                       berth_slice_from(set->parent));
    if (set->has_weight)
        dispatcher->weight = set->weight;
    if (set->has_group_limit)
        dispatcher->group_limit = set->group_limit;
    if (set->has_rate_count)
        dispatcher->rate_count = set->rate_count;
    if (set->has_rate_ms)
        dispatcher->rate_ms = set->rate_ms;
    if (set->has_burst)
        dispatcher->burst = set->burst;
    if (set->has_max_queued)
        dispatcher->max_queued = set->max_queued;
    if (set->has_hold)
        dispatcher->hold = set->hold;
    if (set->has_on_lost)
        dispatcher->on_lost = set->on_lost;
    if (set->has_no_jitter)
        dispatcher->no_jitter = set->no_jitter;
    if (set->has_queue_timeout_ms)
        dispatcher->queue_timeout_ms = set->queue_timeout_ms;
    if (set->has_deadline_ms)
        dispatcher->deadline_ms = set->deadline_ms;
    if (set->has_retention_ms)
        dispatcher->retention_ms = set->retention_ms;
    if (set->has_retention_count)
        dispatcher->retention_count = set->retention_count;
    fake_copy_text(dispatcher->changed_by, sizeof dispatcher->changed_by,
                   berth_slice_from(set->changed_by));
}

static void dispatcher_set(struct fake_broker *broker, const Berth__V1__DispatcherSet *set,
                           Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    struct berth_slice name = berth_slice_from(set->name);
    struct fake_dispatcher *dispatcher = fake_dispatcher_find(broker, name);
    if (!dispatcher && !set->has_limit_kind) {
        fake_error(answer, BERTH_ENOTFOUND, "limit", "a new dispatcher needs a limit", arena);
        return;
    }
    if (!dispatcher) {
        fake_check(broker->dispatchers_count < FAKE_DISPATCHERS_MAX, "too many dispatchers");
        dispatcher = &broker->dispatchers[broker->dispatchers_count++];
        *dispatcher = broker->dispatchers[0];
        fake_copy_text(dispatcher->name, sizeof dispatcher->name, name);
    }
    if (set->has_limit_kind) {
        dispatcher->limit_kind = (uint32_t)set->limit_kind;
        dispatcher->limit_value = set->limit_value;
    }
    if (set->has_max_attempts)
        dispatcher->max_attempts = set->max_attempts;
    if (set->has_backoff_ms)
        dispatcher->backoff_ms = set->backoff_ms;
    if (set->has_backoff_max_ms)
        dispatcher->backoff_max_ms = set->backoff_max_ms;
    if (set->has_timeout_ms)
        dispatcher->timeout_ms = set->timeout_ms;
    if (set->has_grace_ms)
        dispatcher->grace_ms = set->grace_ms;
    take_limits(set, dispatcher);
    dispatchers(broker, name, answer, arena);
}

static void dispatcher_pause(struct fake_broker *broker, const Berth__V1__DispatcherPause *pause,
                             Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    struct fake_dispatcher *dispatcher =
        fake_dispatcher_find(broker, berth_slice_from(pause->name));
    if (dispatcher) {
        dispatcher->is_paused = pause->is_paused;
        fake_copy_text(dispatcher->changed_by, sizeof dispatcher->changed_by,
                       berth_slice_from(pause->changed_by));
    }
    dispatchers(broker, berth_slice_from(pause->name), answer, arena);
}

static void workers(Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    Berth__V1__Workers *message = fake_get(arena, 1, sizeof *message);
    berth__v1__workers__init(message);
    Berth__V1__Worker *row = fake_get(arena, 1, sizeof *row);
    berth__v1__worker__init(row);
    row->has_session = row->has_name = row->has_state = row->has_capacity = row->has_running = 1;
    row->has_cores = row->has_software = row->has_silent_ms = row->has_lease_left_ms = 1;
    row->has_suspended = 1;
    row->session = BERTH_FENCED_ID_MIN + 1;
    row->name = berth_bytes_of(berth_slice_of("host-1"));
    row->state = berth_bytes_of(berth_slice_of("joined"));
    row->capacity = 256;
    row->running = 3;
    row->suspended = 5;
    row->cores = 4;
    row->handlers = fake_get(arena, 2, sizeof *row->handlers);
    row->handlers[row->n_handlers++] = berth_bytes_of(berth_slice_of("exec"));
    row->handlers[row->n_handlers++] = berth_bytes_of(berth_slice_of("mail"));
    row->software = berth_bytes_of(berth_slice_of("berth-worker 0.1.0"));
    row->silent_ms = 800;
    row->lease_left_ms = 9200;
    message->n_worker = 1;
    message->worker = fake_get(arena, 1, sizeof(void *));
    message->worker[0] = row;
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKERS;
    answer->workers = message;
}

/* The only one there is. */
static void worker_gone(const Berth__V1__WorkerDeclareGone *gone, Berth__V1__Envelope *answer,
                        struct berth_arena *arena)
{
    if (!berth_slice_is_equal(berth_slice_from(gone->name), berth_slice_of("host-1"))) {
        fake_error(answer, BERTH_ENOTFOUND, "name", "there is no such worker", arena);
        return;
    }
    workers(answer, arena);
    answer->workers->worker[0]->state = berth_bytes_of(berth_slice_of("gone"));
}

static void status(const struct fake_broker *broker, Berth__V1__Envelope *answer,
                   struct berth_arena *arena)
{
    Berth__V1__BrokerStatus *message = fake_get(arena, 1, sizeof *message);
    berth__v1__broker_status__init(message);
    message->has_software = message->has_epoch = message->has_uptime_ms = message->has_ready = 1;
    message->has_recovering = message->has_recovery_left_ms = message->has_wal_bytes = 1;
    message->software = berth_bytes_of(berth_slice_of("berthd 0.1.0"));
    message->epoch = FAKE_EPOCH;
    message->uptime_ms = 90500;
    message->recovering = 1;
    message->recovery_left_ms = 7000;
    message->ready = broker->jobs_count;
    message->wal_bytes = 4096;
    message->has_workers = message->has_suspended = 1;
    message->workers = 1;
    message->suspended = 2;
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_BROKER_STATUS;
    answer->broker_status = message;
}

void fake_answer_admin(struct fake_broker *broker, const Berth__V1__Envelope *envelope,
                       Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    switch (fake_message_of(envelope)) {
    case FAKE_DISPATCHER_SET:
        dispatcher_set(broker, envelope->dispatcher_set, answer, arena);
        return;
    case FAKE_DISPATCHER_PAUSE:
        dispatcher_pause(broker, envelope->dispatcher_pause, answer, arena);
        return;
    case FAKE_DISPATCHER_GET:
        dispatchers(broker, berth_slice_from(envelope->dispatcher_get->name), answer, arena);
        return;
    case FAKE_WORKERS: workers(answer, arena); return;
    case FAKE_WORKER_GONE: worker_gone(envelope->worker_declare_gone, answer, arena); return;
    case FAKE_STATUS: status(broker, answer, arena); return;
    default: fake_check(false, "a message that is not of an administrator");
    }
}
