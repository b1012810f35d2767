/* SPDX-License-Identifier: MIT */
/* For operators: dispatchers, workers, the broker. */
#include <berth/admin.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "client/call.h"
#include "proto/limits.h"

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
    char changed_by[BERTH_WHO_BYTES];
};

struct pause_args {
    const char *name;
    bool is_paused;
    char changed_by[BERTH_WHO_BYTES];
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
    return berth_pack_dispatcher_set(number, args->name, args->settings, args->changed_by, frame);
}

/* 0 leaves it as it is, BERTH_NONE is none. */
static int check_value(const char *what, int64_t value, int64_t max, struct berth_error *err)
{
    if (value >= BERTH_NONE && value <= max)
        return 0;
    return berth_fail(err, BERTH_EVALUE,
                      "%s %" PRId64 " is not within 1 and %" PRId64 ", nor 0 or BERTH_NONE", what,
                      value, max);
}

static int check_values(const struct berth_dispatcher_settings *settings, struct berth_error *err)
{
    const struct {
        const char *what;
        int64_t value, max;
    } values[] = {
        { "backoff_ms", settings->backoff_ms, BERTH_DURATION_MS_MAX },
        { "backoff_ms_max", settings->backoff_ms_max, BERTH_DURATION_MS_MAX },
        { "timeout_ms", settings->timeout_ms, BERTH_DURATION_MS_MAX },
        { "grace_ms", settings->grace_ms, BERTH_GRACE_MS_MAX },
        { "group_limit", settings->group_limit, BERTH_LIMIT_VALUE_MAX },
        { "burst", settings->burst, BERTH_BURST_MAX },
        { "max_queued", settings->max_queued, BERTH_LIMIT_VALUE_MAX },
        { "queue_timeout_ms", settings->queue_timeout_ms, BERTH_DURATION_MS_MAX },
        { "deadline_ms", settings->deadline_ms, BERTH_DURATION_MS_MAX },
        { "retention_count", settings->retention_count, BERTH_RETENTION_MAX },
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof values / sizeof values[0]; i++)
        rc = check_value(values[i].what, values[i].value, values[i].max, err);
    return rc;
}

static int check_choice(const char *what, int choice, struct berth_error *err)
{
    if (choice >= 0 && choice <= 2)
        return 0;
    return berth_fail(err, BERTH_EVALUE, "%s %d is not within 0 and 2", what, choice);
}

static int check_limits(const struct berth_dispatcher_settings *settings, struct berth_error *err)
{
    if (settings->weight > BERTH_WEIGHT_MAX)
        return berth_fail(err, BERTH_EVALUE, "weight %" PRIu32 " is not within 1 and %d",
                          settings->weight, BERTH_WEIGHT_MAX);
    bool is_without_rate = settings->rate_ms == BERTH_NONE && settings->rate_count == 0;
    if (!is_without_rate && !berth_rate_is_valid(settings->rate_count, settings->rate_ms))
        return berth_fail(err, BERTH_EVALUE,
                          "rate of %" PRIu32 " in %" PRId64
                          " ms: allowed is 1 to %d in 1000, 60000, 3600000 or 86400000 ms",
                          settings->rate_count, settings->rate_ms, BERTH_RATE_COUNT_MAX);
    if (settings->retention_ms < 0 || settings->retention_ms > BERTH_DURATION_MS_MAX)
        return berth_fail(err, BERTH_EVALUE,
                          "retention_ms %" PRId64 " is not within 1 and %" PRId64,
                          settings->retention_ms, BERTH_DURATION_MS_MAX);
    int rc = check_choice("hold", (int)settings->hold, err);
    if (rc == 0)
        rc = check_choice("on_lost", (int)settings->on_lost, err);
    if (rc == 0)
        rc = check_choice("jitter", (int)settings->jitter, err);
    if (rc == 0 && settings->parent && settings->parent[0] != '\0')
        rc = berth_name_check("parent", settings->parent, err);
    return rc;
}

/* Of two that are given; one alone the broker compares with what it has. */
static int check_backoff(const struct berth_dispatcher_settings *settings, struct berth_error *err)
{
    bool has_both = settings->backoff_ms > 0 && settings->backoff_ms_max != 0;
    int64_t ms_max = settings->backoff_ms_max > 0 ? settings->backoff_ms_max : 0;
    if (!has_both || settings->backoff_ms <= ms_max)
        return 0;
    return berth_fail(err, BERTH_EVALUE,
                      "backoff_ms %" PRId64 " is more than backoff_ms_max %" PRId64,
                      settings->backoff_ms, ms_max);
}

static int check_limit(struct berth_limit limit, struct berth_error *err)
{
    bool has_value = limit.kind == BERTH_LIMIT_NUMBER || limit.kind == BERTH_LIMIT_MAX_CORES;
    if (limit.kind < 0 || limit.kind > BERTH_LIMIT_MAX_CORES)
        return berth_fail(err, BERTH_EVALUE, "limit: kind %d is not within 0 (as it is) and %d",
                          limit.kind, BERTH_LIMIT_MAX_CORES);
    if (limit.value > BERTH_LIMIT_VALUE_MAX)
        return berth_fail(err, BERTH_EVALUE, "limit: value %" PRIu32 " is more than %d",
                          limit.value, BERTH_LIMIT_VALUE_MAX);
    if (!has_value && limit.value)
        return berth_fail(err, BERTH_EVALUE,
                          "limit: value %" PRIu32 " beside kind %d, for which only 0 is allowed",
                          limit.value, limit.kind);
    return 0;
}

static int check_settings(const struct berth_dispatcher_settings *settings, struct berth_error *err)
{
    int rc = check_limit(settings->limit, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof settings->reserved / sizeof settings->reserved[0]; i++)
        if (settings->reserved[i] != 0)
            return berth_fail(err, BERTH_EVALUE, "reserved members of settings must be zero");
    if (settings->max_attempts > BERTH_MAX_ATTEMPTS_MAX)
        return berth_fail(err, BERTH_EVALUE, "max_attempts %" PRIu32 " is more than %d",
                          settings->max_attempts, BERTH_MAX_ATTEMPTS_MAX);
    rc = check_values(settings, err);
    if (rc == 0)
        rc = check_limits(settings, err);
    return rc < 0 ? rc : check_backoff(settings, err);
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
    berth_who(args.changed_by);
    struct berth_call call = { .kind = REQUEST_CANCEL, .pack = pack_set, .args = &args };
    return ask_dispatcher(client, &call, name, ret_dispatcher, deadline_ms, err);
}

static int pack_pause(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const struct pause_args *args = call->args;
    return berth_pack_dispatcher_pause(number, args->name, args->is_paused, args->changed_by,
                                       frame);
}

static int set_paused(struct berth_client *client, const char *name, bool is_paused,
                      int64_t timeout_ms, struct berth_error *err)
{
    struct pause_args args = { .name = name, .is_paused = is_paused };
    berth_who(args.changed_by);
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

struct purge_args {
    const char *name;
    uint64_t below, cursor;
};

static int pack_purge(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const struct purge_args *args = call->args;
    return berth_pack_purge(number, args->name, args->below, args->cursor, frame);
}

int berth_dispatcher_purge(struct berth_client *client, const char *name, uint64_t *ret_count,
                           int64_t timeout_ms, struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    struct purge_args args = { .name = name };
    uint64_t count = 0;
    int rc = berth_name_check("dispatcher", name, err);
    do {
        struct berth_call call = { .kind = REQUEST_CANCEL, .pack = pack_purge, .args = &args };
        BERTH_AUTO(berth_answer) answer = NULL;
        if (rc == 0)
            rc = berth_call_run(client, &call, deadline_ms, BERTH_ANSWER_PURGED, &answer, err);
        if (rc < 0)
            break;
        count += answer->purged.count;
        args.below = answer->purged.below;
        args.cursor = answer->purged.cursor;
    } while (args.cursor);
    if (ret_count)
        *ret_count = count;
    return rc;
}

static int pack_remove(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    return berth_pack_remove(number, call->args, frame);
}

int berth_dispatcher_remove(struct berth_client *client, const char *name, int64_t timeout_ms,
                            struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    int rc = berth_name_check("dispatcher", name, err);
    if (rc < 0)
        return rc;
    struct berth_call call = {
        .kind = REQUEST_CANCEL, .pack = pack_remove, .args = name, .done_rc = BERTH_ENOTFOUND
    };
    BERTH_AUTO(berth_answer) answer = NULL;
    return berth_call_run(client, &call, deadline_ms, BERTH_ANSWER_REMOVED, &answer, err);
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

static int pack_worker_gone(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    return berth_pack_worker_gone(number, call->args, frame);
}

int berth_worker_gone(struct berth_client *client, const char *name,
                      int (*each)(void *arg, const struct berth_worker_info *worker), void *arg,
                      int64_t timeout_ms, struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    int rc = berth_name_check("worker", name, err);
    if (rc < 0)
        return rc;
    struct berth_call call = {
        .kind = REQUEST_CANCEL, .pack = pack_worker_gone, .args = name, .done_rc = BERTH_ENOTFOUND
    };
    BERTH_AUTO(berth_answer) answer = NULL;
    rc = berth_call_run(client, &call, deadline_ms, BERTH_ANSWER_WORKERS, &answer, err);
    if (rc < 0 || !answer)
        return rc;
    for (size_t i = 0; each && i < answer->workers.count; i++) {
        rc = each(arg, &answer->workers.items[i]);
        if (rc < 0)
            return berth_fail(err, rc, "the list was ended");
    }
    return (int)answer->workers.count;
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
