/* SPDX-License-Identifier: MIT */
#include "deadlock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/life/attempt.h"
#include "broker/core/step.h"
#include "scope.h"

#define STEPS_MAX      4 /* of a cycle that is written out */
#define TEXT_BYTES_MAX 512

/* Slots of a dispatcher, or the places of one of its groups. */
struct room {
    const struct dispatcher *dispatcher;
    const struct group *group; /* NULL: slots */
};

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

/* It waits without its slots, and takes them again before it goes on. */
static bool needs_slots(const struct attempt *attempt)
{
    return attempt->state == ATTEMPT_RUNNING && attempt->has_given;
}

static bool holds(const struct attempt *attempt, struct room room)
{
    return attempt_holds(attempt, room.dispatcher, room.group);
}

typedef bool (*visit_fn)(const struct berth_core *core, struct attempt *attempt, void *arg);

static struct attempt *visit(const struct berth_core *core, const struct dispatcher *dispatcher,
                             struct room room, visit_fn fn, void *arg)
{
    BERTH_LIST_FOREACH (node, &dispatcher->attempts) {
        struct attempt *attempt = berth_container_of(node, struct attempt, dispatcher_node);
        if (holds(attempt, room) && fn(core, attempt, arg))
            return attempt;
    }
    return NULL;
}

/* The first of those that hold something here for which `fn` is true; NULL: for none. */
static struct attempt *find_holder(const struct berth_core *core, struct room room, visit_fn fn,
                                   void *arg)
{
    struct attempt *found = visit(core, room.dispatcher, room, fn, arg);
    if (found || room.group)
        return found;
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        const struct dispatcher *at = berth_container_of(node, struct dispatcher, by_id);
        if (at != room.dispatcher && !berth_list_is_empty(&at->attempts) &&
            dispatcher_is_in(at, room.dispatcher))
            found = visit(core, at, room, fn, arg);
        if (found)
            return found;
    }
    return NULL;
}

static bool is_free(const struct berth_core *core, struct attempt *attempt, void *arg)
{
    (void)arg;
    return !(waits(core, attempt) && keeps_slots(attempt));
}

/* Whether somebody holds something here who does not wait for children. */
static bool has_free_holder(const struct berth_core *core, struct room room)
{
    return find_holder(core, room, is_free, NULL);
}

/* Of a job that waits for slots: what of all that it needs nobody ever gives back. False: there is
 * nothing. */
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
    if (!scope)
        return false;
    BERTH_LIST_FOREACH (node, &scope->children) {
        const struct job *job = live_child(core, node);
        if (job && is_stuck_child(core, job))
            return true;
    }
    return false;
}

static bool lacks_slots(const struct berth_core *core, const struct attempt *attempt)
{
    return needs_slots(attempt) && is_blocked(core, job_at(&core->jobs, attempt->job));
}

/* Who is looked at: who holds what the child needs and is full, whom these wait for, who holds what
 * those need. Nobody else has to do with it. All are taken for stuck, and what they hold for
 * blocked, until somebody can go on. */
struct look {
    struct berth_list attempts, dispatchers, groups;
};

static bool add_attempt(const struct berth_core *core, struct attempt *attempt, void *arg)
{
    struct look *look = arg;
    if (berth_list_is_linked(&attempt->look_node))
        return false;
    attempt->is_stuck = waits(core, attempt) || needs_slots(attempt);
    berth_list_push_back(&look->attempts, &attempt->look_node);
    return false;
}

static void add_dispatcher(const struct berth_core *core, struct look *look, struct dispatcher *at)
{
    if (berth_list_is_linked(&at->look_node) || !is_full(core, at))
        return;
    at->is_blocked = true;
    berth_list_push_back(&look->dispatchers, &at->look_node);
    (void)find_holder(core, (struct room){ .dispatcher = at }, add_attempt, look);
}

static void add_group(const struct berth_core *core, struct look *look, struct group *group)
{
    if (berth_list_is_linked(&group->look_node) || !group->is_full)
        return;
    group->is_blocked = true;
    berth_list_push_back(&look->groups, &group->look_node);
    (void)find_holder(core, (struct room){ .dispatcher = group->dispatcher, .group = group },
                      add_attempt, look);
}

static void add_needed(const struct berth_core *core, struct look *look, const struct job *job)
{
    for (struct dispatcher *at = job_dispatcher(core, job); at; at = at->parent)
        add_dispatcher(core, look, at);
    add_group(core, look, job_lane(core, job)->group);
}

/* What it waits for: slots to go on, who runs its children, and what the others of these need. */
static void add_awaited(const struct berth_core *core, struct look *look,
                        const struct attempt *attempt)
{
    const struct scope *scope = attempt->is_stuck ? scope_find(core, attempt->job_id) : NULL;
    if (needs_slots(attempt))
        add_needed(core, look, job_at(&core->jobs, attempt->job));
    if (!scope)
        return;
    BERTH_LIST_FOREACH (node, &scope->children) {
        const struct job *job = live_child(core, node);
        if (job && job->state == JOB_RUNNING)
            (void)add_attempt(core, job->attempt, look);
        else if (job)
            add_needed(core, look, job);
    }
}

static void init(struct look *look)
{
    berth_list_init(&look->attempts);
    berth_list_init(&look->dispatchers);
    berth_list_init(&look->groups);
}

/* The list grows while it is walked. */
static void begin(const struct berth_core *core, struct look *look, struct attempt *parent)
{
    init(look);
    (void)add_attempt(core, parent, look);
    BERTH_LIST_FOREACH (node, &look->attempts)
        add_awaited(core, look, berth_container_of(node, struct attempt, look_node));
}

static void end(struct look *look)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&look->attempts)))
        berth_container_of(node, struct attempt, look_node)->is_stuck = false;
    while ((node = berth_list_pop_front(&look->dispatchers)))
        berth_container_of(node, struct dispatcher, look_node)->is_blocked = false;
    while ((node = berth_list_pop_front(&look->groups)))
        berth_container_of(node, struct group, look_node)->is_blocked = false;
}

/* Who is not stuck, or waits without its slots, gives back all that it holds one day. */
static bool free_slots(const struct attempt *attempt)
{
    bool is_news = false;
    if (!attempt_has_slots(attempt))
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

/* From the end: most children stand behind their parents, and go on before these can. */
static bool look_once(const struct berth_core *core, const struct look *look)
{
    bool is_news = false;
    for (const struct berth_list_node *node = berth_list_last(&look->attempts); node;
         node = berth_list_prev(&look->attempts, node)) {
        struct attempt *attempt = berth_container_of(node, struct attempt, look_node);
        if (attempt->is_stuck && !has_stuck_child(core, attempt) && !lacks_slots(core, attempt)) {
            attempt->is_stuck = false;
            is_news = true;
        }
        if (!attempt->is_stuck || !keeps_slots(attempt))
            is_news |= free_slots(attempt);
    }
    return is_news;
}

/* ---- the sentence ---- */

static bool is_stuck(const struct berth_core *core, struct attempt *attempt, void *arg)
{
    (void)core;
    (void)arg;
    return attempt->is_stuck;
}

/* Somebody stuck that holds a slot here; the parent itself, if it does. */
static const struct attempt *holder_of(const struct berth_core *core, struct room room,
                                       const struct attempt *parent)
{
    if (holds(parent, room) && keeps_slots(parent))
        return parent;
    const struct attempt *holder = find_holder(core, room, is_stuck, NULL);
    BERTH_ASSERT(holder != NULL);
    return holder;
}

/* The job that it waits for in the end, and that waits for slots. */
static const struct job *awaited_by(const struct berth_core *core, const struct attempt *attempt)
{
    while (!lacks_slots(core, attempt)) {
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
    return job_at(&core->jobs, attempt->job);
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
    return step_text(core, "%s", text);
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

/* Each dispatcher and group is looked at once, however many children go there. */
static bool may_be_blocked(const struct berth_core *core, struct look *look, const struct job *job)
{
    for (struct dispatcher *at = job_dispatcher(core, job);
         at && !berth_list_is_linked(&at->look_node); at = at->parent) {
        berth_list_push_back(&look->dispatchers, &at->look_node);
        if (is_full(core, at) && !has_free_holder(core, (struct room){ .dispatcher = at }))
            return true;
    }
    struct group *group = job_lane(core, job)->group;
    if (berth_list_is_linked(&group->look_node))
        return false;
    berth_list_push_back(&look->groups, &group->look_node);
    return group->is_full &&
           !has_free_holder(core, (struct room){ .dispatcher = group->dispatcher, .group = group });
}

/* The children from `first` on. */
static bool may_any_be_blocked(const struct berth_core *core, const struct scope *scope,
                               uint64_t first)
{
    struct look look;
    bool may_be = false;
    init(&look);
    for (const struct berth_list_node *node = berth_list_last(&scope->children);
         !may_be && node && berth_container_of(node, struct child, scope_node)->by_job.id >= first;
         node = berth_list_prev(&scope->children, node)) {
        const struct job *job = live_child(core, node);
        may_be = job && may_be_blocked(core, &look, job);
    }
    end(&look);
    return may_be;
}

static const struct job *find_blocked_child(const struct berth_core *core,
                                            const struct scope *scope, uint64_t first)
{
    for (const struct berth_list_node *node = berth_list_last(&scope->children);
         node && berth_container_of(node, struct child, scope_node)->by_job.id >= first;
         node = berth_list_prev(&scope->children, node)) {
        const struct job *job = live_child(core, node);
        if (job && is_blocked(core, job))
            return job;
    }
    return NULL;
}

const char *deadlock_find(struct berth_core *core, struct attempt *parent, uint64_t first)
{
    const struct scope *scope = scope_find(core, parent->job_id);
    if (!scope || !may_any_be_blocked(core, scope, first))
        return NULL;
    struct look look;
    begin(core, &look, parent);
    while (look_once(core, &look))
        ;
    const struct job *blocked = find_blocked_child(core, scope, first);
    const char *cycle = blocked ? describe(core, parent, blocked) : NULL;
    end(&look);
    return cycle;
}
