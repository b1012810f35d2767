/* SPDX-License-Identifier: MIT */
/* For operators: dispatchers, workers, the broker. */
#include <berth/admin.h>

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "client/call.h"

/* What is given away: the snapshot, and the answer in which it lies. */
struct dispatcher_box {
    struct berth_dispatcher dispatcher;
    struct berth_answer *answer;
};

struct status_box {
    struct berth_broker_status status;
    struct berth_answer *answer;
};

struct set_args {
    const char *name;
    const struct berth_dispatcher_settings *settings;
};

struct pause_args {
    const char *name;
    bool is_paused;
};

void berth_dispatcher_free(struct berth_dispatcher *dispatcher)
{
    if (!dispatcher)
        return;
    struct dispatcher_box *box = berth_container_of(dispatcher, struct dispatcher_box, dispatcher);
    berth_answer_free(box->answer);
    free(box);
}

void berth_broker_status_free(struct berth_broker_status *status)
{
    if (!status)
        return;
    struct status_box *box = berth_container_of(status, struct status_box, status);
    berth_answer_free(box->answer);
    free(box);
}

/* Asks, and gives the one dispatcher that the answer holds to `ret_dispatcher`, unless NULL. */
static int ask_dispatcher(struct berth_client *client, struct berth_call *call, const char *name,
                          struct berth_dispatcher **ret_dispatcher, int64_t deadline_ms,
                          struct berth_error *err)
{
    int rc = berth_name_check("dispatcher", name, err);
    if (rc < 0)
        return rc;
    BERTH_AUTO(berth_answer) answer = NULL;
    rc = berth_call_run(client, call, deadline_ms, BERTH_ANSWER_DISPATCHERS, &answer, err);
    if (rc < 0)
        return rc;
    if (answer->dispatchers.count == 0)
        return berth_fail(err, BERTH_ENOTFOUND, "there is no dispatcher '%s'", name);
    if (!ret_dispatcher)
        return 0;
    struct dispatcher_box *box = calloc(1, sizeof *box);
    if (!box)
        return berth_fail(err, -ENOMEM, "get dispatcher '%s'", name);
    box->dispatcher = answer->dispatchers.items[0];
    box->answer = berth_take(answer);
    *ret_dispatcher = &box->dispatcher;
    return 0;
}

static int pack_get(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    return berth_pack_dispatchers(number, call->args, frame);
}

int berth_dispatcher_get(struct berth_client *client, const char *name,
                         struct berth_dispatcher **ret_dispatcher, int64_t timeout_ms,
                         struct berth_error *err)
{
    struct berth_call call = { .kind = REQUEST_QUERY, .pack = pack_get, .args = name };
    return ask_dispatcher(client, &call, name, ret_dispatcher, berth_deadline_ms(timeout_ms), err);
}

int berth_dispatcher_list(struct berth_client *client,
                          int (*each)(void *arg, const struct berth_dispatcher *dispatcher),
                          void *arg, int64_t timeout_ms, struct berth_error *err)
{
    struct berth_call call = { .kind = REQUEST_QUERY, .pack = pack_get };
    BERTH_AUTO(berth_answer) answer = NULL;
    int rc = berth_call_run(client, &call, berth_deadline_ms(timeout_ms), BERTH_ANSWER_DISPATCHERS,
                            &answer, err);
    for (size_t i = 0; rc == 0 && i < answer->dispatchers.count; i++) {
        rc = each(arg, &answer->dispatchers.items[i]);
        if (rc < 0)
            return berth_fail(err, rc, "the list was ended");
    }
    return rc;
}

static int pack_set(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const struct set_args *args = call->args;
    return berth_pack_dispatcher_set(number, args->name, args->settings, frame);
}

static int check_duration(const char *what, int64_t ms, struct berth_error *err)
{
    if (ms < BERTH_NONE)
        return berth_fail(err, BERTH_EVALUE, "%s must not be negative", what);
    return 0;
}

static int check_settings(const struct berth_dispatcher_settings *settings, struct berth_error *err)
{
    if (settings->limit.kind < 0 || settings->limit.kind > BERTH_LIMIT_MAX_CORES)
        return berth_fail(err, BERTH_EVALUE, "limit: kind %d is none", settings->limit.kind);
    for (size_t i = 0; i < sizeof settings->reserved / sizeof settings->reserved[0]; i++)
        if (settings->reserved[i] != 0)
            return berth_fail(err, BERTH_EVALUE, "reserved members of settings must be zero");
    int rc = check_duration("backoff_ms", settings->backoff_ms, err);
    if (rc == 0)
        rc = check_duration("backoff_ms_max", settings->backoff_ms_max, err);
    if (rc == 0)
        rc = check_duration("timeout_ms", settings->timeout_ms, err);
    if (rc == 0)
        rc = check_duration("grace_ms", settings->grace_ms, err);
    return rc;
}

int berth_dispatcher_set(struct berth_client *client, const char *name,
                         const struct berth_dispatcher_settings *settings,
                         struct berth_dispatcher **ret_dispatcher, int64_t timeout_ms,
                         struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    int rc = check_settings(settings, err);
    if (rc < 0)
        return rc;
    struct set_args args = { .name = name, .settings = settings };
    struct berth_call call = { .kind = REQUEST_CANCEL, .pack = pack_set, .args = &args };
    return ask_dispatcher(client, &call, name, ret_dispatcher, deadline_ms, err);
}

static int pack_pause(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const struct pause_args *args = call->args;
    return berth_pack_dispatcher_pause(number, args->name, args->is_paused, frame);
}

static int set_paused(struct berth_client *client, const char *name, bool is_paused,
                      int64_t timeout_ms, struct berth_error *err)
{
    struct pause_args args = { .name = name, .is_paused = is_paused };
    struct berth_call call = { .kind = REQUEST_CANCEL, .pack = pack_pause, .args = &args };
    return ask_dispatcher(client, &call, name, NULL, berth_deadline_ms(timeout_ms), err);
}

int berth_dispatcher_pause(struct berth_client *client, const char *name, int64_t timeout_ms,
                           struct berth_error *err)
{
    return set_paused(client, name, true, timeout_ms, err);
}

int berth_dispatcher_resume(struct berth_client *client, const char *name, int64_t timeout_ms,
                            struct berth_error *err)
{
    return set_paused(client, name, false, timeout_ms, err);
}

static int pack_workers(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    (void)call;
    return berth_pack_workers(number, frame);
}

int berth_worker_list(struct berth_client *client,
                      int (*each)(void *arg, const struct berth_worker_info *worker), void *arg,
                      int64_t timeout_ms, struct berth_error *err)
{
    struct berth_call call = { .kind = REQUEST_QUERY, .pack = pack_workers };
    BERTH_AUTO(berth_answer) answer = NULL;
    int rc = berth_call_run(client, &call, berth_deadline_ms(timeout_ms), BERTH_ANSWER_WORKERS,
                            &answer, err);
    for (size_t i = 0; rc == 0 && i < answer->workers.count; i++) {
        rc = each(arg, &answer->workers.items[i]);
        if (rc < 0)
            return berth_fail(err, rc, "the list was ended");
    }
    return rc;
}

static int pack_status(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    (void)call;
    return berth_pack_status(number, frame);
}

int berth_broker_status(struct berth_client *client, struct berth_broker_status **ret_status,
                        int64_t timeout_ms, struct berth_error *err)
{
    struct berth_call call = { .kind = REQUEST_QUERY, .pack = pack_status };
    BERTH_AUTO(berth_answer) answer = NULL;
    int rc = berth_call_run(client, &call, berth_deadline_ms(timeout_ms), BERTH_ANSWER_STATUS,
                            &answer, err);
    if (rc < 0)
        return rc;
    struct status_box *box = calloc(1, sizeof *box);
    if (!box)
        return berth_fail(err, -ENOMEM, "get the broker's status");
    box->status = answer->status;
    box->answer = berth_take(answer);
    *ret_status = &box->status;
    return 0;
}
