/* SPDX-License-Identifier: MIT */
#include "seed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limit.h"
#include "base/text.h"
#include "proto/limits.h"

static int check_limit(const char *what, const char *text, struct berth_error *err)
{
    struct berth_limit limit;
    return berth_limit_parse(what, text, &limit, err);
}

static int refuse(const char *what, const char *text, struct berth_error *err)
{
    (void)text;
    return berth_fail(err, BERTH_EVALUE, "%s is not supported by this version", what);
}

#define DURATION(name_, member_, max_)                                                             \
    {                                                                                              \
        .name = (name_), .type = BERTH_SETTING_DURATION,                                           \
        .offset = offsetof(struct berth_seed, member_), .max = (max_)                              \
    }
/* Names that the contract gives and a later version fills. */
#define LATER(name_)                                                                               \
    {                                                                                              \
        .name = (name_), .type = BERTH_SETTING_TEXT,                                               \
        .offset = offsetof(struct berth_seed, limit_text), .check = refuse                         \
    }

const struct berth_setting berth_seed_settings[] = {
    { .name = "limit",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct berth_seed, limit_text),
      .check = check_limit },
    { .name = "max_attempts",
      .type = BERTH_SETTING_U64,
      .offset = offsetof(struct berth_seed, max_attempts),
      .min = 1,
      .max = BERTH_MAX_ATTEMPTS_MAX },
    DURATION("backoff", backoff_ms, BERTH_DURATION_MS_MAX),
    DURATION("backoff_max", backoff_max_ms, BERTH_DURATION_MS_MAX),
    DURATION("timeout", timeout_ms, BERTH_DURATION_MS_MAX),
    DURATION("grace", grace_ms, BERTH_GRACE_MS_MAX),
    LATER("parent"),
    LATER("weight"),
    LATER("group_limit"),
    LATER("rate"),
    LATER("burst"),
    LATER("max_queued"),
    LATER("hold"),
    LATER("on_lost"),
    LATER("queue_timeout"),
    LATER("deadline"),
    LATER("retention"),
    LATER("retention_count"),
};
const size_t berth_seed_settings_count = sizeof berth_seed_settings / sizeof *berth_seed_settings;

void berth_seeds_init(struct berth_seeds *seeds)
{
    berth_list_init(&seeds->list);
}

void berth_seeds_fini(struct berth_seeds *seeds)
{
    BERTH_LIST_FOREACH_SAFE (node, &seeds->list)
        free(berth_container_of(node, struct berth_seed, node));
    berth_list_init(&seeds->list);
}

int berth_seeds_begin(void *arg, const char *name, void **ret_target, struct berth_error *err)
{
    struct berth_seeds *seeds = arg;
    struct berth_seed *seed = calloc(1, sizeof *seed);
    if (!seed)
        return berth_fail(err, -ENOMEM, "dispatcher '%s'", name);
    (void)snprintf(seed->name, sizeof seed->name, "%s", name);
    seed->backoff_ms = seed->backoff_max_ms = seed->timeout_ms = seed->grace_ms = -1;
    berth_list_push_back(&seeds->list, &seed->node);
    *ret_target = seed;
    return 0;
}

int berth_seeds_check(struct berth_seeds *seeds, struct berth_error *err)
{
    BERTH_LIST_FOREACH (node, &seeds->list) {
        struct berth_seed *seed = berth_container_of(node, struct berth_seed, node);
        if (!seed->limit_text)
            return berth_fail(err, BERTH_ECONF, "dispatcher '%s' has no limit", seed->name);
        int rc = berth_limit_parse("limit", seed->limit_text, &seed->limit, err);
        if (rc < 0)
            return rc;
        if (seed->backoff_ms >= 0 && seed->backoff_max_ms >= 0 &&
            seed->backoff_ms > seed->backoff_max_ms)
            return berth_fail(err, BERTH_ECONF,
                              "dispatcher '%s': backoff is longer than backoff_max", seed->name);
    }
    return 0;
}

void berth_seed_event(const struct berth_seed *seed, struct berth_event *ret_event)
{
    *ret_event = (struct berth_event){
        .type = BERTH_EV_DISPATCHER_SET,
        .dispatcher_set = {
            .name = berth_slice_of(seed->name),
            .has_limit = true,
            .limit = seed->limit,
            .has_max_attempts = seed->max_attempts > 0,
            .max_attempts = (uint32_t)seed->max_attempts,
            .has_backoff = seed->backoff_ms >= 0,
            .backoff_ms = seed->backoff_ms,
            .has_backoff_max = seed->backoff_max_ms >= 0,
            .backoff_ms_max = seed->backoff_max_ms,
            .has_timeout = seed->timeout_ms >= 0,
            .timeout_ms = seed->timeout_ms,
            .has_grace = seed->grace_ms >= 0,
            .grace_ms = seed->grace_ms,
        },
    };
}

static void add_difference(struct berth_buf *buf, const char *name, const char *here,
                           const char *wanted)
{
    (void)berth_buf_printf(buf, "%s%s %s, not %s", buf->bytes > 0 ? ", " : "", name, here, wanted);
}

static void add_duration_difference(struct berth_buf *buf, const char *name, int64_t here_ms,
                                    int64_t wanted_ms)
{
    char here[BERTH_DURATION_TEXT_MAX], wanted[BERTH_DURATION_TEXT_MAX];
    if (wanted_ms >= 0 && here_ms != wanted_ms)
        add_difference(buf, name, berth_duration_format(here_ms, here),
                       berth_duration_format(wanted_ms, wanted));
}

void berth_seed_differences(const struct berth_seed *seed,
                            const struct berth_dispatcher_record *record, struct berth_buf *buf)
{
    char here[BERTH_LIMIT_TEXT_MAX], wanted[BERTH_LIMIT_TEXT_MAX];
    if (seed->limit.kind != record->limit.kind || seed->limit.value != record->limit.value)
        add_difference(buf, "limit", berth_limit_format(&record->limit, here),
                       berth_limit_format(&seed->limit, wanted));
    if (seed->max_attempts > 0 && seed->max_attempts != record->max_attempts) {
        (void)snprintf(here, sizeof here, "%" PRIu32, record->max_attempts);
        (void)snprintf(wanted, sizeof wanted, "%" PRIu64, seed->max_attempts);
        add_difference(buf, "max_attempts", here, wanted);
    }
    add_duration_difference(buf, "backoff", record->backoff_ms, seed->backoff_ms);
    add_duration_difference(buf, "backoff_max", record->backoff_ms_max, seed->backoff_max_ms);
    add_duration_difference(buf, "timeout", record->timeout_ms, seed->timeout_ms);
    add_duration_difference(buf, "grace", record->grace_ms, seed->grace_ms);
}
