/* SPDX-License-Identifier: MIT */
#include "samples_schedule.h"

static Berth__V1__Submit job = {
    MESSAGE(submit),
    NAMES(dispatchers, BYTES("reports")),
    NAMES(handlers, BYTES("exec")),
    COLUMN(priority, int32_t, -5),
    COLUMN(delay_ms, uint64_t, 10000),
    COLUMN(max_attempts, uint32_t, 3),
    COLUMN(timeout_ms, uint64_t, 30000),
    COLUMN(body_bytes, uint32_t, 4),
    SET_BYTES(bodies, "\n\x02"
                      "ls"),
    COLUMN(group_bytes, uint32_t, 6),
    SET_BYTES(groups, "tenant"),
};

Berth__V1__ScheduleSet sample_schedule_set = {
    MESSAGE(schedule_set),
    SET_BYTES(name, "nightly"),
    SET_BYTES(cron, "0 3 * * *"),
    SET_BYTES(tz, "Europe/Berlin"),
    SET(overlap, 1),
    SET(catch_up, 2),
    .job = &job,
    SET_BYTES(changed_by, "alice@host-42"),
};

Berth__V1__SchedulePause sample_schedule_pause = {
    MESSAGE(schedule_pause),
    SET_BYTES(name, "nightly"),
    SET(is_paused, 1),
    SET_BYTES(changed_by, "alice@host-42"),
};

Berth__V1__ScheduleRemove sample_schedule_remove = {
    MESSAGE(schedule_remove),
    SET_BYTES(name, "nightly"),
};

Berth__V1__ScheduleList sample_schedule_list = {
    MESSAGE(schedule_list),
    SET_BYTES(name, "nightly"),
    SET(after, 1000),
};

static Berth__V1__Schedule schedule = {
    MESSAGE(schedule),
    SET(id, 1),
    SET_BYTES(name, "nightly"),
    SET_BYTES(cron, "0 3 * * *"),
    SET_BYTES(tz, "Europe/Berlin"),
    SET(overlap, 1),
    SET(catch_up, 2),
    SET(is_paused, 1),
    SET_BYTES(dispatcher, "reports"),
    SET_BYTES(handler, "exec"),
    SET(priority, -5),
    SET(delay_ms, 10000),
    SET(max_attempts, 3),
    SET(timeout_ms, 30000),
    SET(queue_timeout_ms, 60000),
    SET(deadline_ms, 3600000),
    SET(backoff_ms, 1000),
    SET(backoff_max_ms, 60000),
    SET_BYTES(group, "tenant"),
    SET_BYTES(unique, "one"),
    SET(on_conflict, 1),
    SET_BYTES(body, "\n\x02"
                    "ls"),
    SET(next_us, INT64_C(1763776800000000)),
    SET(last_us, INT64_C(1763690400000000)),
    SET(last_fate, 3),
    SET(last_job, 17),
    SET_BYTES(last_text, "dispatcher reports has 5 jobs queued"),
    SET(changed_us, INT64_C(1763600000000000)),
    SET_BYTES(changed_by, "alice@host-42"),
};

Berth__V1__Schedules sample_schedules = {
    MESSAGE(schedules),
    .n_schedule = 1,
    .schedule = (Berth__V1__Schedule *[]){ &schedule },
    SET(next, 1),
};
