/* SPDX-License-Identifier: MIT */
#include "seed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limit.h"
#include "base/text.h"
#include "proto/limits.h"

#define COUNT_TEXT_MAX 24

static int check_limit(const char *what, const char *text, struct berth_error *err)
{
    struct berth_limit limit;
    return berth_limit_parse(what, text, &limit, err);
}

static int check_rate(const char *what, const char *text, struct berth_error *err)
{
    uint32_t count;
    int64_t ms;
    return berth_rate_parse(what, text, &count, &ms, err);
}

static const char *const holds[] = { "job", "running", NULL };
static const char *const losses[] = { "reclaim", "hold", NULL };
static const char *const jitters[] = { "on", "off", NULL };

#define DURATION(name_, member_, min_, max_)                                                       \
    {                                                                                              \
        .name = (name_), .type = BERTH_SETTING_DURATION,                                           \
        .offset = offsetof(struct berth_seed, member_), .min = (min_), .max = (max_),              \
        .has_none = (min_) == 0                                                                    \
    }
#define COUNT(name_, max_)                                                                         \
    {                                                                                              \
        .name = #name_, .type = BERTH_SETTING_I64, .offset = offsetof(struct berth_seed, name_),   \
        .max = (max_), .has_none = true                                                            \
    }
#define CHOICE(name_, member_, choices_)                                                           \
    {                                                                                              \
        .name = (name_), .type = BERTH_SETTING_CHOICE,                                             \
        .offset = offsetof(struct berth_seed, member_), .choices = (choices_)                      \
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
    DURATION("backoff", backoff_ms, 0, BERTH_DURATION_MS_MAX),
    DURATION("backoff_max", backoff_max_ms, 0, BERTH_DURATION_MS_MAX),
    DURATION("timeout", timeout_ms, 0, BERTH_DURATION_MS_MAX),
    DURATION("grace", grace_ms, 0, BERTH_GRACE_MS_MAX),
    { .name = "parent", .type = BERTH_SETTING_NAME, .offset = offsetof(struct berth_seed, parent) },
    { .name = "weight",
      .type = BERTH_SETTING_U64,
      .offset = offsetof(struct berth_seed, weight),
      .min = 1,
      .max = BERTH_WEIGHT_MAX },
    COUNT(group_limit, BERTH_LIMIT_VALUE_MAX),
    { .name = "rate",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct berth_seed, rate_text),
      .check = check_rate },
    COUNT(burst, BERTH_BURST_MAX),
    COUNT(max_queued, BERTH_LIMIT_VALUE_MAX),
    CHOICE("hold", hold, holds),
    CHOICE("on_lost", on_lost, losses),
    CHOICE("jitter", no_jitter, jitters),
    DURATION("queue_timeout", queue_timeout_ms, 0, BERTH_DURATION_MS_MAX),
    DURATION("deadline", deadline_ms, 0, BERTH_DURATION_MS_MAX),
    DURATION("retention", retention_ms, 1, BERTH_DURATION_MS_MAX),
    COUNT(retention_count, BERTH_RETENTION_MAX),
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
    seed->group_limit = seed->burst = seed->max_queued = seed->retention_count = -1;
    seed->hold = seed->on_lost = seed->no_jitter = -1;
    seed->queue_timeout_ms = seed->deadline_ms = seed->retention_ms = -1;
    berth_list_push_back(&seeds->list, &seed->node);
    *ret_target = seed;
    return 0;
}

/* "none" names no parent, whatever dispatchers there are. */
const char *berth_seed_parent(const struct berth_seed *seed)
{
    return seed->parent && strcmp(seed->parent, "none") != 0 ? seed->parent : NULL;
}

static int check_backoff(const struct berth_seed *seed, struct berth_error *err)
{
    int64_t ms = seed->backoff_ms >= 0 ? seed->backoff_ms : BERTH_DEFAULT_BACKOFF_MS;
    int64_t ms_max =
        seed->backoff_max_ms >= 0 ? seed->backoff_max_ms : BERTH_DEFAULT_BACKOFF_MS_MAX;
    char text[BERTH_DURATION_TEXT_MAX], text_max[BERTH_DURATION_TEXT_MAX];
    if (ms <= ms_max)
        return 0;
    return berth_fail(
        err, BERTH_ECONF, "dispatcher '%s': backoff is longer than backoff_max: %s, allowed is %s",
        seed->name, berth_duration_format(ms, text), berth_duration_format(ms_max, text_max));
}

static struct berth_seed *seed_find(const struct berth_list *list, const char *name)
{
    BERTH_LIST_FOREACH (node, list) {
        struct berth_seed *seed = berth_container_of(node, struct berth_seed, node);
        if (strcmp(seed->name, name) == 0)
            return seed;
    }
    return NULL;
}

/* The first whose parent is not in the list; NULL: there is none, so they are below themselves. */
static struct berth_seed *first_to_make(const struct berth_list *list)
{
    BERTH_LIST_FOREACH (node, list) {
        struct berth_seed *seed = berth_container_of(node, struct berth_seed, node);
        const char *parent = berth_seed_parent(seed);
        if (!parent || !seed_find(list, parent))
            return seed;
    }
    return NULL;
}

/* Parents before their children, else in the order of the file. */
static int sort(struct berth_seeds *seeds, struct berth_error *err)
{
    struct berth_list sorted;
    berth_list_init(&sorted);
    int rc = 0;
    struct berth_list_node *node;
    while (rc == 0 && !berth_list_is_empty(&seeds->list)) {
        struct berth_seed *seed = first_to_make(&seeds->list);
        if (seed) {
            berth_list_remove(&seed->node);
            berth_list_push_back(&sorted, &seed->node);
        } else {
            seed = berth_container_of(berth_list_first(&seeds->list), struct berth_seed, node);
            rc = berth_fail(err, BERTH_ECONF, "dispatcher '%s': its parent '%s' stands below it",
                            seed->name, seed->parent);
        }
    }
    while ((node = berth_list_pop_front(&seeds->list)))
        berth_list_push_back(&sorted, node);
    while ((node = berth_list_pop_front(&sorted)))
        berth_list_push_back(&seeds->list, node);
    return rc;
}

static int check_seed(struct berth_seed *seed, struct berth_error *err)
{
    if (!seed->limit_text)
        return berth_fail(err, BERTH_ECONF, "dispatcher '%s' has no limit", seed->name);
    int rc = berth_limit_parse("limit", seed->limit_text, &seed->limit, err);
    if (rc == 0 && seed->rate_text)
        rc = berth_rate_parse("rate", seed->rate_text, &seed->rate_count, &seed->rate_ms, err);
    return rc < 0 ? rc : check_backoff(seed, err);
}

int berth_seeds_check(struct berth_seeds *seeds, struct berth_error *err)
{
    BERTH_LIST_FOREACH (node, &seeds->list) {
        int rc = check_seed(berth_container_of(node, struct berth_seed, node), err);
        if (rc < 0)
            return rc;
    }
    return sort(seeds, err);
}

static void put_limits(const struct berth_seed *seed, struct berth_ev_dispatcher_set *set)
{
    set->has_parent = seed->parent != NULL;
    set->parent = berth_slice_of(berth_seed_parent(seed));
    set->has_weight = seed->weight > 0;
    set->weight = (uint32_t)seed->weight;
    set->has_group_limit = seed->group_limit >= 0;
    set->group_limit = (uint32_t)seed->group_limit;
    set->has_rate = seed->rate_text != NULL;
    set->rate_count = seed->rate_count;
    set->rate_ms = seed->rate_ms;
    set->has_burst = seed->burst >= 0;
    set->burst = (uint32_t)seed->burst;
    set->has_max_queued = seed->max_queued >= 0;
    set->max_queued = (uint32_t)seed->max_queued;
    set->has_hold = seed->hold >= 0;
    set->hold = seed->hold > 0 ? BERTH_HOLD_RUNNING : BERTH_HOLD_JOB;
    set->has_on_lost = seed->on_lost >= 0;
    set->on_lost = seed->on_lost > 0 ? BERTH_ON_LOST_HOLD : BERTH_ON_LOST_RECLAIM;
    set->has_jitter = seed->no_jitter >= 0;
    set->no_jitter = seed->no_jitter > 0;
    set->has_queue_timeout = seed->queue_timeout_ms >= 0;
    set->queue_timeout_ms = seed->queue_timeout_ms;
    set->has_deadline = seed->deadline_ms >= 0;
    set->deadline_ms = seed->deadline_ms;
    set->has_retention = seed->retention_ms >= 0;
    set->retention_ms = seed->retention_ms;
    set->has_retention_count = seed->retention_count >= 0;
    set->retention_count = (uint64_t)seed->retention_count;
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
            .changed_by = berth_slice_of("config"),
        },
    };
    put_limits(seed, &ret_event->dispatcher_set);
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

static void add_count_difference(struct berth_buf *buf, const char *name, uint64_t here,
                                 int64_t wanted)
{
    char here_text[COUNT_TEXT_MAX], wanted_text[COUNT_TEXT_MAX];
    if (wanted < 0 || here == (uint64_t)wanted)
        return;
    (void)snprintf(here_text, sizeof here_text, "%" PRIu64, here);
    (void)snprintf(wanted_text, sizeof wanted_text, "%" PRId64, wanted);
    add_difference(buf, name, here_text, wanted_text);
}

static void add_choice_difference(struct berth_buf *buf, const char *name,
                                  const char *const *choices, int here, int wanted)
{
    if (wanted >= 0 && here != wanted)
        add_difference(buf, name, choices[here], choices[wanted]);
}

static void add_limit_differences(struct berth_buf *buf, const struct berth_seed *seed,
                                  const struct berth_dispatcher_view *have)
{
    const struct berth_dispatcher_record *record = &have->record;
    const char *parent = berth_seed_parent(seed);
    if (seed->parent && !berth_slice_is_equal(have->parent, berth_slice_of(parent))) {
        char name[BERTH_NAME_BYTES] = "none";
        if (have->parent.bytes > 0)
            (void)snprintf(name, sizeof name, "%.*s", (int)have->parent.bytes,
                           (const char *)have->parent.data);
        add_difference(buf, "parent", name, seed->parent);
    }
    add_count_difference(buf, "weight", record->weight, seed->weight ? (int64_t)seed->weight : -1);
    add_count_difference(buf, "group_limit", record->group_limit, seed->group_limit);
    if (seed->rate_text &&
        (seed->rate_count != record->rate_count || seed->rate_ms != record->rate_ms)) {
        char here[BERTH_RATE_TEXT_MAX];
        add_difference(buf, "rate", berth_rate_format(record->rate_count, record->rate_ms, here),
                       seed->rate_text);
    }
    add_count_difference(buf, "burst", record->burst, seed->burst);
    add_count_difference(buf, "max_queued", record->max_queued, seed->max_queued);
    add_choice_difference(buf, "hold", holds, record->hold, seed->hold);
    add_choice_difference(buf, "on_lost", losses, record->on_lost, seed->on_lost);
    add_choice_difference(buf, "jitter", jitters, record->no_jitter, seed->no_jitter);
    add_duration_difference(buf, "queue_timeout", record->queue_timeout_ms, seed->queue_timeout_ms);
    add_duration_difference(buf, "deadline", record->deadline_ms, seed->deadline_ms);
    add_duration_difference(buf, "retention", record->retention_ms, seed->retention_ms);
    add_count_difference(buf, "retention_count", record->retention_count, seed->retention_count);
}

void berth_seed_differences(const struct berth_seed *seed, const struct berth_dispatcher_view *have,
                            struct berth_buf *buf)
{
    const struct berth_dispatcher_record *record = &have->record;
    char here[BERTH_LIMIT_TEXT_MAX], wanted[BERTH_LIMIT_TEXT_MAX];
    if (seed->limit.kind != record->limit.kind || seed->limit.value != record->limit.value)
        add_difference(buf, "limit", berth_limit_format(&record->limit, here),
                       berth_limit_format(&seed->limit, wanted));
    add_count_difference(buf, "max_attempts", record->max_attempts,
                         seed->max_attempts ? (int64_t)seed->max_attempts : -1);
    add_duration_difference(buf, "backoff", record->backoff_ms, seed->backoff_ms);
    add_duration_difference(buf, "backoff_max", record->backoff_ms_max, seed->backoff_max_ms);
    add_duration_difference(buf, "timeout", record->timeout_ms, seed->timeout_ms);
    add_duration_difference(buf, "grace", record->grace_ms, seed->grace_ms);
    add_limit_differences(buf, seed, have);
}
