/* SPDX-License-Identifier: MIT */
#include "schedule.h"

#include "base/assert.h"
#include "calendar.h"

#define SECOND_US 1000000
#define WALL_NONE INT64_MIN /* there was no turn yet */

static struct schedule *of_node(const struct berth_heap_node *node)
{
    return berth_container_of(node, struct schedule, by_next);
}

static bool is_before(const struct berth_heap_node *a, const struct berth_heap_node *b)
{
    const struct schedule *left = of_node(a), *right = of_node(b);
    if (left->next_us != right->next_us)
        return left->next_us < right->next_us;
    return left->id < right->id;
}

void schedules_init(struct schedules *schedules, struct berth_heap_node **nodes, size_t capacity)
{
    *schedules = (struct schedules){ .wall_us = WALL_NONE };
    berth_heap_init(&schedules->by_next, nodes, capacity, is_before);
}

/* All until `us` is dealt with. */
static void pass_until(struct schedule *schedule, int64_t us)
{
    schedule->done_us = us;
    schedule->next_us = cron_next(&schedule->cron, &schedule->zone, us);
}

static void unlink_it(struct schedules *schedules, struct schedule *schedule)
{
    if (berth_heap_is_linked(&schedule->by_next))
        berth_heap_remove(&schedules->by_next, &schedule->by_next);
}

static void link_it(struct schedules *schedules, struct schedule *schedule)
{
    if (!schedule->is_paused && schedule->next_us != CRON_NEVER)
        berth_heap_push(&schedules->by_next, &schedule->by_next);
}

void schedules_put(struct schedules *schedules, struct schedule *schedule)
{
    BERTH_ASSERT(schedule->id != 0);
    unlink_it(schedules, schedule);
    pass_until(schedule, schedule->done_us);
    link_it(schedules, schedule);
}

void schedules_remove(struct schedules *schedules, struct schedule *schedule)
{
    unlink_it(schedules, schedule);
}

void schedules_pause(struct schedules *schedules, struct schedule *schedule)
{
    unlink_it(schedules, schedule);
    schedule->is_paused = true;
}

void schedules_resume(struct schedules *schedules, struct schedule *schedule, int64_t wall_us)
{
    if (!schedule->is_paused)
        return;
    schedule->is_paused = false;
    schedule->caught_up_count = 0;
    pass_until(schedule, wall_us > schedule->done_us ? wall_us : schedule->done_us);
    link_it(schedules, schedule);
}

int64_t schedules_next_us(const struct schedules *schedules)
{
    const struct berth_heap_node *first = berth_heap_first(&schedules->by_next);
    return first ? of_node(first)->next_us : CRON_NEVER;
}

/* Whether what was missed, the next instant among it, passes. */
static bool passes(const struct schedule *schedule)
{
    switch (schedule->catch_up) {
    case SCHEDULE_CATCH_UP_NONE: return true;
    case SCHEDULE_CATCH_UP_ONE: return false;
    case SCHEDULE_CATCH_UP_ALL: return schedule->caught_up_count >= SCHEDULE_CATCH_UP_MAX;
    }
    BERTH_UNREACHABLE();
}

static enum schedule_fate deal_with(struct schedule *schedule, int64_t at_us,
                                    const struct schedule_ways *ways)
{
    bool must_wait = schedule->overlap == SCHEDULE_OVERLAP_SKIP && schedule->last_job != 0 &&
                     ways->job_is_live(ways->arg, schedule->last_job);
    if (must_wait)
        return SCHEDULE_SKIPPED;
    uint64_t job = ways->fire(ways->arg, schedule, at_us);
    if (job == 0)
        return SCHEDULE_REFUSED;
    schedule->last_job = job;
    return SCHEDULE_FIRED;
}

/* The next instant of one that is due. False: it was missed and passed. */
static bool take(struct schedule *schedule, int64_t wall_us, const struct schedule_ways *ways)
{
    int64_t at_us = schedule->next_us, late_us = wall_us - SCHEDULE_LATE_US;
    bool was_missed = at_us <= late_us;
    if (was_missed && passes(schedule)) {
        pass_until(schedule, late_us);
        return false;
    }
    schedule->caught_up_count = was_missed ? schedule->caught_up_count + 1 : 0;
    bool rest_passes = was_missed && schedule->catch_up == SCHEDULE_CATCH_UP_ONE;
    pass_until(schedule, rest_passes ? late_us : at_us);
    schedule->last_us = at_us;
    schedule->last_fate = deal_with(schedule, at_us, ways);
    return true;
}

/* What was dealt with by a clock that was wrong is open again. Instants only become earlier, so an
 * element moves up, and what it passes has been looked at. */
static void correct_clock(struct schedules *schedules, int64_t wall_us)
{
    for (size_t i = 0; i < schedules->by_next.count; i++) {
        struct schedule *schedule = of_node(schedules->by_next.nodes[i]);
        if (schedule->done_us <= wall_us + SCHEDULE_BACK_US)
            continue;
        pass_until(schedule, wall_us);
        berth_heap_update(&schedules->by_next, &schedule->by_next);
    }
}

void schedules_turn(struct schedules *schedules, int64_t wall_us, const struct schedule_ways *ways)
{
    if (schedules->wall_us == WALL_NONE || schedules->wall_us > wall_us)
        correct_clock(schedules, wall_us);
    schedules->wall_us = wall_us;
    for (unsigned count = 0; count < SCHEDULE_TURN_MAX;) {
        struct berth_heap_node *first = berth_heap_first(&schedules->by_next);
        if (!first || of_node(first)->next_us > wall_us)
            return;
        struct schedule *schedule = of_node(first);
        unlink_it(schedules, schedule);
        count += take(schedule, wall_us, ways) ? 1 : 0;
        link_it(schedules, schedule);
        ways->save(ways->arg, schedule);
    }
}

void schedule_key(const struct schedule *schedule, int64_t at_us,
                  uint8_t ret_key[static SCHEDULE_KEY_BYTES])
{
    uint64_t parts[] = { schedule->id, (uint64_t)calendar_floor_div(at_us, SECOND_US) };
    for (unsigned i = 0; i < SCHEDULE_KEY_BYTES; i++)
        ret_key[i] = (uint8_t)(parts[i / 8] >> (56 - i % 8 * 8));
}
