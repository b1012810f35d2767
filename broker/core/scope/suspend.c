/* SPDX-License-Identifier: MIT */
#include "suspend.h"

#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/life/attempt.h"
#include "broker/core/match/limit.h"
#include "broker/core/worker/offer.h"
#include "broker/core/worker/outbox.h"

static struct attempt *find(const struct berth_core *core, const struct session *session,
                            uint64_t id)
{
    struct attempt *attempt = attempt_find(core, id);
    bool is_it = attempt && attempt->session == session && attempt->state == ATTEMPT_RUNNING;
    return is_it ? attempt : NULL;
}

/* Its worker knows of it. */
static bool is_told(const struct berth_core *core, const struct attempt *attempt)
{
    bool is_cancelled =
        attempt->job && job_at(&core->jobs, attempt->job)->flags & JOB_CANCEL_STORED;
    return is_cancelled || attempt->is_late;
}

/* ---- it stops ---- */

static void set_suspended(struct berth_core *core, struct attempt *attempt, bool is_suspended)
{
    struct session *session = attempt->session;
    if (attempt->is_suspended == is_suspended)
        return;
    attempt->is_suspended = is_suspended;
    session->suspended_count = session->suspended_count + is_suspended - !is_suspended;
    offer_update_room(core, session);
}

/* Not any more from when it is to be otherwise: suspend_has_given(). */
static bool gives_back(const struct dispatcher *dispatcher)
{
    bool shall_keep = dispatcher->changes && dispatcher->wanted.hold != BERTH_HOLD_RUNNING;
    return dispatcher->record.hold == BERTH_HOLD_RUNNING && !shall_keep;
}

static void stop(struct berth_core *core, struct attempt *attempt, uint32_t number)
{
    set_suspended(core, attempt, true);
    attempt->suspensions = number;
    if (attempt->has_given || !gives_back(attempt->dispatcher))
        return;
    limit_give(core, attempt);
    attempt->has_given = true;
}

void suspend_take(struct berth_core *core, const struct session *session, uint64_t id,
                  uint32_t number)
{
    struct attempt *attempt = find(core, session, id);
    if (attempt && !attempt->is_suspended && number > attempt->suspensions)
        stop(core, attempt, number);
}

/* ---- it waits for slots ---- */

static void put(struct berth_list *list, struct attempt *attempt, bool is_first)
{
    if (is_first)
        berth_list_push_front(list, &attempt->resume_node);
    else
        berth_list_push_back(list, &attempt->resume_node);
}

static void wait_for_slots(struct berth_core *core, struct attempt *attempt, bool is_first)
{
    struct dispatcher *dispatcher = attempt->dispatcher;
    if (berth_list_is_empty(&dispatcher->resuming))
        berth_list_push_back(&core->resuming, &dispatcher->resuming_node);
    put(&dispatcher->resuming, attempt, is_first);
    attempt->resume_wait = RESUME_SLOTS;
}

static void leave_slots(struct attempt *attempt)
{
    struct dispatcher *dispatcher = attempt->dispatcher;
    berth_list_remove(&attempt->resume_node);
    attempt->resume_wait = RESUME_NOTHING;
    if (berth_list_is_empty(&dispatcher->resuming))
        berth_list_remove(&dispatcher->resuming_node);
}

static void wait_for_group(struct berth_core *core, struct attempt *attempt)
{
    put(&attempt->resume_group->resuming, attempt, is_told(core, attempt));
    attempt->resume_wait = RESUME_GROUP;
}

static void leave_group(struct attempt *attempt)
{
    berth_list_remove(&attempt->resume_node);
    attempt->resume_wait = RESUME_NOTHING;
}

/* It was first there when it went to wait for its group. */
void suspend_on_group(struct berth_core *core, struct group *group)
{
    struct berth_list_node *node = berth_list_first(&group->resuming);
    if (!node || group->is_full)
        return;
    struct attempt *attempt = berth_container_of(node, struct attempt, resume_node);
    leave_group(attempt);
    wait_for_slots(core, attempt, true);
}

/* ---- it waits for a place ---- */

static void go_on(struct berth_core *core, struct attempt *attempt)
{
    set_suspended(core, attempt, false);
    outbox_resume(core, attempt);
}

static bool has_place(const struct session *session)
{
    return offer_running(session) < session->capacity;
}

static void wait_for_place(struct berth_core *core, struct attempt *attempt)
{
    struct session *session = attempt->session;
    if (berth_list_is_empty(&session->resuming))
        berth_list_push_back(&core->crowded, &session->resuming_node);
    put(&session->resuming, attempt, false);
    attempt->resume_wait = RESUME_PLACE;
}

static void leave_place(struct attempt *attempt)
{
    struct session *session = attempt->session;
    berth_list_remove(&attempt->resume_node);
    attempt->resume_wait = RESUME_NOTHING;
    if (berth_list_is_empty(&session->resuming))
        berth_list_remove(&session->resuming_node);
}

/* It has its slots. */
static void ask_for_place(struct berth_core *core, struct attempt *attempt)
{
    struct session *session = attempt->session;
    bool is_next = berth_list_is_empty(&session->resuming) && has_place(session);
    if (is_next || is_told(core, attempt))
        go_on(core, attempt);
    else
        wait_for_place(core, attempt);
}

static void take_slots(struct berth_core *core, struct attempt *attempt)
{
    struct group *group = job_lane(core, job_at(&core->jobs, attempt->job))->group;
    attempt->group = group;
    limit_take(core, attempt);
    attempt->has_given = false;
    suspend_on_group(core, group);
}

/* ---- it asks ---- */

void suspend_forget(struct berth_core *core, struct attempt *attempt)
{
    switch (attempt->resume_wait) {
    case RESUME_NOTHING:
        if (berth_list_is_linked(&attempt->resume_node))
            berth_list_remove(&attempt->resume_node); /* of the session's outbox */
        return;
    case RESUME_SLOTS:
        leave_slots(attempt);
        suspend_on_group(core, attempt->resume_group); /* perhaps it was its turn */
        return;
    case RESUME_GROUP: leave_group(attempt); return;
    case RESUME_PLACE: leave_place(attempt); return;
    }
    BERTH_UNREACHABLE();
}

void suspend_end(struct berth_core *core, struct attempt *attempt)
{
    suspend_forget(core, attempt);
    set_suspended(core, attempt, false);
}

void suspend_on_told(struct berth_core *core, struct attempt *attempt)
{
    switch (attempt->resume_wait) {
    case RESUME_NOTHING: return;
    case RESUME_SLOTS:
        leave_slots(attempt);
        wait_for_slots(core, attempt, true);
        return;
    case RESUME_GROUP:
        leave_group(attempt);
        wait_for_group(core, attempt);
        return;
    case RESUME_PLACE:
        leave_place(attempt);
        go_on(core, attempt);
        return;
    }
    BERTH_UNREACHABLE();
}

/* It is nobody's attempt any more, was told to end, and holds its slots until it has: it can only
 * end if it may go on. */
static void let_end(struct berth_core *core, struct attempt *attempt, uint32_t number)
{
    attempt->suspensions = number;
    if (!berth_list_is_linked(&attempt->resume_node))
        outbox_resume(core, attempt);
}

void suspend_ask(struct berth_core *core, const struct session *session, uint64_t id,
                 uint32_t number)
{
    struct attempt *doomed = attempt_find(core, id);
    if (doomed && doomed->session == session && doomed->state == ATTEMPT_DOOMED) {
        let_end(core, doomed, number);
        return;
    }
    struct attempt *attempt = find(core, session, id);
    if (!attempt || !attempt->is_suspended || attempt->suspensions != number ||
        attempt->resume_wait != RESUME_NOTHING)
        return;
    if (!attempt->has_given) {
        ask_for_place(core, attempt);
        return;
    }
    attempt->resume_group = job_lane(core, job_at(&core->jobs, attempt->job))->group;
    wait_for_slots(core, attempt, is_told(core, attempt));
}

/* What a join does not call suspended runs, whatever was known of it. */
void suspend_on_line(struct berth_core *core, struct attempt *attempt,
                     const struct berth_join_line *line)
{
    if (attempt->state != ATTEMPT_RUNNING)
        return;
    suspend_forget(core, attempt);
    attempt->suspensions = line->suspensions;
    if (line->state == BERTH_ATTEMPT_SUSPENDED) {
        stop(core, attempt, line->suspensions);
        return;
    }
    set_suspended(core, attempt, false);
    if (attempt->has_given)
        take_slots(core, attempt);
}

/* ---- the turn ---- */

static uint64_t limit_for(const struct berth_core *core, const struct dispatcher *dispatcher,
                          const struct attempt *attempt)
{
    uint64_t limit = dispatcher_limit(core, dispatcher);
    return limit == 0 && is_told(core, attempt) ? 1 : limit;
}

bool suspend_has_given(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    BERTH_LIST_FOREACH (node, &dispatcher->attempts)
        if (berth_container_of(node, struct attempt, dispatcher_node)->has_given)
            return true;
    return core->unresolved;
}

const struct dispatcher *suspend_lack(const struct berth_core *core, const struct attempt *attempt)
{
    for (const struct dispatcher *at = attempt->dispatcher; at; at = at->parent)
        if (at->running >= limit_for(core, at, attempt))
            return at;
    return NULL;
}

/* The first that can. False: it misses a slot, which the others miss, too; or there is none. */
static bool resume_one(struct berth_core *core, struct dispatcher *dispatcher)
{
    struct berth_list_node *node;
    while ((node = berth_list_first(&dispatcher->resuming))) {
        struct attempt *attempt = berth_container_of(node, struct attempt, resume_node);
        if (suspend_lack(core, attempt))
            return false;
        leave_slots(attempt);
        if (attempt->resume_group->is_full) {
            wait_for_group(core, attempt);
            continue;
        }
        take_slots(core, attempt);
        ask_for_place(core, attempt);
        return true;
    }
    return false;
}

/* Dispatchers take turns, and who had none now is the first the next time: otherwise one of them
 * could have all that comes back above them. */
static void resume_all(struct berth_core *core)
{
    struct berth_list looked_at, *resuming = &core->resuming;
    struct berth_list_node *node;
    berth_list_init(&looked_at);
    while ((node = berth_list_first(resuming))) {
        bool has_resumed =
            resume_one(core, berth_container_of(node, struct dispatcher, resuming_node));
        if (!berth_list_is_linked(node))
            continue; /* nobody is left there */
        berth_list_remove(node);
        berth_list_push_back(has_resumed ? resuming : &looked_at, node);
    }
    berth_list_splice_back(resuming, &looked_at);
}

static void resume_at(struct berth_core *core, struct session *session)
{
    struct berth_list_node *node;
    while (has_place(session) && (node = berth_list_first(&session->resuming))) {
        struct attempt *attempt = berth_container_of(node, struct attempt, resume_node);
        leave_place(attempt);
        go_on(core, attempt);
    }
}

void suspend_turn(struct berth_core *core)
{
    BERTH_LIST_FOREACH_SAFE (node, &core->crowded)
        resume_at(core, berth_container_of(node, struct session, resuming_node));
    if (core->unresolved)
        return;
    resume_all(core);
}

/* ---- check ---- */

void suspend_check_attempt(const struct attempt *attempt)
{
    bool needs_slots = attempt->resume_wait == RESUME_SLOTS || attempt->resume_wait == RESUME_GROUP;
    bool is_asking = attempt->resume_wait != RESUME_NOTHING;
    BERTH_ASSERT(!attempt->has_given || attempt->is_suspended);
    BERTH_ASSERT(!attempt->has_given || !attempt->group);
    BERTH_ASSERT(!is_asking || attempt->is_suspended);
    BERTH_ASSERT(!is_asking || attempt->state == ATTEMPT_RUNNING);
    BERTH_ASSERT(!is_asking || attempt->has_given == needs_slots);
    BERTH_ASSERT(!is_asking || berth_list_is_linked(&attempt->resume_node));
}

static bool has_turn(const struct dispatcher *dispatcher, const struct group *group)
{
    BERTH_LIST_FOREACH (node, &dispatcher->resuming)
        if (berth_container_of(node, struct attempt, resume_node)->resume_group == group)
            return true;
    return false;
}

void suspend_check_dispatcher(const struct dispatcher *dispatcher)
{
    bool has_any = !berth_list_is_empty(&dispatcher->resuming);
    BERTH_ASSERT(berth_list_is_linked(&dispatcher->resuming_node) == has_any);
    BERTH_LIST_FOREACH (node, &dispatcher->resuming)
        BERTH_ASSERT(berth_container_of(node, struct attempt, resume_node)->resume_wait ==
                     RESUME_SLOTS);
    BERTH_MAP_FOREACH (node, &dispatcher->groups) {
        const struct group *group = berth_container_of(node, struct group, by_name);
        if (!berth_list_is_empty(&group->resuming))
            BERTH_ASSERT(group->is_full || has_turn(dispatcher, group));
    }
}

void suspend_check_session(const struct session *session)
{
    uint32_t suspended = 0;
    bool is_any_asking = false;
    BERTH_LIST_FOREACH (node, &session->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, session_node);
        suspended += attempt->is_suspended;
        is_any_asking |= attempt->resume_wait == RESUME_PLACE;
    }
    BERTH_ASSERT(session->suspended_count == suspended);
    BERTH_ASSERT(berth_list_is_linked(&session->resuming_node) == is_any_asking);
    BERTH_ASSERT(berth_list_is_empty(&session->resuming) != is_any_asking);
}
