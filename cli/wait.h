/* SPDX-License-Identifier: MIT */
/* Waiting for the ends of any number of jobs, for `wait` and `submit --wait`.
 *
 * The client library waits for BERTH_IDS_MAX jobs at once. Of more, that many of those that have
 * not ended are waited for, the lowest ids first; when half of them have ended, others come in
 * their place. So a job that takes long holds up nothing but itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/client.h>

#include "cli/bar.h"

struct wait {
    /* The caller's, after wait_init: says an end on stdout; NULL: nothing. */
    void (*say)(void *arg, berth_job_id id, enum berth_state state);
    void *arg;

    /* To be read. */
    size_t count, ended, dead, cancelled;

    berth_job_id *ids; /* sorted, each once */
    uint8_t *states;   /* of each: enum berth_state; 0: it has not ended */
    berth_job_id *window;
    size_t window_count, window_ended;
    bool has_more; /* than the window */
    bool is_moving;
    struct bar *bar;
};

/* Copies the ids. 0 or -ENOMEM; fini is due in any case. */
int wait_init(struct wait *wait, const berth_job_id *ids, size_t count, struct berth_error *err);
void wait_fini(struct wait *wait);

/* 0: all have ended. Else as berth_job_wait_many; an unknown job may be found after others have
 * ended if there are more than BERTH_IDS_MAX. `has_bar`: one is shown if stderr is a terminal. */
int wait_run(struct wait *wait, struct berth_client *client, bool has_bar, int64_t timeout_ms,
             struct berth_error *err);

/* Looks once at those whose end is not known, without waiting for any. 0, or as berth_job_get. */
int wait_look(struct wait *wait, struct berth_client *client, int64_t timeout_ms,
              struct berth_error *err);

/* What became of one of them; 0: it has not ended, or is none of them. */
enum berth_state wait_state(const struct wait *wait, berth_job_id id);

/* CLI_DEAD if any is dead, else CLI_CANCELLED if any is cancelled, else CLI_OK. */
int wait_exit(const struct wait *wait);
