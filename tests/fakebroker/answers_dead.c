/* SPDX-License-Identifier: MIT
 *
 * What the fake broker says to retry, discard, purge and remove. A discarded job is one that
 * nobody has submitted: its state is 0.
 */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "internal.h"
#include "proto/columns.h"
#include "proto/errors.h"

#define PURGE_PART 2 /* jobs: so few that a purge has several parts */

static void *get(struct berth_arena *arena, size_t count, size_t bytes)
{
    void *memory = berth_arena_zalloc(arena, count * bytes + 1);
    fake_check(memory != NULL, "arena");
    return memory;
}

static struct fake_job *job_find(struct fake_broker *broker, uint64_t id)
{
    bool is_there = id <= broker->jobs_count && broker->jobs[id - 1].state != 0;
    return is_there ? &broker->jobs[id - 1] : NULL;
}

/* A job with a unique key is taken for one whose key the first job has. */
static int change(struct fake_job *job, bool is_retry, uint64_t *ret_other)
{
    if (!job)
        return BERTH_ENOTFOUND;
    if (is_retry && job->state < BERTH_COMPLETED)
        return -EALREADY;
    if (job->state != BERTH_DEAD && (!is_retry || job->state != BERTH_CANCELLED))
        return BERTH_ECONFLICT;
    if (is_retry && job->unique[0] != '\0') {
        *ret_other = 1;
        return BERTH_ECONFLICT;
    }
    job->state = is_retry ? BERTH_READY : (enum berth_state)0;
    return 0;
}

static void change_all(struct fake_broker *broker, const uint64_t *ids, size_t count, bool is_retry,
                       Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    Berth__V1__JobChanged *message = get(arena, 1, sizeof *message);
    berth__v1__job_changed__init(message);
    message->id = get(arena, count, sizeof *message->id);
    message->code = get(arena, count, sizeof *message->code);
    message->state = get(arena, count, sizeof *message->state);
    message->other = get(arena, count, sizeof *message->other);
    for (size_t i = 0; i < count; i++) {
        struct fake_job *job = job_find(broker, ids[i]);
        message->id[i] = ids[i];
        message->state[i] = job ? (uint32_t)job->state : 0;
        message->code[i] = (uint32_t)berth_wire_code(change(job, is_retry, &message->other[i]));
    }
    message->n_id = message->n_code = message->n_state = message->n_other = count;
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_CHANGED;
    answer->job_changed = message;
}

static bool is_queued(enum berth_state state)
{
    return state == BERTH_SCHEDULED || state == BERTH_READY || state == BERTH_RETRYING;
}

static struct fake_dispatcher *dispatcher_find(struct fake_broker *broker, ProtobufCBinaryData name)
{
    for (size_t i = 0; i < broker->dispatchers_count; i++)
        if (berth_slice_is_equal(berth_slice_of(broker->dispatchers[i].name),
                                 berth_slice_from(name)))
            return &broker->dispatchers[i];
    return NULL;
}

static void say_error(int rc, const char *text, Berth__V1__Envelope *answer,
                      struct berth_arena *arena)
{
    Berth__V1__Error *message = get(arena, 1, sizeof *message);
    berth_wire_error(rc, "name", text, message);
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_ERROR;
    answer->error = message;
}

static void purge(struct fake_broker *broker, const Berth__V1__DispatcherPurge *purge,
                  const struct fake_dispatcher *dispatcher, Berth__V1__Envelope *answer,
                  struct berth_arena *arena)
{
    Berth__V1__DispatcherPurged *message = get(arena, 1, sizeof *message);
    berth__v1__dispatcher_purged__init(message);
    message->has_count = message->has_below = 1;
    message->below = purge->below ? purge->below : broker->jobs_count + 1;
    for (uint64_t id = purge->cursor + 1; id < message->below; id++) {
        struct fake_job *job = &broker->jobs[id - 1];
        if (message->count == PURGE_PART) {
            message->has_cursor = 1;
            message->cursor = id - 1;
            break;
        }
        if (!is_queued(job->state) || strcmp(job->dispatcher, dispatcher->name) != 0)
            continue;
        job->state = BERTH_CANCELLED;
        message->count++;
    }
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_PURGED;
    answer->dispatcher_purged = message;
}

static void remove_dispatcher(struct fake_broker *broker, struct fake_dispatcher *dispatcher,
                              Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    for (size_t i = 0; i < broker->jobs_count; i++) {
        const struct fake_job *job = &broker->jobs[i];
        if (job->state && job->state < BERTH_COMPLETED &&
            strcmp(job->dispatcher, dispatcher->name) == 0) {
            say_error(BERTH_ECONFLICT, "it has live jobs", answer, arena);
            return;
        }
    }
    struct fake_dispatcher *last = &broker->dispatchers[--broker->dispatchers_count];
    memmove(dispatcher, dispatcher + 1, (size_t)((char *)last - (char *)dispatcher)); /* overlaps */
    Berth__V1__DispatcherRemoved *message = get(arena, 1, sizeof *message);
    berth__v1__dispatcher_removed__init(message);
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_REMOVED;
    answer->dispatcher_removed = message;
}

void fake_answer_dead(struct fake_broker *broker, const Berth__V1__Envelope *envelope,
                      Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    if (envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE_JOB_RETRY) {
        change_all(broker, envelope->job_retry->id, envelope->job_retry->n_id, true, answer, arena);
        return;
    }
    if (envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE_JOB_DISCARD) {
        change_all(broker, envelope->job_discard->id, envelope->job_discard->n_id, false, answer,
                   arena);
        return;
    }
    bool is_purge = envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_PURGE;
    struct fake_dispatcher *dispatcher = dispatcher_find(
        broker, is_purge ? envelope->dispatcher_purge->name : envelope->dispatcher_remove->name);
    if (!dispatcher)
        say_error(BERTH_ENOTFOUND, "there is no such dispatcher", answer, arena);
    else if (is_purge)
        purge(broker, envelope->dispatcher_purge, dispatcher, answer, arena);
    else
        remove_dispatcher(broker, dispatcher, answer, arena);
}
