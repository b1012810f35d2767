/* SPDX-License-Identifier: MIT */
#include "job.h"

#include <errno.h>

#include "broker/core/life/job_clock.h"
#include "broker/core/life/rare.h"
#include "broker/core/match/lane.h"
#include "broker/core/scope/scope.h"
#include "state.h"

#define ARROW(state) (1u << (state))

static const uint8_t job_next[JOB_STATE_COUNT] = {
    [JOB_ARRIVING] = ARROW(JOB_SCHEDULED) | ARROW(JOB_READY) | ARROW(JOB_SETTLING),
    [JOB_SCHEDULED] = ARROW(JOB_SCHEDULED) | ARROW(JOB_READY) | ARROW(JOB_SETTLING),
    [JOB_READY] = ARROW(JOB_RUNNING) | ARROW(JOB_SETTLING),
    [JOB_RUNNING] = ARROW(JOB_READY) | ARROW(JOB_SETTLING),
    [JOB_RETRYING] = ARROW(JOB_READY) | ARROW(JOB_SETTLING),
    [JOB_SETTLING] = ARROW(JOB_READY) | ARROW(JOB_RETRYING) | ARROW(JOB_SETTLING),
};

static bool job_has_id(const void *arg, uint32_t record, const void *key)
{
    const struct berth_core *core = arg;
    return job_at(&core->jobs, record)->id == *(const uint64_t *)key;
}

uint64_t job_id_hash(uint64_t id)
{
    return id * 0x9E3779B97F4A7C15u >> 20; /* Fibonacci hashing: Knuth 3, 6.4 */
}

uint64_t job_index_hash(const void *arg, uint32_t record)
{
    const struct berth_core *core = arg;
    return job_id_hash(job_at(&core->jobs, record)->id);
}

uint32_t job_find(const struct berth_core *core, uint64_t id)
{
    return index_find(&core->jobs_by_id, job_id_hash(id), job_has_id, &id);
}

uint32_t job_find_known(const struct berth_core *core, uint64_t id)
{
    uint32_t index = job_find(core, id);
    return index && !job_is_arriving(core, job_at(&core->jobs, index)) ? index : 0;
}

bool job_is_arriving(const struct berth_core *core, const struct job *job)
{
    if (job->state == JOB_ARRIVING)
        return true;
    const struct ties *ties = job->state == JOB_SETTLING ? rare_ties(core, job) : NULL;
    return ties && !ties->is_stored; /* it ended before it was stored */
}

/* The heap of due times always has room for every live job. */
static int reserve_due(struct berth_core *core)
{
    if (core->jobs.used < core->due_room)
        return 0;
    uint32_t room = core->due_room ? core->due_room * 2 : 1024;
    uint32_t *due = block_resize(core->due, room * sizeof *due);
    if (!due)
        return -ENOMEM;
    core->due = due;
    core->due_room = room;
    return 0;
}

uint32_t job_new(struct berth_core *core, uint64_t id, struct lane *lane, int32_t priority)
{
    if (reserve_due(core) < 0 || index_reserve(&core->jobs_by_id, 1) < 0 ||
        lane_reserve(lane, priority) < 0)
        return SLAB_NONE;
    uint32_t index = slab_take(&core->jobs);
    if (!index)
        return SLAB_NONE;
    struct job *job = job_at(&core->jobs, index);
    job->id = id;
    job->lane = lane->index;
    job->priority = (int8_t)priority;
    job->state = JOB_ARRIVING;
    index_insert(&core->jobs_by_id, job_id_hash(id), index);
    lane->job_count++;
    lane->gate->dispatcher->count[JOB_ARRIVING]++;
    return index;
}

static void drop_body(struct berth_core *core, struct job *job)
{
    if (!job->body)
        return;
    core->body_bytes -= job->body->bytes;
    block_free(job->body);
    job->body = NULL;
}

void job_free(struct berth_core *core, uint32_t index)
{
    struct job *job = job_at(&core->jobs, index);
    BERTH_ASSERT(job->state == JOB_ARRIVING || job->state == JOB_SETTLING);
    struct lane *lane = job_lane(core, job);
    if (job->flags & JOB_IN_SCOPE)
        scope_on_free(core, index);
    lane->gate->dispatcher->count[job->state]--;
    rare_free(core, index);
    index_remove(&core->jobs_by_id, job_id_hash(job->id), index);
    drop_body(core, job);
    slab_give(&core->jobs, index);
    lane->job_count--;
    lane_release(core, lane);
}

int job_keep_body(struct berth_core *core, struct job *job, struct berth_slice bytes,
                  int64_t timeout_ms, bool is_needed)
{
    BERTH_ASSERT(!job->body);
    BERTH_ASSERT(bytes.bytes <= UINT32_MAX);
    if (!is_needed && core->body_bytes + bytes.bytes > core->opts.body_bytes_max)
        return 0;
    struct body *body = block_new(sizeof *body + bytes.bytes);
    if (!body)
        return -ENOMEM;
    body->timeout_ms = timeout_ms;
    body->bytes = (uint32_t)bytes.bytes;
    if (bytes.bytes)
        memcpy(body->data, bytes.data, bytes.bytes);
    job->body = body;
    core->body_bytes += bytes.bytes;
    return 0;
}

/* ---- the heap of due times ---- */

static bool due_before(const struct berth_core *core, uint32_t a, uint32_t b)
{
    const struct job *x = job_at(&core->jobs, a), *y = job_at(&core->jobs, b);
    return x->due_us != y->due_us ? x->due_us < y->due_us : x->id < y->id;
}

static void due_put(struct berth_core *core, uint32_t place, uint32_t job)
{
    core->due[place - 1] = job;
    job_at(&core->jobs, job)->due_place = place;
}

static void due_up(struct berth_core *core, uint32_t place)
{
    uint32_t job = core->due[place - 1];
    while (place > 1 && due_before(core, job, core->due[place / 2 - 1])) {
        due_put(core, place, core->due[place / 2 - 1]);
        place /= 2;
    }
    due_put(core, place, job);
}

static void due_down(struct berth_core *core, uint32_t place)
{
    uint32_t job = core->due[place - 1];
    for (;;) {
        uint32_t child = 2 * place;
        if (child > core->due_count)
            break;
        if (child < core->due_count && due_before(core, core->due[child], core->due[child - 1]))
            child++;
        if (!due_before(core, core->due[child - 1], job))
            break;
        due_put(core, place, core->due[child - 1]);
        place = child;
    }
    due_put(core, place, job);
}

static void due_push(struct berth_core *core, uint32_t job)
{
    BERTH_ASSERT(core->due_count < core->due_room);
    due_put(core, ++core->due_count, job);
    due_up(core, core->due_count);
}

static void due_remove(struct berth_core *core, uint32_t job)
{
    uint32_t place = job_at(&core->jobs, job)->due_place;
    BERTH_ASSERT(core->due[place - 1] == job);
    job_at(&core->jobs, job)->due_place = 0;
    uint32_t last = core->due[--core->due_count];
    if (last == job)
        return;
    due_put(core, place, last);
    due_up(core, place);
    due_down(core, job_at(&core->jobs, last)->due_place);
}

/* ---- the one mover ---- */

static void leave(struct berth_core *core, uint32_t index, struct job *job)
{
    if (job->state == JOB_READY)
        lane_remove(core, job_lane(core, job), index);
    if (job->state == JOB_SCHEDULED || job->state == JOB_RETRYING)
        due_remove(core, index);
}

static void set_state(struct berth_core *core, struct job *job, enum job_state to)
{
    BERTH_ASSERT(job_next[job->state] & ARROW(to));
    struct dispatcher *dispatcher = job_dispatcher(core, job);
    dispatcher->count[job->state]--;
    dispatcher->count[to]++;
    job->state = (uint8_t)to;
}

/* When the time came that it waited for, if it waited for one. */
static int64_t time_came_us(const struct berth_core *core, const struct job *job)
{
    bool has_time = job->state == JOB_SCHEDULED || job->state == JOB_RETRYING;
    return has_time && job->due_us < core->wall_us ? job->due_us : core->wall_us;
}

/* A time of the wall clock that is over, in seconds of `now_ms`. */
static int32_t seconds_of(const struct berth_core *core, int64_t at_us)
{
    int64_t s = core->now_ms / 1000 - (core->wall_us - at_us) / 1000000;
    return s > INT32_MIN ? (int32_t)s : INT32_MIN;
}

/* Times that came while there was no broker count as of then. Later ones come when they are seen:
 * the wall clock may have jumped. */
static int32_t ready_since_s(const struct berth_core *core, int64_t came_us)
{
    bool is_past = !core->has_woken && came_us < core->wall_us;
    return seconds_of(core, is_past ? came_us : core->wall_us);
}

void job_start_all(struct berth_core *core)
{
    for (uint32_t i = 1; core->jobs.used && i <= core->jobs.top; i++) {
        struct job *job = job_at(&core->jobs, i);
        if (job->state != JOB_READY && job->state != JOB_RUNNING)
            continue;
        int64_t came_us = (int64_t)job->loaded_s * 1000000;
        job->ready_s = ready_since_s(core, came_us ? came_us : core->wall_us);
    }
}

void job_move(struct berth_core *core, uint32_t index, enum job_state to, enum job_place place)
{
    struct job *job = job_at(&core->jobs, index);
    BERTH_ASSERT(to == JOB_READY || to == JOB_RUNNING || to == JOB_SETTLING);
    bool was_running = job->state == JOB_RUNNING; /* and never began: it has waited all the time */
    int64_t since_us = was_running ? 0 : time_came_us(core, job);
    leave(core, index, job);
    set_state(core, job, to);
    job->attempt = NULL;
    if (to == JOB_READY) {
        if (!was_running)
            job->ready_s = ready_since_s(core, since_us);
        lane_push(core, job_lane(core, job), index, place);
    }
    job_clock_on_move(core, index, since_us);
}

void job_move_due(struct berth_core *core, uint32_t index, enum job_state to, int64_t due_us)
{
    struct job *job = job_at(&core->jobs, index);
    BERTH_ASSERT(to == JOB_SCHEDULED || to == JOB_RETRYING);
    leave(core, index, job);
    set_state(core, job, to);
    job->due_us = due_us;
    due_push(core, index);
    job_clock_on_move(core, index, 0);
}

/* ---- check ---- */

static void check_due(const struct berth_core *core)
{
    for (uint32_t place = 1; place <= core->due_count; place++) {
        const struct job *job = job_at(&core->jobs, core->due[place - 1]);
        BERTH_ASSERT(job->due_place == place);
        BERTH_ASSERT(job->state == JOB_SCHEDULED || job->state == JOB_RETRYING);
        if (place > 1)
            BERTH_ASSERT(!due_before(core, core->due[place - 1], core->due[place / 2 - 1]));
    }
}

/* The ready jobs of this level; they stand in order, linked both ways. */
static uint64_t check_level(const struct berth_core *core, const struct level *level)
{
    uint64_t count = 0;
    uint32_t previous = 0, first_new = 0;
    for (uint32_t at = level->head; at; at = job_at(&core->jobs, at)->next) {
        const struct job *job = job_at(&core->jobs, at);
        BERTH_ASSERT(job->state == JOB_READY);
        BERTH_ASSERT(job->prev == previous);
        BERTH_ASSERT(job->priority == level->rank->priority);
        BERTH_ASSERT(job_lane(core, job) == level->lane);
        BERTH_ASSERT(job_find(core, job->id) == at);
        if (!first_new && job->id >= core->first_new_job)
            first_new = at;
        previous = at;
        count++;
    }
    BERTH_ASSERT(level->tail == previous);
    BERTH_ASSERT(level->first_new == first_new);
    bool is_in = level->head && !level->lane->group->is_full;
    BERTH_ASSERT(berth_list_is_linked(&level->turn_node) == is_in);
    return count;
}

static uint64_t check_lanes(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    uint64_t ready = 0;
    BERTH_LIST_FOREACH (node, &dispatcher->gates) {
        const struct gate *gate = berth_container_of(node, struct gate, dispatcher_node);
        BERTH_LIST_FOREACH (lane_at_node, &gate->lanes) {
            const struct lane *lane = berth_container_of(lane_at_node, struct lane, gate_node);
            uint64_t in_lane = 0;
            BERTH_LIST_FOREACH (at, &lane->levels)
                in_lane += check_level(core, berth_container_of(at, struct level, lane_node));
            BERTH_ASSERT(in_lane == lane->ready_count);
            BERTH_ASSERT(lane->job_count >= in_lane);
            ready += in_lane;
        }
    }
    return ready;
}

void job_check(const struct berth_core *core)
{
    BERTH_ASSERT(core->jobs_by_id.count == core->jobs.used);
    uint64_t due = 0, counted = 0;
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        const struct dispatcher *d = berth_container_of(node, struct dispatcher, by_id);
        BERTH_ASSERT(check_lanes(core, d) == d->count[JOB_READY]);
        due += d->count[JOB_SCHEDULED] + d->count[JOB_RETRYING];
        for (int state = JOB_ARRIVING; state < JOB_STATE_COUNT; state++)
            counted += d->count[state];
    }
    BERTH_ASSERT(due == core->due_count);
    BERTH_ASSERT(counted == core->jobs.used);
    check_due(core);
}
