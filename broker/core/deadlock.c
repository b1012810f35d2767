/* SPDX-License-Identifier: MIT */
#include "deadlock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "dispatcher.h"
#include "out.h"
#include "scope.h"

#define STEPS_MAX      4 /* of a cycle that is written out */
#define TEXT_BYTES_MAX 512

/* Slots of a dispatcher, or the places of one of its groups. */
struct room {
    const struct dispatcher *dispatcher;
    const struct group *group; /* NULL: slots */
};

static bool is_below(const struct dispatcher *dispatcher, const struct dispatcher *top)
{
    while (dispatcher && dispatcher != top)
        dispatcher = dispatcher->parent;
    return dispatcher;
}

static bool has_slot(const struct attempt *attempt)
{
    return attempt->state != ATTEMPT_SETTLING && !attempt->has_given;
}

static bool is_full(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    uint64_t limit = dispatcher_limit(core, dispatcher);
    return limit > 0 && dispatcher->running >= limit;
}

/* It does not end before its children have. */
static bool waits(const struct berth_core *core, const struct attempt *attempt)
{
    if (!attempt->job)
        return false;
    const struct job *job = job_at(&core->jobs, attempt->job);
    const struct scope *scope = job->flags & JOB_IN_SCOPE ? scope_find(core, job->id) : NULL;
    return scope && scope->child_count && !(job->flags & JOB_CANCEL_ASKED);
}

/* And keeps its slots all the time. */
static bool keeps_slots(const struct attempt *attempt)
{
    return attempt->dispatcher && attempt->dispatcher->record.hold == BERTH_HOLD_JOB;
}

static bool holds(const struct attempt *attempt, struct room room)
{
    if (!has_slot(attempt))
        return false;
    return room.group ? attempt->group == room.group
                      : is_below(attempt->dispatcher, room.dispatcher);
}

/* Whether somebody holds something here who does not wait for children. */
static bool has_free_holder(const struct berth_core *core, struct room room)
{
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        if (holds(attempt, room) && !(waits(core, attempt) && keeps_slots(attempt)))
            return true;
    }
    return false;
}

/* Of a queued job: what of all that it needs nobody ever gives back. False: there is nothing. */
static bool find_blocked(const struct berth_core *core, const struct job *job,
                         struct room *ret_room)
{
    struct dispatcher *at = job_dispatcher(core, job);
    const struct group *group = job_lane(core, job)->group;
    while (at && !at->is_blocked)
        at = at->parent;
    *ret_room = (struct room){ .dispatcher = at };
    if (!at && group->is_blocked)
        *ret_room = (struct room){ .dispatcher = group->dispatcher, .group = group };
    return ret_room->dispatcher;
}

static bool is_blocked(const struct berth_core *core, const struct job *job)
{
    struct room room;
    return find_blocked(core, job, &room);
}

/* ---- who is stuck: all that may be, less those that can go on ---- */

static const struct job *live_child(const struct berth_core *core, const struct berth_list_node *at)
{
    const struct child *child = berth_container_of(at, struct child, scope_node);
    const struct job *job = job_at(&core->jobs, job_find(core, child->by_job.id));
    return job->flags & (JOB_CANCEL_ASKED | JOB_ENDING) ? NULL : job;
}

static bool is_stuck_child(const struct berth_core *core, const struct job *job)
{
    if (job->state == JOB_RUNNING)
        return job->attempt->is_stuck;
    return is_blocked(core, job);
}

static bool has_stuck_child(const struct berth_core *core, const struct attempt *attempt)
{
    const struct scope *scope = scope_find(core, attempt->job_id);
    BERTH_LIST_FOREACH (node, &scope->children) {
        const struct job *job = live_child(core, node);
        if (job && is_stuck_child(core, job))
            return true;
    }
    return false;
}

static void begin(const struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        struct dispatcher *dispatcher = berth_container_of(node, struct dispatcher, by_id);
        dispatcher->is_blocked = is_full(core, dispatcher);
        BERTH_MAP_FOREACH (at, &dispatcher->groups) {
            struct group *group = berth_container_of(at, struct group, by_name);
            group->is_blocked = group->is_full;
        }
    }
    BERTH_MAP_FOREACH (node, &core->attempts) {
        struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        attempt->is_stuck = waits(core, attempt);
    }
}

/* Who is not stuck, or waits without its slots, gives back all that it holds one day. */
static bool free_slots(const struct attempt *attempt)
{
    bool is_news = false;
    if (!has_slot(attempt))
        return false;
    for (struct dispatcher *at = attempt->dispatcher; at; at = at->parent) {
        is_news |= at->is_blocked;
        at->is_blocked = false;
    }
    if (attempt->group) {
        is_news |= attempt->group->is_blocked;
        attempt->group->is_blocked = false;
    }
    return is_news;
}

static bool look_once(const struct berth_core *core)
{
    bool is_news = false;
    BERTH_MAP_FOREACH (node, &core->attempts) {
        struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        if (attempt->is_stuck && !has_stuck_child(core, attempt)) {
            attempt->is_stuck = false;
            is_news = true;
        }
        if (!attempt->is_stuck || !keeps_slots(attempt))
            is_news |= free_slots(attempt);
    }
    return is_news;
}

/* ---- the sentence ---- */

/* Somebody stuck that holds a slot here; the parent itself, if it does. */
static const struct attempt *holder_of(const struct berth_core *core, struct room room,
                                       const struct attempt *parent)
{
    if (holds(parent, room) && keeps_slots(parent))
        return parent;
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        if (attempt->is_stuck && holds(attempt, room))
            return attempt;
    }
    BERTH_UNREACHABLE();
}

/* The queued job that it waits for in the end. */
static const struct job *awaited_by(const struct berth_core *core, const struct attempt *attempt)
{
    for (;;) {
        const struct scope *scope = scope_find(core, attempt->job_id);
        const struct attempt *next = NULL;
        BERTH_LIST_FOREACH (node, &scope->children) {
            const struct job *job = live_child(core, node);
            if (!job || !is_stuck_child(core, job))
                continue;
            if (job->state != JOB_RUNNING)
                return job;
            next = job->attempt;
        }
        BERTH_ASSERT(next != NULL);
        attempt = next;
    }
}

static void add(char text[static TEXT_BYTES_MAX], const char *format, ...) BERTH_PRINTF(2, 3);

static void add_room(char text[static TEXT_BYTES_MAX], struct room room)
{
    const char *name = room.dispatcher->record.name;
    if (!room.group)
        add(text, "a slot of %s", name);
    else
        add(text, "a place of group '%.*s' of %s", (int)room.group->name.bytes,
            (const char *)room.group->name.data, name);
}

static const char *describe(struct berth_core *core, const struct attempt *parent,
                            const struct job *child)
{
    char text[TEXT_BYTES_MAX] = "";
    const struct job *awaited = child;
    add(text, "job %" PRIu64 " would wait for ever: its child needs ", parent->job_id);
    for (unsigned step = 0; step < STEPS_MAX; step++) {
        struct room room;
        bool is_found = find_blocked(core, awaited, &room);
        BERTH_ASSERT(is_found);
        const struct attempt *holder = holder_of(core, room, parent);
        uint64_t count = (room.group ? room.group->running : room.dispatcher->running) - 1;
        add_room(text, room);
        add(text, ", held by job %" PRIu64, holder->job_id);
        if (count > 0)
            add(text, " and %" PRIu64 " more", count);
        if (holder == parent)
            break;
        if (step + 1 == STEPS_MAX) {
            add(text, ", and so on");
            break;
        }
        awaited = awaited_by(core, holder);
        add(text, ", which waits for job %" PRIu64 ", which needs ", awaited->id);
    }
    add(text, "; a larger limit, or hold = running, lets it go on");
    return out_text(core, "%s", text);
}

static void add(char text[static TEXT_BYTES_MAX], const char *format, ...)
{
    size_t bytes = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + bytes, TEXT_BYTES_MAX - bytes, format, args);
    va_end(args);
}

/* ---- the question ---- */

static bool may_be_blocked(const struct berth_core *core, const struct job *job)
{
    for (const struct dispatcher *at = job_dispatcher(core, job); at; at = at->parent)
        if (is_full(core, at) && !has_free_holder(core, (struct room){ .dispatcher = at }))
            return true;
    const struct group *group = job_lane(core, job)->group;
    return group->is_full &&
           !has_free_holder(core, (struct room){ .dispatcher = group->dispatcher, .group = group });
}

/* The children of one submit often go to one dispatcher: what was found there holds for all. */
const char *deadlock_find(struct berth_core *core, const struct attempt *parent, uint64_t first)
{
    const struct scope *scope = scope_find(core, parent->job_id);
    if (!scope)
        return NULL;
    const struct lane *looked_at = NULL;
    bool may_be = false;
    for (const struct berth_list_node *node = berth_list_last(&scope->children);
         node && berth_container_of(node, struct child, scope_node)->by_job.id >= first;
         node = berth_list_prev(&scope->children, node)) {
        const struct job *job = live_child(core, node);
        if (!job || job_lane(core, job) == looked_at)
            continue;
        looked_at = job_lane(core, job);
        may_be |= may_be_blocked(core, job);
    }
    if (!may_be)
        return NULL;
    begin(core);
    while (look_once(core))
        ;
    for (const struct berth_list_node *node = berth_list_last(&scope->children);
         node && berth_container_of(node, struct child, scope_node)->by_job.id >= first;
         node = berth_list_prev(&scope->children, node)) {
        const struct job *job = live_child(core, node);
        if (job && is_blocked(core, job))
            return describe(core, parent, job);
    }
    return NULL;
}
